/**
 * The one way to the exchange: circuit, rate budget and connection first, then one send.
 *
 * Split in two so that whoever must write an attempt down can hold all three before, and then send without
 * waiting for anything. A permit that is not sent is given back. What the answer means is classify.ts's. Which way a
 * request takes, REST or the WebSocket API, is decided here and known to nobody above.
 */
import { Context, Effect, Exit, Layer, Result } from "effect"
import type { Reason } from "./BinanceError.ts"
import { BinanceError, NotSent } from "./BinanceError.ts"
import { Breaker } from "./Breaker.ts"
import type { Answer } from "./classify.ts"
import { classify, isInParts, limitOf } from "./classify.ts"
import type { Allowance, Kind } from "./RateLimits.ts"
import { RateLimits } from "./RateLimits.ts"
import { OrderSocket } from "./OrderSocket.ts"
import type { Keys, Parameters } from "./sign.ts"
import type { Line } from "./Transport.ts"
import { Transport } from "./Transport.ts"

export interface Endpoint {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  readonly path: string
  /** Its name on the WebSocket API, where it may go that way. */
  readonly webSocket?: string
  readonly kind: Kind
  readonly weight: number
  /** Its answer is a list, which may be long. */
  readonly isList?: true
}

/** The right to send one request, now. Ends with `send` or `giveBack`; what comes after that does nothing. */
export interface Permit {
  readonly endpoint: Endpoint
  readonly allowance: Allowance
  readonly line: Line
  readonly reservedAt: number
}

/**
 * A permit that was neither sent nor given back for so long is lost, as when its holder was interrupted in the
 * moment of getting it. Longer than an append to the log waits, shorter than what lost connections would cost.
 */
const permitMillis = 60_000

export const pingEndpoint: Endpoint = { method: "GET", path: "/api/v3/ping", kind: "query", weight: 1 }

export class Gateway extends Context.Service<
  Gateway,
  {
    /** Waits for budget and connection, without end unless interrupted; fails at once while the circuit is open. */
    readonly reserve: (endpoint: Endpoint) => Effect.Effect<Permit, BinanceError>
    /** Sends once, signed if there are keys; succeeds with a 2XX answer. */
    readonly send: (permit: Permit, parameters?: Parameters, keys?: Keys | null) => Effect.Effect<Answer, BinanceError>
    readonly giveBack: (permit: Permit) => Effect.Effect<void>
  }
>()("nexus/binance/Gateway") {
  /** All of it over REST. */
  static readonly layer = Layer.effect(
    Gateway,
    Effect.suspend(() => make(null))
  )

  /** What the WebSocket API has a name for goes over its one connection. */
  static readonly layerOverWebSocket = Layer.effect(
    Gateway,
    Effect.flatMap(OrderSocket, (socket) => make(socket))
  )
}

const make = (socket: OrderSocket["Service"] | null) =>
  Effect.gen(function* () {
    const breaker = yield* Breaker
    const limits = yield* RateLimits
    const transport = yield* Transport
    // Held by somebody, the oldest first. Owned here.
    const held = new Set<Permit>()

    const open = Effect.fnUntraced(function* (endpoint: Endpoint) {
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          // Only the waits within can be interrupted: what was granted is never lost on its way to here.
          const allowance = yield* Effect.onInterrupt(limits.acquire(endpoint.kind, endpoint.weight, restore), () =>
            breaker.leave(endpoint.kind)
          )
          const way = socket !== null && endpoint.webSocket !== undefined ? socket : transport
          const line = yield* way.reserve(restore).pipe(
            Effect.onError(() => limits.giveBack(allowance)),
            Effect.onInterrupt(() => breaker.leave(endpoint.kind)),
            Effect.tapError((reason) => breaker.record(reason)),
            Effect.mapError((reason) => errorOf(endpoint, reason))
          )
          const permit = { endpoint, allowance, line, reservedAt: performance.now() }
          held.add(permit)
          return permit
        })
      )
    })

    const takeBackLost = Effect.suspend(() => {
      const [oldest] = held
      return oldest === undefined || performance.now() - oldest.reservedAt < permitMillis
        ? Effect.void
        : giveBack(oldest)
    })

    const reserve = Effect.fnUntraced(function* (endpoint: Endpoint) {
      yield* takeBackLost
      const admission = yield* breaker.admit(endpoint.kind)
      if (admission === "refuse") return yield* paused(endpoint)
      if (admission === "probe") {
        if ((yield* breaker.admit(pingEndpoint.kind)) !== "pass") return yield* paused(endpoint)
        yield* send(yield* open(pingEndpoint))
      }
      return yield* open(endpoint)
    })

    const send = (permit: Permit, parameters: Parameters = [], keys: Keys | null = null) => {
      const { allowance, endpoint, line } = permit
      return Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          if (!held.delete(permit)) {
            return yield* errorOf(endpoint, new NotSent({ cause: new Error("the permit has ended") }))
          }
          // Granted before the exchange said to stop, here or to another replica: it would hear one more and ban for longer.
          if ((yield* limits.stoppedMillis(endpoint.kind)) > 0) {
            yield* line.release
            yield* limits.giveBack(allowance)
            yield* breaker.leave(endpoint.kind)
            return yield* errorOf(endpoint, new NotSent({ cause: new Error("the exchange wants no requests now") }))
          }
          const exit = yield* Effect.exit(restore(Effect.result(line.send({ endpoint, parameters, keys }))))
          yield* line.release
          if (Exit.isFailure(exit)) {
            yield* limits.observe(allowance, null)
            yield* breaker.leave(endpoint.kind)
            return yield* Effect.failCause(exit.cause)
          }
          if (Result.isFailure(exit.value)) {
            const reason = exit.value.failure
            yield* reason._tag === "NotSent" ? limits.giveBack(allowance) : limits.observe(allowance, null)
            yield* breaker.record(reason)
            return yield* errorOf(endpoint, reason)
          }
          const answer = exit.value.success
          yield* limits.observe(allowance, answer)
          if (answer.status >= 200 && answer.status < 300) {
            yield* breaker.record(null)
            return answer
          }
          const reason = classify(answer)
          const limit = limitOf(answer, reason)
          if (limit !== null) yield* limits.obey(limit)
          yield* breaker.record(isInParts(reason) ? null : reason)
          return yield* errorOf(endpoint, reason)
        })
      )
    }

    const giveBack = (permit: Permit): Effect.Effect<void> =>
      Effect.suspend(() =>
        held.delete(permit) ? Effect.andThen(limits.giveBack(permit.allowance), permit.line.release) : Effect.void
      ).pipe(Effect.uninterruptible)

    return Gateway.of({ reserve, send, giveBack })
  })

const paused = (endpoint: Endpoint): BinanceError =>
  errorOf(endpoint, new NotSent({ cause: new Error("the exchange does not answer; asked again in a moment") }))

export const errorOf = ({ method, path }: Pick<Endpoint, "method" | "path">, reason: Reason): BinanceError =>
  new BinanceError({ endpoint: `${method} ${path}`, reason })
