/** All open orders at once, on the program as a person runs it: what is told, and what becomes of the money. */
import { afterEach, assert, describe, it } from "vitest"
import { ends, place, resting, rests } from "./orders.ts"
import { newFolder, removeAll, serve, until } from "./Program.ts"

afterEach(removeAll)

interface Result {
  readonly id: string
  readonly outcome: string
}

const lockedUsdt = async (url: string): Promise<number> => {
  const held = (await (await fetch(`${url}/api/v1/balances`)).json()) as ReadonlyArray<{
    readonly asset: string
    readonly locked: number
  }>
  return held.find(({ asset }) => asset === "USDT")?.locked ?? Number.NaN
}

const cancelAll = async (url: string, query: string): Promise<ReadonlyArray<Result>> => {
  const response = await fetch(`${url}/api/v1/orders?${query}`, { method: "DELETE" })
  assert.strictEqual(response.status, 200)
  const { complete, results } = (await response.json()) as {
    readonly complete: boolean
    readonly results: ReadonlyArray<Result>
  }
  assert.isTrue(complete)
  return results
}

describe("DELETE /api/v1/orders", () => {
  it("takes every open order of a symbol out of the exchange's book, and what they held is free again", async () => {
    const { url } = await serve(newFolder())
    await until("the symbols are known", async () => (await fetch(`${url}/api/v1/symbols/BTCUSDT`)).status === 200)
    const order = await resting(url)
    const ids = ["one", "two", "three"]
    for (const id of ids) await place(url, { ...order, id })
    for (const id of ids) await rests(url, id)
    await until("the orders hold their money", async () => (await lockedUsdt(url)) > 0)

    const requested = await cancelAll(url, "symbol=BTCUSDT")
    for (const id of ids) assert.strictEqual((await ends(url, id)).status, "CANCELLED")
    const nothing = await cancelAll(url, "confirm=all")

    assert.deepStrictEqual(
      requested.map(({ id, outcome }) => [id, outcome]),
      ids.map((id) => [id, "requested"])
    )
    assert.deepStrictEqual(nothing, [])
    await until("the money is free again", async () => (await lockedUsdt(url)) === 0)
  })
})
