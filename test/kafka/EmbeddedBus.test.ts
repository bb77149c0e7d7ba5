import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import * as EmbeddedBus from "../../src/kafka/EmbeddedBus.ts"
import { EventBus } from "../../src/kafka/EventBus.ts"
import { batchOf, collect, eventBusContract, record, values } from "./EventBus.contract.ts"
import { until } from "./until.ts"

eventBusContract("the embedded bus", () => EmbeddedBus.layer)

describe("the embedded bus", () => {
  it.live("an order for which nobody listens is not taken", () =>
    Effect.gen(function* () {
      const bus = yield* EventBus

      const error = yield* Effect.flip(bus.publish("orders", 1, [record("o-1", "x")]))

      assert.strictEqual(error._tag, "NoSubscribers")
    }).pipe(Effect.provide(EmbeddedBus.layer))
  )

  it.live("a publish succeeds only after every group has handled the record", () =>
    Effect.gen(function* () {
      const bus = yield* EventBus
      const gate = yield* Deferred.make<void>()
      const { got } = yield* collect(bus, { group: "quick" })
      yield* collect(bus, { group: "slow", handle: () => Deferred.await(gate) })

      const publisher = yield* Effect.forkScoped(bus.publish("orders", 0, [record("o-1", "x")]))
      yield* until("the quick group has it", () => got.length === 1)
      const before = publisher.pollUnsafe()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(publisher)

      assert.isUndefined(before)
    }).pipe(Effect.scoped, Effect.provide(EmbeddedBus.layer))
  )

  it.live("a publisher whose last listener leaves is told so instead of waiting for ever", () =>
    Effect.gen(function* () {
      const bus = yield* EventBus
      let holds = false
      const { stop } = yield* collect(bus, {
        group: "a",
        handle: () =>
          Effect.andThen(
            Effect.sync(() => (holds = true)),
            Effect.never
          )
      })
      yield* Effect.yieldNow
      const held = yield* Effect.forkScoped(Effect.flip(bus.publish("orders", 0, [record("o-1", "x")])))
      const queued = yield* Effect.forkScoped(Effect.flip(bus.publish("orders", 0, [record("o-2", "y")])))
      yield* until("the listener holds the first", () => holds)

      yield* stop

      assert.strictEqual((yield* Fiber.join(held))._tag, "NoSubscribers")
      assert.strictEqual((yield* Fiber.join(queued))._tag, "NoSubscribers")
    }).pipe(Effect.scoped, Effect.provide(EmbeddedBus.layer))
  )

  it.live("a publisher that is interrupted leaves at once, and the next batch does not overtake its record", () =>
    Effect.gen(function* () {
      const bus = yield* EventBus
      const gate = yield* Deferred.make<void>()
      const started: Array<string> = []
      const { got } = yield* collect(bus, {
        group: "a",
        handle: (one) =>
          Effect.gen(function* () {
            started.push(one.value)
            if (one.value === "held") yield* Deferred.await(gate)
            started.push(`${one.value} done`)
          })
      })
      yield* Effect.yieldNow
      const leaver = yield* Effect.forkScoped(bus.publish("orders", 0, batchOf("o", "held", "never sent")))
      yield* until("the record is in hand", () => started.length === 1)

      const exit = yield* Effect.andThen(Fiber.interrupt(leaver), Fiber.await(leaver))
      const next = yield* Effect.forkScoped(bus.publish("orders", 0, [record("o", "next")]))
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(next)

      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(started, ["held", "held done", "next", "next done"])
      assert.deepStrictEqual(values(got), [])
    }).pipe(Effect.scoped, Effect.provide(EmbeddedBus.layer))
  )

  it.live("as many lanes are handled at once as the subscriber asks for, and no more", () =>
    Effect.gen(function* () {
      const bus = yield* EventBus
      const gate = yield* Deferred.make<void>()
      let now = 0
      let most = 0
      yield* collect(bus, {
        group: "a",
        concurrency: 2,
        handle: () =>
          Effect.gen(function* () {
            most = Math.max(most, ++now)
            yield* Deferred.await(gate)
            now--
          })
      })
      yield* Effect.yieldNow

      const publishers = yield* Effect.forEach([0, 1, 2, 3], (lane) =>
        Effect.forkScoped(bus.publish("orders", lane, [record("o", "x")]))
      )
      yield* until("two are in hand", () => now === 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(publishers)

      assert.strictEqual(most, 2)
    }).pipe(Effect.scoped, Effect.provide(EmbeddedBus.layer))
  )
})
