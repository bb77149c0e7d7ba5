/**
 * A symbol of the exchange: its assets, what kinds of order it takes, and its filters.
 *
 * JSON-encodable as it stands, for the store keeps it as a snapshot. Every filter may be absent, and a zero
 * limit is no limit. A filter that this release does not know is kept by name and judges nothing.
 * `checkStatic` asks what needs neither market nor account; marketFilters.ts asks the rest.
 */
import { BigDecimal, Schema } from "effect"
import * as Decimal from "./Decimal.ts"
import { DecimalText } from "./Decimal.ts"
import type { OrderRequest } from "./Event.ts"

const LotSize = { minQty: DecimalText, maxQty: DecimalText, stepSize: DecimalText }
const limit = { limit: Schema.Int }

export const Filter = Schema.Union([
  Schema.Struct({
    type: Schema.tag("PRICE_FILTER"),
    minPrice: DecimalText,
    maxPrice: DecimalText,
    tickSize: DecimalText
  }),
  Schema.Struct({ type: Schema.tag("PERCENT_PRICE"), multiplierUp: DecimalText, multiplierDown: DecimalText }),
  Schema.Struct({
    type: Schema.tag("PERCENT_PRICE_BY_SIDE"),
    bidMultiplierUp: DecimalText,
    bidMultiplierDown: DecimalText,
    askMultiplierUp: DecimalText,
    askMultiplierDown: DecimalText
  }),
  Schema.Struct({ type: Schema.tag("LOT_SIZE"), ...LotSize }),
  Schema.Struct({ type: Schema.tag("MARKET_LOT_SIZE"), ...LotSize }),
  Schema.Struct({ type: Schema.tag("MIN_NOTIONAL"), minNotional: DecimalText, applyToMarket: Schema.Boolean }),
  Schema.Struct({
    type: Schema.tag("NOTIONAL"),
    minNotional: DecimalText,
    applyMinToMarket: Schema.Boolean,
    maxNotional: DecimalText,
    applyMaxToMarket: Schema.Boolean
  }),
  Schema.Struct({ type: Schema.tag("ICEBERG_PARTS"), ...limit }),
  Schema.Struct({ type: Schema.tag("MAX_NUM_ORDERS"), ...limit }),
  Schema.Struct({ type: Schema.tag("MAX_NUM_ALGO_ORDERS"), ...limit }),
  Schema.Struct({ type: Schema.tag("MAX_NUM_ICEBERG_ORDERS"), ...limit }),
  Schema.Struct({ type: Schema.tag("MAX_POSITION"), maxPosition: DecimalText }),
  Schema.Struct({
    type: Schema.tag("TRAILING_DELTA"),
    minTrailingAboveDelta: Schema.Int,
    maxTrailingAboveDelta: Schema.Int,
    minTrailingBelowDelta: Schema.Int,
    maxTrailingBelowDelta: Schema.Int
  }),
  /** Unknown here, or of no concern to a single order. */
  Schema.Struct({ type: Schema.tag("OTHER"), name: Schema.String })
])
export type Filter = typeof Filter.Type

export const Instrument = Schema.Struct({
  symbol: Schema.String,
  /** TRADING, HALT, BREAK, CANCEL_ONLY, …: an open enum, and only TRADING takes new orders. */
  status: Schema.String,
  baseAsset: Schema.String,
  quoteAsset: Schema.String,
  /** Digits after the point of a quantity, and of a price or quote quantity. */
  baseAssetPrecision: Schema.Int,
  quoteAssetPrecision: Schema.Int,
  orderTypes: Schema.Array(Schema.String),
  icebergAllowed: Schema.Boolean,
  quoteOrderQtyMarketAllowed: Schema.Boolean,
  /** What the symbol allows against self-trades; absent: not known, and the exchange judges. */
  selfTradePreventions: Schema.optionalKey(Schema.Array(Schema.String)),
  filters: Schema.Array(Filter)
})
export type Instrument = typeof Instrument.Type

/** Why an order would not pass, in words that a trader understands. */
export const FilterViolation = Schema.Struct({
  /** Stable: the filter's name at the exchange, or SYMBOL_UNKNOWN, SYMBOL_NOT_TRADING, ORDER_TYPE_NOT_ALLOWED, PRECISION. */
  code: Schema.String,
  /** The field of our API: price, quantity, quote_quantity, symbol, type, … */
  field: Schema.String,
  limit: Schema.String,
  actual: Schema.String,
  /** What would pass. */
  hint: Schema.String
})
export type FilterViolation = typeof FilterViolation.Type

/**
 * What can be said of an order from the snapshot alone; empty: the filters have no objection.
 * A symbol without an instrument is unknown to the exchange.
 */
export const checkStatic = (
  instrument: Instrument | undefined,
  request: OrderRequest
): ReadonlyArray<FilterViolation> => {
  if (instrument === undefined) {
    return [
      {
        code: "SYMBOL_UNKNOWN",
        field: "symbol",
        limit: "a symbol of the exchange",
        actual: request.symbol,
        hint: "check the spelling, such as BTCUSDT"
      }
    ]
  }
  return [
    ...checkSymbol(instrument, request),
    ...checkPrecision(instrument, request),
    ...instrument.filters.flatMap((filter) => checkFilter(filter, instrument, request))
  ]
}

const checkSymbol = (instrument: Instrument, request: OrderRequest): ReadonlyArray<FilterViolation> => {
  const found: Array<FilterViolation> = []
  if (instrument.status !== "TRADING") {
    found.push({
      code: "SYMBOL_NOT_TRADING",
      field: "symbol",
      limit: "status TRADING",
      actual: instrument.status,
      hint: "wait until the exchange trades this symbol again"
    })
  }
  if (!instrument.orderTypes.includes(request.type)) {
    found.push({
      code: "ORDER_TYPE_NOT_ALLOWED",
      field: "type",
      limit: instrument.orderTypes.join(", "),
      actual: request.type,
      hint: `use one of ${instrument.orderTypes.join(", ")}`
    })
  }
  if (request.quoteQuantity !== null && !instrument.quoteOrderQtyMarketAllowed) {
    found.push({
      code: "QUOTE_QUANTITY_NOT_ALLOWED",
      field: "quote_quantity",
      limit: `quantity in ${instrument.baseAsset}`,
      actual: Decimal.format(request.quoteQuantity),
      hint: `give quantity in ${instrument.baseAsset}`
    })
  }
  if (request.icebergQuantity !== undefined) found.push(...checkIceberg(instrument, request, request.icebergQuantity))
  const { selfTradePrevention: mode } = request
  const modes = instrument.selfTradePreventions
  if (mode !== undefined && modes !== undefined && !modes.includes(mode)) {
    found.push({
      code: "SELF_TRADE_PREVENTION_NOT_ALLOWED",
      field: "self_trade_prevention",
      limit: modes.join(", "),
      actual: mode,
      hint: modes.length === 0 ? "leave it out" : `use one of ${modes.join(", ")}, or leave it out`
    })
  }
  return found
}

const checkIceberg = (
  instrument: Instrument,
  { quantity }: OrderRequest,
  part: Decimal.Decimal
): ReadonlyArray<FilterViolation> => {
  if (!instrument.icebergAllowed) {
    return [
      {
        code: "ICEBERG_NOT_ALLOWED",
        field: "iceberg_quantity",
        limit: "none",
        actual: Decimal.format(part),
        hint: "leave iceberg_quantity out: this symbol shows orders whole"
      }
    ]
  }
  if (quantity === null || !Decimal.isGreater(part, quantity)) return []
  const most = Decimal.format(quantity)
  return [
    {
      code: "ICEBERG_EXCEEDS_QUANTITY",
      field: "iceberg_quantity",
      limit: `at most the quantity, ${most}`,
      actual: Decimal.format(part),
      hint: `less than ${most} would pass; leave iceberg_quantity out to show the order whole`
    }
  ]
}

const checkPrecision = (instrument: Instrument, request: OrderRequest): ReadonlyArray<FilterViolation> => {
  const check = (field: string, value: Decimal.Decimal | null, digits: number): ReadonlyArray<FilterViolation> =>
    value === null || BigDecimal.normalize(value).scale <= digits
      ? []
      : [
          {
            code: "PRECISION",
            field,
            limit: `${digits} digits after the point`,
            actual: Decimal.format(value),
            hint: `${Decimal.format(floorTo(value, BigDecimal.make(1n, digits)))} would pass`
          }
        ]
  return [
    ...check("price", request.price, instrument.quoteAssetPrecision),
    ...check("quantity", request.quantity, instrument.baseAssetPrecision),
    ...check("quote_quantity", request.quoteQuantity, instrument.quoteAssetPrecision),
    ...check("stop_price", request.stopPrice ?? null, instrument.quoteAssetPrecision),
    ...check("iceberg_quantity", request.icebergQuantity ?? null, instrument.baseAssetPrecision)
  ]
}

const checkFilter = (filter: Filter, instrument: Instrument, request: OrderRequest): ReadonlyArray<FilterViolation> => {
  const { icebergQuantity, price, quantity, stopPrice, type } = request
  switch (filter.type) {
    case "PRICE_FILTER": {
      const range = { min: filter.minPrice, max: filter.maxPrice, step: filter.tickSize }
      const ofPrice = price === null ? [] : checkRange(filter.type, "price", price, range)
      return stopPrice === undefined
        ? ofPrice
        : [...ofPrice, ...checkRange(filter.type, "stop_price", stopPrice, range)]
    }
    case "LOT_SIZE": {
      const ofQuantity = quantity === null ? [] : checkRange(filter.type, "quantity", quantity, lotOf(filter))
      return icebergQuantity === undefined
        ? ofQuantity
        : [...ofQuantity, ...checkRange(filter.type, "iceberg_quantity", icebergQuantity, lotOf(filter))]
    }
    case "ICEBERG_PARTS":
      return quantity === null || icebergQuantity === undefined
        ? []
        : checkParts(filter.limit, quantity, icebergQuantity, stepOf(instrument))
    case "MARKET_LOT_SIZE":
      return quantity === null || type !== "MARKET"
        ? []
        : checkRange("MARKET_LOT_SIZE", "quantity", quantity, lotOf(filter))
    case "MIN_NOTIONAL":
      return price === null || quantity === null
        ? []
        : checkNotional(
            filter.type,
            { price, quantity, min: filter.minNotional, max: Decimal.zero },
            stepOf(instrument)
          )
    case "NOTIONAL":
      return price === null || quantity === null
        ? []
        : checkNotional(
            filter.type,
            { price, quantity, min: filter.minNotional, max: filter.maxNotional },
            stepOf(instrument)
          )
    default:
      return []
  }
}

export interface Range {
  readonly min: Decimal.Decimal
  readonly max: Decimal.Decimal
  readonly step: Decimal.Decimal
}

export const lotOf = (filter: {
  readonly minQty: Decimal.Decimal
  readonly maxQty: Decimal.Decimal
  readonly stepSize: Decimal.Decimal
}): Range => ({ min: filter.minQty, max: filter.maxQty, step: filter.stepSize })

/** Between min and max, and a multiple of step; each rule is off when its limit is zero. */
export const checkRange = (
  code: string,
  field: string,
  value: Decimal.Decimal,
  range: Range
): ReadonlyArray<FilterViolation> => {
  const violation = (limit: string) => [
    { code, field, limit, actual: Decimal.format(value), hint: `${Decimal.format(nearest(value, range))} would pass` }
  ]
  if (!Decimal.isZero(range.min) && Decimal.isLess(value, range.min)) {
    return violation(`at least ${Decimal.format(range.min)}`)
  }
  if (!Decimal.isZero(range.max) && Decimal.isGreater(value, range.max)) {
    return violation(`at most ${Decimal.format(range.max)}`)
  }
  return Decimal.isMultipleOf(value, range.step) ? [] : violation(`a multiple of ${Decimal.format(range.step)}`)
}

/** The passing value below, or where there is none the smallest one. */
const nearest = (value: Decimal.Decimal, { max, min, step }: Range): Decimal.Decimal => {
  const below = floorTo(!Decimal.isZero(max) && Decimal.isGreater(value, max) ? max : value, step)
  if (Decimal.isPositive(below) && !Decimal.isLess(below, min)) return below
  return Decimal.isPositive(min) ? ceilTo(min, step) : step
}

const checkParts = (
  limit: number,
  quantity: Decimal.Decimal,
  part: Decimal.Decimal,
  step: Decimal.Decimal
): ReadonlyArray<FilterViolation> => {
  // ceil(quantity / part) ≤ limit, without a division.
  if (!Decimal.isGreater(quantity, Decimal.multiply(part, BigDecimal.make(BigInt(limit), 0)))) return []
  const least = Decimal.divide(quantity, BigDecimal.make(BigInt(Math.max(limit, 1)), 0), hintScale)
  const exact = Decimal.equals(Decimal.multiply(least, BigDecimal.make(BigInt(Math.max(limit, 1)), 0)), quantity)
  const enough = exact ? least : Decimal.add(least, BigDecimal.make(1n, hintScale))
  return [
    {
      code: "ICEBERG_PARTS",
      field: "iceberg_quantity",
      limit: `at most ${limit} parts`,
      actual: Decimal.format(part),
      hint: `${Decimal.format(ceilTo(enough, step))} would pass`
    }
  ]
}

export interface Notional {
  readonly price: Decimal.Decimal
  readonly quantity: Decimal.Decimal
  /** Zero: no such limit. */
  readonly min: Decimal.Decimal
  readonly max: Decimal.Decimal
}

/** `price × quantity` between min and max; the hint is a quantity at this price. */
export const checkNotional = (
  code: string,
  { max, min, price, quantity }: Notional,
  step: Decimal.Decimal
): ReadonlyArray<FilterViolation> => {
  const notional = Decimal.multiply(price, quantity)
  const violation = (limit: string, hint: Decimal.Decimal) => [
    {
      code,
      field: "quantity",
      limit: `${limit} in price × quantity`,
      actual: Decimal.format(notional),
      hint: `quantity ${Decimal.format(hint)} would pass at price ${Decimal.format(price)}`
    }
  ]
  if (Decimal.isLess(notional, min)) {
    const enough = Decimal.add(Decimal.divide(min, price, hintScale), BigDecimal.make(1n, hintScale))
    return violation(`at least ${Decimal.format(min)}`, ceilTo(multipliesTo(min, price) ?? enough, step))
  }
  if (!Decimal.isZero(max) && Decimal.isGreater(notional, max)) {
    return violation(`at most ${Decimal.format(max)}`, floorTo(Decimal.divide(max, price, hintScale), step))
  }
  return []
}

/** Digits of a quotient in a hint: more than any step has. */
const hintScale = 18

/** The exact quotient, if it has few enough digits. */
const multipliesTo = (product: Decimal.Decimal, factor: Decimal.Decimal): Decimal.Decimal | null => {
  const quotient = Decimal.divide(product, factor, hintScale)
  return Decimal.equals(Decimal.multiply(quotient, factor), product) ? quotient : null
}

/** The steps that a quantity of this symbol goes in. */
export const stepOf = ({ baseAssetPrecision, filters }: Instrument): Decimal.Decimal => {
  const lot = filters.find((filter) => filter.type === "LOT_SIZE")
  return lot === undefined || Decimal.isZero(lot.stepSize) ? BigDecimal.make(1n, baseAssetPrecision) : lot.stepSize
}

/** The greatest multiple of `step` that is not above `value`, which is not negative; a zero step leaves it as it is. */
export const floorTo = (value: Decimal.Decimal, step: Decimal.Decimal): Decimal.Decimal => {
  if (Decimal.isZero(step)) return value
  const scale = Math.max(value.scale, step.scale)
  const unit = BigDecimal.scale(step, scale).value
  const digits = BigDecimal.scale(value, scale).value
  return BigDecimal.normalize(BigDecimal.make(digits - (digits % unit), scale))
}

const ceilTo = (value: Decimal.Decimal, step: Decimal.Decimal): Decimal.Decimal => {
  const below = floorTo(value, step)
  return Decimal.equals(below, value) ? value : Decimal.add(below, step)
}
