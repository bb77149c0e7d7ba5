/**
 * The promises that can be checked by looking: each takes what was recorded and names what is wrong.
 * Audit, tests and simulation ask the same functions; an empty answer means the promise holds.
 */
import { HashMap } from "effect"
import * as Decimal from "./Decimal.ts"
import type { OrderEvent } from "./Event.ts"
import type { EpochMillis } from "./Ids.ts"
import type { Order, Phase } from "./Order.ts"
import { evolve, isLive, phaseOf, unplaced } from "./Order.ts"

type OrderEventType = OrderEvent["_tag"]

const anytime: ReadonlyArray<OrderEventType> = ["OrderParked", "OrderUnparked"]

/** The transition table: which events may follow in which phase (INV-8). */
export const legalEvents: Readonly<Record<Phase, ReadonlyArray<OrderEventType>>> = {
  NEW: ["OrderPlaced", "OrderDenied"],
  PENDING: ["SubmissionStarted", "SubmissionAccepted", "OrderCancelled", "OrderFailed", "OperatorResolved", ...anytime],
  SENT: [
    "SubmissionAccepted",
    "SubmissionRefused",
    "SubmissionUnknown",
    "SubmissionProvenAbsent",
    "OrderFailed",
    "CancelRequested",
    "OperatorResolved",
    ...anytime
  ],
  DOUBT: [
    "SubmissionAccepted",
    "SubmissionRefused",
    "SubmissionProvenAbsent",
    "OrderFailed",
    "CancelRequested",
    "OperatorResolved",
    ...anytime
  ],
  OPEN: [
    "OrderFilled",
    "OrderCompleted",
    "OrderCancelled",
    "OrderExpired",
    "OrderFailed",
    "CancelRequested",
    "CancelRefused",
    "OperatorResolved",
    ...anytime
  ],
  // Absorbing, except that a late fill is always booked.
  COMPLETED: ["OrderFilled", ...anytime],
  FAILED: ["OrderFilled", ...anytime],
  CANCELLED: ["OrderFilled", ...anytime]
}

/** INV-7 and INV-8 for one stream: what in this life could not have happened. */
export const lifeFaults = (
  events: ReadonlyArray<{ readonly event: OrderEvent; readonly at: EpochMillis }>
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  let order = unplaced
  events.forEach(({ at, event }, index) => {
    const phase = phaseOf(order)
    if (!legalEvents[phase].includes(event._tag)) {
      faults.push(`version ${index + 1}: ${event._tag} is not legal in phase ${phase}`)
    }
    faults.push(...eventFaults(order, event).map((fault) => `version ${index + 1}: ${fault}`))
    order = evolve(order, event, at)
  })
  return [...faults, ...orderFaults(order)]
}

const eventFaults = (order: Order, event: OrderEvent): ReadonlyArray<string> => {
  switch (event._tag) {
    case "OrderFilled":
      return HashMap.has(order.fills, event.tradeId) ? [`trade ${event.tradeId} is booked twice`] : []
    case "SubmissionStarted":
      return event.attempt === (order.attempt?.number ?? 0) + 1
        ? []
        : [`attempt ${event.attempt} follows attempt ${order.attempt?.number ?? 0}`]
    case "OrderCompleted":
    case "OrderExpired":
      return sumFaults(order, event.executedQuantity)
    case "OrderCancelled":
      return event.source === "local"
        ? phaseOf(order) === "PENDING"
          ? []
          : ["cancelled without asking the exchange although an attempt lives"]
        : sumFaults(order, event.executedQuantity)
    case "OrderFailed":
      return isLive(order) && event.code !== "LOST_BY_RESET"
        ? [`failed as ${event.code} although an attempt may live at the exchange`]
        : []
    default:
      return []
  }
}

const sumFaults = (order: Order, executed: Decimal.Decimal): ReadonlyArray<string> =>
  Decimal.equals(order.filledQuantity, executed)
    ? []
    : [`fills sum to ${Decimal.format(order.filledQuantity)}, the exchange executed ${Decimal.format(executed)}`]

/** INV-7 and the axes of one order, after any event. */
export const orderFaults = (order: Order): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const quantity = order.request?.quantity ?? null
  if (quantity !== null && Decimal.isGreater(order.filledQuantity, quantity)) {
    faults.push(`filled ${Decimal.format(order.filledQuantity)} of ${Decimal.format(quantity)}`)
  }
  if (
    order.status === "COMPLETED" &&
    quantity !== null &&
    order.reason?.code !== "OPERATOR" &&
    !Decimal.equals(order.filledQuantity, quantity)
  ) {
    faults.push(`completed with ${Decimal.format(order.filledQuantity)} of ${Decimal.format(quantity)}`)
  }
  if (order.status === "PENDING" && order.cancelRequested)
    faults.push("a cancel is wanted, yet the order waits to be sent")
  return faults
}

/** INV-5: versions of a stream, or positions of a lane, are `after + 1`, `after + 2`, … */
export const densityFaults = (numbers: Iterable<number>, after: number): ReadonlyArray<string> => {
  const faults: Array<string> = []
  let last = after
  for (const number of numbers) {
    if (number !== last + 1) faults.push(`${number} follows ${last}`)
    last = number
  }
  return faults
}

export interface Totals {
  readonly total: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
}

/** INV-12. */
export const totalsFaults = (totals: Totals): ReadonlyArray<string> => {
  const sum = totals.processing + totals.completed + totals.failed + totals.cancelled
  return totals.total === sum ? [] : [`orders_total is ${totals.total}, its parts sum to ${sum}`]
}

/** INV-10: of one key and generation, with repeats, in the order of the topic. */
export const topicFaults = (
  records: ReadonlyArray<{ readonly version: number; readonly body: string }>
): ReadonlyArray<string> => {
  const bodies = new Map<number, string>()
  const faults: Array<string> = []
  let last = 0
  for (const { body, version } of records) {
    const before = bodies.get(version)
    if (before !== undefined && before !== body) faults.push(`version ${version} came again with another body`)
    if (before === undefined && version !== last + 1) faults.push(`version ${version} follows ${last}`)
    if (before === undefined) last = version
    bodies.set(version, body)
  }
  return faults
}

/**
 * INV-3, on the exchange's own ledger: of the orders there under one client order id, at most one per
 * attempt and at most one that executed anything.
 */
export const ledgerFaults = (
  attempts: number,
  ledger: ReadonlyArray<{ readonly exchangeOrderId: string; readonly executed: boolean }>
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (ledger.length > attempts) faults.push(`${ledger.length} orders at the exchange for ${attempts} attempts`)
  const executed = ledger.filter((one) => one.executed)
  if (executed.length > 1) {
    faults.push(`executed ${executed.length} times: ${executed.map((one) => one.exchangeOrderId).join(", ")}`)
  }
  return faults
}
