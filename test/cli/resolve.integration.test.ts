/** An operator's decision as a person makes it: a command beside the program that runs, and without one. */
import { afterEach, assert, describe, it } from "vitest"
import { startSimulator } from "./exchange.ts"
import { becomes, find, market, place } from "./orders.ts"
import { newFolder, processesOf, type Program, removeAll, run, serve, until } from "./Program.ts"

afterEach(removeAll)

const decision = ["--as", "failed", "--by", "ann", "--reason", "the exchange's support: it never came"]

const ids = ["stuck-1", "stuck-2"]

const refusal = ({ code, err, out }: Program): string => {
  assert.deepStrictEqual([code, out], [1, ""])
  assert.match(err, /^nexus: .+\n$/, "one line")
  return err.slice("nexus: ".length, -1)
}

interface Event {
  readonly type: string
  readonly actor: string
  readonly data: Readonly<Record<string, unknown>>
}

const eventsOf = async (url: string, id: string): Promise<ReadonlyArray<Event>> =>
  (await (await fetch(`${url}/api/v1/orders/${id}/events`)).json()) as ReadonlyArray<Event>

describe("nexus resolve", () => {
  it("ends an order in doubt under a name once the exchange's word would be final, and nothing before", async () => {
    const folder = newFolder()
    // Slow enough to die with the order in its hands.
    const exchange = await startSimulator(folder, "--latency-ms", "700")
    const env = { ...exchange.env, NEXUS_BINANCE_TESTNET_RECV_WINDOW_MS: "7000", NEXUS_LOGGING_LEVEL: "error" }
    const program = await serve(folder, env)
    const { url } = program
    await until("the symbols are known", async () => (await fetch(`${url}/api/v1/symbols/BTCUSDT`)).status === 200)
    for (const id of ids) await place(url, { ...market, id })
    for (const id of ids) await becomes(url, id, ({ status }) => status === "EXECUTING")
    await exchange.program.end("SIGKILL")
    for (const id of ids) await becomes(url, id, (order) => Reflect.get(order, "certainty") === "UNKNOWN")

    const [early, nobody] = await Promise.all(
      ["stuck-1", "no-such-order"].map((id) => run(["resolve", id, ...decision], folder, env))
    )

    assert.match(
      refusal(early!),
      /^the exchange is being asked, and its word can be final from .+Z on: resolve the order/
    )
    assert.strictEqual(refusal(nobody!), "no order has this id")
    const doubt = Reflect.get(await find(url, "stuck-1"), "doubt") as { readonly conclusive_at: string }
    await until("the exchange's word would be final", () => Date.now() > Date.parse(doubt.conclusive_at) + 100)

    const beside = await run(["resolve", "stuck-1", ...decision], folder, env)
    const again = await run(["resolve", "stuck-1", ...decision], folder, env)

    assert.deepStrictEqual([beside.code, beside.err], [0, ""])
    assert.match(
      beside.out,
      /^order stuck-1 is FAILED by decision of ann, 0 filled\n {2}attempt 1, sent as of .+: UNKNOWN/
    )
    assert.strictEqual(refusal(again), "the order is FAILED already")
    const ended = await find(url, "stuck-1")
    assert.deepStrictEqual(
      [ended.status, ended.reason],
      ["FAILED", { code: "OPERATOR", message: "ann: the exchange's support: it never came" }]
    )
    const last = (await eventsOf(url, "stuck-1")).at(-1)
    assert.deepStrictEqual([last?.type, last?.actor], ["OperatorResolved", "operator"])
    assert.deepInclude(last?.data, { as: "FAILED", by: "ann" })
    assert.match(String(last?.data["evidence"]), /^attempt 1, sent as of/)

    assert.strictEqual(await program.end("SIGTERM"), 0)
    const alone = await run(["resolve", "stuck-2", ...decision], folder, env)

    assert.deepStrictEqual([alone.code, alone.err], [0, ""])
    assert.deepStrictEqual(processesOf(folder), [], "the database that it started is stopped again")
  }, 180_000)

  it.each([
    ["a name of nothing", ["--as", "failed", "--by", " ", "--reason", "because"], /by/],
    ["a reason of two lines", ["--as", "failed", "--by", "ann", "--reason", "because\nof it"], /reason/],
    ["an end that there is not", ["--as", "lost", "--by", "ann", "--reason", "because"], /as/],
    ["no reason at all", ["--as", "failed", "--by", "ann"], /reason/]
  ])("is refused with %s, before anything is started", async (_, args, says) => {
    const folder = newFolder()

    const { code, err, out } = await run(["resolve", "order-1", ...args], folder)

    assert.strictEqual(code, 1)
    assert.match(out + err, says)
    assert.deepStrictEqual(processesOf(folder), [])
  })
})
