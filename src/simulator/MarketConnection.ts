/**
 * One connection to the market streams: raw events at /ws, events with their stream's name at /stream.
 *
 * The client may change what it hears with messages, of which it may send a few in a second.
 */
import type { Service } from "./Service.ts"
import { faultView, parseStreamRequest, type StreamRequest } from "./streamRequests.ts"
import type { Link } from "./WebSocketApi.ts"

/** As many as the exchange allows on one connection. */
const greatestStreams = 1_024
/** Pings, pongs and requests alike; who sends more is cut off, where limits are enforced. */
const messagesPerSecond = 5
const secondMillis = 1_000

export interface MarketConnectionOptions {
  readonly streams: ReadonlyArray<string>
  readonly isCombined: boolean
  readonly inMicros: boolean
}

export class MarketConnection {
  readonly #service: Service
  readonly #link: Link
  readonly #inMicros: boolean
  readonly #subscriptions = new Map<string, () => void>()
  #isCombined: boolean
  #second = { start: 0, messages: 0 }

  constructor(service: Service, link: Link, { inMicros, isCombined, streams }: MarketConnectionOptions) {
    this.#service = service
    this.#link = link
    this.#isCombined = isCombined
    this.#inMicros = inMicros
    if (!this.#subscribe(streams)) link.end()
  }

  receive(text: string): void {
    this.frame()
    const request = parseStreamRequest(text)
    this.#link.send(JSON.stringify("code" in request ? faultView(request) : this.#answer(request)))
  }

  /** A message of whatever kind came in. */
  frame(): void {
    const now = this.#service.now()
    if (now - this.#second.start >= secondMillis || now < this.#second.start) this.#second = { start: now, messages: 0 }
    if (++this.#second.messages > messagesPerSecond && this.#service.limits.isEnforced) this.#link.end()
  }

  closed(): void {
    for (const end of this.#subscriptions.values()) end()
    this.#subscriptions.clear()
  }

  shutDown(now: number): void {
    this.#tell("!serverShutdown", JSON.stringify({ e: "serverShutdown", E: this.#inMicros ? now * 1_000 : now }))
  }

  #answer(request: StreamRequest): object {
    const { id } = request
    switch (request.method) {
      case "SUBSCRIBE":
        return this.#subscribe(request.streams)
          ? { result: null, id }
          : faultView({ code: 2, msg: "Invalid request: too many parameters", id })
      case "UNSUBSCRIBE":
        for (const stream of request.streams) {
          this.#subscriptions.get(stream)?.()
          this.#subscriptions.delete(stream)
        }
        return { result: null, id }
      case "LIST_SUBSCRIPTIONS":
        return { result: [...this.#subscriptions.keys()], id }
      case "SET_PROPERTY":
        this.#isCombined = request.isCombined
        return { result: null, id }
      case "GET_PROPERTY":
        return { result: this.#isCombined, id }
    }
  }

  /** All of them or, where they would be too many for one connection, none. */
  #subscribe(streams: ReadonlyArray<string>): boolean {
    const wanted = new Set(streams.filter((stream) => !this.#subscriptions.has(stream)))
    if (this.#subscriptions.size + wanted.size > greatestStreams) return false
    for (const stream of wanted) {
      const listener = {
        inMicros: this.#inMicros,
        tell: (name: string, event: string) => this.#tell(name, event)
      }
      this.#subscriptions.set(stream, this.#service.news.markets.subscribe(stream, listener))
    }
    return true
  }

  #tell(stream: string, event: string): void {
    this.#link.send(this.#isCombined ? `{"stream":${JSON.stringify(stream)},"data":${event}}` : event)
  }
}
