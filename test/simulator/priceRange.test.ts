/** The price range rule and the reference price that it is about. */
import { assert, describe, it } from "@effect/vitest"
import { amount, format } from "../../src/simulator/Amount.ts"
import type { SymbolInfo } from "../../src/simulator/Market.ts"
import { isWithin, limitsOf, type PriceRange } from "../../src/simulator/priceRange.ts"
import { ReferencePrice } from "../../src/simulator/ReferencePrice.ts"
import { marketEndpoints } from "../../src/simulator/marketEndpoints.ts"
import { Parameters } from "../../src/simulator/Parameters.ts"
import { limitOrder, openDesk, place, query, type Sent } from "./desk.ts"
import { startMillis } from "./exchangeForTests.ts"

const range: PriceRange = {
  bidLimitMultUp: amount("1.001"),
  bidLimitMultDown: amount("0.999"),
  askLimitMultUp: amount("1.001"),
  askLimitMultDown: amount("0.999")
}
const rules = { bucketCount: 10, bucketWidthMs: 1_000 }
const ruled = (info: SymbolInfo): SymbolInfo => ({ ...info, priceRange: range, referencePrice: rules })

describe("the reference price", () => {
  const price = (trades: ReadonlyArray<readonly [string, number]>, now: number) => {
    const reference = new ReferencePrice(rules)
    for (const [at, time] of trades) reference.add(amount(at), time)
    const found = reference.at(now)
    return found === undefined ? undefined : format(found)
  }

  it.each([
    ["nothing is traded", [], 10_000, undefined],
    ["one trade", [["10", 10_000]], 10_000, "10.00000000"],
    [
      "a mean of trades, not of buckets",
      [
        ["10", 10_000],
        ["10", 10_001],
        ["13", 11_000]
      ],
      11_000,
      "11.00000000"
    ],
    [
      "rounded down",
      [
        ["10", 10_000],
        ["10", 10_001],
        ["11", 10_002]
      ],
      11_000,
      "10.33333333"
    ],
    [
      "half of the oldest bucket is out",
      [
        ["10", 10_000],
        ["40", 15_000]
      ],
      20_500,
      "30.00000000"
    ],
    [
      "all of it is out",
      [
        ["10", 10_000],
        ["40", 15_000]
      ],
      21_000,
      "40.00000000"
    ],
    ["all is out", [["10", 10_000]], 21_000, undefined]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, number]>, number, string | undefined]>)(
    "when %s",
    (_, trades, now, expected) => {
      assert.strictEqual(price(trades, now), expected)
    }
  )
})

describe("the limits", () => {
  it.each([
    ["BUY", "100.1", true],
    ["BUY", "100.10000001", false],
    ["BUY", "99.9", true],
    ["BUY", "99.89999999", false],
    ["SELL", "100.1", true],
    ["SELL", "100.10000001", false],
    ["SELL", "99.9", true],
    ["SELL", "99.89999999", false]
  ] as const)("around 100 let a %s trade at %s: %s", (side, price, passes) => {
    assert.strictEqual(isWithin(amount(price), limitsOf(range, side, amount("100"))), passes)
  })

  it("are off without the rule, the multiplier or the reference price", () => {
    const { bidLimitMultUp: _, ...openAbove } = range

    assert.isTrue(isWithin(amount("1"), limitsOf(undefined, "BUY", amount("100"))))
    assert.isTrue(isWithin(amount("1"), limitsOf(range, "BUY", undefined)))
    assert.isTrue(isWithin(amount("1000"), limitsOf(openAbove, "BUY", amount("100"))))
    assert.isFalse(isWithin(amount("1"), limitsOf(openAbove, "BUY", amount("100"))))
  })
})

describe("the requests", () => {
  const ask = (rest: string, sent: Sent) => {
    const desk = openDesk()
    const endpoint = marketEndpoints.find((one) => one.rest === rest)!
    const p = new Parameters(new Map(Object.entries(sent).map(([name, value]) => [name, String(value)])))
    const run = endpoint.read(p)
    desk.trade("65000")
    return run(
      { exchange: desk.exchange, limits: desk.limits, accountUid: 1, now: () => desk.clock.millis },
      { fillsFirst: undefined }
    )
  }

  it("tell the rule, the price and how it is counted, where a symbol has them", () => {
    assert.deepStrictEqual(ask("GET /api/v3/executionRules", {}), {
      symbolRules: [
        {
          symbol: "BTCUSDT",
          rules: [
            {
              ruleType: "PRICE_RANGE",
              bidLimitMultUp: "5",
              bidLimitMultDown: "0.2",
              askLimitMultUp: "5",
              askLimitMultDown: "0.2"
            }
          ]
        }
      ]
    })
    assert.deepStrictEqual(ask("GET /api/v3/executionRules", { symbol: "ETHUSDT" }), { symbolRules: [] })
    assert.deepStrictEqual(ask("GET /api/v3/referencePrice", { symbol: "BTCUSDT" }), {
      symbol: "BTCUSDT",
      referencePrice: "65000.00000000",
      timestamp: startMillis
    })
    assert.deepStrictEqual(ask("GET /api/v3/referencePrice/calculation", { symbol: "BTCUSDT" }), {
      symbol: "BTCUSDT",
      calculationType: "ARITHMETIC_MEAN",
      bucketCount: 10,
      bucketWidthMs: 1_000
    })
    assert.deepInclude(ask("GET /api/v3/referencePrice", { symbol: "ETHUSDT" }), { code: -2043 })
  })
})

describe("an order", () => {
  it("that would trade too far away takes what is near and expires", () => {
    const desk = openDesk({ symbols: ruled })
    desk.trade("65000")

    const taking = desk.did(place, limitOrder("BUY", "70000", "14", { newOrderRespType: "FULL" }))

    assert.deepInclude(taking, { status: "EXPIRED", expiryReason: "EXECUTION_RULE_PRICE_RANGE_EXCEEDED" })
    assert.isAbove(taking.fills.length, 0)
    assert.isTrue(taking.fills.every(({ price }: { price: string }) => Number(price) <= 65_065))
    assert.strictEqual(desk.exchange.matching.accounts.of(0, "USDT").locked, 0n)
  })

  it("that rests is not touched, wherever it is", () => {
    const desk = openDesk({ symbols: ruled })
    desk.trade("65000")
    const resting = desk.did(place, limitOrder("BUY", "64000", "0.01"))

    desk.trade("63900")

    assert.strictEqual(desk.did(query, { symbol: "BTCUSDT", orderId: resting.orderId }).status, "FILLED")
  })

  it("of fill-or-kill counts only what it may take", () => {
    const desk = openDesk({ symbols: ruled })
    desk.trade("65000")

    const killed = desk.did(place, limitOrder("BUY", "70000", "14", { timeInForce: "FOK" }))

    assert.deepInclude(killed, { executedQty: "0.00000000", expiryReason: "UNFILLED_FOK_ORDER_EXPIRED" })
  })

  it("is judged by filters around the reference price", () => {
    const desk = openDesk({ symbols: ruled })
    desk.trade("65000")
    desk.clock.millis += 5_000
    desk.trade("13000")

    // A fifth of the mean of the two, not of the last one.
    assert.strictEqual(desk.ask(place, limitOrder("BUY", "7799.99", "1")).json.code, -1013)
    assert.strictEqual(desk.ask(place, limitOrder("BUY", "7800", "1")).status, 200)
  })
})
