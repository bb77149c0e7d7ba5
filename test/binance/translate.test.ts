/** The exchange's words in ours: nothing lost, nothing guessed. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Schema } from "effect"
import {
  cancelledReport,
  foundOrder,
  instrumentOf,
  parametersOf,
  placedReport,
  streamReport,
  tradeOf
} from "../../src/binance/translate.ts"
import {
  CancelledOrder,
  ExecutionReport,
  parseJson,
  PlacedOrder,
  QueriedOrder,
  SymbolInfo,
  Trade
} from "../../src/binance/wire.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import { Fill, type OrderRequest } from "../../src/domain/Event.ts"

const event = {
  e: "executionReport",
  E: 1499405658658,
  s: "ETHBTC",
  c: "mUvoqJxFIILMdfAW5iGSOW",
  S: "BUY",
  o: "LIMIT",
  f: "GTC",
  q: "1.00000000",
  p: "0.10264410",
  P: "0.00000000",
  F: "0.00000000",
  g: -1,
  C: "",
  x: "NEW",
  X: "NEW",
  r: "NONE",
  i: 4293153,
  l: "0.00000000",
  z: "0.00000000",
  L: "0.00000000",
  n: "0",
  N: null,
  T: 1499405658657,
  t: -1,
  I: 8641984,
  w: true,
  m: false,
  M: false,
  O: 1499405658657,
  Z: "0.00000000",
  Y: "0.00000000",
  Q: "0.00000000"
}

const report = (changes: Readonly<Record<string, unknown>>) =>
  streamReport(Schema.decodeUnknownSync(ExecutionReport)({ ...event, ...changes }))

describe("an event of the user data stream", () => {
  it("of a new order has no trade", () => {
    const { clientOrderId, report: news, symbol } = report({})

    assert.deepStrictEqual([clientOrderId, symbol], ["mUvoqJxFIILMdfAW5iGSOW", "ETHBTC"])
    assert.deepInclude(news, { exchangeOrderId: "4293153", exchangeStatus: "NEW", source: "stream" })
    assert.deepStrictEqual(news.fills, [])
  })

  it("of a trade carries exactly that trade, and the sums so far", () => {
    const trade = {
      x: "TRADE",
      X: "PARTIALLY_FILLED",
      l: "0.1",
      z: "0.3",
      L: "0.2",
      Z: "0.06",
      n: "0.0001",
      N: "BNB",
      t: 77
    }

    const { report: news } = report(trade)

    const [fill, ...more] = news.fills
    assert.deepStrictEqual(more, [])
    assert.deepInclude(fill, { tradeId: "77", feeAsset: "BNB", at: 1499405658657 })
    assert.deepStrictEqual([fill!.quantity, fill!.price, fill!.fee].map(format), ["0.1", "0.2", "0.0001"])
    assert.deepStrictEqual([news.executedQuantity, news.executedQuote].map(format), ["0.3", "0.06"])
  })

  it("of a cancel is about the order, and not about the cancel's own id", () => {
    const { clientOrderId } = report({ x: "CANCELED", X: "CANCELED", c: "the-cancel", C: "the-order" })

    assert.strictEqual(clientOrderId, "the-order")
  })

  it("of an expiry says why", () => {
    assert.strictEqual(
      report({ x: "EXPIRED", X: "EXPIRED", eR: "INSUFFICIENT_LIQUIDITY" }).report.expiryReason,
      "INSUFFICIENT_LIQUIDITY"
    )
    assert.strictEqual(report({}).report.expiryReason, "NONE")
  })

  it("keeps a status that nobody knows yet", () => {
    assert.strictEqual(report({ X: "HALF_CANCELED" }).report.exchangeStatus, "HALF_CANCELED")
  })
})

describe("an id", () => {
  const order = `{"symbol":"A","orderId":ID,"clientOrderId":"c","transactTime":1,"status":"NEW","executedQty":"0","cummulativeQuoteQty":"0"}`

  for (const id of ["1", "9007199254740993", "18446744073709551615"]) {
    it(`of ${id.length} digits keeps all of them`, () => {
      const parsed = parseJson(order.replace("ID", id))

      assert(parsed._tag === "Success")
      assert.strictEqual(placedReport(Schema.decodeUnknownSync(PlacedOrder)(parsed.success)).exchangeOrderId, id)
    })
  }
})

describe("a word that no database can hold", () => {
  const bad = `A\u0000B\ud800C${"x".repeat(1_000)}`
  const order = {
    symbol: bad,
    orderId: 1,
    clientOrderId: bad,
    origClientOrderId: bad,
    price: "1",
    origQty: "1",
    executedQty: "0",
    cummulativeQuoteQty: "0",
    status: bad,
    type: bad,
    side: bad,
    updateTime: 5,
    transactTime: 5,
    expiryReason: bad,
    fills: [{ price: "1", qty: "1", commission: "1", commissionAsset: bad, tradeId: 1 }]
  }
  const trade = { symbol: bad, id: 1, orderId: 1, price: "1", qty: "1", commission: "1", commissionAsset: bad, time: 5 }
  const symbol = {
    symbol: bad,
    status: bad,
    baseAsset: bad,
    baseAssetPrecision: 8,
    quoteAsset: bad,
    quoteAssetPrecision: 8,
    orderTypes: [bad],
    icebergAllowed: true,
    quoteOrderQtyMarketAllowed: true,
    filters: [{ filterType: bad }]
  }
  const spoken: ReadonlyArray<readonly [string, unknown]> = [
    ["an answer to an order", placedReport(Schema.decodeUnknownSync(PlacedOrder)(order))],
    ["an answer to a cancel", cancelledReport(Schema.decodeUnknownSync(CancelledOrder)(order))],
    ["a listed order", foundOrder(Schema.decodeUnknownSync(QueriedOrder)(order))],
    ["a trade", tradeOf(Schema.decodeUnknownSync(Trade)(trade))],
    ["an event", report({ s: bad, c: bad, C: bad, x: "TRADE", X: bad, eR: bad, N: bad })],
    ["a symbol", instrumentOf(Schema.decodeUnknownSync(SymbolInfo)(symbol))]
  ]

  const textsIn = (value: unknown): ReadonlyArray<string> =>
    typeof value === "string"
      ? [value]
      : typeof value === "object" && value !== null && !BigDecimal.isBigDecimal(value)
        ? Object.values(value).flatMap(textsIn)
        : []

  for (const [name, said] of spoken) {
    it(`is cleaned and cut in ${name}`, () => {
      const texts = textsIn(said)

      assert.isAbove(texts.filter((text) => text.startsWith("A B\ufffdC")).length, 0)
      for (const text of texts) {
        assert.isTrue(text.isWellFormed() && !text.includes("\u0000") && text.length <= 100, JSON.stringify(text))
      }
    })
  }
})

describe("a trade without a fee", () => {
  it("names no asset, and is a fill like any other", () => {
    const free = {
      symbol: "A",
      id: 1,
      orderId: 2,
      price: "1",
      qty: "1",
      commission: "0",
      commissionAsset: null,
      time: 5
    }

    const fill = tradeOf(Schema.decodeUnknownSync(Trade)(free))

    assert.strictEqual(fill.feeAsset, "")
    assert.strictEqual(report({ x: "TRADE", t: 1, l: "1", L: "1" }).report.fills[0]?.feeAsset, "")
    assert.strictEqual(Schema.encodeSync(Fill)(fill).fee, "0")
  })
})

describe("an old order", () => {
  it("whose quote amount is not available has none, and no negative one", () => {
    const found = foundOrder(
      Schema.decodeUnknownSync(QueriedOrder)({
        symbol: "A",
        orderId: 1,
        clientOrderId: "c",
        price: "1",
        origQty: "1",
        executedQty: "1",
        cummulativeQuoteQty: "-1.00000000",
        status: "FILLED",
        type: "LIMIT",
        side: "BUY",
        updateTime: 5
      })
    )

    assert.strictEqual(format(found.report.executedQuote), "0")
  })
})

describe("a request", () => {
  const request: OrderRequest = {
    symbol: "BTCUSDT",
    side: "SELL",
    type: "MARKET",
    timeInForce: null,
    quantity: null,
    quoteQuantity: decimal("1e3"),
    price: null,
    validUntil: 5
  }

  it("by quote quantity says nothing of price, quantity or time in force", () => {
    assert.deepStrictEqual(parametersOf(request), [
      ["symbol", "BTCUSDT"],
      ["side", "SELL"],
      ["type", "MARKET"],
      ["quoteOrderQty", "1000"]
    ])
  })

  it("never has an exponent", () => {
    const small = {
      ...request,
      type: "LIMIT" as const,
      quoteQuantity: null,
      quantity: decimal("1e-8"),
      price: decimal("12e10")
    }

    assert.deepStrictEqual(parametersOf(small).slice(3), [
      ["quantity", "0.00000001"],
      ["price", "120000000000"]
    ])
  })
})
