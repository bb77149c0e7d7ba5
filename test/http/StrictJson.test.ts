import { assert, describe, it } from "@effect/vitest"
import { JsonNumber, maxDepth, maxFaults, parse } from "../../src/http/StrictJson.ts"
import type { Json } from "../../src/http/StrictJson.ts"

const read = (text: string) => parse(Buffer.from(text))

/** As JSON.parse would give it, with numbers as their text. */
const plain = (value: Json | undefined): unknown =>
  value instanceof JsonNumber
    ? value.text
    : Array.isArray(value)
      ? value.map(plain)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]))
        : value

const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`

describe("StrictJson", () => {
  it("keeps every digit of a number that a double would round", () => {
    const text = `{"a":0.1234567890123456789,"b":1e-7,"c":-12345678901234567890,"d":1E+2}`

    const { faults, value } = read(text)

    assert.deepStrictEqual(faults, [])
    assert.deepStrictEqual(plain(value), {
      a: "0.1234567890123456789",
      b: "1e-7",
      c: "-12345678901234567890",
      d: "1E+2"
    })
  })

  it.each([
    `{}`,
    `[]`,
    ` { "a" : [ true , false , null , "x" ] } `,
    `"\\u00e9\\n\\"\\\\\\/\\ud83d\\ude00"`,
    `{"__proto__":{"x":"y"},"toString":"z"}`,
    `{"é😀":"\u2028"}`
  ])("reads what JSON.parse reads: %s", (text) => {
    const { faults, value } = read(text)

    assert.deepStrictEqual(faults, [])
    assert.strictEqual(JSON.stringify(plain(value)), JSON.stringify(JSON.parse(text)))
  })

  it.each([
    "",
    " ",
    "{",
    "}",
    "[1,]",
    `{"a":1,}`,
    `{"a" 1}`,
    `{a:1}`,
    `{'a':1}`,
    `{"a":NaN}`,
    `{"a":Infinity}`,
    `{"a":-}`,
    `{"a":+1}`,
    `{"a":01}`,
    `{"a":1.}`,
    `{"a":.5}`,
    `{"a":1e}`,
    `{"a":0x10}`,
    `{"a":"\\x41"}`,
    `{"a":"\\u12"}`,
    `{"a":"line\nbreak"}`,
    `{"a":"open`,
    `{"a":"open\\`,
    `{"a":undefined}`,
    `{} {}`,
    `{}x`,
    "\ufeff{}",
    "// comment\n{}"
  ])("refuses what is no JSON: %j", (text) => {
    const { faults, value } = read(text)

    assert.strictEqual(value, undefined)
    assert.deepStrictEqual(
      faults.map(({ code }) => code),
      ["not_json"]
    )
    assert.throws(() => JSON.parse(text))
  })

  it("names the field in which the text ends to be JSON", () => {
    assert.strictEqual(read(`{"id":"x","quantity": NaN}`).faults[0]?.field, "quantity")
  })

  it("finds a key that stands twice, also when it is written with an escape, and keeps the first", () => {
    const { faults, value } = read(`{"quantity":1,"\\u0071uantity":2,"side":"BUY","side":"SELL"}`)

    assert.deepStrictEqual(
      faults.map(({ code, field }) => [code, field]),
      [
        ["duplicate_key", "quantity"],
        ["duplicate_key", "side"]
      ]
    )
    assert.deepStrictEqual(plain(value), { quantity: "1", side: "BUY" })
  })

  it.each(["\\u0000", "\\ud800", "\\udc00\\ud800"])("refuses text with %s", (escape) => {
    assert.deepStrictEqual(
      read(`{"id":"a${escape}b"}`).faults.map(({ code, field }) => [code, field]),
      [["text_not_allowed", "id"]]
    )
  })

  it("allows sixteen levels of nesting and no more", () => {
    assert.deepStrictEqual(read(nested(maxDepth)).faults, [])
    assert.deepStrictEqual(
      read(nested(maxDepth + 1)).faults.map(({ code }) => code),
      ["too_deep"]
    )
    assert.deepStrictEqual(
      read(`{"id":${nested(maxDepth)}}`).faults.map(({ code, field }) => [code, field]),
      [["too_deep", "id"]]
    )
  })

  it("survives a body of nothing but opening brackets", () => {
    assert.deepStrictEqual(
      read("[".repeat(60_000)).faults.map(({ code }) => code),
      ["too_deep"]
    )
  })

  it("refuses bytes that are not UTF-8", () => {
    assert.deepStrictEqual(
      parse(Buffer.from([0x22, 0xff, 0x22])).faults.map(({ code }) => code),
      ["not_utf8"]
    )
  })

  it("bounds the faults of a body full of repeated keys", () => {
    assert.strictEqual(read(`{${Array(1_000).fill(`"a":1`).join(",")}}`).faults.length, maxFaults)
  })
})
