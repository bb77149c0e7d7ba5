/**
 * Orders POST → COMPLETED in one process with everything embedded, the simulator's latency at zero: the highest
 * rate held for a minute without a growing backlog, the latency at 100 orders a second, and where the time goes.
 *
 *   npm run bench:life [-- --from 100 --confirm-seconds 60]
 *   npm run bench:life -- --executors 2     (processes of their own on a real Kafka; see executors.ts)
 *
 * Open loop: orders are due at fixed moments and latency counts from there, up to recorded_at of OrderCompleted.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../tools/freePort.ts"
import { Program } from "../tools/proofs/programs.ts"
import { compareExecutors } from "./executors.ts"
import { backlogSeconds, meterOf } from "./heldRate.ts"
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
    /** 0: one process with everything embedded. */
    executors: { type: "string", default: "0" },
    /** Flags of Node for the program, such as `--cpu-prof --cpu-prof-dir=/tmp/profile`. */
    flags: { type: "string", default: "" }
  }
})
const probeSeconds = Number(values["probe-seconds"])
const confirmSeconds = Number(values["confirm-seconds"])
const latencyRate = Number(values["latency-rate"])
const latencySeconds = Number(values["latency-seconds"])
const wanted = { p99: 50, rate: 400 }

const executors = Number(values.executors)
if (executors > 0) {
  console.log(await compareExecutors({ executors, from: Number(values.from), probeSeconds, confirmSeconds }))
  process.exit(0)
}

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

const meter = meterOf(port, "life")

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
  await meter.runAt(latencyRate, 10, 0)
  await meter.settled()
  const load = await meter.runAt(latencyRate, latencySeconds, 2)
  if (Object.keys(load.faults).length > 0) throw new Error(`orders were answered ${JSON.stringify(load.faults)}`)
  await meter.settled()
  const { lives, others } = await livesOf(app, load.orders)
  const ends = lives.map((life) => life.completed - life.scheduled).sort((a, b) => a - b)

  const confirmed = await meter.highest({ from: Number(values.from), probeSeconds, confirmSeconds })
  const { rate } = confirmed

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
