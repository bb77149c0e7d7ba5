/**
 * The bus on Kafka. Builds while Kafka is away, waits for it without end, and says so in `health`.
 *
 * Joins the parts: topics first, then one producer per topic and lane (made when first used), and a
 * supervised consumer per subscription. Closing it waits for sends in flight.
 */
import { Deferred, Duration, Effect, Layer } from "effect"
import { makeClient } from "./Client.ts"
import { consume } from "./Consumer.ts"
import { deliver } from "./deliver.ts"
import type { BusRecord, SubscribeOptions, Topic } from "./EventBus.ts"
import { BusUnavailable, EventBus } from "./EventBus.ts"
import type { LaneProducer } from "./LaneProducer.ts"
import { makeLaneProducer } from "./LaneProducer.ts"
import { SendsInFlight } from "./SendsInFlight.ts"
import { SubscriptionStatus } from "./SubscriptionStatus.ts"
import type { TopicsOptions } from "./Topics.ts"
import { checkTopicsOn, ensureTopicsOn } from "./Topics.ts"

export interface KafkaBusOptions extends TopicsOptions {
  /** False where topics are made by `nexus topics`: then they are only checked. */
  readonly createTopics: boolean
  /** When the group gives a silent member's lanes to others. 30 s unless said otherwise. */
  readonly sessionTimeoutMs?: number
}

const defaultSessionTimeoutMillis = 30_000

/** How long a publish waits for the topics before it answers; its caller repeats it anyway. */
const topicsWait = Duration.seconds(2)

/** A lane that another replica relays now is not ours to complain of; one of ours is tried again long before. */
const sendProblemMillis = 60_000

/** How long the question whether Kafka is back may take. */
const askMillis = 3_000

/** A fault that lasts is told again, for whoever looks at the log only now. */
const tellAgainMillis = 60_000

const firstTopicsPause = Duration.millis(200)
const longestTopicsPause = Duration.seconds(5)

export const layer = (options: KafkaBusOptions): Layer.Layer<EventBus> => Layer.effect(EventBus, make(options))

const make = Effect.fnUntraced(function* (options: KafkaBusOptions) {
  const kafka = yield* makeClient(options)
  const topicsReady = yield* Deferred.make<void>()
  // Both written by the fiber below alone.
  let weakness: ReadonlyArray<string> = []
  let topicsProblem: string | null = "Kafka has not answered yet"

  const askForTopics = Effect.gen(function* () {
    let pause = firstTopicsPause
    let toldAt = -Infinity
    for (;;) {
      const problem = yield* (options.createTopics ? ensureTopicsOn : checkTopicsOn)(kafka, options).pipe(
        Effect.tap(({ weak }) => Effect.forEach(weak, (each) => Effect.logWarning(each))),
        Effect.match({
          onSuccess: ({ weak }) => {
            weakness = weak
            return null
          },
          onFailure: (error) => error.message
        })
      )
      if (problem !== null && (problem !== topicsProblem || Date.now() - toldAt > tellAgainMillis)) {
        toldAt = Date.now()
        yield* Effect.logWarning(problem)
      }
      topicsProblem = problem
      if (problem === null) return yield* Deferred.succeed(topicsReady, undefined)
      yield* Effect.sleep(pause)
      pause = Duration.min(longestTopicsPause, Duration.times(pause, 2))
    }
  })

  const producers = new Map<string, LaneProducer>()
  yield* Effect.addFinalizer(() =>
    Effect.forEach(producers.values(), (one) => one.close, { concurrency: "unbounded", discard: true })
  )
  yield* Effect.forkScoped(askForTopics)

  const producerOf = (topic: Topic, lane: number): LaneProducer => {
    const name = `${topic}/${lane}`
    let found = producers.get(name)
    if (found === undefined) {
      producers.set(name, (found = makeLaneProducer(kafka, options.topics[topic], topic, lane)))
    }
    return found
  }

  /** By topic and lane: what the last publish failed of, as long as none has succeeded since. */
  const sendProblems = new Map<string, { readonly message: string; readonly at: number }>()

  const inFlight = new SendsInFlight()

  const publish = Effect.fnUntraced(function* (topic: Topic, lane: number, records: ReadonlyArray<BusRecord>) {
    if (records.length === 0) return
    if (topicsProblem !== null) {
      yield* Deferred.await(topicsReady).pipe(
        Effect.timeoutOrElse({
          duration: topicsWait,
          orElse: () => Effect.fail(new BusUnavailable({ topic, lane, cause: new Error(topicsProblem ?? "too late") }))
        })
      )
    }
    const name = `${topic}/${lane}`
    inFlight.begins(name, Date.now())
    yield* producerOf(topic, lane)
      .send(records)
      .pipe(
        Effect.ensuring(Effect.sync(() => inFlight.ends(name))),
        Effect.tapErrorTag("BusUnavailable", (error) =>
          Effect.sync(() => sendProblems.set(name, { message: error.message, at: Date.now() }))
        )
      )
    sendProblems.delete(name)
  })

  const subscriptions = new Set<SubscriptionStatus>()

  const subscribe = (subscribeOptions: SubscribeOptions): Effect.Effect<never> =>
    Effect.gen(function* () {
      const { concurrency, group, topic } = subscribeOptions
      const status = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const fresh = new SubscriptionStatus(`${topic} for group ${group}`)
          subscriptions.add(fresh)
          return fresh
        }),
        (old) => Effect.sync(() => subscriptions.delete(old))
      )
      yield* Deferred.await(topicsReady)
      return yield* consume(kafka, {
        name: options.topics[topic],
        group,
        concurrency,
        sessionTimeoutMillis: options.sessionTimeoutMs ?? defaultSessionTimeoutMillis,
        deliver: deliver(subscribeOptions),
        status
      })
    }).pipe(Effect.scoped)

  const health = Effect.sync(() => {
    if (topicsProblem !== null) return topicsProblem
    const since = Date.now() - sendProblemMillis
    const sending = [...sendProblems.values()].filter(({ at }) => at > since).map(({ message }) => message)
    const consuming = [...subscriptions].map((one) => one.problem()).filter((one) => one !== null)
    return [...sending, ...inFlight.hanging(Date.now()), ...consuming, ...weakness].join("; ") || null
  })

  // Whoever has given a lane away sends nothing there any more, and would never hear that Kafka is back.
  const isBack = checkTopicsOn(kafka, options).pipe(
    Effect.as(true),
    Effect.catch(() => Effect.succeed(false)),
    Effect.timeoutOrElse({ duration: askMillis, orElse: () => Effect.succeed(false) })
  )

  const sending = Effect.gen(function* () {
    if (topicsProblem !== null) return topicsProblem
    const slow = inFlight.slow(Date.now())
    if (slow !== null) return slow
    const [failed] = sendProblems
    if (failed === undefined) return null
    const left = [...sendProblems.keys()].filter((name) => !inFlight.has(name))
    if (left.length < sendProblems.size || !(yield* isBack)) return failed[1].message
    for (const name of left) sendProblems.delete(name)
    return null
  })

  return EventBus.of({ kind: "kafka", publish, subscribe, health, sending })
})
