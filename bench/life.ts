/**
 * Orders POST → COMPLETED in one process with everything embedded, the simulator's latency at zero: the highest
 * rate held for a minute without a growing backlog, the latency at 100 orders a second, and where the time goes.
 *
 *   npm run bench:life [-- --from 100 --confirm-seconds 60]
 *
 * Open loop: orders are due at fixed moments and latency counts from there, up to recorded_at of OrderCompleted.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../tools/freePort.ts"
import { pause, Program } from "../tools/proofs/programs.ts"
import { runLoad } from "./child.ts"
import type { Life } from "./lives.ts"
import { livesOf } from "./lives.ts"
import { flushMillis, machine, percentile, table } from "./report.ts"

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "200" },
    "probe-seconds": { type: "string", default: "8" },
    "confirm-seconds": { type: "string", default: "60" },
    "latency-rate": { type: "string", default: "100" },
    "latency-seconds": { type: "string", default: "30" },
    /** Flags of Node for the program, such as `--cpu-prof --cpu-prof-dir=/tmp/profile`. */
    flags: { type: "string", default: "" }
  }
})
const probeSeconds = Number(values["probe-seconds"])
const confirmSeconds = Number(values["confirm-seconds"])
const latencyRate = Number(values["latency-rate"])
const latencySeconds = Number(values["latency-seconds"])
const connections = 64
const wanted = { p99: 50, rate: 400 }
// Upward in these steps until a probe fails, then between the last that held and the first that did not.
const coarseStep = 1.5
const fineShare = 0.05
const maxProbes = 16
// A confirmation that fails is tried again a little lower.
const confirmations = 4
const lower = 0.93
// Work that is on its way when all is well: what comes in within this.
const backlogSeconds = 0.5
const sampleMillis = 500
const settleMillis = 60_000

const folder = mkdtempSync(join(tmpdir(), "nexus-bench-life-"))
// The user that runs PostgreSQL must enter it, or the data would lie elsewhere and be left behind.
chmodSync(folder, 0o755)
const port = await freePort()
const app = `http://127.0.0.1:${port}`
const nexus = new Program(
  ["serve"],
  { NEXUS_APP_PORT: `${port}`, NEXUS_APP_DATA_DIR: join(folder, "data"), NEXUS_LOGGING_LEVEL: "warn" },
  join(folder, "nexus.log"),
  `${app}/ready`,
  values.flags.split(" ").filter((flag) => flag !== "")
)

const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`${app}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN)
}
const processing = () => metric("orders_processing")

// One buys what the other sells, so that the account ends where it began, but for fees and spread.
const orders = ["BUY", "SELL"].map((side) => `"symbol":"BTCUSDT","side":"${side}","type":"MARKET","quantity":0.001`)

let runs = 0
const runAt = (rate: number, seconds: number, warmUpSeconds: number) =>
  runLoad({ port, connections, rate, warmUpSeconds, seconds, ids: `life${++runs}`, orders })

const settled = async (): Promise<void> => {
  const end = Date.now() + settleMillis
  while ((await processing()) > 0) {
    if (Date.now() > end) throw new Error(`${await processing()} orders do not end`)
    await pause(sampleMillis)
  }
}

interface Held {
  readonly held: boolean
  readonly backlogFirst: number
  readonly backlogLast: number
  readonly completed: number
}

const mean = (all: ReadonlyArray<number>): number => all.reduce((sum, each) => sum + each, 0) / Math.max(1, all.length)

/** Held: everything was taken in on schedule, and the backlog of the last third is as small as that of the first. */
const holds = async (rate: number, seconds: number): Promise<Held> => {
  await settled()
  const before = await metric("orders_completed")
  const samples: Array<number> = []
  let over = false
  const sampling = (async () => {
    while (!over) {
      samples.push(await processing())
      await pause(sampleMillis)
    }
  })()
  const load = await runAt(rate, seconds, 1)
  const last = await processing()
  over = true
  await sampling
  const third = Math.max(1, Math.floor(samples.length / 3))
  const backlogFirst = mean(samples.slice(0, third))
  const backlogLast = mean([...samples.slice(-third), last])
  await settled()
  const completed = (await metric("orders_completed")) - before
  const clean = Object.keys(load.faults).length === 0
  // Intake is in time when it is not itself a queue that grows.
  const held = clean && backlogLast <= backlogFirst + rate * backlogSeconds && load.p99 < 1000 * backlogSeconds
  process.stderr.write(
    `${rate.toFixed(0)}/s for ${seconds} s: backlog ${backlogFirst.toFixed(0)} → ${backlogLast.toFixed(0)}, ` +
      `202 p99 ${load.p99.toFixed(1)} ms${clean ? "" : `, ${JSON.stringify(load.faults)}`} ${held ? "held" : "NOT held"}\n`
  )
  return { held, backlogFirst, backlogLast, completed }
}

const highest = async (): Promise<number> => {
  let low = 0
  let high = Number.POSITIVE_INFINITY
  let rate = Number(values.from)
  for (let probe = 0; probe < maxProbes; probe++) {
    // A stall of the machine must not pass for the limit, so only a second failure counts.
    if ((await holds(rate, probeSeconds)).held || (await holds(rate, probeSeconds)).held) low = rate
    else high = rate
    if (high <= low * (1 + fineShare) || high < 10) break
    rate = high === Number.POSITIVE_INFINITY ? low * coarseStep : low === 0 ? high / coarseStep : (low + high) / 2
  }
  return Math.floor(low)
}

const stages: ReadonlyArray<readonly [string, (life: Life) => number]> = [
  ["due → OrderPlaced recorded", (life) => life.placed - life.scheduled],
  ["OrderPlaced recorded → 202 received", (life) => life.answered - life.placed],
  ["OrderPlaced → SubmissionStarted", (life) => life.started - life.placed],
  ["SubmissionStarted → OrderCompleted", (life) => life.completed - life.started],
  ["due → 202 received", (life) => life.answered - life.scheduled],
  ["due → OrderCompleted recorded", (life) => life.completed - life.scheduled]
]

let failed = true
try {
  await nexus.start()
  // Compilers settle, pools fill.
  await runAt(latencyRate, 10, 0)
  await settled()
  const load = await runAt(latencyRate, latencySeconds, 2)
  if (Object.keys(load.faults).length > 0) throw new Error(`orders were answered ${JSON.stringify(load.faults)}`)
  await settled()
  const { lives, others } = await livesOf(app, load.orders)
  const ends = lives.map((life) => life.completed - life.scheduled).sort((a, b) => a - b)

  let rate = await highest()
  let confirmed: Held = { held: false, backlogFirst: 0, backlogLast: 0, completed: 0 }
  for (let attempt = 1; attempt <= confirmations; attempt++) {
    confirmed = await holds(rate, confirmSeconds)
    if (confirmed.held || attempt === confirmations) break
    rate = Math.floor(rate * lower)
  }

  const total = ends.reduce((sum, each) => sum + each, 0)
  const ms = (value: number) => value.toFixed(1)
  const rows = stages.map(([name, of]) => {
    const sorted = lives.map(of).sort((a, b) => a - b)
    const sum = sorted.reduce((all, each) => all + each, 0)
    return [name, ...[0.5, 0.99, 0.999].map((share) => ms(percentile(sorted, share))), (sum / total).toFixed(2)]
  })
  const p99 = percentile(ends, 0.99)
  console.log(
    [
      table(
        [`stage at ${latencyRate} orders/s, open loop`, "p50 ms", "p99 ms", "p99.9 ms", "share of the whole"],
        rows
      ),
      "",
      `POST → COMPLETED p99 at ${latencyRate} orders/s: ${ms(p99)} ms, under ${wanted.p99} wanted: ${p99 < wanted.p99 ? "yes" : "NO"}`,
      confirmed.held
        ? `highest rate held for ${confirmSeconds} s: ${rate} orders/s, at least ${wanted.rate} wanted: ${rate >= wanted.rate ? "yes" : "NO"} ` +
          `(÷ wanted ${(rate / wanted.rate).toFixed(2)}; backlog ${confirmed.backlogFirst.toFixed(0)} in the first third, ` +
          `${confirmed.backlogLast.toFixed(0)} in the last; ${confirmed.completed} completed)`
        : `no rate was held for ${confirmSeconds} s; the last that failed is ${rate} orders/s`,
      "",
      `${lives.length} orders of ${latencySeconds} s after 10 s of warm-up, alternating MARKET BUY and SELL of 0.001 BTC; ${others} ended otherwise.`,
      "Latency counts from the scheduled send to recorded_at, which PostgreSQL gives in whole milliseconds, down, before the commit's flush:",
      "the second row shows what flush and answer add after it.",
      `Held: every order taken in, 202 p99 under ${backlogSeconds * 1000} ms, backlog of the last third at most ${backlogSeconds} s of orders above the first's.`,
      `One process with PostgreSQL, bus and simulator embedded (latency 0), fsync on, synchronous_commit on; a flush of 8 kB takes ${flushMillis(folder).toFixed(2)} ms here.`,
      `Load, program and PostgreSQL share the machine: ${machine()}`
    ].join("\n")
  )
  failed = false
} finally {
  await nexus.stop("SIGINT")
  if (failed) console.error(`logs in ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
