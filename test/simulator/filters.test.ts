import { assert, describe, it } from "@effect/vitest"
import { amount } from "../../src/simulator/Amount.ts"
import { type Counts, judgeOrder, judgeStanding, type Standing } from "../../src/simulator/filters.ts"
import { type Filter, type SymbolInfo, symbolsOf } from "../../src/simulator/Market.ts"
import { makeExchange, marketOf, wantedOf, type Words } from "./exchangeForTests.ts"

const bitcoin = symbolsOf("off")[0]!
const withFilters = (...filters: ReadonlyArray<Filter>): SymbolInfo => ({ ...bitcoin, filters })
const average = () => amount("100")

const verdict = (filter: Filter, words: Words): string | undefined =>
  judgeOrder(withFilters(filter), wantedOf(words), average)?.message

const price: Filter = {
  filterType: "PRICE_FILTER",
  minPrice: amount("0.02"),
  maxPrice: amount("100"),
  tickSize: amount("0.03")
}
const lot: Filter = {
  filterType: "LOT_SIZE",
  minQty: amount("0.2"),
  maxQty: amount("5"),
  stepSize: amount("0.1")
}
const bySide: Filter = {
  filterType: "PERCENT_PRICE_BY_SIDE",
  bidMultiplierUp: amount("1.2"),
  bidMultiplierDown: amount("0.5"),
  askMultiplierUp: amount("3"),
  askMultiplierDown: amount("0.9"),
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

const table: ReadonlyArray<readonly [filter: Filter, order: Words, passes: boolean]> = [
  [price, { price: "0.03", quantity: "1" }, true],
  [price, { price: "0.01", quantity: "1" }, false],
  [price, { price: "99.99", quantity: "1" }, true],
  [price, { price: "100.02", quantity: "1" }, false],
  [price, { price: "0.04", quantity: "1" }, false],
  [price, { quantity: "1" }, true],
  [lot, { price: "1", quantity: "0.2" }, true],
  [lot, { price: "1", quantity: "0.1" }, false],
  // 0.3 % 0.1 is not 0 in binary floating point.
  [lot, { price: "1", quantity: "0.3" }, true],
  [lot, { price: "1", quantity: "0.35" }, false],
  [lot, { price: "1", quantity: "5" }, true],
  [lot, { price: "1", quantity: "5.1" }, false],
  [lot, { quantity: "0.15" }, false],
  [lot, { quote: "50" }, true],
  [lot, { price: "1", quantity: "2", iceberg: "0.15" }, false],
  [lot, { price: "1", quantity: "2", iceberg: "0.2" }, true],
  [{ ...lot, filterType: "MARKET_LOT_SIZE", stepSize: 0n }, { quantity: "0.25" }, true],
  [{ ...lot, filterType: "MARKET_LOT_SIZE", stepSize: 0n }, { quantity: "6" }, false],
  [{ ...lot, filterType: "MARKET_LOT_SIZE", stepSize: 0n }, { price: "1", quantity: "6" }, true],
  [bySide, { side: "BUY", price: "120", quantity: "1" }, true],
  [bySide, { side: "BUY", price: "120.00000001", quantity: "1" }, false],
  [bySide, { side: "BUY", price: "50", quantity: "1" }, true],
  [bySide, { side: "SELL", price: "89.99", quantity: "1" }, false],
  [bySide, { side: "SELL", price: "300", quantity: "1" }, true],
  [bySide, { side: "SELL", quantity: "1" }, true],
  [
    { filterType: "PERCENT_PRICE", multiplierUp: amount("1.1"), multiplierDown: amount("0.9"), avgPriceMins: 5 },
    { side: "SELL", price: "111", quantity: "1" },
    false
  ],
  [notional, { price: "50", quantity: "0.1" }, true],
  [notional, { price: "49.99", quantity: "0.1" }, false],
  [notional, { price: "500", quantity: "2" }, true],
  [notional, { price: "500", quantity: "2.01" }, false],
  [notional, { quantity: "0.05" }, true],
  [notional, { quantity: "0.04" }, false],
  [notional, { quantity: "20" }, true],
  [notional, { quote: "4.99" }, false],
  [{ ...notional, applyMinToMarket: false }, { quantity: "0.01" }, true],
  [{ ...notional, applyMaxToMarket: true }, { quantity: "11" }, false],
  [
    { filterType: "MIN_NOTIONAL", minNotional: amount("10"), applyToMarket: false, avgPriceMins: 5 },
    { quantity: "0.01" },
    true
  ],
  [
    { filterType: "MIN_NOTIONAL", minNotional: amount("10"), applyToMarket: true, avgPriceMins: 5 },
    { quantity: "0.09" },
    false
  ],
  [{ filterType: "ICEBERG_PARTS", limit: 10 }, { price: "1", quantity: "10", iceberg: "1" }, true],
  [{ filterType: "ICEBERG_PARTS", limit: 10 }, { price: "1", quantity: "10.01", iceberg: "1" }, false]
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

  it("exactly the published number of orders may be open", () => {
    const symbol = withFilters({ filterType: "MAX_NUM_ORDERS", maxNumOrders: 2 })
    const order = wantedOf({ price: "1", quantity: "1" })
    const judge = (openOrders: number) =>
      judgeStanding(symbol, { orders: [order], lists: 0 }, standing({ orders: openOrders }))

    assert.strictEqual(judge(1), undefined)
    assert.deepInclude(judge(2), { code: -2010, message: "Filter failure: MAX_NUM_ORDERS" })
  })

  it("a position may reach its limit, and only buying can break it", () => {
    const symbol = withFilters({ filterType: "MAX_POSITION", maxPosition: amount("10") })
    const judge = (side: "BUY" | "SELL", quantity: string) =>
      judgeStanding(
        symbol,
        { orders: [wantedOf({ side, price: "1", quantity })], lists: 0 },
        standing({ position: "9" })
      )

    assert.strictEqual(judge("BUY", "1"), undefined)
    assert.strictEqual(judge("BUY", "1.1")?.message, "Filter failure: MAX_POSITION")
    assert.strictEqual(judge("SELL", "1.1"), undefined)
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
