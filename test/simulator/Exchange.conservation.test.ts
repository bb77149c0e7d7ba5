/** Over arbitrary sequences of orders, cancels and moves: nothing is made, nothing is lost, nobody is overdrawn. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { amount, format } from "../../src/simulator/Amount.ts"
import type { Exchange } from "../../src/simulator/Exchange.ts"
import { isRefusal } from "../../src/simulator/Refusal.ts"
import { makeExchange, marketOf, sums, wantedOf, type Words, wrongWith } from "./exchangeForTests.ts"

const whole = (greatest: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: greatest }))

const Step = Schema.Struct({
  kind: whole(11),
  market: whole(2),
  side: whole(1),
  size: whole(100_000),
  near: whole(400)
})
type Step = typeof Step.Type

const types = ["LIMIT", "IOC", "FOK", "LIMIT_MAKER", "MARKET", "QUOTE"] as const

/** What the sequences did, over all of them. */
const seen = new Map<string, number>()
const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)

const take = (exchange: Exchange, step: Step): void => {
  const market = exchange.matching.markets[step.market]!
  const { info } = market
  if (step.kind === 9) return exchange.tick()
  if (step.kind === 10) {
    const factor = amount(String(0.98 + step.near / 10_000))
    return exchange.moveMarket(market, (exchange.counterparties.fairPrice(market) * factor) / 100_000_000n)
  }
  if (step.kind === 11) {
    const [order] = market.orders.open.values()
    if (order !== undefined) exchange.fill(market, order)
    return
  }
  if (step.kind === 8) {
    for (const order of market.orders.open.values()) {
      exchange.cancel(market, { orderId: order.id, clientOrderId: undefined }, "c", undefined)
      count("CANCEL")
      return
    }
    return
  }
  const type = types[step.kind % types.length]!
  const side = step.side === 0 ? "BUY" : "SELL"
  // Within 2 % around the price, so that about half of the orders take.
  const fair = exchange.counterparties.fairPrice(market)
  const price = (fair * BigInt(9_800 + step.near)) / 10_000n
  const words: Words = {
    side,
    type: type === "QUOTE" || type === "MARKET" ? "MARKET" : type === "LIMIT_MAKER" ? "LIMIT_MAKER" : "LIMIT",
    ...(type === "IOC" || type === "FOK" ? { tif: type } : {}),
    ...(type === "QUOTE"
      ? { quote: String(step.size + 5) }
      : { quantity: format(info.stepSize * BigInt(step.size + 1)) }),
    ...(type === "QUOTE" || type === "MARKET" ? {} : { price: format(price - (price % info.tickSize)) })
  }
  const wanted = wantedOf(words)
  const refused = exchange.check(market, wanted)
  const order = refused ?? exchange.place(market, wanted)
  count(isRefusal(order) ? `refused ${order.code}` : `${type} ${order.status}`)
}

describe("conservation", () => {
  it.prop(
    "the sum of each asset is the same after every step, and every lock is an order's",
    [Schema.Array(Step).check(Schema.isMaxLength(60))],
    ([steps]) => {
      const exchange = makeExchange()
      const before = sums(exchange)

      for (const step of steps) {
        take(exchange, step)

        assert.deepStrictEqual(sums(exchange), before)
        assert.strictEqual(wrongWith(exchange), undefined)
      }
    },
    { arbitrary: { runs: 120, seed: 11 } }
  )

  it("the sequences met every kind of order and end", () => {
    for (const what of [
      "LIMIT FILLED",
      "LIMIT NEW",
      "IOC EXPIRED",
      "FOK EXPIRED",
      "FOK FILLED",
      "LIMIT_MAKER NEW",
      "MARKET FILLED",
      "QUOTE FILLED",
      "CANCEL",
      "refused -2010"
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
