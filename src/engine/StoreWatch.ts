/**
 * Looks once a second whether the store is still the one that this process opened.
 *
 * A failover or a restore under living processes may lose commits: what this process has seen at the end of a lane, and
 * what it has given to the bus, must stay where it was. A recovery that this process slept through, stopped or cut off,
 * has begun another generation. Either way the process ends at once: what it would write means something else by now.
 */
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { EventBus } from "../kafka/EventBus.ts"
import type { EventPlace, LaneHead } from "../sql/Generations.ts"
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
// Batches of a lane given to the bus between two looks, and while the store does not answer; of more the oldest are forgotten.
const keptEvents = 200

export class StoreWatch extends Context.Service<
  StoreWatch,
  {
    /** Fails when the store is not the same any more; never succeeds. */
    readonly refused: Effect.Effect<never, CommitsLost | StoreRecovered>
    /** The ends of the lanes at the last look that found nothing wrong. */
    readonly heads: Effect.Effect<ReadonlyArray<LaneHead>>
    /** This event, the last of several, is on its way to the bus. */
    readonly published: (event: EventPlace) => void
  }
>()("nexus/engine/StoreWatch") {
  static readonly layer = Layer.effect(
    StoreWatch,
    Effect.gen(function* () {
      const generations = yield* Generations
      const store = yield* Store
      const supervisor = yield* Supervisor
      const refused = yield* Deferred.make<never, CommitsLost | StoreRecovered>()
      // By lane what was given to the bus since the last look; each is looked for once.
      const published = new Map<number, Array<EventPlace>>()
      // The ends of the lanes as they were seen last.
      let seen: ReadonlyArray<LaneHead> = yield* generations.heads

      const look = Effect.gen(function* () {
        const current = yield* generations.current
        if (current !== store.generation || (yield* generations.isUnderRecovery)) {
          return yield* new StoreRecovered({ opened: store.generation, current })
        }
        const given = new Set(Array.from(published.values()).flat())
        const { heads, lost, missing } = yield* generations.compare(seen, [...given])
        const gone = new Map<number, number>()
        for (const { lane, position } of [...missing, ...lost]) gone.set(lane, Math.max(gone.get(lane) ?? 0, position))
        if (gone.size > 0) {
          return yield* commitsLost(
            Array.from(gone, ([lane, position]) => ({
              by: "this process",
              lane,
              generation: store.generation,
              position,
              head: heads.find((head) => head.lane === lane)?.position ?? 0
            }))
          )
        }
        for (const [lane, events] of published) {
          published.set(
            lane,
            events.filter((event) => !given.has(event))
          )
        }
        seen = heads
      })

      // Answers of two servers, amid a failover, may not fit each other. What is lost is lost at the second look too.
      const lookAgain = (failure: Effect.Error<typeof look>) =>
        failure._tag === "StoreUnavailable" ? Effect.fail(failure) : look

      const looked = Effect.catch(look, lookAgain)

      // What happened while the process started is found before it serves.
      yield* looked

      const watch = Effect.gen(function* () {
        for (;;) {
          yield* Effect.sleep(lookMillis)
          yield* supervisor.beat("store-watch")
          const answer = yield* Effect.result(looked)
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

      return StoreWatch.of({
        heads: Effect.sync(() => seen),
        refused: Deferred.await(refused),
        published: (event) => {
          const given = published.get(event.lane) ?? []
          published.set(event.lane, given)
          // Tried again, it is the same one.
          if (given.at(-1)?.eventId === event.eventId) return
          if (given.length === keptEvents) given.shift()
          given.push(event)
        }
      })
    })
  )

  /** The bus, of which the watch remembers what went to it: readers have that, so the log must have it too. */
  static readonly watchedBus = Layer.effect(
    EventBus,
    Effect.gen(function* () {
      const bus = yield* EventBus
      const watch = yield* StoreWatch
      return EventBus.of({
        ...bus,
        publish: (topic, lane, records) =>
          Effect.suspend(() => {
            const headers = records.at(-1)?.headers
            // Before it is known whether it arrived: an answer that is lost changes nothing for the readers.
            if (topic === "events" && headers !== undefined) {
              watch.published({
                lane,
                position: Number(headers["ce_position"]),
                eventId: headers["ce_id"] ?? ""
              })
            }
            return bus.publish(topic, lane, records)
          })
      })
    })
  )
}
