import { assert, describe, it } from "@effect/vitest"
import { amount } from "../../src/simulator/Amount.ts"
import {
  type Added,
  type Counts,
  type ExchangeFilter,
  judgeOrder,
  judgeStanding,
  type Standing
} from "../../src/simulator/filters.ts"
import { type Filter, type SymbolInfo, symbolsOf } from "../../src/simulator/Market.ts"
import { standingOf } from "../../src/simulator/standing.ts"
import { limitOrder, openDesk } from "./desk.ts"
import { makeExchange, marketOf, wantedOf, type Words } from "./exchangeForTests.ts"

const bitcoin = symbolsOf("off")[0]!
const withFilters = (...filters: ReadonlyArray<Filter>): SymbolInfo => ({ ...bitcoin, filters })
const average = (minutes: number) => amount(minutes === 0 ? "50" : "100")

const verdict = (filter: Filter, words: Words): string | undefined =>
  judgeOrder(withFilters(filter), wantedOf(words), average)?.message

const price: Filter = {
  filterType: "PRICE_FILTER",
  minPrice: amount("0.06"),
  maxPrice: amount("99.99"),
  tickSize: amount("0.03")
}
const lot = {
  filterType: "LOT_SIZE",
  minQty: amount("0.2"),
  maxQty: amount("5"),
  stepSize: amount("0.1")
} as const
const marketLot = { ...lot, filterType: "MARKET_LOT_SIZE" } as const
const percent: Filter = {
  filterType: "PERCENT_PRICE",
  multiplierUp: amount("1.1"),
  multiplierDown: amount("0.9"),
  avgPriceMins: 5
}
const bySide: Filter = {
  filterType: "PERCENT_PRICE_BY_SIDE",
  bidMultiplierUp: amount("1.2"),
  bidMultiplierDown: amount("0.5"),
  askMultiplierUp: amount("3"),
  askMultiplierDown: amount("0.9"),
  avgPriceMins: 5
}
const minNotional: Filter = {
  filterType: "MIN_NOTIONAL",
  minNotional: amount("10"),
  applyToMarket: true,
  avgPriceMins: 5
}
const notional: Filter = {
  filterType: "NOTIONAL",
  minNotional: amount("5"),
  applyMinToMarket: true,
  maxNotional: amount("1000"),
  applyMaxToMarket: false,
  avgPriceMins: 5
}
const parts: Filter = { filterType: "ICEBERG_PARTS", limit: 10 }
const trailing: Filter = {
  filterType: "TRAILING_DELTA",
  minTrailingAboveDelta: 10,
  maxTrailingAboveDelta: 2_000,
  minTrailingBelowDelta: 20,
  maxTrailingBelowDelta: 1_000
}

type Row = readonly [filter: Filter, order: Words, passes: boolean]

/** Both ends of what a trailing delta may be, and what is just outside, for the types that trigger on one side. */
const deltas = (least: number, most: number, types: ReadonlyArray<Pick<Words, "type" | "side">>): ReadonlyArray<Row> =>
  types.flatMap((words): ReadonlyArray<Row> => {
    const order = (trail: number): Words => ({ ...words, quantity: "1", trail })
    return [
      [trailing, order(least - 1), false],
      [trailing, order(least), true],
      [trailing, order(most), true],
      [trailing, order(most + 1), false]
    ]
  })

const table: ReadonlyArray<Row> = [
  // Each bound from both sides, of price and stop price; the modulo is of the price itself.
  [price, { price: "0.06", quantity: "1" }, true],
  [price, { price: "0.03", quantity: "1" }, false],
  [price, { price: "99.99", quantity: "1" }, true],
  [price, { price: "100.02", quantity: "1" }, false],
  [price, { price: "0.07", quantity: "1" }, false],
  [price, { type: "STOP_LOSS", stop: "0.06", quantity: "1" }, true],
  [price, { type: "STOP_LOSS", stop: "0.03", quantity: "1" }, false],
  [price, { type: "STOP_LOSS", stop: "99.99", quantity: "1" }, true],
  [price, { type: "STOP_LOSS", stop: "100.02", quantity: "1" }, false],
  [price, { type: "STOP_LOSS", stop: "0.07", quantity: "1" }, false],
  [price, { type: "STOP_LOSS", trail: 10, quantity: "1" }, true],
  [price, { type: "STOP_LOSS_LIMIT", stop: "0.06", price: "0.07", quantity: "1" }, false],
  [price, { quantity: "1" }, true],
  // Each rule is off when its field is 0.
  [{ ...price, minPrice: 0n }, { price: "0.03", quantity: "1" }, true],
  [{ ...price, maxPrice: 0n }, { price: "100.02", quantity: "1" }, true],
  [{ ...price, tickSize: 0n }, { price: "0.07", quantity: "1" }, true],
  // The average is 100, and the last price 50.
  [percent, { price: "110", quantity: "1" }, true],
  [percent, { price: "110.00000001", quantity: "1" }, false],
  [percent, { side: "SELL", price: "90", quantity: "1" }, true],
  [percent, { side: "SELL", price: "89.99999999", quantity: "1" }, false],
  [percent, { quantity: "1" }, true],
  [percent, { type: "TAKE_PROFIT", stop: "1", quantity: "1" }, true],
  [percent, { type: "TAKE_PROFIT_LIMIT", stop: "1", price: "89", quantity: "1" }, false],
  [{ ...percent, avgPriceMins: 0 }, { price: "55", quantity: "1" }, true],
  [{ ...percent, avgPriceMins: 0 }, { price: "55.00000001", quantity: "1" }, false],
  [bySide, { side: "BUY", price: "120", quantity: "1" }, true],
  [bySide, { side: "BUY", price: "120.00000001", quantity: "1" }, false],
  [bySide, { side: "BUY", price: "50", quantity: "1" }, true],
  [bySide, { side: "BUY", price: "49.99999999", quantity: "1" }, false],
  [bySide, { side: "SELL", price: "300", quantity: "1" }, true],
  [bySide, { side: "SELL", price: "300.00000001", quantity: "1" }, false],
  [bySide, { side: "SELL", price: "90", quantity: "1" }, true],
  [bySide, { side: "SELL", price: "89.99999999", quantity: "1" }, false],
  [bySide, { side: "SELL", quantity: "1" }, true],
  [lot, { price: "1", quantity: "0.2" }, true],
  [lot, { price: "1", quantity: "0.1" }, false],
  // 0.3 % 0.1 is not 0 in binary floating point.
  [lot, { price: "1", quantity: "0.3" }, true],
  [lot, { price: "1", quantity: "0.35" }, false],
  [lot, { price: "1", quantity: "5" }, true],
  [lot, { price: "1", quantity: "5.1" }, false],
  [lot, { quantity: "0.15" }, false],
  [lot, { quantity: "0.2" }, true],
  [lot, { quote: "50" }, true],
  [lot, { price: "1", quantity: "2", iceberg: "0.1" }, false],
  [lot, { price: "1", quantity: "2", iceberg: "0.2" }, true],
  [lot, { price: "1", quantity: "2", iceberg: "0.25" }, false],
  // Not of the distance from the minimum.
  [{ ...lot, minQty: amount("0.25") }, { price: "1", quantity: "0.35" }, false],
  [{ ...lot, minQty: amount("0.25") }, { price: "1", quantity: "0.3" }, true],
  [marketLot, { quantity: "0.2" }, true],
  [marketLot, { quantity: "0.1" }, false],
  [marketLot, { quantity: "5" }, true],
  [marketLot, { quantity: "5.1" }, false],
  [marketLot, { quantity: "0.25" }, false],
  [{ ...marketLot, stepSize: 0n }, { quantity: "0.25" }, true],
  [marketLot, { price: "1", quantity: "6" }, true],
  [marketLot, { quote: "50" }, true],
  [marketLot, { type: "STOP_LOSS", stop: "1", quantity: "6" }, false],
  [marketLot, { type: "STOP_LOSS_LIMIT", stop: "1", price: "1", quantity: "6" }, true],
  [minNotional, { price: "100", quantity: "0.1" }, true],
  [minNotional, { price: "99.99999999", quantity: "0.1" }, false],
  [minNotional, { quantity: "0.1" }, true],
  [minNotional, { quantity: "0.09999999" }, false],
  [{ ...minNotional, applyToMarket: false }, { quantity: "0.01" }, true],
  [{ ...minNotional, avgPriceMins: 0 }, { quantity: "0.19999999" }, false],
  [{ ...minNotional, avgPriceMins: 0 }, { quantity: "0.2" }, true],
  [minNotional, { quote: "10" }, true],
  [minNotional, { quote: "9.99999999" }, false],
  // A stop-limit order's notional is of its price, not of its stop price.
  [minNotional, { type: "STOP_LOSS_LIMIT", stop: "200", price: "99", quantity: "0.1" }, false],
  [notional, { price: "50", quantity: "0.1" }, true],
  [notional, { price: "49.99999999", quantity: "0.1" }, false],
  [notional, { price: "500", quantity: "2" }, true],
  [notional, { price: "500", quantity: "2.00000001" }, false],
  [notional, { quantity: "0.05" }, true],
  [notional, { quantity: "0.04999999" }, false],
  [notional, { quantity: "20" }, true],
  [notional, { quote: "5" }, true],
  [notional, { quote: "4.99999999" }, false],
  [{ ...notional, applyMinToMarket: false }, { quantity: "0.01" }, true],
  [{ ...notional, applyMaxToMarket: true }, { quantity: "10" }, true],
  [{ ...notional, applyMaxToMarket: true }, { quantity: "10.00000001" }, false],
  [parts, { price: "1", quantity: "10", iceberg: "1" }, true],
  [parts, { price: "1", quantity: "10.00000001", iceberg: "1" }, false],
  [parts, { price: "1", quantity: "1000" }, true],
  ...deltas(10, 2_000, [
    { type: "STOP_LOSS", side: "BUY" },
    { type: "STOP_LOSS_LIMIT", side: "BUY" },
    { type: "TAKE_PROFIT", side: "SELL" },
    { type: "TAKE_PROFIT_LIMIT", side: "SELL" }
  ]),
  ...deltas(20, 1_000, [
    { type: "STOP_LOSS", side: "SELL" },
    { type: "STOP_LOSS_LIMIT", side: "SELL" },
    { type: "TAKE_PROFIT", side: "BUY" },
    { type: "TAKE_PROFIT_LIMIT", side: "BUY" }
  ])
]

interface Open {
  readonly orders?: number
  readonly algoOrders?: number
  readonly icebergs?: number
  readonly lists?: number
  readonly position?: string
}

const standing = (open: Open, elsewhere: Open = {}): Standing => {
  const counts = (one: Open, other: Open): Counts => ({
    orders: (one.orders ?? 0) + (other.orders ?? 0),
    algoOrders: () => (one.algoOrders ?? 0) + (other.algoOrders ?? 0),
    icebergs: () => (one.icebergs ?? 0) + (other.icebergs ?? 0),
    lists: () => (one.lists ?? 0) + (other.lists ?? 0)
  })
  return {
    onSymbol: counts(open, {}),
    onExchange: () => counts(open, elsewhere),
    position: () => amount(open.position ?? "0")
  }
}

const shown = (order: Words): string => JSON.stringify(order)

describe("filters", () => {
  it.each(table.map(([filter, order, passes], at) => [filter.filterType, shown(order), passes, at] as const))(
    "%s judges %s: %s",
    (name, _, passes, at) => {
      const [filter, order] = table[at]!

      assert.strictEqual(verdict(filter, order), passes ? undefined : `Filter failure: ${name}`)
    }
  )

  const algo: Words = { type: "STOP_LOSS", stop: "1", quantity: "1" }
  const slice: Words = { price: "1", quantity: "1", iceberg: "0.5" }
  const plain: Words = { price: "1", quantity: "1" }

  /** Exactly the published number may be open, with what is added; who adds none of a kind is not asked. */
  const countTable: ReadonlyArray<readonly [Filter, Open, Added["lists"], ReadonlyArray<Words>, boolean]> = [
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 2 }, 0, [plain], true],
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 3 }, 0, [plain], false],
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 2 }, 0, [algo], true],
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 1 }, 1, [plain, algo], true],
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 2 }, 1, [plain, algo], false],
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, {}, 1, [plain, plain, algo], true],
    [{ filterType: "MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 1 }, 1, [plain, plain, algo], false],
    [{ filterType: "MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 2 }, { algoOrders: 1 }, 0, [algo], true],
    [{ filterType: "MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 2 }, { algoOrders: 2 }, 0, [algo], false],
    [{ filterType: "MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 2 }, { algoOrders: 2 }, 0, [plain], true],
    [{ filterType: "MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 2 }, { algoOrders: 1 }, 1, [algo, algo], false],
    [{ filterType: "MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders: 2 }, { icebergs: 1 }, 0, [slice], true],
    [{ filterType: "MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders: 2 }, { icebergs: 2 }, 0, [slice], false],
    [{ filterType: "MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders: 2 }, { icebergs: 2 }, 0, [plain], true],
    [{ filterType: "MAX_NUM_ORDER_LISTS", maxNumOrderLists: 2 }, { lists: 1 }, 1, [plain, plain, algo], true],
    [{ filterType: "MAX_NUM_ORDER_LISTS", maxNumOrderLists: 2 }, { lists: 2 }, 1, [plain, algo], false],
    [{ filterType: "MAX_NUM_ORDER_LISTS", maxNumOrderLists: 2 }, { lists: 2 }, 0, [plain], true],
    [{ filterType: "MAX_POSITION", maxPosition: amount("10") }, { position: "9" }, 0, [plain], true],
    [
      { filterType: "MAX_POSITION", maxPosition: amount("10") },
      { position: "9" },
      0,
      [{ price: "1", quantity: "1.00000001" }],
      false
    ],
    [
      { filterType: "MAX_POSITION", maxPosition: amount("10") },
      { position: "11" },
      0,
      [{ side: "SELL", price: "1", quantity: "1" }],
      true
    ]
  ]

  it.each(
    countTable.map(
      ([filter, open, , orders, passes], at) => [filter.filterType, open, orders.length, passes, at] as const
    )
  )("%s with %j open and %i more: %s", (name, _, __, passes, at) => {
    const [filter, open, lists, orders] = countTable[at]!

    const refused = judgeStanding(withFilters(filter), { orders: orders.map(wantedOf), lists }, standing(open))

    if (passes) assert.strictEqual(refused, undefined)
    else assert.deepInclude(refused, { code: -2010, message: `Filter failure: ${name}` })
  })

  const exchangeTable: ReadonlyArray<readonly [ExchangeFilter, Open, Added["lists"], Words, boolean]> = [
    [{ filterType: "EXCHANGE_MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 1 }, 0, plain, true],
    [{ filterType: "EXCHANGE_MAX_NUM_ORDERS", maxNumOrders: 3 }, { orders: 2 }, 0, plain, false],
    [{ filterType: "EXCHANGE_MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 3 }, { algoOrders: 1 }, 0, algo, true],
    [{ filterType: "EXCHANGE_MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 3 }, { algoOrders: 2 }, 0, algo, false],
    [{ filterType: "EXCHANGE_MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders: 3 }, { algoOrders: 2 }, 0, plain, true],
    [{ filterType: "EXCHANGE_MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders: 3 }, { icebergs: 1 }, 0, slice, true],
    [{ filterType: "EXCHANGE_MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders: 3 }, { icebergs: 2 }, 0, slice, false],
    [{ filterType: "EXCHANGE_MAX_NUM_ORDER_LISTS", maxNumOrderLists: 3 }, { lists: 1 }, 1, plain, true],
    [{ filterType: "EXCHANGE_MAX_NUM_ORDER_LISTS", maxNumOrderLists: 3 }, { lists: 2 }, 1, plain, false]
  ]

  it.each(exchangeTable.map(([filter, open, , , passes], at) => [filter.filterType, open, passes, at] as const))(
    "%s with one open elsewhere and %j here: %s",
    (name, _, passes, at) => {
      const [filter, open, lists, order] = exchangeTable[at]!
      const elsewhere = { orders: 1, algoOrders: 1, icebergs: 1, lists: 1 }

      const refused = judgeStanding(withFilters(), { orders: [wantedOf(order)], lists }, standing(open, elsewhere), [
        filter
      ])

      assert.strictEqual(refused?.message, passes ? undefined : `Filter failure: ${name}`)
    }
  )

  it.each([
    ["BTC", "1", { price: "1", quantity: "1" }, true],
    ["BTC", "1", { price: "1", quantity: "1.00000001" }, false],
    ["USDT", "100", { price: "100", quantity: "1" }, true],
    ["USDT", "100", { price: "100", quantity: "1.00000001" }, false],
    ["USDT", "100", { quote: "100.00000001" }, false],
    ["USDT", "100", { quantity: "2.00000001" }, false],
    ["JPY", "1", { price: "100", quantity: "100" }, true]
  ] as ReadonlyArray<readonly [string, string, Words, boolean]>)(
    "MAX_ASSET of %s %s judges %j: %s",
    (asset, limit, order, passes) => {
      const filter = { filterType: "MAX_ASSET", asset, limit: amount(limit) } as const

      const refused = judgeOrder(withFilters(), wantedOf(order), average, [filter])

      assert.strictEqual(refused?.message, passes ? undefined : "Filter failure: MAX_ASSET")
    }
  )

  it("count what is really open: orders, stops, slices, lists, and what is being bought", () => {
    const desk = openDesk()
    const market = marketOf(desk.exchange)
    desk.did("POST /api/v3/order", limitOrder("BUY", "60000", "0.02"))
    desk.did("POST /api/v3/order", limitOrder("BUY", "60000", "0.03", { icebergQty: "0.01" }))
    desk.did("POST /api/v3/orderList/oco", {
      symbol: "BTCUSDT",
      side: "SELL",
      quantity: "0.01",
      aboveType: "LIMIT_MAKER",
      abovePrice: "66000",
      belowType: "STOP_LOSS",
      belowStopPrice: "64000"
    })
    desk.did("POST /api/v3/order", { ...limitOrder("BUY", "3000", "0.1"), symbol: "ETHUSDT" })

    const { onExchange, onSymbol, position } = standingOf(desk.exchange.matching, market)
    const numbers = (counts: Counts) => [counts.orders, counts.algoOrders(), counts.icebergs(), counts.lists()]

    assert.deepStrictEqual(numbers(onSymbol), [4, 1, 1, 1])
    assert.deepStrictEqual(numbers(onExchange()), [5, 1, 1, 1])
    assert.strictEqual(position(), amount("100.05"))
  })

  it("the average is of what traded in the last five minutes, weighted by volume", () => {
    const clock = { millis: 1_700_000_000_000 }
    const exchange = makeExchange({ clock })
    const { tape } = marketOf(exchange)
    const trade = (minutesAgo: number, price: string, quantity: string) =>
      tape.add({
        id: 0,
        price: amount(price),
        quantity: amount(quantity),
        quote: (amount(price) * amount(quantity)) / 100_000_000n,
        time: clock.millis - minutesAgo * 60_000,
        isBuyerMaker: false
      })
    trade(7, "1", "1000")
    trade(1, "100", "1")
    trade(0, "200", "3")

    assert.strictEqual(tape.average(clock.millis), amount("175"))
    assert.strictEqual(tape.average(clock.millis + 20 * 60_000), amount("200"))
  })
})
