/**
 * The WebSocket side, on the same port: requests and the user data stream at /ws-api/v3, market streams at /ws and
 * /stream. Pings every 20 s, and cuts who does not answer for a minute or stays longer than a day.
 */
import type http from "node:http"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"
import { MarketConnection } from "./MarketConnection.ts"
import { beatMillis } from "./periodicStreams.ts"
import { invalidTimeUnit, isRefusal, type Refusal } from "./Refusal.ts"
import type { Service } from "./Service.ts"
import { isTimeUnit, wantsMicros } from "./timeUnit.ts"
import { type Link, WebSocketApi } from "./WebSocketApi.ts"

/** How long a connection lives, and how it is watched; the exchange's own times unless a test wants others. */
export interface ConnectionRules {
  readonly pingMillis: number
  readonly pongMillis: number
  readonly lifeMillis: number
}

const exchangeRules: ConnectionRules = {
  pingMillis: 20_000,
  pongMillis: 60_000,
  lifeMillis: 24 * 60 * 60 * 1_000
}

const greatestMessage = 64 * 1_024
/** "Going away", as a server that shuts down says it. */
const goingAway = 1001
/** "Policy violation", for a banned address. */
const unwelcome = 1008

/** One connection's own part: what it does with messages, and with the end. */
export interface Connection {
  readonly receive: (text: string) => void
  readonly closed: () => void
  /** A ping or a pong came. */
  readonly frame?: () => void
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
  readonly #rules: ConnectionRules
  // Compression is never agreed on: some stream clients break off over its terms.
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: greatestMessage })
  readonly #open = new Set<Open>()
  #isRefusing = false

  constructor(service: Service, rules: Partial<ConnectionRules> = {}) {
    this.#service = service
    this.#rules = { ...exchangeRules, ...rules }
    service.timers.every(this.#rules.pingMillis, () => this.#ping())
    service.timers.every(beatMillis, () => service.outside(() => service.news.markets.beat()))
  }

  /** To be called for the server's `upgrade` event. */
  upgrade(req: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    // Whoever leaves while it is being refused has its wish.
    socket.on("error", () => {})
    if (this.#isRefusing) {
      socket.end("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      return
    }
    const address = req.socket.remoteAddress ?? ""
    const { forced, limits } = this.#service
    const now = this.#service.now()
    const refused = forced.ofConnection(now) ?? limits.admitConnection(address, now)
    if (refused !== undefined) return refuseUpgrade(socket, refused, now)
    const make = connectionFor(req.url ?? "/", this.#service, address)
    if (isRefusal(make)) return refuseUpgrade(socket, make, now)
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

  /** Tells the open connections that the server is about to shut down, and leaves them open for now. */
  announceShutdown(): void {
    for (const { connection } of this.#open) connection.shutDown(this.#service.now())
  }

  /** The open connections end without a close frame. */
  cut(): void {
    for (const { socket } of this.#open) socket.terminate()
  }

  /** New connections are refused, until told otherwise. */
  refuse(isRefusing: boolean): void {
    this.#isRefusing = isRefusing
  }

  /** Ends the open connections, with the notice before it or without. */
  end(withNotice: boolean): void {
    if (withNotice) this.announceShutdown()
    for (const { socket } of this.#open) socket.close(goingAway)
  }

  close(): void {
    this.end(true)
    this.#server.close()
    for (const socket of this.#server.clients) socket.terminate()
  }

  get count(): number {
    return this.#open.size
  }

  #accept(socket: WebSocket, make: (link: Link) => Connection): void {
    const now = Date.now()
    const connection = make({
      send: (text) => {
        if (socket.readyState === socket.OPEN && !open.isSilent) socket.send(text)
      },
      end: () => socket.close(unwelcome),
      cut: () => socket.terminate()
    })
    const open: Open = { socket, connection, since: now, lastPong: now, isSilent: false }
    this.#open.add(open)
    socket.on("message", (data) => connection.receive(bytesOf(data).toString("utf8")))
    socket.on("ping", () => connection.frame?.())
    socket.on("pong", () => {
      open.lastPong = Date.now()
      connection.frame?.()
    })
    // An error is always followed by the close.
    socket.on("error", () => {})
    socket.on("close", () => {
      if (this.#open.delete(open)) connection.closed()
    })
  }

  #ping(): void {
    const now = Date.now()
    const { lifeMillis, pongMillis } = this.#rules
    for (const { lastPong, since, socket } of this.#open) {
      if (now - lastPong > pongMillis) socket.terminate()
      else if (now - since > lifeMillis) socket.close(goingAway)
      else socket.ping(String(now))
    }
  }
}

const refuseUpgrade = (socket: Duplex, { code, message, retryAt, status }: Refusal, now: number): void => {
  const body = JSON.stringify({ code, msg: message })
  const wait = retryAt === undefined ? "" : `Retry-After: ${Math.ceil((retryAt - now) / 1_000)}\r\n`
  const head = `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json;charset=UTF-8\r\n${wait}`
  socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
}

const bytesOf = (data: Buffer | ArrayBuffer | Array<Buffer>): Buffer => {
  if (Array.isArray(data)) return Buffer.concat(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}

const connectionFor = (
  target: string,
  service: Service,
  address: string
): ((link: Link) => Connection) | Refusal | undefined => {
  const url = URL.parse(target, "http://simulator")
  if (url === null) return undefined
  const unit = url.searchParams.get("timeUnit")
  if (!isTimeUnit(unit)) return invalidTimeUnit
  const inMicros = wantsMicros(unit)
  if (url.pathname === "/ws-api/v3") {
    const wishes = {
      showsLimits: url.searchParams.get("returnRateLimits") !== "false",
      inMicros
    }
    return (link) => new WebSocketApi(service, link, address, wishes)
  }
  const isCombined = url.pathname === "/stream" || url.pathname === "/stream/"
  if (!isCombined && url.pathname !== "/ws" && !url.pathname.startsWith("/ws/")) return undefined
  const named = isCombined ? (streamsForm.exec(url.search)?.[1] ?? "") : url.pathname.slice("/ws/".length)
  const options = {
    streams: unescaped(named)
      .split("/")
      .filter((name) => name !== ""),
    isCombined,
    inMicros
  }
  return (link) => new MarketConnection(service, link, options)
}

const streamsForm = /[?&]streams=([^&]*)/

/** Leaves a plus alone, for a stream's name may have one; never throws, as `decodeURIComponent` does over half an escape. */
const unescaped = (text: string): string => new URLSearchParams(`_=${text.replaceAll("+", "%2B")}`).get("_") ?? ""
