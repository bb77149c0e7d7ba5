/**
 * Durable intake, POST → 202 of a process with the role `api` alone, against what the same machine gives at the
 * same time: PostgreSQL to pgbench; the same server with one bare row an order; the api with a log that answers at
 * once; the same server without its engine; and node:http with JSON.parse.
 *
 *   npm run bench:intake [-- --seconds 5 --rounds 5]
 *
 * One cell runs at a time, and the cells of a round follow each other, so that a slow minute of the machine falls
 * on all of them. What is printed are medians over the rounds.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../tools/freePort.ts"
import { keys, Program } from "../tools/proofs/programs.ts"
import { runLoad, startServer } from "./child.ts"
import { makePgbench } from "./pgbench.ts"
import { startBenchPostgres } from "./postgres.ts"
import { flushMillis, machine, machineTicks, median, table } from "./report.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "5" },
    /** Flags of Node for the api process, such as `--cpu-prof --cpu-prof-dir=/tmp/profile`. */
    "api-flags": { type: "string", default: "" }
  }
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const warmUpSeconds = 1
// Before the first round: until the compilers of all processes have settled.
const firstWarmUpSeconds = 4
const connections = [64, 256]
const wanted = { withoutEngine: 0.6, pgbench: 0.45 }

interface Figures {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

interface Cell {
  readonly name: string
  readonly connections: number
  readonly run: (round: number) => Promise<Figures>
  readonly rounds: Array<Figures & { /** Of the whole machine, load included. */ readonly cpu: number }>
}

const folder = mkdtempSync(join(tmpdir(), "nexus-bench-intake-"))
mkdirSync(join(folder, "journal"))
const ends: Array<() => Promise<unknown>> = []

const main = async (): Promise<void> => {
  const postgres = await startBenchPostgres()
  ends.push(postgres.stop)
  const pgbench = await makePgbench(postgres)
  const [exchangePort, appPort, nowhere] = [await freePort(), await freePort(), await freePort()]
  // Only the exchange's symbols are needed, once: the exchange is ended before anything is measured.
  const simulator = new Program(
    ["simulate-exchange", "--port", `${exchangePort}`, "--seed", "7", "--journal", join(folder, "journal")],
    { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret },
    join(folder, "exchange.log"),
    `http://127.0.0.1:${exchangePort}/api/v3/ping`
  )
  ends.push(() => simulator.stop("SIGTERM"))
  const settings = {
    BINANCE_TESTNET_API_KEY: keys.apiKey,
    BINANCE_TESTNET_API_SECRET: keys.apiSecret,
    DATABASE_URL: postgres.url,
    // An api process does not speak to Kafka; that it is given says that other processes relay.
    KAFKA_BROKERS: `127.0.0.1:${nowhere}`,
    NEXUS_APP_ROLES: "api",
    NEXUS_APP_DATA_DIR: join(folder, "data"),
    NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${exchangePort}`,
    NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${exchangePort}/ws-api/v3`
  }
  const api = new Program(
    ["serve"],
    { ...settings, NEXUS_APP_PORT: `${appPort}` },
    join(folder, "api.log"),
    `http://127.0.0.1:${appPort}/api/v1/symbols/BTCUSDT`,
    values["api-flags"].split(" ").filter((flag) => flag !== "")
  )
  ends.push(() => api.stop("SIGINT"))
  await simulator.start()
  await api.start()
  const withoutEngine = await startServer(
    "serverWithoutEngine.ts",
    { ...settings, NEXUS_APP_PORT: "0" },
    join(folder, "server.log")
  )
  ends.push(withoutEngine.stop)
  await postgres.run([
    "create table bare_rows (id text primary key, text text not null)",
    "grant insert on bare_rows to nexus_app"
  ])
  const bareRow = await startServer(
    "serverWithBareRow.ts",
    { ...settings, NEXUS_APP_PORT: "0" },
    join(folder, "bare.log")
  )
  ends.push(bareRow.stop)
  const withoutStore = await startServer(
    "serverWithoutStore.ts",
    { ...settings, NEXUS_APP_PORT: "0" },
    join(folder, "store.log")
  )
  ends.push(withoutStore.stop)
  const raw = await startServer("rawHttp.ts", {}, join(folder, "raw.log"))
  ends.push(raw.stop)
  await simulator.stop("SIGTERM")

  const post =
    (name: string, port: number) =>
    (clients: number, round: number, warmUp = warmUpSeconds) =>
      runLoad({
        port,
        connections: clients,
        rate: null,
        warmUpSeconds: warmUp,
        seconds,
        ids: `${name}-${clients}-${round}`,
        orders: [`"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.015,"price":61234.5`]
      }).then((load) => {
        if (Object.keys(load.faults).length > 0) throw new Error(`${name} was answered ${JSON.stringify(load.faults)}`)
        return load
      })
  const posts = {
    api: post("api", appPort),
    bare: post("bare", bareRow.port),
    unstored: post("unstored", withoutStore.port),
    without: post("without", withoutEngine.port),
    raw: post("raw", raw.port)
  }

  const cells = connections.flatMap((clients): ReadonlyArray<Cell> => {
    const cell = (name: string, run: Cell["run"]): Cell => ({ name, connections: clients, run, rounds: [] })
    return [
      cell("pgbench, one event", async () => {
        const { average, perSecond } = await pgbench.run(clients, seconds)
        return { perSecond, p50: average, p99: Number.NaN }
      }),
      cell("api, durable", (round) => posts.api(clients, round)),
      cell("Server, one bare row", (round) => posts.bare(clients, round)),
      cell("api, nothing stored", (round) => posts.unstored(clients, round)),
      cell("Server without Engine", (round) => posts.without(clients, round)),
      cell("node:http, JSON.parse", (round) => posts.raw(clients, round))
    ]
  })

  await posts.without(64, 0, firstWarmUpSeconds)
  await posts.api(64, 0, firstWarmUpSeconds)
  for (let round = 1; round <= rounds; round++) {
    for (const cell of cells) {
      // No cell pays for the pages that another one left dirty.
      await postgres.run(["checkpoint"])
      const before = machineTicks()
      const figures = await cell.run(round)
      const after = machineTicks()
      const busyShare = (after[0] - before[0]) / (after[1] - before[1])
      cell.rounds.push({ ...figures, cpu: (busyShare * availableParallelism() * 1e6) / figures.perSecond })
      process.stderr.write(`round ${round}  ${cell.name} ${cell.connections}: ${figures.perSecond.toFixed(0)}/s\n`)
    }
  }

  const of = (cell: Cell, figure: keyof Cell["rounds"][number]): number =>
    median(cell.rounds.map((each) => each[figure]))
  const rate = (name: string, clients: number): number =>
    of(
      cells.find((cell) => cell.name.startsWith(name) && cell.connections === clients)!,
      "perSecond"
    )
  const rows = cells.map((cell) => {
    const own = of(cell, "perSecond")
    const p99 = of(cell, "p99")
    const all = cell.rounds.map((each) => each.perSecond)
    return [
      `${cell.name}, ${cell.connections}`,
      own.toFixed(0),
      `${Math.min(...all).toFixed(0)}–${Math.max(...all).toFixed(0)}`,
      of(cell, "p50").toFixed(1),
      Number.isNaN(p99) ? "" : p99.toFixed(1),
      of(cell, "cpu").toFixed(0),
      (rate("api, durable", cell.connections) / own).toFixed(2)
    ]
  })
  const verdict = (what: string, ratio: number, least: number): string =>
    `${what}: ${ratio.toFixed(2)}, at least ${least} wanted: ${ratio >= least ? "yes" : "NO"}`
  console.log(
    [
      table(["POST → 202, connections", "orders/s", "range", "p50 ms", "p99 ms", "CPU µs/order", "api ÷ this"], rows),
      "",
      verdict(
        "api ÷ same Server without Engine, 64 connections",
        rate("api, durable", 64) / rate("Server without", 64),
        wanted.withoutEngine
      ),
      `api with nothing stored ÷ same Server without Engine, 64 connections: ${(rate("api, nothing", 64) / rate("Server without", 64)).toFixed(2)}, what a PostgreSQL that costs nothing would leave`,
      `one bare row ÷ same Server without Engine, 64 connections: ${(rate("Server, one", 64) / rate("Server without", 64)).toFixed(2)}, the most that can be had`,
      verdict(
        "api ÷ pgbench one-event append, 64 clients",
        rate("api, durable", 64) / rate("pgbench", 64),
        wanted.pgbench
      ),
      "",
      `Median of ${rounds} interleaved rounds of ${seconds} s a cell after ${warmUpSeconds} s of warm-up; pgbench says an average instead of p50.`,
      `PostgreSQL ${await postgres.version()}, embedded binaries on loopback: fsync ${postgres.settings.fsync}, synchronous_commit ` +
        `${postgres.settings.synchronous_commit}, full_page_writes ${postgres.settings.full_page_writes}, ` +
        `shared_buffers ${postgres.settings.shared_buffers}; a flush of 8 kB takes ${flushMillis(folder).toFixed(2)} ms here.`,
      `${pgbench.version}, -M prepared -j 2, bench/append.sql. Load, servers and PostgreSQL share the machine:`,
      machine()
    ].join("\n")
  )
}

let failed = true
try {
  await main()
  failed = false
} finally {
  for (const end of ends.toReversed()) await end()
  if (failed) console.error(`logs in ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
