import { assert, describe, it } from "@effect/vitest"
import { fees, ours } from "../../src/simulator/Accounts.ts"
import { amount, format } from "../../src/simulator/Amount.ts"
import type { Entry } from "../../src/simulator/Entry.ts"
import { Exchange } from "../../src/simulator/Exchange.ts"
import { defaultBalances, symbolsOf } from "../../src/simulator/Market.ts"
import { encode } from "../../src/simulator/Order.ts"
import {
  balance,
  type Clock,
  makeExchange,
  marketOf,
  place,
  startMillis,
  sums,
  tryPlace,
  wantedOf,
  wrongWith
} from "./exchangeForTests.ts"

const tradesOf = (exchange: Exchange, rows: ReadonlyArray<number>) =>
  rows.map((row) => exchange.matching.trades.at(row))

describe("matching", () => {
  it("a taker trades at the makers' prices, the best first", () => {
    const exchange = makeExchange()
    const asks = marketOf(exchange).book.depth("SELL", 100)

    const order = place(exchange, { side: "BUY", quantity: "0.5" })

    const trades = tradesOf(exchange, order.trades)
    assert.strictEqual(order.status, "FILLED")
    assert.isAbove(trades.length, 3)
    assert.strictEqual(trades[0]!.price, asks[0]![0])
    assert.deepStrictEqual(
      trades.map(({ price }) => price),
      trades.map(({ price }) => price).sort((a, b) => Number(a - b))
    )
  })

  it("of two orders at one price the earlier is filled first", () => {
    const exchange = makeExchange()
    const first = place(exchange, { side: "BUY", price: "64000", quantity: "0.01" })
    const second = place(exchange, { side: "BUY", price: "64000", quantity: "0.01" })

    exchange.counterparties.fill(marketOf(exchange), first)

    assert.strictEqual(first.status, "FILLED")
    assert.isBelow(Math.max(...first.trades), Math.min(...second.trades, Infinity))
  })

  it("a resting order locks its price, and what a better price leaves is free again", () => {
    const exchange = makeExchange()

    const order = place(exchange, { side: "BUY", price: "66000", quantity: "0.01" })

    assert.strictEqual(order.status, "FILLED")
    assert.strictEqual(balance(exchange, "USDT").locked, "0.00000000")
    assert.strictEqual(balance(exchange, "USDT").free, format(amount("1000000") - order.quoteExecuted))
    assert.isTrue(order.quoteExecuted < amount("660"))
  })

  it("a cancel frees what was locked, and nothing else", () => {
    const exchange = makeExchange()
    const order = place(exchange, { side: "SELL", price: "90000", quantity: "1.5" })
    const before = balance(exchange, "BTC")

    exchange.cancel(marketOf(exchange), { orderId: order.id, clientOrderId: undefined }, "c", undefined)

    assert.deepStrictEqual(before, { free: "98.50000000", locked: "1.50000000" })
    assert.deepStrictEqual(balance(exchange, "BTC"), { free: "100.00000000", locked: "0.00000000" })
  })

  it("the commission is 0.1 % of what is received, rounded down, and goes to the fee account", () => {
    const exchange = makeExchange()

    const order = place(exchange, { side: "SELL", quantity: "0.12345" })

    const trades = tradesOf(exchange, order.trades)
    const paid = trades.reduce((sum, { commission }) => sum + commission, 0n)
    for (const { commission, quote } of trades) assert.strictEqual(commission, quote / 1000n)
    assert.strictEqual(exchange.matching.accounts.of(fees, "USDT").free, paid)
    assert.strictEqual(balance(exchange, "USDT").free, format(amount("1000000") + order.quoteExecuted - paid))
  })

  it("IOC takes what is there and the rest expires", () => {
    const exchange = makeExchange()
    const [touch, shown] = exchange.matching.shown(marketOf(exchange), "SELL")

    const order = place(exchange, {
      side: "BUY",
      price: format(touch),
      quantity: format(shown + amount("0.5")),
      tif: "IOC"
    })

    assert.strictEqual(order.executed, shown)
    assert.strictEqual(order.status, "EXPIRED")
    assert.strictEqual(order.expiryReason, "UNFILLED_IOC_QUANTITY_EXPIRED")
    assert.strictEqual(balance(exchange, "USDT").locked, "0.00000000")
  })

  it("FOK is filled whole or not at all", () => {
    const exchange = makeExchange()
    const [touch, shown] = exchange.matching.shown(marketOf(exchange), "SELL")
    const fok = (quantity: bigint) =>
      place(exchange, { side: "BUY", price: format(touch), quantity: format(quantity), tif: "FOK" })

    const tooMuch = fok(shown + amount("0.00001"))
    const enough = fok(shown)

    assert.strictEqual(tooMuch.executed, 0n)
    assert.strictEqual(tooMuch.expiryReason, "UNFILLED_FOK_ORDER_EXPIRED")
    assert.strictEqual(enough.status, "FILLED")
  })

  it("LIMIT_MAKER is refused when it would take, and rests otherwise", () => {
    const exchange = makeExchange()

    const crossing = tryPlace(exchange, { type: "LIMIT_MAKER", side: "BUY", price: "70000", quantity: "0.01" })
    const resting = place(exchange, { type: "LIMIT_MAKER", side: "BUY", price: "60000", quantity: "0.01" })

    assert.deepInclude(crossing, { code: -2010, message: "Order would immediately match and take." })
    assert.strictEqual(resting.status, "NEW")
  })

  it("a quote quantity is spent as far as whole steps allow, never beyond", () => {
    const exchange = makeExchange()

    const order = place(exchange, { side: "BUY", quote: "1000" })

    assert.strictEqual(order.status, "FILLED")
    assert.strictEqual(order.quantity % amount("0.00001"), 0n)
    assert.isTrue(order.quoteExecuted <= amount("1000"))
    assert.isTrue(order.quoteExecuted > amount("999"))
  })

  it.each([
    ["LIMIT BUY beyond the quote", { side: "BUY", price: "60000", quantity: "17" }],
    ["LIMIT SELL beyond the base", { side: "SELL", price: "90000", quantity: "100.00001" }],
    ["MARKET BUY beyond the quote", { side: "BUY", quantity: "16" }],
    ["MARKET SELL beyond the base", { side: "SELL", quantity: "101" }],
    ["quote BUY beyond the quote", { side: "BUY", quote: "1000001" }]
  ] as const)("%s is refused whole", (_, words) => {
    const exchange = makeExchange()

    const order = tryPlace(exchange, words)

    assert.deepInclude(order, { code: -2010, message: "Account has insufficient balance for requested action." })
    assert.deepStrictEqual(balance(exchange, "BTC"), { free: "100.00000000", locked: "0.00000000" })
  })

  it("everything that the account has can be sold in one MARKET order", () => {
    const exchange = makeExchange()

    assert.strictEqual(place(exchange, { side: "SELL", quantity: "100" }).status, "FILLED")
    assert.strictEqual(place(exchange, { side: "SELL", quantity: "1000", symbol: "ETHUSDT" }).status, "FILLED")
    assert.strictEqual(place(exchange, { side: "SELL", quantity: "1000", symbol: "BNBUSDT" }).status, "FILLED")
  })

  it("a client id is refused while its order is open, and taken again and executed afterwards", () => {
    const exchange = makeExchange()
    const resting = place(exchange, { price: "60000", quantity: "0.01", id: "mine" })

    const whileOpen = tryPlace(exchange, { quantity: "0.01", id: "mine" })
    exchange.cancel(marketOf(exchange), { orderId: resting.id, clientOrderId: undefined }, "c", undefined)
    const afterCancel = place(exchange, { quantity: "0.01", id: "mine" })
    const afterFill = place(exchange, { quantity: "0.01", id: "mine" })

    assert.deepInclude(whileOpen, { code: -2010, message: "Duplicate order sent." })
    assert.strictEqual(afterCancel.status, "FILLED")
    assert.strictEqual(afterFill.status, "FILLED")
  })
})

describe("the market", () => {
  it.each(["0.0001", "0.0005", "0.002", "0.02"])(
    "of 1,000 MARKET orders of %s BTC none expires and at least 30 %% fill in several trades",
    (quantity) => {
      const exchange = makeExchange()

      const orders = Array.from({ length: 1_000 }, (_, n) =>
        place(exchange, { side: n % 2 === 0 ? "BUY" : "SELL", quantity })
      )

      assert.strictEqual(orders.filter(({ status }) => status !== "FILLED").length, 0)
      assert.isAtLeast(orders.filter(({ trades }) => trades.length > 1).length, 300)
    }
  )

  it("resting orders near the price fill as it moves, some in several trades", () => {
    const exchange = makeExchange()
    const orders = Array.from({ length: 40 }, (_, n) => [
      place(exchange, { side: "BUY", price: (64_950 - n).toFixed(2), quantity: "0.01" }),
      place(exchange, { side: "SELL", price: (65_050 + n).toFixed(2), quantity: "0.01" })
    ]).flat()

    for (let tick = 0; tick < 1_000; tick++) exchange.counterparties.tick(marketOf(exchange))
    exchange.tick()

    const filled = orders.filter(({ status }) => status === "FILLED")
    assert.isAbove(filled.length, 20)
    assert.isTrue(filled.some(({ trades }) => trades.length > 1))
    assert.isTrue(
      tradesOf(
        exchange,
        filled.flatMap(({ trades }) => trades)
      ).every(({ isMaker }) => isMaker)
    )
  })

  it("a move of the price fills all that stand in its way and leaves the others", () => {
    const exchange = makeExchange()
    const near = Array.from({ length: 50 }, () => place(exchange, { side: "BUY", price: "63000", quantity: "0.01" }))
    const far = place(exchange, { side: "BUY", price: "50000", quantity: "0.01" })

    exchange.moveMarket(marketOf(exchange), amount("62000"))

    assert.isTrue(near.every(({ status }) => status === "FILLED"))
    assert.strictEqual(far.status, "NEW")
    assert.strictEqual(wrongWith(exchange), undefined)
  })

  it("the same seed makes the same market, another seed another", () => {
    const run = (seed: number) => {
      const exchange = makeExchange({ seed })
      for (let tick = 0; tick < 50; tick++) exchange.tick()
      return marketOf(exchange).book.depth("BUY", 20)
    }

    assert.deepStrictEqual(run(3), run(3))
    assert.notDeepEqual(run(3), run(4))
  })

  it("the price stays near its start however long it walks", () => {
    const exchange = makeExchange()

    for (let tick = 0; tick < 2_000; tick++) {
      exchange.counterparties.tick(marketOf(exchange))
      const fair = Number(exchange.counterparties.fairPrice(marketOf(exchange))) / 1e8
      assert.isTrue(fair > 65_000 * 0.97 && fair < 65_000 * 1.03)
    }
  })
})

describe("stale reads", () => {
  it("see orders as they were, while a cancel sees them as they are", () => {
    const clock: Clock = { millis: startMillis }
    const exchange = makeExchange({ clock })
    const market = marketOf(exchange)
    const old = place(exchange, { price: "60000", quantity: "0.01" })
    exchange.staleReads({ reads: "orders", clientOrderId: undefined, millis: 5_000 })
    clock.millis += 6_000
    const young = place(exchange, { price: "60000", quantity: "0.02" })
    exchange.fill(market, old)
    const target = (id: number) => ({ orderId: id, clientOrderId: undefined })

    assert.strictEqual(exchange.read(market, target(young.id)), undefined)
    assert.deepStrictEqual(
      exchange.readOpen(market).map(({ id, status }) => [id, status]),
      [[old.id, "NEW"]]
    )
    assert.deepInclude(exchange.cancel(market, target(old.id), "c", undefined), { code: -2011 })

    clock.millis += 5_000
    assert.strictEqual(exchange.read(market, target(old.id))?.status, "FILLED")
    assert.notStrictEqual(exchange.read(market, target(young.id)), undefined)
  })
})

describe("the journal's entries", () => {
  const opened = (entries: ReadonlyArray<Entry>, clock: Clock) => {
    const exchange = new Exchange({
      symbols: symbolsOf("off"),
      seed: 99,
      clock: () => clock.millis,
      balances: defaultBalances
    })
    for (const entry of entries) assert.strictEqual(exchange.load(JSON.parse(JSON.stringify(entry))), undefined)
    return exchange
  }

  const stateOf = (exchange: Exchange) => ({
    orders: exchange.matching.markets.map(({ orders }) => [...orders.all()].map(encode)),
    trades: Array.from({ length: exchange.matching.trades.count }, (_, row) => exchange.matching.trades.at(row)),
    balances: [...exchange.matching.accounts.balancesOf(ours)],
    next: exchange.matching.markets.map(({ nextOrderId, nextTradeId }) => [nextOrderId, nextTradeId]),
    sums: sums(exchange)
  })

  const busy = (exchange: Exchange) => {
    for (let n = 0; n < 40; n++) {
      place(exchange, {
        side: n % 2 === 0 ? "BUY" : "SELL",
        quantity: "0.01",
        symbol: n % 3 === 0 ? "ETHUSDT" : "BTCUSDT"
      })
      place(exchange, { side: "BUY", price: String(64_990 - n), quantity: "0.01" })
      exchange.tick()
    }
  }

  it("rebuild orders, trades, balances and ids exactly, and so does a snapshot of them", () => {
    const clock = { millis: startMillis }
    const entries: Array<Entry> = []
    const exchange = makeExchange({ clock })
    entries.push(...exchange.snapshot())
    exchange.journalTo((entry) => entries.push(entry))
    busy(exchange)
    // What only the counterparties saw since the last entry is not in it; one more order brings it.
    place(exchange, { quantity: "0.001" })

    const again = opened(entries, clock)
    const compacted = opened([...again.snapshot()], clock)

    assert.deepStrictEqual(stateOf(again), stateOf(exchange))
    assert.deepStrictEqual(stateOf(compacted), stateOf(exchange))
    again.open()
    assert.strictEqual(wrongWith(again), undefined)
    assert.deepStrictEqual(sums(again), sums(exchange))
  })

  it("an exchange that was reset and restarted knows nothing of before", () => {
    const clock = { millis: startMillis }
    const entries: Array<Entry> = []
    const exchange = makeExchange({ clock })
    exchange.journalTo((entry) => entries.push(entry))
    busy(exchange)
    exchange.reset()
    const first = place(exchange, { quantity: "0.01", id: "after" })

    const again = opened(entries, clock)

    assert.strictEqual(first.id, 1)
    assert.deepStrictEqual(stateOf(again), stateOf(exchange))
    assert.strictEqual(again.lookUp(marketOf(again), { orderId: 2, clientOrderId: undefined }), undefined)
  })
})

describe("amounts", () => {
  it("a check of an order does not depend on its being placed", () => {
    const exchange = makeExchange()

    assert.strictEqual(exchange.check(marketOf(exchange), wantedOf({ quantity: "0.00001" }))?.code, -1013)
    assert.strictEqual(marketOf(exchange).orders.count, 0)
  })
})
