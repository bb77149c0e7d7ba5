/**
 * Requests to the exchange as all of its clients make them: public ones, signed ones, and those that place orders.
 *
 * A signed request is stamped with the exchange's clock and signed as late as possible. One that places orders is
 * sent exactly as it is given, on a permit that was had before, so that what was written down is what is sent. Each
 * is sent once; nothing here retries. Remembers whether our keys are taken, see Credentials.ts.
 */
import { Context, Effect, Fiber, Layer, Scope, Semaphore } from "effect"
import { decodeAnswer } from "./answers.ts"
import type { BinanceError } from "./BinanceError.ts"
import { NotSent } from "./BinanceError.ts"
import { isClockRefusal } from "./classify.ts"
import type { Answer } from "./classify.ts"
import { makeCredentials } from "./Credentials.ts"
import { endpoints } from "./endpoints.ts"
import type { Endpoint, Permit } from "./Gateway.ts"
import { errorOf, Gateway } from "./Gateway.ts"
import { RateLimits } from "./RateLimits.ts"
import { ServerTime } from "./ServerTime.ts"
import type { Keys, Parameters, Value } from "./sign.ts"
import { ExchangeInfo } from "./wire.ts"

/** Every exchange of this kind lists it; asking for one symbol keeps the answer small. */
const someSymbol = "BTCUSDT"

export interface RequestsOptions {
  readonly keys: Keys
  /** Of queries and cancels; an order carries the journalled one. */
  readonly recvWindowMillis: number
}

export class Requests extends Context.Service<
  Requests,
  {
    /** Without a key. */
    readonly open: (endpoint: Endpoint, parameters: Parameters) => Effect.Effect<Answer, BinanceError>
    readonly signed: (endpoint: Endpoint, parameters: Parameters) => Effect.Effect<Answer, BinanceError>
    /** Keys, circuit, rate budget and connection for one request that places orders. Then `submit` or `giveBack`, once. */
    readonly readyToSubmit: (endpoint: Endpoint) => Effect.Effect<Permit, BinanceError>
    readonly giveBack: (permit: Permit) => Effect.Effect<void>
    /** Sends exactly these parameters, timestamp and window among them, once. */
    readonly submit: (permit: Permit, parameters: Parameters) => Effect.Effect<Answer, BinanceError>
    /** Null: nothing is known against our keys; else what the exchange said. */
    readonly refusal: Effect.Effect<string | null>
  }
>()("nexus/binance/Requests") {
  static readonly layer = (options: RequestsOptions) =>
    Layer.effect(
      Requests,
      Effect.gen(function* () {
        const gateway = yield* Gateway
        const limits = yield* RateLimits
        const serverTime = yield* ServerTime
        const scope = yield* Scope.Scope
        const learning = Semaphore.makeUnsafe(1)
        const credentials = makeCredentials()
        // Whose answer tells whether our keys are taken again.
        const probes = new WeakSet<Permit>()

        const open = Effect.fnUntraced(function* (endpoint: Endpoint, parameters: Parameters) {
          return yield* gateway.send(yield* gateway.reserve(endpoint), parameters)
        })

        // The refusal is what the caller is told, whatever comes of this; and it goes on when the caller leaves.
        const measureAgain = serverTime.sync.pipe(
          Effect.catch((error) => Effect.logWarning("the exchange's clock could not be measured", error.message)),
          Effect.forkIn(scope)
        )

        const sendSigned = (permit: Permit, parameters: Parameters) =>
          gateway.send(permit, parameters, options.keys).pipe(
            Effect.tap(() => credentials.observe(permit.endpoint.kind, null)),
            Effect.tapError(({ reason }) => credentials.observe(permit.endpoint.kind, reason))
          )

        // Stamped and signed as late as possible, when nothing is waited for any more.
        const signed = Effect.fnUntraced(function* (endpoint: Endpoint, parameters: Parameters) {
          yield* serverTime.ensure
          const permit = yield* gateway.reserve(endpoint)
          const stamped: Parameters = [
            ...parameters,
            ["recvWindow", options.recvWindowMillis],
            ["timestamp", yield* serverTime.now]
          ]
          return yield* sendSigned(permit, stamped).pipe(
            // Waited for, so that the caller's next try has the right time.
            Effect.tapError(({ reason }) =>
              isClockRefusal(reason) ? Effect.flatMap(measureAgain, Fiber.await) : Effect.void
            )
          )
        })

        // The budget for orders is not guessed; one asks, the others wait for it.
        let hasAsked = false
        const learnLimits = learning.withPermit(
          Effect.gen(function* () {
            if (hasAsked || (yield* limits.isLearnt)) return
            // An exchange without that symbol says no, and the documented limits stay.
            yield* open(endpoints.exchangeInfo, [["symbol", someSymbol]]).pipe(
              Effect.flatMap((answer) => decodeAnswer(endpoints.exchangeInfo, ExchangeInfo, answer)),
              Effect.flatMap(({ rateLimits }) => limits.learn(rateLimits)),
              Effect.catchIf(
                ({ reason }) => reason._tag === "Refused",
                () => Effect.void
              )
            )
            hasAsked = true
          })
        )

        const reserve = (endpoint: Endpoint) =>
          Effect.gen(function* () {
            if (!hasAsked) yield* learnLimits
            return yield* gateway.reserve(endpoint)
          }).pipe(Effect.mapError(withoutOrder(endpoint)))

        const readyToSubmit = Effect.fnUntraced(function* (endpoint: Endpoint) {
          const admission = yield* credentials.admit
          if (admission === "refuse") return yield* keysRefused(endpoint, credentials.refusal())
          if (admission === "probe") {
            const probe = yield* Effect.onError(reserve(endpoint), () => Effect.sync(credentials.leave))
            probes.add(probe)
            return probe
          }
          const permit = yield* reserve(endpoint)
          // Refused while this one waited: many may have. Its turn may have come within that very answer, which is then
          // looked at to its end first.
          yield* Effect.yieldNow
          const refusal = credentials.refusal()
          if (refusal === null) return permit
          yield* gateway.giveBack(permit)
          return yield* keysRefused(endpoint, refusal)
        })

        const giveBack = (permit: Permit) =>
          Effect.andThen(
            Effect.sync(() => {
              if (probes.delete(permit)) credentials.leave()
            }),
            gateway.giveBack(permit)
          )

        const submit = (permit: Permit, parameters: Parameters) =>
          sendSigned(permit, parameters).pipe(
            // Not waited for: the outcome is written down first.
            Effect.tapError(({ reason }) => (isClockRefusal(reason) ? measureAgain : Effect.void))
          )

        return Requests.of({
          open,
          signed,
          readyToSubmit,
          giveBack,
          submit,
          refusal: Effect.sync(credentials.refusal)
        })
      })
    )
}

/** A parameter that is sent only when it is given. */
export const given = (name: string, value: Value | undefined): Parameters =>
  value === undefined ? [] : [[name, value]]

/** An id of the exchange, which its WebSocket API wants as a number. */
export const givenId = (name: string, id: string | undefined): Parameters =>
  given(name, id !== undefined && /^\d{1,20}$/.test(id) ? BigInt(id) : id)

// Whatever became of the questions before an order: the order itself was not sent.
const withoutOrder =
  (endpoint: Endpoint) =>
  ({ reason }: BinanceError): BinanceError =>
    errorOf(
      endpoint,
      reason._tag === "RateLimited" || reason._tag === "NotSent" ? reason : new NotSent({ cause: reason })
    )

const keysRefused = (endpoint: Endpoint, refusal: string | null): BinanceError =>
  errorOf(endpoint, new NotSent({ cause: new Error(`the exchange refuses our keys: ${refusal ?? ""}`) }))
