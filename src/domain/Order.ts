/**
 * One order as the fold of its events. `evolve` never refuses: what is in the log happened.
 *
 * Status: PENDING (no live attempt) → EXECUTING (from SubmissionStarted on; back to PENDING after a
 * repeatable refusal or proven absence) → COMPLETED | FAILED | CANCELLED, which are absorbing.
 * Certainty, a wanted cancel and the fills are axes of their own, never folded into the status.
 */
import { HashMap, HashSet, Option } from "effect"
import * as Decimal from "./Decimal.ts"
import type { Fill, OrderRequest } from "./Event.ts"
import { OrderEvent } from "./Event.ts"
import type { ClientOrderId, EpochMillis } from "./Ids.ts"

export const statuses = ["PENDING", "EXECUTING", "COMPLETED", "FAILED", "CANCELLED"] as const
export type Status = (typeof statuses)[number]

/** CONFIRMED: nothing is open between us and the exchange. UNCONFIRMED: sent, no answer yet. UNKNOWN: the answer was ambiguous. */
export type Certainty = "CONFIRMED" | "UNCONFIRMED" | "UNKNOWN"

/** What became of an attempt. STARTED and UNKNOWN are in doubt: its bytes may have left. */
export type AttemptState = "STARTED" | "UNKNOWN" | "ACCEPTED" | "REFUSED" | "ABSENT"

export interface Attempt {
  readonly number: number
  readonly timestamp: EpochMillis
  readonly recvWindowMillis: number
  readonly startedAt: EpochMillis
  readonly state: AttemptState
}

export interface Reason {
  readonly code: string
  readonly message: string
}

export interface Order {
  /** Null before the first event. */
  readonly status: Status | null
  readonly request: OrderRequest | null
  readonly clientOrderId: ClientOrderId | null
  readonly placedAt: EpochMillis
  readonly updatedAt: EpochMillis
  readonly staleAt: EpochMillis
  /** The newest attempt; older ones are settled, for a new one is made only then. */
  readonly attempt: Attempt | null
  /** When a PENDING order may be attempted again; 0: at once. */
  readonly nextAttemptAt: EpochMillis
  readonly exchangeOrderId: string | null
  readonly certainty: Certainty
  readonly cancelRequested: boolean
  /** The exchange has refused the cancel that was requested. */
  readonly cancelRefused: boolean
  readonly fills: HashMap.HashMap<string, Fill>
  readonly filledQuantity: Decimal.Decimal
  readonly filledQuote: Decimal.Decimal
  readonly fees: HashMap.HashMap<string, Decimal.Decimal>
  /** Why the order is where it is, in words of a trader. */
  readonly reason: Reason | null
  readonly parked: boolean
}

export const unplaced: Order = {
  status: null,
  request: null,
  clientOrderId: null,
  placedAt: 0,
  updatedAt: 0,
  staleAt: 0,
  attempt: null,
  nextAttemptAt: 0,
  exchangeOrderId: null,
  certainty: "CONFIRMED",
  cancelRequested: false,
  cancelRefused: false,
  fills: HashMap.empty(),
  filledQuantity: Decimal.zero,
  filledQuote: Decimal.zero,
  fees: HashMap.empty(),
  reason: null,
  parked: false
}

export const isEnded = (order: Order): boolean =>
  order.status === "COMPLETED" || order.status === "FAILED" || order.status === "CANCELLED"

/**
 * The newest attempt may be at the exchange: nothing new may be sent before that is settled.
 * An order that an operator ended is in doubt no more: a late outcome must not wake it.
 */
export const isInDoubt = (order: Order): boolean =>
  order.status === "EXECUTING" && (order.attempt?.state === "STARTED" || order.attempt?.state === "UNKNOWN")

/** Some attempt is in doubt or lives at the exchange. */
export const isLive = (order: Order): boolean => isInDoubt(order) || order.attempt?.state === "ACCEPTED"

/** Known to the exchange and not ended: what a cancel can go out for. */
export const isOpen = (order: Order): boolean => order.status === "EXECUTING" && order.attempt?.state === "ACCEPTED"

/** Where an order stands, as the table of legal lives counts it (invariants.ts). */
export type Phase = "NEW" | "PENDING" | "SENT" | "DOUBT" | "OPEN" | "COMPLETED" | "FAILED" | "CANCELLED"

export const phaseOf = (order: Order): Phase => {
  if (order.status === null) return "NEW"
  if (order.status !== "EXECUTING") return order.status
  if (order.attempt?.state === "ACCEPTED") return "OPEN"
  return order.attempt?.state === "UNKNOWN" ? "DOUBT" : "SENT"
}

/** Null while nothing is filled. Cut to 16 digits after the point. */
export const averagePrice = (order: Order): Decimal.Decimal | null =>
  Decimal.isZero(order.filledQuantity) ? null : Decimal.divide(order.filledQuote, order.filledQuantity, 16)

export const fillsInOrder = (order: Order): ReadonlyArray<Fill> =>
  Array.from(HashMap.values(order.fills)).sort(
    (a, b) => a.at - b.at || a.tradeId.length - b.tradeId.length || (a.tradeId < b.tradeId ? -1 : 1)
  )

/** Applies one event that happened at `at`. */
export const evolve = (order: Order, event: OrderEvent, at: EpochMillis): Order => ({
  ...apply(order, event, at),
  updatedAt: at
})

const apply = (order: Order, event: OrderEvent, at: EpochMillis): Order => {
  switch (event._tag) {
    case "OrderPlaced":
      return {
        ...order,
        status: "PENDING",
        request: event.request,
        clientOrderId: event.clientOrderId,
        placedAt: at,
        staleAt: event.staleAt
      }
    case "OrderDenied":
      return {
        ...order,
        status: "FAILED",
        request: event.request,
        clientOrderId: event.clientOrderId,
        placedAt: at,
        reason: { code: event.code, message: event.message }
      }
    case "SubmissionStarted":
      return {
        ...order,
        status: "EXECUTING",
        certainty: "UNCONFIRMED",
        reason: null,
        attempt: {
          number: event.attempt,
          timestamp: event.timestamp,
          recvWindowMillis: event.recvWindowMillis,
          startedAt: at,
          state: "STARTED"
        }
      }
    case "SubmissionAccepted":
      return {
        ...order,
        attempt: accepted(order.attempt, event, at),
        status: "EXECUTING",
        certainty: "CONFIRMED",
        exchangeOrderId: event.exchangeOrderId,
        reason: null
      }
    case "SubmissionRefused":
      return {
        ...settled(order, "REFUSED"),
        status: "PENDING",
        certainty: "CONFIRMED",
        nextAttemptAt: event.nextAttemptAt ?? 0,
        reason: { code: event.code, message: event.message }
      }
    case "SubmissionUnknown":
      return { ...settled(order, "UNKNOWN"), certainty: "UNKNOWN", reason: { code: "UNKNOWN", message: event.cause } }
    case "SubmissionProvenAbsent":
      return {
        ...settled(order, "ABSENT"),
        status: "PENDING",
        certainty: "CONFIRMED",
        nextAttemptAt: event.nextAttemptAt,
        reason: { code: "PROVEN_ABSENT", message: "the exchange has no such order: nothing was executed" }
      }
    case "OrderFilled":
      return withFill(order, event)
    case "OrderCompleted":
      return { ...order, status: "COMPLETED", certainty: "CONFIRMED", reason: null }
    case "CancelRequested":
      return { ...order, cancelRequested: true, cancelRefused: false }
    case "CancelRefused":
      return { ...order, cancelRefused: true, reason: { code: event.code, message: event.message } }
    case "OrderCancelled":
      return {
        ...order,
        status: "CANCELLED",
        certainty: "CONFIRMED",
        reason: { code: "CANCELLED", message: event.reason }
      }
    case "OrderExpired":
      return {
        ...order,
        status: endOfExpiry(event.executedQuantity, event.reason),
        certainty: "CONFIRMED",
        reason: { code: event.reason, message: `the exchange ended the order: ${event.exchangeStatus}` }
      }
    case "OrderFailed":
      return {
        ...order,
        status: "FAILED",
        certainty: "CONFIRMED",
        reason: { code: event.code, message: event.message }
      }
    case "OrderParked":
      return { ...order, parked: true }
    case "OrderUnparked":
      return { ...order, parked: false }
    case "OperatorResolved":
      return {
        ...order,
        status: event.as,
        certainty: "CONFIRMED",
        reason: { code: "OPERATOR", message: `${event.by}: ${event.reason}` }
      }
  }
}

const endedForOthers = new Set(["OCO_TRIGGER", "EXCHANGE_CANCELED"])

/** An order that bought or sold something did not fail, whoever ended it. */
export const endOfExpiry = (executed: Decimal.Decimal, reason: string): "FAILED" | "CANCELLED" =>
  Decimal.isZero(executed) && !endedForOthers.has(reason) ? "FAILED" : "CANCELLED"

const settled = (order: Order, state: AttemptState): Order => ({
  ...order,
  attempt: order.attempt === null ? null : { ...order.attempt, state }
})

// An order that was found at the exchange without an attempt in this log was sent before the log was restored.
const accepted = (
  attempt: Attempt | null,
  event: typeof OrderEvent.cases.SubmissionAccepted.Type,
  at: EpochMillis
): Attempt => ({
  ...(attempt ?? { number: event.attempt, timestamp: event.transactTime, recvWindowMillis: 0, startedAt: at }),
  state: "ACCEPTED"
})

const withFill = (order: Order, fill: Fill): Order => {
  if (HashMap.has(order.fills, fill.tradeId)) return order
  const { at, fee, feeAsset, price, quantity, tradeId } = fill
  const paid = Option.getOrElse(HashMap.get(order.fees, feeAsset), () => Decimal.zero)
  return {
    ...order,
    fills: HashMap.set(order.fills, tradeId, { tradeId, price, quantity, fee, feeAsset, at }),
    filledQuantity: Decimal.add(order.filledQuantity, quantity),
    filledQuote: Decimal.add(order.filledQuote, Decimal.multiply(price, quantity)),
    fees: HashMap.set(order.fees, feeAsset, Decimal.add(paid, fee))
  }
}

/** A stream with what its writer must know: where it ends, and which commands it has already carried out. */
export interface OrderStream {
  readonly order: Order
  readonly version: number
  /** Hex hash of the last event; empty for none. */
  readonly headHash: string
  /** Hash of the normalised request that placed the order; empty before. */
  readonly requestHash: string
  readonly commandIds: HashSet.HashSet<string>
}

export const emptyStream: OrderStream = {
  order: unplaced,
  version: 0,
  headHash: "",
  requestHash: "",
  commandIds: HashSet.empty()
}
