/**
 * The gate of a start: a store that has lost commits, as after a restore, is not served before it is recovered.
 *
 * The anchor is always looked at first. Kafka is waited for a little; one that is away is compared as soon as it is
 * back, and until then nothing is published, for positions given out again would mean two events to their readers.
 * A store that proves to be behind then ends the process.
 */
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { BusUnavailable, EventBus } from "../kafka/EventBus.ts"
import { Generations } from "../sql/Generations.ts"
import { type Ahead, LostCommits } from "./LostCommits.ts"
import { Supervisor } from "./Supervisor.ts"

/** The database has lost commits. Nothing may be served from it as it is. */
export class CommitsLost extends Schema.TaggedError<CommitsLost>()("CommitsLost", {
  by: Schema.String,
  lane: Schema.Int,
  generation: Schema.Int,
  position: Schema.Int,
  head: Schema.Int,
  lanes: Schema.Int
}) {
  override get message() {
    const { by, generation, head, lane, lanes, position } = this
    const where = `position ${position} of generation ${generation}`
    if (position <= head) {
      return (
        `${by} has another event than the log of this database at ${where} of lane ${lane}: commits were lost, and others ` +
        'stand in their place; keep every process stopped and run "nexus recover"'
      )
    }
    const more = lanes > 1 ? ` (and more than the log on ${lanes - 1} other ${lanes === 2 ? "lane" : "lanes"})` : ""
    return (
      `${by} has lane ${lane} up to ${where}, and the log of this database ends at ` +
      `${head}${more}: commits are lost; keep every process stopped and run "nexus recover"`
    )
  }
}

export const commitsLost = (ahead: ReadonlyArray<Ahead>) => new CommitsLost({ ...ahead[0]!, lanes: ahead.length })

/** A recovery was begun and did not come to its end, or waits for somebody to take it on. */
export class RecoveryUnfinished extends Schema.TaggedError<RecoveryUnfinished>()("RecoveryUnfinished", {
  by: Schema.String,
  reason: Schema.String,
  isFound: Schema.Boolean
}) {
  override get message() {
    const { by, isFound, reason } = this
    return isFound
      ? `commits of this database are lost, as the process on ${by} found (${reason}): ` +
          'keep every process stopped and run "nexus recover"'
      : `a recovery of this database was begun by ${by} (${reason}) and is not finished: ` +
          'let it finish, or run "nexus recover" again'
  }
}

/** Nothing of a store is changed under a recovery but by the recovery. */
export const notUnderRecovery = Effect.gen(function* () {
  const { open } = yield* (yield* Generations).standing
  if (open !== null) return yield* new RecoveryUnfinished(open)
})

// Whoever starts together with Kafka shall not be told to come back later.
const kafkaPatience = "10 seconds"
const kafkaPauseMillis = 2_000

export class StartCheck extends Context.Service<
  StartCheck,
  {
    /** The log was compared with Kafka. */
    readonly hasPassed: Effect.Effect<boolean>
    /** Fails when it proves to be behind; never succeeds. */
    readonly refused: Effect.Effect<never, CommitsLost>
  }
>()("nexus/engine/StartCheck") {
  static readonly layer = Layer.effect(
    StartCheck,
    Effect.gen(function* () {
      const lost = yield* LostCommits
      const supervisor = yield* Supervisor
      const passed = yield* Deferred.make<void>()
      const refused = yield* Deferred.make<never, CommitsLost>()

      yield* notUnderRecovery
      const anchored = yield* lost.byAnchor
      if (anchored.length > 0) return yield* commitsLost(anchored)

      const compare = Effect.flatMap(lost.byKafka, (ahead) =>
        ahead.length > 0 ? Effect.fail(commitsLost(ahead)) : Effect.asVoid(Deferred.succeed(passed, undefined))
      )
      yield* compare.pipe(
        Effect.timeoutOrElse({
          duration: kafkaPatience,
          orElse: () => Effect.fail(new BusUnavailable({ topic: "events", lane: null, cause: new Error("no answer") }))
        }),
        Effect.catchTag("BusUnavailable", (away) =>
          Effect.gen(function* () {
            yield* Effect.logWarning(`the log could not be compared with Kafka yet: ${away.message}`)
            yield* supervisor.supervise(
              "start-check",
              Effect.gen(function* () {
                for (;;) {
                  yield* Effect.sleep(kafkaPauseMillis)
                  yield* supervisor.beat("start-check")
                  const answer = yield* Effect.result(compare)
                  if (answer._tag === "Success") return
                  if (answer.failure._tag !== "CommitsLost") continue
                  return yield* Deferred.fail(refused, answer.failure)
                }
              }).pipe(Effect.asVoid)
            )
          })
        )
      )
      return StartCheck.of({ hasPassed: Deferred.isDone(passed), refused: Deferred.await(refused) })
    })
  )

  /** The bus, on which nothing is published before the log was compared. */
  static readonly gatedBus = Layer.effect(
    EventBus,
    Effect.gen(function* () {
      const bus = yield* EventBus
      const { hasPassed } = yield* StartCheck
      const notYet = new Error("the log was not compared with Kafka yet")
      const said = Effect.map(hasPassed, (has) => (has ? null : notYet.message))
      return EventBus.of({
        ...bus,
        // What Kafka itself says comes first: it is the reason.
        health: Effect.flatMap(bus.health, (why) => (why === null ? said : Effect.succeed(why))),
        sending: Effect.flatMap(bus.sending, (why) => (why === null ? said : Effect.succeed(why))),
        publish: (topic, lane, records) =>
          Effect.flatMap(hasPassed, (has) =>
            has ? bus.publish(topic, lane, records) : Effect.fail(new BusUnavailable({ topic, lane, cause: notYet }))
          )
      })
    })
  )
}
