/** The filters that need the market or the account, row by row. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { decimal } from "../../src/domain/Decimal.ts"
import { Instrument } from "../../src/domain/Instrument.ts"
import type { MarketContext, OrderShape } from "../../src/domain/marketFilters.ts"
import { checkAll, checkMarket } from "../../src/domain/marketFilters.ts"

const of = (...filters: ReadonlyArray<unknown>): Instrument =>
  Schema.decodeUnknownSync(Instrument)({
    symbol: "BTCUSDT",
    status: "TRADING",
    baseAsset: "BTC",
    quoteAsset: "USDT",
    baseAssetPrecision: 8,
    quoteAssetPrecision: 8,
    orderTypes: ["LIMIT", "MARKET"],
    icebergAllowed: true,
    quoteOrderQtyMarketAllowed: true,
    filters
  })

const context: MarketContext = {
  averagePrice: decimal("100"),
  openOrders: 3,
  openAlgoOrders: 1,
  openIcebergOrders: 2,
  basePosition: decimal("4")
}

const order = (changes: Partial<OrderShape>): OrderShape => ({
  side: "BUY",
  type: "LIMIT",
  quantity: decimal("1"),
  quoteQuantity: null,
  price: decimal("100"),
  ...changes
})

const market = (quantity: string): Partial<OrderShape> => ({ type: "MARKET", price: null, quantity: decimal(quantity) })
const forQuote = (quoteQuantity: string): Partial<OrderShape> => ({
  type: "MARKET",
  price: null,
  quantity: null,
  quoteQuantity: decimal(quoteQuantity)
})

const percent = { type: "PERCENT_PRICE", multiplierUp: "1.2", multiplierDown: "0.8" }
const bySide = {
  type: "PERCENT_PRICE_BY_SIDE",
  bidMultiplierUp: "1.1",
  bidMultiplierDown: "0.5",
  askMultiplierUp: "5",
  askMultiplierDown: "0.9"
}
const minNotional = (applyToMarket: boolean) => ({ type: "MIN_NOTIONAL", minNotional: "10", applyToMarket })
const notional = {
  type: "NOTIONAL",
  minNotional: "10",
  applyMinToMarket: true,
  maxNotional: "500",
  applyMaxToMarket: true
}
const trailing = {
  type: "TRAILING_DELTA",
  minTrailingAboveDelta: 10,
  maxTrailingAboveDelta: 2000,
  minTrailingBelowDelta: 20,
  maxTrailingBelowDelta: 1000
}

const passes = (type: string, side: "BUY" | "SELL", trailingDelta: number) =>
  [trailing, order({ type, side, trailingDelta }), true] as const
const fails = (type: string, side: "BUY" | "SELL", trailingDelta: number) =>
  [trailing, order({ type, side, trailingDelta }), false] as const

const rows: ReadonlyArray<
  readonly [
    filter: Readonly<Record<string, unknown>>,
    order: OrderShape,
    passes: boolean,
    changed?: Partial<MarketContext>
  ]
> = [
  [percent, order({ price: decimal("120") }), true],
  [percent, order({ price: decimal("120.00000001") }), false],
  [percent, order({ price: decimal("80") }), true],
  [percent, order({ price: decimal("79.99999999") }), false],
  [percent, order(market("1")), true],
  [percent, order({ price: decimal("1000") }), true, { averagePrice: null }],
  [bySide, order({ side: "BUY", price: decimal("110") }), true],
  [bySide, order({ side: "BUY", price: decimal("110.01") }), false],
  [bySide, order({ side: "BUY", price: decimal("50") }), true],
  [bySide, order({ side: "SELL", price: decimal("90") }), true],
  [bySide, order({ side: "SELL", price: decimal("89.99") }), false],
  [bySide, order({ side: "SELL", price: decimal("500") }), true],
  [bySide, order({ side: "SELL", price: decimal("500.01") }), false],
  [minNotional(true), order(market("0.1")), true],
  [minNotional(true), order(market("0.09999999")), false],
  [minNotional(false), order(market("0.00000001")), true],
  [minNotional(true), order(market("0.00000001")), true, { averagePrice: null }],
  [minNotional(true), order(forQuote("10")), true],
  [minNotional(true), order(forQuote("9.99")), false],
  [notional, order(market("5")), true],
  [notional, order(market("5.00000001")), false],
  [notional, order(forQuote("500.01")), false],
  [{ type: "MAX_NUM_ORDERS", limit: 4 }, order({}), true],
  [{ type: "MAX_NUM_ORDERS", limit: 3 }, order({}), false],
  [{ type: "MAX_NUM_ALGO_ORDERS", limit: 1 }, order({}), true],
  [{ type: "MAX_NUM_ALGO_ORDERS", limit: 1 }, order({ type: "STOP_LOSS_LIMIT" }), false],
  [{ type: "MAX_NUM_ALGO_ORDERS", limit: 2 }, order({ type: "TAKE_PROFIT" }), true],
  [{ type: "MAX_NUM_ICEBERG_ORDERS", limit: 2 }, order({}), true],
  [{ type: "MAX_NUM_ICEBERG_ORDERS", limit: 2 }, order({ icebergQuantity: decimal("1") }), false],
  [{ type: "MAX_POSITION", maxPosition: "5" }, order({}), true],
  [{ type: "MAX_POSITION", maxPosition: "5" }, order({ quantity: decimal("1.00000001") }), false],
  [{ type: "MAX_POSITION", maxPosition: "1" }, order({ side: "SELL" }), true],
  passes("STOP_LOSS", "BUY", 10),
  passes("STOP_LOSS", "BUY", 2000),
  fails("STOP_LOSS", "BUY", 9),
  fails("STOP_LOSS_LIMIT", "BUY", 2001),
  passes("TAKE_PROFIT", "SELL", 10),
  fails("TAKE_PROFIT_LIMIT", "SELL", 2001),
  passes("STOP_LOSS", "SELL", 20),
  fails("STOP_LOSS", "SELL", 19),
  passes("TAKE_PROFIT", "BUY", 1000),
  fails("TAKE_PROFIT_LIMIT", "BUY", 1001),
  passes("LIMIT", "BUY", 1),
  [{ type: "OTHER", name: "T_PLUS_SELL" }, order({}), true]
]

const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (part === null || part === undefined ? undefined : part))

describe("a filter that needs the market or the account", () => {
  rows.forEach(([filter, asked, isPassing, changed], index) => {
    it(`${isPassing ? "passes" : "refuses"} row ${index}: ${String(filter["type"])} and ${shown(asked)} ${shown(changed) ?? ""}`, () => {
      const found = checkMarket(of(filter), asked, { ...context, ...changed })

      assert.deepStrictEqual(
        found.map(({ code }): unknown => code),
        isPassing ? [] : [filter["type"]]
      )
    })
  })

  it("is asked along with the static ones", () => {
    const request = {
      symbol: "BTCUSDT",
      side: "BUY",
      type: "LIMIT",
      timeInForce: "GTC",
      quantity: decimal("1"),
      quoteQuantity: null,
      price: decimal("130.5"),
      validUntil: null
    } as const

    const found = checkAll(
      of({ type: "PRICE_FILTER", minPrice: "0", maxPrice: "0", tickSize: "1" }, percent),
      request,
      context
    )

    assert.deepStrictEqual(
      found.map(({ code }) => code),
      ["PRICE_FILTER", "PERCENT_PRICE"]
    )
    assert.strictEqual(found[1]!.limit, "from 80 to 120")
  })
})
