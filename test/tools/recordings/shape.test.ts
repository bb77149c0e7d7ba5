import { assert, describe, it } from "@effect/vitest"
import { shapeOf } from "../../../tools/recordings/shape.ts"

describe("the shape of answers", () => {
  it("tells paths and facts, and no value but the exchange's own constants", () => {
    const answer = {
      symbol: "BTCUSDT",
      orderId: 55_471_195_855,
      clientOrderId: "4AACYCgVtUwAAQAAAAAA",
      price: "80000.00000000",
      status: "NEW",
      isWorking: true,
      transactTime: 1_768_635_167_519,
      E: 1_768_635_167_519_000,
      N: null
    }

    assert.deepStrictEqual(shapeOf([answer]), {
      "": "object",
      symbol: "text",
      orderId: "integer",
      clientOrderId: "text",
      price: "decimal:8",
      status: "word NEW",
      isWorking: "boolean",
      transactTime: "milliseconds",
      E: "microseconds",
      N: "null"
    })
  })

  it("joins what several answers say of one field, and marks what was not always there", () => {
    const shape = shapeOf([
      { n: "0", x: "NEW" },
      { n: "0.00001000", x: "TRADE", eR: "SOME_REASON" }
    ])

    assert.deepStrictEqual(shape, {
      "": "object",
      n: "decimal:8 or digits",
      x: "word NEW|TRADE",
      "eR?": "word SOME_REASON"
    })
  })

  it("tells the places of a tuple apart, the items of a list together, and filters by their type", () => {
    const shape = shapeOf([{ kline: [1, "2.0"], bids: [["1.00", "2.00"]], filters: [{ filterType: "LOT", q: "1.0" }] }])

    assert.deepStrictEqual(shape, {
      "": "object",
      kline: "array",
      "kline[0]": "integer",
      "kline[1]": "decimal:1",
      bids: "array",
      "bids[]": "array",
      "bids[][]": "decimal:2",
      filters: "array",
      "filters[LOT]": "object",
      "filters[LOT].filterType": "word LOT",
      "filters[LOT].q": "decimal:1"
    })
  })

  it("does not take a number for a string because a parser quoted it", () => {
    assert.deepStrictEqual(shapeOf([{ orderId: "978", price: "1.0" }], { quotedNumbers: true }), {
      "": "object",
      orderId: "quoted",
      price: "decimal:1"
    })
  })
})
