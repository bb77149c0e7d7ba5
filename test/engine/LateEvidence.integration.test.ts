/** An operator's decision, made by another process than the one that knows the order, and what the exchange says afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"
import { OrderId } from "../../src/domain/Ids.ts"
import { DoubtStories, evidenceOf } from "../../src/engine/DoubtStories.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Settlement } from "../../src/engine/Settlement.ts"
import {
  answerLost,
  ExchangeScript,
  limit,
  market,
  neverArrived,
  rests,
  ScriptedExchange,
  slowly,
  TestNexus
} from "../layers.ts"
import { until } from "../sql/until.ts"
import { filledOf, isUnknown, scripted } from "./scripted.ts"

/** Nobody settles doubts here: the reconciler is away, as it is when the exchange is. */
const withoutReconciler = { roles: ["relay", "executor"] } as const
const buy = market("BUY", "0.01")
/** recvWindow 5 s, δ 1 s and T 1 s of a simulator. */
const conclusiveMillis = 7_000

const decision = (id: string) => ({
  orderId: OrderId.make(id),
  as: "FAILED" as const,
  by: "ann",
  reason: "asked by telephone",
  evidence: []
})

describe("an operator's decision", () => {
  it.live("made by another process is obeyed by the one that had the order in its memory", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("stuck", buy)
      yield* nexus.until("stuck", isUnknown)
      const other = yield* Layer.build(
        TestNexus.on(ScriptedExchange([]), { databaseUrl: nexus.databaseUrl, clock: nexus.clock, roles: [] })
      )
      const elsewhere = Context.get(other, Engine)

      const early = yield* Effect.flip(elsewhere.resolve(decision("stuck")))
      yield* nexus.advance(conclusiveMillis + 1_000)
      yield* elsewhere.resolve(decision("stuck"))
      const late = yield* Effect.flip(nexus.cancel("stuck"))

      assert.strictEqual(early._tag === "Rejection" ? early.code : early._tag, "NOT_STUCK")
      assert.strictEqual(late._tag === "Rejection" ? late.code : late._tag, "TOO_LATE")
      assert.strictEqual((yield* nexus.order("stuck")).status, "FAILED")
    }).pipe(Effect.scoped, scripted([neverArrived], withoutReconciler))
  )

  it.live("is contradicted by what the exchange executed: booked, and an alarm, each time once", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const engine = yield* Engine
      const settlement = yield* Settlement
      const script = yield* ExchangeScript
      yield* script.news("lost")
      yield* nexus.place("executed", buy)
      const { clientOrderId } = yield* nexus.until("executed", isUnknown)
      yield* nexus.advance(conclusiveMillis + 1_000)
      yield* engine.resolve(decision("executed"))
      const [there] = yield* script.ledger
      // As a query tells it: without its trades, which have to be fetched.
      const news = {
        exchangeOrderId: there?.exchangeOrderId ?? "",
        exchangeStatus: "FILLED",
        expiryReason: "NONE",
        executedQuantity: Decimal.decimal("0.01"),
        executedQuote: Decimal.decimal("600"),
        transactTime: 0,
        fills: [],
        source: "query" as const
      }

      yield* settlement.record(OrderId.make("executed"), news)
      yield* settlement.record(OrderId.make("executed"), news)

      const order = yield* nexus.order("executed")
      assert.strictEqual(there?.clientOrderId, clientOrderId)
      assert.deepStrictEqual([order.status, filledOf(order)], ["FAILED", "0.01"])
      // That it ended there as FILLED, and its trade.
      assert.strictEqual((yield* engine.load).lateEvidence, 2)
    }).pipe(scripted([answerLost()], withoutReconciler))
  )

  it.live("is contradicted by a fill that the user stream brings, and the order stays ended", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const engine = yield* Engine
      const script = yield* ExchangeScript
      yield* script.news("held")
      yield* nexus.place("late", buy)
      yield* nexus.until("late", isUnknown)
      yield* nexus.advance(conclusiveMillis + 1_000)
      yield* engine.resolve(decision("late"))

      for (const event of yield* script.heldNews) yield* script.push(event)

      const order = yield* nexus.until("late", (seen) => filledOf(seen) === "0.01")
      assert.strictEqual(order.status, "FAILED")
      yield* until(engine.load, ({ lateEvidence }) => lateEvidence > 0)
    }).pipe(scripted([answerLost()], { roles: ["relay", "executor", "reports"] }))
  )

  it.live("does not leave an order in the book: what is open there after it ended here is cancelled there", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const engine = yield* Engine
      const script = yield* ExchangeScript
      yield* script.news("lost")
      yield* nexus.place("left", limit("BUY", "0.01", "50000"))
      yield* nexus.until("left", ({ status }) => status === "EXECUTING")
      yield* script.goAway
      yield* nexus.until("left", isUnknown)
      yield* nexus.advance(conclusiveMillis + 1_000)
      yield* engine.resolve(decision("left"))

      // The comparison leaves what has just changed to the next one.
      yield* nexus.advance("1 minute")
      yield* script.comeBack
      yield* script.news("live")

      yield* until(script.ledger, ([there]) => there?.status === "CANCELED")
      assert.isAbove((yield* engine.load).lateEvidence, 0)
      assert.strictEqual((yield* nexus.order("left")).status, "FAILED")
    }).pipe(scripted([slowly(300, answerLost(rests))]))
  )

  it.live("rests on a story that names every attempt and what became of it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("told", buy)
      yield* nexus.until("told", isUnknown)

      const story = yield* (yield* DoubtStories).of(OrderId.make("told"))

      if (story === null) return assert.fail("there is no story")
      const { attempts, conclusiveAt, since } = story
      assert.deepStrictEqual(
        attempts.map(({ number, outcome }) => [number, outcome]),
        [[1, "UNKNOWN"]]
      )
      assert.strictEqual(conclusiveAt, (attempts[0]?.timestamp ?? 0) + conclusiveMillis)
      assert.isAtMost(since, conclusiveAt)
      assert.match(
        evidenceOf(story).join("\n"),
        /^attempt 1, sent as of .+Z for 5000 ms: UNKNOWN \(.+\)\nthe exchange was not asked yet$/
      )
    }).pipe(scripted([neverArrived], withoutReconciler))
  )

  it.live("rests on what the reconciler asked and heard, and knows when it asks next", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const stories = yield* DoubtStories
      yield* nexus.place("asked", buy)
      yield* nexus.until("asked", isUnknown)

      const story = yield* until(stories.of(OrderId.make("asked")), (told) => (told?.asked ?? 0) > 0)

      if (story === null) return assert.fail("there is no story")
      assert.deepInclude(story.answers[0], { question: "order" })
      assert.isAtLeast(story.nextCheckAt ?? 0, story.answers[0]?.at ?? Number.NaN)
      assert.match(evidenceOf(story).join("\n"), /the exchange was asked \d+ times\norder, at .+Z: .+/)
    }).pipe(scripted([neverArrived]))
  )
})
