/** What a symbol does not allow is published, and refused with the engine's words. */
import { assert, describe, it } from "@effect/vitest"
import { allFeatures, type Features } from "../../src/simulator/features.ts"
import type { SymbolInfo } from "../../src/simulator/Market.ts"
import { symbolView } from "../../src/simulator/symbolViews.ts"
import { limitOrder, openDesk, place, type Sent } from "./desk.ts"

const stop = (more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  side: "SELL",
  type: "STOP_LOSS",
  quantity: "0.01",
  ...more
})
const market = (more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  side: "SELL",
  type: "MARKET",
  quantity: "0.01",
  ...more
})
const pair: Sent = {
  symbol: "BTCUSDT",
  side: "SELL",
  quantity: "0.01",
  aboveType: "LIMIT_MAKER",
  abovePrice: "66000",
  belowType: "STOP_LOSS",
  belowStopPrice: "64000"
}
const paid: Sent = {
  symbol: "BTCUSDT",
  workingType: "LIMIT",
  workingSide: "BUY",
  workingPrice: "64000",
  workingQuantity: "0.01",
  workingTimeInForce: "GTC",
  pendingType: "MARKET",
  pendingSide: "SELL"
}
const without = (...types: ReadonlyArray<string>): Partial<Features> => ({
  orderTypes: allFeatures.orderTypes.filter((type) => !types.includes(type))
})
const { quantity: _, ...quote } = market({ quoteOrderQty: "100" })

describe("a symbol", () => {
  it.each([
    [place, market(), without("MARKET"), -2010, "Market orders are not supported for this symbol."],
    [
      place,
      stop({ stopPrice: "64000" }),
      without("STOP_LOSS"),
      -2010,
      "Stop loss orders are not supported for this symbol."
    ],
    [
      place,
      stop({ type: "TAKE_PROFIT_LIMIT", stopPrice: "66000", price: "66000", timeInForce: "GTC" }),
      without("TAKE_PROFIT_LIMIT"),
      -2010,
      "Take profit limit orders are not supported for this symbol."
    ],
    [
      place,
      limitOrder("BUY", "60000", "0.01", { icebergQty: "0.001" }),
      { iceberg: false },
      -2010,
      "Iceberg orders are not supported for this symbol."
    ],
    [
      place,
      stop({ trailingDelta: 100 }),
      { trailingStop: false },
      -2010,
      "Trailing stop orders are not supported for this symbol."
    ],
    [place, quote, { quoteQuantity: false }, -2010, "Quote order qty market orders are not support for this symbol."],
    ["POST /api/v3/orderList/oco", pair, { oco: false }, -2010, "OCO orders are not supported for this symbol"],
    ["POST /api/v3/orderList/opo", paid, { oto: false }, -2010, "OTO orders are not supported for this symbol."],
    ["POST /api/v3/orderList/opo", paid, { opo: false }, -2010, "OPO orders are not supported for this symbol."],
    [
      "POST /api/v3/orderList/oco",
      pair,
      without("STOP_LOSS"),
      -2010,
      "Stop loss orders are not supported for this symbol."
    ],
    [
      "POST /api/v3/order/cancelReplace",
      limitOrder("BUY", "60000", "0.01", { cancelReplaceMode: "ALLOW_FAILURE", cancelOrderId: 1 }),
      { cancelReplace: false },
      -2010,
      "Order cancel-replace is not supported for this symbol."
    ],
    [
      "PUT /api/v3/order/amend/keepPriority",
      { symbol: "BTCUSDT", orderId: 1, newQty: "0.01" },
      { amend: false },
      -2038,
      "Order amend is not supported for this symbol."
    ]
  ] as ReadonlyArray<readonly [string, Sent, Partial<Features>, number, string]>)(
    "%s of %j with %j is refused with %i %s",
    (request, sent, missing, code, msg) => {
      const change = (info: SymbolInfo) => ({ ...info, features: { ...allFeatures, ...missing } })
      const desk = openDesk({ symbols: change })
      const allowed = openDesk()
      for (const one of [desk, allowed]) one.did(place, limitOrder("BUY", "60000", "0.02"))

      assert.deepStrictEqual(desk.ask(request, sent).json, { code, msg })
      assert.strictEqual(allowed.ask(request, sent).status, 200)
    }
  )

  it.each(["HALT", "BREAK"] as const)("in %s takes no orders, but cancels", (status) => {
    const desk = openDesk({ symbols: (info) => ({ ...info, status }) })
    const closed = { status: 400, json: { code: -2010, msg: "Market is closed." } }

    assert.deepStrictEqual(desk.ask(place, market()), closed)
    assert.deepStrictEqual(desk.ask("POST /api/v3/orderList/oco", pair), closed)
    assert.strictEqual(desk.ask("DELETE /api/v3/openOrders", { symbol: "BTCUSDT" }).json.code, -2011)
  })

  it("publishes what it allows", () => {
    const { info } = openDesk().market
    const view = symbolView({ ...info, features: { ...allFeatures, ...without("MARKET"), amend: false } }, true)

    assert.notInclude(view.orderTypes, "MARKET")
    assert.deepInclude(view, { amendAllowed: false, ocoAllowed: true, icebergAllowed: true, allowTrailingStop: true })
  })
})
