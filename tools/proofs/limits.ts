/**
 * Proof: replicas on one address and one account spend one budget, nearly all of it and never more.
 *
 * Three processes with the program's own client and store, the simulator with its real limits in a fourth, three times
 * the demand that the exchange allows: no 429 at all, at least 90 % of the weight and of the orders used, cancels and
 * queries served. Then the address is banned by somebody else's requests; one process is told so, and a second later
 * nothing of any of them reaches the exchange until the ban is over, a restarted one included.
 *
 *   node tools/proofs/limits.ts [--minutes 10] [--skip-ban]
 */
import { type ChildProcess, fork } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect, Redacted } from "effect"
import type { Kind } from "../../src/binance/RateLimits.ts"
import { EmbeddedPostgres } from "../../src/sql/EmbeddedPostgres.ts"
import { migrate } from "../../src/sql/Migrations.ts"
import { freePort } from "../freePort.ts"
import type { Demand, Order, Told } from "./limitsReplica.ts"
import { keys, pause, Program } from "./programs.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, "skip-ban": { type: "boolean", default: false } }
})
const minutes = Number(values.minutes)
const replicaCount = 3
const usedShare = 0.9
const minute = 60_000
const tenSeconds = 10_000
/** What the simulator publishes and enforces; asked of it below. */
interface Published {
  readonly rateLimitType: string
  readonly interval: string
  readonly intervalNum: number
  readonly limit: number
}
/** The exchange's count is looked at so long before a minute ends: later it may be the next one's. */
const lookBeforeMillis = 150
/** Cancels and queries count as starved when one gives up, after ten seconds, or one in a hundred waits longer. */
const cancelLimitMillis = 1_000
const queryLimitMillis = 5_000
const stopLimitMillis = 1_000

const folder = mkdtempSync(join(tmpdir(), "nexus-limits-"))
// As root, PostgreSQL runs as another user, who must be able to enter.
chmodSync(folder, 0o755)
const [exchangePort, postgresPort] = [await freePort(), await freePort()]
const exchangeUrl = `http://127.0.0.1:${exchangePort}`
const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
const simulator = new Program(
  ["simulate-exchange", "--port", `${exchangePort}`, "--seed", "7", "--limits", "real"],
  credentials,
  join(folder, "exchange.log"),
  `${exchangeUrl}/api/v3/ping`
)

interface Answered {
  readonly replica: number
  readonly kind: Kind
  readonly tookMillis: number
  readonly at: number
  readonly outcome: string
  readonly detail: string
}

class Replica {
  readonly index: number
  readonly env: Readonly<Record<string, string>>
  child: ChildProcess | undefined
  readonly stopped: Array<{ readonly millis: number; readonly at: number }> = []

  constructor(index: number, databaseUrl: string) {
    this.index = index
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_BROKERS)/.test(name))
    ) as Record<string, string>
    this.env = {
      ...inherited,
      ...credentials,
      DATABASE_URL: databaseUrl,
      NEXUS_DATABASE_MIGRATE: "false",
      NEXUS_DATABASE_MAX_OPEN_CONNS: "4",
      NEXUS_DATABASE_MAX_IDLE_CONNS: "1",
      NEXUS_BINANCE_TESTNET_BASE_URL: exchangeUrl,
      NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${exchangePort}/ws-api/v3`
    }
  }

  /** Resolves when it says that it is ready, which asks the exchange a few things. */
  start(): Promise<void> {
    const child = fork(join(import.meta.dirname, "limitsReplica.ts"), [`replica${this.index}`], { env: this.env })
    this.child = child
    return new Promise((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`replica ${this.index} ended with ${code}`)))
      child.on("message", (told: Told) => {
        if (told._tag === "Ready") resolve()
        else if (told._tag === "Answered") answered.push({ replica: this.index, ...told })
        else if (told._tag === "Abandoned") abandoned[told.kind] += 1
        else this.stopped.push(told)
      })
    })
  }

  tell(order: Order): void {
    this.child?.send(order)
  }

  async kill(): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    await ended
  }
}

const answered: Array<Answered> = []
const abandoned: Record<Kind, number> = { cancel: 0, query: 0, submit: 0, refresh: 0 }
const failures: Array<string> = []
const judge = (isGood: boolean, what: string): void => {
  console.log(`${isGood ? "  ok  " : "  FAIL"} ${what}`)
  if (!isGood) failures.push(what)
}

const ask = async (path: string): Promise<{ status: number; weight: number; body: unknown }> => {
  const response = await fetch(exchangeUrl + path)
  const text = await response.text()
  return {
    status: response.status,
    weight: Number(response.headers.get("x-mbx-used-weight-1m")),
    body: response.headers.get("content-type")?.includes("json") === true ? JSON.parse(text) : text
  }
}

const untilBoundary = (length: number, before = 0): Promise<void> => {
  const now = Date.now()
  return pause(length - (now % length) - before + (now % length > length - before ? length : 0))
}

const allocate = (demand: Demand): Demand => ({
  submit: demand.submit / replicaCount,
  query: demand.query / replicaCount,
  refresh: demand.refresh / replicaCount
})

const nothing: Demand = { submit: 0, query: 0, refresh: 0 }

const underDemand = async (replicas: ReadonlyArray<Replica>): Promise<void> => {
  const { body } = await ask("/api/v3/exchangeInfo?symbol=BNBUSDT")
  const { rateLimits } = body as { rateLimits: ReadonlyArray<Published> }
  const limitOf = (type: string, interval: string) =>
    rateLimits.find((one) => one.rateLimitType === type && one.interval === interval)!
  const weightLimit = limitOf("REQUEST_WEIGHT", "MINUTE").limit
  const orderLimit = limitOf("ORDERS", "SECOND")
  const ordersPerSecond = orderLimit.limit / orderLimit.intervalNum
  const weightPerSecond = weightLimit / 60
  // Three times the orders, each of them cancelled; three times the weight, most of it of the least precedence.
  const demand: Demand = {
    submit: 3 * ordersPerSecond,
    query: (0.35 * weightPerSecond) / 4,
    refresh: (2.65 * weightPerSecond) / 2
  }
  console.log(
    `${replicaCount} replicas, ${minutes} min; limits: weight ${weightLimit} a minute, ${orderLimit.limit} orders in ${orderLimit.intervalNum} s; ` +
      `demand per second: ${demand.submit} orders, ${demand.query.toFixed(1)} queries, ${demand.refresh.toFixed(1)} refreshes`
  )
  await untilBoundary(minute)
  const begun = Math.floor(Date.now() / minute) * minute
  for (const replica of replicas) replica.tell({ _tag: "Demand", demand: allocate(demand) })
  const weights: Array<number> = []
  for (let count = 0; count < minutes; count++) {
    await pause(begun + (count + 1) * minute - lookBeforeMillis - Date.now())
    const { weight } = await ask("/api/v3/time")
    weights.push(weight)
    const inMinute = answered.filter(({ at }) => at >= begun + count * minute)
    const of = (kind: Kind) => inMinute.filter((one) => one.kind === kind && one.outcome === "taken").length
    console.log(
      `minute ${count + 1}: weight ${weight} of ${weightLimit}, ${of("submit")} orders, ${of("cancel")} cancels, ` +
        `${of("query")} queries, ${of("refresh")} refreshes, ${inMinute.filter(({ outcome }) => outcome === "limited").length} limited`
    )
  }
  const ended = begun + minutes * minute
  for (const replica of replicas) replica.tell({ _tag: "Demand", demand: nothing })
  await pause(3_000)

  const seen = answered.filter(({ at }) => at >= begun && at < ended)
  const taken = (kind: Kind) => seen.filter((one) => one.kind === kind && one.outcome === "taken")
  const windows = Array.from({ length: (minutes * minute) / tenSeconds }, (_, index) => {
    const from = begun + index * tenSeconds
    return taken("submit").filter(({ at }) => at >= from && at < from + tenSeconds).length
  })
  const slow = (kind: Kind, part: number) => {
    const sorted = taken(kind)
      .map(({ tookMillis }) => tookMillis)
      .sort((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  }
  for (const kind of ["cancel", "query", "submit", "refresh"] as const) {
    console.log(
      `${kind.padEnd(8)} ${String(taken(kind).length).padStart(6)} served, ${abandoned[kind]} gave up; ` +
        `took p50 ${slow(kind, 0.5)} ms, p99 ${slow(kind, 0.99)} ms, max ${slow(kind, 1)} ms`
    )
  }
  const share = (replica: number) => taken("submit").filter((one) => one.replica === replica).length
  console.log(`orders by replica: ${replicas.map(({ index }) => share(index)).join(", ")}`)

  const limited = seen.filter(({ outcome }) => outcome === "limited" || outcome === "banned")
  const others = seen.filter(({ outcome }) => outcome === "refused" || outcome === "unknown" || outcome === "not sent")
  const sum = (counts: ReadonlyArray<number>) => counts.reduce((all, count) => all + count, 0)
  const ordersUsed = sum(windows) / (windows.length * orderLimit.limit)
  const weightUsed = sum(weights) / (weights.length * weightLimit)
  judge(
    limited.length === 0,
    `429 or 418: ${limited.length}${limited[0] === undefined ? "" : `, such as ${limited[0].detail}`}`
  )
  judge(
    others.length === 0,
    `other failures: ${others.length}${others[0] === undefined ? "" : `, such as ${others[0].detail}`}`
  )
  judge(
    weightUsed >= usedShare,
    `weight used: ${(100 * weightUsed).toFixed(1)} % (least minute ${Math.min(...weights)})`
  )
  judge(
    ordersUsed >= usedShare,
    `orders used: ${(100 * ordersUsed).toFixed(1)} % (least window ${Math.min(...windows)})`
  )
  judge(
    abandoned.cancel === 0 && slow("cancel", 0.99) <= cancelLimitMillis,
    `no cancel gives up, and 99 of 100 take at most ${cancelLimitMillis} ms`
  )
  judge(
    abandoned.query === 0 && slow("query", 0.99) <= queryLimitMillis,
    `no query gives up, and 99 of 100 take at most ${queryLimitMillis} ms`
  )
}

const underBan = async (replicas: ReadonlyArray<Replica>): Promise<void> => {
  console.log("somebody else on this address goes on until it is banned")
  await untilBoundary(minute)
  let answer = await ask("/api/v3/exchangeInfo")
  while (answer.status !== 418) answer = await ask("/api/v3/exchangeInfo")
  const [first, second, third] = replicas
  const bannedAt = Date.now()
  first!.tell({ _tag: "AskOnce" })
  const isTold = () => answered.find((one) => one.at >= bannedAt - 100 && one.outcome === "banned")
  while (isTold() === undefined && Date.now() - bannedAt < 10_000) await pause(5)
  const told = Date.now()
  judge(isTold() !== undefined, "the first replica is told of the ban")
  await pause(stopLimitMillis)
  const resumed = Date.now()
  for (const replica of replicas)
    replica.tell({ _tag: "Demand", demand: allocate({ submit: 10, query: 10, refresh: 10 }) })
  const latency = [second!, third!].map(
    (replica) => (replica.stopped.find(({ at, millis }) => millis > 0 && at >= told - 100)?.at ?? Infinity) - told
  )
  const left = first!.stopped.at(-1)?.millis ?? Number.NaN
  console.log(`the ban lasts ${Math.round(left / 1_000)} s; the others know of it after ${latency.join(" and ")} ms`)
  judge(
    latency.every((millis) => millis <= stopLimitMillis),
    `a ban seen by one is known to all within ${stopLimitMillis} ms`
  )
  await pause(5_000)
  await third!.kill()
  const restarted = third!.start()
  const end = told + left
  await pause(end - 1_000 - Date.now())
  const during = answered.filter(({ at, outcome }) => at >= resumed && at < end - 1_000 && outcome !== "not sent")
  judge(during.length === 0, `requests that reached the exchange during the ban: ${during.length}`)
  await restarted
  third!.tell({ _tag: "Demand", demand: allocate({ submit: 10, query: 10, refresh: 10 }) })
  await pause(10_000)
  const after = answered.filter(({ at, outcome }) => at >= end - 1_000 && outcome !== "not sent")
  const early = after.filter(({ at }) => at < end - 100)
  const refusedAgain = after.filter(({ outcome }) => outcome === "banned" || outcome === "limited")
  judge(
    early.length === 0 && refusedAgain.length === 0,
    `after the ban ${after.length} answers, ${refusedAgain.length} of them limited, ${early.length} too early`
  )
  const back = new Set(after.filter(({ outcome }) => outcome === "taken").map(({ replica }) => replica))
  judge(back.size === replicaCount, `replicas that are served again: ${back.size}`)
}

const proof = Effect.gen(function* () {
  const { url } = yield* EmbeddedPostgres.make({ root: folder, dataDir: join(folder, "postgres"), port: postgresPort })
  yield* migrate({ address: { url }, lanes: 4 })
  const replicas = Array.from({ length: replicaCount }, (_, index) => new Replica(index, Redacted.value(url)))
  yield* Effect.promise(async () => {
    try {
      await simulator.start()
      await Promise.all(replicas.map((replica) => replica.start()))
      await underDemand(replicas)
      if (!values["skip-ban"]) await underBan(replicas)
    } finally {
      for (const replica of replicas) await replica.kill()
      await simulator.stop("SIGTERM")
    }
  })
})

await Effect.runPromise(Effect.scoped(proof))
console.log(failures.length === 0 ? "PASS" : `FAIL: ${failures.join("; ")}`)
if (failures.length === 0) rmSync(folder, { recursive: true, force: true })
else console.log(`logs in ${folder}`)
process.exitCode = failures.length === 0 ? 0 : 1
