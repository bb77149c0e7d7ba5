/**
 * Decides what a command means for one order.
 *
 * Total, synchronous and deterministic: every command in every state gives events, no events
 * (nothing new), or a `Rejection`. Time and ids arrive inside the command, so replaying the
 * log gives the same decisions.
 *
 * Holds INV-2 (one OrderPlaced per id), INV-3 (at most one live attempt), INV-7 (a trade
 * counts once) and INV-8 (no end without evidence).
 */
import { DateTime, HashMap, Result } from "effect"
import type { Command, ExchangeReport } from "./Command.ts"
import * as Decimal from "./Decimal.ts"
import { requestHashOf } from "./Envelope.ts"
import type { Fill } from "./Event.ts"
import { OrderEvent } from "./Event.ts"
import type { Order } from "./Order.ts"
import { evolve, isEnded, isInDoubt, isLive, isOpen } from "./Order.ts"
import { conclusiveAt } from "./reconcile.ts"
import { Rejection } from "./Rejection.ts"

export type Decision = Result.Result<ReadonlyArray<OrderEvent>, Rejection>

const { cases } = OrderEvent

type Named<T extends Command["_tag"]> = Extract<Command, { readonly _tag: T }>

export const decide = (order: Order, command: Command): Decision => {
  switch (command._tag) {
    case "PlaceOrder":
      return place(order, command)
    case "CancelOrder":
      return cancel(order, command)
    case "StartSubmission":
      return startSubmission(order, command)
    case "ExpireStale":
      return Result.succeed(isStale(order, command.at) ? [stale(order)] : [])
    case "RecordReport":
      return Result.succeed(recordReport(order, command))
    case "ImportOrder":
      return Result.succeed(importOrder(order, command))
    case "RecordRefusal":
      return Result.succeed(recordRefusal(order, command))
    case "RecordDoubt":
      return Result.succeed(recordDoubt(order, command))
    case "RecordAbsence":
      return Result.succeed(recordAbsence(order, command))
    case "RecordReset":
      return Result.succeed(isAtExchange(order, command.attempt) ? [lostByReset] : [])
    case "RecordCancelRefusal":
      return Result.succeed(recordCancelRefusal(order, command))
    case "ParkOrder":
      return Result.succeed(
        order.status === null || order.parked
          ? []
          : [cases.OrderParked.make({ reason: command.reason, record: command.record })]
      )
    case "UnparkOrder":
      return Result.succeed(unpark(order, command))
    case "ResolveOrder":
      return resolve(order, command)
  }
}

const place = (order: Order, command: Named<"PlaceOrder">): Decision => {
  const { clientOrderId, denial, instrumentVersion, request, staleAt } = command
  if (order.request !== null) {
    return requestHashOf(order.request) === requestHashOf(request)
      ? Result.succeed([])
      : reject("ORDER_ID_TAKEN", "this id belongs to an order with another body; use a new id")
  }
  return Result.succeed([
    denial === null
      ? // Every order pays for this, and its parts have been checked where they came in.
        { _tag: "OrderPlaced", clientOrderId, request, instrumentVersion, staleAt }
      : cases.OrderDenied.make({ clientOrderId, request, ...denial })
  ])
}

const cancel = (order: Order, { reason }: Named<"CancelOrder">): Decision => {
  if (order.status === null) return reject("ORDER_NOT_FOUND", "no order has this id")
  if (order.status === "CANCELLED") return Result.succeed([])
  if (isEnded(order)) return reject("TOO_LATE", `the order is ${order.status}: there is nothing left to cancel`)
  if (!isLive(order)) return Result.succeed([cancelledHere(reason)])
  const waiting = order.cancelRequested && !order.cancelRefused
  return Result.succeed(waiting ? [] : [cases.CancelRequested.make({ reason })])
}

const startSubmission = (order: Order, command: Named<"StartSubmission">): Decision => {
  const { at, recvWindowMillis, timestamp } = command
  if (order.clientOrderId === null) return reject("ORDER_NOT_FOUND", "no order has this id")
  if (isStale(order, at)) return Result.succeed([stale(order)])
  if (order.parked) return reject("PARKED", "the order is parked")
  if (order.status !== "PENDING" || at < order.nextAttemptAt) return reject("NOT_DUE", "nothing may be sent now")
  return Result.succeed([
    cases.SubmissionStarted.make({
      attempt: (order.attempt?.number ?? 0) + 1,
      // The id was fixed when the order was placed: the same for all attempts.
      clientOrderId: order.clientOrderId,
      timestamp,
      recvWindowMillis
    })
  ])
}

const isStale = (order: Order, at: number): boolean => order.status === "PENDING" && at >= order.staleAt

const stale = (order: Order): OrderEvent =>
  cases.OrderFailed.make({
    code: "STALE",
    message:
      order.request?.validUntil === null
        ? "too old to be sent into another market: nothing was left at the exchange"
        : "valid_until has passed: nothing was left at the exchange"
  })

// The exchange is the authority on fills, and a fill can overtake our cancel on the wire, so no
// status refuses one. Everything else moves an order only forward.
const recordReport = (order: Order, { attempt, report }: Named<"RecordReport">): ReadonlyArray<OrderEvent> => {
  if (order.status === null) return []
  const fresh = newFills(order, report.fills)
  const booked = fresh.map((fill) => cases.OrderFilled.make({ ...fill, source: report.source }))
  // Under our client order id lives another order than the one we know: its trades are ours, its end is not.
  const another = order.exchangeOrderId !== null && order.exchangeOrderId !== report.exchangeOrderId
  if (isEnded(order) || another) return booked
  const accepted = acceptance(order, report, attempt ?? order.attempt?.number ?? 1)
  // An answer to an attempt that is not the newest changes nothing, but that its fills are booked, as its own.
  if (attempt !== undefined && attempt !== order.attempt?.number) {
    return booked.length === 0 ? [] : [...accepted, ...booked]
  }
  const filled = Decimal.add(order.filledQuantity, Decimal.sum(fresh.map((fill) => fill.quantity)))
  // An end is recorded only with or after fills that sum to it; till then the trades are fetched.
  const end = Decimal.equals(filled, report.executedQuantity) ? ending(report, order) : []
  return [...accepted, ...booked, ...end]
}

// One decision, so that no process ever finds it placed and not yet accepted: it would be sent a second time.
const importOrder = (order: Order, command: Named<"ImportOrder">): ReadonlyArray<OrderEvent> => {
  const { at, clientOrderId, report, request } = command
  const news = { _tag: "RecordReport", at, report } as const
  if (order.status !== null) return recordReport(order, news)
  const placed = cases.OrderPlaced.make({ clientOrderId, request, instrumentVersion: 0, staleAt: at })
  return [placed, ...recordReport(evolve(order, placed, at), news)]
}

const newFills = (order: Order, fills: ReadonlyArray<Fill>): ReadonlyArray<Fill> => {
  const seen = new Set<string>()
  return fills.filter(({ tradeId }) => {
    if (seen.has(tradeId) || HashMap.has(order.fills, tradeId)) return false
    seen.add(tradeId)
    return true
  })
}

const acceptance = (order: Order, report: ExchangeReport, attempt: number): ReadonlyArray<OrderEvent> =>
  isOpen(order)
    ? []
    : [
        cases.SubmissionAccepted.make({
          attempt,
          exchangeOrderId: report.exchangeOrderId,
          exchangeStatus: report.exchangeStatus,
          transactTime: report.transactTime,
          source: report.source
        })
      ]

const ending = (report: ExchangeReport, order: Order): ReadonlyArray<OrderEvent> => {
  const { executedQuantity, executedQuote, exchangeStatus, expiryReason, source } = report
  switch (exchangeStatus) {
    case "FILLED": {
      // Nothing is left of it there, and less was executed than was asked for: the exchange has taken the rest back.
      const quantity = order.request?.quantity ?? null
      if (quantity === null || !Decimal.isLess(executedQuantity, quantity)) {
        return [cases.OrderCompleted.make({ executedQuantity, executedQuote, source })]
      }
      const reason =
        `filled with ${Decimal.format(executedQuantity)} of ${Decimal.format(quantity)}: the exchange took the rest back, ` +
        "for self-trade prevention or because another program amended the order"
      return [cases.OrderCancelled.make({ reason, executedQuantity, source })]
    }
    case "CANCELED":
      return [
        cases.OrderCancelled.make({
          reason: order.cancelRequested
            ? "cancelled as requested"
            : expiryReason === "NONE"
              ? "cancelled at the exchange"
              : `cancelled at the exchange: ${expiryReason}`,
          executedQuantity,
          source
        })
      ]
    case "EXPIRED":
    case "EXPIRED_IN_MATCH":
    case "REJECTED":
      return [
        cases.OrderExpired.make({
          exchangeStatus,
          reason: expiryReason === "NONE" ? exchangeStatus : expiryReason,
          executedQuantity,
          source
        })
      ]
    default:
      // Open, or a word that this release does not know: never an end.
      return []
  }
}

// Outcomes of any attempt but the newest change nothing.
const inDoubt = (order: Order, attempt: number): boolean => isInDoubt(order) && order.attempt?.number === attempt

const isAtExchange = (order: Order, attempt: number): boolean =>
  (isInDoubt(order) || isOpen(order)) && order.attempt?.number === attempt

const recordRefusal = (order: Order, command: Named<"RecordRefusal">): ReadonlyArray<OrderEvent> => {
  const { attempt, code, message, nextAttemptAt } = command
  if (!inDoubt(order, attempt)) return []
  const refused = cases.SubmissionRefused.make({ attempt, code, message, nextAttemptAt })
  if (nextAttemptAt === null) return [refused, cases.OrderFailed.make({ code, message })]
  return [refused, ...cancelIfWanted(order)]
}

const recordDoubt = (order: Order, { attempt, cause }: Named<"RecordDoubt">): ReadonlyArray<OrderEvent> =>
  inDoubt(order, attempt) && order.attempt?.state === "STARTED"
    ? [cases.SubmissionUnknown.make({ attempt, cause })]
    : []

const recordAbsence = (order: Order, command: Named<"RecordAbsence">): ReadonlyArray<OrderEvent> => {
  const { askedAt, attempt, evidence, nextAttemptAt } = command
  return inDoubt(order, attempt)
    ? [cases.SubmissionProvenAbsent.make({ attempt, askedAt, evidence, nextAttemptAt }), ...cancelIfWanted(order)]
    : []
}

const lostByReset = cases.OrderFailed.make({
  code: "LOST_BY_RESET",
  message: "the exchange has forgotten all orders; what was executed since the last news of this one is not known"
})

const cancelIfWanted = (order: Order): ReadonlyArray<OrderEvent> =>
  order.cancelRequested ? [cancelledHere("cancelled as requested")] : []

const cancelledHere = (reason: string): OrderEvent =>
  cases.OrderCancelled.make({ reason, executedQuantity: Decimal.zero, source: "local" })

const recordCancelRefusal = (order: Order, command: Named<"RecordCancelRefusal">): ReadonlyArray<OrderEvent> =>
  isOpen(order) && order.cancelRequested && !order.cancelRefused
    ? [cases.CancelRefused.make({ code: command.code, message: command.message })]
    : []

// The last resort: whatever can still settle by evidence is not for a person to decide.
const resolve = (order: Order, command: Named<"ResolveOrder">): Decision => {
  const { as, by, evidence, reason } = command
  if (order.status === null) return reject("ORDER_NOT_FOUND", "no order has this id")
  if (isEnded(order)) return reject("TOO_LATE", `the order is ${order.status} already`)
  const goesOn = notStuck(order, command)
  if (goesOn !== null) return reject("NOT_STUCK", goesOn)
  return Result.succeed([cases.OperatorResolved.make({ as, by, reason, ...(evidence.length > 0 && { evidence }) })])
}

// A PENDING order waits for exactly what could not be handled: left out, nothing would ever carry the order on. One
// that the exchange has, or had, goes on by the exchange's news.
const unpark = (order: Order, { act, by, reason }: Named<"UnparkOrder">): ReadonlyArray<OrderEvent> => {
  if (!order.parked) return []
  const unparked = cases.OrderUnparked.make({ by, reason, act })
  return act === "skip" && order.status === "PENDING"
    ? [unparked, cases.OperatorResolved.make({ as: "FAILED", by, reason })]
    : [unparked]
}

/** Longer than a cancel ever takes while the exchange answers. */
const cancelPatienceMillis = 60_000

/** Why there is nothing to decide; null: the order is stuck. */
const notStuck = (order: Order, { at, margins }: Named<"ResolveOrder">): string | null => {
  if (order.parked) return null
  if (order.status === "PENDING") return "nothing of this order is at the exchange: cancel it instead"
  if (isInDoubt(order) && order.attempt !== null) {
    const deadline = conclusiveAt(order.attempt, margins)
    return at > deadline
      ? null
      : `the exchange is being asked, and its word can be final from ${isoTime(deadline)} on: resolve the order if it is in doubt after that`
  }
  if (!order.cancelRequested) return "the exchange has accepted this order: cancel it instead"
  const patience = order.updatedAt + cancelPatienceMillis
  return at > patience
    ? null
    : `its cancel is on the way: resolve the order if it is not cancelled after ${isoTime(patience)}`
}

const isoTime = (at: number): string => DateTime.formatIso(DateTime.makeUnsafe(at))

const reject = (code: Rejection["code"], message: string): Decision => Result.fail(new Rejection({ code, message }))
