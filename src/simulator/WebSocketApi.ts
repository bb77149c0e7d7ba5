/**
 * One connection to the WebSocket API: the requests of REST under other names, and the user data stream.
 *
 * Sessions need Ed25519 keys, which this exchange does not give out; with HMAC one subscribes by signature.
 */
import type { Endpoint } from "./Endpoint.ts"
import { endpoints } from "./endpoints.ts"
import { admit } from "./Gate.ts"
import type { Parameters } from "./Parameters.ts"
import {
  alreadySubscribed,
  hmacCannotLogOn,
  isRefusal,
  malformedRequest,
  noSuchEndpoint,
  notSubscribed,
  type Refusal,
  subscriptionsUsedUp
} from "./Refusal.ts"
import type { Service } from "./Service.ts"
import { textOf, webSocketPayload } from "./signing.ts"

const byMethod = new Map(endpoints.map((endpoint) => [endpoint.webSocket, endpoint]))
const greatestSubscriptionId = 65_535
const connectionWeight = 2

/** What belongs to the connection itself, with the exchange's weight of it. */
const ofConnection = (webSocket: string, isSigned: boolean, read: (p: Parameters) => void = () => {}): Endpoint => ({
  rest: "",
  webSocket,
  isSigned,
  weight: () => 2,
  read: (p) => {
    read(p)
    return () => undefined
  }
})

const subscribe = ofConnection("userDataStream.subscribe.signature", true)
const unsubscribe = ofConnection("userDataStream.unsubscribe", false, (p) => p.whole("subscriptionId"))
const status = ofConnection("session.status", false)
const subscriptions = ofConnection("session.subscriptions", false)
const logon = ofConnection("session.logon", true)
const own = new Map([subscribe, unsubscribe, status, subscriptions, logon].map((one) => [one.webSocket, one]))

export class WebSocketApi {
  readonly #service: Service
  readonly #send: (text: string) => void
  readonly #address: string
  readonly #showsLimits: boolean
  #subscription: { readonly id: number; readonly end: () => void } | undefined
  #nextSubscriptionId = 0

  constructor(service: Service, send: (text: string) => void, address: string, showsLimits: boolean) {
    this.#service = service
    this.#send = send
    this.#address = address
    this.#showsLimits = showsLimits
    service.limits.addWeight(address, connectionWeight, service.now())
  }

  receive(text: string): void {
    this.#service.arrives(() => this.#serve(text))
  }

  closed(): void {
    this.#subscription?.end()
    this.#subscription = undefined
  }

  shutDown(now: number): void {
    this.#send(JSON.stringify({ event: { e: "serverShutdown", E: now } }))
  }

  #serve(text: string): void {
    const request = parse(text)
    if (request === undefined) return this.#answer(null, malformedRequest, true)
    const { id, method, params } = request
    const showsLimits = params["returnRateLimits"] !== false
    const endpoint = byMethod.get(method) ?? own.get(method)
    if (endpoint === undefined) return this.#answer(id, noSuchEndpoint, showsLimits)
    const service = this.#service
    const values = new Map<string, string>()
    for (const [name, value] of Object.entries(params)) {
      if (name !== "apiKey" && name !== "signature" && name !== "returnRateLimits") values.set(name, textOf(value))
    }
    const arrival = {
      values,
      apiKey: optionalText(params["apiKey"]),
      signature: optionalText(params["signature"]),
      payload: webSocketPayload(params),
      isEncoded: false
    }
    if (own.has(method)) {
      const refused = service.limits.admit(this.#address, service.now())
      const run = refused ?? admit(endpoint, arrival, service.credentials, service.now())
      const result = isRefusal(run) ? run : this.#ofConnection(method, values)
      service.charge(endpoint, values, this.#address, isRefusal(result))
      return service.settled(() => this.#answer(id, result, showsLimits))
    }
    const run = service.admit(endpoint, arrival, this.#address)
    const result = isRefusal(run) ? run : service.perform(run)
    service.charge(endpoint, values, this.#address, isRefusal(result))
    service.settled(() => this.#answer(id, result, showsLimits))
  }

  #ofConnection(method: string, values: ReadonlyMap<string, string>): unknown {
    switch (method) {
      case subscribe.webSocket:
        return this.#subscribe()
      case unsubscribe.webSocket: {
        const wanted = values.get("subscriptionId")
        if (wanted !== undefined && String(this.#subscription?.id) !== wanted) return notSubscribed
        this.closed()
        return {}
      }
      case subscriptions.webSocket:
        return this.#subscription === undefined ? [] : [{ subscriptionId: this.#subscription.id }]
      case logon.webSocket:
        return hmacCannotLogOn
      default:
        return {
          apiKey: null,
          authorizedSince: null,
          connectedSince: null,
          returnRateLimits: this.#showsLimits,
          serverTime: this.#service.now(),
          userDataStream: this.#subscription !== undefined
        }
    }
  }

  #subscribe(): unknown {
    if (this.#subscription !== undefined) return alreadySubscribed
    if (this.#nextSubscriptionId > greatestSubscriptionId) return subscriptionsUsedUp
    const id = this.#nextSubscriptionId++
    const end = this.#service.news.subscribeUser((event) => this.#send(`{"subscriptionId":${id},"event":${event}}`))
    this.#subscription = { id, end }
    return { subscriptionId: id }
  }

  #answer(id: unknown, result: unknown, showsLimits: boolean): void {
    const limits = this.#showsLimits && showsLimits ? { rateLimits: this.#rateLimits() } : {}
    this.#send(
      JSON.stringify(
        isRefusal(result)
          ? { id, status: result.status, error: this.#error(result), ...limits }
          : { id, status: 200, result, ...limits }
      )
    )
  }

  #error(refusal: Refusal) {
    const { code, message, status: httpStatus } = refusal
    if (httpStatus !== 429 && httpStatus !== 418) return { code, msg: message }
    const now = this.#service.now()
    const retryAfter = this.#service.limits.retryAt(this.#address, refusal, now)
    return { code, msg: message, data: { serverTime: now, retryAfter } }
  }

  #rateLimits() {
    const { limits } = this.#service
    const now = this.#service.now()
    const counts = [limits.usedWeight(this.#address, now), ...limits.orderCounts(now)]
    return limits
      .published()
      .slice(0, counts.length)
      .map((limit, at) => ({ ...limit, count: counts[at] }))
  }
}

interface Request {
  readonly id: unknown
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
}

const parse = (text: string): Request | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null) return undefined
    const { id = null, method, params = {} } = value as Record<string, unknown>
    if (typeof method !== "string" || typeof params !== "object" || params === null) return undefined
    return { id, method, params: params as Record<string, unknown> }
  } catch {
    return undefined
  }
}

const optionalText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
