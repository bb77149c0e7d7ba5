/**
 * Stops asking an exchange that does not answer, by the class of each result.
 *
 * Closed: all goes through. Open after `failures.count` failures within `failures.withinMillis`, or when more than half
 * of the last `recent` results failed: new orders and queries are turned away before anything is sent. Half-open
 * when the pause is over: one query goes through, never an order, and its result closes or opens again.
 * Cancels always go through. A refusal or a limit is an answer, hence no failure.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { Kind } from "./RateLimits.ts"

const failures = { count: 5, withinMillis: 10_000 } as const
const recent = 20
const firstPauseMillis = 1_000
const longestPauseMillis = 8_000
/** A probe that has not come back after this long is taken for lost: longer than any request lasts. */
const probeMillis = 20_000

export type BreakerState = "closed" | "open" | "half-open"

/** `probe`: the caller may go once a query has succeeded. */
export type Admission = "pass" | "refuse" | "probe"

export class Breaker extends Context.Service<
  Breaker,
  {
    readonly state: Effect.Effect<BreakerState>
    readonly admit: (kind: Kind) => Effect.Effect<Admission>
    readonly record: (result: "answered" | "failed") => Effect.Effect<void>
  }
>()("nexus/binance/Breaker") {
  static readonly layer = Layer.effect(
    Breaker,
    Effect.sync(() => {
      let failedAt: Array<number> = []
      let results: Array<boolean> = []
      // 0: closed.
      let openUntil = 0
      let pauseMillis = firstPauseMillis
      let probingUntil = 0

      const open = (now: number) => {
        openUntil = now + pauseMillis
        pauseMillis = Math.min(pauseMillis * 2, longestPauseMillis)
        probingUntil = 0
        failedAt = []
        results = []
      }

      const close = () => {
        openUntil = 0
        probingUntil = 0
        pauseMillis = firstPauseMillis
      }

      const admitAt = (kind: Kind, now: number): Admission => {
        if (openUntil === 0 || kind === "cancel") return "pass"
        if (now < openUntil || now < probingUntil) return "refuse"
        if (kind !== "query") return "probe"
        probingUntil = now + probeMillis
        return "pass"
      }

      const recordAt = (hasFailed: boolean, now: number) => {
        if (openUntil !== 0) {
          // Late news of requests from before the pause says nothing new.
          if (!hasFailed) close()
          else if (now >= openUntil) open(now)
          return
        }
        results = [...results.slice(1 - recent), hasFailed]
        if (!hasFailed) return
        failedAt = [...failedAt.filter((at) => at > now - failures.withinMillis), now]
        const tooMany = failedAt.length >= failures.count
        const mostly = results.length === recent && results.filter(Boolean).length * 2 > recent
        if (tooMany || mostly) open(now)
      }

      return Breaker.of({
        state: Effect.map(Clock.currentTimeMillis, (now) =>
          openUntil === 0 ? "closed" : now < openUntil ? "open" : "half-open"
        ),
        admit: (kind) => Effect.map(Clock.currentTimeMillis, (now) => admitAt(kind, now)),
        record: (result) => Effect.map(Clock.currentTimeMillis, (now) => recordAt(result === "failed", now))
      })
    })
  )
}
