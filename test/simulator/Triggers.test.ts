/** Stop orders: when they are taken, when they go, and what they are then. */
import { assert, describe, it } from "@effect/vitest"
import { limitOrder, openDesk, place, query, type Sent, withFilters } from "./desk.ts"

const stop = (type: string, side: "BUY" | "SELL", more: Sent): Sent => ({
  symbol: "BTCUSDT",
  side,
  type,
  quantity: "0.01",
  ...(type.endsWith("LIMIT") ? { timeInForce: "GTC" } : {}),
  ...more
})

/** Prices of the exchange's own examples are far from the simulated market: only the triggers matter there. */
const unfiltered = { symbols: withFilters() }

describe("the trigger's side", () => {
  const above = "66000"
  const below = "64000"
  it.each([
    ["STOP_LOSS", "BUY", above, below],
    ["STOP_LOSS_LIMIT", "BUY", above, below],
    ["TAKE_PROFIT", "SELL", above, below],
    ["TAKE_PROFIT_LIMIT", "SELL", above, below],
    ["STOP_LOSS", "SELL", below, above],
    ["STOP_LOSS_LIMIT", "SELL", below, above],
    ["TAKE_PROFIT", "BUY", below, above],
    ["TAKE_PROFIT_LIMIT", "BUY", below, above]
  ] as const)("%s %s waits at %s and would trigger immediately at %s or at the market", (type, side, waits, goes) => {
    const { ask } = openDesk()
    const price = type.endsWith("LIMIT") ? { price: "65000" } : {}
    const at = (stopPrice: string) => ask(place, stop(type, side, { stopPrice, ...price }))

    assert.strictEqual(at(waits).status, 200)
    for (const refused of [at(goes), at("65000")]) {
      assert.deepStrictEqual(refused.json, { code: -2010, msg: "Order would trigger immediately." })
    }
  })
})

describe("a stop order", () => {
  it("waits off the book, and its trade at the stop price makes it a market order", () => {
    const desk = openDesk()
    const ack = desk.did(place, stop("STOP_LOSS", "SELL", { stopPrice: "64000" }))
    const waiting = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })
    desk.heard()

    desk.trade("64000.01")
    const still = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })
    desk.trade("64000")
    const gone = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })

    assert.deepStrictEqual(Object.keys(ack), ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"])
    assert.deepInclude(waiting, { status: "NEW", isWorking: false, workingTime: -1, stopPrice: "64000.00000000" })
    assert.deepInclude(still, { status: "NEW", isWorking: false })
    assert.deepInclude(gone, { status: "FILLED", isWorking: true, type: "STOP_LOSS", executedQty: "0.01000000" })
    const heard = desk.heard()
    assert.deepStrictEqual(heard[0], `${ack.orderId} NEW NEW`)
    assert.include(heard, `${ack.orderId} TRADE FILLED`)
  })

  it("with a limit rests at its price once it has gone", () => {
    const desk = openDesk()
    const ack = desk.did(place, stop("STOP_LOSS_LIMIT", "BUY", { stopPrice: "66000", price: "65500" }))
    const held = desk.exchange.matching.accounts.of(0, "USDT").locked

    desk.trade("66000")
    const gone = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })
    desk.trade("65400")
    const filled = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })

    assert.strictEqual(held, 655n * 100_000_000n)
    assert.deepInclude(gone, { status: "NEW", isWorking: true, price: "65500.00000000" })
    assert.deepInclude(filled, { status: "FILLED" })
    assert.strictEqual(desk.exchange.matching.accounts.of(0, "USDT").locked, 0n)
  })

  it("that the account can no longer pay for when it goes expires as rejected", () => {
    const desk = openDesk({ balances: { USDT: "1000", BTC: "0" } })
    const ack = desk.did(place, stop("STOP_LOSS", "BUY", { stopPrice: "66000" }))

    desk.trade("120000")
    const gone = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })

    assert.deepInclude(gone, { status: "EXPIRED", expiryReason: "REJECTED", isWorking: false })
    assert.strictEqual(desk.exchange.matching.accounts.of(0, "USDT").locked, 0n)
  })

  it("is cancelled before it goes, and then does not go", () => {
    const desk = openDesk()
    const ack = desk.did(place, stop("TAKE_PROFIT", "SELL", { stopPrice: "66000" }))

    desk.did("DELETE /api/v3/order", { symbol: "BTCUSDT", orderId: ack.orderId })
    desk.trade("67000")

    const found = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })
    assert.deepInclude(found, { status: "CANCELED", executedQty: "0.00000000" })
  })

  it("can set off another one, which goes after it", () => {
    const desk = openDesk()
    const first = desk.did(place, stop("STOP_LOSS", "SELL", { stopPrice: "64000" }))
    const second = desk.did(place, stop("STOP_LOSS", "SELL", { stopPrice: "63999.99" }))

    desk.trade("64000")

    const [one, two] = [first, second].map(({ orderId }) => desk.did(query, { symbol: "BTCUSDT", orderId }))
    assert.deepStrictEqual([one.status, two.status], ["FILLED", "FILLED"])
  })

  it("of a price limit that nobody meets expires as IOC and FOK do", () => {
    const desk = openDesk()
    const order = (timeInForce: string) =>
      desk.did(place, stop("STOP_LOSS_LIMIT", "BUY", { stopPrice: "66000", price: "65000", timeInForce }))
    const [ioc, fok] = [order("IOC"), order("FOK")]

    desk.trade("66000")

    const reasonOf = ({ orderId }: { orderId: number }) => desk.did(query, { symbol: "BTCUSDT", orderId }).expiryReason
    assert.strictEqual(reasonOf(ioc), "UNFILLED_IOC_QUANTITY_EXPIRED")
    assert.strictEqual(reasonOf(fok), "UNFILLED_FOK_ORDER_EXPIRED")
  })
})

/** The scenarios of Binance's FAQ on trailing stops. */
describe("a trailing stop", () => {
  const scenarios = [
    [
      "A",
      "STOP_LOSS_LIMIT",
      "BUY",
      { stopPrice: "44000", trailingDelta: 500, price: "45000" },
      ["37000", "44000", "45000", "46000", "42000", "44099.99"],
      "44100"
    ],
    [
      "B",
      "STOP_LOSS_LIMIT",
      "SELL",
      { stopPrice: "39000", trailingDelta: 1000, price: "38000" },
      ["41500", "39000", "37000", "41000", "36900.01"],
      "36900"
    ],
    [
      "C",
      "TAKE_PROFIT_LIMIT",
      "BUY",
      { stopPrice: "38000", trailingDelta: 850, price: "38500" },
      ["42000", "38000", "37000", "39000", "38000", "40144.99"],
      "40145"
    ],
    [
      "D",
      "TAKE_PROFIT_LIMIT",
      "SELL",
      { stopPrice: "42000", trailingDelta: 750, price: "41000" },
      ["41500", "39000", "42000", "45000", "44000", "46500", "43012.51"],
      "43012.5"
    ],
    [
      "E",
      "STOP_LOSS_LIMIT",
      "SELL",
      { trailingDelta: 700, price: "39000" },
      ["40000", "42000", "39500", "45500", "42315.01"],
      "42315"
    ]
  ] as const

  it.each(scenarios)("goes at the price of scenario %s, and not a tick before", (_, type, side, more, before, at) => {
    const desk = openDesk(unfiltered)
    desk.trade("40000")
    const ack = desk.did(place, stop(type, side, { ...more }))

    desk.trade(...before)
    const waiting = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })
    desk.trade(at)
    const gone = desk.did(query, { symbol: "BTCUSDT", orderId: ack.orderId })

    assert.deepInclude(waiting, { isWorking: false, trailingDelta: more.trailingDelta })
    assert.strictEqual(gone.isWorking, true)
  })

  it("shows since when it follows the price, in answers and events", () => {
    const desk = openDesk()
    const sent = stop("STOP_LOSS_LIMIT", "SELL", { stopPrice: "64000", trailingDelta: 100, price: "60000" })

    const result = desk.did(place, { ...sent, newOrderRespType: "RESULT" })
    desk.clock.millis += 5_000
    desk.trade("64000")
    const following = desk.did(query, { symbol: "BTCUSDT", orderId: result.orderId })

    assert.deepInclude(result, { trailingDelta: 100, trailingTime: -1, workingTime: -1, stopPrice: "64000.00000000" })
    assert.deepInclude(following, { trailingTime: desk.clock.millis, isWorking: false })
    assert.deepInclude(desk.events[0], { d: 100, D: -1, P: "64000.00000000", w: false })
    assert.notProperty(desk.events[0], "W")
  })
})

describe("an iceberg", () => {
  it("shows its slice, and the next one behind the others of its price", () => {
    const desk = openDesk()
    const { market } = desk
    const iceberg = desk.did(place, limitOrder("SELL", "65100", "0.05", { icebergQty: "0.02" }))
    const plain = desk.did(place, limitOrder("SELL", "65100", "0.01"))
    const shownAt = () => market.book.depth("SELL", 1_000).find(([price]) => price === 6_510_000_000_000n)?.[1]
    const before = shownAt()

    desk.exchange.fill(market, market.orders.byId(plain.orderId)!)

    const [one, two] = [iceberg, plain].map(({ orderId }) => market.orders.byId(orderId)!)
    assert.isTrue(before! >= 3_000_000n)
    assert.strictEqual(two!.status, "FILLED")
    // The slice in front of the plain order is taken, and the rest has queued behind it.
    assert.isTrue(one!.executed >= 2_000_000n)
    assert.isTrue(one!.visible <= 2_000_000n)
  })

  it.each([
    ["LIMIT", { price: "60000", timeInForce: "GTC" }],
    ["LIMIT_MAKER", { price: "60000" }],
    ["STOP_LOSS_LIMIT", { price: "66000", stopPrice: "66000", timeInForce: "GTC" }],
    ["TAKE_PROFIT_LIMIT", { price: "60000", stopPrice: "60000", timeInForce: "GTC" }]
  ])("can be a %s", (type, more) => {
    const { did } = openDesk()

    const order = did(place, {
      symbol: "BTCUSDT",
      side: "BUY",
      type,
      quantity: "1",
      icebergQty: "0.1",
      newOrderRespType: "RESULT",
      ...more
    })

    assert.strictEqual(order.icebergQty, "0.10000000")
  })
})
