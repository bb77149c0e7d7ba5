/** Over arbitrary sequences of all requests that trade, and of moves: nothing is made, nothing is lost, nobody is overdrawn. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { amount, format } from "../../src/simulator/Amount.ts"
import { defaultCommissions } from "../../src/simulator/Commission.ts"
import type { Entry } from "../../src/simulator/Entry.ts"
import type { Market } from "../../src/simulator/Matching.ts"
import { encode } from "../../src/simulator/Order.ts"
import { isRefusal } from "../../src/simulator/Refusal.ts"
import { limitOrder, openDesk, place, type Sent, type TestDesk } from "./desk.ts"
import { makeExchange, marketOf, sums, wantedOf, wrongNow, wrongWith } from "./exchangeForTests.ts"

const whole = (greatest: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: greatest }))

const Step = Schema.Struct({
  kind: whole(22),
  side: whole(1),
  mode: whole(6),
  timeInForce: whole(2),
  size: whole(100_000),
  near: whole(400),
  far: whole(400)
})
type Step = typeof Step.Type

const modes = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"] as const
const timesInForce = ["GTC", "IOC", "FOK"] as const

/** What the sequences did, over all of them. */
const seen = new Map<string, number>()
const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)

const take = (desk: TestDesk, market: Market, step: Step): void => {
  const { exchange } = desk
  const { symbol } = market.info
  const fair = exchange.counterparties.fairPrice(market)
  const { stepSize, tickSize } = market.info
  /** Within so many hundredths of a percent of the price. */
  const priced = (hundredths: number) => {
    const price = (fair * BigInt(10_000 + hundredths)) / 10_000n
    return format(price - (price % tickSize))
  }
  const near = priced(step.near - 200)
  const above = priced(1 + step.near)
  const below = priced(-1 - step.far)
  const quantity = format(stepSize * BigInt(step.size + 10))
  const iceberg = format(stepSize * BigInt(Math.max(1, Math.floor(step.size / 5))))
  const side = step.side === 0 ? "BUY" : "SELL"
  const [up, down] = side === "BUY" ? [above, below] : [below, above]
  const timeInForce = timesInForce[step.timeInForce]!
  const mode = modes[step.mode]
  const common: Sent = {
    symbol,
    side,
    quantity,
    ...(mode === undefined ? {} : { selfTradePreventionMode: mode })
  }
  const working: Sent = {
    symbol,
    workingType: "LIMIT",
    workingSide: side,
    workingPrice: near,
    workingQuantity: quantity,
    workingTimeInForce: timeInForce,
    ...(mode === undefined ? {} : { selfTradePreventionMode: mode })
  }
  const open = [...market.orders.open.values()]
  const chosen = open[step.far % Math.max(1, open.length)]
  const tell = (what: string, request: string, sent: Sent) => {
    const { json, status } = desk.ask(request, sent)
    count(status === 200 ? what : `refused ${json.code}`)
  }

  switch (step.kind) {
    case 0:
      return exchange.tick()
    case 1:
      return exchange.moveMarket(market, amount(near))
    case 2:
      if (chosen !== undefined) exchange.fill(market, chosen, step.side === 0 ? "whole" : "part")
      return
    case 3:
      if (chosen !== undefined) tell("cancel", "DELETE /api/v3/order", { symbol, orderId: chosen.id })
      return
    case 4: {
      if (chosen === undefined) return
      const less = chosen.quantity / 2n
      const newQty = format(less - (less % stepSize))
      return tell("amend", "PUT /api/v3/order/amend/keepPriority", { symbol, orderId: chosen.id, newQty })
    }
    case 5:
      return tell("replace", "POST /api/v3/order/cancelReplace", {
        ...limitOrder(side, near, quantity),
        symbol,
        cancelReplaceMode: step.far % 2 === 0 ? "STOP_ON_FAILURE" : "ALLOW_FAILURE",
        cancelOrderId: chosen?.id ?? 99_999
      })
    case 6:
      if (step.far % 4 === 0) tell("cancel all", "DELETE /api/v3/openOrders", { symbol })
      return
    case 7:
      return tell("MARKET", place, { ...common, type: "MARKET" })
    case 8: {
      const { quantity: _, ...rest } = common
      return tell("QUOTE", place, { ...rest, type: "MARKET", quoteOrderQty: String(step.size + 5) })
    }
    case 9:
      return tell("LIMIT_MAKER", place, { ...common, type: "LIMIT_MAKER", price: near, icebergQty: iceberg })
    case 10:
    case 11:
      return tell("LIMIT", place, { ...common, type: "LIMIT", timeInForce, price: near })
    case 12:
      return tell("iceberg", place, {
        ...common,
        type: "LIMIT",
        timeInForce: "GTC",
        price: near,
        icebergQty: iceberg
      })
    case 13:
      return tell("STOP_LOSS", place, { ...common, type: "STOP_LOSS", stopPrice: up })
    case 14:
      return tell("STOP_LOSS_LIMIT", place, {
        ...common,
        type: "STOP_LOSS_LIMIT",
        timeInForce,
        stopPrice: up,
        price: near
      })
    case 15:
      return tell("TAKE_PROFIT", place, {
        ...common,
        type: "TAKE_PROFIT",
        ...(step.far % 2 === 0 ? { stopPrice: down } : { trailingDelta: 10 + (step.far % 50) })
      })
    case 16:
      return tell("TAKE_PROFIT_LIMIT", place, {
        ...common,
        type: "TAKE_PROFIT_LIMIT",
        timeInForce,
        stopPrice: down,
        trailingDelta: 10 + (step.near % 50),
        price: near
      })
    case 17:
      return tell("OCO", "POST /api/v3/orderList/oco", {
        ...common,
        aboveType: side === "SELL" ? "LIMIT_MAKER" : "STOP_LOSS_LIMIT",
        abovePrice: above,
        belowType: side === "SELL" ? "STOP_LOSS" : "LIMIT_MAKER",
        ...(side === "SELL"
          ? { belowStopPrice: below }
          : { aboveStopPrice: above, aboveTimeInForce: timeInForce, belowPrice: below })
      })
    case 18:
      return tell("OTO", "POST /api/v3/orderList/oto", {
        ...working,
        pendingType: step.far % 2 === 0 ? "MARKET" : "LIMIT_MAKER",
        pendingSide: step.size % 2 === 0 ? "BUY" : "SELL",
        pendingQuantity: quantity,
        ...(step.far % 2 === 0 ? {} : { pendingPrice: near })
      })
    case 19:
      return tell("OTOCO", "POST /api/v3/orderList/otoco", {
        ...working,
        pendingSide: "SELL",
        pendingQuantity: quantity,
        pendingAboveType: "TAKE_PROFIT",
        pendingAboveStopPrice: above,
        pendingBelowType: "STOP_LOSS_LIMIT",
        pendingBelowStopPrice: below,
        pendingBelowPrice: below,
        pendingBelowTimeInForce: timeInForce
      })
    case 22: {
      // Between the quotes nobody else stands: the second order meets the first.
      const more = mode === undefined ? {} : { selfTradePreventionMode: mode }
      const [one, other] = [step.size + 10, step.far * 100 + 10].map((steps) => format(stepSize * BigInt(steps)))
      tell("maker", place, { ...limitOrder(side, priced(0), one!), symbol })
      const against = side === "BUY" ? "SELL" : "BUY"
      return tell("taker", place, { ...limitOrder(against, priced(0), other!, more), symbol })
    }
    case 20:
      return tell("OPO", "POST /api/v3/orderList/opo", {
        ...working,
        workingSide: "BUY",
        pendingType: "LIMIT",
        pendingSide: "SELL",
        pendingPrice: near,
        pendingTimeInForce: timeInForce
      })
    default:
      return tell("OPOCO", "POST /api/v3/orderList/opoco", {
        ...working,
        workingSide: "BUY",
        pendingSide: "SELL",
        pendingAboveType: "LIMIT_MAKER",
        pendingAbovePrice: above,
        pendingBelowType: "STOP_LOSS",
        pendingBelowStopPrice: below
      })
  }
}

/** Rates of every kind, paid in BNB as long as there is some. */
const dear = {
  ...defaultCommissions,
  special: { maker: amount("0.001"), taker: amount("0.002"), buyer: amount("0.0003"), seller: amount("0.0004") },
  tax: { maker: amount("0.00000112"), taker: amount("0.00000114"), buyer: 0n, seller: amount("0.00000116") },
  paysInBnb: true
}
/** So little that funds run out. */
const poor = { USDT: "20000", BTC: "0.3", BNB: "2" }

describe("conservation", () => {
  it.prop(
    "the sum of each asset is the same after every request, and every lock is an order's",
    [Schema.Array(Step).check(Schema.isMinLength(40), Schema.isMaxLength(90)), whole(2)],
    ([steps, kind]) => {
      const desk = openDesk(kind === 0 ? {} : { balances: poor, ...(kind === 1 ? { commissions: dear } : {}) })
      // Where BNB is traded and pays for the trades, it must not be spent twice.
      const market = marketOf(desk.exchange, kind === 1 ? "BNBUSDT" : "BTCUSDT")
      const before = sums(desk.exchange)
      const entries: Array<Entry> = [...desk.exchange.snapshot()]
      desk.exchange.journalTo((entry) => entries.push(entry))

      for (const step of steps) {
        desk.clock.millis += step.near
        take(desk, market, step)

        assert.deepStrictEqual(sums(desk.exchange), before)
        assert.strictEqual(wrongNow(desk.exchange), undefined)
      }
      assert.strictEqual(wrongWith(desk.exchange), undefined)
      for (const { e, x, X } of desk.events) if (e === "executionReport") count(`${x} ${X}`)
      // What the journal holds is the same state.
      const again = openDesk()
      again.exchange.load({ reset: true })
      for (const entry of entries) {
        assert.strictEqual(again.exchange.load(JSON.parse(JSON.stringify(entry))), undefined)
      }
      const ordersOf = ({ exchange }: TestDesk) =>
        [...exchange.matching.markets[market.index]!.orders.all()].map(encode)
      assert.deepStrictEqual(ordersOf(again), ordersOf(desk))
      const { lists } = desk.exchange.matching.contingencies
      assert.deepStrictEqual(again.exchange.matching.contingencies.lists.lines(), lists.lines())
    },
    { arbitrary: { runs: 80, seed: 11 }, timeout: 120_000 }
  )

  it("the sequences met every kind of order, request and end", () => {
    for (const what of [
      "MARKET",
      "QUOTE",
      "LIMIT",
      "LIMIT_MAKER",
      "iceberg",
      "STOP_LOSS",
      "STOP_LOSS_LIMIT",
      "TAKE_PROFIT",
      "TAKE_PROFIT_LIMIT",
      "OCO",
      "OTO",
      "OTOCO",
      "OPO",
      "OPOCO",
      "cancel",
      "cancel all",
      "amend",
      "replace",
      "refused -2010",
      "refused -2021",
      "refused -2022",
      "NEW NEW",
      "NEW PENDING_NEW",
      "TRADE FILLED",
      "TRADE PARTIALLY_FILLED",
      "CANCELED CANCELED",
      "REPLACED NEW",
      "EXPIRED EXPIRED",
      "REJECTED REJECTED",
      "TRADE_PREVENTION EXPIRED_IN_MATCH",
      "TRADE_PREVENTION NEW"
    ]) {
      assert.isAbove(seen.get(what) ?? 0, 0, what)
    }
  })

  it("the account's orders may trade with each other, and the sums still hold", () => {
    const exchange = makeExchange()
    const before = sums(exchange)
    const market = marketOf(exchange)
    const fair = exchange.counterparties.fairPrice(market)

    const maker = exchange.place(market, wantedOf({ side: "SELL", price: format(fair), quantity: "0.01" }))
    const taker = exchange.place(market, wantedOf({ side: "BUY", price: format(fair), quantity: "0.01" }))

    assert.isFalse(isRefusal(maker) || isRefusal(taker))
    if (isRefusal(maker) || isRefusal(taker)) return
    assert.deepStrictEqual([maker.status, taker.status], ["FILLED", "FILLED"])
    assert.strictEqual(
      exchange.matching.trades.at(maker.trades[0]!).id,
      exchange.matching.trades.at(taker.trades[0]!).id
    )
    assert.deepStrictEqual(sums(exchange), before)
  })
})
