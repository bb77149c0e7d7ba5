/** Order lists: how they are placed, what their orders do to each other, and how they are cancelled and read. */
import { assert, describe, it } from "@effect/vitest"
import { balance, wrongWith } from "./exchangeForTests.ts"
import { limitOrder, openDesk, place, query, type Sent, type TestDesk } from "./desk.ts"

const oco = "POST /api/v3/orderList/oco"
const oto = "POST /api/v3/orderList/oto"
const otoco = "POST /api/v3/orderList/otoco"
const opo = "POST /api/v3/orderList/opo"
const opoco = "POST /api/v3/orderList/opoco"

const sellPair = (more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  side: "SELL",
  quantity: "0.01",
  aboveType: "LIMIT_MAKER",
  abovePrice: "66000",
  belowType: "STOP_LOSS_LIMIT",
  belowPrice: "63900",
  belowStopPrice: "64000",
  belowTimeInForce: "GTC",
  ...more
})

const buyPair = (more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  side: "BUY",
  quantity: "0.01",
  aboveType: "STOP_LOSS_LIMIT",
  abovePrice: "66100",
  aboveStopPrice: "66000",
  aboveTimeInForce: "GTC",
  belowType: "LIMIT_MAKER",
  belowPrice: "64000",
  ...more
})

const triggering = (more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  workingType: "LIMIT",
  workingSide: "BUY",
  workingPrice: "64000",
  workingQuantity: "0.01",
  workingTimeInForce: "GTC",
  pendingType: "LIMIT",
  pendingSide: "SELL",
  pendingPrice: "66000",
  pendingQuantity: "0.01",
  pendingTimeInForce: "GTC",
  ...more
})

const withPair = (more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  workingType: "LIMIT",
  workingSide: "BUY",
  workingPrice: "64000",
  workingQuantity: "0.01",
  workingTimeInForce: "GTC",
  pendingSide: "SELL",
  pendingQuantity: "0.01",
  pendingAboveType: "LIMIT_MAKER",
  pendingAbovePrice: "66000",
  pendingBelowType: "STOP_LOSS",
  pendingBelowStopPrice: "63000",
  ...more
})

const statuses = (desk: TestDesk, list: { orders: ReadonlyArray<{ orderId: number }> }) =>
  list.orders.map(({ orderId }) => {
    const { expiryReason, status } = desk.did(query, { symbol: "BTCUSDT", orderId })
    return expiryReason === undefined ? status : `${status} ${expiryReason}`
  })

const readList = (desk: TestDesk, orderListId: number) => desk.did("GET /api/v3/orderList", { orderListId })

describe("an OCO", () => {
  it("answers with both orders, the stop loss first, and tells the stream of all", () => {
    const desk = openDesk()

    const list = desk.did(oco, sellPair({ listClientOrderId: "pair", aboveClientOrderId: "up" }))

    assert.deepStrictEqual(
      Object.keys(list).join(" "),
      "orderListId contingencyType listStatusType listOrderStatus listClientOrderId transactionTime symbol orders orderReports"
    )
    assert.deepInclude(list, {
      orderListId: 0,
      contingencyType: "OCO",
      listStatusType: "EXEC_STARTED",
      listOrderStatus: "EXECUTING",
      listClientOrderId: "pair"
    })
    assert.deepInclude(list.orderReports[0], {
      orderId: 1,
      orderListId: 0,
      type: "STOP_LOSS_LIMIT",
      stopPrice: "64000.00000000",
      workingTime: -1,
      status: "NEW"
    })
    assert.deepInclude(list.orderReports[1], { orderId: 2, type: "LIMIT_MAKER", clientOrderId: "up", status: "NEW" })
    assert.deepStrictEqual(list.orders[1], { symbol: "BTCUSDT", orderId: 2, clientOrderId: "up" })
    assert.deepStrictEqual(desk.heard(), ["1 NEW NEW", "2 NEW NEW", "list 0 EXEC_STARTED EXECUTING", "position"])
    assert.deepStrictEqual(Object.keys(desk.events[2]).join(" "), "e E s g c l L r C T O")
  })

  it("holds the funds of the dearer of its orders once", () => {
    const desk = openDesk()

    desk.did(oco, sellPair())
    desk.did(oco, buyPair())

    assert.strictEqual(balance(desk.exchange, "BTC").locked, "0.01000000")
    assert.strictEqual(balance(desk.exchange, "USDT").locked, "661.00000000")
    assert.strictEqual(wrongWith(desk.exchange), undefined)
  })

  it("counts as two orders", () => {
    const desk = openDesk()

    desk.did(oco, sellPair())

    assert.strictEqual(desk.limits.orderCounts(desk.clock.millis)[0], 2)
  })

  it("whose limit order trades loses its stop", () => {
    const desk = openDesk()
    const list = desk.did(oco, sellPair())
    desk.heard()

    desk.trade("66500")

    assert.deepStrictEqual(statuses(desk, list), ["EXPIRED OCO_TRIGGER", "FILLED"])
    const heard = desk.heard().filter((what) => what !== "position")
    assert.match(heard[0]!, /^2 TRADE /)
    assert.strictEqual(heard[1], "1 EXPIRED EXPIRED OCO_TRIGGER")
    assert.strictEqual(heard.at(-1), "list 0 ALL_DONE ALL_DONE")
    assert.strictEqual(readList(desk, 0).listOrderStatus, "ALL_DONE")
    assert.strictEqual(balance(desk.exchange, "BTC").locked, "0.00000000")
  })

  it("whose limit order is filled in part loses its stop and goes on", () => {
    const desk = openDesk()
    const list = desk.did(oco, buyPair())

    desk.exchange.fill(desk.market, desk.market.orders.byId(2)!, "part")

    assert.deepStrictEqual(statuses(desk, list), ["EXPIRED OCO_TRIGGER", "PARTIALLY_FILLED"])
    assert.strictEqual(balance(desk.exchange, "USDT").locked, "320.00000000")
    assert.strictEqual(wrongWith(desk.exchange), undefined)
  })

  it("whose stop goes loses its limit order before the stop works", () => {
    const desk = openDesk()
    const list = desk.did(oco, sellPair())
    desk.heard()

    desk.trade("64000")

    const heard = desk.heard()
    assert.strictEqual(heard[0], "2 EXPIRED EXPIRED OCO_TRIGGER")
    assert.strictEqual(heard[1], "1 NEW NEW")
    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "EXPIRED OCO_TRIGGER"])
  })

  it("of which one order is cancelled is cancelled whole, and answers as a list", () => {
    const desk = openDesk()
    const list = desk.did(oco, sellPair())
    desk.heard()

    const canceled = desk.did("DELETE /api/v3/order", { symbol: "BTCUSDT", orderId: 2, newClientOrderId: "gone" })

    assert.deepInclude(canceled, { orderListId: 0, listStatusType: "ALL_DONE", listOrderStatus: "ALL_DONE" })
    assert.lengthOf(canceled.orderReports, 2)
    assert.deepInclude(canceled.orderReports[0], { orderId: 1, status: "CANCELED", clientOrderId: "gone" })
    assert.deepStrictEqual(statuses(desk, list), ["CANCELED", "CANCELED"])
    assert.deepStrictEqual(desk.heard(), [
      "1 CANCELED CANCELED",
      "2 CANCELED CANCELED",
      "list 0 ALL_DONE ALL_DONE",
      "position"
    ])
    assert.strictEqual(balance(desk.exchange, "BTC").locked, "0.00000000")
  })

  it("can be placed the old way, with a limit and a stop", () => {
    const desk = openDesk()
    const sent = { symbol: "BTCUSDT", side: "SELL", quantity: "0.01", price: "66000", stopPrice: "64000" }

    const market = desk.did("POST /api/v3/order/oco", { ...sent, limitClientOrderId: "up", stopClientOrderId: "down" })
    const limit = desk.did("POST /api/v3/order/oco", {
      ...sent,
      stopLimitPrice: "63900",
      stopLimitTimeInForce: "GTC"
    })

    assert.deepStrictEqual(
      market.orderReports.map(({ clientOrderId, type }: { clientOrderId: string; type: string }) => [
        clientOrderId,
        type
      ]),
      [
        ["down", "STOP_LOSS"],
        ["up", "LIMIT_MAKER"]
      ]
    )
    assert.strictEqual(limit.orderReports[0].type, "STOP_LOSS_LIMIT")
  })

  it("can pair a take profit with a trailing stop", () => {
    const desk = openDesk()
    const list = desk.did(oco, {
      symbol: "BTCUSDT",
      side: "SELL",
      quantity: "0.01",
      aboveType: "TAKE_PROFIT",
      aboveStopPrice: "66000",
      belowType: "STOP_LOSS",
      belowTrailingDelta: 100
    })

    desk.trade("65000", "65900", "65240.99")

    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "EXPIRED OCO_TRIGGER"])
  })

  it("amended through one order is amended in both", () => {
    const desk = openDesk()
    desk.did(oco, buyPair({ quantity: "0.02" }))
    desk.heard()

    const amended = desk.did("PUT /api/v3/order/amend/keepPriority", {
      symbol: "BTCUSDT",
      orderId: 2,
      newQty: "0.01",
      newClientOrderId: "less"
    })

    assert.deepInclude(amended.listStatus, { orderListId: 0, contingencyType: "OCO", listOrderStatus: "EXECUTING" })
    assert.deepStrictEqual(amended.listStatus.orders[1], { symbol: "BTCUSDT", orderId: 2, clientOrderId: "less" })
    assert.strictEqual(desk.market.orders.byId(1)!.quantity, 1_000_000n)
    assert.strictEqual(balance(desk.exchange, "USDT").locked, "661.00000000")
    assert.deepStrictEqual(desk.heard(), ["2 REPLACED NEW", "1 REPLACED NEW", "list 0 UPDATED EXECUTING", "position"])
  })

  it.each([
    ["a sell limit below the market", sellPair({ abovePrice: "64900" }), -2010],
    ["a sell stop above the market", sellPair({ belowStopPrice: "65100" }), -2010],
    ["a buy limit above the market", buyPair({ belowPrice: "65100" }), -2010],
    ["a buy stop below the market", buyPair({ aboveStopPrice: "64900" }), -2010],
    ["two limit orders", sellPair({ belowType: "LIMIT_MAKER", belowPrice: "64000" }), -1168],
    ["a market order", sellPair({ aboveType: "MARKET" }), -1158],
    ["a limit order below in a sell pair", { ...buyPair(), side: "SELL" }, -1197],
    ["a take profit above in a buy pair", { ...buyPair(), aboveType: "TAKE_PROFIT_LIMIT" }, -1198],
    ["a take profit below in a sell pair", { ...sellPair(), belowType: "TAKE_PROFIT_LIMIT" }, -1199],
    ["a stop loss below in a buy pair", { ...sellPair(), side: "BUY" }, -1196],
    ["a slice that will not rest", sellPair({ belowTimeInForce: "IOC", belowIcebergQty: "0.001" }), -1160],
    ["no quantity", { ...sellPair(), quantity: "" }, -1105],
    ["twice the same id", sellPair({ aboveClientOrderId: "x", belowClientOrderId: "x" }), -2010],
    ["more than the account has", sellPair({ quantity: "101" }), -2010]
  ])("is refused with %s", (_, sent, code) => {
    const desk = openDesk()

    const { json } = desk.ask(oco, sent)

    assert.strictEqual(json.code, code)
    assert.strictEqual(desk.market.orders.count, 0)
    assert.deepStrictEqual(desk.did("GET /api/v3/openOrderList", {}), [])
  })

  it("at the wrong side of the market says that its prices are not in order", () => {
    assert.strictEqual(
      openDesk().ask(oco, sellPair({ abovePrice: "64900" })).json.msg,
      "The relationship of the prices for the orders is not correct."
    )
  })
})

describe("an OTO", () => {
  it("places its pending order once the working one is filled whole", () => {
    const desk = openDesk()
    const list = desk.did(oto, triggering())
    const atFirst = statuses(desk, list)
    desk.exchange.fill(desk.market, desk.market.orders.byId(1)!, "part")
    const half = statuses(desk, list)

    desk.trade("63900")
    const whole = statuses(desk, list)
    desk.trade("66100")

    assert.strictEqual(list.contingencyType, "OTO")
    assert.deepInclude(list.orderReports[1], { status: "PENDING_NEW", workingTime: -1 })
    assert.deepStrictEqual(atFirst, ["NEW", "PENDING_NEW"])
    assert.deepStrictEqual(half, ["PARTIALLY_FILLED", "PENDING_NEW"])
    assert.deepStrictEqual(whole, ["FILLED", "NEW"])
    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "FILLED"])
    assert.strictEqual(readList(desk, 0).listStatusType, "ALL_DONE")
  })

  it("whose working order is filled at once still answers that the other is pending", () => {
    const desk = openDesk()

    const list = desk.did(oto, triggering({ workingPrice: "65500" }))

    assert.deepStrictEqual(
      list.orderReports.map(({ status }: { status: string }) => status),
      ["FILLED", "PENDING_NEW"]
    )
    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "NEW"])
  })

  it("holds nothing for the pending order until it is placed", () => {
    const desk = openDesk({ balances: { USDT: "640.64" } })

    desk.did(oto, triggering({ pendingSide: "BUY", pendingPrice: "63000" }))

    assert.deepStrictEqual(balance(desk.exchange, "USDT"), { free: "0.64000000", locked: "640.00000000" })
  })

  it("whose pending order cannot be paid when it is due ends it as rejected", () => {
    const desk = openDesk({ balances: { USDT: "641" } })
    const list = desk.did(oto, triggering({ pendingSide: "BUY", pendingPrice: "63000" }))

    desk.trade("63500")

    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "EXPIRED REJECTED"])
    assert.strictEqual(readList(desk, 0).listOrderStatus, "ALL_DONE")
    assert.strictEqual(wrongWith(desk.exchange), undefined)
  })

  it("whose working order expires takes the pending one along", () => {
    const desk = openDesk()

    const list = desk.did(oto, triggering({ workingTimeInForce: "IOC" }))

    assert.deepStrictEqual(statuses(desk, list), [
      "EXPIRED UNFILLED_IOC_QUANTITY_EXPIRED",
      "EXPIRED OTO_PHASE_ONE_EXPIRED"
    ])
  })

  it.each([1, 2])("of which order %i is cancelled is cancelled whole", (orderId) => {
    const desk = openDesk()
    const list = desk.did(oto, triggering())

    desk.did("DELETE /api/v3/order", { symbol: "BTCUSDT", orderId })

    assert.deepStrictEqual(statuses(desk, list), ["CANCELED", "CANCELED"])
  })

  it("can have a market order pending, which is done at once when its time comes", () => {
    const desk = openDesk()
    const { pendingPrice: _, pendingTimeInForce: __, ...rest } = triggering()
    const list = desk.did(oto, { ...rest, pendingType: "MARKET" })

    desk.trade("63900")

    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "FILLED"])
  })

  it.each([
    ["a working market order", { workingType: "MARKET" }, -1116],
    ["a working limit order without a time in force", { workingTimeInForce: undefined }, -1102],
    ["a pending stop without a trigger", { pendingType: "STOP_LOSS_LIMIT" }, -1102],
    ["a pending limit order with a stop price", { pendingStopPrice: "1" }, -1106],
    ["an unknown parameter", { pendingQuoteOrderQty: "1" }, -1104]
  ])("is refused with %s", (_, more, code) => {
    const sent = Object.fromEntries(
      Object.entries({ ...triggering(), ...more }).filter(([, value]) => value !== undefined)
    )

    assert.strictEqual(openDesk().ask(oto, sent as Sent).json.code, code)
  })
})

describe("an OTOCO", () => {
  it("places its pair once the working order is filled, and one of the pair ends the other", () => {
    const desk = openDesk()
    const list = desk.did(otoco, withPair())

    desk.trade("63900")
    const placed = statuses(desk, list)
    desk.trade("63000")

    assert.deepStrictEqual(
      list.orderReports.map(({ status, type }: { status: string; type: string }) => [type, status]),
      [
        ["LIMIT", "NEW"],
        ["STOP_LOSS", "PENDING_NEW"],
        ["LIMIT_MAKER", "PENDING_NEW"]
      ]
    )
    assert.deepStrictEqual(placed, ["FILLED", "NEW", "NEW"])
    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "FILLED", "EXPIRED OCO_TRIGGER"])
    assert.strictEqual(desk.limits.orderCounts(desk.clock.millis)[0], 3)
    assert.strictEqual(readList(desk, 0).listOrderStatus, "ALL_DONE")
  })

  it("whose pair would trigger at once when it is due ends with it", () => {
    const desk = openDesk()
    const list = desk.did(otoco, withPair())

    desk.trade("62000")

    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "EXPIRED REJECTED", "EXPIRED OCO_TRIGGER"])
    assert.strictEqual(wrongWith(desk.exchange), undefined)
  })

  it("with a pair in the wrong order is refused", () => {
    const { json } = openDesk().ask(otoco, withPair({ pendingAbovePrice: "62000" }))

    assert.deepStrictEqual(json, { code: -2010, msg: "The relationship of the prices for the orders is not correct." })
  })
})

describe("an OPO", () => {
  const paid = (more: Sent = {}): Sent => {
    const { pendingQuantity: _, ...rest } = triggering(more)
    return rest
  }

  it("sells what was bought, in whole lots, and needs funds for the working order alone", () => {
    const desk = openDesk({ balances: { USDT: "640" } })
    const list = desk.did(opo, paid())

    desk.trade("63900")

    assert.notProperty(list.orderReports[1], "origQty")
    const pending = desk.did(query, { symbol: "BTCUSDT", orderId: 2 })
    // 0.01 BTC less 0.1 %, in steps of 0.00001.
    assert.deepInclude(pending, { status: "NEW", origQty: "0.00999000" })
    assert.deepStrictEqual(balance(desk.exchange, "BTC"), { free: "0.00000000", locked: "0.00999000" })
    assert.strictEqual(wrongWith(desk.exchange), undefined)
  })

  it("takes the commission from what is free besides, when there is enough", () => {
    const desk = openDesk()
    desk.did(opo, paid())

    desk.trade("63900")

    assert.strictEqual(desk.did(query, { symbol: "BTCUSDT", orderId: 2 }).origQty, "0.01000000")
  })

  it("keeps what is bought so far from being sold otherwise, and frees it when cancelled", () => {
    const desk = openDesk({ balances: { USDT: "640" } })
    desk.did(opo, paid())
    desk.exchange.fill(desk.market, desk.market.orders.byId(1)!, "part")
    const during = balance(desk.exchange, "BTC")

    desk.did("DELETE /api/v3/orderList", { symbol: "BTCUSDT", orderListId: 0 })

    assert.deepStrictEqual(during, { free: "0.00000000", locked: "0.00499500" })
    assert.deepStrictEqual(balance(desk.exchange, "BTC"), { free: "0.00499500", locked: "0.00000000" })
  })

  it("may be a pair", () => {
    const desk = openDesk()
    const { pendingQuantity: _, ...sent } = withPair()
    const list = desk.did(opoco, sent)

    desk.trade("63900")
    const placed = statuses(desk, list)
    desk.trade("66100")

    assert.deepStrictEqual(placed, ["FILLED", "NEW", "NEW"])
    assert.deepStrictEqual(statuses(desk, list), ["FILLED", "EXPIRED OCO_TRIGGER", "FILLED"])
  })

  it("cannot have its pending order amended, which has no quantity yet", () => {
    const desk = openDesk()
    desk.did(opo, paid())

    assert.deepStrictEqual(
      desk.ask("PUT /api/v3/order/amend/keepPriority", { symbol: "BTCUSDT", orderId: 2, newQty: "0.001" }).json,
      { code: -2038, msg: "Order amend (pending OPO order) is not supported." }
    )
  })

  it.each([
    ["that works by selling", { workingSide: "SELL", workingPrice: "66000" }, -1222],
    ["that would buy on", { pendingSide: "BUY" }, -1223]
  ])("%s is refused", (_, more, code) => {
    assert.strictEqual(openDesk().ask(opo, paid(more)).json.code, code)
  })
})

describe("lists", () => {
  it("are read by id, by client id, as those open and as all", () => {
    const desk = openDesk()
    const first = desk.did(oco, sellPair({ listClientOrderId: "one" }))
    desk.clock.millis += 1_000
    desk.did(oto, triggering({ listClientOrderId: "two" }))
    desk.did("DELETE /api/v3/orderList", { symbol: "BTCUSDT", listClientOrderId: "one" })
    const ids = (request: string, sent: Sent = {}) =>
      desk.did(request, sent).map(({ orderListId }: { orderListId: number }) => orderListId)
    const ask = (sent: Sent) => desk.ask("GET /api/v3/orderList", sent)

    assert.deepStrictEqual(ids("GET /api/v3/openOrderList"), [1])
    assert.deepStrictEqual(ids("GET /api/v3/allOrderList"), [0, 1])
    assert.deepStrictEqual(ids("GET /api/v3/allOrderList", { fromId: 1 }), [1])
    assert.deepStrictEqual(ids("GET /api/v3/allOrderList", { startTime: desk.clock.millis }), [1])
    assert.deepStrictEqual(ids("GET /api/v3/allOrderList", { limit: 1 }), [1])
    assert.strictEqual(desk.ask("GET /api/v3/allOrderList", { fromId: 1, startTime: 1 }).json.code, -1128)
    assert.strictEqual(ask({ origClientOrderId: "two" }).json.orderListId, 1)
    assert.notProperty(ask({ orderListId: 0 }).json, "orderReports")
    assert.strictEqual(ask({ orderListId: 9 }).json.code, -2013)
    assert.strictEqual(ask({}).json.code, -1102)
    assert.strictEqual(first.orderListId, 0)
  })

  it("end together with the single orders of a symbol, each as what it is", () => {
    const desk = openDesk()
    desk.did(place, limitOrder("BUY", "60000", "0.01"))
    desk.did(oco, sellPair())
    desk.did(place, limitOrder("BUY", "60000", "0.02"))

    const canceled = desk.did("DELETE /api/v3/openOrders", { symbol: "BTCUSDT" })

    assert.lengthOf(canceled, 3)
    assert.deepInclude(canceled[0], { orderId: 1, orderListId: -1, status: "CANCELED" })
    assert.deepInclude(canceled[1], { orderListId: 0, listStatusType: "ALL_DONE" })
    assert.lengthOf(canceled[1].orderReports, 2)
    assert.deepInclude(canceled[2], { orderId: 4 })
    assert.strictEqual(desk.ask("DELETE /api/v3/openOrders", { symbol: "BTCUSDT" }).json.code, -2011)
  })

  it("cannot be cancelled twice, or under another's id", () => {
    const desk = openDesk()
    desk.did(oco, sellPair({ listClientOrderId: "one" }))
    const cancel = (sent: Sent) => desk.ask("DELETE /api/v3/orderList", { symbol: "BTCUSDT", ...sent })

    assert.strictEqual(cancel({ orderListId: 0, listClientOrderId: "two" }).json.code, -2011)
    assert.strictEqual(cancel({ orderListId: 0 }).status, 200)
    assert.deepStrictEqual(cancel({ orderListId: 0 }).json, { code: -2011, msg: "Unknown order sent." })
    assert.strictEqual(cancel({}).json.code, -1102)
  })

  it("of one client id are open one at a time", () => {
    const desk = openDesk()
    desk.did(oco, sellPair({ listClientOrderId: "one" }))

    const twice = desk.ask(oco, sellPair({ listClientOrderId: "one" }))
    desk.did("DELETE /api/v3/orderList", { symbol: "BTCUSDT", orderListId: 0 })
    const again = desk.ask(oco, sellPair({ listClientOrderId: "one" }))

    assert.deepStrictEqual(twice.json, { code: -2010, msg: "Duplicate order sent." })
    assert.strictEqual(again.status, 200)
  })

  it("go on after a restart", () => {
    const desk = openDesk()
    desk.did(oco, sellPair())
    desk.did(otoco, withPair())
    const again = openDesk()
    again.exchange.load({ reset: true })
    for (const entry of desk.exchange.snapshot()) again.exchange.load(JSON.parse(JSON.stringify(entry)))
    again.exchange.open()

    again.trade("63900")
    const next = again.did(oco, buyPair({ abovePrice: "65100", aboveStopPrice: "65000", belowPrice: "63000" }))

    // The stop went at 64000, and waits for its limit of 63900.
    assert.deepStrictEqual(statuses(again, { orders: [{ orderId: 1 }, { orderId: 2 }] }), [
      "NEW",
      "EXPIRED OCO_TRIGGER"
    ])
    assert.deepStrictEqual(statuses(again, { orders: [{ orderId: 3 }, { orderId: 4 }, { orderId: 5 }] }), [
      "FILLED",
      "NEW",
      "NEW"
    ])
    assert.strictEqual(next.orderListId, 2)
    assert.strictEqual(wrongWith(again.exchange), undefined)
  })
})
