/**
 * One order on the exchange, and its compact text.
 *
 * Only orders that can still change live as objects. An ended one is kept as its encoded line, the same line that the
 * journal holds, and is decoded when somebody asks: a hundred thousand of them stay small.
 */
import type { Amount } from "./Amount.ts"
import type { SymbolInfo } from "./Market.ts"

const sides = ["BUY", "SELL"] as const
const types = [
  "LIMIT",
  "LIMIT_MAKER",
  "MARKET",
  "STOP_LOSS",
  "STOP_LOSS_LIMIT",
  "TAKE_PROFIT",
  "TAKE_PROFIT_LIMIT"
] as const
const timesInForce = ["GTC", "IOC", "FOK"] as const
const statuses = [
  "NEW",
  "PARTIALLY_FILLED",
  "FILLED",
  "CANCELED",
  "EXPIRED",
  "EXPIRED_IN_MATCH",
  "PENDING_NEW",
  "REJECTED"
] as const
const reasons = [
  "",
  "UNFILLED_IOC_QUANTITY_EXPIRED",
  "UNFILLED_FOK_ORDER_EXPIRED",
  "INSUFFICIENT_LIQUIDITY",
  "REJECTED",
  "OCO_TRIGGER",
  "OTO_PHASE_ONE_EXPIRED",
  "EXCHANGE_CANCELED",
  "EXECUTION_RULE_PRICE_RANGE_EXCEEDED",
  "NONE"
] as const
const modes = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"] as const

export type Side = (typeof sides)[number]
export type OrderType = (typeof types)[number]
export type TimeInForce = (typeof timesInForce)[number]
export type OrderStatus = (typeof statuses)[number]
export type ExpiryReason = (typeof reasons)[number]
export type PreventionMode = (typeof modes)[number]

export const isSide = (text: string): text is Side => (sides as ReadonlyArray<string>).includes(text)
export const isOrderType = (text: string): text is OrderType => (types as ReadonlyArray<string>).includes(text)
export const isTimeInForce = (text: string): text is TimeInForce =>
  (timesInForce as ReadonlyArray<string>).includes(text)
export const isPreventionMode = (text: string): text is PreventionMode =>
  (modes as ReadonlyArray<string>).includes(text)

/** Waits for a trigger before it works. */
export const isContingent = (type: OrderType): boolean => type.startsWith("STOP_LOSS") || type.startsWith("TAKE_PROFIT")

/** Trades at any price once it works. */
export const isMarketLike = (type: OrderType): boolean =>
  type === "MARKET" || type === "STOP_LOSS" || type === "TAKE_PROFIT"

/** Whether the trigger lies above the market: STOP_LOSS BUY and TAKE_PROFIT SELL; the other two lie below. */
export const triggersAbove = (type: OrderType, side: Side): boolean => type.startsWith("STOP_LOSS") === (side === "BUY")

/** No list, and not yet: what the exchange writes for ids and times that an order does not have. */
export const none = -1

export interface Order {
  /** 0 for a counterparty's order: those are never asked for. */
  readonly id: number
  readonly account: number
  readonly symbol: SymbolInfo
  /** Changes when the order is amended. */
  clientOrderId: string
  readonly side: Side
  readonly type: OrderType
  readonly timeInForce: TimeInForce
  /** 0 for what trades at any price. */
  readonly price: Amount
  /** An amendment lowers it; 0 until it is known for what is paid by the order before it. */
  quantity: Amount
  /** What was asked to be spent or earned; 0 when a quantity was given. */
  readonly quoteQuantity: Amount
  readonly icebergQuantity: Amount
  /** 0 when there is none. */
  readonly stopPrice: Amount
  /** In basis points; 0 when the stop does not trail. */
  readonly trailingDelta: number
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
  readonly preventionMode: PreventionMode
  readonly listId: number
  readonly time: number
  executed: Amount
  quoteExecuted: Amount
  /** Taken off by self-trade prevention. */
  prevented: Amount
  preventedMatchId: number
  status: OrderStatus
  expiryReason: ExpiryReason
  updateTime: number
  /** Since when it stands on the book or trades; none before. */
  workingTime: number
  /** Since when a trailing stop follows the price; none before. */
  trailingTime: number
  /** The best price that a trailing stop has seen; 0 before it follows. */
  extreme: Amount
  /** What an iceberg shows on the book. */
  visible: Amount
  /** What of the account's funds it holds: quote when it buys, base when it sells. */
  locked: Amount
  amendments: number
  /** Rows of the trade table, oldest first. */
  readonly trades: Array<number>
}

/** What an order is born with; the rest begins empty. */
export interface OrderSeed {
  readonly id: number
  readonly account: number
  readonly symbol: SymbolInfo
  readonly clientOrderId: string
  readonly side: Side
  readonly type: OrderType
  readonly timeInForce: TimeInForce
  readonly price: Amount
  readonly quantity: Amount
  readonly quoteQuantity: Amount
  readonly icebergQuantity: Amount
  readonly stopPrice: Amount
  readonly trailingDelta: number
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
  readonly preventionMode: PreventionMode
  readonly listId: number
  readonly time: number
}

export const newOrder = (seed: OrderSeed, status: "NEW" | "PENDING_NEW", trades: Array<number>): Order => ({
  id: seed.id,
  account: seed.account,
  symbol: seed.symbol,
  clientOrderId: seed.clientOrderId,
  side: seed.side,
  type: seed.type,
  timeInForce: seed.timeInForce,
  price: seed.price,
  quantity: seed.quantity,
  quoteQuantity: seed.quoteQuantity,
  icebergQuantity: seed.icebergQuantity,
  stopPrice: seed.stopPrice,
  trailingDelta: seed.trailingDelta,
  strategyId: seed.strategyId,
  strategyType: seed.strategyType,
  preventionMode: seed.preventionMode,
  listId: seed.listId,
  time: seed.time,
  executed: 0n,
  quoteExecuted: 0n,
  prevented: 0n,
  preventedMatchId: none,
  status,
  expiryReason: "",
  updateTime: seed.time,
  workingTime: none,
  trailingTime: none,
  extreme: 0n,
  visible: 0n,
  locked: 0n,
  amendments: 0,
  trades
})

/** The order as it is now, for an answer that is written after it has gone on. */
export const copyOf = (order: Order): Order => ({ ...order, trades: [...order.trades] })

export const isOpen = ({ status }: Order): boolean =>
  status === "NEW" || status === "PARTIALLY_FILLED" || status === "PENDING_NEW"

export const isWorking = (order: Order): boolean => order.workingTime !== none

export const remaining = (order: Order): Amount => order.quantity - order.executed - order.prevented

/** What others see of it on the book. */
export const shown = (order: Order): Amount => (order.icebergQuantity > 0n ? order.visible : remaining(order))

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
    order.trades.join(","),
    order.stopPrice,
    order.trailingDelta,
    modes.indexOf(order.preventionMode),
    order.listId,
    order.prevented,
    order.preventedMatchId,
    order.workingTime,
    order.trailingTime,
    order.extreme,
    order.visible,
    order.locked,
    order.amendments
  ].join("|")

const fieldCount = 31

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
  const preventionMode = modes[Number(field[21])]
  if (field.length !== fieldCount || symbol === undefined || side === undefined || type === undefined) return undefined
  if (timeInForce === undefined || status === undefined || expiryReason === undefined) return undefined
  if (preventionMode === undefined) return undefined
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
    stopPrice: BigInt(field[19]!),
    trailingDelta: Number(field[20]),
    strategyId: optional(field[10]),
    strategyType: optional(field[11]),
    preventionMode,
    listId: Number(field[22]),
    time: Number(field[12]),
    executed: BigInt(field[13]!),
    quoteExecuted: BigInt(field[14]!),
    prevented: BigInt(field[23]!),
    preventedMatchId: Number(field[24]),
    status,
    expiryReason,
    updateTime: Number(field[17]),
    workingTime: Number(field[25]),
    trailingTime: Number(field[26]),
    extreme: BigInt(field[27]!),
    visible: BigInt(field[28]!),
    locked: BigInt(field[29]!),
    amendments: Number(field[30]),
    trades: field[18] === "" ? [] : field[18]!.split(",").map(Number)
  }
}
