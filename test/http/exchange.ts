/** One HTTP exchange over a socket of its own, byte for byte: what fetch would tidy up stays as it is. */
import { connect } from "node:net"
import { Effect } from "effect"

export interface Reply {
  readonly status: number
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Sends the text and reads until the server closes the connection. */
export const exchange = (port: number, text: string): Effect.Effect<Reply> =>
  Effect.callback<Reply>((resume) => {
    const pieces: Array<Buffer> = []
    const socket = connect(port, "127.0.0.1", () => socket.write(text))
    socket.on("data", (piece) => pieces.push(piece))
    // A server that refuses a body resets the connection behind its answer.
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(replyOf(Buffer.concat(pieces).toString()))))
    return Effect.sync(() => socket.destroy())
  })

const replyOf = (text: string): Reply => {
  const end = text.indexOf("\r\n\r\n")
  const [first = "", ...lines] = text.slice(0, Math.max(end, 0)).split("\r\n")
  return {
    status: Number(first.split(" ")[1] ?? 0),
    headers: Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(":")
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      })
    ),
    body: text.slice(end + 4)
  }
}

/** A request of its own connection; `Host` and `Connection: close` are added. */
export const request = (
  method: string,
  path: string,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {}
): string => {
  const body = options.body ?? ""
  const headers = {
    Host: "127.0.0.1",
    Connection: "close",
    ...(body === "" ? {} : { "Content-Type": "application/json", "Content-Length": `${Buffer.byteLength(body)}` }),
    ...options.headers
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`
}
