/** Stands before an exchange, passes everything on, and remembers what was asked; it can keep an answer to itself. */
import { createServer, type IncomingMessage, request as ask } from "node:http"
import { connect, type Socket } from "node:net"

export interface Asked {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly at: number
  /** When the client left without an answer; null: it has one, or waits. */
  leftAt: number | null
}

export interface ExchangeFront {
  readonly address: string
  readonly asked: ReadonlyArray<Asked>
  /** Paths of WebSockets that were opened. */
  readonly sockets: ReadonlyArray<string>
  /** The next request of this method and path is answered by nobody. */
  readonly swallow: (method: string, path: string) => void
  readonly close: () => void
}

export const startFront = async (exchange: string): Promise<ExchangeFront> => {
  const { hostname, port } = new URL(exchange)
  const asked: Array<Asked> = []
  const sockets: Array<string> = []
  const open = new Set<Socket>()
  let swallowed: string | null = null

  const server = createServer((incoming, response) => {
    const target = incoming.url ?? ""
    const method = incoming.method ?? ""
    const record: Asked = { method, target, headers: incoming.headers, at: performance.now(), leftAt: null }
    asked.push(record)
    response.on("close", () => {
      if (!response.writableFinished) record.leftAt = performance.now()
    })
    if (swallowed === `${method} ${target.split("?")[0]}`) {
      swallowed = null
      return
    }
    pass(incoming, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
  })
  const pass = (incoming: IncomingMessage, then: (answer: IncomingMessage) => void) => {
    const onward = ask({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers }, then)
    onward.on("error", () => incoming.destroy())
    incoming.pipe(onward)
  }

  server.on("upgrade", (incoming, client: Socket, head) => {
    sockets.push(incoming.url ?? "")
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on("error", () => socket.destroy())
      socket.on("close", () => open.delete(socket))
    }
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`]
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`)
    }
    upstream.write(`${lines.join("\r\n")}\r\n\r\n`)
    upstream.write(head)
    client.pipe(upstream).pipe(client)
  })

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const bound = server.address()
  return {
    address: `http://127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`,
    asked,
    sockets,
    swallow: (method, path) => void (swallowed = `${method} ${path}`),
    close: () => {
      for (const socket of open) socket.destroy()
      server.closeAllConnections()
      server.close()
    }
  }
}
