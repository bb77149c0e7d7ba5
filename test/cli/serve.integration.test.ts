/** Start, stop and kill -9 of the whole program on embedded parts, as on a machine that has only Node. */
import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "vitest"
import { describeIf } from "../harness/describeIf.ts"
import { becomes, cancel, ends, find, list, place, resting, rests } from "./orders.ts"
import { kill, newFolder, processesOf, Program, removeAll, root, run, serve, until } from "./Program.ts"

afterEach(removeAll)

const hasCurl = spawnSync("curl", ["--version"]).status === 0

const postmasterOf = (folder: string): number =>
  Number(readFileSync(join(folder, ".nexus/simulator/postgres/data/postmaster.pid"), "utf8").split("\n")[0])

describeIf(hasCurl ? null : "no curl on the PATH")("the curl line of the banner", () => {
  it("places an order, run as it stands", async () => {
    const { out, url } = await serve(newFolder())

    const line = out.split("\n").find((text) => text.trim().startsWith("curl ")) ?? ""
    const { id, symbol } = JSON.parse(execFileSync("/bin/sh", ["-c", line], { encoding: "utf8" }))

    assert.strictEqual(symbol, "BTCUSDT")
    assert.strictEqual((await ends(url, id)).status, "COMPLETED")
  })
})

describe("a first start", () => {
  it("says what is embedded, and where", async () => {
    const folder = newFolder()

    const { out, url } = await serve(folder)

    assert.match(out, /exchange +SIMULATOR \(embedded\)/)
    assert.match(out, new RegExp(`PostgreSQL +embedded, data in ${folder}/\\.nexus`))
    assert.match(out, /bus +embedded/)
    for (const path of ["/api/v1/orders", "/openapi.json", "/health", "/ready", "/metrics"]) {
      assert.include(out, `${url}${path}`)
    }
  })

  it("completes a MARKET order within a second, rests and cancels a LIMIT, and gives a trader's reason", async () => {
    const { url } = await serve(newFolder())
    // The first order of a process also pays for connections and compiled code.
    await ends(url, (await place(url)).id)

    const begun = performance.now()
    const completed = await ends(url, (await place(url)).id)
    const took = performance.now() - begun
    assert.strictEqual(completed.status, "COMPLETED")
    assert.isAbove(completed.fills.length, 0)
    assert.isAbove(completed.average_price ?? 0, 0)
    assert.isBelow(took, 1_000)

    const limit = await place(url, await resting(url))
    await rests(url, limit.id)
    await cancel(url, limit.id)
    assert.strictEqual((await ends(url, limit.id)).status, "CANCELLED")

    const greedy = await place(url, { ...(await resting(url)), quantity: 90 })
    const refused = await ends(url, greedy.id)
    assert.strictEqual(refused.status, "FAILED")
    assert.match(JSON.stringify(refused.reason), /insufficient balance/i)
  })
})

describe("a stop", () => {
  it.for(["SIGTERM", "SIGINT"] as const)(
    "by %s ends with 0 and leaves no process; the next start has every order, and fills or cancels what rested",
    async (signal) => {
      const folder = newFolder()
      const first = await serve(folder)
      const done = await place(first.url)
      const kept = await place(first.url, await resting(first.url))
      const filled = await place(first.url, await resting(first.url))
      await ends(first.url, done.id)
      for (const { id } of [kept, filled]) await rests(first.url, id)
      const before = await list(first.url)

      assert.strictEqual(await first.end(signal), 0, first.err)

      assert.deepStrictEqual(processesOf(folder), [])
      const { url } = await serve(folder)
      // Till then open orders say that it is not connected.
      await until("the exchange is seen", async () => (await list(url)).every((order) => !("exchange" in order)))
      assert.deepStrictEqual(await list(url), before)
      await cancel(url, kept.id)
      assert.strictEqual((await ends(url, kept.id)).status, "CANCELLED")
      assert.strictEqual((await find(url, filled.id)).status, "EXECUTING")
      await cancel(url, filled.id)
      assert.strictEqual((await ends(url, filled.id)).status, "CANCELLED")
    }
  )

  it("works through npm start: a signal to the node process ends all of it with 0", async () => {
    const folder = newFolder()
    const npm = new Program([], { NEXUS_APP_PORT: "0", NEXUS_APP_DATA_DIR: join(folder, "data") }, folder, {
      command: ["npm", "start"],
      cwd: root
    })
    await npm.says("  roles ")
    await place(npm.url)
    const [node = 0] = childrenOf(npm.pid).filter((pid) => commandLineOf(pid).includes("src/cli.ts"))
    assert.isAbove(node, 0)

    kill(node, "SIGTERM")

    assert.strictEqual(await npm.exited, 0, npm.err)
    assert.deepStrictEqual(processesOf(folder), [])
  })
})

/** All below a process: npm may put a shell between. */
const childrenOf = (pid: number): ReadonlyArray<number> =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter((each) => each !== "")
    .map(Number)
    .flatMap((child) => [child, ...childrenOf(child)])
const commandLineOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")

describe("after kill -9", () => {
  it("of the program alone, the next start takes its PostgreSQL over and ends what was under way", async () => {
    const folder = newFolder()
    const first = await serve(folder)
    const kept = await place(first.url, await resting(first.url))
    await rests(first.url, kept.id)
    const taken = await Promise.all(Array.from({ length: 10 }, () => place(first.url)))
    await first.end("SIGKILL")
    const postmaster = postmasterOf(folder)
    assert.include(processesOf(folder), postmaster)

    const second = await serve(folder)

    assert.strictEqual(postmasterOf(folder), postmaster)
    for (const { id } of taken) assert.strictEqual((await ends(second.url, id)).status, "COMPLETED")
    assert.strictEqual((await find(second.url, kept.id)).status, "EXECUTING")
    assert.strictEqual(await second.end("SIGTERM"), 0)
    assert.deepStrictEqual(processesOf(folder), [])
  })

  it("of the program and of PostgreSQL, the next start recovers every order that was answered", async () => {
    const folder = newFolder()
    const first = await serve(folder)
    const taken = await Promise.all(Array.from({ length: 10 }, () => place(first.url)))
    await first.end("SIGKILL")
    kill(postmasterOf(folder), "SIGKILL")

    const { url } = await serve(folder)

    for (const { id } of taken) assert.strictEqual((await ends(url, id)).status, "COMPLETED")
  })
})

describe("verify", () => {
  it("checks the log beside the program that serves it, which goes on, and again once that has stopped", async () => {
    const folder = newFolder()
    const program = await serve(folder)
    await ends(program.url, (await place(program.url)).id)

    const beside = await run(["verify"], folder)

    assert.strictEqual(beside.code, 0, beside.err)
    assert.match(beside.out, /^\d+ events of 2 streams in 4 lanes/)
    const later = await place(program.url)
    await becomes(program.url, later.id, ({ status }) => status === "COMPLETED")
    assert.strictEqual(await program.end("SIGTERM"), 0)

    const alone = await run(["verify"], folder)

    assert.strictEqual(alone.code, 0, alone.err)
    assert.match(alone.out, /^\d+ events of 3 streams in 4 lanes/)
    await until("no process is left", () => processesOf(folder).length === 0)
  })
})
