/** What `nexus doctor` finds out, on the program as a person runs it. */
import { Effect, Exit, Scope } from "effect"
import { afterEach, assert, describe, inject, it } from "vitest"
import { emptyDatabase } from "../harness/template.ts"
import { signed, startSimulator } from "./exchange.ts"
import { newFolder, processesOf, type Program, removeAll, run, serve } from "./Program.ts"

afterEach(removeAll)

interface Line {
  readonly verdict: string
  readonly part: string
  readonly says: string
}

const linesOf = ({ out }: Program): ReadonlyArray<Line> =>
  out
    .trimEnd()
    .split("\n")
    .map((text) => {
      const [, verdict = "", part = "", says = ""] = /^(OK|NOTE|FAULT) +([a-z]+(?: order)?) +(.+)$/.exec(text) ?? []
      return { verdict, part, says }
    })

const faultsOf = (program: Program) =>
  linesOf(program)
    .filter(({ verdict }) => verdict === "FAULT")
    .map(({ part }) => part)

describe("nexus doctor", () => {
  it("finds nothing to do where everything is as it should be, and places no order when it tries one", async () => {
    const folder = newFolder()
    const exchange = await startSimulator(folder)

    const program = await run(["doctor", "--test-order"], folder, exchange.env)

    assert.deepStrictEqual([program.code, program.err], [0, ""], program.out)
    const lines = linesOf(program)
    assert.deepStrictEqual(
      lines.map(({ part, verdict }) => `${part} ${verdict}`),
      "exchange clock keys permissions symbols limits filters stream test-order kafka"
        .split(" ")
        .map((part) => `${part.replace("-", " ")} OK`)
        .toSpliced(-1, 0, "database NOTE")
    )
    const there = await signed(exchange.address, "GET", "allOrders", { symbol: "BTCUSDT" })
    assert.deepStrictEqual(await there.json(), [])
  })

  it("tells a wrong secret from a wrong address, and a database that is away, each with what to do", async () => {
    const folder = newFolder()
    const exchange = await startSimulator(folder)
    const away = { DATABASE_URL: "postgres://nexus:secret@127.0.0.1:1/nexus", NEXUS_LOGGING_LEVEL: "error" }

    const [secret, address] = await Promise.all([
      run(["doctor"], folder, { ...exchange.env, ...away, BINANCE_TESTNET_API_SECRET: "another-one" }),
      run(["doctor"], folder, { ...exchange.env, ...away, NEXUS_BINANCE_TESTNET_BASE_URL: "http://127.0.0.1:1" })
    ])

    assert.deepStrictEqual([secret.code, address.code], [1, 1], secret.out + address.out + secret.err + address.err)
    assert.deepStrictEqual(faultsOf(secret), ["keys", "database"])
    assert.deepStrictEqual(faultsOf(address), ["exchange", "database"])
    assert.match(secret.out, /^FAULT {2}keys +the exchange refuses them .+: check that .+ its secret/m)
    assert.match(
      address.out,
      /^FAULT {2}exchange +http:\/\/127\.0\.0\.1:1 does not answer .+: check binance\.testnet\.base_url/m
    )
    assert.match(secret.out, /^FAULT {2}database +127\.0\.0\.1:1: .+: start it, or check DATABASE_URL/m)
    assert.strictEqual(secret.err, "nexus: 2 faults\n")
    assert.notInclude(secret.out + address.out, "another-one")
    assert.notInclude(secret.out + address.out, "secret@")
  })

  it("knows a database that the start would migrate, one that it may not, and one of another account", async () => {
    const folder = newFolder()
    const scope = Scope.makeUnsafe()
    const url = await Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope))
    const exchange = await startSimulator(folder)
    const env = { ...exchange.env, DATABASE_URL: url }

    const [fresh, forbidden] = await Promise.all([
      run(["doctor"], folder, env),
      run(["doctor"], folder, { ...env, NEXUS_DATABASE_MIGRATE: "false" })
    ])
    const program = await serve(folder, env)
    const first = await run(["doctor"], folder, env)
    await program.end("SIGTERM")
    await exchange.program.end("SIGTERM")
    const other = await startSimulator(folder)
    const second = await run(["doctor"], folder, { ...other.env, DATABASE_URL: url })
    await Effect.runPromise(Scope.close(scope, Exit.void))

    assert.deepStrictEqual([fresh.code, forbidden.code, first.code, second.code], [0, 1, 0, 1], first.out + second.out)
    assert.match(fresh.out, /^NOTE +database +.+: the start brings it$/m)
    assert.match(forbidden.out, /^FAULT +database +.+ run "nexus migrate"/m)
    assert.match(first.out, /^OK +store +it belongs to account \d+ of the SIMULATOR$/m)
    assert.match(
      second.out,
      /^FAULT +store +it belongs to account \d+, the keys are of account \d+: give it another database/m
    )
  })

  it("says of the embedded parts how to get to real ones, and leaves nothing running", async () => {
    const folder = newFolder()

    const program = await run(["doctor"], folder)

    assert.strictEqual(program.code, 0, program.out + program.err)
    assert.match(program.out, /^NOTE +exchange +the embedded simulator.+set BINANCE_TESTNET_API_KEY/m)
    assert.deepStrictEqual(processesOf(folder), [])
  })
})
