/**
 * One row of the blotter as a function of the order: the append writes it, a rebuild and `verify` compute it
 * again and must arrive at the same (INV-11). Decimals are plain text.
 */
import { HashMap } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import type { ClientOrderId, EpochMillis, OrderId } from "../domain/Ids.ts"
import type { Attempt, Certainty, Order, Reason, Status } from "../domain/Order.ts"
import { averagePrice, fillsInOrder } from "../domain/Order.ts"

export interface FillRow {
  readonly tradeId: string
  readonly price: string
  readonly quantity: string
  readonly fee: string
  readonly feeAsset: string
  readonly at: EpochMillis
}

export interface BlotterRow {
  readonly orderId: OrderId
  readonly clientOrderId: ClientOrderId
  readonly exchangeOrderId: string | null
  readonly symbol: string
  /** As the order was placed; a later release may know more kinds than this one. So are the next two. */
  readonly side: string
  readonly type: string
  readonly timeInForce: string | null
  readonly quantity: string | null
  readonly quoteQuantity: string | null
  readonly price: string | null
  readonly validUntil: EpochMillis | null
  readonly stopPrice: string | null
  readonly icebergQuantity: string | null
  readonly selfTradePrevention: string | null
  readonly status: Status
  readonly certainty: Certainty
  readonly cancelRequested: boolean
  readonly cancelRefused: boolean
  readonly filledQuantity: string
  readonly filledQuote: string
  readonly averagePrice: string | null
  /** Asset to decimal text. */
  readonly fees: Readonly<Record<string, string>>
  readonly fills: ReadonlyArray<FillRow>
  readonly reason: Reason | null
  readonly parked: boolean
  readonly attempt: Attempt | null
  /** Null: at once. */
  readonly nextAttemptAt: EpochMillis | null
  readonly staleAt: EpochMillis | null
  /**
   * When an executor should look at the order again; null unless it is PENDING and not parked. An order that
   * was never attempted is due from its placing, whatever pause the executor adds.
   */
  readonly dueAt: EpochMillis | null
  readonly placedAt: EpochMillis
  readonly updatedAt: EpochMillis
  readonly lane: number
  readonly version: number
}

/** Null for an order that has no event yet. */
export const rowOf = (orderId: OrderId, lane: number, version: number, order: Order): BlotterRow | null => {
  const { clientOrderId, request, status } = order
  if (status === null || request === null || clientOrderId === null) return null
  const average = averagePrice(order)
  return {
    orderId,
    clientOrderId,
    exchangeOrderId: order.exchangeOrderId,
    symbol: request.symbol,
    side: request.side,
    type: request.type,
    timeInForce: request.timeInForce,
    quantity: textOf(request.quantity),
    quoteQuantity: textOf(request.quoteQuantity),
    price: textOf(request.price),
    validUntil: request.validUntil,
    stopPrice: textOf(request.stopPrice ?? null),
    icebergQuantity: textOf(request.icebergQuantity ?? null),
    selfTradePrevention: request.selfTradePrevention ?? null,
    status,
    certainty: order.certainty,
    cancelRequested: order.cancelRequested,
    cancelRefused: order.cancelRefused,
    filledQuantity: Decimal.format(order.filledQuantity),
    filledQuote: Decimal.format(order.filledQuote),
    averagePrice: textOf(average),
    fees: Object.fromEntries(
      Array.from(order.fees, ([asset, fee]) => [asset, Decimal.format(fee)] as const).sort(([a], [b]) =>
        a < b ? -1 : 1
      )
    ),
    fills:
      HashMap.size(order.fills) === 0
        ? []
        : fillsInOrder(order).map((fill) => ({
            tradeId: fill.tradeId,
            price: Decimal.format(fill.price),
            quantity: Decimal.format(fill.quantity),
            fee: Decimal.format(fill.fee),
            feeAsset: fill.feeAsset,
            at: fill.at
          })),
    reason: order.reason,
    parked: order.parked,
    attempt: order.attempt,
    nextAttemptAt: order.nextAttemptAt === 0 ? null : order.nextAttemptAt,
    staleAt: order.staleAt === 0 ? null : order.staleAt,
    dueAt: dueAtOf(order),
    placedAt: order.placedAt,
    updatedAt: order.updatedAt,
    lane,
    version
  }
}

const textOf = (value: Decimal.Decimal | null): string | null => (value === null ? null : Decimal.format(value))

// Whatever it waits for, an order that goes stale is due then: it has to be ended.
const dueAtOf = (order: Order): EpochMillis | null => {
  if (order.status !== "PENDING" || order.parked) return null
  return order.attempt === null ? order.placedAt : Math.min(order.nextAttemptAt, order.staleAt)
}

/** The row by the names of its columns, as JSON for the append function: what is null is left out, for every order pays for it. */
export const columnsOf = (row: BlotterRow): Readonly<Record<string, unknown>> => ({
  order_id: row.orderId,
  client_order_id: row.clientOrderId,
  exchange_order_id: row.exchangeOrderId ?? undefined,
  symbol: row.symbol,
  side: row.side,
  type: row.type,
  time_in_force: row.timeInForce ?? undefined,
  quantity: row.quantity ?? undefined,
  quote_quantity: row.quoteQuantity ?? undefined,
  price: row.price ?? undefined,
  valid_until: row.validUntil ?? undefined,
  stop_price: row.stopPrice ?? undefined,
  iceberg_quantity: row.icebergQuantity ?? undefined,
  self_trade_prevention: row.selfTradePrevention ?? undefined,
  status: row.status,
  certainty: row.certainty,
  cancel_requested: row.cancelRequested,
  cancel_refused: row.cancelRefused,
  filled_quantity: row.filledQuantity,
  filled_quote: row.filledQuote,
  average_price: row.averagePrice ?? undefined,
  fees: row.fees,
  fills: row.fills,
  reason_code: row.reason?.code,
  reason_message: row.reason?.message,
  parked: row.parked,
  attempt_number: row.attempt?.number,
  attempt_timestamp: row.attempt?.timestamp,
  attempt_recv_window_millis: row.attempt?.recvWindowMillis,
  attempt_started_at: row.attempt?.startedAt,
  attempt_state: row.attempt?.state,
  next_attempt_at: row.nextAttemptAt ?? undefined,
  stale_at: row.staleAt ?? undefined,
  due_at: row.dueAt ?? undefined,
  placed_at: row.placedAt,
  updated_at: row.updatedAt,
  lane: row.lane,
  version: row.version
})
