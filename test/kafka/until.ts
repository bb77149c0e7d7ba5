/** Waits for a condition, not for a time; says what it waited for when it never came true. */
import { Effect } from "effect"

const pollMillis = 5
const limitMillis = 20_000

export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  untilSaid(what, Effect.sync(condition))

/** The same for a condition that must be asked for. */
export const untilSaid = (what: string, condition: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const start = Date.now()
    while (!(yield* condition)) {
      if (Date.now() - start > limitMillis) return yield* Effect.die(new Error(`never came true: ${what}`))
      yield* Effect.sleep(pollMillis)
    }
  })
