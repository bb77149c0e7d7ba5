/** How long orders are held back when the exchange refuses our keys, and what lets them go again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { OrderUnknown, OutcomeUnknown, Refused } from "../../src/binance/BinanceError.ts"
import { type Credentials, makeCredentials } from "../../src/binance/Credentials.ts"

const revoked = new Refused({ code: "-2015", exchangeMessage: "Invalid API-key.", repeatable: true })
const poor = new Refused({ code: "-2010", exchangeMessage: "Account has insufficient balance.", repeatable: false })
const late = new Refused({ code: "-1021", exchangeMessage: "Timestamp.", repeatable: true })
const lost = new OutcomeUnknown({ cause: new Error("cut") })

const withCredentials = <A, E>(use: (credentials: Credentials) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_000_000)
    return yield* use(makeCredentials())
  })

describe("refused keys", () => {
  it.effect("hold back all orders for half a minute, then let one alone go", () =>
    withCredentials((credentials) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* credentials.admit, "pass")
        yield* credentials.observe("submit", revoked)
        yield* TestClock.adjust("29999 millis")
        assert.strictEqual(yield* credentials.admit, "refuse")

        yield* TestClock.adjust("1 millis")

        assert.strictEqual(yield* credentials.admit, "probe")
        assert.strictEqual(yield* credentials.admit, "refuse")
      })
    )
  )

  it.effect("are asked about ever more rarely, and every five minutes at last", () =>
    withCredentials((credentials) =>
      Effect.gen(function* () {
        for (const seconds of [30, 60, 120, 240, 300, 300]) {
          yield* credentials.observe("submit", revoked)
          // Many were under way: they make the pause no longer.
          yield* credentials.observe("submit", revoked)
          yield* TestClock.adjust((seconds - 1) * 1_000)
          assert.strictEqual(yield* credentials.admit, "refuse", `${seconds} s`)
          yield* TestClock.adjust(1_000)
          assert.strictEqual(yield* credentials.admit, "probe", `${seconds} s`)
        }
      })
    )
  )

  it.effect("are taken again when the probe's order was looked at, whatever became of it", () =>
    withCredentials((credentials) =>
      Effect.gen(function* () {
        for (const answer of [null, poor, new OrderUnknown({ code: "-2013" })]) {
          yield* credentials.observe("submit", revoked)
          yield* TestClock.adjust("30 seconds")
          yield* credentials.admit

          yield* credentials.observe("submit", answer)

          assert.strictEqual(yield* credentials.admit, "pass")
          assert.isNull(credentials.refusal())
        }
      })
    )
  )

  it.effect("stay refused when the probe's answer says nothing about them; another one goes at once", () =>
    withCredentials((credentials) =>
      Effect.gen(function* () {
        yield* credentials.observe("submit", revoked)
        yield* TestClock.adjust("30 seconds")
        for (const answer of [late, lost]) {
          assert.strictEqual(yield* credentials.admit, "probe")

          yield* credentials.observe("submit", answer)
        }

        assert.strictEqual(yield* credentials.admit, "probe")
        credentials.leave()
        assert.strictEqual(yield* credentials.admit, "probe")
        assert.strictEqual(credentials.refusal(), "-2015 Invalid API-key.")
      })
    )
  )

  it.effect("are not taken for good because a question is answered, when it was an order that they may not place", () =>
    withCredentials((credentials) =>
      Effect.gen(function* () {
        yield* credentials.observe("submit", revoked)
        yield* credentials.observe("query", null)
        assert.strictEqual(yield* credentials.admit, "refuse")

        yield* credentials.observe("cancel", null)

        assert.strictEqual(yield* credentials.admit, "pass")
      })
    )
  )

  it.effect("let the next probe go when one is never heard of again", () =>
    withCredentials((credentials) =>
      Effect.gen(function* () {
        yield* credentials.observe("query", revoked)
        yield* TestClock.adjust("30 seconds")
        yield* credentials.admit

        yield* TestClock.adjust("20 seconds")

        assert.strictEqual(yield* credentials.admit, "probe")
      })
    )
  )
})
