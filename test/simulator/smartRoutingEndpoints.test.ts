/** Orders over several books, of which this exchange has none that belong together. */
import { assert, describe, it } from "@effect/vitest"
import { limitOrder, openDesk } from "./desk.ts"

describe.each(["POST /api/v3/sor/order", "POST /api/v3/sor/order/test"])("%s", (request) => {
  it("judges the order, refuses it for want of such routing, and places nothing", () => {
    const desk = openDesk()

    const good = desk.ask(request, limitOrder("BUY", "60000", "0.05"))
    const odd = desk.ask(request, { ...limitOrder("BUY", "60000", "0.05"), type: "LIMITED" })
    const unknown = desk.ask(request, { ...limitOrder("BUY", "60000", "0.05"), symbol: "NOPE" })

    assert.deepStrictEqual(good, { status: 400, json: { code: -1013, msg: "This symbol has no SOR." } })
    assert.strictEqual(odd.json.code, -1116)
    assert.strictEqual(unknown.json.code, -1121)
    assert.deepStrictEqual(desk.heard(), [])
  })
})
