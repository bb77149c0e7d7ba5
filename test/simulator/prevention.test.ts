/** Self-trade prevention, after the scenarios of Binance's FAQ. */
import { assert, describe, it } from "@effect/vitest"
import { balance, sums } from "./exchangeForTests.ts"
import { limitOrder, openDesk, place, query, type TestDesk, withFilters } from "./desk.ts"

/**
 * Makers of the account inside the spread, where a taker of the account meets them first. The scenarios sell into
 * three bids; here they are a tick apart above the best bid of the market.
 */
const bids = ["65000.02", "65000.01", "65000"]
const unfiltered = { symbols: withFilters() }

const maker = (desk: TestDesk, price: string, quantity: string, mode = "NONE") =>
  desk.did(place, limitOrder("BUY", price, quantity, { selfTradePreventionMode: mode })).orderId

const taker = (desk: TestDesk, price: string, quantity: string, mode: string) =>
  desk.did(place, limitOrder("SELL", price, quantity, { selfTradePreventionMode: mode, newOrderRespType: "FULL" }))

const found = (desk: TestDesk, orderId: number) => desk.did(query, { symbol: "BTCUSDT", orderId })

describe("self-trade prevention", () => {
  it("A: NONE lets the account trade with itself", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "1")

    const taking = taker(desk, "65000", "1", "NONE")

    assert.deepInclude(taking, { status: "FILLED", executedQty: "1.00000000" })
    assert.lengthOf(taking.fills, 1)
    assert.notProperty(taking, "preventedMatches")
    assert.deepInclude(found(desk, id), { status: "FILLED" })
  })

  it("B: EXPIRE_MAKER ends all orders in the way, and the taker rests", () => {
    const desk = openDesk(unfiltered)
    const quantities = ["1.2", "1.3", "8.1"]
    const ids = bids.map((price, at) => maker(desk, price, quantities[at]!))

    const taking = taker(desk, "65000", "3", "EXPIRE_MAKER")

    assert.deepStrictEqual(
      ids
        .map((id) => found(desk, id))
        .map(({ preventedMatchId, preventedQuantity, status }) => [status, preventedMatchId, preventedQuantity]),
      [
        ["EXPIRED_IN_MATCH", 0, "1.20000000"],
        ["EXPIRED_IN_MATCH", 1, "1.30000000"],
        ["EXPIRED_IN_MATCH", 2, "8.10000000"]
      ]
    )
    assert.deepInclude(taking, { status: "NEW", executedQty: "0.00000000", selfTradePreventionMode: "EXPIRE_MAKER" })
    assert.notProperty(taking, "preventedQuantity")
    assert.deepStrictEqual(taking.preventedMatches[0], {
      preventedMatchId: 0,
      makerSymbol: "BTCUSDT",
      makerOrderId: ids[0],
      price: "65000.02000000",
      makerPreventedQuantity: "1.20000000"
    })
    assert.lengthOf(taking.preventedMatches, 3)
  })

  it("C: EXPIRE_TAKER ends the taker, and the makers stay", () => {
    const desk = openDesk(unfiltered)
    const ids = bids.map((price) => maker(desk, price, "1.2"))

    const taking = taker(desk, "65000", "3", "EXPIRE_TAKER")

    assert.isTrue(ids.every((id) => found(desk, id).status === "NEW"))
    assert.deepInclude(found(desk, taking.orderId), {
      status: "EXPIRED_IN_MATCH",
      executedQty: "0.00000000",
      preventedMatchId: 0,
      preventedQuantity: "3.00000000"
    })
    assert.deepStrictEqual(balance(desk.exchange, "BTC"), { free: "100.00000000", locked: "0.00000000" })
  })

  it("D: EXPIRE_BOTH ends both with all that they had left", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "1")

    const taking = taker(desk, "65000", "3", "EXPIRE_BOTH")

    assert.deepInclude(found(desk, id), { status: "EXPIRED_IN_MATCH", preventedQuantity: "1.00000000" })
    assert.deepInclude(taking, { status: "EXPIRED_IN_MATCH", preventedQuantity: "3.00000000", preventedMatchId: 0 })
    assert.deepInclude(taking.preventedMatches[0], {
      takerPreventedQuantity: "3.00000000",
      makerPreventedQuantity: "1.00000000"
    })
  })

  it("E: the taker's mode decides, whatever the maker's", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "1", "EXPIRE_MAKER")

    const taking = taker(desk, "65000", "1", "EXPIRE_TAKER")

    assert.strictEqual(found(desk, id).status, "NEW")
    assert.strictEqual(taking.status, "EXPIRED_IN_MATCH")
  })

  it("F: a MARKET order that expired its makers goes on with the others of the book", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "1")

    const taking = desk.did(place, {
      symbol: "BTCUSDT",
      side: "SELL",
      type: "MARKET",
      quantity: "1",
      selfTradePreventionMode: "EXPIRE_MAKER"
    })

    assert.strictEqual(found(desk, id).status, "EXPIRED_IN_MATCH")
    assert.strictEqual(taking.status, "FILLED")
    assert.isTrue(taking.fills.every(({ price }: { price: string }) => Number(price) < 65_000))
  })

  it("G: DECREMENT takes the smaller quantity from both, and ends the smaller", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "6")

    const taking = taker(desk, "65000", "2", "DECREMENT")

    assert.deepInclude(found(desk, id), {
      status: "NEW",
      preventedMatchId: 0,
      preventedQuantity: "2.00000000",
      executedQty: "0.00000000"
    })
    assert.deepInclude(taking, { status: "EXPIRED_IN_MATCH", preventedQuantity: "2.00000000" })
    // Four of the six are still to be bought, and held for.
    assert.strictEqual(balance(desk.exchange, "USDT").locked, "260000.00000000")
  })

  it.each([
    ["TRANSFER", "TRANSFER", "TRANSFER"],
    ["TRANSFER", "EXPIRE_BOTH", "DECREMENT"],
    ["EXPIRE_MAKER", "TRANSFER", "EXPIRE_MAKER"]
  ])(
    "H: a taker of %s and a maker of %s make it %s, and nothing moves within one account",
    (mine, theirs, effective) => {
      const desk = openDesk(unfiltered)
      const before = sums(desk.exchange)
      const id = maker(desk, "65000", "0.6", theirs)

      taker(desk, "65000", "0.2", mine)

      const [match] = desk.did("GET /api/v3/myPreventedMatches", { symbol: "BTCUSDT", orderId: id })
      assert.strictEqual(match.selfTradePreventionMode, effective)
      assert.deepStrictEqual(sums(desk.exchange), before)
      assert.strictEqual(desk.exchange.matching.trades.count, 0)
    }
  )

  it("tells both orders of it with all fields of a prevented match", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "6")
    desk.heard()

    const { orderId } = taker(desk, "65000", "2", "DECREMENT")

    assert.deepStrictEqual(desk.heard(), [
      `${orderId} NEW NEW`,
      `${id} TRADE_PREVENTION NEW`,
      `${orderId} TRADE_PREVENTION EXPIRED_IN_MATCH`,
      "position"
    ])
    assert.deepInclude(desk.events.at(-2), {
      v: 0,
      A: "2.00000000",
      B: "2.00000000",
      u: -1,
      U: id,
      Cs: "BTCUSDT",
      pl: "2.00000000",
      pL: "65000.00000000",
      pY: "130000.00000000",
      V: "DECREMENT"
    })
  })

  it("keeps its matches over a restart, by id and by either order", () => {
    const desk = openDesk(unfiltered)
    const id = maker(desk, "65000", "1")
    const { orderId } = taker(desk, "65000", "3", "EXPIRE_BOTH")
    const again = openDesk(unfiltered)
    again.exchange.load({ reset: true })
    for (const entry of desk.exchange.snapshot()) {
      assert.strictEqual(again.exchange.load(JSON.parse(JSON.stringify(entry))), undefined)
    }
    const ask = (sent: object) => again.did("GET /api/v3/myPreventedMatches", { symbol: "BTCUSDT", ...sent })

    const match = {
      symbol: "BTCUSDT",
      preventedMatchId: 0,
      takerOrderId: orderId,
      makerSymbol: "BTCUSDT",
      makerOrderId: id,
      tradeGroupId: -1,
      selfTradePreventionMode: "EXPIRE_BOTH",
      price: "65000.00000000",
      takerPreventedQuantity: "3.00000000",
      makerPreventedQuantity: "1.00000000",
      transactTime: desk.clock.millis
    }
    assert.deepStrictEqual(ask({ preventedMatchId: 0 }), [match])
    assert.deepStrictEqual(ask({ orderId }), [match])
    assert.deepStrictEqual(ask({ orderId: id, fromPreventedMatchId: 0, limit: 5 }), [match])
    assert.deepStrictEqual(ask({ orderId: id, fromPreventedMatchId: 1 }), [])
    assert.deepStrictEqual(ask({ preventedMatchId: 7 }), [])
  })

  it.each([{}, { preventedMatchId: 0, orderId: 1 }, { preventedMatchId: 0, limit: 1 }, { limit: 1 }])(
    "asking for matches with %j is no valid combination",
    (sent) => {
      assert.strictEqual(
        openDesk().ask("GET /api/v3/myPreventedMatches", { symbol: "BTCUSDT", ...sent }).json.code,
        -1128
      )
    }
  )

  it("a symbol's own mode applies where none is sent, and only its allowed ones are taken", () => {
    const desk = openDesk({
      symbols: (info) => ({
        ...info,
        defaultPreventionMode: "EXPIRE_TAKER",
        allowedPreventionModes: ["EXPIRE_TAKER", "EXPIRE_BOTH"]
      })
    })

    const order = desk.did(place, limitOrder("BUY", "60000", "0.01"))
    const refused = desk.ask(place, limitOrder("BUY", "60000", "0.01", { selfTradePreventionMode: "EXPIRE_MAKER" }))
    const unknown = desk.ask(place, limitOrder("BUY", "60000", "0.01", { selfTradePreventionMode: "MAYBE" }))

    assert.strictEqual(order.selfTradePreventionMode, "EXPIRE_TAKER")
    assert.deepStrictEqual(refused, {
      status: 400,
      json: { code: -1013, msg: "This symbol does not allow the specified self-trade prevention mode." }
    })
    assert.strictEqual(unknown.json.code, -1130)
  })
})
