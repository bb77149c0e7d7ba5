/**
 * Gives one record to its handler and always comes back, so that one bad record stops no lane.
 *
 * A defect is a bug, but some bugs pass (a race, a full disk), hence a few tries. What still fails
 * goes to `onPoison`, which parks it. Interruption is no defect and goes through.
 */
import { Cause, Duration, Effect, Exit } from "effect"
import type { Delivered, SubscribeOptions } from "./EventBus.ts"

/** Tries after the first. More would hold the lane up for a bug that stays. */
export const poisonRetries = 3

/** 50, 100, 200 ms: a lane waits less than half a second for a poisonous record. */
const firstPause = Duration.millis(50)

export const deliver = (
  options: Pick<SubscribeOptions, "topic" | "handle" | "onPoison">
): ((record: Delivered) => Effect.Effect<void>) =>
  Effect.fnUntraced(function* (record: Delivered) {
    const cause = yield* tryRepeatedly(Effect.suspend(() => options.handle(record)))
    if (cause === null) return
    const unparked = yield* tryRepeatedly(Effect.suspend(() => options.onPoison(record, cause)))
    if (unparked === null) return
    // Not even parking worked. The log still holds the order and the due-scan brings it back,
    // so the lane goes on and this line is what is left for people.
    yield* Effect.logError("a record could neither be handled nor parked", unparked).pipe(
      Effect.annotateLogs({ topic: options.topic, lane: record.lane, offset: record.offset, key: record.key })
    )
  })

/** Null when it succeeded, else what the last try died of. */
const tryRepeatedly = Effect.fnUntraced(function* (effect: Effect.Effect<void>) {
  for (let attempt = 0; ; attempt++) {
    const exit = yield* Effect.exit(effect)
    if (Exit.isSuccess(exit)) return null
    if (attempt === poisonRetries || Cause.hasInterruptsOnly(exit.cause)) return exit.cause
    yield* Effect.sleep(Duration.times(firstPause, 2 ** attempt))
  }
})
