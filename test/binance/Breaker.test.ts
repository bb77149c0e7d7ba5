/** When the exchange is left alone, and how it is found again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Reason } from "../../src/binance/BinanceError.ts"
import { NotSent, OutcomeUnknown } from "../../src/binance/BinanceError.ts"
import { Breaker, circuitResult, type CircuitResult } from "../../src/binance/Breaker.ts"
import { classify } from "../../src/binance/classify.ts"

const silence = new OutcomeUnknown({ cause: new Error("no answer in time") })

const withBreaker = <A, E>(use: (breaker: Breaker["Service"]) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_000_000)
    return yield* use(yield* Breaker)
  }).pipe(Effect.provide(Breaker.layer))

const failTimes = (breaker: Breaker["Service"], times: number) =>
  Effect.forEach(Array.from({ length: times }), () => breaker.record(silence), { discard: true })

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
          yield* breaker.record(silence)
          yield* breaker.record(null)
          yield* TestClock.adjust("6 seconds")
        }

        assert.strictEqual(yield* breaker.state, "closed")
      })
    )
  )

  it.effect("opens when more than half of the last twenty failed, however slowly", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        for (let count = 0; count < 9; count++) yield* breaker.record(null)
        for (let count = 0; count < 10; count++) {
          yield* breaker.record(silence)
          yield* TestClock.adjust("6 seconds")
        }
        assert.strictEqual(yield* breaker.state, "closed")

        yield* breaker.record(silence)

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

        yield* breaker.record(null)
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
          yield* breaker.record(silence)
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

const answered = (status: number, code: number | null, message = "", headers = {}): Reason =>
  classify({ status, headers, body: code === null ? "" : JSON.stringify({ code, msg: message }) })

const failed = { _tag: "Failed" } as const
const spoke = { _tag: "Answered" } as const
const seconds = { "retry-after": "7" }

/** Each class of result, what it means for the circuit, and what five of them in a row make of it. */
const table: ReadonlyArray<readonly [name: string, Reason | null, CircuitResult, "open" | "closed"]> = [
  ["a connection that is refused", new NotSent({ cause: new Error("ECONNREFUSED") }), failed, "open"],
  ["a name that is not found", new NotSent({ cause: new Error("ENOTFOUND") }), failed, "open"],
  ["a TLS handshake that fails", new NotSent({ cause: new Error("CERT_HAS_EXPIRED") }), failed, "open"],
  ["no answer in time", silence, failed, "open"],
  ["a reset after the request was written", new OutcomeUnknown({ cause: new Error("ECONNRESET") }), failed, "open"],
  ["a gateway's error page", answered(502, null), failed, "open"],
  ["an overloaded front end", answered(503, null), failed, "open"],
  ["an unexpected response of the exchange's inside", answered(400, -1006), failed, "open"],
  ["a time-out of the exchange's inside", answered(408, -1007), failed, "open"],
  ["too much weight", answered(429, -1003, "", seconds), spoke, "closed"],
  ["too many new orders", answered(429, -1015, "", seconds), spoke, "closed"],
  ["a firewall", answered(403, null), spoke, "closed"],
  ["a ban", answered(418, -1003, "", seconds), { _tag: "Banned", millis: 7_000 }, "open"],
  ["a refused timestamp", answered(400, -1021), spoke, "closed"],
  ["a balance that is too small", answered(400, -2010, "Account has insufficient balance"), spoke, "closed"],
  ["a filter that fails", answered(400, -1013, "Filter failure: LOT_SIZE"), spoke, "closed"],
  ["an order that is not known", answered(400, -2013), spoke, "closed"],
  ["an order that is open already", answered(400, -2010, "Duplicate order sent."), spoke, "closed"],
  ["keys that are refused", answered(401, -2015), spoke, "closed"],
  ["a success", null, spoke, "closed"]
]

describe("the circuit after five times", () => {
  for (const [name, reason, result, after] of table) {
    it.effect(`${name} is ${after}`, () =>
      withBreaker((breaker) =>
        Effect.gen(function* () {
          for (let count = 0; count < 5; count++) yield* breaker.record(reason)

          assert.deepStrictEqual(circuitResult(reason), result)
          assert.strictEqual(yield* breaker.state, after)
        })
      )
    )
  }
})

describe("a ban", () => {
  const ban = answered(418, -1003, "", { "retry-after": "120" })

  it.effect("opens the circuit at once and until its end, whatever else comes in", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        yield* breaker.record(ban)
        yield* breaker.record(null)

        yield* TestClock.adjust("119 seconds")
        assert.strictEqual(yield* breaker.admit("query"), "refuse")
        yield* TestClock.adjust("1 second")

        assert.strictEqual(yield* breaker.admit("submit"), "probe")
      })
    )
  )

  it.effect("that grows while it lasts is waited out to its new end", () =>
    withBreaker((breaker) =>
      Effect.gen(function* () {
        yield* breaker.record(ban)
        yield* TestClock.adjust("60 seconds")
        yield* breaker.record(ban)

        yield* TestClock.adjust("119 seconds")
        assert.strictEqual(yield* breaker.state, "open")
        yield* TestClock.adjust("1 second")

        assert.strictEqual(yield* breaker.state, "half-open")
      })
    )
  )
})
