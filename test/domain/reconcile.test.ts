import { assert, describe, it } from "@effect/vitest"
import type { ExchangeReport } from "../../src/domain/Command.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import type { OrderEvent } from "../../src/domain/Event.ts"
import type { Evidence, Question } from "../../src/domain/reconcile.ts"
import { conclusiveAt, mergeReports, questions, reconcile } from "../../src/domain/reconcile.ts"
import {
  absent,
  accepted,
  cancelledHere,
  doubted,
  now,
  orderAfter,
  placed,
  refused,
  resolved,
  started,
  trade
} from "./story.ts"

const binance = { deltaMillis: 10_000, stalenessMillis: 60_000 }
const simulator = { deltaMillis: 1_000, stalenessMillis: 1_000 }

// The attempt of every story was signed at `now` with a recvWindow of five seconds.
const conclusive = now + 5_000 + 10_000 + 60_000
const at = conclusive + 2_000

const lives: ReadonlyArray<readonly [string, ReadonlyArray<OrderEvent>]> = [
  ["was sent and never answered", [placed, started()]],
  ["was answered ambiguously", [placed, started(), doubted()]]
]
const inDoubt = orderAfter([placed, started(), doubted()])

const notFound = (askedAt: number, asked: ReadonlyArray<Question> = questions): Evidence => ({
  _tag: "NotFound",
  askedAt,
  asked
})

const snapshot = (over: Partial<ExchangeReport>): ExchangeReport => ({
  exchangeOrderId: "42",
  exchangeStatus: "NEW",
  expiryReason: "NONE",
  executedQuantity: decimal("0"),
  executedQuote: decimal("0"),
  transactTime: now,
  fills: [],
  source: "query",
  ...over
})

describe("a negative answer", () => {
  it("counts only after timestamp, window, engine delay and read staleness have all passed", () => {
    const { attempt } = inDoubt
    assert.isNotNull(attempt)
    assert.strictEqual(conclusiveAt(attempt, binance), conclusive)
    assert.strictEqual(conclusiveAt(attempt, simulator), now + 7_000)
  })

  it.each(lives)("one millisecond too early proves nothing about an order that %s", (_, life) => {
    for (const askedAt of [now, conclusive - 1, conclusive]) {
      assert.deepStrictEqual(reconcile(orderAfter(life), notFound(askedAt), binance, at), {
        _tag: "AskAgain",
        notBefore: conclusive
      })
    }
  })

  it.each(lives)("asked in time, of all four, proves absent an order that %s", (_, life) => {
    assert.deepStrictEqual(reconcile(orderAfter(life), notFound(conclusive + 1), binance, at), {
      _tag: "Record",
      command: {
        _tag: "RecordAbsence",
        at,
        attempt: 1,
        askedAt: conclusive + 1,
        evidence: ["order", "openOrders", "allOrders", "myTrades"],
        nextAttemptAt: at
      }
    })
  })

  it.each(questions)("without the answer of %s proves nothing, however late", (missing) => {
    const asked = questions.filter((question) => question !== missing)

    assert.deepStrictEqual(reconcile(inDoubt, notFound(conclusive + 86_400_000, asked), binance, at), {
      _tag: "AskAgain",
      notBefore: conclusive
    })
  })

  it("does not depend on the order of the questions, and one asked twice does not stand for another", () => {
    assert.strictEqual(reconcile(inDoubt, notFound(conclusive + 1, questions.toReversed()), binance, at)._tag, "Record")
    assert.strictEqual(
      reconcile(inDoubt, notFound(conclusive + 1, ["order", "order", "order", "order"]), binance, at)._tag,
      "AskAgain"
    )
  })

  it("names the newest attempt and waits out its window, not the first one's", () => {
    const later = { ...started(2), timestamp: now + 30_000 }
    const order = orderAfter([placed, started(), absent(), later])

    assert.deepStrictEqual(reconcile(order, notFound(conclusive + 1), binance, at), {
      _tag: "AskAgain",
      notBefore: conclusive + 30_000
    })
    const verdict = reconcile(order, notFound(conclusive + 30_001), binance, at)
    assert.isTrue(
      verdict._tag === "Record" && verdict.command._tag === "RecordAbsence" && verdict.command.attempt === 2
    )
  })

  it.each([
    ["was never sent", [placed]],
    ["was refused", [placed, started(), refused(now)]],
    ["was proven absent already", [placed, started(), absent()]],
    ["rests at the exchange", [placed, started(), accepted()]],
    ["has ended", [placed, cancelledHere()]],
    ["was ended by an operator while it was in doubt", [placed, started(), doubted(), resolved("FAILED")]],
    ["does not exist", []]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<OrderEvent>]>)(
    "settles nothing about an order that %s",
    (_, life) => {
      assert.deepStrictEqual(reconcile(orderAfter(life), notFound(conclusive + 1), binance, at), { _tag: "Settled" })
    }
  )
})

describe("a positive answer", () => {
  it.each([
    ...lives,
    ["was proven absent before", [placed, started(), absent()]],
    ["rests", [placed, started(), accepted()]]
  ] as typeof lives)("wins at any time for an order that %s", (_, life) => {
    const report = snapshot({ exchangeStatus: "FILLED", executedQuantity: decimal("2"), fills: [trade("1", "2")] })

    assert.deepStrictEqual(reconcile(orderAfter(life), { _tag: "Found", report }, binance, now), {
      _tag: "Record",
      command: { _tag: "RecordReport", at: now, report }
    })
  })
})

describe("two pieces of news of one order", () => {
  const fresh = snapshot({})
  const part = snapshot({
    exchangeStatus: "PARTIALLY_FILLED",
    executedQuantity: decimal("1"),
    fills: [trade("1", "1")]
  })
  const full = snapshot({ exchangeStatus: "FILLED", executedQuantity: decimal("2"), fills: [trade("2", "1")] })
  const cancelled = snapshot({ exchangeStatus: "CANCELED", executedQuantity: decimal("1") })
  const expired = snapshot({ exchangeStatus: "EXPIRED", expiryReason: "IOC" })

  it.each([
    ["NEW", "PARTIALLY_FILLED", fresh, part, "PARTIALLY_FILLED"],
    ["PARTIALLY_FILLED", "FILLED", part, full, "FILLED"],
    ["PARTIALLY_FILLED", "CANCELED at the same quantity", part, cancelled, "CANCELED"],
    ["NEW", "EXPIRED", fresh, expired, "EXPIRED"]
  ])("%s and %s are the further of both, whichever came first", (_one, _other, one, other, expected) => {
    for (const merged of [mergeReports(one, other), mergeReports(other, one)]) {
      assert.strictEqual(merged.exchangeStatus, expected)
      assert.strictEqual(merged.fills.length, one.fills.length + other.fills.length)
    }
  })

  it("keep the executed quantity and the reason that belong to the further state", () => {
    const merged = mergeReports(full, part)

    assert.strictEqual(format(merged.executedQuantity), "2")
    assert.strictEqual(mergeReports(fresh, expired).expiryReason, "IOC")
  })
})
