/** Which cancels wait for delivery, and how long one that could not be delivered rests. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { OrderId } from "../../src/domain/Ids.ts"
import { Cancels } from "../../src/engine/Cancels.ts"

const order = OrderId.make("one")

/** After how many milliseconds a cancel that was put off now is taken up again. */
const pauseAfterFailure = Effect.gen(function* () {
  const cancels = yield* Cancels
  yield* cancels.putOff(order)
  yield* cancels.release(order)
  const taken = yield* Effect.forkChild(cancels.take)
  for (let waited = 0; waited <= 60_000; waited += 500) {
    yield* cancels.want(order)
    yield* Effect.yieldNow
    if (taken.pollUnsafe() !== undefined) return waited
    yield* TestClock.adjust(500)
  }
  return yield* Effect.die(new Error("it was never taken up again"))
})

describe("Cancels", () => {
  it.effect("a cancel that cannot be delivered is tried at growing pauses, never further apart than 30 s", () =>
    Effect.gen(function* () {
      const pauses: Array<number> = []
      for (let failure = 0; failure < 8; failure++) pauses.push(yield* pauseAfterFailure)

      assert.deepStrictEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    }).pipe(Effect.provide(Cancels.layer))
  )

  it.effect("a cancel that was delivered at last begins with the short pause when it is wanted anew", () =>
    Effect.gen(function* () {
      const cancels = yield* Cancels
      for (let failure = 0; failure < 5; failure++) yield* pauseAfterFailure

      yield* cancels.done(order)

      assert.strictEqual(yield* pauseAfterFailure, 1_000)
    }).pipe(Effect.provide(Cancels.layer))
  )

  it.effect(
    "a cancel that is being delivered is taken by nobody else, and is not forgotten when it is wanted again",
    () =>
      Effect.gen(function* () {
        const cancels = yield* Cancels
        yield* cancels.want(order)
        yield* cancels.take
        yield* cancels.want(order)
        const second = yield* Effect.forkChild(cancels.take)
        yield* TestClock.adjust("10 seconds")
        assert.isUndefined(second.pollUnsafe())

        yield* cancels.release(order)

        assert.strictEqual(yield* Fiber.join(second), order)
        yield* cancels.release(order)
        const third = yield* Effect.forkChild(cancels.take)
        yield* TestClock.adjust("10 seconds")
        assert.isUndefined(third.pollUnsafe())
      }).pipe(Effect.provide(Cancels.layer))
  )

  it.effect("the pause of one order holds back no other", () =>
    Effect.gen(function* () {
      const cancels = yield* Cancels
      yield* cancels.putOff(order)

      yield* cancels.want(order)
      yield* cancels.want(OrderId.make("other"))

      assert.strictEqual(yield* cancels.take, "other")
    }).pipe(Effect.provide(Cancels.layer))
  )

  it.effect("a cancel that is wanted a hundred times before it is taken is delivered once", () =>
    Effect.gen(function* () {
      const cancels = yield* Cancels
      yield* Effect.repeat(cancels.want(order), { times: 99 })

      assert.strictEqual(yield* cancels.take, order)
      const second = yield* Effect.forkChild(cancels.take)
      yield* Effect.yieldNow
      assert.isUndefined(second.pollUnsafe())
      yield* Fiber.interrupt(second)
    }).pipe(Effect.provide(Cancels.layer))
  )
})
