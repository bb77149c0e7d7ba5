/** The static filters, row by row: the order, and what is said of it. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { decimal } from "../../src/domain/Decimal.ts"
import type { OrderRequest } from "../../src/domain/Event.ts"
import { checkStatic, Instrument } from "../../src/domain/Instrument.ts"

const instrument = Schema.decodeUnknownSync(Instrument)({
  symbol: "BTCUSDT",
  status: "TRADING",
  baseAsset: "BTC",
  quoteAsset: "USDT",
  baseAssetPrecision: 8,
  quoteAssetPrecision: 8,
  orderTypes: ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
  icebergAllowed: true,
  quoteOrderQtyMarketAllowed: true,
  filters: [
    { type: "PRICE_FILTER", minPrice: "0.01000000", maxPrice: "1000000.00000000", tickSize: "0.01000000" },
    { type: "LOT_SIZE", minQty: "0.00001000", maxQty: "9000.00000000", stepSize: "0.00001000" },
    { type: "MARKET_LOT_SIZE", minQty: "0.00000000", maxQty: "120.50000000", stepSize: "0.00000000" },
    { type: "NOTIONAL", minNotional: "5", applyMinToMarket: true, maxNotional: "9000000", applyMaxToMarket: false },
    { type: "OTHER", name: "T_PLUS_SELL" }
  ]
})

const limit = (price: string, quantity: string): OrderRequest => ({
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: decimal(quantity),
  quoteQuantity: null,
  price: decimal(price),
  validUntil: null
})

const market = (quantity: string | null, quoteQuantity: string | null = null): OrderRequest => ({
  ...limit("1", "1"),
  type: "MARKET",
  timeInForce: null,
  price: null,
  quantity: quantity === null ? null : decimal(quantity),
  quoteQuantity: quoteQuantity === null ? null : decimal(quoteQuantity)
})

const stop = (stopPrice: string, price = "100"): OrderRequest => ({
  ...limit(price, "1"),
  type: "STOP_LOSS_LIMIT",
  stopPrice: decimal(stopPrice)
})

const iceberg = (quantity: string, part: string): OrderRequest => ({
  ...limit("100", quantity),
  icebergQuantity: decimal(part)
})

const instrumentWith = (changes: Readonly<Record<string, unknown>>): Instrument => ({ ...instrument, ...changes })
const withFilters = (...filters: ReadonlyArray<unknown>): Instrument =>
  Schema.decodeUnknownSync(Instrument)({ ...Schema.encodeSync(Instrument)(instrument), filters })

const withParts = (limit: number): Instrument => withFilters({ type: "ICEBERG_PARTS", limit })

const codes = (of: Instrument, request: OrderRequest) =>
  checkStatic(of, request).map(({ code, field }) => `${code} ${field}`)

describe("a static filter", () => {
  const rows: ReadonlyArray<
    readonly [name: string, of: Instrument, request: OrderRequest, expected: ReadonlyArray<string>]
  > = [
    ["passes an ordinary limit order", instrument, limit("61234.57", "0.5"), []],
    ["passes the least price", instrument, limit("0.01", "500"), []],
    ["passes the greatest price", instrument, limit("1000000", "1"), []],
    ["refuses a price below the least", instrument, limit("0.001", "9000"), ["PRICE_FILTER price"]],
    ["refuses a price above the greatest", instrument, limit("1000000.01", "1"), ["PRICE_FILTER price"]],
    ["refuses a price between two ticks", instrument, limit("100.005", "1"), ["PRICE_FILTER price"]],
    ["passes the least quantity", instrument, limit("500000", "0.00001"), []],
    ["passes the greatest quantity", instrument, limit("1", "9000"), []],
    ["refuses a quantity below the least", instrument, limit("900000", "0.000009"), ["LOT_SIZE quantity"]],
    ["refuses a quantity above the greatest", instrument, limit("1", "9000.00001"), ["LOT_SIZE quantity"]],
    ["refuses a quantity between two steps", instrument, limit("900000", "0.000015"), ["LOT_SIZE quantity"]],
    [
      "refuses more digits than the asset has",
      instrument,
      limit("100", "1.000000001"),
      ["PRECISION quantity", "LOT_SIZE quantity"]
    ],
    ["passes exactly the least amount", instrument, limit("5", "1"), []],
    ["refuses an amount just below the least", instrument, limit("4.99", "1"), ["NOTIONAL quantity"]],
    ["passes exactly the greatest amount", instrument, limit("1000", "9000"), []],
    ["refuses an amount above the greatest", instrument, limit("1000.01", "9000"), ["NOTIONAL quantity"]],
    ["judges no amount of a market order: there is no price", instrument, market("0.00001"), []],
    ["passes a market quantity that MARKET_LOT_SIZE allows, whose step 0 is no step", instrument, market("120.5"), []],
    [
      "judges a market quantity by both lot sizes",
      instrument,
      market("120.500001"),
      ["LOT_SIZE quantity", "MARKET_LOT_SIZE quantity"]
    ],
    ["judges a limit quantity by LOT_SIZE only", instrument, limit("1", "121"), []],
    ["leaves a quote quantity to the exchange", instrument, market(null, "1"), []],
    [
      "refuses a quote quantity with more digits than the asset has",
      instrument,
      market(null, "10.000000001"),
      ["PRECISION quote_quantity"]
    ],
    [
      "refuses a quote quantity where the symbol takes none",
      instrumentWith({ quoteOrderQtyMarketAllowed: false }),
      market(null, "10"),
      ["QUOTE_QUANTITY_NOT_ALLOWED quote_quantity"]
    ],
    [
      "refuses a kind of order that the symbol does not take",
      instrumentWith({ orderTypes: ["LIMIT"] }),
      market("1"),
      ["ORDER_TYPE_NOT_ALLOWED type"]
    ],
    [
      "refuses a symbol that only cancels",
      instrumentWith({ status: "CANCEL_ONLY" }),
      limit("100", "1"),
      ["SYMBOL_NOT_TRADING symbol"]
    ],
    [
      "refuses a status that nobody knows",
      instrumentWith({ status: "NAPPING" }),
      limit("100", "1"),
      ["SYMBOL_NOT_TRADING symbol"]
    ],
    ["passes anything where there are no filters", withFilters(), limit("0.00000001", "0.00000001"), []],
    [
      "is off where its limit is zero",
      withFilters({ type: "PRICE_FILTER", minPrice: "0", maxPrice: "0", tickSize: "0" }),
      limit("123456789.12345678", "1"),
      []
    ],
    [
      "counts steps from zero, and not from the least quantity",
      withFilters({ type: "LOT_SIZE", minQty: "0.005", maxQty: "10", stepSize: "0.01" }),
      limit("100", "0.015"),
      ["LOT_SIZE quantity"]
    ],
    [
      "is exact where a double is not: 0.3 is a multiple of 0.1",
      withFilters({ type: "LOT_SIZE", minQty: "0.1", maxQty: "10", stepSize: "0.10000000" }),
      limit("100", "0.3"),
      []
    ],
    [
      "knows MIN_NOTIONAL, the older form",
      withFilters({ type: "MIN_NOTIONAL", minNotional: "10.00000000", applyToMarket: true }),
      limit("99.99", "0.1"),
      ["MIN_NOTIONAL quantity"]
    ],
    ["passes a stop price on a tick", instrument, stop("99.99"), []],
    ["refuses a stop price between two ticks", instrument, stop("99.995"), ["PRICE_FILTER stop_price"]],
    [
      "judges price and stop price apart",
      instrument,
      stop("0.001", "1000000.01"),
      ["PRICE_FILTER price", "PRICE_FILTER stop_price"]
    ],
    [
      "refuses a stop price with more digits than the asset has",
      instrument,
      stop("99.000000001"),
      ["PRECISION stop_price", "PRICE_FILTER stop_price"]
    ],
    ["takes the amount of a stop order from its price", instrument, stop("1000", "4.99"), ["NOTIONAL quantity"]],
    [
      "refuses a stop order where the symbol takes none",
      instrumentWith({ orderTypes: ["LIMIT"] }),
      stop("99"),
      ["ORDER_TYPE_NOT_ALLOWED type"]
    ],
    ["passes an iceberg order of exactly as many parts as are allowed", withParts(10), iceberg("1", "0.1"), []],
    [
      "refuses an iceberg order of one part too many",
      withParts(10),
      iceberg("1", "0.09999"),
      ["ICEBERG_PARTS iceberg_quantity"]
    ],
    ["refuses a part between two steps", instrument, iceberg("1", "0.100001"), ["LOT_SIZE iceberg_quantity"]],
    [
      "refuses a part greater than the whole",
      instrument,
      iceberg("1", "1.1"),
      ["ICEBERG_EXCEEDS_QUANTITY iceberg_quantity"]
    ],
    [
      "refuses an iceberg order where the symbol takes none",
      instrumentWith({ icebergAllowed: false }),
      iceberg("1", "0.5"),
      ["ICEBERG_NOT_ALLOWED iceberg_quantity"]
    ],
    [
      "refuses a self-trade prevention that the symbol does not know",
      instrumentWith({ selfTradePreventions: ["NONE", "EXPIRE_TAKER"] }),
      { ...limit("100", "1"), selfTradePrevention: "DECREMENT" },
      ["SELF_TRADE_PREVENTION_NOT_ALLOWED self_trade_prevention"]
    ],
    [
      "leaves self-trade prevention to the exchange where a snapshot does not tell",
      instrument,
      { ...limit("100", "1"), selfTradePrevention: "DECREMENT" },
      []
    ]
  ]
  for (const [name, of, request, expected] of rows) {
    it(name, () => assert.deepStrictEqual(codes(of, request), expected))
  }

  it("names a symbol that the exchange does not have", () => {
    assert.deepInclude(checkStatic(undefined, { ...limit("1", "1"), symbol: "BTCUSD" })[0], {
      code: "SYMBOL_UNKNOWN",
      field: "symbol",
      actual: "BTCUSD"
    })
  })

  it("names all that is wrong at once", () => {
    assert.deepStrictEqual(codes(instrumentWith({ status: "HALT" }), limit("0.015", "0.000015")), [
      "SYMBOL_NOT_TRADING symbol",
      "PRICE_FILTER price",
      "LOT_SIZE quantity",
      "NOTIONAL quantity"
    ])
  })
})

describe("the hint", () => {
  const hinted: ReadonlyArray<
    readonly [name: string, request: OrderRequest, changed: (value: string) => OrderRequest, of?: Instrument]
  > = [
    ["a stop price between ticks", stop("99.995"), (price) => stop(price)],
    ["a part between steps", iceberg("1", "0.100001"), (part) => iceberg("1", part)],
    ["a part greater than the whole", iceberg("1", "1.1"), (part) => iceberg("1", part)],
    ["too many parts", iceberg("1", "0.01"), (part) => iceberg("1", part), withParts(7)],
    ["a price between ticks", limit("100.005", "1"), (price) => limit(price, "1")],
    ["a price above the greatest", limit("2000000", "1"), (price) => limit(price, "1")],
    ["a price below the least", limit("0.001", "9000"), (price) => limit(price, "9000")],
    ["a quantity between steps", limit("900000", "0.000015"), (quantity) => limit("900000", quantity)],
    ["a quantity below the least", limit("900000", "0.000009"), (quantity) => limit("900000", quantity)],
    ["too small an amount", limit("3", "0.1"), (quantity) => limit("3", quantity)],
    ["too great an amount", limit("7000.01", "9000"), (quantity) => limit("7000.01", quantity)]
  ]
  for (const [name, request, changed, of = instrument] of hinted) {
    it(`of ${name} names a value that passes`, () => {
      const [violation] = checkStatic(of, request)

      const value = /\d+(\.\d+)?/.exec(violation!.hint)![0]
      assert.deepStrictEqual(checkStatic(of, changed(value)), [])
    })
  }

  it("is in words that a trader understands", () => {
    assert.deepStrictEqual(checkStatic(instrument, limit("3", "0.1")), [
      {
        code: "NOTIONAL",
        field: "quantity",
        limit: "at least 5 in price × quantity",
        actual: "0.3",
        hint: "quantity 1.66667 would pass at price 3"
      }
    ])
  })
})

describe("an instrument", () => {
  it("comes back from its snapshot as it was", () => {
    const stored: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Instrument)(instrument)))

    const read = Schema.encodeSync(Instrument)(Schema.decodeUnknownSync(Instrument)(stored))

    assert.deepStrictEqual(read, Schema.encodeSync(Instrument)(instrument))
  })
})
