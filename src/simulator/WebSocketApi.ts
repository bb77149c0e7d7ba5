/**
 * One connection to the WebSocket API: the requests of REST under other names, and the user data stream.
 *
 * The connection owns its session, for which an Ed25519 key logs on, and its one subscription, for there is one
 * account. With any key one subscribes by signature, session or not.
 */
import { ofConnection, requestsOfConnection } from "./connectionRequests.ts"
import type { Endpoint, Run, Twist } from "./Endpoint.ts"
import { endpoints } from "./endpoints.ts"
import { isBlocked } from "./firewall.ts"
import type { Admitted, Arrival } from "./Gate.ts"
import { JsonNumber, textOf } from "./jsonText.ts"
import type { KeyKind } from "./Keyring.ts"
import type { Page } from "./pages.ts"
import {
  alreadySubscribed,
  blockedByFirewall,
  cannotLogOn,
  isRefusal,
  needsSession,
  notSubscribed,
  Refusal,
  subscriptionsUsedUp,
  unknownKey,
  unknownMethod
} from "./Refusal.ts"
import type { Service } from "./Service.ts"
import { webSocketPayload } from "./signing.ts"
import { strike, type Struck } from "./strike.ts"
import { answerInMicros, eventInMicros } from "./timeUnit.ts"
import { readRequest } from "./webSocketRequest.ts"

const byMethod = new Map(endpoints.map((endpoint) => [endpoint.webSocket, endpoint]))
/** A method may carry the version of the API. */
const version = /^v3\//
const greatestSubscriptionId = 65_535
const connectionWeight = 2

/** What a connection can do to its socket. */
export interface Link {
  readonly send: (text: string) => void
  /** A close with its frame. */
  readonly end: () => void
  /** The end without a word. */
  readonly cut: () => void
}

/** What the address of the connection asks for. */
export interface Wishes {
  readonly showsLimits: boolean
  readonly inMicros: boolean
}

interface Session {
  readonly kind: KeyKind
  readonly since: number
}

interface Subscription {
  readonly id: number
  /** Ends with the session, for it was made without a signature of its own. */
  readonly isOfSession: boolean
  readonly end: () => void
}

interface Asked {
  readonly id: unknown
  readonly endpoint: Endpoint
  readonly arrival: Arrival
  readonly showsLimits: boolean
}

export class WebSocketApi {
  readonly #service: Service
  readonly #link: Link
  readonly #address: string
  readonly #wishes: Wishes
  readonly #connectedSince: number
  #session: Session | undefined
  #subscription: Subscription | undefined
  #nextSubscriptionId = 0

  constructor(service: Service, link: Link, address: string, wishes: Wishes) {
    this.#service = service
    this.#link = link
    this.#address = address
    this.#wishes = wishes
    this.#connectedSince = service.now()
    service.limits.addWeight(address, connectionWeight, service.now())
  }

  receive(text: string): void {
    const request = readRequest(text)
    // Before there is a request there is nothing that it could cost.
    if (isRefusal(request)) return this.#service.arrives(() => this.#answer(undefined, null, request, false))
    const { id, params } = request
    const showsLimits = flagOf(params["returnRateLimits"]) ?? this.#wishes.showsLimits
    const method = request.method.replace(version, "")
    const endpoint = byMethod.get(method) ?? requestsOfConnection.get(method)
    const values = new Map<string, string>()
    for (const [name, value] of Object.entries(params)) {
      if (name !== "apiKey" && name !== "signature" && name !== "returnRateLimits") values.set(name, textOf(value))
    }
    if (endpoint === undefined || isBlocked(text, values)) {
      const refusal = endpoint === undefined ? unknownMethod : blockedByFirewall
      return this.#service.arrives(() => this.#answer(undefined, id, refusal, showsLimits))
    }
    const arrival = {
      values,
      hasDuplicates: false,
      apiKey: optionalText(params["apiKey"]),
      signature: optionalText(params["signature"]),
      credentials: Number("apiKey" in params) + Number("signature" in params),
      payload: webSocketPayload(params),
      isEncoded: false
    }
    const asked = { id, endpoint, arrival, showsLimits }
    const fault = this.#service.strikeOf(method, values)
    if (fault === undefined) this.#service.arrives(() => this.#serve(asked))
    else this.#service.arrives(() => strike(this.#service, this.#struckBy(asked), fault))
  }

  closed(): void {
    this.#subscription?.end()
    this.#subscription = undefined
  }

  shutDown(now: number): void {
    const time = this.#wishes.inMicros ? now * 1_000 : now
    this.#link.send(JSON.stringify({ event: { e: "serverShutdown", E: time } }))
  }

  #serve(asked: Asked): void {
    if (this.#session !== undefined && this.#service.keyring.isRevoked) return this.#revokeSession()
    const result = this.#finish(asked, this.#prepare(asked))
    this.#service.settled(() => this.#tell(asked, result))
  }

  /** In the stead of an answer, and to nobody's request. */
  #revokeSession(): void {
    this.#session = undefined
    this.closed()
    this.#service.settled(() => this.#answer(undefined, null, unknownKey, false))
  }

  /** The session is that of the moment at which the request is looked at. */
  #prepare({ arrival, endpoint }: Asked): Run | Refusal {
    const own = { ...arrival, session: this.#session?.kind }
    if (!requestsOfConnection.has(endpoint.webSocket)) return this.#service.admit(endpoint, own, this.#address)
    const admitted = this.#service.admitConnected(endpoint, own, this.#address)
    return isRefusal(admitted) ? admitted : () => this.#ofConnection(endpoint.webSocket, arrival.values, admitted)
  }

  #finish({ arrival, endpoint }: Asked, run: Run | Refusal, twist?: Twist): unknown {
    const result = isRefusal(run) ? run : this.#service.perform(run, twist)
    this.#service.charge(endpoint, arrival.values, this.#address, isRefusal(result))
    return isRefusal(result) || !this.#wishes.inMicros ? result : answerInMicros(result, endpoint.webSocket)
  }

  #tell({ endpoint, id, showsLimits }: Asked, result: unknown): void {
    this.#answer(endpoint, id, result, showsLimits)
  }

  #struckBy(asked: Asked): Struck<unknown> {
    return {
      values: asked.arrival.values,
      prepare: () => this.#prepare(asked),
      finish: (run, twist) => this.#finish(asked, run, twist),
      refuse: (refusal) => refusal,
      textOf: (result) => this.#textOf(asked.endpoint, asked.id, result, asked.showsLimits),
      answer: (result) => this.#tell(asked, result),
      page: (page) => this.#page(asked, page),
      cut: () => this.#link.cut(),
      chargeLate: (refusal) => this.#service.chargeLate(asked.endpoint, refusal)
    }
  }

  /** There are no pages here: a refusal is told in the envelope, and whatever is broken goes out as it is. */
  #page(asked: Asked, page: Page): void {
    if (page.status !== 200) return this.#tell(asked, refusalOf(page, this.#service.now()))
    this.#link.send(page.text)
    if (page.isCut === true) this.#link.cut()
  }

  #ofConnection(method: string, values: ReadonlyMap<string, string>, { keyKind }: Admitted): unknown {
    switch (method) {
      case ofConnection.logon:
        if (keyKind !== "ED25519") return cannotLogOn(keyKind ?? "HMAC_SHA256")
        this.#session = { kind: keyKind, since: this.#service.now() }
        return this.#status()
      case ofConnection.logout:
        if (this.#subscription?.isOfSession === true) this.#terminate(this.#subscription)
        this.#session = undefined
        return this.#status()
      case ofConnection.status:
        return this.#status()
      case ofConnection.subscribe:
        return this.#session === undefined ? needsSession : this.#subscribe(true)
      case ofConnection.subscribeSignature:
        return this.#subscribe(false)
      case ofConnection.unsubscribe: {
        const wanted = values.get("subscriptionId")
        const subscription = this.#subscription
        if (subscription === undefined) return notSubscribed
        if (wanted !== undefined && String(subscription.id) !== wanted) return notSubscribed
        this.#terminate(subscription)
        return {}
      }
      default:
        return this.#subscription === undefined ? [] : [{ subscriptionId: this.#subscription.id }]
    }
  }

  #status() {
    return {
      apiKey: this.#session === undefined ? null : this.#service.keyring.apiKey,
      authorizedSince: this.#session?.since ?? null,
      connectedSince: this.#connectedSince,
      returnRateLimits: this.#wishes.showsLimits,
      serverTime: this.#service.now(),
      userDataStream: this.#subscription !== undefined
    }
  }

  #subscribe(isOfSession: boolean): unknown {
    if (this.#subscription !== undefined) return alreadySubscribed
    if (this.#nextSubscriptionId > greatestSubscriptionId) return subscriptionsUsedUp
    const id = this.#nextSubscriptionId++
    const end = this.#service.news.subscribeUser((event) => this.#sendEvent(id, event))
    this.#subscription = { id, isOfSession, end }
    return { subscriptionId: id }
  }

  #terminate({ id }: Subscription): void {
    this.closed()
    this.#sendEvent(id, JSON.stringify({ e: "eventStreamTerminated", E: this.#service.now() }))
  }

  #sendEvent(id: number, event: string): void {
    this.#link.send(`{"subscriptionId":${id},"event":${this.#wishes.inMicros ? eventInMicros(event) : event}}`)
  }

  #answer(endpoint: Endpoint | undefined, id: unknown, result: unknown, showsLimits: boolean): void {
    this.#link.send(this.#textOf(endpoint, id, result, showsLimits))
    // Whoever is banned is disconnected too.
    if (isRefusal(result) && result.status === 418) this.#link.end()
  }

  #textOf(endpoint: Endpoint | undefined, id: unknown, result: unknown, showsLimits: boolean): string {
    const limits = showsLimits ? { rateLimits: this.#rateLimits(endpoint) } : {}
    const rest = JSON.stringify(
      isRefusal(result)
        ? { status: result.status, error: this.#error(result), ...limits }
        : { status: 200, result, ...limits }
    )
    return `{"id":${id instanceof JsonNumber ? id.text : JSON.stringify(id)},${rest.slice(1)}`
  }

  #error({ code, data, message, retryAt }: Refusal) {
    const told = retryAt === undefined ? data : { serverTime: this.#service.now(), retryAfter: retryAt }
    if (told === undefined) return { code, msg: message }
    return { code, msg: message, data: this.#wishes.inMicros ? answerInMicros(told, "") : told }
  }

  /** Those that the request touches: an order has the account's too. */
  #rateLimits(endpoint: Endpoint | undefined) {
    const { limits } = this.#service
    const now = this.#service.now()
    const weight = limits.weightLimit(this.#address, now)
    return endpoint?.isOrder === true ? [...limits.orderLimits(now), weight] : [weight]
  }
}

/** What a page says, where it has to be told in the envelope. */
const refusalOf = ({ retryAfterSeconds, status, text, type }: Page, now: number): Refusal => {
  if (!type.startsWith("application/json")) return new Refusal(status, -1000, `${status}`)
  const { code, msg } = JSON.parse(text) as { readonly code: number; readonly msg: string }
  return new Refusal(
    status,
    code,
    msg,
    retryAfterSeconds === undefined ? {} : { retryAt: now + retryAfterSeconds * 1_000 }
  )
}

const optionalText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

const flagOf = (value: unknown): boolean | undefined => {
  if (value === true || value === "true") return true
  return value === false || value === "false" ? false : undefined
}
