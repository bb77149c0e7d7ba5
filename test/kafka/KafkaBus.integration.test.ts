import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as KafkaBus from "../../src/kafka/KafkaBus.ts"
import { batchOf, collect, eventBusContract, once, publishUntilTaken, record, values } from "./EventBus.contract.ts"
import { freshOptions, proxyBefore, withBus } from "./kafkaForTests.ts"
import { until as eventually } from "../sql/until.ts"
import { until } from "./until.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"

describeKafka("on a real Kafka", () => {
  eventBusContract("the Kafka bus", () => KafkaBus.layer(freshOptions(kafkaBrokers())))

  it.live("a new group starts at the beginning, and an old one after what it has handled", () => {
    const options = freshOptions(kafkaBrokers())
    return Effect.gen(function* () {
      yield* withBus(options, (bus) => publishUntilTaken(bus, "orders", 0, batchOf("o", "1", "2")))

      yield* withBus(options, (bus) =>
        Effect.gen(function* () {
          const { got, stop } = yield* collect(bus, { group: "g" })
          yield* until("the old records arrive", () => got.length === 2)
          yield* stop
          assert.deepStrictEqual(values(got), ["1", "2"])
        })
      )
      const later = yield* withBus(options, (bus) =>
        Effect.gen(function* () {
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "3")])
          const { got } = yield* collect(bus, { group: "g" })
          yield* until("the new record arrives", () => got.length > 0)
          return values(got)
        })
      )

      assert.deepStrictEqual(later, ["3"])
    })
  })

  it.live("what a batch had finished when its subscriber left is not handled again", () => {
    const options = freshOptions(kafkaBrokers())
    return withBus(options, (bus) =>
      Effect.gen(function* () {
        yield* publishUntilTaken(bus, "orders", 0, batchOf("o", "1", "2", "3"))
        const handled: Array<string> = []
        const { stop } = yield* collect(bus, {
          group: "g",
          handle: (one) => (one.value === "3" ? Effect.never : Effect.sync(() => void handled.push(one.value)))
        })
        yield* until("two of three are handled", () => handled.length === 2)
        yield* stop

        const { got } = yield* collect(bus, { group: "g" })
        yield* until("the rest arrives", () => got.length > 0)

        assert.deepStrictEqual(values(got), ["3"])
      })
    )
  })

  it.live("who sends into a Kafka that is away learns it, and that it is back without sending anything", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyBefore(kafkaBrokers())
      yield* withBus({ ...freshOptions(kafkaBrokers()), brokers: [proxy.brokers] }, (bus) =>
        Effect.gen(function* () {
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "early")])
          assert.isNull(yield* bus.sending)
          yield* Effect.promise(() => proxy.close())

          yield* Effect.flip(bus.publish("orders", 0, [record("o", "lost")]))
          assert.isString(yield* bus.sending)
          yield* Effect.promise(() => proxy.listen())

          yield* eventually(bus.sending, (fault) => fault === null)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("a send that Kafka does not answer is told of long before it is given up", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyBefore(kafkaBrokers())
      yield* withBus({ ...freshOptions(kafkaBrokers()), brokers: [proxy.brokers] }, (bus) =>
        Effect.gen(function* () {
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "early")])
          proxy.script.push("drop answer")
          const sent = yield* Effect.forkScoped(bus.publish("orders", 0, [record("o", "unanswered")]))

          yield* eventually(bus.sending, (fault) => fault !== null)
          assert.isUndefined(sent.pollUnsafe())

          yield* Fiber.join(sent)
          assert.isNull(yield* bus.sending)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("the bus starts without Kafka, says so, and works once Kafka is there", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyBefore(kafkaBrokers())
      yield* Effect.promise(() => proxy.close())
      const options = freshOptions(kafkaBrokers())
      yield* withBus({ ...options, brokers: [proxy.brokers] }, (bus) =>
        Effect.gen(function* () {
          const { got } = yield* collect(bus, { group: "g" })

          const error = yield* Effect.flip(bus.publish("orders", 0, [record("o", "early")]))
          const health = yield* bus.health
          yield* Effect.promise(() => proxy.listen())
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "late")])
          yield* until("it arrives", () => got.length > 0)

          assert.strictEqual(error._tag, "BusUnavailable")
          assert.isString(health)
          assert.deepStrictEqual(once(values(got)), ["late"])
          assert.isNull(yield* bus.health)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("a topic with another partition count than the store's lanes is reported in a sentence", () => {
    const options = freshOptions(kafkaBrokers(), 2)
    return Effect.gen(function* () {
      yield* withBus(options, (bus) => publishUntilTaken(bus, "orders", 0, [record("o", "1")]))

      yield* withBus({ ...options, lanes: 3 }, (bus) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(bus.publish("orders", 2, [record("o", "2")]))

          assert.strictEqual(error._tag, "BusUnavailable")
          assert.match((yield* bus.health) ?? "", /has 2 partitions but the store has 3 lanes: add partitions/)
        })
      )
    })
  })
})
