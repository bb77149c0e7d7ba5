import { assert, describe, it } from "@effect/vitest"
import { OrderId } from "../../src/domain/Ids.ts"
import { cursorText, readQuery } from "../../src/http/OrderList.ts"
import type { Check } from "../../src/http/Problem.ts"

const read = (query: string) => {
  const faults: Array<Check> = []
  const list = readQuery(new URLSearchParams(query), faults)
  return { list, faults: faults.map(({ code, field }) => `${field} ${code}`) }
}

describe("OrderList", () => {
  it("shows the newest fifty of all when nothing is asked", () => {
    assert.deepStrictEqual(read("").list, { statuses: null, symbol: null, limit: 50, order: "desc", cursor: null })
  })

  it.each([
    ["status=PENDING", ["PENDING"]],
    ["status=open", ["PENDING", "EXECUTING"]],
    ["status=closed", ["COMPLETED", "FAILED", "CANCELLED"]],
    ["status=open,FAILED", ["PENDING", "EXECUTING", "FAILED"]],
    ["status=all", null],
    ["status=open,closed", null]
  ])("takes %s", (query, statuses) => {
    const { faults, list } = read(query)

    assert.deepStrictEqual(faults, [])
    assert.deepStrictEqual<ReadonlyArray<string> | null>(list.statuses, statuses)
  })

  it.each([
    ["status=", "status not_allowed"],
    ["status=pending", "status not_allowed"],
    ["status=toString", "status not_allowed"],
    ["status=PENDING,,FAILED", "status not_allowed"],
    ["limit=0", "limit not_allowed"],
    ["limit=501", "limit not_allowed"],
    ["limit=1e2", "limit not_allowed"],
    ["limit=-5", "limit not_allowed"],
    ["limit=", "limit not_allowed"],
    ["symbol=btcusdt", "symbol not_allowed"],
    ["order=up", "order not_allowed"],
    ["cursor=%00", "cursor not_allowed"],
    ["cursor=NDI", "cursor not_allowed"],
    ["limit=5&limit=6", "limit duplicate_parameter"],
    ["offset=5", "offset unknown_parameter"]
  ])("refuses %s", (query, fault) => {
    assert.deepStrictEqual(read(query).faults, [fault])
  })

  it("names all faults of a query at once", () => {
    assert.deepStrictEqual(read("status=x&limit=0&page=2").faults, [
      "page unknown_parameter",
      "status not_allowed",
      "limit not_allowed"
    ])
  })

  it("comes back to the same place from a cursor, whatever characters the order id has", () => {
    const place = { placedAt: 1_768_473_000_000, orderId: OrderId.make("a.b_c:d-9.") }

    assert.deepStrictEqual(read(`cursor=${cursorText(place)}`).list.cursor, place)
  })
})
