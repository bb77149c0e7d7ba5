/**
 * A TCP proxy in front of PostgreSQL that loses answers: chosen appends are carried out, and the connection is cut
 * where their answer would have come. The client cannot know what became of them.
 */
import { connect, createServer, type Server, type Socket } from "node:net"

export interface CutProxy {
  /** The given URL, by way of this proxy. */
  readonly url: string
  readonly cuts: () => number
  readonly close: () => Promise<void>
}

// What only the parameters of an append contain: a hash within a row within an array.
const appendMark = Buffer.from(String.raw`\\\\x`)

/** Cuts at the answer to every `every`th append that passes. */
export const startCutProxy = async (url: string, every: number): Promise<CutProxy> => {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  let appends = 0
  let cuts = 0

  const serve = (client: Socket): void => {
    const server = connect(Number(target.port), target.hostname)
    let cutNext = false
    const end = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", end)
      socket.on("close", () => {
        sockets.delete(socket)
        end()
      })
    }
    client.on("data", (bytes: Buffer) => {
      if (bytes.includes(appendMark) && (appends += 1) % every === 0) cutNext = true
      server.write(bytes)
    })
    server.on("data", (bytes: Buffer) => {
      if (cutNext) {
        cuts += 1
        end()
      } else client.write(bytes)
    })
  }

  const proxy: Server = createServer(serve)
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  const address = proxy.address()
  if (address === null || typeof address === "string") throw new Error("the proxy has no port")
  const through = new URL(url)
  through.hostname = "127.0.0.1"
  through.port = `${address.port}`
  return {
    url: through.href,
    cuts: () => cuts,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        proxy.close(() => resolve())
      })
  }
}
