/** The published schemas are enough: a reader without code of ours proves that it has every event, or names what it lacks. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe } from "vitest"
import { isEnded } from "../../src/domain/Order.ts"
import { EventBus, RecordRefused } from "../../src/kafka/EventBus.ts"
import * as KafkaBus from "../../src/kafka/KafkaBus.ts"
import { scripted } from "../engine/scripted.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { filled, limit, market, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { prove, readAll, type Message } from "./foreignConsumer.ts"
import { freshOptions } from "./kafkaForTests.ts"

const schemas = join(import.meta.dirname, "../../docs/events")

describeKafka("a reader without code of ours", () => {
  it.live("proves from schemas and headers that it has every event, and sees the one that Kafka would not take", () => {
    const options = freshOptions(kafkaBrokers())
    // As a broker that refuses one record: the relay leaves a marker in its place.
    const bus = Layer.effect(
      EventBus,
      Effect.map(EventBus, (real) =>
        EventBus.of({
          ...real,
          publish: (topic, lane, records) => {
            const index = records.findIndex(
              ({ headers, key }) => key === "refused" && headers["ce_type"] !== "nexus.Skipped"
            )
            return topic === "events" && index >= 0
              ? Effect.fail(new RecordRefused({ topic, lane, index, reason: "too large" }))
              : real.publish(topic, lane, records)
          }
        })
      )
    ).pipe(Layer.provide(KafkaBus.layer(options)))
    return Effect.gen(function* () {
      const nexus = yield* TestNexus
      const ids = Array.from({ length: 12 }, (_, index) => `o-${index}`)
      for (const id of ids) yield* nexus.place(id, market("BUY", "0.01"))
      yield* nexus.place("refused", limit("BUY", "0.01", "50000"))
      yield* nexus.cancel("refused")
      for (const id of ids) yield* nexus.until(id, isEnded)
      const log = yield* Effect.map(nexus.verify, ({ events }) => events)
      const proof = yield* until(
        Effect.promise(async () => prove(schemas, await readAll(kafkaBrokers(), options.topics.events))),
        ({ events, wrong }) => events >= log || wrong.length > 0
      )

      assert.deepStrictEqual(proof.wrong, [])
      assert.deepStrictEqual(proof.missing, [])
      assert.isTrue(proof.complete)
      assert.isAtLeast(proof.skipped.length, 1)
    }).pipe(
      scripted(
        Array.from({ length: 12 }, () => filled),
        { bus }
      )
    )
  })
})

describe("the same reader", () => {
  const message = (position: number, changes: Record<string, string> = {}, value?: object): Message => ({
    partition: 2,
    headers: {
      ce_specversion: "1.0",
      ce_id: `e-${position}`,
      ce_source: "urn:nexus:store:1",
      ce_type: "nexus.CancelRequested",
      ce_time: "2026-09-21T14:13:20.123Z",
      ce_subject: "order-1",
      ce_sequence: String(position),
      ce_lane: "2",
      ce_position: String(position),
      ce_generation: "1",
      ce_dataschema: "urn:nexus:event:CancelRequested:1",
      ...changes
    },
    value: JSON.stringify(value ?? { reason: "asked" })
  })

  it("names the position that is missing, per generation", () => {
    const again = [1, 3].map((position) => message(position, { ce_generation: "2" }))

    const proof = prove(schemas, [message(1), message(2), message(2), ...again])

    assert.isFalse(proof.complete)
    assert.deepStrictEqual(proof.missing, ["generation 2 lane 2 position 2"])
    assert.deepStrictEqual([proof.events, proof.repeats], [4, 1])
  })

  it("finds a body that its schema does not allow, damaged headers, an unknown type and a repeat with another body", () => {
    const proof = prove(schemas, [
      message(1, {}, { reason: 7 }),
      message(2, { ce_sequence: "x" }),
      message(3, { ce_dataschema: "urn:nexus:event:Unheard:1" }),
      message(4),
      message(4, {}, { reason: "another" })
    ])

    assert.deepStrictEqual(
      proof.wrong.map((each) => each.split(":")[0]),
      [1, 2, 3, 4].map((position) => `generation 1 lane 2 position ${position}`)
    )
  })

  it("is written without a line of ours", () => {
    const text = readFileSync(join(import.meta.dirname, "foreignConsumer.ts"), "utf8")

    assert.notMatch(text, /from "\.\.?\//)
  })
})
