/**
 * Our estimate of the exchange's clock, and how wrong it may be.
 *
 * Several samples of /time; the one with the shortest round trip wins, and half of that trip is the error, which
 * grows with age by what clocks drift at most. Older measurements are not mixed in: a clock may have been set by less
 * than their error. Time goes on with the monotonic clock, so a step of the host's clock moves nothing. Before the
 * first measurement nothing is conclusive: `pessimisticNow` is 1970. Measure again on -1021, and now and then.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import type { EpochMillis } from "../domain/Ids.ts"
import { decodeAnswer } from "./answers.ts"
import type { BinanceError } from "./BinanceError.ts"
import type { Endpoint } from "./Gateway.ts"
import { Gateway } from "./Gateway.ts"
import { RateLimits } from "./RateLimits.ts"
import { ServerTimeBody } from "./wire.ts"

const samples = 5
/** /time is in whole milliseconds, and so is our clock. */
const roundingMillis = 1
/** A host that is slewed into place by its time daemon drifts by up to 500 ppm; one left alone by a tenth of that. */
const driftPerMilli = 5e-4
/** What the error is said to be before anything was measured: a day. */
const unmeasuredMillis = 86_400_000

/**
 * How often to measure again: the error bound grows by 8 ms until then, and a clock that was set is noticed. Costs 20
 * of 6,000 weight a minute.
 */
export const resyncMillis = 15_000

export const timeEndpoint: Endpoint = { method: "GET", path: "/api/v3/time", kind: "query", weight: 1 }

/** An answer takes milliseconds; a request of the engine waits much longer, since its outcome counts. */
const answersMillis = 2_500

interface Measured {
  /** The exchange's clock at `at` on our monotonic clock. */
  readonly serverTime: number
  readonly at: number
  readonly error: number
}

export class ServerTime extends Context.Service<
  ServerTime,
  {
    readonly now: Effect.Effect<EpochMillis>
    /** Not later than the exchange's clock. */
    readonly pessimisticNow: Effect.Effect<EpochMillis>
    /** The exchange's clock less the host's, in ms. */
    readonly offset: Effect.Effect<number>
    /** Bound of the error of `now`, in ms. */
    readonly errorBound: Effect.Effect<number>
    /** Measures now; whoever comes while one is under way shares it. */
    readonly sync: Effect.Effect<void, BinanceError>
    /** Measures unless that was done. */
    readonly ensure: Effect.Effect<void, BinanceError>
    /** Whether the exchange answers a small question in time. Not asked, and true, while limits hold questions back. */
    readonly answers: Effect.Effect<boolean>
  }
>()("nexus/binance/ServerTime") {
  static readonly layer = Layer.effect(
    ServerTime,
    Effect.gen(function* () {
      const gateway = yield* Gateway
      const limits = yield* RateLimits
      const turn = Semaphore.makeUnsafe(1)
      let measured: Measured | null = null
      // Counts finished measurements: one that began after we asked is ours too.
      let finished = 0

      const sample = Effect.gen(function* () {
        const permit = yield* gateway.reserve(timeEndpoint)
        const sent = yield* monotonicMillis
        const answer = yield* gateway.send(permit)
        const received = yield* monotonicMillis
        const { serverTime } = yield* decodeAnswer(timeEndpoint, ServerTimeBody, answer)
        const half = (received - sent) / 2
        return { serverTime, at: sent + half, error: half + roundingMillis }
      })

      const measure = Effect.gen(function* () {
        let best = yield* sample
        for (let count = 1; count < samples; count++) {
          const next = yield* sample
          // Samples that cannot both be true: the clock was set between them, and the older one tells of the past.
          if (next.error < best.error || !agree(best, next)) best = next
        }
        measured = best
        finished += 1
        const { error, now } = yield* estimate
        yield* limits.align({ now, errorMillis: error, driftPerMilli })
      })

      const sync = Effect.suspend(() => {
        const before = finished
        return turn.withPermit(Effect.suspend(() => (finished > before ? Effect.void : measure)))
      })

      const estimate = Effect.gen(function* () {
        if (measured === null) return { now: yield* Clock.currentTimeMillis, error: unmeasuredMillis }
        const elapsed = (yield* monotonicMillis) - measured.at
        return { now: measured.serverTime + elapsed, error: measured.error + elapsed * driftPerMilli }
      })

      const offset = Effect.gen(function* () {
        return Math.round((yield* estimate).now - (yield* Clock.currentTimeMillis))
      })

      const answers = Effect.gen(function* () {
        if ((yield* limits.waitMillis(timeEndpoint.kind, timeEndpoint.weight)) > 0) return true
        return yield* Effect.flatMap(gateway.reserve(timeEndpoint), (permit) => gateway.send(permit)).pipe(
          Effect.as(true),
          Effect.catch(({ reason }) => Effect.succeed(reason._tag !== "NotSent" && reason._tag !== "OutcomeUnknown")),
          Effect.timeoutOrElse({ duration: answersMillis, orElse: () => Effect.succeed(false) })
        )
      })

      return ServerTime.of({
        now: Effect.map(estimate, ({ now }) => Math.floor(now)),
        pessimisticNow: Effect.map(estimate, ({ error, now }) => (measured === null ? 0 : Math.floor(now - error))),
        offset,
        errorBound: Effect.map(estimate, ({ error }) => Math.ceil(error)),
        sync,
        ensure: Effect.suspend(() => (measured === null ? sync : Effect.void)),
        answers
      })
    })
  )
}

const agree = (one: Measured, other: Measured): boolean =>
  Math.abs(one.serverTime - one.at - (other.serverTime - other.at)) <= one.error + other.error

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
