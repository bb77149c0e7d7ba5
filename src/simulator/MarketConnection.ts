/** One connection to the market streams: raw events at /ws, events with their stream's name at /stream. */
import type { Service } from "./Service.ts"

/** As many as the exchange allows on one connection. */
const greatestStreams = 1_024

export class MarketConnection {
  readonly #service: Service
  readonly #send: (text: string) => void
  readonly #isCombined: boolean
  readonly #subscriptions = new Map<string, () => void>()

  constructor(service: Service, send: (text: string) => void, streams: ReadonlyArray<string>, isCombined: boolean) {
    this.#service = service
    this.#send = send
    this.#isCombined = isCombined
    this.#subscribe(streams)
  }

  receive(text: string): void {
    const request = parse(text)
    if (request === undefined) return this.#send(JSON.stringify({ code: 3, msg: "Invalid JSON" }))
    const { id, method, params } = request
    const streams = params.filter((name) => typeof name === "string")
    switch (method) {
      case "SUBSCRIBE":
        this.#subscribe(streams)
        return this.#send(JSON.stringify({ result: null, id }))
      case "UNSUBSCRIBE":
        for (const stream of streams) {
          this.#subscriptions.get(stream)?.()
          this.#subscriptions.delete(stream)
        }
        return this.#send(JSON.stringify({ result: null, id }))
      case "LIST_SUBSCRIPTIONS":
        return this.#send(JSON.stringify({ result: [...this.#subscriptions.keys()], id }))
      default:
        return this.#send(JSON.stringify({ code: 2, msg: "Invalid request: unknown variant", id }))
    }
  }

  closed(): void {
    for (const end of this.#subscriptions.values()) end()
    this.#subscriptions.clear()
  }

  shutDown(now: number): void {
    this.#send(JSON.stringify({ e: "serverShutdown", E: now }))
  }

  #subscribe(streams: ReadonlyArray<string>): void {
    for (const stream of streams) {
      if (this.#subscriptions.has(stream) || this.#subscriptions.size >= greatestStreams) continue
      const end = this.#service.news.subscribeStream(stream, (name, event) =>
        this.#send(this.#isCombined ? `{"stream":${JSON.stringify(name)},"data":${event}}` : event)
      )
      this.#subscriptions.set(stream, end)
    }
  }
}

interface Request {
  readonly id: unknown
  readonly method: unknown
  readonly params: ReadonlyArray<unknown>
}

const parse = (text: string): Request | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null) return undefined
    const { id = null, method, params = [] } = value as Record<string, unknown>
    return { id, method, params: Array.isArray(params) ? params : [] }
  } catch {
    return undefined
  }
}
