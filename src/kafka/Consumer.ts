/**
 * One subscription: a kafkajs consumer that is built again whenever it ends, until we are interrupted.
 *
 * An offset is committed after its record is handled, once per batch, so a record is handled at least
 * once. Lanes run side by side, each in offset order. kafkajs gives up on some errors and restarts for
 * ever on others; here it never restarts by itself, and every end comes to the one loop below.
 *
 * Lives: starting → joined → (crashed | stopped | silent) → pause → starting …
 */
import { Cause, Data, Deferred, Duration, Effect, Exit, FiberSet, Random } from "effect"
import type { Consumer, Kafka } from "kafkajs"
import { explained } from "./accessFaults.ts"
import { retry } from "./Client.ts"
import type { Delivered } from "./EventBus.ts"
import type { Payload } from "./batches.ts"
import { GroupError, makeBatches } from "./batches.ts"
import type { SubscriptionStatus } from "./SubscriptionStatus.ts"

export interface Subscription {
  /** The real name of the topic. */
  readonly name: string
  readonly group: string
  readonly concurrency: number
  readonly sessionTimeoutMillis: number
  readonly deliver: (record: Delivered) => Effect.Effect<void>
  readonly status: SubscriptionStatus
}

/** A rebalance waits for the slowest member's next heartbeat; a session must hold several. */
const heartbeatMillis = (sessionTimeoutMillis: number): number => Math.min(3_000, Math.floor(sessionTimeoutMillis / 3))

/** How long an idle fetch rests at the broker, and so the longest that a stop waits for it. A record ends it at once. */
const maxWaitMillis = 500

/** Some 500 records of one lane: a batch is handled well within a session. */
const maxBytesPerLane = 256 * 1024

const watchMillis = 1_000
const firstPauseMillis = 100
const longestPauseMillis = 5_000

/** A consumer that hangs while it leaves holds nobody up: the broker forgets it after its session. */
const leaveTimeout = Duration.seconds(5)

export const consume = (kafka: Kafka, subscription: Subscription): Effect.Effect<never> =>
  Effect.gen(function* () {
    const { group, name, status } = subscription
    for (let failures = 0; ; failures++) {
      status.starts()
      const { reason } = yield* Effect.flip(Effect.scoped(runOnce(kafka, subscription)))
      if (status.joined) failures = 0
      status.ends(reason)
      yield* Effect.logWarning("a consumer ended and is built again").pipe(
        Effect.annotateLogs({ topic: name, group, reason })
      )
      const pause = Math.min(longestPauseMillis, firstPauseMillis * 2 ** Math.min(failures, 10))
      yield* Effect.sleep(pause * (0.5 + (yield* Random.next) / 2))
    }
  })

class ConsumerEnded extends Data.TaggedError("ConsumerEnded")<{ readonly reason: string }> {}

const endedBy = (error: unknown): ConsumerEnded => {
  const said = explained(error, "later")
  return new ConsumerEnded({ reason: said instanceof Error ? said.message : String(said) })
}

/** Fails when the consumer has ended, for whatever reason. */
const runOnce = Effect.fnUntraced(function* (kafka: Kafka, subscription: Subscription) {
  const { group, sessionTimeoutMillis, status } = subscription
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: sessionTimeoutMillis,
    heartbeatInterval: heartbeatMillis(sessionTimeoutMillis),
    maxWaitTimeInMs: maxWaitMillis,
    maxBytesPerPartition: maxBytesPerLane,
    allowAutoTopicCreation: false,
    retry: { ...retry, restartOnFailure: () => Promise.resolve(false) }
  })
  const ended = yield* Deferred.make<never, ConsumerEnded>()
  listen(consumer, status, (error) => Deferred.doneUnsafe(ended, Exit.fail(endedBy(error))))

  // Closed in reverse: first kafkajs is told to take up nothing more, then the handlers are
  // interrupted (each commits what it has finished), then the consumer leaves its group.
  let started: Promise<void> = Promise.resolve()
  yield* Effect.addFinalizer(() => leave(consumer, () => started))
  const fork = yield* FiberSet.makeRuntime<never, void, GroupError>()
  yield* Effect.addFinalizer(() => Effect.sync(() => void consumer.stop().catch(() => undefined)))

  const batches = makeBatches(subscription)
  yield* Effect.tryPromise({
    try: () =>
      (started = start(consumer, subscription, (payload) => {
        const fiber = fork(batches.handle(payload))
        return new Promise((resolve, reject) => {
          // Interrupted means we are leaving. kafkajs must not take that for a failure of the batch.
          fiber.addObserver((exit) =>
            Exit.isSuccess(exit) || Cause.hasInterrupts(exit.cause) ? resolve() : reject(thrownBy(exit.cause))
          )
        })
      })),
    catch: endedBy
  })
  return yield* Effect.raceFirst(Deferred.await(ended), watch(status, batches.beat, sessionTimeoutMillis))
})

const thrownBy = (cause: Cause.Cause<GroupError>): Error => {
  const error = Cause.squash(cause)
  const thrown = error instanceof GroupError ? error.cause : error
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

const start = (
  consumer: Consumer,
  { concurrency, name }: Subscription,
  eachBatch: (payload: Payload) => Promise<void>
): Promise<void> =>
  consumer
    .connect()
    .then(() => consumer.subscribe({ topics: [name], fromBeginning: true }))
    .then(() =>
      consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: concurrency,
        eachBatch
      })
    )

/** After a start still under way, for what connects behind our back is never disconnected. */
const leave = (consumer: Consumer, started: () => Promise<void>): Effect.Effect<void> =>
  Effect.tryPromise(() =>
    started()
      .catch(() => undefined)
      .then(() => consumer.disconnect())
  ).pipe(
    Effect.timeoutOption(leaveTimeout),
    Effect.catch((error) => Effect.logDebug("a consumer did not leave in order", error))
  )

const listen = (consumer: Consumer, status: SubscriptionStatus, end: (error: unknown) => void): void => {
  const { events } = consumer
  consumer.on(events.GROUP_JOIN, () => status.joins())
  consumer.on(events.HEARTBEAT, () => status.sign())
  consumer.on(events.FETCH, () => status.sign())
  consumer.on(events.CRASH, ({ payload }) => end(payload.error))
  // A crash is announced after these two; alone they mean that kafkajs stopped by itself.
  const stopped = () => status.stops()
  consumer.on(events.STOP, stopped)
  consumer.on(events.DISCONNECT, stopped)
}

/** Keeps us in the group while handlers work, and fails when the consumer has gone silent. */
const watch = Effect.fnUntraced(function* (
  status: SubscriptionStatus,
  beat: Effect.Effect<void>,
  sessionTimeoutMillis: number
) {
  for (;;) {
    yield* Effect.sleep(watchMillis)
    yield* beat
    if (status.stopped) return yield* new ConsumerEnded({ reason: "it stopped by itself" })
    const silentMillis = Date.now() - status.lastSignAt
    if (silentMillis > 2 * sessionTimeoutMillis) {
      return yield* new ConsumerEnded({ reason: `it gave no sign of life for ${silentMillis} ms` })
    }
  }
})
