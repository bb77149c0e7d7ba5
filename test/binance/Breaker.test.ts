/** When the exchange is left alone, and how it is found again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Breaker } from "../../src/binance/Breaker.ts"

const withBreaker = <A, E>(use: (breaker: Breaker["Service"]) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_000_000)
    return yield* use(yield* Breaker)
  }).pipe(Effect.provide(Breaker.layer))

const failTimes = (breaker: Breaker["Service"], times: number) =>
  Effect.forEach(Array.from({ length: times }), () => breaker.record("failed"), { discard: true })

describe("the circuit", () => {
  it.effect("opens after five failures within ten seconds, for all but cancels", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        yield* failTimes(breaker, 4)
        assert.strictEqual(yield* breaker.state, "closed")

        yield* failTimes(breaker, 1)

        const admissions = yield* Effect.forEach(["cancel", "query", "submit", "refresh"] as const, breaker.admit)
        assert.deepStrictEqual(admissions, ["pass", "refuse", "refuse", "refuse"])
      })
    )
  )

  it.effect("stays closed when failures are far apart and few", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        for (let count = 0; count < 20; count++) {
          yield* breaker.record("failed")
          yield* breaker.record("answered")
          yield* TestClock.adjust("6 seconds")
        }

        assert.strictEqual(yield* breaker.state, "closed")
      })
    )
  )

  it.effect("opens when more than half of the last twenty failed, however slowly", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        for (let count = 0; count < 9; count++) yield* breaker.record("answered")
        for (let count = 0; count < 10; count++) {
          yield* breaker.record("failed")
          yield* TestClock.adjust("6 seconds")
        }
        assert.strictEqual(yield* breaker.state, "closed")

        yield* breaker.record("failed")

        assert.strictEqual(yield* breaker.state, "open")
      })
    )
  )

  it.effect("lets one query through when the pause is over, and never an order", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        yield* failTimes(breaker, 5)
        yield* TestClock.adjust("1 second")

        assert.strictEqual(yield* breaker.admit("submit"), "probe")
        assert.strictEqual(yield* breaker.admit("query"), "pass")
        assert.strictEqual(yield* breaker.admit("query"), "refuse")
        assert.strictEqual(yield* breaker.admit("submit"), "refuse")

        yield* breaker.record("answered")
        assert.strictEqual(yield* breaker.admit("submit"), "pass")
      })
    )
  )

  it.effect("pauses longer each time the query fails, but never for long", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        yield* failTimes(breaker, 5)
        const pauses: Array<number> = []
        for (let round = 0; round < 6; round++) {
          let seconds = 0
          for (; (yield* breaker.state) === "open"; seconds++) yield* TestClock.adjust("1 second")
          pauses.push(seconds)
          yield* breaker.admit("query")
          yield* breaker.record("failed")
        }

        assert.deepStrictEqual(pauses, [1, 2, 4, 8, 8, 8])
      })
    )
  )

  it.effect("is not left half-open for ever by a query that never came back", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        yield* failTimes(breaker, 5)
        yield* TestClock.adjust("1 second")
        yield* breaker.admit("query")

        yield* TestClock.adjust("20 seconds")

        assert.strictEqual(yield* breaker.admit("query"), "pass")
      })
    )
  )
})
