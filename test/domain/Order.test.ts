import { assert, describe, it } from "@effect/vitest"
import { HashMap, Option } from "effect"
import { decimal, format } from "../../src/domain/Decimal.ts"
import { OrderEvent } from "../../src/domain/Event.ts"
import { averagePrice, fillsInOrder, unplaced } from "../../src/domain/Order.ts"
import { accepted, orderAfter, placed, started, trade } from "./story.ts"

const filledAt = (tradeId: string, quantity: string, price: string, at: number, feeAsset = "BNB") =>
  OrderEvent.cases.OrderFilled.make({ ...trade(tradeId, quantity, price), at, feeAsset, source: "query" })

const open = [placed, started(), accepted()]

describe("what an order adds up to", () => {
  it("has no average price before the first fill", () => {
    assert.isNull(averagePrice(unplaced))
  })

  it("averages by quantity, exactly", () => {
    const order = orderAfter([...open, filledAt("1", "0.5", "100", 1), filledAt("2", "1.5", "101", 2)])

    assert.strictEqual(format(averagePrice(order) ?? assert.fail("no average")), "100.75")
  })

  it("cuts an average that never ends at 16 places", () => {
    const order = orderAfter([...open, filledAt("1", "1", "100", 1), filledAt("2", "2", "101", 2)])

    assert.strictEqual(format(averagePrice(order) ?? assert.fail("no average")), "100.6666666666666666")
  })

  it("adds fees asset by asset, and a trade that is in the log twice only once", () => {
    const twice = filledAt("1", "0.5", "100", 1)
    const order = orderAfter([
      ...open,
      twice,
      twice,
      filledAt("2", "0.5", "100", 2),
      filledAt("3", "0.5", "100", 3, "BTC")
    ])

    assert.strictEqual(format(Option.getOrThrow(HashMap.get(order.fees, "BNB"))), "0.002")
    assert.strictEqual(format(Option.getOrThrow(HashMap.get(order.fees, "BTC"))), "0.001")
    assert.strictEqual(format(order.filledQuantity), format(decimal("1.5")))
  })

  it("lists fills as they happened: by time, then by number and not by letters", () => {
    const order = orderAfter([
      ...open,
      filledAt("10", "0.1", "1", 2),
      filledAt("9", "0.1", "1", 2),
      filledAt("11", "0.1", "1", 1)
    ])

    assert.deepStrictEqual(
      fillsInOrder(order).map(({ tradeId }) => tradeId),
      ["11", "9", "10"]
    )
  })
})
