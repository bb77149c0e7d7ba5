import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeClient } from "../../src/kafka/Client.ts"
import { makeLaneProducer } from "../../src/kafka/LaneProducer.ts"
import { ensureTopics } from "../../src/kafka/Topics.ts"
import { record } from "./EventBus.contract.ts"
import { freshOptions } from "./kafkaForTests.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"

const measuredMillis = 500

describeKafka("an idle Kafka client", () => {
  it.live("arms no timers, where kafkajs alone arms thousands a second", () =>
    Effect.gen(function* () {
      const options = freshOptions(kafkaBrokers())
      yield* ensureTopics(options)
      const kafka = yield* makeClient(options)
      const producer = makeLaneProducer(kafka, options.topics.orders, "orders", 0)
      yield* producer.send([record("o", "x")])

      const armed = yield* Effect.promise(() => timersArmedDuring(measuredMillis))
      yield* producer.close

      assert.strictEqual(armed, 0)
    })
  )
})

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
