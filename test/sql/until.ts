/** Asks again until the answer is the one waited for; says what it saw last when that never came. */
import { Effect } from "effect"

const pollMillis = 10
const limitMillis = 20_000

export const until = <A, E, R>(
  question: Effect.Effect<A, E, R>,
  isIt: (answer: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const start = performance.now()
    while (true) {
      const answer = yield* question
      if (isIt(answer)) return answer
      if (performance.now() - start > limitMillis) {
        return yield* Effect.die(new Error(`never came; last seen: ${JSON.stringify(answer)}`))
      }
      yield* Effect.sleep(pollMillis)
    }
  })
