/**
 * One replica of the proof of limits: the client, its budget and the store joined as the program joins them, under
 * demand that its parent sets. Tells its parent each answer that matters; ends when the parent does.
 */
import { Clock, Effect, Layer, Option, References } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import type { Kind } from "../../src/binance/RateLimits.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { AppConfig } from "../../src/config.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { exchange, ExchangeAddress, storage } from "../../src/main.ts"

/** Requests per second of each kind. */
export interface Demand {
  readonly submit: number
  readonly query: number
  readonly refresh: number
}

export type Order = { readonly _tag: "Demand"; readonly demand: Demand } | { readonly _tag: "AskOnce" }

export type Told =
  | { readonly _tag: "Ready" }
  /** A request came back: how long it took, its permit included, and when it came on the exchange's clock. */
  | {
      readonly _tag: "Answered"
      readonly kind: Kind
      readonly tookMillis: number
      readonly at: number
      readonly outcome: "taken" | "refused" | "limited" | "banned" | "unknown" | "not sent"
      readonly detail: string
    }
  /** Nobody could wait that long. */
  | { readonly _tag: "Abandoned"; readonly kind: Kind }
  /** How long the exchange wants to hear nothing of us, as this replica knows; told when it changes to or from none. */
  | { readonly _tag: "Stopped"; readonly millis: number; readonly at: number }

const tell = (told: Told): void => void process.send?.(told)

/** As the engine's callers do, each kind leaves after a while. */
const patienceMillis: Readonly<Record<Kind, number>> = { cancel: 10_000, query: 10_000, submit: 5_000, refresh: 3_000 }
/** Waiting and under way at a time, of each kind. */
const mostAtOnce = 400

const symbol = "BNBUSDT"
const stepMillis = 50
const name = process.argv[2] ?? "replica"

const outcomeOf = ({ reason }: BinanceError) =>
  reason._tag === "RateLimited"
    ? reason.banned === true
      ? "banned"
      : "limited"
    : reason._tag === "NotSent"
      ? "not sent"
      : reason._tag === "OutcomeUnknown"
        ? "unknown"
        : "refused"

const program = Effect.gen(function* () {
  const client = yield* BinanceClient
  const limits = yield* RateLimits
  const time = yield* ServerTime
  let demand: Demand = { submit: 0, query: 0, refresh: 0 }
  let serial = 0
  const underWay: Record<Kind, number> = { cancel: 0, query: 0, submit: 0, refresh: 0 }
  let price = Decimal.decimal("1")

  yield* time.ensure
  const info = (yield* client.exchangeInfo).find((one) => one.symbol === symbol)
  const { bid } = yield* client.bookTicker(symbol)
  // Rests far below the market, above the smallest notional, in the symbol's steps.
  price = Decimal.decimal((Math.floor(Number(Decimal.format(bid)) * 5) / 10).toFixed(1))
  const quantity = Decimal.decimal((Math.ceil((12 / Number(Decimal.format(price))) * 100) / 100).toFixed(2))
  if (info === undefined) return yield* Effect.die(new Error(`the exchange has no ${symbol}`))

  /** Runs a request of one kind. Only the wait for its permit is given up: whoever leaves later leaves an order behind. */
  const measured = <A>(kind: Kind, request: Effect.Effect<Option.Option<A>, BinanceError>) =>
    Effect.gen(function* () {
      if (underWay[kind] >= mostAtOnce) return null
      underWay[kind] += 1
      const begun = yield* Clock.currentTimeMillis
      const exit = yield* Effect.result(request)
      underWay[kind] -= 1
      const ended = yield* Clock.currentTimeMillis
      const answered = { _tag: "Answered" as const, kind, tookMillis: ended - begun, at: yield* time.now }
      if (exit._tag === "Failure") {
        tell({ ...answered, outcome: outcomeOf(exit.failure), detail: exit.failure.message })
        return null
      }
      if (exit.success._tag === "None") {
        tell({ _tag: "Abandoned", kind })
        return null
      }
      tell({ ...answered, outcome: "taken", detail: "" })
      return exit.success.value
    })

  const patient = <A>(kind: Kind, request: Effect.Effect<A, BinanceError>) =>
    Effect.timeoutOption(request, patienceMillis[kind])

  const query = Effect.suspend(() =>
    measured(
      "query",
      patient(
        "query",
        // That there is no such order is an answer like any other.
        Effect.catchIf(
          Effect.asVoid(client.queryOrder({ symbol, clientOrderId: "no-such-order" })),
          ({ reason }) => reason._tag === "OrderUnknown",
          () => Effect.void
        )
      )
    )
  )

  const submit = Effect.gen(function* () {
    const clientOrderId = `${name}-${process.pid}-${serial++}`
    const placed = yield* measured(
      "submit",
      Effect.gen(function* () {
        const permit = yield* Effect.timeoutOption(client.readyToSubmit, patienceMillis.submit)
        if (Option.isNone(permit)) return Option.none()
        const placed = yield* client.placeOrder(
          {
            clientOrderId,
            request: {
              symbol,
              side: "BUY",
              type: "LIMIT",
              timeInForce: "GTC",
              quantity,
              quoteQuantity: null,
              price,
              validUntil: null
            },
            timestamp: yield* time.now,
            recvWindowMillis: 5_000
          },
          permit.value
        )
        return Option.some(placed)
      })
    )
    if (placed !== null) yield* measured("cancel", patient("cancel", client.cancelOrder({ symbol, clientOrderId })))
  })

  const refresh = Effect.suspend(() => measured("refresh", patient("refresh", client.bookTicker(symbol))))

  const at = (rate: () => number, request: Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      for (let owed = 0; ; owed += (rate() * stepMillis) / 1_000) {
        for (; owed >= 1; owed--) yield* Effect.forkScoped(request)
        yield* Effect.sleep(stepMillis)
      }
    })

  const watch = Effect.gen(function* () {
    for (let was = false; ;) {
      const { stoppedMillis } = yield* limits.forecast
      if (stoppedMillis > 0 !== was) tell({ _tag: "Stopped", millis: stoppedMillis, at: Date.now() })
      was = stoppedMillis > 0
      yield* Effect.sleep(10)
    }
  })

  const track = Effect.gen(function* () {
    for (;;) {
      yield* Effect.sleep(15_000)
      yield* Effect.catch(time.sync, () => Effect.void)
    }
  })

  let once = 0
  process.on("message", (order: Order) => {
    if (order._tag === "Demand") demand = order.demand
    else once += 1
  })
  const asked = Effect.gen(function* () {
    for (;;) {
      if (once > 0) {
        once -= 1
        yield* query
      }
      yield* Effect.sleep(10)
    }
  })

  tell({ _tag: "Ready" })
  yield* Effect.all(
    [
      at(() => demand.submit, submit),
      at(() => demand.query, query),
      at(() => demand.refresh, refresh),
      watch,
      track,
      asked
    ],
    { concurrency: "unbounded", discard: true }
  )
})

process.on("disconnect", () => process.exit(0))

Effect.runPromise(
  Effect.scoped(program).pipe(
    Effect.provide(
      exchange.pipe(
        Layer.provide(ExchangeAddress.layer),
        Layer.provide(storage),
        Layer.provide(SecureRandom.layerWebCrypto),
        Layer.provide(Layer.effect(AppConfig, AppConfig.fromProcess({ readDotEnv: false }))),
        Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
      )
    )
  )
).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
