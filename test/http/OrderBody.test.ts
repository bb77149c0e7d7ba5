import { assert, describe, it } from "@effect/vitest"
import { format } from "../../src/domain/Decimal.ts"
import type { Read } from "../../src/http/OrderBody.ts"
import { read } from "../../src/http/OrderBody.ts"
import { parse } from "../../src/http/StrictJson.ts"

const now = Date.UTC(2026, 0, 15, 10, 30)
const readText = (text: string): Read => read(parse(Buffer.from(text)), now)

/** Source text by field, so that a test can write what JSON.stringify cannot. */
const market = { id: `"ORDER-001"`, symbol: `"BTCUSDT"`, side: `"BUY"`, type: `"MARKET"`, quantity: "0.001" }
const limit = { ...market, type: `"LIMIT"`, price: "61234.5" }
const stop = { ...limit, type: `"STOP_LOSS_LIMIT"`, stop_price: `"62000.5"` }
const body = (fields: Readonly<Record<string, string>>) =>
  `{${Object.entries(fields)
    .map(([name, source]) => `"${name}":${source}`)
    .join(",")}}`
const readFields = (fields: Readonly<Record<string, string>>) => readText(body(fields))

const wanted = (fields: Readonly<Record<string, string>>) => {
  const result = readFields(fields)
  if (result._tag === "Faulty") throw new Error(JSON.stringify(result))
  return result.wanted
}
const faults = (result: Read) => {
  if (result._tag === "Wanted") throw new Error("accepted")
  return result.checks.map(({ code, field }) => `${field} ${code}`)
}

describe("OrderBody", () => {
  it("reads the example of the original API, where price 0 on a MARKET order means absent", () => {
    const { orderId, request } = wanted({ ...market, price: "0" })

    assert.strictEqual(orderId, "ORDER-001")
    assert.strictEqual(request.price, null)
    assert.strictEqual(request.quantity === null ? null : format(request.quantity), "0.001")
  })

  it("takes amounts as text or as number, with the same meaning and every digit", () => {
    const digits = "12345678901234567890.123456789012345678"
    const amounts = [digits, `"${digits}"`].map((quantity) => wanted({ ...market, quantity }).request.quantity)

    assert.deepStrictEqual(
      amounts.map((amount) => (amount === null ? null : format(amount))),
      [digits, digits]
    )
  })

  it("reads 1e-7 exactly", () => {
    const { quantity } = wanted({ ...market, quantity: "1e-7" }).request

    assert.strictEqual(quantity === null ? null : format(quantity), "0.0000001")
  })

  it("gives a LIMIT order GTC and no other type a time in force", () => {
    assert.strictEqual(wanted(limit).request.timeInForce, "GTC")
    assert.strictEqual(wanted({ ...limit, time_in_force: `"IOC"` }).request.timeInForce, "IOC")
    assert.strictEqual(wanted({ ...limit, type: `"LIMIT_MAKER"` }).request.timeInForce, null)
    assert.strictEqual(wanted(market).request.timeInForce, null)
  })

  it.each(["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"])("reads a %s order with all that it can say", (type) => {
    const { request } = wanted({
      ...stop,
      type: `"${type}"`,
      iceberg_quantity: "0.0005",
      self_trade_prevention: `"EXPIRE_BOTH"`
    })

    assert.strictEqual(request.type, type)
    assert.strictEqual(request.timeInForce, "GTC")
    assert.strictEqual(request.stopPrice === undefined ? null : format(request.stopPrice), "62000.5")
    assert.strictEqual(request.icebergQuantity === undefined ? null : format(request.icebergQuantity), "0.0005")
    assert.strictEqual(request.selfTradePrevention, "EXPIRE_BOTH")
  })

  it("leaves no trace of what an order does not say, so that it is the same request as ever", () => {
    assert.deepStrictEqual(Object.keys(wanted(limit).request).sort(), [
      "price",
      "quantity",
      "quoteQuantity",
      "side",
      "symbol",
      "timeInForce",
      "type",
      "validUntil"
    ])
  })

  it("reads valid_until with any offset, and refuses what is no moment or has passed", () => {
    assert.strictEqual(
      wanted({ ...market, valid_until: `"2026-01-15T12:30:00.5+02:00"` }).request.validUntil,
      now + 500
    )
    for (const source of [
      `"2026-02-30T00:00:00Z"`,
      `"2026-13-01T00:00:00Z"`,
      `"2027-01-01"`,
      `"2027-01-01T00:00:00"`,
      "1800000000000"
    ]) {
      assert.match(
        faults(readFields({ ...market, valid_until: source })).join(),
        /^valid_until (not_allowed|wrong_type)$/
      )
    }
    const past = readFields({ ...market, valid_until: `"2026-01-15T10:30:00Z"` })
    assert.deepStrictEqual(faults(past), ["valid_until in_the_past"])
    assert.strictEqual(past._tag === "Faulty" ? past.status : 0, 422)
  })

  it.each([
    ["a MARKET order without any amount", { ...market, quantity: undefined }, "quantity missing"],
    ["a MARKET order with both amounts", { ...market, quote_quantity: "10" }, "quote_quantity not_with"],
    ["a MARKET order with a price", { ...market, price: "1" }, "price not_with"],
    ["a MARKET order with a time in force", { ...market, time_in_force: `"GTC"` }, "time_in_force not_with"],
    ["a LIMIT order without price", { ...limit, price: undefined }, "price missing"],
    ["a LIMIT order at price 0", { ...limit, price: "0" }, "price not_positive"],
    ["a LIMIT order without quantity", { ...limit, quantity: undefined }, "quantity missing"],
    ["a LIMIT order by quote quantity", { ...limit, quote_quantity: "5" }, "quote_quantity not_with"],
    [
      "a LIMIT_MAKER order with a time in force",
      { ...limit, type: `"LIMIT_MAKER"`, time_in_force: `"GTC"` },
      "time_in_force not_with"
    ],
    ["a STOP_LOSS_LIMIT order without stop price", { ...stop, stop_price: undefined }, "stop_price missing"],
    [
      "a TAKE_PROFIT_LIMIT order without price",
      { ...stop, type: `"TAKE_PROFIT_LIMIT"`, price: undefined },
      "price missing"
    ],
    ["a LIMIT order with a stop price", { ...limit, stop_price: "1" }, "stop_price not_with"],
    ["a MARKET order with a stop price", { ...market, stop_price: "1" }, "stop_price not_with"],
    ["a MARKET order shown in parts", { ...market, iceberg_quantity: "0.0001" }, "iceberg_quantity not_with"],
    [
      "an order in parts that is not good till cancelled",
      { ...limit, iceberg_quantity: "0.0001", time_in_force: `"IOC"` },
      "iceberg_quantity not_with"
    ],
    ["a stop price of 0", { ...stop, stop_price: "0" }, "stop_price not_positive"],
    [
      "a self-trade prevention that there is not",
      { ...limit, self_trade_prevention: `"CANCEL_BOTH"` },
      "self_trade_prevention not_allowed"
    ],
    ["a symbol in small letters", { ...market, symbol: `"btcusdt"` }, "symbol not_allowed"],
    ["a misspelt field", { ...limit, tif: `"IOC"` }, "tif unknown_field"],
    ["a field named like a method of objects", { ...limit, toString: `"x"` }, "toString unknown_field"]
  ])("refuses %s", (_, fields, fault) => {
    const given = Object.fromEntries(
      Object.entries(fields).filter((pair): pair is [string, string] => pair[1] !== undefined)
    )

    const result = readFields(given)

    assert.deepStrictEqual(faults(result), [fault])
    assert.strictEqual(result._tag === "Faulty" ? result.status : 0, 400)
  })

  it.each([
    ["STOP_LOSS", { ...market, type: `"STOP_LOSS"` }],
    ["TAKE_PROFIT", { ...market, type: `"TAKE_PROFIT"` }]
  ])("says that %s is not supported yet, and what would pass", (_, fields) => {
    const result = readFields(fields)

    assert.deepStrictEqual(faults(result), ["type not_supported_yet"])
    assert.strictEqual(result._tag === "Faulty" ? result.status : 0, 422)
  })

  it("names all faults at once", () => {
    const result = readText(`{"id":"","symbol":"\\u0000","side":"HOLD","type":"LIMIT","price":"abc","price":1,"x":1}`)

    assert.sameMembers(faults(result), [
      "id not_allowed",
      "symbol text_not_allowed",
      "side not_allowed",
      "price duplicate_key",
      "quantity missing",
      "x unknown_field"
    ])
  })

  it.each(["[]", "null", "5", `"text"`, "true"])("refuses a body that is no object: %s", (text) => {
    assert.deepStrictEqual(faults(readText(text)), [" wrong_type"])
  })

  const longText = `"${"A".repeat(65)}"`
  const deep = `${"[".repeat(16)}${"]".repeat(16)}`
  const spoilt: Readonly<Record<string, string>> = {
    null: "null",
    "a wrong type": "true",
    "an empty text": `""`,
    "65 characters": longText,
    "1e400": "1e400",
    "1e-19": "1e-19",
    "-0": "-0",
    NaN: "NaN",
    "\\u0000": `"\\u0000"`,
    "depth 17": deep
  }
  const names = [
    "id",
    "symbol",
    "side",
    "type",
    "time_in_force",
    "quantity",
    "quote_quantity",
    "price",
    "valid_until",
    "stop_price",
    "iceberg_quantity",
    "self_trade_prevention"
  ] as const
  const base: Readonly<Record<string, string>> = {
    ...stop,
    iceberg_quantity: "0.0005",
    self_trade_prevention: `"NONE"`,
    time_in_force: `"GTC"`,
    valid_until: `"2030-01-01T00:00:00Z"`
  }
  const cells = names.flatMap((name) => Object.entries(spoilt).map(([how, source]) => [name, how, source] as const))

  it.each(cells)("refuses %s when it is %s, and names it", (name, _, source) => {
    const result = readFields({ ...base, [name]: source })

    assert.include(
      faults(result).map((fault) => fault.split(" ")[0]),
      name
    )
  })

  it.each(names)("refuses %s when it stands twice, and names it", (name) => {
    const source = base[name] ?? "1"

    const result = readText(
      body(base).replace(/\}$/, `,"${name}":${source}${name in base ? "" : `,"${name}":${source}`}}`)
    )

    assert.include(faults(result), `${name} duplicate_key`)
  })

  it.each(["symbol", "side", "type", "quantity", "price"])("refuses a LIMIT order without %s, and names it", (name) => {
    const { [name]: _, ...rest } = base

    assert.deepStrictEqual(faults(readFields(rest)), [`${name} missing`])
  })

  it("shows a client its own faulty value, cut and well-formed", () => {
    const result = readFields({ ...market, symbol: `"${"é".repeat(500)}"` })

    assert.strictEqual(result._tag === "Faulty" ? result.checks[0]?.actual?.length : 0, 80)
  })
})
