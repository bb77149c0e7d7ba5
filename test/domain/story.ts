/**
 * How the tests of one order are told: given events, when a command, then events or a rejection.
 *
 * Every sentence also checks that the life it makes is a legal one, so that no test can expect
 * what the invariants forbid.
 */
import { assert } from "@effect/vitest"
import { assertEquals } from "@effect/vitest/utils"
import { Result } from "effect"
import type { Command, ExchangeReport } from "../../src/domain/Command.ts"
import { decimal, multiply } from "../../src/domain/Decimal.ts"
import { decide } from "../../src/domain/decide.ts"
import { encode, OrderEvent } from "../../src/domain/Event.ts"
import type { Fill, OrderRequest } from "../../src/domain/Event.ts"
import { ClientOrderId } from "../../src/domain/Ids.ts"
import { lifeFaults } from "../../src/domain/invariants.ts"
import type { Order } from "../../src/domain/Order.ts"
import { evolve, unplaced } from "../../src/domain/Order.ts"

export type Named<T extends Command["_tag"]> = Extract<Command, { readonly _tag: T }>

const { cases } = OrderEvent

/** The moment at which every command of a story is given, unless it says otherwise. */
export const now = 1_790_000_000_000
export const staleAt = now + 120_000
export const clientOrderId = ClientOrderId.make("nxxdiyraocxrspcrfuac4spv2n7ba3hu")

export const request: OrderRequest = {
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: decimal("2"),
  quoteQuantity: null,
  price: decimal("100"),
  validUntil: null
}

export const trade = (tradeId: string, quantity: string, price = "100"): Fill => ({
  tradeId,
  price: decimal(price),
  quantity: decimal(quantity),
  fee: decimal("0.001"),
  feeAsset: "BNB",
  at: now
})

// Events.
export const placed = cases.OrderPlaced.make({ clientOrderId, request, instrumentVersion: 1, staleAt })
export const denied = cases.OrderDenied.make({ clientOrderId, request, code: "LIMIT", message: "too much" })
export const started = (attempt = 1) =>
  cases.SubmissionStarted.make({ attempt, clientOrderId, timestamp: now, recvWindowMillis: 5_000 })
export const accepted = (exchangeStatus = "NEW", attempt = 1) =>
  cases.SubmissionAccepted.make({
    attempt,
    exchangeOrderId: "42",
    exchangeStatus,
    transactTime: now,
    source: "query"
  })
export const refused = (nextAttemptAt: number | null, attempt = 1) =>
  cases.SubmissionRefused.make({ attempt, code: "-1021", message: "outside of the recvWindow", nextAttemptAt })
export const doubted = (attempt = 1) => cases.SubmissionUnknown.make({ attempt, cause: "connection lost" })
export const absent = (attempt = 1) =>
  cases.SubmissionProvenAbsent.make({ attempt, askedAt: now, evidence: ["order"], nextAttemptAt: now })
export const filled = (tradeId: string, quantity: string) =>
  cases.OrderFilled.make({ ...trade(tradeId, quantity), source: "query" })
export const completed = (executedQuantity: string, executedQuote: string) =>
  cases.OrderCompleted.make({
    executedQuantity: decimal(executedQuantity),
    executedQuote: decimal(executedQuote),
    source: "query"
  })
export const cancelRequested = cases.CancelRequested.make({ reason: "by the client" })
export const cancelRefused = cases.CancelRefused.make({ code: "-2011", message: "Unknown order sent." })
export const cancelledHere = (reason = "cancelled as requested") =>
  cases.OrderCancelled.make({ reason, executedQuantity: decimal("0"), source: "local" })
export const cancelledThere = (executed: string, reason = "cancelled at the exchange") =>
  cases.OrderCancelled.make({ reason, executedQuantity: decimal(executed), source: "query" })
export const expired = (reason: string, executed: string, exchangeStatus = "EXPIRED") =>
  cases.OrderExpired.make({ exchangeStatus, reason, executedQuantity: decimal(executed), source: "query" })
export const failed = (code: string, message: string) => cases.OrderFailed.make({ code, message })
export const parked = cases.OrderParked.make({ reason: "unreadable", record: "{}" })
export const unparked = cases.OrderUnparked.make({ by: "ann", reason: "read it", act: "retry" })
export const resolved = (as: "COMPLETED" | "FAILED" | "CANCELLED") =>
  cases.OperatorResolved.make({ as, by: "ann", reason: "asked the exchange by telephone" })

// Commands.
export const place = (over: Partial<Named<"PlaceOrder">> = {}): Command => ({
  _tag: "PlaceOrder",
  at: now,
  request,
  clientOrderId,
  instrumentVersion: 1,
  staleAt,
  denial: null,
  ...over
})
export const cancel: Command = { _tag: "CancelOrder", at: now, reason: "by the client" }
export const start = (at = now): Command => ({
  _tag: "StartSubmission",
  at,
  timestamp: now,
  recvWindowMillis: 5_000
})
export const expireStale = (at: number): Command => ({ _tag: "ExpireStale", at })
export const report = (
  exchangeStatus: string,
  executed: string,
  fills: ReadonlyArray<Fill> = [],
  over: Partial<ExchangeReport> = {}
): Command => ({
  _tag: "RecordReport",
  at: now,
  report: {
    exchangeOrderId: "42",
    exchangeStatus,
    expiryReason: "NONE",
    executedQuantity: decimal(executed),
    executedQuote: multiply(decimal(executed), decimal("100")),
    transactTime: now,
    fills,
    source: "query",
    ...over
  }
})
/** What a report says of an order that only the exchange knows. */
export const importOrder = (told: Command): Command => {
  if (told._tag !== "RecordReport") return assert.fail("an import needs a report")
  return { _tag: "ImportOrder", at: now, request, clientOrderId, report: told.report }
}
export const refuse = (nextAttemptAt: number | null, attempt = 1): Command => ({
  _tag: "RecordRefusal",
  at: now,
  attempt,
  code: "-1021",
  message: "outside of the recvWindow",
  nextAttemptAt
})
export const doubt = (attempt = 1): Command => ({ _tag: "RecordDoubt", at: now, attempt, cause: "connection lost" })
export const absence = (attempt = 1): Command => ({
  _tag: "RecordAbsence",
  at: now,
  attempt,
  askedAt: now,
  evidence: ["order"],
  nextAttemptAt: now
})
export const refuseCancel: Command = {
  _tag: "RecordCancelRefusal",
  at: now,
  code: "-2011",
  message: "Unknown order sent."
}
export const reset = (attempt = 1): Command => ({ _tag: "RecordReset", at: now, attempt })
export const park: Command = { _tag: "ParkOrder", at: now, reason: "unreadable", record: "{}" }
export const unpark: Command = { _tag: "UnparkOrder", at: now, act: "retry", by: "ann", reason: "read it" }
export const margins = { deltaMillis: 10_000, stalenessMillis: 60_000 }
/** The last moment at which the exchange's word on an attempt of `now` is not final. */
export const conclusive = now + 5_000 + 10_000 + 60_000
export const resolve = (
  as: "COMPLETED" | "FAILED" | "CANCELLED",
  at = conclusive + 1,
  evidence: ReadonlyArray<string> = []
): Command => ({
  _tag: "ResolveOrder",
  at,
  as,
  by: "ann",
  reason: "asked the exchange by telephone",
  evidence,
  margins
})

export const orderAfter = (events: ReadonlyArray<OrderEvent>): Order =>
  events.reduce((order, event) => evolve(order, event, now), unplaced)

/** As the log writes them: a difference is shown in plain text. */
const written = (events: ReadonlyArray<OrderEvent>) => events.map(encode)

interface Told {
  /** Exactly these events, and the whole life is legal. */
  readonly gives: (...expected: ReadonlyArray<OrderEvent>) => { readonly leaves: (check: Partial<Order>) => void }
  readonly rejected: (code: string) => void
}

export const given = (...past: ReadonlyArray<OrderEvent>) => ({
  when: (command: Command): Told => {
    const decision = decide(orderAfter(past), command)
    return {
      gives: (...expected) => {
        const events = Result.getOrThrow(decision)
        assert.deepStrictEqual(written(events), written(expected))
        const life = [...past, ...events]
        assert.deepStrictEqual(lifeFaults(life.map((event) => ({ event, at: now }))), [])
        const after = orderAfter(life)
        return {
          leaves: (check) => {
            const seen = Object.fromEntries(Object.entries(after).filter(([key]) => key in check))
            assertEquals(seen, { ...check })
          }
        }
      },
      rejected: (code) => {
        if (Result.isSuccess(decision)) return assert.fail(`decided ${JSON.stringify(written(decision.success))}`)
        assert.strictEqual(decision.failure.code, code)
        assert.isNotEmpty(decision.failure.message)
      }
    }
  }
})
