/**
 * Stops asking an exchange that does not answer, by the class of each result.
 *
 * Closed: all goes through. Open after `failures.count` failures within `failures.withinMillis`, or when more than half
 * of the last `recent` results failed: new orders and queries are turned away before anything is sent. A ban opens at
 * once, until its end. Half-open when the pause is over: one query goes through, never an order, and its result closes
 * or opens again. Cancels always go through: they are kept until delivered, and a ban holds them at the rate limits.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { Reason } from "./BinanceError.ts"
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

export type CircuitResult =
  /** The exchange spoke: a success, a refusal of the order, of the clock or of the keys, or a limit to wait out. */
  | { readonly _tag: "Answered" }
  /** It did not, or said that it does not know. */
  | { readonly _tag: "Failed" }
  /** It wants to hear nothing for so long. */
  | { readonly _tag: "Banned"; readonly millis: number }

/** What a result means for the circuit; null: a success. A limit pauses requests at the rate limits and is no failure. */
export const circuitResult = (reason: Reason | null): CircuitResult => {
  switch (reason?._tag) {
    case "NotSent":
    case "OutcomeUnknown":
      return { _tag: "Failed" }
    case "RateLimited":
      return reason.banned === true ? { _tag: "Banned", millis: reason.retryAfterMillis } : { _tag: "Answered" }
    default:
      return { _tag: "Answered" }
  }
}

export class Breaker extends Context.Service<
  Breaker,
  {
    readonly state: Effect.Effect<BreakerState>
    readonly admit: (kind: Kind) => Effect.Effect<Admission>
    /** Of a request that was made or tried; null: a success. */
    readonly record: (reason: Reason | null) => Effect.Effect<void>
    /** Of a request that was given up before anything came of it: if it was the probe, the next one may probe. */
    readonly leave: (kind: Kind) => Effect.Effect<void>
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
      let bannedUntil = 0

      const openFor = (millis: number, now: number) => {
        openUntil = Math.max(openUntil, now + millis)
        probingUntil = 0
        failedAt = []
        results = []
      }

      const open = (now: number) => {
        openFor(pauseMillis, now)
        pauseMillis = Math.min(pauseMillis * 2, longestPauseMillis)
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

      const recordAt = (result: CircuitResult, now: number) => {
        if (result._tag === "Banned") {
          bannedUntil = Math.max(bannedUntil, now + result.millis)
          return openFor(result.millis, now)
        }
        const hasFailed = result._tag === "Failed"
        if (openUntil !== 0) {
          // An answer that was under way when the ban came does not end it. Late failures say nothing new.
          if (!hasFailed && now >= bannedUntil) close()
          else if (hasFailed && now >= openUntil) open(now)
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
        state: Effect.map(moment, (now) => (openUntil === 0 ? "closed" : now < openUntil ? "open" : "half-open")),
        admit: (kind) => Effect.map(moment, (now) => admitAt(kind, now)),
        leave: (kind) =>
          Effect.sync(() => {
            if (kind === "query") probingUntil = 0
          }),
        record: (reason) => Effect.map(moment, (now) => recordAt(circuitResult(reason), now))
      })
    })
  )
}

// A pause does not end earlier or later when the host's clock is set.
const moment = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
