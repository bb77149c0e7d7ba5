import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Partitioners, type Producer } from "kafkajs"
import { makeClient } from "../../src/kafka/Client.ts"
import { makeLaneProducer } from "../../src/kafka/LaneProducer.ts"
import { ensureTopics } from "../../src/kafka/Topics.ts"
import { record } from "./EventBus.contract.ts"
import { freshOptions, plainKafka } from "./kafkaForTests.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { createLed } from "../../tools/kafka/createLed.ts"

const measuredMillis = 500
/** On one broker, kafkajs alone arms one timer after the other, for one connection at least. */
const bareAtLeast = 100

describeKafka("an idle Kafka client", () => {
  it.live("arms no timers, where kafkajs alone arms thousands a second", () =>
    Effect.gen(function* () {
      const options = freshOptions(kafkaBrokers())
      // First: once a client of ours was made, the guard is in place for the whole process.
      const bare = yield* Effect.promise(() => bareProducer(options.topics.events))
      const armedAlone = yield* Effect.promise(() => timersArmedDuring(measuredMillis))
      yield* Effect.promise(() => bare.disconnect())
      yield* ensureTopics(options)
      const kafka = yield* makeClient(options)
      const producer = makeLaneProducer(kafka, options.topics.orders, "orders", 0)
      yield* producer.send([record("o", "x")])

      const armed = yield* Effect.promise(() => timersArmedDuring(measuredMillis))
      yield* producer.close

      assert.isAbove(armedAlone, bareAtLeast)
      assert.strictEqual(armed, 0)
    })
  )
})

/** One that has sent a record and now has nothing to do. */
const bareProducer = async (topic: string): Promise<Producer> => {
  const kafka = plainKafka(kafkaBrokers())
  const admin = kafka.admin()
  await admin.connect()
  await createLed(admin, [{ topic: `bare-${topic}` }])
  await admin.disconnect()
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic: `bare-${topic}`, messages: [{ value: "x" }] })
  return producer
}

/** Counts calls of setTimeout but our own; the time itself is what is measured. */
const timersArmedDuring = (millis: number): Promise<number> => {
  const original = globalThis.setTimeout
  let armed = 0
  const counting = (...args: Parameters<typeof original>) => {
    armed++
    return original(...args)
  }
  return new Promise((resolve) => {
    original(() => {
      globalThis.setTimeout = original
      resolve(armed)
    }, millis)
    globalThis.setTimeout = Object.assign(counting, { __promisify__: original.__promisify__ })
  })
}
