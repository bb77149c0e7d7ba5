/** What trades cost, with the numbers of Binance's FAQ on commissions. */
import { assert, describe, it } from "@effect/vitest"
import { fees, ours } from "../../src/simulator/Accounts.ts"
import { amount, format } from "../../src/simulator/Amount.ts"
import { commissionInBnb, commissionOn, type Commissions, defaultCommissions } from "../../src/simulator/Commission.ts"
import { commissionView } from "../../src/simulator/accountViews.ts"
import { limitOrder, openDesk, place, type Sent } from "./desk.ts"

const rates = (maker: string, taker: string, buyer: string, seller: string) => ({
  maker: amount(maker),
  taker: amount(taker),
  buyer: amount(buyer),
  seller: amount(seller)
})

const example: Commissions = {
  standard: rates("0.00000010", "0.00000020", "0.00000030", "0.00000040"),
  special: rates("0.01000000", "0.02000000", "0.03000000", "0.04000000"),
  tax: rates("0.00000112", "0.00000114", "0.00000118", "0.00000116"),
  paysInBnb: true,
  discount: amount("0.25")
}
const only = (part: "standard" | "special" | "tax"): Commissions => {
  const none = rates("0", "0", "0", "0")
  return { ...example, standard: none, special: none, tax: none, [part]: example[part] }
}
/** 0.49975 BTC sold at 35,000, as taker. */
const notional = amount("17491.25")

const market = (side: "BUY" | "SELL", quantity: string, more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  side,
  type: "MARKET",
  quantity,
  ...more
})

describe("the rates", () => {
  it.each([
    ["standard", "0.01049475"],
    // Rounded down, where the example rounds to 0.04022988.
    ["tax", "0.04022987"],
    ["special", "1049.47500000"]
  ] as const)("of %s commission take %s of the example's trade", (part, expected) => {
    assert.strictEqual(format(commissionOn(only(part), notional, "SELL", false)), expected)
  })

  it("add up, and in BNB at 260 the standard part is discounted", () => {
    assert.strictEqual(format(commissionOn(example, notional, "SELL", false)), "1049.52572462")
    // 4.036607129 in the example.
    assert.strictEqual(format(commissionInBnb(example, notional, amount("260"), "SELL", false)), "4.03660712")
  })

  it("differ by role and side", () => {
    const taken = (side: "BUY" | "SELL", isMaker: boolean) =>
      format(commissionOn(only("special"), amount("100"), side, isMaker))

    assert.deepStrictEqual(
      [taken("BUY", true), taken("BUY", false), taken("SELL", true), taken("SELL", false)],
      ["4.00000000", "5.00000000", "5.00000000", "6.00000000"]
    )
  })
})

describe("a trade", () => {
  it("costs a maker the maker's rate", () => {
    const commissions = { ...defaultCommissions, standard: rates("0", "0.002", "0", "0") }
    const desk = openDesk({ commissions })
    const resting = desk.did(place, limitOrder("BUY", "64000", "0.01"))

    const taken = desk.did(place, market("BUY", "0.01"))
    desk.trade("63900")

    const [row] = desk.market.orders.byId(resting.orderId)!.trades
    assert.strictEqual(desk.exchange.matching.trades.at(row!).commission, 0n)
    for (const { commission, qty } of taken.fills) {
      assert.strictEqual(commission, format((amount(qty) * 2n) / 1_000n))
    }
  })

  it("is paid in BNB while there is enough of it, and out of what is received afterwards", () => {
    const commissions = { ...defaultCommissions, paysInBnb: true }
    const desk = openDesk({ commissions, balances: { BTC: "1", BNB: "0.05" } })
    const { accounts } = desk.exchange.matching

    const first = desk.did(place, market("SELL", "0.01", { newOrderRespType: "FULL" }))
    const second = desk.did(place, market("SELL", "0.9", { newOrderRespType: "FULL" }))

    assert.isTrue(first.fills.every(({ commissionAsset }: Sent) => commissionAsset === "BNB"))
    const inBnb = first.fills.reduce(
      (sum: bigint, { commission }: { commission: string }) => sum + amount(commission),
      0n
    )
    // Three quarters of 0.1 % of some 650 USDT, at 600 USDT a BNB.
    assert.isTrue(inBnb > amount("0.0008") && inBnb < amount("0.00082"), format(inBnb))
    assert.isTrue(second.fills.some(({ commissionAsset }: Sent) => commissionAsset === "USDT"))
    assert.isTrue(accounts.of(ours, "BNB").free >= 0n)
    assert.strictEqual(accounts.of(ours, "BNB").free + accounts.of(fees, "BNB").free, amount("0.05"))
  })

  it("of all BNB at any price is not paid with the BNB that is being sold", () => {
    const commissions = { ...defaultCommissions, paysInBnb: true }
    const desk = openDesk({ commissions, balances: { BNB: "50" } })

    const sold = desk.did(place, { symbol: "BNBUSDT", side: "SELL", type: "MARKET", quantity: "50" })

    assert.strictEqual(sold.status, "FILLED")
    assert.isAbove(sold.fills.length, 1)
    assert.strictEqual(desk.exchange.matching.accounts.of(ours, "BNB").free, 0n)
  })

  it("says in which asset it was paid wherever it is told", () => {
    const desk = openDesk({ commissions: { ...defaultCommissions, paysInBnb: true } })

    desk.did(place, market("BUY", "0.01"))

    const trade = desk.events.find(({ x }) => x === "TRADE")
    assert.strictEqual(trade.N, "BNB")
    assert.match(trade.n, /^0\.\d{8}$/)
  })
})

describe("what an order would cost", () => {
  it("is told for its side, in either role", () => {
    const desk = openDesk({ commissions: example })
    const test = (side: "BUY" | "SELL") =>
      desk.did("POST /api/v3/order/test", { ...market(side, "0.01"), computeCommissionRates: "true" })

    assert.deepStrictEqual(test("SELL"), {
      standardCommissionForOrder: { maker: "0.00000050", taker: "0.00000060" },
      specialCommissionForOrder: { maker: "0.05000000", taker: "0.06000000" },
      taxCommissionForOrder: { maker: "0.00000228", taker: "0.00000230" },
      discount: {
        enabledForAccount: true,
        enabledForSymbol: true,
        discountAsset: "BNB",
        discount: "0.25000000"
      }
    })
    assert.deepStrictEqual(test("BUY").standardCommissionForOrder, { maker: "0.00000040", taker: "0.00000050" })
    assert.deepStrictEqual(desk.did("POST /api/v3/order/test", market("BUY", "0.01")), {})
    assert.strictEqual(desk.market.orders.count, 0)
  })

  it("is told of the account with all four rates of each kind", () => {
    assert.deepStrictEqual(commissionView(example, "BTCUSDT"), {
      symbol: "BTCUSDT",
      standardCommission: { maker: "0.00000010", taker: "0.00000020", buyer: "0.00000030", seller: "0.00000040" },
      specialCommission: { maker: "0.01000000", taker: "0.02000000", buyer: "0.03000000", seller: "0.04000000" },
      taxCommission: { maker: "0.00000112", taker: "0.00000114", buyer: "0.00000118", seller: "0.00000116" },
      discount: { enabledForAccount: true, enabledForSymbol: true, discountAsset: "BNB", discount: "0.25000000" }
    })
  })
})
