/** What is taken from the exchange, and what is not: strict in shape and bounds, open in words and further fields. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { clean, parseJson, PlacedOrder, QueriedOrder, Trade, word } from "../../src/binance/wire.ts"
import { format } from "../../src/domain/Decimal.ts"

const placed = {
  symbol: "BTCUSDT",
  orderId: 12,
  clientOrderId: "nx1",
  transactTime: 1_700_000_000_200,
  status: "NEW",
  executedQty: "0.00000000",
  cummulativeQuoteQty: "0.00000000",
  fills: []
}
const trade = {
  symbol: "BTCUSDT",
  id: 1,
  orderId: 12,
  price: "1.0",
  qty: "2.0",
  commission: "0.1",
  commissionAsset: "BTC",
  time: 5
}

const read = <A, I>(schema: Schema.Codec<A, I>, text: string) =>
  Result.flatMap(parseJson(text), Schema.decodeUnknownResult(schema))
const isRead = (changes: object) => Result.isSuccess(read(PlacedOrder, JSON.stringify({ ...placed, ...changes })))

describe("an answer about an order", () => {
  const taken: ReadonlyArray<readonly [what: string, changes: object]> = [
    ["fields that nobody knows", { peggedPrice: "1.0", workingFloor: "EXCHANGE", nested: { a: [1] } }],
    ["a status that nobody knows", { status: "PENDING_SOMETHING" }],
    ["a quote amount that is not available", { cummulativeQuoteQty: "-1.00000000" }],
    ["no trades at all", { fills: undefined }],
    ["an id as text", { orderId: "9223372036854775807" }]
  ]
  for (const [what, changes] of taken) {
    it(`is read with ${what}`, () => assert.isTrue(isRead(changes)))
  }

  const refused: ReadonlyArray<readonly [what: string, changes: object]> = [
    ["an executed quantity below nothing", { executedQty: "-0.1" }],
    ["a quantity that is a JSON number", { executedQty: 0.1 }],
    ["a quantity with a word in it", { executedQty: "NaN" }],
    ["a quantity in another script's digits", { executedQty: "١" }],
    ["a quantity of a thousand digits", { executedQty: "1".repeat(1_000) }],
    ["a time before 1970", { transactTime: -1 }],
    ["a time in microseconds", { transactTime: 1_700_000_000_200_123 }],
    ["a time that no date can be made of", { transactTime: 9_000_000_000_000_000 }],
    ["a time with a fraction", { transactTime: 1.5 }],
    ["an id with a fraction", { orderId: 1.5 }],
    ["an id of thirty digits", { orderId: "1".repeat(30) }],
    ["an id that is none", { orderId: null }],
    ["no id", { orderId: undefined }],
    ["trades that are no list", { fills: {} }],
    ["a trade without a price", { fills: [{ qty: "1", commission: "0", commissionAsset: null, tradeId: 1 }] }],
    ["a status that is no word", { status: 5 }]
  ]
  for (const [what, changes] of refused) {
    it(`says nothing with ${what}`, () => assert.isFalse(isRead(changes)))
  }
})

describe("an id above 2^53", () => {
  for (const id of ["9007199254740993", "9223372036854775807", "18446744073709551615"]) {
    it(`keeps its digits, of an order and of a trade: ${id}`, () => {
      const order = Result.getOrThrow(
        read(PlacedOrder, JSON.stringify(placed).replace(`"orderId":12`, `"orderId":${id}`))
      )
      const traded = Result.getOrThrow(
        read(Trade, JSON.stringify(trade).replace(`"id":1,"orderId":12`, `"id":${id},"orderId":${id}`))
      )

      assert.deepStrictEqual([order.orderId, traded.id, traded.orderId], [id, id, id])
    })
  }

  it("does not turn long decimals in text into anything else", () => {
    const text = JSON.stringify({ ...trade, price: "12345678901234567.00000001", id: 1 })

    assert.strictEqual(format(Result.getOrThrow(read(Trade, text)).price), "12345678901234567.00000001")
  })
})

describe("text from outside", () => {
  it("is cut, and can be stored and printed", () => {
    const long = `\u0000\ud800${"x".repeat(100_000)}`

    for (const cut of [clean(long), word(long)]) {
      assert.isAtMost(cut.length, 500)
      assert.isTrue(cut.isWellFormed())
      assert.notInclude(cut, "\u0000")
    }
  })

  it("that is no JSON is a failure, never an exception", () => {
    for (const text of ["", "{", "<html>", "[".repeat(100_000), "\u0000", `{"a":1e99999}`]) {
      assert.doesNotThrow(() => read(QueriedOrder, text))
      assert.isTrue(Result.isFailure(read(QueriedOrder, text)))
    }
  })
})
