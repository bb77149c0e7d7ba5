/** What each order type wants, allows and does not want, and what is complained about first. */
import { assert, describe, it } from "@effect/vitest"
import { openDesk, place, type Sent } from "./desk.ts"

/** A valid order of each type, with everything that may go along. */
const whole: Readonly<Record<string, Sent>> = {
  LIMIT: { timeInForce: "GTC", quantity: "0.01", price: "60000", icebergQty: "0.001" },
  LIMIT_MAKER: { quantity: "0.01", price: "60000", icebergQty: "0.001" },
  MARKET: { quantity: "0.01" },
  STOP_LOSS: { quantity: "0.01", stopPrice: "66000", trailingDelta: 100 },
  STOP_LOSS_LIMIT: {
    timeInForce: "GTC",
    quantity: "0.01",
    price: "66000",
    stopPrice: "66000",
    trailingDelta: 100,
    icebergQty: "0.001"
  },
  TAKE_PROFIT: { quantity: "0.01", stopPrice: "64000", trailingDelta: 100 },
  TAKE_PROFIT_LIMIT: {
    timeInForce: "GTC",
    quantity: "0.01",
    price: "64000",
    stopPrice: "64000",
    trailingDelta: 100,
    icebergQty: "0.001"
  }
}

const always: Sent = {
  newClientOrderId: "mine",
  newOrderRespType: "RESULT",
  selfTradePreventionMode: "EXPIRE_MAKER",
  strategyId: 7,
  strategyType: 1_000_000
}

const send = (type: string, more: Sent, ...without: ReadonlyArray<string>) => {
  const sent = { symbol: "BTCUSDT", side: "BUY", type, ...whole[type], ...more }
  return openDesk().ask(
    place,
    Object.fromEntries(Object.entries(sent).filter(([name]) => !without.includes(name))) as Sent
  )
}

const types = Object.keys(whole)

describe("a type", () => {
  it.each(types)("%s takes all that it may have", (type) => {
    const { json, status } = send(type, always)

    assert.strictEqual(status, 200, json.msg)
    assert.deepInclude(json, {
      clientOrderId: "mine",
      selfTradePreventionMode: "EXPIRE_MAKER",
      strategyId: 7,
      strategyType: 1_000_000
    })
  })

  const mandatory: ReadonlyArray<readonly [string, string]> = [
    ["LIMIT", "timeInForce"],
    ["LIMIT", "quantity"],
    ["LIMIT", "price"],
    ["LIMIT_MAKER", "quantity"],
    ["LIMIT_MAKER", "price"],
    ["MARKET", "quantity"],
    ["STOP_LOSS", "quantity"],
    ["STOP_LOSS_LIMIT", "timeInForce"],
    ["STOP_LOSS_LIMIT", "quantity"],
    ["STOP_LOSS_LIMIT", "price"],
    ["TAKE_PROFIT", "quantity"],
    ["TAKE_PROFIT_LIMIT", "timeInForce"],
    ["TAKE_PROFIT_LIMIT", "quantity"],
    ["TAKE_PROFIT_LIMIT", "price"]
  ]
  it.each(mandatory)("%s is refused without its %s", (type, name) => {
    assert.deepStrictEqual(send(type, {}, name), {
      status: 400,
      json: { code: -1102, msg: `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.` }
    })
  })

  const triggered = ["STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
  it.each(triggered)("%s wants a stop price, a trailing delta or both", (type) => {
    assert.strictEqual(send(type, {}, "stopPrice").status, 200)
    assert.strictEqual(send(type, {}, "trailingDelta").status, 200)
    assert.deepStrictEqual(send(type, {}, "stopPrice", "trailingDelta").json, {
      code: -1102,
      msg: "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
    })
  })

  const unwanted: ReadonlyArray<readonly [string, Sent, number]> = [
    ["LIMIT", { stopPrice: "66000" }, -1106],
    ["LIMIT", { trailingDelta: 100 }, -1106],
    ["LIMIT", { quoteOrderQty: "100" }, -1106],
    ["LIMIT_MAKER", { timeInForce: "GTC" }, -1114],
    ["LIMIT_MAKER", { stopPrice: "66000" }, -1106],
    ["LIMIT_MAKER", { trailingDelta: 100 }, -1106],
    ["LIMIT_MAKER", { quoteOrderQty: "100" }, -1106],
    ["MARKET", { price: "60000" }, -1106],
    ["MARKET", { timeInForce: "GTC" }, -1114],
    ["MARKET", { stopPrice: "66000" }, -1106],
    ["MARKET", { trailingDelta: 100 }, -1106],
    ["MARKET", { icebergQty: "0.001" }, -1106],
    ["MARKET", { quoteOrderQty: "100" }, -1128],
    ["STOP_LOSS", { price: "60000" }, -1106],
    ["STOP_LOSS", { timeInForce: "GTC" }, -1114],
    ["STOP_LOSS", { icebergQty: "0.001" }, -1106],
    ["STOP_LOSS", { quoteOrderQty: "100" }, -1106],
    ["STOP_LOSS_LIMIT", { quoteOrderQty: "100" }, -1106],
    ["TAKE_PROFIT", { price: "60000" }, -1106],
    ["TAKE_PROFIT", { timeInForce: "GTC" }, -1114],
    ["TAKE_PROFIT", { icebergQty: "0.001" }, -1106],
    ["TAKE_PROFIT_LIMIT", { quoteOrderQty: "100" }, -1106]
  ]
  it.each(unwanted)("%s does not want %j", (type, more, code) => {
    const { json } = send(type, more)

    assert.strictEqual(json.code, code)
    if (code === -1106) assert.include(json.msg, `'${Object.keys(more)[0]}' sent when not required.`)
  })

  it.each(
    ["LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"].flatMap((type) => [
      [type, "IOC"] as const,
      [type, "FOK"] as const
    ])
  )("%s hides nothing while it is %s", (type, timeInForce) => {
    assert.deepStrictEqual(send(type, { timeInForce }).json, { code: -2010, msg: "Unsupported order combination" })
  })

  it("MARKET takes a quote quantity instead", () => {
    const { json, status } = send("MARKET", { quoteOrderQty: "100" }, "quantity")

    assert.strictEqual(status, 200)
    assert.strictEqual(json.origQuoteOrderQty, "100.00000000")
    assert.isAbove(Number(json.origQty), 0)
  })
})

describe("a value", () => {
  it.each([
    ["type", "STOP", -1116, "Invalid orderType."],
    ["side", "LONG", -1117, "Invalid side."],
    ["timeInForce", "GTD", -1115, "Invalid timeInForce."],
    ["newOrderRespType", "ALL", -1130, "Data sent for parameter 'newOrderRespType' is not valid."],
    ["selfTradePreventionMode", "ALL", -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."],
    ["strategyType", "999999", -1134, "strategyType was less than 1000000."],
    ["quantity", "1e-3", -1100, "Illegal characters found in parameter 'quantity'"],
    ["quantity", "-1", -1100, "Illegal characters found in parameter 'quantity'"],
    ["quantity", "+1", -1100, "Illegal characters found in parameter 'quantity'"],
    ["quantity", ".5", -1100, "Illegal characters found in parameter 'quantity'"],
    ["quantity", "1,000", -1100, "Illegal characters found in parameter 'quantity'"],
    ["price", "60000.", -1100, "Illegal characters found in parameter 'price'"],
    ["newClientOrderId", "a.b", -1100, "Illegal characters found in parameter 'newClientOrderId'"],
    ["newClientOrderId", "a".repeat(37), -1100, "Illegal characters found in parameter 'newClientOrderId'"],
    ["quantity", "0.000000001", -1111, "Parameter 'quantity' has too much precision."],
    ["price", "60000.000000001", -1111, "Parameter 'price' has too much precision."],
    ["icebergQty", "0.000000001", -1111, "Parameter 'icebergQty' has too much precision."],
    ["quantity", "0", -1013, "Invalid quantity."],
    ["price", "0", -1013, "Invalid price."],
    ["icebergQty", "0.02", -2010, "IcebergQty exceeds QTY."],
    ["symbol", "NOPE", -1121, "Invalid symbol."],
    ["recv", "1", -1104, "Not all sent parameters were read"]
  ])("%s = %s is refused with %i %s", (name, value, code, msg) => {
    const { json, status } = send("LIMIT", { [name]: value })

    assert.strictEqual(json.code, code)
    assert.include(json.msg, msg)
    assert.strictEqual(status, 400)
  })

  it.each(["0.01", "0.010", "00.01", "0.01000000000000000000"])("of 0.01 may be written %s", (quantity) => {
    assert.strictEqual(send("LIMIT", { quantity }).status, 200)
  })

  it.each([
    [{ pegPriceType: "PRIMARY_PEG" }, -2010, "Pegged orders are not supported for this symbol."],
    [
      { pegPriceType: "MARKET_PEG", pegOffsetType: "PRICE_LEVEL", pegOffsetValue: 3 },
      -2010,
      "Pegged orders are not supported for this symbol."
    ],
    [{ pegPriceType: "MIDDLE" }, -1210, "Invalid pegPriceType."],
    [{ pegOffsetType: "PRICE_LEVEL", pegOffsetValue: 3 }, -1210, "Invalid pegPriceType."],
    [{ pegPriceType: "MARKET_PEG", pegOffsetType: "TICKS", pegOffsetValue: 3 }, -1211, "Invalid pegOffsetType."],
    [
      { pegPriceType: "MARKET_PEG", pegOffsetValue: 3 },
      -1128,
      "Fields [pegOffsetType, pegOffsetValue] must be sent together or omitted entirely."
    ]
  ] as ReadonlyArray<readonly [Sent, number, string]>)("of a peg as in %j is refused with %i %s", (more, code, msg) => {
    assert.deepStrictEqual(send("LIMIT", more, "price").json, { code, msg })
  })

  it("of a trailing delta of 0 is below the filter's least", () => {
    assert.strictEqual(send("STOP_LOSS", { trailingDelta: 0 }).json.msg, "Filter failure: TRAILING_DELTA")
  })

  it.each([
    ["type", "side"],
    ["side", "timeInForce"],
    ["timeInForce", "strategyType"],
    ["strategyType", "quantity"],
    ["quantity", "icebergQty"]
  ])("of %s is complained about before that of %s", (first, second) => {
    const bad: Sent = {
      type: "STOP",
      side: "LONG",
      timeInForce: "GTD",
      strategyType: 1,
      quantity: "0.000000001",
      icebergQty: "5"
    }
    const alone = send("LIMIT", { [first]: bad[first]! })

    assert.deepStrictEqual(send("LIMIT", { [first]: bad[first]!, [second]: bad[second]! }), alone)
  })
})

describe("the answer", () => {
  it.each([
    ["LIMIT", "FULL"],
    ["MARKET", "FULL"],
    ["LIMIT_MAKER", "ACK"],
    ["STOP_LOSS", "ACK"],
    ["STOP_LOSS_LIMIT", "ACK"],
    ["TAKE_PROFIT", "ACK"],
    ["TAKE_PROFIT_LIMIT", "ACK"]
  ])("to %s is %s when nothing else is asked for", (type, form) => {
    const { json } = send(type, {})

    assert.strictEqual("fills" in json ? "FULL" : "status" in json ? "RESULT" : "ACK", form)
  })

  const ack = "symbol orderId orderListId clientOrderId transactTime"
  const result = `${ack} price origQty executedQty origQuoteOrderQty cummulativeQuoteQty status timeInForce type side workingTime selfTradePreventionMode`

  it.each([
    ["ACK", ack],
    ["RESULT", result],
    ["FULL", `${result} fills`]
  ])("%s has these fields in this order, and no others", (newOrderRespType, fields) => {
    const { json } = send("MARKET", { newOrderRespType })

    assert.strictEqual(Object.keys(json).join(" "), fields)
  })

  it("has a type for every field", () => {
    const { json } = send("LIMIT", { ...always, price: "65500", newOrderRespType: "FULL" })
    const typesOf = (value: object) =>
      Object.fromEntries(Object.entries(value).map(([name, one]) => [name, Array.isArray(one) ? "array" : typeof one]))

    assert.deepStrictEqual(typesOf(json), {
      symbol: "string",
      orderId: "number",
      orderListId: "number",
      clientOrderId: "string",
      transactTime: "number",
      price: "string",
      origQty: "string",
      executedQty: "string",
      origQuoteOrderQty: "string",
      cummulativeQuoteQty: "string",
      status: "string",
      timeInForce: "string",
      type: "string",
      side: "string",
      workingTime: "number",
      icebergQty: "string",
      strategyId: "number",
      strategyType: "number",
      selfTradePreventionMode: "string",
      fills: "array"
    })
    assert.deepStrictEqual(typesOf(json.fills[0]), {
      price: "string",
      qty: "string",
      commission: "string",
      commissionAsset: "string",
      tradeId: "number"
    })
    assert.match(json.origQty, /^\d+\.\d{8}$/)
  })
})
