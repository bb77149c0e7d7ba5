/** What the supervised consumer survives: long handlers, connections that are cut for long. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { collect, once, publishUntilTaken, record, values } from "./EventBus.contract.ts"
import { freshOptions, proxyBefore, withBus } from "./kafkaForTests.ts"
import { until, untilSaid } from "./until.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"

describeKafka("a subscriber", () => {
  it.live("whose handler outlasts the session keeps its lane and handles the record once", () => {
    const options = freshOptions(kafkaBrokers())
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
        // A lane that was lost would be noticed at the commit, and its records come again before this one.
        yield* publishUntilTaken(bus, "orders", 0, [record("o", "last")])
        yield* until("the last record", () => started.includes("last"))

        assert.deepStrictEqual(started, ["long", "next", "last"])
      })
    )
  })

  it.live("that kafkajs has given up on, says so, comes back by itself and misses nothing", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyBefore(kafkaBrokers())
      const options = freshOptions(kafkaBrokers())
      yield* withBus({ ...options, brokers: [proxy.brokers] }, (bus) =>
        Effect.gen(function* () {
          const { got } = yield* collect(bus, { group: "g" })
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "1")])
          yield* until("the first arrives", () => got.length > 0)

          yield* Effect.promise(() => proxy.close())
          const saysSo = Effect.map(bus.health, (health) => health?.includes("not consuming") === true)
          yield* untilSaid("the consumer has ended", saysSo)
          yield* Effect.promise(() => proxy.listen())
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "2")])
          yield* until("the second arrives", () => values(got).includes("2"))

          assert.deepStrictEqual(once(values(got)), ["1", "2"])
          assert.isNull(yield* bus.health)
        })
      )
    }).pipe(Effect.scoped)
  )
})
