/** The exchange simulator as a program alone: its flags, its journal over kill -9, and a Nexus that trades on it. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "vitest"
import { ledger, signed, simulatorKeys, startSimulator } from "./exchange.ts"
import { ends, place, resting, rests } from "./orders.ts"
import { newFolder, removeAll, run, serve, until } from "./Program.ts"

afterEach(removeAll)

interface Account {
  readonly uid: number
  readonly balances: ReadonlyArray<{ readonly asset: string; readonly free: string; readonly locked: string }>
}

const accountOf = async (address: string): Promise<Account> =>
  (await (await signed(address, "GET", "account")).json()) as Account

const bookOf = async (address: string): Promise<string> => {
  const answer = await fetch(`${address}/api/v3/depth?symbol=BTCUSDT&limit=20`)
  const { asks, bids } = (await answer.json()) as { readonly asks: unknown; readonly bids: unknown }
  return JSON.stringify({ asks, bids })
}

describe("simulate-exchange", () => {
  it("begins with the promised balances on loopback, counts limits in headers, and ends with 0 on SIGTERM", async () => {
    const { address, program } = await startSimulator(newFolder())

    const { balances } = await accountOf(address)
    const answer = await signed(address, "GET", "openOrders")

    assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.deepStrictEqual(
      ["USDT", "BTC", "ETH", "BNB"].map((asset) => Number(balances.find((one) => one.asset === asset)?.free)),
      [1_000_000, 100, 1_000, 1_000]
    )
    assert.isAbove(Number(answer.headers.get("x-mbx-used-weight-1m")), 0)
    assert.strictEqual(await program.end("SIGTERM"), 0, program.err)
  })

  it("opens a control port only with --control-port, says where, and dies of a crash that is asked for there", async () => {
    const folder = newFolder()
    const without = await startSimulator(folder)
    const { address, program } = await startSimulator(folder, "--control-port", "0")
    const control = /CONTROL\s+(http:\/\/127\.0\.0\.1:\d+)$/m.exec((await program.says("CONTROL ")).out)?.[1] ?? ""

    await fetch(`${control}/clock`, { method: "POST", body: '{"offsetMillis":86400000}' })
    const { serverTime } = (await (await fetch(`${address}/api/v3/time`)).json()) as { readonly serverTime: number }
    const crash = fetch(`${control}/crash`, { method: "POST" })

    assert.notInclude(without.program.out, "CONTROL")
    assert.isAbove(serverTime, Date.now() + 86_000_000)
    let died = false
    await crash.catch(() => {
      died = true
    })
    assert.isTrue(died)
  })

  it("makes the same market from the same seed, and another from another", async () => {
    const folder = newFolder()
    const started = await Promise.all(["7", "7", "8"].map((seed) => startSimulator(folder, "--seed", seed)))

    // They move from the moment they start, so it is what each has shown that is compared, not one moment.
    const shown = started.map(() => new Set<string>())
    const common = (one: number, other: number) => Array.from(shown[one]!).some((book) => shown[other]!.has(book))
    await until("two simulators of one seed showed the same book", async () => {
      await Promise.all(started.map(async ({ address }, index) => shown[index]!.add(await bookOf(address))))
      return common(0, 1)
    })

    assert.isFalse(common(0, 2))
  })

  it("answers later by --latency-ms, and enforces limits only with --limits real", async () => {
    const folder = newFolder()
    const slow = await startSimulator(folder, "--latency-ms", "150", "--limits", "real")
    const begun = performance.now()
    await fetch(`${slow.address}/api/v3/ping`)
    const took = performance.now() - begun

    const statuses = new Set<number>()
    // A depth of 5000 weighs 250 of the 6000 that a minute allows.
    await Promise.all(
      Array.from({ length: 30 }, async () => {
        statuses.add((await fetch(`${slow.address}/api/v3/depth?symbol=BTCUSDT&limit=5000`)).status)
      })
    )

    assert.isAtLeast(took, 145)
    assert.include(Array.from(statuses), 429)
  })

  it("has the same account, orders and balances after kill -9 when it keeps a journal", async () => {
    const folder = newFolder()
    const journal = join(folder, "journal")
    const first = await startSimulator(folder, "--journal", journal)
    const order = { symbol: "BTCUSDT", side: "BUY", type: "MARKET", quantity: "0.01" }
    assert.strictEqual((await signed(first.address, "POST", "order", order)).status, 200)
    const limit = {
      symbol: "BTCUSDT",
      side: "BUY",
      type: "LIMIT",
      timeInForce: "GTC",
      quantity: "0.01",
      price: "30000"
    }
    assert.strictEqual((await signed(first.address, "POST", "order", limit)).status, 200)
    const before = { orders: await ledger(first.address), account: await accountOf(first.address) }
    assert.lengthOf(before.orders, 2)

    await first.program.end("SIGKILL")
    const second = await startSimulator(folder, "--journal", journal)

    const after = { orders: await ledger(second.address), account: await accountOf(second.address) }
    assert.strictEqual(after.account.uid, before.account.uid)
    assert.deepStrictEqual(after.account.balances, before.account.balances)
    assert.deepStrictEqual(after.orders, before.orders)
    assert.isTrue(existsSync(journal))
  })

  it("refuses a flag it does not have or a value it cannot be, and says so", async () => {
    const folder = newFolder()

    const ended = await Promise.all(
      [
        ["--port", "70000"],
        ["--limits", "some"],
        ["--latency-ms", "-1"],
        ["--colour", "blue"]
      ].map((flags) => run(["simulate-exchange", ...flags], folder, simulatorKeys))
    )

    for (const { code, err, out } of ended) {
      assert.strictEqual(code, 1, out)
      assert.notMatch(out + err, /\bat .*:\d+:\d+/)
    }
    assert.match(`${ended[0]?.out}${ended[0]?.err}`, /port/)
    assert.match(`${ended[3]?.out}${ended[3]?.err}`, /colour/)
  })
})

describe("a Nexus on a simulator of its own process", () => {
  it("says SIMULATOR with its address, and its orders are on that ledger once", async () => {
    const simulator = await startSimulator(newFolder())
    const { out, url } = await serve(newFolder(), simulator.env)
    assert.include(out, `exchange    SIMULATOR at ${simulator.address}`)

    const done = await ends(url, (await place(url)).id)
    const open = await rests(url, (await place(url, await resting(url))).id)

    const onLedger = (clientOrderId: string) =>
      ledger(simulator.address).then((orders) => orders.filter((one) => one.clientOrderId === clientOrderId))
    assert.deepStrictEqual(
      (await onLedger(done.client_order_id)).map(({ status }) => status),
      ["FILLED"]
    )
    assert.deepStrictEqual(
      (await onLedger(open.client_order_id)).map(({ status }) => status),
      ["NEW"]
    )
  })
})
