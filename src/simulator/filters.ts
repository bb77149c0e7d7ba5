/**
 * Judges one new order by its symbol's filters, in the order in which they are published.
 *
 * Filters of the order itself and of the price are answered by the API with -1013; those that count open orders or
 * look at the account are the engine's, and come back as -2010. Exactly the published number may be open.
 */
import { type Amount, one, times } from "./Amount.ts"
import type { Filter, SymbolInfo } from "./Market.ts"
import { isContingent, isMarketLike, type OrderType, type Side, triggersAbove } from "./Order.ts"
import { countFilterFailure, filterFailure, type Refusal } from "./Refusal.ts"

/** Filters over all symbols. */
export type ExchangeFilter =
  | { readonly filterType: "EXCHANGE_MAX_NUM_ORDERS"; readonly maxNumOrders: number }
  | { readonly filterType: "EXCHANGE_MAX_NUM_ALGO_ORDERS"; readonly maxNumAlgoOrders: number }
  | { readonly filterType: "EXCHANGE_MAX_NUM_ICEBERG_ORDERS"; readonly maxNumIcebergOrders: number }
  | { readonly filterType: "EXCHANGE_MAX_NUM_ORDER_LISTS"; readonly maxNumOrderLists: number }

/** The most of one asset that a single order may move. */
export interface AssetFilter {
  readonly filterType: "MAX_ASSET"
  readonly asset: string
  readonly limit: Amount
}

export interface Judged {
  readonly side: Side
  readonly type: OrderType
  /** 0 for what trades at any price. */
  readonly price: Amount
  /** 0 when a quote quantity was given. */
  readonly quantity: Amount
  readonly quoteQuantity: Amount
  readonly icebergQuantity: Amount
  readonly stopPrice: Amount
  readonly trailingDelta: number
}

/** The volume-weighted average over so many minutes, or the last price for 0; asked only where a filter needs it. */
export type AveragePrice = (minutes: number) => Amount

export const judgeOrder = (
  symbol: SymbolInfo,
  order: Judged,
  averagePrice: AveragePrice,
  assetFilters: ReadonlyArray<AssetFilter> = []
): Refusal | undefined => {
  for (const filter of symbol.filters) {
    if (!passes(filter, order, averagePrice)) return filterFailure(filter.filterType)
  }
  for (const { asset, filterType, limit } of assetFilters) {
    if (asset === symbol.base && order.quantity > limit) return filterFailure(filterType)
    if (asset === symbol.quote && notional(order, () => averagePrice(0)) > limit) return filterFailure(filterType)
  }
  return undefined
}

const passes = (filter: Filter, order: Judged, averagePrice: AveragePrice): boolean => {
  switch (filter.filterType) {
    case "PRICE_FILTER":
      return (
        (isMarketLike(order.type) || priceFits(order.price, filter)) &&
        (order.stopPrice === 0n || priceFits(order.stopPrice, filter))
      )
    case "PERCENT_PRICE":
      if (isMarketLike(order.type)) return true
      return between(order.price, averagePrice(filter.avgPriceMins), filter.multiplierDown, filter.multiplierUp)
    case "PERCENT_PRICE_BY_SIDE":
      if (isMarketLike(order.type)) return true
      return order.side === "BUY"
        ? between(order.price, averagePrice(filter.avgPriceMins), filter.bidMultiplierDown, filter.bidMultiplierUp)
        : between(order.price, averagePrice(filter.avgPriceMins), filter.askMultiplierDown, filter.askMultiplierUp)
    case "LOT_SIZE":
      return (
        (order.quantity === 0n || lotFits(order.quantity, filter)) &&
        (order.icebergQuantity === 0n || lotFits(order.icebergQuantity, filter))
      )
    case "MARKET_LOT_SIZE":
      return !isMarketLike(order.type) || order.quantity === 0n || lotFits(order.quantity, filter)
    case "MIN_NOTIONAL":
      if (isMarketLike(order.type) && !filter.applyToMarket) return true
      return notional(order, () => averagePrice(filter.avgPriceMins)) >= filter.minNotional
    case "NOTIONAL": {
      const isMarket = isMarketLike(order.type)
      if (isMarket && !filter.applyMinToMarket && !filter.applyMaxToMarket) return true
      const value = notional(order, () => averagePrice(filter.avgPriceMins))
      if ((!isMarket || filter.applyMinToMarket) && value < filter.minNotional) return false
      return !((!isMarket || filter.applyMaxToMarket) && value > filter.maxNotional)
    }
    case "ICEBERG_PARTS":
      return (
        order.icebergQuantity === 0n ||
        (order.quantity + order.icebergQuantity - 1n) / order.icebergQuantity <= BigInt(filter.limit)
      )
    case "TRAILING_DELTA":
      if (order.trailingDelta === 0) return true
      return triggersAbove(order.type, order.side)
        ? order.trailingDelta >= filter.minTrailingAboveDelta && order.trailingDelta <= filter.maxTrailingAboveDelta
        : order.trailingDelta >= filter.minTrailingBelowDelta && order.trailingDelta <= filter.maxTrailingBelowDelta
    case "MAX_NUM_ORDERS":
    case "MAX_NUM_ALGO_ORDERS":
    case "MAX_NUM_ICEBERG_ORDERS":
    case "MAX_NUM_ORDER_LISTS":
    case "MAX_NUM_ORDER_AMENDS":
    case "MAX_POSITION":
      return true
  }
}

/** How much the account has open, on one symbol or on all. */
export interface Counts {
  readonly orders: number
  readonly algoOrders: () => number
  readonly icebergs: () => number
  readonly lists: () => number
}

/** What the account has open, and the position that MAX_POSITION speaks of. */
export interface Standing {
  readonly onSymbol: Counts
  readonly onExchange: () => Counts
  /** Free and locked base, and the open quantity of BUY orders. */
  readonly position: () => Amount
}

/** What is about to be added: one order, or all of a list. Quantities are what the engine will try to execute. */
export interface Added {
  readonly orders: ReadonlyArray<Pick<Judged, "side" | "type" | "quantity" | "icebergQuantity">>
  readonly lists: 0 | 1
}

export const judgeStanding = (
  symbol: SymbolInfo,
  added: Added,
  standing: Standing,
  exchangeFilters: ReadonlyArray<ExchangeFilter> = []
): Refusal | undefined => {
  for (const filter of symbol.filters) {
    if (exceeds(filter, added, standing)) return countFilterFailure(filter.filterType)
  }
  for (const filter of exchangeFilters) {
    if (exceedsOnExchange(filter, added, standing.onExchange())) return countFilterFailure(filter.filterType)
  }
  return undefined
}

const exceeds = (filter: Filter, added: Added, { onSymbol, position }: Standing): boolean => {
  switch (filter.filterType) {
    case "MAX_NUM_ORDERS":
      return onSymbol.orders + added.orders.length > filter.maxNumOrders
    case "MAX_NUM_ALGO_ORDERS":
      return tooMany(algosIn(added), onSymbol.algoOrders, filter.maxNumAlgoOrders)
    case "MAX_NUM_ICEBERG_ORDERS":
      return tooMany(icebergsIn(added), onSymbol.icebergs, filter.maxNumIcebergOrders)
    case "MAX_NUM_ORDER_LISTS":
      return tooMany(added.lists, onSymbol.lists, filter.maxNumOrderLists)
    case "MAX_POSITION": {
      const bought = added.orders.filter(({ side }) => side === "BUY").reduce((sum, { quantity }) => sum + quantity, 0n)
      return bought > 0n && position() + bought > filter.maxPosition
    }
    default:
      return false
  }
}

const exceedsOnExchange = (filter: ExchangeFilter, added: Added, counts: Counts): boolean => {
  switch (filter.filterType) {
    case "EXCHANGE_MAX_NUM_ORDERS":
      return counts.orders + added.orders.length > filter.maxNumOrders
    case "EXCHANGE_MAX_NUM_ALGO_ORDERS":
      return tooMany(algosIn(added), counts.algoOrders, filter.maxNumAlgoOrders)
    case "EXCHANGE_MAX_NUM_ICEBERG_ORDERS":
      return tooMany(icebergsIn(added), counts.icebergs, filter.maxNumIcebergOrders)
    case "EXCHANGE_MAX_NUM_ORDER_LISTS":
      return tooMany(added.lists, counts.lists, filter.maxNumOrderLists)
  }
}

const algosIn = ({ orders }: Added): number => orders.filter(({ type }) => isContingent(type)).length
const icebergsIn = ({ orders }: Added): number => orders.filter(({ icebergQuantity }) => icebergQuantity > 0n).length

/** Who adds none is not counted. */
const tooMany = (added: number, open: () => number, most: number): boolean => added > 0 && open() + added > most

// Each rule is off when its field is 0.
const priceFits = (price: Amount, filter: { minPrice: Amount; maxPrice: Amount; tickSize: Amount }): boolean =>
  (filter.minPrice === 0n || price >= filter.minPrice) &&
  (filter.maxPrice === 0n || price <= filter.maxPrice) &&
  (filter.tickSize === 0n || price % filter.tickSize === 0n)

// The modulo is of the quantity itself, not of its distance from the minimum.
const lotFits = (quantity: Amount, lot: { minQty: Amount; maxQty: Amount; stepSize: Amount }): boolean =>
  quantity >= lot.minQty && quantity <= lot.maxQty && (lot.stepSize === 0n || quantity % lot.stepSize === 0n)

// Both sides times 10^8, so that nothing is rounded.
const between = (price: Amount, average: Amount, down: Amount, up: Amount): boolean =>
  price * one >= average * down && price * one <= average * up

const notional = (order: Judged, averagePrice: () => Amount): Amount => {
  if (order.quoteQuantity > 0n) return order.quoteQuantity
  return times(isMarketLike(order.type) ? averagePrice() : order.price, order.quantity)
}
