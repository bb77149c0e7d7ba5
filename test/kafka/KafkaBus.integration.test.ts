import { assert, describe, it } from "@effect/vitest"
import type { Scope } from "effect"
import { Duration, Effect } from "effect"
import { inject } from "vitest"
import { EventBus } from "../../src/kafka/EventBus.ts"
import * as KafkaBus from "../../src/kafka/KafkaBus.ts"
import { collect, eventBusContract, once, publishUntilTaken, record, values } from "./EventBus.contract.ts"
import { makeFaultProxy } from "./FaultProxy.ts"
import { freshOptions } from "./kafkaForTests.ts"
import { until } from "./until.ts"

const brokers = inject("kafkaBrokers") ?? ""

describe.skipIf(brokers === "")("on a real Kafka", () => {
  eventBusContract("the Kafka bus", () => KafkaBus.layer(freshOptions(brokers)))

  const withBus = <A, E>(
    options: KafkaBus.KafkaBusOptions,
    use: (bus: typeof EventBus.Service) => Effect.Effect<A, E, Scope.Scope>
  ) => Effect.flatMap(EventBus, use).pipe(Effect.scoped, Effect.provide(KafkaBus.layer(options)))

  const proxyBefore = Effect.acquireRelease(
    Effect.promise(() => makeFaultProxy(brokers)),
    (proxy) => Effect.promise(() => proxy.close())
  )

  it.live("a new group starts at the beginning, and an old one after what it has handled", () => {
    const options = freshOptions(brokers)
    return Effect.gen(function* () {
      yield* withBus(options, (bus) => publishUntilTaken(bus, "orders", 0, ["1", "2"].map((v) => record("o", v))))

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
    const options = freshOptions(brokers)
    return withBus(options, (bus) =>
      Effect.gen(function* () {
        yield* publishUntilTaken(bus, "orders", 0, ["1", "2", "3"].map((v) => record("o", v)))
        const handled: Array<string> = []
        const { stop } = yield* collect(bus, {
          group: "g",
          handle: (one) =>
            one.value === "3" ? Effect.never : Effect.sync(() => void handled.push(one.value))
        })
        yield* until("two of three are handled", () => handled.length === 2)
        yield* stop

        const { got } = yield* collect(bus, { group: "g" })
        yield* until("the rest arrives", () => got.length > 0)

        assert.deepStrictEqual(values(got), ["3"])
      })
    )
  })

  it.live("a handler that outlasts the session keeps its lane and its record is handled once", () => {
    const options = freshOptions(brokers)
    return withBus(options, (bus) =>
      Effect.gen(function* () {
        const started: Array<string> = []
        yield* collect(bus, {
          group: "g",
          handle: (one) =>
            Effect.gen(function* () {
              started.push(one.value)
              // Longer than the session of 6 s, on purpose: this is the time that is tested.
              if (one.value === "long") yield* Effect.sleep(Duration.seconds(8))
            })
        })

        yield* publishUntilTaken(bus, "orders", 0, [record("o", "long"), record("o", "next")])
        yield* until("the record after it", () => started.includes("next"))

        assert.deepStrictEqual(started, ["long", "next"])
      })
    )
  })

  it.live("a subscriber whose connections are all cut comes back by itself and misses nothing", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyBefore
      const options = freshOptions(brokers)
      yield* withBus({ ...options, brokers: [proxy.brokers] }, (bus) =>
        Effect.gen(function* () {
          const { got } = yield* collect(bus, { group: "g" })
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "1")])
          yield* until("the first arrives", () => got.length > 0)

          yield* Effect.promise(() => proxy.close())
          yield* Effect.promise(() => proxy.listen())
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "2")])
          yield* until("the second arrives", () => values(got).includes("2"))

          assert.deepStrictEqual(once(values(got)), ["1", "2"])
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("the bus starts without Kafka, says so, and works once Kafka is there", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyBefore
      yield* Effect.promise(() => proxy.close())
      const options = freshOptions(brokers)
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
    const options = freshOptions(brokers, 2)
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
