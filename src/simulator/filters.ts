/**
 * Judges one new order by its symbol's filters, in the order in which they are published.
 *
 * Filters of the order itself and of the price are answered by the API with -1013; those that count open orders or
 * look at the account are the engine's, and come back as -2010.
 */
import { type Amount, one, times } from "./Amount.ts"
import type { Filter, SymbolInfo } from "./Market.ts"
import type { OrderType, Side } from "./Order.ts"
import { countFilterFailure, filterFailure, type Refusal } from "./Refusal.ts"

export interface Judged {
  readonly side: Side
  readonly type: OrderType
  /** 0 for MARKET. */
  readonly price: Amount
  /** 0 when a quote quantity was given. */
  readonly quantity: Amount
  readonly quoteQuantity: Amount
  readonly icebergQuantity: Amount
}

/** `averagePrice` is asked only where a filter needs the market. */
export const judgeOrder = (symbol: SymbolInfo, order: Judged, averagePrice: () => Amount): Refusal | undefined => {
  for (const filter of symbol.filters) {
    if (!passes(filter, order, averagePrice)) return filterFailure(filter.filterType)
  }
  return undefined
}

const passes = (filter: Filter, order: Judged, averagePrice: () => Amount): boolean => {
  switch (filter.filterType) {
    case "PRICE_FILTER":
      return order.type === "MARKET" || within(order.price, filter.minPrice, filter.maxPrice, filter.tickSize, 0n)
    case "PERCENT_PRICE":
      return order.type === "MARKET" || between(order.price, averagePrice(), filter.multiplierDown, filter.multiplierUp)
    case "PERCENT_PRICE_BY_SIDE":
      if (order.type === "MARKET") return true
      return order.side === "BUY"
        ? between(order.price, averagePrice(), filter.bidMultiplierDown, filter.bidMultiplierUp)
        : between(order.price, averagePrice(), filter.askMultiplierDown, filter.askMultiplierUp)
    case "LOT_SIZE":
      return (
        (order.quantity === 0n || lotFits(order.quantity, filter)) &&
        (order.icebergQuantity === 0n || lotFits(order.icebergQuantity, filter))
      )
    case "MARKET_LOT_SIZE":
      return order.type !== "MARKET" || order.quantity === 0n || lotFits(order.quantity, filter)
    case "MIN_NOTIONAL":
      if (order.type === "MARKET" && !filter.applyToMarket) return true
      return notional(order, averagePrice) >= filter.minNotional
    case "NOTIONAL": {
      const isMarket = order.type === "MARKET"
      if (isMarket && !filter.applyMinToMarket && !filter.applyMaxToMarket) return true
      const value = notional(order, averagePrice)
      if ((!isMarket || filter.applyMinToMarket) && value < filter.minNotional) return false
      return !((!isMarket || filter.applyMaxToMarket) && value > filter.maxNotional)
    }
    case "ICEBERG_PARTS":
      return (
        order.icebergQuantity === 0n ||
        (order.quantity + order.icebergQuantity - 1n) / order.icebergQuantity <= BigInt(filter.limit)
      )
    case "MAX_NUM_ORDERS":
    case "MAX_NUM_ALGO_ORDERS":
    case "MAX_NUM_ICEBERG_ORDERS":
    case "MAX_NUM_ORDER_LISTS":
    case "MAX_NUM_ORDER_AMENDS":
    case "MAX_POSITION":
      return true
  }
}

/** What the account has open on the symbol, and the position that MAX_POSITION speaks of. */
export interface Standing {
  readonly openOrders: number
  readonly openIcebergs: () => number
  /** Free and locked base, and the open quantity of BUY orders. */
  readonly position: () => Amount
}

/** Exactly the published number may be open. `quantity` is what the engine will try to execute. */
export const judgeStanding = (
  symbol: SymbolInfo,
  order: Judged,
  quantity: Amount,
  standing: Standing
): Refusal | undefined => {
  for (const filter of symbol.filters) {
    if (exceeds(filter, order, quantity, standing)) return countFilterFailure(filter.filterType)
  }
  return undefined
}

const exceeds = (filter: Filter, order: Judged, quantity: Amount, standing: Standing): boolean => {
  if (filter.filterType === "MAX_NUM_ORDERS") return standing.openOrders >= filter.maxNumOrders
  if (filter.filterType === "MAX_NUM_ICEBERG_ORDERS") {
    return order.icebergQuantity > 0n && standing.openIcebergs() >= filter.maxNumIcebergOrders
  }
  return (
    filter.filterType === "MAX_POSITION" && order.side === "BUY" && standing.position() + quantity > filter.maxPosition
  )
}

// Each rule is off when its field is 0.
const within = (value: Amount, low: Amount, high: Amount, step: Amount, floor: Amount): boolean =>
  (low === floor || value >= low) && (high === 0n || value <= high) && (step === 0n || value % step === 0n)

// The modulo is of the quantity itself, not of its distance from the minimum.
const lotFits = (quantity: Amount, lot: { minQty: Amount; maxQty: Amount; stepSize: Amount }): boolean =>
  quantity >= lot.minQty && quantity <= lot.maxQty && (lot.stepSize === 0n || quantity % lot.stepSize === 0n)

// Both sides times 10^8, so that nothing is rounded.
const between = (price: Amount, average: Amount, down: Amount, up: Amount): boolean =>
  price * one >= average * down && price * one <= average * up

const notional = (order: Judged, averagePrice: () => Amount): Amount => {
  if (order.quoteQuantity > 0n) return order.quoteQuantity
  return times(order.type === "MARKET" ? averagePrice() : order.price, order.quantity)
}
