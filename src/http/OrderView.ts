/**
 * An order as the API shows it. Two sources, one text: the order that a command left behind, and a row of
 * the blotter. Amounts are JSON numbers with exact digits, written from their text: no double in between.
 *
 * `price` of a MARKET order is 0, as in the original API.
 */
import { Schema } from "effect"
import { OrderType, SelfTradePrevention, Side, TimeInForce } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { ClientOrderId, OrderId } from "../domain/Ids.ts"
import type { OrderStream, Reason } from "../domain/Order.ts"
import { statuses } from "../domain/Order.ts"
import type { BlotterRow, FillRow } from "../sql/BlotterRow.ts"
import { rowOf } from "../sql/BlotterRow.ts"

const Amount = Schema.Finite.annotate({ description: "Exact digits: read it from the source text, not as a double." })
const Time = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC." })

/** What answers hold, for documents and typed clients. */
export const OrderView = Schema.Struct({
  id: OrderId,
  symbol: Schema.String,
  side: Side,
  type: OrderType,
  quantity: Schema.NullOr(Amount).annotateKey({ description: "Null for a MARKET order by quote_quantity." }),
  price: Amount.annotateKey({ description: "0 for MARKET." }),
  status: Schema.Literals(statuses),
  created_at: Time,
  updated_at: Time,
  time_in_force: Schema.NullOr(TimeInForce),
  quote_quantity: Schema.NullOr(Amount),
  valid_until: Schema.NullOr(Time),
  stop_price: Schema.NullOr(Amount),
  iceberg_quantity: Schema.NullOr(Amount),
  self_trade_prevention: Schema.NullOr(SelfTradePrevention).annotateKey({
    description: "As it was asked for; null: as the symbol has it."
  }),
  client_order_id: ClientOrderId.annotateKey({ description: "What the exchange knows the order by." }),
  exchange_order_id: Schema.NullOr(Schema.String),
  certainty: Schema.Literals(["CONFIRMED", "UNCONFIRMED", "UNKNOWN"]).annotateKey({
    description: "UNCONFIRMED: sent, no answer yet. UNKNOWN: the answer was ambiguous; the exchange is being asked."
  }),
  cancel_requested: Schema.Boolean,
  filled_quantity: Amount,
  average_price: Schema.NullOr(Amount),
  fees: Schema.Record(Schema.String, Amount).annotateKey({ description: "Paid so far, by asset." }),
  reason: Schema.NullOr(Schema.Struct({ code: Schema.String, message: Schema.String })),
  fills: Schema.Array(
    Schema.Struct({
      trade_id: Schema.String,
      price: Amount,
      quantity: Amount,
      fee: Amount,
      fee_asset: Schema.String,
      at: Time
    })
  ),
  exchange: Schema.optionalKey(Schema.Literal("disconnected")).annotateKey({
    description:
      "Only in reads of an open order, from a process whose circuit to the exchange is open, or which has not seen it yet."
  })
})
export type OrderView = typeof OrderView.Type

/** RFC 3339 in UTC. The last one is kept: orders of one moment come together, and most were updated when placed. */
export const time = (at: EpochMillis): string => {
  if (at !== lastAt) {
    lastText = new Date(at).toISOString()
    lastAt = at
  }
  return lastText
}
let lastAt = 0
let lastText = "1970-01-01T00:00:00.000Z"

/** Of the order that a command left behind: it shows what its row will show. */
export const ofStream = (orderId: OrderId, { order, version }: OrderStream): string => {
  // The lane is not shown.
  const row = rowOf(orderId, 0, version, order)
  return row === null ? "null" : ofRow(row)
}

const quoted = JSON.stringify
const quotedOrNull = (value: string | null): string => (value === null ? "null" : quoted(value))

/** Written by hand: it stands on the path of every order, and amounts must not become doubles. */
export const ofRow = (o: BlotterRow): string =>
  `{"id":${quoted(o.orderId)},"symbol":${quoted(o.symbol)},"side":"${o.side}","type":"${o.type}"` +
  `,"quantity":${o.quantity},"price":${o.price ?? "0"},"status":"${o.status}"` +
  `,"created_at":"${time(o.placedAt)}","updated_at":"${time(o.updatedAt)}"` +
  `,"time_in_force":${quotedOrNull(o.timeInForce)},"quote_quantity":${o.quoteQuantity}` +
  `,"valid_until":${o.validUntil === null ? "null" : `"${time(o.validUntil)}"`}` +
  `,"stop_price":${o.stopPrice},"iceberg_quantity":${o.icebergQuantity}` +
  `,"self_trade_prevention":${quotedOrNull(o.selfTradePrevention)}` +
  `,"client_order_id":${quoted(o.clientOrderId)},"exchange_order_id":${quotedOrNull(o.exchangeOrderId)}` +
  `,"certainty":"${o.certainty}","cancel_requested":${o.cancelRequested}` +
  `,"filled_quantity":${o.filledQuantity},"average_price":${o.averagePrice},"fees":${fees(o.fees)}` +
  `,"reason":${o.reason === null ? "null" : reason(o.reason)},"fills":[${o.fills.map(fill).join(",")}]}`

/** The order's JSON with the mark that the exchange may know more of it by now. */
export const disconnected = (order: string): string => `${order.slice(0, -1)},"exchange":"disconnected"}`

const fees = (byAsset: BlotterRow["fees"]): string =>
  `{${Object.entries(byAsset)
    .map(([asset, fee]) => `${quoted(asset)}:${fee}`)
    .join(",")}}`

const reason = ({ code, message }: Reason): string => `{"code":${quoted(code)},"message":${quoted(message)}}`

const fill = (f: FillRow): string =>
  `{"trade_id":${quoted(f.tradeId)},"price":${f.price},"quantity":${f.quantity},"fee":${f.fee}` +
  `,"fee_asset":${quoted(f.feeAsset)},"at":"${time(f.at)}"}`
