/**
 * The filters that need the market or the account: the exchange's word, or the risk gate's before it.
 *
 * Judges one order against averages, open orders and position as they were told. Exact decimals; count limits
 * are inclusive, since Binance does not say and names them "the maximum number an account may have open".
 */
import * as Decimal from "./Decimal.ts"
import type { OrderRequest, Side } from "./Event.ts"
import type { Filter, FilterViolation, Instrument } from "./Instrument.ts"
import { checkNotional, checkRange, checkStatic, stepOf } from "./Instrument.ts"

/** What an order may carry beside a request: the conditional kinds, which only some filters look at. */
export interface OrderShape {
  readonly side: Side
  readonly type: string
  readonly quantity: Decimal.Decimal | null
  readonly quoteQuantity: Decimal.Decimal | null
  readonly price: Decimal.Decimal | null
  readonly icebergQuantity?: Decimal.Decimal
  /** In basis points. */
  readonly trailingDelta?: number
}

export interface MarketContext {
  /** The reference price if there is one, else the average over avgPriceMins, or the last price where that is 0. Null: unknown. */
  readonly averagePrice: Decimal.Decimal | null
  /** Open orders of the account on the symbol, algo and iceberg orders included, without this one. */
  readonly openOrders: number
  readonly openAlgoOrders: number
  readonly openIcebergOrders: number
  /** Base asset free, locked, and wanted by open BUY orders. */
  readonly basePosition: Decimal.Decimal
}

/** All filters that judge a single order. */
export const checkAll = (
  instrument: Instrument,
  request: OrderRequest,
  context: MarketContext
): ReadonlyArray<FilterViolation> => [...checkStatic(instrument, request), ...checkMarket(instrument, request, context)]

export const checkMarket = (
  instrument: Instrument,
  order: OrderShape,
  context: MarketContext
): ReadonlyArray<FilterViolation> => instrument.filters.flatMap((filter) => check(filter, instrument, order, context))

const check = (
  filter: Filter,
  instrument: Instrument,
  order: OrderShape,
  context: MarketContext
): ReadonlyArray<FilterViolation> => {
  const { averagePrice, basePosition } = context
  const { icebergQuantity, price, quantity, side } = order
  switch (filter.type) {
    case "PERCENT_PRICE":
      return percent(filter.type, price, averagePrice, filter.multiplierDown, filter.multiplierUp)
    case "PERCENT_PRICE_BY_SIDE":
      return side === "BUY"
        ? percent(filter.type, price, averagePrice, filter.bidMultiplierDown, filter.bidMultiplierUp)
        : percent(filter.type, price, averagePrice, filter.askMultiplierDown, filter.askMultiplierUp)
    case "MIN_NOTIONAL":
      return marketNotional(filter.type, instrument, order, averagePrice, {
        min: filter.applyToMarket ? filter.minNotional : Decimal.zero,
        max: Decimal.zero
      })
    case "NOTIONAL":
      return marketNotional(filter.type, instrument, order, averagePrice, {
        min: filter.applyMinToMarket ? filter.minNotional : Decimal.zero,
        max: filter.applyMaxToMarket ? filter.maxNotional : Decimal.zero
      })
    case "MAX_NUM_ORDERS":
      return count(filter.type, filter.limit, context.openOrders)
    case "MAX_NUM_ALGO_ORDERS":
      return isAlgo(order.type) ? count(filter.type, filter.limit, context.openAlgoOrders) : []
    case "MAX_NUM_ICEBERG_ORDERS":
      return icebergQuantity !== undefined && Decimal.isPositive(icebergQuantity)
        ? count(filter.type, filter.limit, context.openIcebergOrders)
        : []
    case "MAX_POSITION":
      return side === "BUY" && quantity !== null ? position(filter.maxPosition, basePosition, quantity) : []
    case "TRAILING_DELTA":
      return trailing(filter, order)
    // Judged by checkStatic.
    case "PRICE_FILTER":
    case "LOT_SIZE":
    case "ICEBERG_PARTS":
    case "MARKET_LOT_SIZE":
    case "OTHER":
      return []
  }
}

const percent = (
  code: string,
  price: Decimal.Decimal | null,
  average: Decimal.Decimal | null,
  down: Decimal.Decimal,
  up: Decimal.Decimal
): ReadonlyArray<FilterViolation> => {
  if (price === null || average === null) return []
  const low = Decimal.multiply(average, down)
  const high = Decimal.multiply(average, up)
  if (!Decimal.isLess(price, low) && !Decimal.isGreater(price, high)) return []
  return [
    {
      code,
      field: "price",
      limit: `from ${Decimal.format(low)} to ${Decimal.format(high)}`,
      actual: Decimal.format(price),
      hint: `choose a price nearer to the market, which is at ${Decimal.format(average)}`
    }
  ]
}

/** Orders with a price are judged by checkStatic. A quote quantity is the notional itself. */
const marketNotional = (
  code: string,
  instrument: Instrument,
  { price, quantity, quoteQuantity, type }: OrderShape,
  average: Decimal.Decimal | null,
  limits: { readonly min: Decimal.Decimal; readonly max: Decimal.Decimal }
): ReadonlyArray<FilterViolation> => {
  if (type !== "MARKET" || price !== null) return []
  if (quoteQuantity !== null) {
    return checkRange(code, "quote_quantity", quoteQuantity, { ...limits, step: Decimal.zero })
  }
  if (average === null || quantity === null) return []
  return checkNotional(code, { price: average, quantity, ...limits }, stepOf(instrument))
}

const count = (code: string, limit: number, open: number): ReadonlyArray<FilterViolation> =>
  open + 1 <= limit
    ? []
    : [
        {
          code,
          field: "symbol",
          limit: `at most ${limit} open orders`,
          actual: `${open + 1}`,
          hint: "cancel an open order on this symbol first"
        }
      ]

const position = (
  limit: Decimal.Decimal,
  held: Decimal.Decimal,
  quantity: Decimal.Decimal
): ReadonlyArray<FilterViolation> => {
  const after = Decimal.add(held, quantity)
  if (!Decimal.isGreater(after, limit)) return []
  const room = Decimal.subtract(limit, held)
  return [
    {
      code: "MAX_POSITION",
      field: "quantity",
      limit: `a position of at most ${Decimal.format(limit)}`,
      actual: Decimal.format(after),
      hint: Decimal.isPositive(room) ? `at most ${Decimal.format(room)} would pass` : "reduce the position first"
    }
  ]
}

type TrailingDelta = Extract<Filter, { readonly type: "TRAILING_DELTA" }>

/** A stop above the market: it follows the price down before it triggers upwards. */
const isAbove = ({ side, type }: OrderShape): boolean => type.startsWith("STOP_LOSS") === (side === "BUY")

const trailing = (filter: TrailingDelta, order: OrderShape): ReadonlyArray<FilterViolation> => {
  const delta = order.trailingDelta
  if (delta === undefined || !isAlgo(order.type)) return []
  const [min, max] = isAbove(order)
    ? [filter.minTrailingAboveDelta, filter.maxTrailingAboveDelta]
    : [filter.minTrailingBelowDelta, filter.maxTrailingBelowDelta]
  if (delta >= min && delta <= max) return []
  return [
    {
      code: "TRAILING_DELTA",
      field: "trailing_delta",
      limit: `from ${min} to ${max} basis points`,
      actual: `${delta}`,
      hint: `${Math.min(Math.max(delta, min), max)} would pass`
    }
  ]
}

const isAlgo = (type: string): boolean => type.startsWith("STOP_LOSS") || type.startsWith("TAKE_PROFIT")
