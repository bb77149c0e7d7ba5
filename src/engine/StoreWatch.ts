/**
 * Looks once a second whether the store is still the one that this process opened.
 *
 * A failover or a restore under living processes may lose commits: what this process has seen at the end of a lane must
 * stay where it was. A recovery that this process slept through, stopped or cut off, has begun another generation. Either
 * way the process ends at once: what it would write means something else by now.
 */
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import type { LaneHead } from "../sql/Generations.ts"
import { Generations } from "../sql/Generations.ts"
import { Store } from "../sql/Store.ts"
import { type CommitsLost, commitsLost } from "./StartCheck.ts"
import { Supervisor } from "./Supervisor.ts"

/** The store was recovered, or is being recovered, while this process ran. */
export class StoreRecovered extends Schema.TaggedError<StoreRecovered>()("StoreRecovered", {
  opened: Schema.Int,
  current: Schema.Int
}) {
  override get message() {
    const { current, opened } = this
    return current === opened
      ? "a recovery of this database is under way: start this process again once it has finished"
      : `this database was recovered to generation ${current} while this process ran on generation ${opened}: start it again`
  }
}

const lookMillis = 1_000

export class StoreWatch extends Context.Service<
  StoreWatch,
  {
    /** Fails when the store is not the same any more; never succeeds. */
    readonly refused: Effect.Effect<never, CommitsLost | StoreRecovered>
  }
>()("nexus/engine/StoreWatch") {
  static readonly layer = Layer.effect(
    StoreWatch,
    Effect.gen(function* () {
      const generations = yield* Generations
      const store = yield* Store
      const supervisor = yield* Supervisor
      const refused = yield* Deferred.make<never, CommitsLost | StoreRecovered>()
      // The ends of the lanes as they were seen last.
      let seen: ReadonlyArray<LaneHead> = yield* generations.heads

      const look = Effect.gen(function* () {
        const current = yield* generations.current
        if (current !== store.generation || (yield* generations.isUnderRecovery)) {
          return yield* new StoreRecovered({ opened: store.generation, current })
        }
        const { heads, missing } = yield* generations.compare(seen)
        if (missing.length > 0) {
          return yield* commitsLost(
            missing.map(({ lane, position }) => ({
              by: "this process",
              lane,
              generation: store.generation,
              position,
              head: heads.find((head) => head.lane === lane)?.position ?? 0
            }))
          )
        }
        seen = heads
      })

      // Answers of two servers, amid a failover, may not fit each other. What is lost is lost at the second look too.
      const lookAgain = (failure: Effect.Error<typeof look>) =>
        failure._tag === "StoreUnavailable" ? Effect.fail(failure) : look

      // What happened while the process started is found before it serves.
      yield* look

      const watch = Effect.gen(function* () {
        for (;;) {
          yield* Effect.sleep(lookMillis)
          yield* supervisor.beat("store-watch")
          const answer = yield* Effect.result(Effect.catch(look, lookAgain))
          if (answer._tag === "Success") continue
          const { failure } = answer
          // A database that is away says nothing; readiness tells of it.
          if (failure._tag === "StoreUnavailable") continue
          yield* Effect.logError(failure.message)
          yield* Deferred.fail(refused, failure)
          return
        }
      })
      yield* supervisor.supervise("store-watch", watch)

      return StoreWatch.of({ refused: Deferred.await(refused) })
    })
  )
}
