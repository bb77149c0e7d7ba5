import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { OrderId } from "../../src/domain/Ids.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Reconciliation } from "../../src/engine/Reconciliation.ts"
import { until } from "../sql/until.ts"
import {
  acceptedLate,
  answerLost,
  duplicateOrder,
  ExchangeScript,
  filled,
  limit,
  market,
  neverArrived,
  rests,
  TestNexus
} from "../layers.ts"
import { filledOf, hasEnded, isResting, isUnknown, passesUntil, scripted, sound, story } from "./scripted.ts"
import { ScriptedExchange } from "../ScriptedExchange.ts"

const buy = market("BUY", "0.01")
/** recvWindow 5 s, δ 1 s and T 1 s of a simulator, and a second for clocks that differ. */
const conclusiveMillis = 8_000

/** The news of the exchange is lost, so that only a question can settle anything. */
const withoutNews = Effect.flatMap(ExchangeScript, (exchange) => exchange.news("lost"))

const questionsAsked = Effect.flatMap(ExchangeScript, ({ asked }) =>
  Effect.map(asked, ({ queryOrder = 0 }) => queryOrder)
)

/** Waits until the exchange was asked once more from now on, and the answer had time to be booked. */
const askedAgain = Effect.gen(function* () {
  const before = yield* questionsAsked
  yield* until(questionsAsked, (now) => now > before)
})

describe("Doubts", () => {
  it.live(
    "an order whose answer was lost is UNKNOWN, is asked about within seconds, and is adopted with its trades",
    () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* withoutNews
        yield* nexus.place("lost", buy)
        yield* nexus.until("lost", isUnknown)

        const order = yield* nexus.until("lost", hasEnded)

        assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
        assert.strictEqual(
          yield* story("lost"),
          "OrderPlaced SubmissionStarted SubmissionUnknown SubmissionAccepted OrderFilled OrderCompleted"
        )
        assert.strictEqual((yield* (yield* ExchangeScript).submissions).length, 1)
      }).pipe(scripted([answerLost(filled)]))
  )

  it.live("an order whose answer was lost is adopted from the news, without a question", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("told", limit("BUY", "0.01", "50000"))

      const order = yield* nexus.until("told", isResting)

      assert.strictEqual(order.attempt?.number, 1)
    }).pipe(scripted([answerLost(rests)]))
  )

  it.live("an id that is open at the exchange already is asked about within seconds, and never sent anew", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* withoutNews
      yield* nexus.place("twin", limit("BUY", "0.01", "50000"))
      yield* nexus.until("twin", isUnknown)

      const order = yield* nexus.until("twin", isResting)

      const [there] = yield* (yield* ExchangeScript).ledger
      assert.strictEqual(order.exchangeOrderId, there?.exchangeOrderId)
      assert.strictEqual((yield* (yield* ExchangeScript).submissions).length, 1)
    }).pipe(scripted([duplicateOrder(rests)]))
  )

  it.live("an order that never arrived is sent again only when every acceptance has become impossible", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* withoutNews
      yield* nexus.place("absent", buy)
      const doubtful = yield* nexus.until("absent", isUnknown)
      yield* askedAgain
      const left = (doubtful.attempt?.timestamp ?? 0) + conclusiveMillis - (yield* Clock.currentTimeMillis)

      yield* nexus.advance(left - 3_000)
      yield* askedAgain
      assert.strictEqual((yield* nexus.order("absent")).certainty, "UNKNOWN")
      assert.strictEqual((yield* exchange.submissions).length, 1)
      yield* nexus.advance("5 seconds")

      const order = yield* nexus.until("absent", hasEnded)
      assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 2])
      const [proof] = (yield* nexus.events("absent")).flatMap((event) =>
        event._tag === "SubmissionProvenAbsent" ? [event] : []
      )
      assert.isAbove(proof?.askedAt ?? 0, (doubtful.attempt?.timestamp ?? 0) + 7_000)
      assert.sameMembers([...(proof?.evidence ?? [])], ["order", "openOrders", "allOrders", "myTrades"])
      assert.strictEqual((yield* exchange.ledger).length, 1)
    }).pipe(scripted([neverArrived, filled]))
  )

  it.live("an order that the exchange accepts late, within its margin, is found and not sent again", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* withoutNews
      yield* nexus.place("late", buy)
      yield* nexus.until("late", isUnknown)
      yield* askedAgain

      yield* nexus.advance("20 seconds")

      const order = yield* nexus.until("late", hasEnded)
      assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 1])
      assert.strictEqual((yield* (yield* ExchangeScript).submissions).length, 1)
    }).pipe(scripted([acceptedLate(5_900)]))
  )

  it.live("an order that only the list of trades shows is not taken for absent", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* withoutNews
      yield* exchange.lagReads({ orders: 600_000, trades: 0 })
      yield* nexus.place("stale", buy)
      yield* nexus.until("stale", isUnknown)

      for (const _ of [1, 2, 3]) {
        yield* nexus.advance("20 seconds")
        yield* askedAgain
      }

      assert.strictEqual((yield* nexus.order("stale")).certainty, "UNKNOWN")
      assert.strictEqual((yield* exchange.submissions).length, 1)
      yield* exchange.lagReads({ orders: 0, trades: 0 })
      yield* nexus.advance("20 seconds")
      const order = yield* nexus.until("stale", hasEnded)
      assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 1])
    }).pipe(scripted([answerLost(filled)]))
  )

  it.live(
    "an order in doubt stays UNKNOWN while the exchange is away, however old it gets, and is adopted afterwards",
    () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const exchange = yield* ExchangeScript
        yield* withoutNews
        yield* exchange.lagReads({ orders: 3_600_000, trades: 3_600_000 })
        yield* nexus.place("old", buy)
        yield* nexus.until("old", isUnknown)
        yield* exchange.goAway

        for (const _ of [1, 2, 3, 4, 5]) {
          yield* nexus.advance("1 minute")
          yield* Effect.sleep(1)
        }

        assert.strictEqual((yield* nexus.order("old")).certainty, "UNKNOWN")
        yield* exchange.lagReads({ orders: 0, trades: 0 })
        yield* exchange.comeBack
        yield* nexus.advance("1 minute")
        assert.strictEqual((yield* nexus.until("old", hasEnded)).status, "COMPLETED")
      }).pipe(scripted([answerLost(filled)]))
  )

  it.live("an order that is proven absent while its cancel waits is CANCELLED in the same breath", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* withoutNews
      yield* nexus.place("gone", buy)
      yield* nexus.until("gone", isUnknown)
      const { outcome } = yield* nexus.cancel("gone")
      assert.strictEqual(outcome, "requested")

      yield* nexus.advance("10 seconds")
      yield* nexus.until("gone", hasEnded)

      assert.strictEqual(
        yield* story("gone"),
        "OrderPlaced SubmissionStarted SubmissionUnknown CancelRequested SubmissionProvenAbsent OrderCancelled"
      )
      assert.strictEqual((yield* exchange.submissions).length, 1)
      assert.strictEqual((yield* exchange.ledger).length, 0)
    }).pipe(scripted([neverArrived]))
  )

  it.live("what was asked and answered of an order in doubt stands where every replica can read it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const { read } = yield* Reconciliation
      yield* withoutNews
      yield* nexus.place("shown", buy)
      const { attempt } = yield* nexus.until("shown", isUnknown)

      const { doubtCount, doubts } = yield* until(read, (state) => state.doubts.some(({ asked }) => asked >= 2))

      const [doubt] = doubts
      assert.deepInclude(doubt, { orderId: OrderId.make("shown"), symbol: "BTCUSDT", attempt: 1 })
      assert.strictEqual(doubt?.conclusiveAt, (attempt?.timestamp ?? 0) + 7_000)
      assert.deepStrictEqual(
        doubt?.evidence.map(({ answer, question }) => [question, answer]),
        [["order", "not found"]]
      )
      assert.isAbove(doubt?.nextCheckAt ?? 0, doubt?.evidence[0]?.at ?? 0)
      assert.strictEqual(doubtCount, 1)
      yield* passesUntil(Effect.map(nexus.order("shown"), hasEnded))
      yield* until(read, (state) => state.doubts.length === 0)
    }).pipe(scripted([neverArrived, filled]))
  )

  it.live(
    "attempts of the same symbol that lie more than half a day apart are surveyed apart, each from its own time",
    () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const exchange = yield* ExchangeScript
        yield* withoutNews
        yield* exchange.goAway
        const engine = yield* Engine
        const start = Effect.fnUntraced(function* (id: string) {
          yield* nexus.place(id, buy)
          const at = yield* Clock.currentTimeMillis
          yield* engine.tell(OrderId.make(id), { _tag: "StartSubmission", at, timestamp: at, recvWindowMillis: 5_000 })
          return at
        })
        const old = yield* start("old")
        yield* nexus.advance("13 hours")
        const young = yield* start("young")
        yield* nexus.advance("1 minute")

        yield* exchange.comeBack

        yield* passesUntil(Effect.map(nexus.order("young"), ({ attempt }) => attempt?.state === "ABSENT"))
        yield* passesUntil(Effect.map(nexus.order("old"), ({ attempt }) => attempt?.state === "ABSENT"))
        const from = yield* exchange.listedFrom
        assert.isTrue(from.some((startTime) => startTime <= old && startTime > old - 5_000))
        assert.isTrue(from.some((startTime) => startTime <= young && startTime > young - 5_000))
      }).pipe(scripted([], { roles: ["reconciler"], env: { NEXUS_EXECUTION_MAX_AGE_MS: "86400000" } }))
  )

  it.live("an attempt of a process that died after writing it down is asked about by the next one, and settled", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dead = ScriptedExchange([])
        const databaseUrl = yield* Effect.gen(function* () {
          const nexus = yield* TestNexus
          yield* nexus.place("orphan", buy)
          yield* (yield* Engine).tell(OrderId.make("orphan"), {
            _tag: "StartSubmission",
            at: yield* Clock.currentTimeMillis,
            timestamp: yield* Clock.currentTimeMillis,
            recvWindowMillis: 5_000
          })
          return nexus
        }).pipe(
          Effect.flatMap((first) =>
            Effect.gen(function* () {
              const nexus = yield* TestNexus
              assert.strictEqual((yield* nexus.order("orphan")).certainty, "UNCONFIRMED")
              yield* askedAgain

              yield* nexus.advance("20 seconds")

              const order = yield* nexus.until("orphan", hasEnded)
              assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 2])
              yield* sound
            }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([filled]), { databaseUrl: first.databaseUrl })))
          ),
          Effect.provide(TestNexus.on(dead, { roles: [] }))
        )
        return databaseUrl
      })
    )
  )
})
