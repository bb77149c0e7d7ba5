/**
 * One order on the exchange, and its compact text.
 *
 * Only orders that can still change live as objects. An ended one is kept as its encoded line, the same line that the
 * journal holds, and is decoded when somebody asks: a hundred thousand of them stay small.
 */
import type { Amount } from "./Amount.ts"
import type { SymbolInfo } from "./Market.ts"

export type Side = "BUY" | "SELL"
export type OrderType = "LIMIT" | "LIMIT_MAKER" | "MARKET"
export type TimeInForce = "GTC" | "IOC" | "FOK"
export type OrderStatus = "NEW" | "PARTIALLY_FILLED" | "FILLED" | "CANCELED" | "EXPIRED"
export type ExpiryReason =
  | ""
  | "UNFILLED_IOC_QUANTITY_EXPIRED"
  | "UNFILLED_FOK_ORDER_EXPIRED"
  | "INSUFFICIENT_LIQUIDITY"

export interface Order {
  /** 0 for a counterparty's order: those are never asked for. */
  readonly id: number
  readonly account: number
  readonly symbol: SymbolInfo
  readonly clientOrderId: string
  readonly side: Side
  readonly type: OrderType
  readonly timeInForce: TimeInForce
  /** 0 for MARKET. */
  readonly price: Amount
  readonly quantity: Amount
  /** What was asked to be spent or earned; 0 when a quantity was given. */
  readonly quoteQuantity: Amount
  readonly icebergQuantity: Amount
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
  readonly time: number
  executed: Amount
  quoteExecuted: Amount
  status: OrderStatus
  expiryReason: ExpiryReason
  updateTime: number
  /** Rows of the trade table, oldest first. */
  readonly trades: Array<number>
}

export const isOpen = (order: Order): boolean => order.status === "NEW" || order.status === "PARTIALLY_FILLED"

export const remaining = (order: Order): Amount => order.quantity - order.executed

const sides = ["BUY", "SELL"] as const
const types = ["LIMIT", "LIMIT_MAKER", "MARKET"] as const
const timesInForce = ["GTC", "IOC", "FOK"] as const
const statuses = ["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"] as const
const reasons = ["", "UNFILLED_IOC_QUANTITY_EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED", "INSUFFICIENT_LIQUIDITY"] as const

/** Fields joined by "|", which no client order id can hold. */
export const encode = (order: Order): string =>
  [
    order.id,
    order.symbol.symbol,
    order.clientOrderId,
    sides.indexOf(order.side),
    types.indexOf(order.type),
    timesInForce.indexOf(order.timeInForce),
    order.price,
    order.quantity,
    order.quoteQuantity,
    order.icebergQuantity,
    order.strategyId ?? "",
    order.strategyType ?? "",
    order.time,
    order.executed,
    order.quoteExecuted,
    statuses.indexOf(order.status),
    reasons.indexOf(order.expiryReason),
    order.updateTime,
    order.trades.join(",")
  ].join("|")

/** Undefined when the text is not an encoded order of one of these symbols. */
export const decode = (
  text: string,
  account: number,
  symbolOf: (name: string) => SymbolInfo | undefined
): Order | undefined => {
  const field = text.split("|")
  const symbol = symbolOf(field[1] ?? "")
  const side = sides[Number(field[3])]
  const type = types[Number(field[4])]
  const timeInForce = timesInForce[Number(field[5])]
  const status = statuses[Number(field[15])]
  const expiryReason = reasons[Number(field[16])]
  if (field.length !== 19 || symbol === undefined || side === undefined || type === undefined) return undefined
  if (timeInForce === undefined || status === undefined || expiryReason === undefined) return undefined
  const optional = (value: string | undefined) => (value === undefined || value === "" ? undefined : Number(value))
  return {
    id: Number(field[0]),
    account,
    symbol,
    clientOrderId: field[2]!,
    side,
    type,
    timeInForce,
    price: BigInt(field[6]!),
    quantity: BigInt(field[7]!),
    quoteQuantity: BigInt(field[8]!),
    icebergQuantity: BigInt(field[9]!),
    strategyId: optional(field[10]),
    strategyType: optional(field[11]),
    time: Number(field[12]),
    executed: BigInt(field[13]!),
    quoteExecuted: BigInt(field[14]!),
    status,
    expiryReason,
    updateTime: Number(field[17]),
    trades: field[18] === "" ? [] : field[18]!.split(",").map(Number)
  }
}
