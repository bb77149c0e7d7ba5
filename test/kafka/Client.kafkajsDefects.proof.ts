/** How long a port where nobody listens holds up whoever connects: kafkajs as it comes, and ours. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createRequire } from "node:module"
import { Kafka, logLevel, Partitioners, type RetryOptions } from "kafkajs"
import { makeClient } from "../../src/kafka/Client.ts"
import { makeLaneProducer } from "../../src/kafka/LaneProducer.ts"
import { freePort } from "../../tools/freePort.ts"
import { record } from "./EventBus.contract.ts"

/** Those of a program, in a test kafkajs takes others by itself; but for the chance in them, which makes it 4 to 17 s. */
const defaults: RetryOptions = {
  ...(createRequire(import.meta.url)("kafkajs/src/retry/defaults.js") as RetryOptions),
  factor: 0
}
/** 0.3 s, doubled four times: what five pauses make. */
const defaultPausesMillis = 9_300

describe("a port where nobody listens", () => {
  for (const idempotent of [false, true]) {
    it(`holds bare kafkajs for 9 s before it says so, ${idempotent ? "" : "not "}idempotent`, async () => {
      const brokers = [`127.0.0.1:${await freePort()}`]
      const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: defaults })
      const producer = kafka.producer({ idempotent, createPartitioner: Partitioners.DefaultPartitioner })
      const begun = performance.now()

      const error = await producer.connect().then(
        () => "connected",
        (cause: unknown) => (cause instanceof Error ? cause.name : cause)
      )

      assert.strictEqual(error, "KafkaJSNumberOfRetriesExceeded")
      assert.isAbove(performance.now() - begun, defaultPausesMillis - 100)
    })
  }

  it.live("is told of by ours within 3 s or so, and whoever sends may send again", () =>
    Effect.gen(function* () {
      const brokers = [`127.0.0.1:${yield* Effect.promise(freePort)}`]
      const kafka = yield* makeClient({ brokers, clientId: "nexus-test" })
      const producer = makeLaneProducer(kafka, "orders", "orders", 0)
      const begun = performance.now()

      const error = yield* Effect.flip(producer.send([record("o", "A")]))
      yield* producer.close

      assert.strictEqual(error._tag, "BusUnavailable")
      assert.isBelow(performance.now() - begun, 5_000)
    })
  )
})
