/**
 * The symbols of the exchange: what they trade, where their price starts, and the filters that judge their orders.
 *
 * Filters are data with the fields of `exchangeInfo`, so that what is published is what is enforced.
 */
import { amount, type Amount } from "./Amount.ts"
import { allFeatures, type Features } from "./features.ts"
import { openQuestions } from "./openQuestions.ts"
import type { PreventionMode } from "./Order.ts"
import type { PriceRange } from "./priceRange.ts"
import type { ReferenceRules } from "./ReferencePrice.ts"

export type Filter =
  | {
      readonly filterType: "PRICE_FILTER"
      readonly minPrice: Amount
      readonly maxPrice: Amount
      readonly tickSize: Amount
    }
  | {
      readonly filterType: "PERCENT_PRICE"
      readonly multiplierUp: Amount
      readonly multiplierDown: Amount
      readonly avgPriceMins: number
    }
  | {
      readonly filterType: "PERCENT_PRICE_BY_SIDE"
      readonly bidMultiplierUp: Amount
      readonly bidMultiplierDown: Amount
      readonly askMultiplierUp: Amount
      readonly askMultiplierDown: Amount
      readonly avgPriceMins: number
    }
  | {
      readonly filterType: "LOT_SIZE" | "MARKET_LOT_SIZE"
      readonly minQty: Amount
      readonly maxQty: Amount
      readonly stepSize: Amount
    }
  | {
      readonly filterType: "MIN_NOTIONAL"
      readonly minNotional: Amount
      readonly applyToMarket: boolean
      readonly avgPriceMins: number
    }
  | {
      readonly filterType: "NOTIONAL"
      readonly minNotional: Amount
      readonly applyMinToMarket: boolean
      readonly maxNotional: Amount
      readonly applyMaxToMarket: boolean
      readonly avgPriceMins: number
    }
  | { readonly filterType: "ICEBERG_PARTS"; readonly limit: number }
  | { readonly filterType: "MAX_NUM_ORDERS"; readonly maxNumOrders: number }
  | { readonly filterType: "MAX_NUM_ALGO_ORDERS"; readonly maxNumAlgoOrders: number }
  | { readonly filterType: "MAX_NUM_ICEBERG_ORDERS"; readonly maxNumIcebergOrders: number }
  | { readonly filterType: "MAX_NUM_ORDER_LISTS"; readonly maxNumOrderLists: number }
  | { readonly filterType: "MAX_NUM_ORDER_AMENDS"; readonly maxNumOrderAmends: number }
  | { readonly filterType: "MAX_POSITION"; readonly maxPosition: Amount }
  | {
      readonly filterType: "TRAILING_DELTA"
      readonly minTrailingAboveDelta: number
      readonly maxTrailingAboveDelta: number
      readonly minTrailingBelowDelta: number
      readonly maxTrailingBelowDelta: number
    }

export type SymbolStatus = "TRADING" | "HALT" | "BREAK"

export interface SymbolInfo {
  readonly symbol: string
  readonly status: SymbolStatus
  readonly base: string
  readonly quote: string
  /** Where the price starts, and what the walk is drawn back to. */
  readonly startPrice: Amount
  readonly tickSize: Amount
  readonly stepSize: Amount
  readonly minQty: Amount
  readonly filters: ReadonlyArray<Filter>
  readonly features: Features
  /** How far from its reference price an order may trade as taker; no rule when absent. */
  readonly priceRange?: PriceRange
  /** How the reference price is counted; there is none when absent. */
  readonly referencePrice?: ReferenceRules
  readonly defaultPreventionMode: PreventionMode
  readonly allowedPreventionModes: ReadonlyArray<PreventionMode>
}

/** How many orders may be open: the exchange's own numbers, or none that a test would meet. */
export type Limits = "off" | "real"

const liftedOrderNumber = 100_000

interface Seed {
  readonly base: string
  readonly quote: string
  readonly startPrice: string
  readonly step: string
  readonly maxQty: string
  readonly marketMaxQty: string
}

const seeds: ReadonlyArray<Seed> = [
  { base: "BTC", quote: "USDT", startPrice: "65000", step: "0.00001", maxQty: "9000", marketMaxQty: "150" },
  { base: "ETH", quote: "USDT", startPrice: "3200", step: "0.0001", maxQty: "9000", marketMaxQty: "3000" },
  { base: "BNB", quote: "USDT", startPrice: "600", step: "0.001", maxQty: "900000", marketMaxQty: "10000" }
]

/** As on the testnet, one symbol has the price range rule; it is as wide as the filter on prices. */
const ruledBase = "BTC"
const wideRange: PriceRange = {
  bidLimitMultUp: amount("5"),
  bidLimitMultDown: amount("0.2"),
  askLimitMultUp: amount("5"),
  askLimitMultDown: amount("0.2")
}
const tenSeconds: ReferenceRules = { bucketCount: 10, bucketWidthMs: 1_000 }

export const symbolsOf = (limits: Limits): ReadonlyArray<SymbolInfo> =>
  seeds.map((seed) => ({
    symbol: seed.base + seed.quote,
    status: "TRADING",
    base: seed.base,
    quote: seed.quote,
    startPrice: amount(seed.startPrice),
    tickSize: amount("0.01"),
    stepSize: amount(seed.step),
    minQty: amount(seed.step),
    filters: filtersOf(seed, limits),
    features: allFeatures,
    ...(seed.base === ruledBase ? { priceRange: wideRange, referencePrice: tenSeconds } : {}),
    defaultPreventionMode: openQuestions.defaultPreventionMode,
    allowedPreventionModes: ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
  }))

const filtersOf = (seed: Seed, limits: Limits): ReadonlyArray<Filter> => {
  const atMost = (real: number) => (limits === "real" ? real : liftedOrderNumber)
  return [
    { filterType: "PRICE_FILTER", minPrice: amount("0.01"), maxPrice: amount("1000000"), tickSize: amount("0.01") },
    { filterType: "LOT_SIZE", minQty: amount(seed.step), maxQty: amount(seed.maxQty), stepSize: amount(seed.step) },
    { filterType: "ICEBERG_PARTS", limit: 100 },
    {
      filterType: "TRAILING_DELTA",
      minTrailingAboveDelta: 10,
      maxTrailingAboveDelta: 2_000,
      minTrailingBelowDelta: 10,
      maxTrailingBelowDelta: 2_000
    },
    { filterType: "MARKET_LOT_SIZE", minQty: 0n, maxQty: amount(seed.marketMaxQty), stepSize: 0n },
    {
      filterType: "PERCENT_PRICE_BY_SIDE",
      bidMultiplierUp: amount("5"),
      bidMultiplierDown: amount("0.2"),
      askMultiplierUp: amount("5"),
      askMultiplierDown: amount("0.2"),
      avgPriceMins: 5
    },
    {
      filterType: "NOTIONAL",
      minNotional: amount("5"),
      applyMinToMarket: true,
      maxNotional: amount("9000000"),
      applyMaxToMarket: false,
      avgPriceMins: 5
    },
    { filterType: "MAX_NUM_ORDERS", maxNumOrders: atMost(200) },
    { filterType: "MAX_NUM_ORDER_LISTS", maxNumOrderLists: atMost(20) },
    { filterType: "MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: atMost(5) },
    { filterType: "MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders: atMost(200) },
    { filterType: "MAX_NUM_ORDER_AMENDS", maxNumOrderAmends: 10 }
  ]
}

export const defaultBalances: Readonly<Record<string, string>> = {
  USDT: "1000000",
  BTC: "100",
  ETH: "1000",
  BNB: "1000"
}
