/** What the supervised consumer survives: connections that are cut for long. Its handlers: Consumer.kafkajsDefects. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { collect, once, publishUntilTaken, record, values } from "./EventBus.contract.ts"
import { freshOptions, proxyBefore, withBus } from "./kafkaForTests.ts"
import { until, untilSaid } from "./until.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"

describeKafka("a subscriber", () => {
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
