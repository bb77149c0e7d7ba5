/** Cancel-replace: every row of Binance's table of modes, results and HTTP statuses. */
import { assert, describe, it } from "@effect/vitest"
import { balance } from "./exchangeForTests.ts"
import { limitOrder, openDesk, place, query, type Sent, type TestDesk } from "./desk.ts"

const replace = "POST /api/v3/order/cancelReplace"
const crossing = { type: "LIMIT_MAKER", price: "70000", timeInForce: undefined }

/** A new order that succeeds, or one that would take and is refused by the engine. */
const fresh = (isGood: boolean): Sent => {
  const { timeInForce: _, ...rest } = limitOrder("BUY", "60000", "0.02")
  return isGood ? limitOrder("BUY", "60000", "0.02") : { ...rest, type: crossing.type, price: crossing.price }
}

const resting = (desk: TestDesk): number => desk.did(place, limitOrder("BUY", "59000", "0.01")).orderId

type Row = readonly [
  mode: "STOP_ON_FAILURE" | "ALLOW_FAILURE",
  exceeded: "DO_NOTHING" | "CANCEL_ONLY",
  isOver: boolean,
  cancels: boolean,
  places: boolean,
  cancelResult: string | undefined,
  newOrderResult: string | undefined,
  status: number,
  code: number | undefined
]

const within: ReadonlyArray<Row> = (["DO_NOTHING", "CANCEL_ONLY"] as const).flatMap((exceeded): ReadonlyArray<Row> => [
  ["STOP_ON_FAILURE", exceeded, false, true, true, "SUCCESS", "SUCCESS", 200, undefined],
  ["STOP_ON_FAILURE", exceeded, false, false, true, "FAILURE", "NOT_ATTEMPTED", 400, -2022],
  ["STOP_ON_FAILURE", exceeded, false, true, false, "SUCCESS", "FAILURE", 409, -2021],
  ["ALLOW_FAILURE", exceeded, false, true, true, "SUCCESS", "SUCCESS", 200, undefined],
  ["ALLOW_FAILURE", exceeded, false, false, false, "FAILURE", "FAILURE", 400, -2022],
  ["ALLOW_FAILURE", exceeded, false, false, true, "FAILURE", "SUCCESS", 409, -2021],
  ["ALLOW_FAILURE", exceeded, false, true, false, "SUCCESS", "FAILURE", 409, -2021]
])

const over: ReadonlyArray<Row> = [
  ["STOP_ON_FAILURE", "DO_NOTHING", true, true, true, undefined, undefined, 429, -1015],
  ["ALLOW_FAILURE", "DO_NOTHING", true, true, true, undefined, undefined, 429, -1015],
  ["STOP_ON_FAILURE", "CANCEL_ONLY", true, false, true, "FAILURE", "NOT_ATTEMPTED", 429, -2022],
  ["STOP_ON_FAILURE", "CANCEL_ONLY", true, true, true, "SUCCESS", "FAILURE", 429, -2021],
  ["ALLOW_FAILURE", "CANCEL_ONLY", true, false, true, "FAILURE", "FAILURE", 400, -2022],
  ["ALLOW_FAILURE", "CANCEL_ONLY", true, true, true, "SUCCESS", "FAILURE", 409, -2021]
]

describe("cancel-replace", () => {
  it.each([...within, ...over])(
    "%s %s, count used up %s, cancel possible %s, order good %s: cancel %s, order %s, HTTP %s, code %s",
    (mode, exceeded, isOver, cancels, places, cancelResult, newOrderResult, status, code) => {
      const desk = openDesk({ limitTable: { ordersPerTenSeconds: 2 } })
      const id = resting(desk)
      if (isOver) resting(desk)
      const [before] = desk.limits.orderCounts(desk.clock.millis)

      const answered = desk.ask(replace, {
        ...fresh(places),
        cancelReplaceMode: mode,
        orderRateLimitExceededMode: exceeded,
        cancelOrderId: cancels ? id : 99
      })

      assert.strictEqual(answered.status, status)
      assert.strictEqual(answered.json.code, code)
      const results = status === 200 ? answered.json : answered.json.data
      assert.strictEqual(results?.cancelResult, cancelResult)
      assert.strictEqual(results?.newOrderResult, newOrderResult)
      if (cancelResult === "FAILURE") {
        assert.deepStrictEqual(results.cancelResponse, { code: -2011, msg: "Unknown order sent." })
      } else if (cancelResult === "SUCCESS") {
        assert.deepInclude(results.cancelResponse, { orderId: id, status: "CANCELED" })
      }
      if (newOrderResult === "NOT_ATTEMPTED") assert.isNull(results.newOrderResponse)
      if (newOrderResult === "SUCCESS") assert.deepInclude(results.newOrderResponse, { status: "NEW", fills: [] })
      if (newOrderResult === "FAILURE") {
        assert.deepStrictEqual(
          results.newOrderResponse,
          isOver
            ? { code: -1015, msg: "Too many new orders; current limit is 2 orders per 10 SECOND." }
            : { code: -2010, msg: "Order would immediately match and take." }
        )
      }
      const left = desk.did(query, { symbol: "BTCUSDT", orderId: id }).status
      assert.strictEqual(left, cancelResult === "SUCCESS" ? "CANCELED" : "NEW")
      // Placed, or not even attempted: both count.
      const counts = !isOver && (newOrderResult === "SUCCESS" || newOrderResult === "NOT_ATTEMPTED")
      assert.strictEqual(desk.limits.orderCounts(desk.clock.millis)[0], before + (counts ? 1 : 0))
    }
  )

  it("frees what the old order held before it asks for the new one's funds", () => {
    const desk = openDesk({ balances: { USDT: "1000" } })
    const { orderId } = desk.did(place, limitOrder("BUY", "50000", "0.02"))

    const { newOrderResponse } = desk.did(replace, {
      ...limitOrder("BUY", "49999", "0.02"),
      cancelReplaceMode: "STOP_ON_FAILURE",
      cancelOrderId: orderId
    })

    assert.strictEqual(newOrderResponse.status, "NEW")
    assert.deepStrictEqual(balance(desk.exchange, "USDT"), { free: "0.02000000", locked: "999.98000000" })
  })

  it("judges filters before it cancels anything", () => {
    const desk = openDesk({
      symbols: (info) => ({
        ...info,
        filters: [...info.filters, { filterType: "MAX_NUM_ORDERS", maxNumOrders: 1 }]
      })
    })
    const { orderId } = desk.did(place, limitOrder("BUY", "60000", "0.02"))
    const mode = { cancelReplaceMode: "STOP_ON_FAILURE", cancelOrderId: orderId }

    const ofPrice = desk.ask(replace, { ...limitOrder("BUY", "1000", "0.02"), ...mode })
    const ofCount = desk.ask(replace, { ...limitOrder("BUY", "60001", "0.02"), ...mode })

    assert.deepStrictEqual(ofPrice.json, { code: -1013, msg: "Filter failure: PERCENT_PRICE_BY_SIDE" })
    assert.deepStrictEqual(ofCount.json, { code: -2010, msg: "Filter failure: MAX_NUM_ORDERS" })
    assert.strictEqual(desk.did(query, { symbol: "BTCUSDT", orderId }).status, "NEW")
  })

  it("names the cancel and the order, and may give the order the id of the cancelled one", () => {
    const desk = openDesk()
    desk.did(place, limitOrder("BUY", "60000", "0.02", { newClientOrderId: "mine" }))
    desk.heard()

    const done = desk.did(replace, {
      ...limitOrder("BUY", "60001", "0.02"),
      cancelReplaceMode: "STOP_ON_FAILURE",
      cancelOrigClientOrderId: "mine",
      cancelNewClientOrderId: "the-cancel",
      newClientOrderId: "mine",
      newOrderRespType: "ACK"
    })

    assert.deepInclude(done.cancelResponse, { origClientOrderId: "mine", clientOrderId: "the-cancel", orderId: 1 })
    assert.deepInclude(done.newOrderResponse, { clientOrderId: "mine", orderId: 2 })
    assert.deepStrictEqual(Object.keys(done), ["cancelResult", "newOrderResult", "cancelResponse", "newOrderResponse"])
    assert.deepStrictEqual(desk.heard(), ["1 CANCELED CANCELED", "2 NEW NEW", "position"])
  })

  it("tells the stream of a new half that the engine would not have", () => {
    const desk = openDesk()
    const id = resting(desk)
    desk.heard()

    desk.ask(replace, { ...fresh(false), cancelReplaceMode: "STOP_ON_FAILURE", cancelOrderId: id })

    assert.deepStrictEqual(desk.heard(), ["1 CANCELED CANCELED", "2 REJECTED REJECTED", "position"])
    assert.strictEqual(desk.events.at(-2).r, "WOULD_MATCH_IMMEDIATELY")
    assert.strictEqual(desk.ask(query, { symbol: "BTCUSDT", orderId: 2 }).json.code, -2013)
  })

  it.each([
    ["ONLY_NEW", true],
    ["ONLY_PARTIALLY_FILLED", false]
  ])("with the restriction %s, cancels a new order: %s", (cancelRestrictions, cancels) => {
    const desk = openDesk()
    const id = resting(desk)

    const { json } = desk.ask(replace, {
      ...fresh(true),
      cancelReplaceMode: "STOP_ON_FAILURE",
      cancelOrderId: id,
      cancelRestrictions
    })

    if (cancels) assert.strictEqual(json.cancelResult, "SUCCESS")
    else {
      assert.deepStrictEqual(json.data.cancelResponse, {
        code: -2011,
        msg: "Order was not canceled due to cancel restrictions."
      })
    }
  })

  it.each([
    [{ cancelReplaceMode: "MAYBE", cancelOrderId: 1 }, -1130],
    [{ cancelReplaceMode: "ALLOW_FAILURE", cancelOrderId: 1, orderRateLimitExceededMode: "MAYBE" }, -1130],
    [{ cancelReplaceMode: "ALLOW_FAILURE", cancelOrderId: 1, cancelRestrictions: "MAYBE" }, -1145],
    [{ cancelReplaceMode: "ALLOW_FAILURE" }, -1102],
    [{ cancelOrderId: 1 }, -1102]
  ])("refuses %j with %s", (sent, code) => {
    assert.strictEqual(openDesk().ask(replace, { ...fresh(true), ...sent }).json.code, code)
  })
})
