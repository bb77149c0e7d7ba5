/**
 * Looks once a second whether the store is still the one that this process opened.
 *
 * A failover or a restore under living processes may lose commits: what this process has seen at the end of a lane, and
 * what it has given to the bus, must stay where it was. Whoever misses something tells the others in the database, for they
 * need not have seen it. A recovery that this process slept through, stopped or cut off, has changed what it knows. In each
 * case the process ends at once: what it would write means something else by now.
 */
import { Context, Deferred, Effect, Fiber, Layer, Option, Schedule, Schema } from "effect"
import { BusUnavailable, EventBus } from "../kafka/EventBus.ts"
import type { EventPlace, LaneHead } from "../sql/Generations.ts"
import { Generations } from "../sql/Generations.ts"
import { Store } from "../sql/Store.ts"
import { sqlStateOf, type StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { CommitsLost, commitsLost, RecoveryUnfinished } from "./StartCheck.ts"
import { Supervisor } from "./Supervisor.ts"

/** The store was recovered while this process ran. */
export class StoreRecovered extends Schema.TaggedError<StoreRecovered>()("StoreRecovered", {
  opened: Schema.Int,
  current: Schema.Int
}) {
  override get message() {
    const { current, opened } = this
    return current === opened
      ? "this database was recovered while this process ran: start it again"
      : `this database was recovered to generation ${current} while this process ran on generation ${opened}: start it again`
  }
}

/** The store was recovered before this process opened it, and has forgotten that. */
export class RecoveryLost extends Schema.TaggedError<RecoveryLost>()("RecoveryLost", {}) {
  override get message() {
    return (
      "this process knows of a recovery that this database has not: commits are lost; " +
      'keep every process stopped and run "nexus recover"'
    )
  }
}

export type Refused = CommitsLost | RecoveryLost | RecoveryUnfinished | StoreRecovered

// A right or a function that is missing is missing the next time too.
const isPassing = ({ cause }: StoreUnavailable): boolean => sqlStateOf(cause)?.startsWith("42") !== true

interface Loss {
  readonly error: CommitsLost | RecoveryLost
  readonly batches: ReadonlyArray<LaneHead>
  readonly events: ReadonlyArray<EventPlace>
}

const lookMillis = 1_000
// Batches of a lane given to the bus between two looks, and while the store does not answer; of more the oldest are forgotten.
const keptEvents = 200
// A process that may not go on does not wait long to tell why.
const tellPatience = "3 seconds"
const tellAgain = { times: 4, schedule: Schedule.spaced("500 millis") }
// Looks that find something missing and are told that nothing is: the questions go to servers that differ.
const contradictions = 2

export class StoreWatch extends Context.Service<
  StoreWatch,
  {
    /** Fails when the store is not the same any more; never succeeds. */
    readonly refused: Effect.Effect<never, Refused>
    /** The ends of the lanes at the last look that found nothing wrong. */
    readonly heads: Effect.Effect<ReadonlyArray<LaneHead>>
    /** This event, the last of several, is on its way to the bus. */
    readonly published: (event: EventPlace) => void
    /** Something is missing: from here on nothing more may be published. */
    readonly hasLost: () => boolean
  }
>()("nexus/engine/StoreWatch") {
  static readonly layer = (options: {
    /** This process's name to whoever has to recover the store. */
    readonly node: string
  }) =>
    Layer.effect(
      StoreWatch,
      Effect.gen(function* () {
        const generations = yield* Generations
        const opened = yield* Store
        const supervisor = yield* Supervisor
        const scope = yield* Effect.scope
        const refused = yield* Deferred.make<never, Refused>()
        // By lane what was given to the bus since the last look; each is looked for once.
        const published = new Map<number, Array<EventPlace>>()
        const first = yield* generations.compare([], [])
        // The ends of the lanes as they were seen last, and when.
        let seen: ReadonlyArray<LaneHead> = first.heads
        let seenAt = first.at
        let hasLost = false

        /** What is missing; null: nothing, and that is what was seen last. */
        const look = Effect.gen(function* () {
          const { generation, open, recoveries } = yield* generations.standing
          if (open !== null) return yield* new RecoveryUnfinished(open)
          if (generation > opened.generation || recoveries > opened.recoveries) {
            return yield* new StoreRecovered({ opened: opened.generation, current: generation })
          }
          if (generation < opened.generation || recoveries < opened.recoveries) {
            return { error: new RecoveryLost({}), batches: [], events: [] }
          }
          const given = new Set(Array.from(published.values()).flat())
          const { at, heads, lost, missing } = yield* generations.compare(seen, [...given])
          const gone = new Map<number, number>()
          for (const { lane, position } of [...missing, ...lost]) {
            gone.set(lane, Math.max(gone.get(lane) ?? 0, position))
          }
          if (gone.size > 0) {
            const ahead = Array.from(gone, ([lane, position]) => ({
              by: "this process",
              lane,
              generation: opened.generation,
              position,
              head: heads.find((head) => head.lane === lane)?.position ?? 0
            }))
            return { error: commitsLost(ahead), batches: missing, events: [...given] }
          }
          for (const [lane, events] of published) {
            published.set(
              lane,
              events.filter((event) => !given.has(event))
            )
          }
          seen = heads
          seenAt = at
          hasLost = false
          return null
        })

        /** False: the server that was asked has all of it, or somebody was quicker; another look tells. */
        const tellOthers = Effect.fnUntraced(function* ({ batches, error, events }: Loss) {
          const found =
            error._tag === "CommitsLost"
              ? `what lane ${error.lane} had at position ${error.position} is gone`
              : "a recovery is gone"
          // A statement on a dead connection takes its time to be interrupted, and the end of this process begins before.
          const telling = yield* Effect.forkIn(
            Effect.retry(
              generations.declareLoss({ node: options.node, found, since: opened, seenAt, batches, events }),
              { ...tellAgain, while: isPassing }
            ),
            scope
          )
          const answer = yield* Effect.timeoutOption(Effect.result(Fiber.join(telling)), tellPatience)
          if (Option.isSome(answer) && answer.value._tag === "Success") return answer.value.success
          yield* Effect.logError("the other processes could not be told of it: stop them all", answer)
          return true
        })

        const looked = Effect.gen(function* () {
          // Answers of two servers, amid a failover, may not fit each other. What is so is so at the second look too.
          const suspicion = yield* Effect.catch(look, (failure) =>
            failure._tag === "StoreUnavailable" ? Effect.fail(failure) : Effect.succeed(failure)
          )
          if (suspicion === null) return
          for (let round = 1; ; round++) {
            const loss = yield* look
            if (loss === null) return
            hasLost = true
            if (yield* tellOthers(loss)) return yield* loss.error
            if (round < contradictions) continue
            yield* Effect.logError("two servers answer in turns, and one has lost commits: stop every process")
            return yield* loss.error
          }
        })

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
          hasLost: () => hasLost,
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
      const commitsMissing = new Error("commits of the database are missing, so nothing more is published")
      return EventBus.of({
        ...bus,
        publish: (topic, lane, records) =>
          Effect.suspend(() => {
            if (watch.hasLost()) return Effect.fail(new BusUnavailable({ topic, lane, cause: commitsMissing }))
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
