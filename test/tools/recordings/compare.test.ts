import { assert, describe, it } from "@effect/vitest"
import type { Kind } from "../../../tools/recordings/files.ts"
import { shapeOf } from "../../../tools/recordings/shape.ts"
import { compareShapes } from "../../../tools/recordings/compare.ts"

const source = { repository: "some/where", path: "answer.json", commit: "0".repeat(40), taken: "2026-01-01" }
const order = {
  orderId: 7,
  status: "NEW",
  price: "1.00000000",
  time: 1_700_000_000_000,
  fills: [{ qty: "2.00000000" }]
}

const kind = (answer: unknown, sample?: unknown): Kind => ({
  kind: "order",
  recordings: [{ source, fields: shapeOf([answer]) }],
  ...(sample === undefined ? {} : { documentation: { source: { documented: "https://…" }, fields: shapeOf([sample]) } })
})

const told = (known: Kind, ...answers: ReadonlyArray<unknown>) =>
  compareShapes(known, shapeOf(answers)).map(({ path, what }) => `${path} ${what}`)

describe("an answer beside a recorded one", () => {
  it("is the same with other values", () => {
    const other = { orderId: 8, status: "FILLED", price: "9.10000000", time: 1_800_000_000_000, fills: order.fills }

    assert.deepStrictEqual(told(kind(order), other), [])
  })

  it.each([
    ["a field that is gone", { ...order, status: undefined }, "status missing"],
    ["a field that nobody knows", { ...order, mood: "good" }, "mood unknown"],
    ["a number where a string was", { ...order, price: 1 }, "price other type"],
    ["a string where a number was", { ...order, orderId: "7" }, "orderId other type"],
    ["seconds where milliseconds were", { ...order, time: 1_700_000_000 }, "time other format"],
    ["a decimal of fewer places", { ...order, price: "1.0" }, "price other format"],
    ["free text where a constant was", { ...order, status: "new" }, "status other format"],
    ["null where a value was", { ...order, price: null }, "price other type"],
    ["a list of nothing", { ...order, fills: [] }, "fills[] missing"]
  ] as const)("with %s is told to differ", (_, answer, difference) => {
    assert.deepStrictEqual(told(kind(order), JSON.parse(JSON.stringify(answer))), [difference])
  })

  it("that only sometimes has a field differs from one that always had it", () => {
    const { status: _, ...without } = order

    assert.deepStrictEqual(told(kind(order), order, without), ["status missing"])
  })

  it("must have what is documented since, of the documented type and any format", () => {
    const known = kind(order, { ...order, workingTime: 1_700_000_000_000, reason: "text" })

    assert.deepStrictEqual(told(known, { ...order, workingTime: -1, reason: 4 }), ["reason other type"])
    assert.deepStrictEqual(told(known, { ...order, workingTime: -1 }), ["reason missing"])
  })

  it("must show every code that was recorded", () => {
    const known = kind([{ code: -2011 }, { code: -1021 }])

    assert.deepStrictEqual(told(known, [{ code: -2011 }, { code: -2010 }]), ["[].code missing"])
  })
})
