/**
 * A proxy between Nexus and the exchange that loses, cuts and delays answers. Requests always arrive; what
 * fails is the way back, which is where duplicates come from.
 */
import { createServer, request } from "node:http"
import { connect } from "node:net"

export interface FaultCounts {
  lost: number
  cut: number
  late: number
  passed: number
}

// Later than the client waits, so that a late answer is one that nobody hears.
const lateMillis = 16_000

/** Every n-th order submission meets a fault; everything else passes. */
export const faultyProxy = async (
  port: number,
  target: number,
  every: number
): Promise<{ counts: FaultCounts; close: () => Promise<void> }> => {
  const counts: FaultCounts = { lost: 0, cut: 0, late: 0, passed: 0 }
  let seen = 0
  const server = createServer((incoming, answer) => {
    const submission = incoming.method === "POST" && (incoming.url ?? "").startsWith("/api/v3/order")
    if (submission) seen += 1
    const kind = submission && seen % every === 0 ? (["lost", "cut", "late"] as const)[(seen / every) % 3]! : "passed"
    counts[kind] += 1
    const outgoing = request(
      { host: "127.0.0.1", port: target, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (reply) => {
        const chunks: Array<Buffer> = []
        reply.on("data", (chunk: Buffer) => chunks.push(chunk))
        reply.on("end", () => {
          const body = Buffer.concat(chunks)
          const send = () => {
            if (answer.destroyed) return
            answer.writeHead(reply.statusCode ?? 502, reply.headers)
            answer.end(body)
          }
          if (kind === "lost") incoming.socket.destroy()
          else if (kind === "cut") {
            answer.writeHead(reply.statusCode ?? 502, { ...reply.headers, "content-length": `${body.length}` })
            answer.write(body.subarray(0, Math.floor(body.length / 2)), () => incoming.socket.destroy())
          } else if (kind === "late") setTimeout(send, lateMillis).unref()
          else send()
        })
      }
    )
    outgoing.on("error", () => incoming.socket.destroy())
    incoming.pipe(outgoing)
  })
  server.on("upgrade", (incoming, socket, head) => {
    const upstream = connect(target, "127.0.0.1", () => {
      const headers = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`)
      upstream.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${headers.join("")}\r\n`)
      upstream.write(head)
      upstream.pipe(socket).pipe(upstream)
    })
    upstream.on("error", () => socket.destroy())
    socket.on("error", () => upstream.destroy())
  })
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  return {
    counts,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      })
  }
}
