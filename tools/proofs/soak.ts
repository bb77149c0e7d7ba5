/**
 * Proof: it holds for long. Orders at a fixed rate while something goes wrong every second, at the exchange, on the way
 * to it, with its clock, and by the deaths and pauses of both programs; then all must have ended or rest within the time
 * that is promised, the log must agree with the exchange's own ledger, and memory must be flat.
 *
 *   npm run soak [-- --minutes 30 --rate 50 --faults 1 --seed 1 --keep]
 *
 * KAFKA_BROKERS is taken from the environment; without it the embedded bus runs.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../freePort.ts"
import { heapOf } from "./heapOf.ts"
import { keys, pause, Program, run } from "./programs.ts"
import { judge, type View } from "./soak/judge.ts"
import { Traffic } from "./soak/Traffic.ts"
import { Upset } from "./soak/Upset.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    rate: { type: "string", default: "50" },
    faults: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false }
  }
})
const minutes = Number(values.minutes)
const rate = Number(values.rate)
const perSecond = Number(values.faults)
const seed = Number(values.seed)
const runMillis = minutes * 60_000
const orders = Math.floor(rate * minutes * 60)
/** The clock steps by up to 3 s, which δ must cover beside the second that it is for a simulator. */
const deltaMillis = 4_000
const stalenessMillis = 1_000
const recvWindowMillis = 5_000
/** What is promised once faults have ended. */
const inTimeMillis = recvWindowMillis + deltaMillis + stalenessMillis + 30_000
/** Beyond it we only look for how long it would have taken. */
const patienceMillis = inTimeMillis + 180_000
/** Nexus dies no more for the last ten minutes, so that one process can be measured; in short runs for less. */
const steadyMillis = Math.min(600_000, runMillis / 3)
const measurableMillis = 500_000
/** By then every path is compiled and every cache is full. */
const warmMillis = 180_000
const heapLimit = 1.1
/** A tick of the open loop that comes later than this was not held. */
const heldMillis = 1_000
const rhythm = {
  deathsEverySeconds: Math.min(120, Math.max(45, (minutes * 60) / 5)),
  pausesEverySeconds: Math.min(60, Math.max(30, (minutes * 60) / 5)),
  clockEverySeconds: 20
}

const folder = mkdtempSync(join(tmpdir(), "nexus-soak-"))
// As root, PostgreSQL runs as another user, who must be able to enter.
chmodSync(folder, 0o755)
mkdirSync(join(folder, "journal"))
const [exchangePort, controlPort, apiPort, inspectPort] = [
  await freePort(),
  await freePort(),
  await freePort(),
  await freePort()
]
const exchange = `http://127.0.0.1:${exchangePort}`
const control = `http://127.0.0.1:${controlPort}`
const api = `http://127.0.0.1:${apiPort}`
const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
const brokers = process.env["KAFKA_BROKERS"]
const name = Date.now().toString(36)
const environment: Record<string, string> = {
  ...credentials,
  NEXUS_APP_PORT: `${apiPort}`,
  NEXUS_APP_DATA_DIR: join(folder, "data"),
  NEXUS_BINANCE_TESTNET_BASE_URL: exchange,
  NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${exchangePort}/ws-api/v3`,
  NEXUS_BINANCE_DELTA_MS: `${deltaMillis}`,
  NEXUS_BINANCE_STALENESS_MS: `${stalenessMillis}`,
  NEXUS_BINANCE_TESTNET_RECV_WINDOW_MS: `${recvWindowMillis}`,
  ...(brokers === undefined
    ? {}
    : {
        KAFKA_BROKERS: brokers,
        NEXUS_KAFKA_TOPICS_ORDERS: `soak.${name}.orders`,
        NEXUS_KAFKA_TOPICS_EVENTS: `soak.${name}.events`,
        NEXUS_KAFKA_CONSUMER_GROUP: `soak-${name}`
      })
}
const seeded = ["--seed", `${seed}`, "--journal", join(folder, "journal")]
const simulator = new Program(
  ["simulate-exchange", "--port", `${exchangePort}`, "--control-port", `${controlPort}`, ...seeded],
  credentials,
  join(folder, "exchange.log"),
  `${exchange}/api/v3/ping`
)
const nexus = new Program(["serve"], environment, join(folder, "nexus.log"), `${api}/ready`, [
  `--inspect=127.0.0.1:${inspectPort}`
])
const traffic = new Traffic(api, exchange, seed, `soak-${name}`)
const upset = new Upset(simulator, nexus, control, seed, rhythm)

let [passed, failed, skipped] = [0, 0, 0]
const report = (what: string, isGood: boolean, detail: string): void => {
  if (isGood) passed += 1
  else failed += 1
  console.log(`${isGood ? "PASS" : "FAIL"} ${what}: ${detail}`)
}
const none = (what: string, found: ReadonlyArray<string>, of: string): void =>
  report(what, found.length === 0, `${found.length}${of}${found.length > 0 ? `; ${found.slice(0, 3).join("; ")}` : ""}`)

/** Sums of each metric over its labels; empty while nobody answers. */
const metrics = async (): Promise<ReadonlyMap<string, number>> => {
  const sums = new Map<string, number>()
  try {
    const response = await fetch(`${api}/metrics`, { signal: AbortSignal.timeout(5_000) })
    for (const [, name, value] of (await response.text()).matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm)) {
      sums.set(name!, (sums.get(name!) ?? 0) + Number(value))
    }
  } catch {
    return new Map()
  }
  return sums
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)
const heap = async (): Promise<number | null> => {
  try {
    return (await heapOf(inspectPort)).heapUsed
  } catch {
    return null
  }
}
const tally = (counts: Iterable<readonly [string, number]>) => {
  const groups = new Map<string, number>()
  for (const [what, count] of counts) {
    const group = what.split(":")[0]!
    groups.set(group, (groups.get(group) ?? 0) + count)
  }
  return Array.from(groups, ([group, count]) => `${group} ${count}`).join(", ")
}

/** Of the process that lived to the end, once it was warm. */
let warmHeap: number | null = null

const watch = async (begun: number, steadyAt: number): Promise<void> => {
  for (let minute = 1; minute <= minutes; minute++) {
    await pause(Math.max(0, begun + minute * 60_000 - Date.now()))
    const [now, used] = [await metrics(), await heap()]
    const isWarm = Date.now() >= steadyAt && Date.now() - upset.nexusSince >= warmMillis
    if (isWarm && warmHeap === null && used !== null) warmHeap = used
    const said = (metric: string) => now.get(metric) ?? "?"
    console.log(
      `minute ${minute}: sent ${traffic.sent}, acknowledged ${traffic.acknowledged.size}, ` +
        `processing ${said("orders_processing")}, in doubt ${said("nexus_orders_unknown")}, ` +
        `owed to the bus ${said("nexus_outbox_backlog")}, heap ${used === null ? "?" : megabytes(used)} MB, ` +
        `latest ${Math.round(traffic.latestMillis)} ms; faults: ${tally(upset.counts)}, missed ${upset.missed}`
    )
  }
}

/** Until nothing is open but what rests on purpose; how long that took, or null. */
const settle = async (): Promise<number | null> => {
  const faultsEnded = Date.now()
  while (Date.now() - faultsEnded < patienceMillis) {
    const now = await metrics()
    const isQuiet = now.get("nexus_orders_unknown") === 0 && now.get("nexus_outbox_backlog") === 0
    if (isQuiet && traffic.waiting === 0 && (await onlyRests())) return Date.now() - faultsEnded
    await pause(200)
  }
  return null
}

const onlyRests = async (): Promise<boolean> => {
  const response = await fetch(`${api}/api/v1/orders?status=open&limit=500`)
  const open = (await response.json()) as ReadonlyArray<Pick<View, "id">>
  return response.ok && open.every(({ id }) => traffic.acknowledged.get(id)?.stays === true)
}

const percentile = (sorted: ReadonlyArray<number>, share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

const verdict = async (settledMillis: number | null, sums: unknown): Promise<void> => {
  const latencies = traffic.latencies.toSorted((a, b) => a - b)
  const count = traffic.acknowledged.size
  report(
    `${rate} orders a second`,
    traffic.latestMillis <= heldMillis && traffic.sent === orders,
    `${traffic.sent} sent in ${minutes} min, each at most ${Math.round(traffic.latestMillis)} ms late, at most ${traffic.greatestWaiting} waiting; ` +
      `answered in ${percentile(latencies, 0.5)} ms (half), ${percentile(latencies, 0.99)} ms (99 %), retries and deaths included; ` +
      `Nexus was dead or starting for ${(upset.awayMillis / 1_000).toFixed(1)} s; asked to try again: ${tally(traffic.turnedAway) || "never"}`
  )
  const faults = Array.from(upset.counts.values()).reduce((sum, n) => sum + n, 0)
  report(
    `${perSecond} faults a second`,
    faults + upset.missed >= Math.floor(perSecond * (runMillis / 1_000)) - 1 && upset.failures.length === 0,
    `${faults} of ${upset.counts.size} kinds, ${upset.missed} lost on a dead exchange; those of requests struck ${upset.struck} times` +
      (upset.failures.length > 0 ? `; ${upset.failures.slice(0, 3).join("; ")}` : "")
  )
  none(
    "no surprise for a client",
    traffic.surprises,
    " answers that were neither an acknowledgement nor a plea to try again"
  )
  report(
    "all settled in time",
    settledMillis !== null && settledMillis <= inTimeMillis,
    `${settledMillis === null ? `not even in ${patienceMillis / 1_000}` : (settledMillis / 1_000).toFixed(1)} s after the last fault, promised ${inTimeMillis / 1_000} s`
  )
  const found = await judge(api, control, traffic.acknowledged)
  console.log(
    `     ends: ${Array.from(found.ends, ([end, count]) => `${count} ${end}`).join(", ")}; ${found.resting} rest on purpose; ` +
      `${found.executed} executed in ${found.trades} trades`
  )
  report("every order was acknowledged", count === traffic.sent, `${count} of ${traffic.sent}`)
  none("every acknowledged order is in the log", found.lost, " lost")
  none("the log has nothing that nobody asked for", found.unasked, " unasked")
  none("no order is stuck", found.stuck, " stuck")
  none("no order is UNKNOWN", found.unknown, " unknown")
  none("at most one order at the exchange for each intent", found.acceptedTwice, " accepted twice")
  none("no order executed twice", found.executedTwice, " executed twice")
  none("log and ledger agree on every quantity, trade and end", found.differs, " differ")
  none("the ledger has no order of ours that the log lacks", found.orphans, " orphans")
  const now = await metrics()
  const [total, processing, completed, ended, cancelled] = [
    "orders_total",
    "orders_processing",
    "orders_completed",
    "orders_failed",
    "orders_cancelled"
  ].map((name) => now.get(name) ?? Number.NaN) as [number, number, number, number, number]
  report(
    "the metrics add up",
    total === processing + completed + ended + cancelled && total === count && processing === found.resting,
    `${total} = ${processing} processing + ${completed} completed + ${ended} failed + ${cancelled} cancelled`
  )
  const owed = now.get("nexus_outbox_backlog")
  report("the bus has every event", owed === 0, `${owed} owed`)
  const same = JSON.stringify(await conservation()) === JSON.stringify(sums)
  report("the exchange neither made nor lost an asset", same, JSON.stringify(sums))
}

const conservation = async (): Promise<unknown> => (await fetch(`${control}/conservation`)).json()

const memory = async (): Promise<void> => {
  const lived = Date.now() - upset.nexusSince
  const after = await heap()
  const seconds = Math.round(lived / 1_000)
  if (lived < measurableMillis) {
    skipped += 1
    console.log(`SKIP the heap is flat: the last process lived ${seconds} s, too short to tell`)
    return
  }
  const ratio = warmHeap === null || after === null ? Number.NaN : after / warmHeap
  report(
    "the heap is flat",
    ratio <= heapLimit,
    `${megabytes(warmHeap ?? Number.NaN)} MB when warm, ${megabytes(after ?? Number.NaN)} MB at the end, ${ratio.toFixed(3)} of it (limit ${heapLimit}); the process lived ${seconds} s`
  )
}

const leave = () => {
  for (const { child } of [nexus, simulator]) {
    child?.kill("SIGCONT")
    child?.kill("SIGTERM")
  }
  process.exit(130)
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave)

console.log(
  `${minutes} min, ${rate} orders/s, ${perSecond} faults/s, seed ${seed}, ${brokers === undefined ? "embedded bus" : `Kafka at ${brokers}`}; logs in ${folder}`
)
try {
  await simulator.start()
  await nexus.start()
  const sums = await conservation()
  const begun = Date.now()
  const until = begun + runMillis
  const steadyAt = until - steadyMillis
  await Promise.all([traffic.flow(rate, orders), upset.rage(perSecond, until, steadyAt), watch(begun, steadyAt)])
  const settledMillis = await settle()
  await verdict(settledMillis, sums)
  await memory()
  const code = await nexus.stop("SIGTERM")
  report("SIGTERM ends the program", code === 0, `exit code ${code}`)
  const verified = await run(["verify"], environment)
  report("nexus verify", verified.code === 0, verified.out.trim().split("\n").slice(-2).join(" "))
} catch (error) {
  report("the run", false, error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  nexus.child?.kill("SIGCONT")
  await nexus.stop("SIGTERM")
  await simulator.stop("SIGTERM")
}
for (const [kind, count] of Array.from(upset.counts).toSorted(([a], [b]) => a.localeCompare(b)))
  console.log(`     ${String(count).padStart(4)} ${kind}`)
if (failed === 0 && !values.keep) rmSync(folder, { recursive: true, force: true })
else console.log(`     kept ${folder}`)
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exitCode = failed === 0 ? 0 : 1
