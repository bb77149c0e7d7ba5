/**
 * Keeps a loop of the store alive: a defect is told under the loop's name, and the loop begins again after a pause
 * that grows. Ends only by interruption. What the loop was at stays with the loop: it must be able to go on with it.
 */
import { Cause, Clock, Effect, Random } from "effect"

const firstPauseMillis = 50
// A bug that comes back at once costs a log line in this time.
const longestPauseMillis = 5_000
/** A loop that ran this long was well: the next defect starts with the short pause again. */
const wellAfterMillis = 60_000

export const keepRunning = <R>(name: string, loop: Effect.Effect<never, never, R>): Effect.Effect<never, never, R> =>
  Effect.gen(function* () {
    for (let pause = firstPauseMillis; ; pause = Math.min(pause * 2, longestPauseMillis)) {
      const begun = yield* Clock.currentTimeMillis
      yield* Effect.catchCause(loop, (cause) =>
        Cause.hasDies(cause)
          ? Effect.logError("a loop of the store failed with a defect and begins again", cause)
          : Effect.failCause(cause)
      )
      if ((yield* Clock.currentTimeMillis) - begun > wellAfterMillis) pause = firstPauseMillis
      yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1)))
    }
  }).pipe(Effect.annotateLogs({ loop: name }))
