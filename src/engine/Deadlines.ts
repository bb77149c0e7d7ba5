/**
 * Ends the waiting of callers whose deadline has passed: one sleeper for all of them, because a timer and a
 * fiber for each cost more than everything else that the engine does for an order. Ends with its scope.
 */
import { Clock, Effect } from "effect"
import type { EpochMillis } from "../domain/Ids.ts"
import type { Supervisor } from "./Supervisor.ts"

const loopName = "engine/deadlines"

export interface Waiting {
  readonly deadline: EpochMillis
  readonly giveUp: () => void
}

export interface Deadlines {
  readonly add: (waiting: Waiting) => void
  /** For whoever was answered. */
  readonly remove: (waiting: Waiting) => void
}

/** For callers that all have the same patience, so that they come in the order of their deadlines. */
export const makeDeadlines = Effect.fnUntraced(function* (patienceMillis: number, supervisor: Supervisor["Service"]) {
  // Owned by the fiber below; `add` and `remove` are its only other ways in.
  const waiting = new Set<Waiting>()

  const rounds = Effect.gen(function* () {
    while (true) {
      yield* supervisor.beat(loopName)
      const now = yield* Clock.currentTimeMillis
      // Whoever comes while this sleeps has a later deadline than that.
      let wake = now + patienceMillis
      for (const each of waiting) {
        // Further away than anybody's patience means that the clock was set back.
        if (each.deadline > now && each.deadline <= now + patienceMillis) {
          wake = each.deadline
          break
        }
        waiting.delete(each)
        each.giveUp()
      }
      yield* Effect.sleep(wake - now)
    }
  })
  yield* supervisor.supervise(loopName, rounds)

  const deadlines: Deadlines = {
    add: (each) => void waiting.add(each),
    remove: (each) => void waiting.delete(each)
  }
  return deadlines
})
