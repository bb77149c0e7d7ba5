/** The events of the user data stream: their fields, types and order, as Binance documents them. */
import { assert, describe, it } from "@effect/vitest"
import type { Order } from "../../src/simulator/Order.ts"
import { orderEndpoints } from "../../src/simulator/orderEndpoints.ts"
import { limitOrder, openDesk, place, query, type Sent } from "./desk.ts"

const typesOf = (value: object) =>
  Object.fromEntries(Object.entries(value).map(([name, one]) => [name, one === null ? "null" : typeof one]))

const always = {
  e: "string",
  E: "number",
  s: "string",
  c: "string",
  S: "string",
  o: "string",
  f: "string",
  q: "string",
  p: "string",
  P: "string",
  F: "string",
  g: "number",
  C: "string",
  x: "string",
  X: "string",
  r: "string",
  i: "number",
  l: "string",
  z: "string",
  L: "string",
  n: "string",
  N: "null",
  T: "number",
  t: "number",
  I: "number",
  w: "boolean",
  m: "boolean",
  M: "boolean",
  O: "number",
  Z: "string",
  Y: "string",
  Q: "string",
  V: "string"
}

describe("an executionReport", () => {
  it("of a plain new order has the documented fields in their order, and no others", () => {
    const desk = openDesk()

    desk.did(place, limitOrder("BUY", "60000", "0.01"))

    assert.strictEqual(
      Object.keys(desk.events[0]).join(" "),
      "e E s c S o f q p P F g C x X r i l z L n N T t I w m M O Z Y Q W V"
    )
    assert.deepStrictEqual(typesOf(desk.events[0]), { ...always, W: "number" })
  })

  it("has the conditional fields only where they apply", () => {
    const desk = openDesk()

    desk.did(place, limitOrder("BUY", "60000", "0.01", { strategyId: 7, strategyType: 1_000_000 }))
    desk.did(place, {
      symbol: "BTCUSDT",
      side: "SELL",
      type: "STOP_LOSS",
      quantity: "0.01",
      stopPrice: "64000",
      trailingDelta: 50
    })

    const [strategic, , trailing] = desk.events
    assert.deepStrictEqual(typesOf(strategic), { ...always, W: "number", j: "number", J: "number" })
    assert.deepStrictEqual(typesOf(trailing), { ...always, d: "number", D: "number" })
  })

  it("of a MARKET order on a thin book come as NEW, trades, EXPIRED and one position, in one moment", () => {
    const desk = openDesk()
    const { book } = desk.market
    // All that stands on the other side but two crumbs.
    const cancelAsks = (asks: ReadonlyArray<Order>) => {
      for (const order of asks) desk.exchange.matching.cancel(desk.market, order, "")
    }
    cancelAsks([...book.queue("SELL")])
    for (const price of ["65100", "65200"]) {
      desk.did(place, limitOrder("SELL", price, "0.01", { newClientOrderId: `at-${price}` }))
    }
    cancelAsks([...book.queue("SELL")].filter(({ account }) => account !== 0))
    desk.heard()
    const from = desk.events.length

    const { orderId } = desk.did(place, { symbol: "BTCUSDT", side: "BUY", type: "MARKET", quantity: "0.05" })

    const own = desk.events.slice(from).filter(({ i }) => i === orderId)
    assert.deepStrictEqual(
      own.map(({ w, x, X }) => [x, X, w]),
      [
        ["NEW", "NEW", true],
        ["TRADE", "PARTIALLY_FILLED", false],
        ["TRADE", "PARTIALLY_FILLED", false],
        ["EXPIRED", "EXPIRED", false]
      ]
    )
    assert.strictEqual(own[3].eR, "INSUFFICIENT_LIQUIDITY")
    assert.deepStrictEqual(new Set(own.map(({ T }) => T)).size, 1)
    assert.isTrue(own.every(({ I }, at) => at === 0 || I > own[at - 1].I))
    assert.strictEqual(desk.events.at(-1).e, "outboundAccountPosition")
    assert.strictEqual(desk.events.filter(({ e }) => e === "outboundAccountPosition").length, 3)
    assert.deepInclude(own[1], {
      l: "0.01000000",
      z: "0.01000000",
      L: "65100.00000000",
      Y: "651.00000000",
      Z: "651.00000000",
      N: "BTC",
      m: false
    })
    assert.deepInclude(own[2], { z: "0.02000000", Z: "1303.00000000" })
    const found = desk.did(query, { symbol: "BTCUSDT", orderId })
    assert.deepInclude(found, { status: "EXPIRED", executedQty: "0.02000000", expiryReason: "INSUFFICIENT_LIQUIDITY" })
  })

  it("of a cancel names the cancel, and the order beside it", () => {
    const desk = openDesk()
    desk.did(place, limitOrder("BUY", "60000", "0.01", { newClientOrderId: "mine" }))

    desk.did("DELETE /api/v3/order", { symbol: "BTCUSDT", orderId: 1, newClientOrderId: "gone" })

    assert.deepInclude(desk.events.at(-2), { c: "gone", C: "mine", x: "CANCELED", X: "CANCELED", w: false })
  })
})

describe("an order that is asked for", () => {
  const fields =
    "symbol orderId orderListId clientOrderId price origQty executedQty cummulativeQuoteQty status timeInForce type side stopPrice icebergQty time updateTime isWorking workingTime origQuoteOrderQty selfTradePreventionMode"

  it("has the documented fields, and conditional ones only where they apply", () => {
    const desk = openDesk()
    const keysOf = (sent: Sent) => {
      const { orderId } = desk.did(place, sent)
      return Object.keys(desk.did(query, { symbol: "BTCUSDT", orderId })).join(" ")
    }

    assert.strictEqual(keysOf(limitOrder("BUY", "60000", "0.01")), fields)
    assert.strictEqual(keysOf(limitOrder("BUY", "60000", "0.01", { timeInForce: "IOC" })), `${fields} expiryReason`)
    assert.strictEqual(
      keysOf(limitOrder("BUY", "60000", "0.01", { strategyId: 1, strategyType: 1_000_000 })),
      fields.replace("origQuoteOrderQty", "origQuoteOrderQty strategyId strategyType")
    )
  })

  it("after 90 days is archived when nothing of it was executed, and only then", () => {
    const desk = openDesk()
    const day = 86_400_000
    const resting = desk.did(place, limitOrder("BUY", "60000", "0.01")).orderId
    const canceled = desk.did(place, limitOrder("BUY", "60000", "0.01")).orderId
    const expired = desk.did(place, limitOrder("BUY", "60000", "0.01", { timeInForce: "IOC" })).orderId
    const filled = desk.did(place, limitOrder("BUY", "65500", "0.01")).orderId
    desk.did("DELETE /api/v3/order", { symbol: "BTCUSDT", orderId: canceled })
    const ask = (orderId: number) => {
      const { json } = desk.ask(query, { symbol: "BTCUSDT", orderId })
      return json.code ?? json.status
    }

    desk.clock.millis += 90 * day
    const inTime = [resting, canceled, expired, filled].map(ask)
    desk.clock.millis += 1
    const later = [resting, canceled, expired, filled].map(ask)

    assert.deepStrictEqual(inTime, ["NEW", "CANCELED", "EXPIRED", "FILLED"])
    assert.deepStrictEqual(later, ["NEW", -2026, -2026, "FILLED"])
  })
})

describe("the weights", () => {
  it.each([
    ["POST /api/v3/order", {}, 1, true],
    ["DELETE /api/v3/order", {}, 1, true],
    ["DELETE /api/v3/openOrders", {}, 1, true],
    ["POST /api/v3/order/cancelReplace", {}, 1, true],
    ["POST /api/v3/orderList/oco", {}, 1, true],
    ["POST /api/v3/order/oco", {}, 1, true],
    ["POST /api/v3/orderList/oto", {}, 1, true],
    ["POST /api/v3/orderList/otoco", {}, 1, true],
    ["POST /api/v3/orderList/opo", {}, 1, true],
    ["POST /api/v3/orderList/opoco", {}, 1, true],
    ["DELETE /api/v3/orderList", {}, 1, true],
    ["POST /api/v3/order/test", {}, 1, false],
    ["POST /api/v3/order/test", { computeCommissionRates: "true" }, 20, false],
    ["GET /api/v3/order", {}, 4, false],
    ["GET /api/v3/orderList", {}, 4, false],
    ["GET /api/v3/order/amendments", {}, 4, false],
    ["PUT /api/v3/order/amend/keepPriority", {}, 4, false],
    ["GET /api/v3/openOrders", { symbol: "BTCUSDT" }, 6, false],
    ["GET /api/v3/openOrders", {}, 80, false],
    ["GET /api/v3/openOrderList", {}, 6, false],
    ["GET /api/v3/allOrders", {}, 20, false],
    ["GET /api/v3/allOrderList", {}, 20, false],
    ["GET /api/v3/myPreventedMatches", { symbol: "BTCUSDT", preventedMatchId: "1" }, 2, false],
    ["GET /api/v3/myPreventedMatches", { symbol: "BTCUSDT", orderId: "1" }, 20, false]
  ] as ReadonlyArray<readonly [string, Record<string, string>, number, boolean]>)(
    "%s with %j weighs %i, nothing on success: %s",
    (request, sent, weight, isFree) => {
      const endpoint = orderEndpoints.find(({ rest }) => rest === request)!

      assert.strictEqual(endpoint.weight(new Map(Object.entries(sent))), weight)
      assert.strictEqual(endpoint.isFreeOnSuccess ?? false, isFree)
    }
  )

  it.each([
    ["POST /api/v3/order", 1],
    ["POST /api/v3/order/cancelReplace", 1],
    ["POST /api/v3/orderList/oco", 2],
    ["POST /api/v3/order/oco", 2],
    ["POST /api/v3/orderList/oto", 2],
    ["POST /api/v3/orderList/otoco", 3],
    ["POST /api/v3/orderList/opo", 2],
    ["POST /api/v3/orderList/opoco", 3]
  ] as const)("%s counts as %i orders", (request, orders) => {
    const endpoint = orderEndpoints.find(({ rest }) => rest === request)!

    assert.deepStrictEqual([endpoint.isOrder, endpoint.orders ?? 1], [true, orders])
  })
})
