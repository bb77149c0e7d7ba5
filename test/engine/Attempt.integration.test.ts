import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  duplicateOrder,
  ExchangeScript,
  expires,
  filled,
  filledInTwoTrades,
  limit,
  market,
  notSent,
  rateLimited,
  refused,
  rests,
  TestNexus
} from "../layers.ts"
import { filledOf, hasEnded, isResting, isUnknown, scripted, story } from "./scripted.ts"

const buy = market("BUY", "0.01")

describe("Attempt", () => {
  it.live("an order that the exchange takes rests there, confirmed, after one submission", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("rests", limit("BUY", "0.01", "50000"))

      const order = yield* nexus.until("rests", isResting)

      assert.strictEqual(yield* story("rests"), "OrderPlaced SubmissionStarted SubmissionAccepted")
      const [sent] = yield* (yield* ExchangeScript).submissions
      assert.strictEqual(sent?.timestamp, order.attempt?.timestamp)
      assert.strictEqual(sent?.clientOrderId, order.clientOrderId)
    }).pipe(scripted([rests]))
  )

  it.live("an order filled in two trades is COMPLETED with both, and with their fees", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("two", buy)

      const order = yield* nexus.until("two", hasEnded)

      assert.strictEqual(
        yield* story("two"),
        "OrderPlaced SubmissionStarted SubmissionAccepted OrderFilled OrderFilled OrderCompleted"
      )
      assert.strictEqual(filledOf(order), "0.01")
    }).pipe(scripted([filledInTwoTrades]))
  )

  it.live("an order that meets nobody ends FAILED with the exchange's own word for it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("nobody", buy)

      const order = yield* nexus.until("nobody", hasEnded)

      assert.strictEqual(order.status, "FAILED")
      assert.include(`${order.reason?.code} ${order.reason?.message}`, "NO_LIQUIDITY")
    }).pipe(scripted([expires]))
  )

  it.live(
    "a final refusal ends the order FAILED with the exchange's code and sentence, and nothing is sent again",
    () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* nexus.place("poor", buy)

        const order = yield* nexus.until("poor", hasEnded)
        yield* nexus.advance("10 minutes")

        assert.deepStrictEqual(
          [order.status, order.reason?.code, order.reason?.message],
          ["FAILED", "-2010", "Account has insufficient balance for requested action."]
        )
        assert.strictEqual((yield* (yield* ExchangeScript).submissions).length, 1)
      }).pipe(scripted([refused("-2010")]))
  )

  it.live("a refusal of the moment leaves the order PENDING, and a new attempt with a new timestamp fills it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("clock", buy)

      const order = yield* nexus.until("clock", hasEnded)

      assert.strictEqual(
        yield* story("clock"),
        "OrderPlaced SubmissionStarted SubmissionRefused SubmissionStarted SubmissionAccepted OrderFilled OrderCompleted"
      )
      const [first, second] = yield* (yield* ExchangeScript).submissions
      assert.isAbove(second?.timestamp ?? 0, first?.timestamp ?? 0)
      assert.strictEqual(order.attempt?.number, 2)
    }).pipe(scripted([refused("-1021", "Timestamp for this request is outside of the recvWindow.", true), filled]))
  )

  it.live("an order that meets a rate limit is not sent before the wait that the exchange asked for", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("limited", buy)
      const waiting = yield* nexus.until("limited", ({ attempt }) => attempt?.state === "REFUSED")
      const refusedAt = waiting.updatedAt
      assert.isAtLeast(waiting.nextAttemptAt - refusedAt, 30_000)

      yield* nexus.advance("29 seconds")
      assert.strictEqual((yield* nexus.order("limited")).status, "PENDING")
      yield* nexus.advance("2 seconds")

      const order = yield* nexus.until("limited", hasEnded)
      assert.strictEqual(order.status, "COMPLETED")
      const [, second] = yield* (yield* ExchangeScript).submissions
      assert.isAtLeast((second?.timestamp ?? 0) - refusedAt, 30_000)
    }).pipe(scripted([rateLimited(30_000), filled]))
  )

  it.live("an order that could not be sent waits as NOT_SENT and goes out again", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("wire", buy)
      yield* nexus.until("wire", hasEnded)

      const events = yield* nexus.events("wire")

      const refusals = events.flatMap((event) => (event._tag === "SubmissionRefused" ? [event] : []))
      assert.deepStrictEqual(
        refusals.map(({ code }) => code),
        ["NOT_SENT", "NOT_SENT"]
      )
      // With what kept it here: a trader may mend a connection, and waits out a ban.
      assert.match(refusals[0]?.message ?? "", /^nothing was sent to the exchange: ./)
      assert.strictEqual((yield* (yield* ExchangeScript).ledger).length, 1)
    }).pipe(scripted([notSent, notSent, filled]))
  )

  it.live("each repeat waits twice as long as the one before", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("backoff", buy)

      yield* nexus.until("backoff", hasEnded)

      const pauses = (yield* nexus.events("backoff")).flatMap((event) =>
        event._tag === "SubmissionRefused" ? [event.nextAttemptAt ?? 0] : []
      )
      const sent = (yield* (yield* ExchangeScript).submissions).map(({ timestamp }) => timestamp)
      assert.strictEqual(pauses.length, 3)
      for (const [index, from] of pauses.entries()) assert.isAtLeast(sent[index + 1] ?? 0, from)
      assert.isAtLeast((pauses[1] ?? 0) - (sent[1] ?? 0), 2 * 50)
      assert.isAtLeast((pauses[2] ?? 0) - (sent[2] ?? 0), 4 * 50)
    }).pipe(
      scripted([notSent, notSent, notSent, filled], {
        env: { NEXUS_EXECUTION_REPEAT_BACKOFF_MS: "50", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "20" }
      })
    )
  )

  it.live("an order whose id is open at the exchange already is adopted there, never sent anew", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* exchange.news("lost")
      yield* nexus.place("twin", limit("BUY", "0.01", "50000"))
      yield* nexus.until("twin", isUnknown)

      yield* nexus.advance("20 seconds")
      const order = yield* nexus.until("twin", isResting)

      const [there] = yield* exchange.ledger
      assert.strictEqual(order.exchangeOrderId, there?.exchangeOrderId)
      assert.strictEqual((yield* exchange.submissions).length, 1)
    }).pipe(scripted([duplicateOrder(rests)]))
  )
})
