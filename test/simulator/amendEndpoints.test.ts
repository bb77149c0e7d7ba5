/** Amending an order where it stands. */
import { assert, describe, it } from "@effect/vitest"
import { balance } from "./exchangeForTests.ts"
import { limitOrder, openDesk, place, query, type Sent, type TestDesk } from "./desk.ts"

const amend = "PUT /api/v3/order/amend/keepPriority"

const resting = (desk: TestDesk, more: Sent = {}) =>
  desk.did(place, limitOrder("BUY", "60000", "0.05", { newClientOrderId: "mine", ...more }))

describe("an amended order", () => {
  it("keeps its number and its place, gives back what it no longer needs, and gets a drawn client id", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)
    const behind = desk.did(place, limitOrder("BUY", "60000", "0.01"))
    desk.heard()

    const amended = desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.03" })
    const level = desk.market.book.depth("BUY", 1_000).find(([price]) => price === 6_000_000_000_000n)
    const held = balance(desk.exchange, "USDT").locked
    const heard = desk.heard()
    const first = [...desk.market.book.queue("BUY")].filter(({ account }) => account === 0)[0]

    assert.deepStrictEqual(Object.keys(amended), ["transactTime", "executionId", "amendedOrder"])
    assert.deepStrictEqual(
      Object.keys(amended.amendedOrder).join(" "),
      "symbol orderId orderListId origClientOrderId clientOrderId price qty executedQty preventedQty quoteOrderQty cumulativeQuoteQty status timeInForce type side workingTime selfTradePreventionMode"
    )
    assert.deepInclude(amended.amendedOrder, { orderId, origClientOrderId: "mine", qty: "0.03000000", status: "NEW" })
    assert.match(amended.amendedOrder.clientOrderId, /^[a-zA-Z0-9]{22}$/)
    assert.strictEqual(level?.[1], 4_000_000n)
    assert.strictEqual(held, "2400.00000000")
    assert.deepStrictEqual(heard, [`${orderId} REPLACED NEW`, "position"])
    assert.deepInclude(desk.events.at(-2), {
      c: amended.amendedOrder.clientOrderId,
      C: "mine",
      q: "0.03000000",
      I: amended.executionId
    })
    assert.strictEqual(first?.id, orderId)
    assert.notStrictEqual(behind.orderId, orderId)
  })

  it("is found by its new client id, and no longer by the old one", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)

    desk.did(amend, { symbol: "BTCUSDT", origClientOrderId: "mine", newQty: "0.03", newClientOrderId: "yours" })

    assert.strictEqual(desk.did(query, { symbol: "BTCUSDT", origClientOrderId: "yours" }).orderId, orderId)
    assert.strictEqual(desk.ask(query, { symbol: "BTCUSDT", origClientOrderId: "mine" }).json.code, -2013)
    assert.strictEqual(desk.ask(place, limitOrder("BUY", "60000", "0.01", { newClientOrderId: "mine" })).status, 200)
  })

  it("keeps its client id when that is sent", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)

    const sent = { symbol: "BTCUSDT", orderId, newQty: "0.03", newClientOrderId: "mine" }

    assert.strictEqual(desk.did(amend, sent).amendedOrder.clientOrderId, "mine")
  })

  it("counts as no order", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)
    const before = desk.limits.orderCounts(desk.clock.millis)

    desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.03" })

    assert.deepStrictEqual(desk.limits.orderCounts(desk.clock.millis), before)
  })

  it("has a history, also after a restart", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)
    const first = desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.04", newClientOrderId: "b" })
    desk.clock.millis += 1_000
    const second = desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.03", newClientOrderId: "c" })
    const again = openDesk()
    again.exchange.load({ reset: true })
    for (const entry of desk.exchange.snapshot()) again.exchange.load(JSON.parse(JSON.stringify(entry)))

    const history = again.did("GET /api/v3/order/amendments", { symbol: "BTCUSDT", orderId })
    const later = again.did("GET /api/v3/order/amendments", {
      symbol: "BTCUSDT",
      orderId,
      fromExecutionId: second.executionId,
      limit: 5
    })

    assert.deepStrictEqual(history[0], {
      symbol: "BTCUSDT",
      orderId,
      executionId: first.executionId,
      origClientOrderId: "mine",
      newClientOrderId: "b",
      origQty: "0.05000000",
      newQty: "0.04000000",
      time: desk.clock.millis - 1_000
    })
    assert.lengthOf(history, 2)
    assert.deepStrictEqual(later, [history[1]])
    assert.strictEqual(again.did(query, { symbol: "BTCUSDT", origClientOrderId: "c" }).orderId, orderId)
    assert.strictEqual(again.ask(query, { symbol: "BTCUSDT", origClientOrderId: "mine" }).json.code, -2013)
  })

  it("that is an iceberg shows less only below what it showed", () => {
    const desk = openDesk()
    const { orderId } = resting(desk, { quantity: "0.05", icebergQty: "0.02" })
    const shows = () => desk.market.orders.byId(orderId)!.visible

    desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.03" })
    const before = shows()
    desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.01" })

    assert.strictEqual(before, 2_000_000n)
    assert.strictEqual(shows(), 1_000_000n)
  })

  it("with nothing left to do expires", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)
    desk.exchange.fill(desk.market, desk.market.orders.byId(orderId)!, "part")

    const { amendedOrder } = desk.did(amend, { symbol: "BTCUSDT", orderId, newQty: "0.02" })

    assert.deepInclude(amendedOrder, { status: "EXPIRED", executedQty: "0.02500000" })
    assert.strictEqual(balance(desk.exchange, "USDT").locked, "0.00000000")
  })

  it.each([
    ["more than it was", { newQty: "0.06" }, -2038, "Order amend (quantity increase) is not supported."],
    ["what it was", { newQty: "0.05" }, -2038, "The requested action would change no state; rejecting"],
    ["an unknown order", { orderId: 99, newQty: "0.01" }, -2038, "Unknown order sent."],
    ["two ids that differ", { origClientOrderId: "other", newQty: "0.01" }, -2038, "Unknown order sent."],
    ["an id in use", { newQty: "0.01", newClientOrderId: "theirs" }, -2038, "Duplicate order sent."],
    ["half a step", { newQty: "0.010005" }, -1013, "Filter failure: LOT_SIZE"],
    ["too little", { newQty: "0.00001" }, -1013, "Filter failure: NOTIONAL"],
    ["nothing", { newQty: "0" }, -1013, "Invalid quantity."],
    ["no quantity", {}, -1102, "Mandatory parameter 'newQty' was not sent, was empty/null, or malformed."],
    ["nine decimals", { newQty: "0.000000001" }, -1111, "Parameter 'newQty' has too much precision."]
  ])("refuses %s, and the order stands", (_, sent, code, msg) => {
    const desk = openDesk()
    const { orderId } = resting(desk)
    desk.did(place, limitOrder("BUY", "60000", "0.01", { newClientOrderId: "theirs" }))

    const { json } = desk.ask(amend, { symbol: "BTCUSDT", orderId, ...sent })

    assert.deepStrictEqual(json, { code, msg })
    assert.deepInclude(desk.did(query, { symbol: "BTCUSDT", orderId }), { origQty: "0.05000000", status: "NEW" })
  })

  it("is amended ten times and no more", () => {
    const desk = openDesk()
    const { orderId } = resting(desk)
    const amendTo = (quantity: number) =>
      desk.ask(amend, { symbol: "BTCUSDT", orderId, newQty: (quantity / 1_000).toFixed(3) })

    const tens = Array.from({ length: 10 }, (_, n) => amendTo(49 - n).status)

    assert.isTrue(tens.every((status) => status === 200))
    assert.deepStrictEqual(amendTo(30).json, { code: -2038, msg: "Filter failure: MAX_NUM_ORDER_AMENDS" })
  })
})
