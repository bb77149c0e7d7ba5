/**
 * The WebSocket side, on the same port: requests and the user data stream at /ws-api/v3, market streams at /ws and
 * /stream. Pings every 20 s, and cuts who does not answer for a minute or stays longer than a day.
 */
import type http from "node:http"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"
import { MarketConnection } from "./MarketConnection.ts"
import type { Service } from "./Service.ts"
import { WebSocketApi } from "./WebSocketApi.ts"

const pingMillis = 20_000
const pongMillis = 60_000
const lifeMillis = 24 * 60 * 60 * 1_000
const greatestMessage = 64 * 1_024
/** "Going away", as a server that shuts down says it. */
const goingAway = 1001

/** One connection's own part: what it does with messages, and with the end. */
export interface Connection {
  readonly receive: (text: string) => void
  readonly closed: () => void
  readonly shutDown: (now: number) => void
}

interface Open {
  readonly socket: WebSocket
  readonly connection: Connection
  readonly since: number
  lastPong: number
  isSilent: boolean
}

export class WebSockets {
  readonly #service: Service
  // Compression is never agreed on: some stream clients break off over its terms.
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: greatestMessage })
  readonly #open = new Set<Open>()

  constructor(service: Service) {
    this.#service = service
    service.timers.every(pingMillis, () => this.#ping())
  }

  /** To be called for the server's `upgrade` event. */
  upgrade(req: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    const url = new URL(req.url ?? "/", "http://simulator")
    const make = connectionFor(url, this.#service, req.socket.remoteAddress ?? "")
    if (make === undefined) {
      socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      return
    }
    this.#server.handleUpgrade(req, socket, head, (webSocket) => this.#accept(webSocket, make))
  }

  /** Open connections say and answer nothing any more, without a close frame: as a stream dies behind a broken router. */
  silence(): void {
    for (const open of this.#open) {
      open.isSilent = true
      open.connection.closed()
      // Not even pings are answered: what comes stays in the socket.
      open.socket.pause()
    }
    this.#open.clear()
  }

  /** Ends the open connections, with the notice before it or without. */
  end(withNotice: boolean): void {
    for (const { connection, socket } of this.#open) {
      if (withNotice) connection.shutDown(this.#service.now())
      socket.close(goingAway)
    }
  }

  close(): void {
    this.end(true)
    this.#server.close()
    for (const socket of this.#server.clients) socket.terminate()
  }

  get count(): number {
    return this.#open.size
  }

  #accept(socket: WebSocket, make: (send: (text: string) => void) => Connection): void {
    const now = Date.now()
    const connection = make((text) => {
      if (socket.readyState === socket.OPEN && !open.isSilent) socket.send(text)
    })
    const open: Open = { socket, connection, since: now, lastPong: now, isSilent: false }
    this.#open.add(open)
    socket.on("message", (data) => connection.receive(bytesOf(data).toString("utf8")))
    socket.on("pong", () => {
      open.lastPong = Date.now()
    })
    // An error is always followed by the close.
    socket.on("error", () => {})
    socket.on("close", () => {
      if (this.#open.delete(open)) connection.closed()
    })
  }

  #ping(): void {
    const now = Date.now()
    for (const { lastPong, since, socket } of this.#open) {
      if (now - lastPong > pongMillis) socket.terminate()
      else if (now - since > lifeMillis) socket.close(goingAway)
      else socket.ping(String(now))
    }
  }
}

const bytesOf = (data: Buffer | ArrayBuffer | Array<Buffer>): Buffer => {
  if (Array.isArray(data)) return Buffer.concat(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}

const connectionFor = (
  url: URL,
  service: Service,
  address: string
): ((send: (text: string) => void) => Connection) | undefined => {
  if (url.pathname === "/ws-api/v3") {
    const showsLimits = url.searchParams.get("returnRateLimits") !== "false"
    return (send) => new WebSocketApi(service, send, address, showsLimits)
  }
  if (url.pathname === "/stream") {
    const streams = (url.searchParams.get("streams") ?? "").split("/").filter((name) => name !== "")
    return (send) => new MarketConnection(service, send, streams, true)
  }
  if (url.pathname === "/ws" || url.pathname.startsWith("/ws/")) {
    const streams = url.pathname
      .slice("/ws/".length)
      .split("/")
      .filter((name) => name !== "")
    return (send) => new MarketConnection(service, send, streams, false)
  }
  return undefined
}
