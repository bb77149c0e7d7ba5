/** A file of its own, so that its broker starts beside the other tests. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { describeOwnBroker, startOwnBroker } from "../harness/kafka.ts"
import { batchOf, collect, once, publishUntilTaken, values } from "./EventBus.contract.ts"
import { freshOptions, withBus } from "./kafkaForTests.ts"
import { until } from "./until.ts"

describeOwnBroker("a broker that is killed", () => {
  const startUpMillis = 90_000

  it.live(
    "under load and started again has every acknowledged record, and subscribers get them all in order",
    () =>
      Effect.gen(function* () {
        const broker = yield* Effect.acquireRelease(
          Effect.promise(() => startOwnBroker()),
          (one) => Effect.promise(() => one.stop())
        )
        yield* withBus(freshOptions(broker.brokers), (bus) =>
          Effect.gen(function* () {
            const { got } = yield* collect(bus, { group: "g" })
            const acknowledged: Array<string> = []
            const publisher = yield* Effect.forkScoped(
              Effect.gen(function* () {
                for (let n = 0; ; n++) {
                  yield* publishUntilTaken(bus, "orders", 0, batchOf("o", `${n}.0`, `${n}.1`))
                  acknowledged.push(`${n}.0`, `${n}.1`)
                }
              })
            )
            yield* until("records flow", () => got.length > 50)

            yield* Effect.promise(() => broker.kill9())
            const before = acknowledged.length
            yield* Effect.promise(() => broker.restart())
            yield* until("publishing goes on", () => acknowledged.length > before + 50)
            yield* Fiber.interrupt(publisher)
            const all = [...acknowledged]
            yield* until("the subscriber has all", () => got.some((one) => one.value === all.at(-1)))

            assert.deepStrictEqual(once(values(got)).slice(0, all.length), all)
          })
        )
      }).pipe(Effect.scoped),
    startUpMillis
  )
})
