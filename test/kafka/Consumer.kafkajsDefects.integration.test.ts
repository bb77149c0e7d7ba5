/**
 * What a consumer of the bare client does when its handler throws, takes long, or is asked to stop, on a real broker;
 * and that a subscriber of ours does none of it, in the same situations.
 *
 * Tests of one group run side by side, for most of their time they wait. The bare ones come first, for with the first
 * client of ours kafkajs is guarded. When one of them fails, kafkajs has changed, and a rule of the adapter may go.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Logger } from "effect"
import { randomUUID } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"
import type { Consumer, ConsumerConfig, ConsumerCrashEvent } from "kafkajs"
import { Partitioners } from "kafkajs"
import { poisonRetries } from "../../src/kafka/deliver.ts"
import { createLed } from "../../tools/kafka/createLed.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { batchOf, collect, publishUntilTaken, record, values } from "./EventBus.contract.ts"
import { freshOptions, plainKafka, withBus } from "./kafkaForTests.ts"
import { until, untilSaid } from "./until.ts"

/** The shortest session that a broker allows by default, and a handler that outlasts it. */
const sessionMillis = 6_000
const longHandleMillis = 8_000

/** What kafkajs never tries again, and so what it ends a consumer for. */
const fatal: ReadonlyArray<readonly [name: string, make: () => Error]> = [
  ["a TypeError", () => new TypeError("a bug")],
  ["a RangeError", () => new RangeError("a bug")],
  ["an error that calls itself not retriable", () => Object.assign(new Error("a bug"), { retriable: false })]
]

const twenty = Array.from({ length: 20 }, (_, n) => `${n}`)
const lastOfTwenty = twenty.at(-1)!

interface Bench {
  readonly consumer: Consumer
  /** For its handler to write down what it was given. */
  readonly seen: Array<string>
  readonly crashes: ReadonlyArray<ConsumerCrashEvent["payload"]>
}

/** A consumer that has subscribed to a topic with these values, as kafkajs' documentation shows it. */
const withBare = async (
  stored: ReadonlyArray<string>,
  config: Omit<ConsumerConfig, "groupId">,
  use: (bench: Bench) => Promise<void>
): Promise<void> => {
  const topic = `bare-${randomUUID().slice(0, 8)}`
  const kafka = plainKafka(kafkaBrokers())
  const admin = kafka.admin()
  await admin.connect()
  await createLed(admin, [{ topic, numPartitions: 1, replicationFactor: 1 }])
  await admin.disconnect()
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  if (stored.length > 0) await producer.send({ topic, messages: stored.map((value) => ({ value })) })
  await producer.disconnect()

  const consumer = kafka.consumer({ groupId: topic, ...config })
  const crashes: Array<ConsumerCrashEvent["payload"]> = []
  const seen: Array<string> = []
  // Before its first record: a broker this young may know neither the group nor the topic, which is no matter here.
  consumer.on("consumer.crash", ({ payload }) => {
    if (seen.length > 0) crashes.push(payload)
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  try {
    await use({ consumer, seen, crashes })
  } finally {
    await consumer.disconnect()
  }
}

const reached = async (count: () => number, enough: number): Promise<void> => {
  while (count() < enough) await pause(5)
}

describeKafka("a consumer of bare kafkajs", () => {
  for (const [name, make] of fatal) {
    it.concurrent(`ends for good after one error of its handler, ${name}`, () =>
      withBare(
        ["bad", "good"],
        { retry: { retries: 1 }, maxWaitTimeInMs: 100 },
        async ({ consumer, crashes, seen }) => {
          await consumer.run({
            eachMessage: ({ message }) => {
              seen.push(message.value!.toString())
              return Promise.reject(make())
            }
          })

          await reached(() => crashes.length, 1)

          assert.deepStrictEqual(
            crashes.map(({ restart }) => restart),
            [false]
          )
          assert.deepStrictEqual(seen, ["bad"])
        }
      ))
  }

  it.concurrent("restarts again and again after a plain error, and never comes to the next record", () => {
    const retry = { retries: 1, initialRetryTime: 20, maxRetryTime: 20 }
    return withBare(["bad", "good"], { retry, maxWaitTimeInMs: 100 }, async ({ consumer, crashes, seen }) => {
      await consumer.run({
        eachMessage: ({ message }) => {
          seen.push(message.value!.toString())
          return Promise.reject(new Error("of one record"))
        }
      })

      await reached(() => crashes.length, 5)

      assert.isTrue(crashes.every(({ restart }) => restart))
      assert.isAtLeast(seen.length, 5)
      assert.deepStrictEqual([...new Set(seen)], ["bad"])
    })
  })

  it.concurrent("handles all it has in hand a second time when one handler outlasts the session", () =>
    withBare(
      twenty,
      { sessionTimeout: sessionMillis, heartbeatInterval: 1_000 },
      async ({ consumer, crashes, seen }) => {
        await consumer.run({
          eachMessage: async ({ message }) => {
            const value = message.value!.toString()
            seen.push(value)
            // The first time only, or it would never end.
            if (value === lastOfTwenty && seen.length === twenty.length) await pause(longHandleMillis)
          }
        })

        await reached(() => seen.length, 2 * twenty.length)

        assert.deepStrictEqual(seen, [...twenty, ...twenty])
        assert.isEmpty(crashes, "it joins again by itself, and nobody is told")
      }
    ))

  it.concurrent("that is idle keeps whoever stops it waiting for its whole long poll, 5 s by default", () =>
    withBare([], {}, async ({ consumer }) => {
      const polling = new Promise((resolve) => consumer.on("consumer.fetch_start", resolve))
      await consumer.run({ eachMessage: () => Promise.resolve() })
      await polling
      const begun = performance.now()

      await consumer.disconnect()

      assert.isAbove(performance.now() - begun, 4_000)
    }))
})

/** What is logged meanwhile: each end of a consumer of ours is. */
const noting = () => {
  const lines: Array<string> = []
  const logger = Logger.make((entry) => void lines.push(String(Logger.formatStructured.log(entry).message)))
  return { ends: () => lines.filter((line) => line.includes("a consumer ended")), layer: Logger.layer([logger]) }
}

// Side by side, hence a group for each: members of one group wait for each other.
describeKafka("a subscriber of ours", () => {
  const errors = [...fatal, ["a plain error", () => new Error("of one record")] as const]
  it.concurrent("parks each record whose handler throws, whatever it throws, and goes on with the same consumer", () => {
    const log = noting()
    return withBus(freshOptions(kafkaBrokers()), (bus) =>
      Effect.gen(function* () {
        const tried: Array<string> = []
        const thrown = new Map(errors)
        const { poisoned } = yield* collect(bus, {
          group: "throws",
          handle: ({ value }) =>
            Effect.sync(() => {
              tried.push(value)
              const make = thrown.get(value)
              if (make !== undefined) throw make()
            })
        })

        yield* publishUntilTaken(bus, "orders", 0, batchOf("o", ...thrown.keys(), "good"))
        yield* until("the record after them", () => tried.includes("good"))

        assert.deepStrictEqual(tried, [
          ...[...thrown.keys()].flatMap((name) => Array.from({ length: 1 + poisonRetries }, () => name)),
          "good"
        ])
        assert.deepStrictEqual(values(poisoned.map((one) => one.record)), [...thrown.keys()])
        assert.isNull(yield* bus.health)
      })
    ).pipe(
      Effect.provide(log.layer),
      Effect.andThen(Effect.sync(() => assert.deepStrictEqual(log.ends(), []))),
      Effect.runPromise
    )
  })

  it.concurrent("handles each record once though one handler outlasts the session", () =>
    withBus({ ...freshOptions(kafkaBrokers()), sessionTimeoutMs: sessionMillis }, (bus) =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        yield* collect(bus, {
          group: "long",
          handle: ({ value }) =>
            Effect.gen(function* () {
              seen.push(value)
              // On purpose: this is the time that is tested.
              if (value === lastOfTwenty) yield* Effect.sleep(Duration.millis(longHandleMillis))
            })
        })

        yield* publishUntilTaken(bus, "orders", 0, batchOf("o", ...twenty))
        yield* until("the long one is in hand", () => seen.includes(lastOfTwenty))
        // A lane that was lost would be noticed at the commit, and its records come again before this one.
        yield* publishUntilTaken(bus, "orders", 0, [record("o", "after")])
        yield* until("the record after it", () => seen.includes("after"))

        assert.deepStrictEqual(seen, [...twenty, "after"])
      })
    ).pipe(Effect.runPromise))

  it.concurrent("that is idle leaves after its short poll", () =>
    withBus(freshOptions(kafkaBrokers()), (bus) =>
      Effect.gen(function* () {
        const { stop } = yield* collect(bus, { group: "idle" })
        yield* untilSaid(
          "it has joined",
          Effect.map(bus.health, (problem) => problem === null)
        )
        const begun = performance.now()

        yield* stop

        // Its longest poll is 500 ms; the rest is room for a busy machine.
        assert.isBelow(performance.now() - begun, 2_500)
      })
    ).pipe(Effect.runPromise))
})
