/**
 * A clock that runs with real time and that a test can set forward: sleepers whose time has come wake when it
 * moves. For tests with sockets or PostgreSQL in them, whose own time-outs a stopped clock would stop.
 */
import { Clock, Duration, Effect } from "effect"

interface Sleeper {
  readonly wakeAt: number
  readonly wake: () => void
}

export interface MovableClock extends Clock.Clock {
  /** Sets the clock forward; who sleeps until then wakes now. */
  readonly advance: (by: Duration.Input) => Effect.Effect<void>
}

const nanosPerMilli = 1_000_000n

export const makeMovableClock = (): MovableClock => {
  let offsetMillis = 0
  const sleepers = new Set<Sleeper>()
  const millis = () => Date.now() + offsetMillis
  const nanos = () => process.hrtime.bigint() + BigInt(offsetMillis) * nanosPerMilli
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: () => BigInt(millis()) * nanosPerMilli,
    currentTimeNanos: Effect.sync(() => BigInt(millis()) * nanosPerMilli),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) => {
      const length = Duration.toMillis(duration)
      if (length <= 0) return Effect.yieldNow
      if (!Number.isFinite(length)) return Effect.never
      return Effect.callback<void>((resume) => {
        const sleeper: Sleeper = {
          wakeAt: millis() + length,
          wake: () => {
            clearTimeout(timer)
            sleepers.delete(sleeper)
            resume(Effect.void)
          }
        }
        const timer = setTimeout(() => sleeper.wake(), Math.min(length, 2_147_483_647))
        sleepers.add(sleeper)
        return Effect.sync(() => {
          clearTimeout(timer)
          sleepers.delete(sleeper)
        })
      })
    },
    advance: (by) =>
      Effect.sync(() => {
        offsetMillis += Duration.toMillis(Duration.fromInputUnsafe(by))
        for (const sleeper of Array.from(sleepers)) if (sleeper.wakeAt <= millis()) sleeper.wake()
      })
  }
}
