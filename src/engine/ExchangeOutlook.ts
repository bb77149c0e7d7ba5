/**
 * How the exchange stands to us, as an operator asks: when the next request of each kind may go, what is used of its
 * limits, whether it wants to hear nothing of us, and how well its clock is known. Asks nobody; for /ready and /metrics.
 */
import { Context, Effect, Layer } from "effect"
import type { BreakerState } from "../binance/Breaker.ts"
import { Breaker } from "../binance/Breaker.ts"
import type { Forecast } from "../binance/RateLimits.ts"
import { RateLimits } from "../binance/RateLimits.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { metricNames } from "../telemetry.ts"

export interface Outlook {
  /** Until the next new order could be sent; it may wait for others before it. */
  readonly nextSubmitMillis: number
  readonly nextCancelMillis: number
  readonly nextQueryMillis: number
  /** The exchange wants to hear nothing of us for so long; 0: it does not mind. */
  readonly stoppedMillis: number
  readonly circuit: BreakerState
  readonly clockOffsetMillis: number
  readonly clockErrorMillis: number
}

/** A gauge in the form of the engine's families, one sample per label. */
interface Gauge {
  readonly name: string
  readonly help: string
  readonly type: "gauge"
  readonly samples: ReadonlyArray<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>
}

/** Shares are exchanged several times a second: this long without one, and the store is away. */
const staleShareMillis = 3_000

export class ExchangeOutlook extends Context.Service<
  ExchangeOutlook,
  {
    readonly current: Effect.Effect<Outlook>
    /** What a person should know of it, if anything. */
    readonly detail: Effect.Effect<string | null>
    readonly gauges: Effect.Effect<ReadonlyArray<Gauge>>
  }
>()("nexus/engine/ExchangeOutlook") {
  static readonly layer = Layer.effect(
    ExchangeOutlook,
    Effect.gen(function* () {
      const breaker = yield* Breaker
      const limits = yield* RateLimits
      const serverTime = yield* ServerTime

      const current = Effect.gen(function* () {
        const { stoppedMillis, waitMillis } = yield* limits.forecast
        return {
          nextSubmitMillis: Math.ceil(waitMillis.submit),
          nextCancelMillis: Math.ceil(waitMillis.cancel),
          nextQueryMillis: Math.ceil(waitMillis.query),
          stoppedMillis: Math.ceil(stoppedMillis),
          circuit: yield* breaker.state,
          clockOffsetMillis: yield* serverTime.offset,
          clockErrorMillis: yield* serverTime.errorBound
        }
      })

      const gauges = Effect.gen(function* () {
        const forecast = yield* limits.forecast
        return [
          ...gaugesOf(forecast),
          {
            name: metricNames.circuitOpen,
            help: "1 while the circuit to the exchange is not closed.",
            type: "gauge" as const,
            samples: [{ labels: {}, value: (yield* breaker.state) === "closed" ? 0 : 1 }]
          }
        ]
      })

      return ExchangeOutlook.of({ current, detail: Effect.map(limits.forecast, detailOf), gauges })
    })
  )
}

const detailOf = ({ ordersStoppedMillis, shareAgeMillis, stoppedMillis }: Forecast): string | null => {
  if (stoppedMillis > 0) return `it wants no requests for ${seconds(stoppedMillis)}: all traffic to it waits`
  if (ordersStoppedMillis > 0) return `it wants no new orders for ${seconds(ordersStoppedMillis)}: cancels go on`
  return shareAgeMillis !== null && shareAgeMillis > staleShareMillis
    ? "no share of its request budget could be had from the store lately: requests wait"
    : null
}

const seconds = (millis: number): string => `${Math.ceil(millis / 1_000)} s`

const gaugesOf = (forecast: Forecast): ReadonlyArray<Gauge> => {
  const { limits, ordersStoppedMillis, shareAgeMillis, stoppedMillis, waitMillis } = forecast
  const gauge = (name: string, help: string, samples: Gauge["samples"]): Gauge => ({
    name,
    help,
    type: "gauge",
    samples
  })
  return [
    gauge(
      metricNames.exchangeWait,
      "How long the next request of a kind would wait for the exchange's limits.",
      Object.entries(waitMillis).map(([kind, millis]) => ({ labels: { kind }, value: millis / 1_000 }))
    ),
    gauge(metricNames.exchangeStopped, "How long the exchange wants to hear nothing of us, or place no orders.", [
      { labels: { scope: "all" }, value: stoppedMillis / 1_000 },
      { labels: { scope: "orders" }, value: ordersStoppedMillis / 1_000 }
    ]),
    gauge(
      metricNames.exchangeLimit,
      "What the exchange allows in a window.",
      limits.map(({ limit, name }) => ({ labels: { limit: name }, value: limit }))
    ),
    gauge(
      metricNames.exchangeUsed,
      "What of it is used, in flight, or held by other replicas.",
      limits.map(({ name, taken }) => ({ labels: { limit: name }, value: taken }))
    ),
    gauge(
      metricNames.exchangeShareAge,
      "Since this replica had its share of the budget renewed.",
      shareAgeMillis === null ? [] : [{ labels: {}, value: shareAgeMillis / 1_000 }]
    )
  ]
}
