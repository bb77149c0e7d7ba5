/** The balances that are told with an order. */
import { assert, describe, it } from "@effect/vitest"
import { amount } from "../../src/simulator/Amount.ts"
import { type Commissions, defaultCommissions } from "../../src/simulator/Commission.ts"
import { limitOrder, openDesk, place } from "./desk.ts"

const assetsTold = (commissions: Commissions) => {
  const desk = openDesk({ commissions })
  desk.did(place, limitOrder("BUY", "60000", "0.05"))
  const { B } = desk.events.at(-1)
  return B.map(({ a, f, l }: { a: string; f: string; l: string }) => `${a} ${f} ${l}`)
}

describe("an order that only locks its quote asset", () => {
  it("tells of its base asset too, and of BNB where commissions are paid in it", () => {
    const plain = assetsTold({ ...defaultCommissions, paysInBnb: false })
    const discounted = assetsTold({ ...defaultCommissions, paysInBnb: true, discount: amount("0.25") })

    const [btc, usdt] = ["BTC 100.00000000 0.00000000", "USDT 997000.00000000 3000.00000000"]
    assert.deepStrictEqual(plain, [btc, usdt])
    assert.deepStrictEqual(discounted, [btc, "BNB 1000.00000000 0.00000000", usdt])
  })
})
