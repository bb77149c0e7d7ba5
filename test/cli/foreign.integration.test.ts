/** Orders made by hand under our keys, as a person at a terminal and a client of the API see them. */
import { afterEach, assert, describe, it } from "vitest"
import { signed, startSimulator } from "./exchange.ts"
import { ends, place } from "./orders.ts"
import { newFolder, removeAll, run, serve, until } from "./Program.ts"

afterEach(removeAll)

const byHand = {
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: "0.00123",
  price: "60000",
  newClientOrderId: "made-by-hand"
}

describe("nexus foreign", () => {
  it("lists an order made elsewhere within 30 s, beside the program that serves, and nobody touches it", async () => {
    const folder = newFolder()
    const exchange = await startSimulator(folder)
    const env = { ...exchange.env, NEXUS_LOGGING_LEVEL: "error" }
    const program = await serve(folder, env)
    await ends(program.url, (await place(program.url)).id)
    const nobody = await run(["foreign"], folder, env)
    assert.deepStrictEqual([nobody.code, nobody.out], [0, "no orders were made elsewhere under our keys\n"])

    const made = await signed(exchange.address, "POST", "order", byHand)
    assert.strictEqual(made.status, 200)
    const { orderId } = (await made.json()) as { readonly orderId: number }

    const reconciliation = async () =>
      (await (await fetch(`${program.url}/api/v1/reconciliation`)).json()) as {
        readonly foreign: ReadonlyArray<Readonly<Record<string, unknown>>>
      }
    await until("the order is listed", async () => (await reconciliation()).foreign.length === 1)
    const [listed] = (await reconciliation()).foreign
    assert.strictEqual(listed?.["id"], `${orderId}`)
    assert.strictEqual(listed?.["quantity"], 0.00123)

    const { code, out } = await run(["foreign"], folder, env)

    assert.strictEqual(code, 0)
    assert.match(out, /^symbol +id +client order id +side +type +quantity +executed +status +since\n/)
    assert.match(out, new RegExp(`BTCUSDT +${orderId} +made-by-hand +BUY +LIMIT +0\\.00123 +0(\\.0+)? +NEW +20`))
    const there = (await (
      await signed(exchange.address, "GET", "order", { symbol: "BTCUSDT", origClientOrderId: "made-by-hand" })
    ).json()) as { readonly status: string }
    assert.strictEqual(there.status, "NEW")
  })
})
