import { assert, describe, it } from "@effect/vitest"
import { type OrderComplaint, openQuestions } from "../../src/simulator/openQuestions.ts"
import { newOrderOf, type OrderForm } from "../../src/simulator/orderParameters.ts"
import { isRefusal } from "../../src/simulator/Refusal.ts"
import { noPeg } from "../../src/simulator/pegs.ts"

const good: OrderForm = {
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: "1",
  quoteOrderQty: undefined,
  price: "1",
  icebergQty: undefined,
  stopPrice: undefined,
  trailingDelta: undefined,
  newClientOrderId: undefined,
  newOrderRespType: undefined,
  selfTradePreventionMode: undefined,
  strategyId: undefined,
  strategyType: undefined,
  ...noPeg
}

const codeOf = (form: OrderForm): number | undefined => {
  const order = newOrderOf(form)
  return isRefusal(order) ? order.code : undefined
}

/** One fault each, that leaves the others as they are. */
const faults: Readonly<Record<OrderComplaint, readonly [fault: Partial<OrderForm>, code: number]>> = {
  type: [{ type: "OTHER" }, -1116],
  side: [{ side: "HOLD" }, -1117],
  timeInForce: [{ timeInForce: "GTX" }, -1115],
  fields: [{ trailingDelta: 10 }, -1106],
  preventionMode: [{ selfTradePreventionMode: "OTHER" }, -1130],
  strategyType: [{ strategyType: 1 }, -1134],
  precision: [{ quantity: "0.000000001" }, -1111],
  zeros: [{ price: "0" }, -1013]
}

describe("complaints about an order", () => {
  it.each(openQuestions.orderComplaints)("%s alone has its own code", (complaint) => {
    const [fault, code] = faults[complaint]

    assert.strictEqual(codeOf({ ...good, ...fault }), code)
    assert.isUndefined(codeOf(good))
  })

  it.each(openQuestions.orderComplaints.map((complaint, at) => [complaint, at] as const))(
    "of several faults the first in the table is told, from %s on",
    (complaint, at) => {
      const later = openQuestions.orderComplaints.slice(at).map((name) => faults[name][0])

      assert.strictEqual(codeOf(Object.assign({}, good, ...later)), faults[complaint][1])
    }
  )
})
