/**
 * Proof: three replicas on one PostgreSQL and one Kafka lose nothing and do nothing twice, whichever of them is killed,
 * stands still, is cut off from anything, or is restarted; and what must be single is soon taken over.
 *
 *   npm run test:replicas [-- --rounds kill=3,stop=1,postgres=2,kafka=2,exchange=2,roll=1,storm=1]
 *     [--rate 50] [--pause 60] [--cut 20] [--seed 1] [--keep] [--full | --nightly]
 *
 * Every round runs under a load of orders of all kinds and ends with a verdict: takeovers, stale writes, the log against
 * the exchange's own ledger, Kafka against the log, the counts of all replicas, `nexus verify`. KAFKA_BROKERS is taken
 * from the environment (brokers on this machine); without it one is started.
 */
import { parseArgs } from "node:util"
import { findKafka } from "../kafka/Broker.ts"
import { pause } from "./programs.ts"
import { fault, type Kind, kinds, type Outcome } from "./replicas/rounds.ts"
import { Stage } from "./replicas/Stage.ts"
import { judge } from "./soak/judge.ts"
import { type Intent, Traffic } from "./soak/Traffic.ts"

const sizes = {
  small: "kill=3,stop=2,postgres=2,kafka=2,exchange=2,roll=1,storm=1",
  full: "kill=20,stop=6,postgres=2,kafka=2,exchange=2,roll=5,storm=8",
  nightly: "kill=100,stop=30,postgres=10,kafka=10,exchange=10,roll=20,storm=30"
}
const { values } = parseArgs({
  options: {
    rounds: { type: "string" },
    rate: { type: "string", default: "50" },
    pause: { type: "string", default: "60" },
    cut: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    nightly: { type: "boolean", default: false }
  }
})
const rate = Number(values.rate)
const seed = Number(values.seed)
const settings = { pauseMillis: Number(values.pause) * 1_000, cutMillis: Number(values.cut) * 1_000 }
const size = values.nightly ? "nightly" : values.full ? "full" : "small"
const rounds = new Map(
  (values.rounds ?? sizes[size]).split(",").map((text) => {
    const [kind, count] = text.split("=") as [Kind, string | undefined]
    if (!kinds.includes(kind) || !Number.isInteger(Number(count))) throw new Error(`not rounds: ${text}`)
    return [kind, Number(count)] as const
  })
)
/** recvWindow, δ and staleness of a simulator, and what is promised after the last of them. */
const inTimeMillis = 5_000 + 1_000 + 1_000 + 30_000
const sliceSeconds = 5

let [passed, failed] = [0, 0]
const report = (what: string, isGood: boolean, detail: string): void => {
  if (isGood) passed += 1
  else failed += 1
  console.log(`${isGood ? "PASS" : "FAIL"} ${what}: ${detail}`)
}
const few = (found: ReadonlyArray<string>): string =>
  found.length === 0 ? "" : `; ${found.slice(0, 3).join("; ")}${found.length > 3 ? "; …" : ""}`

/** Of all rounds; what rested was cancelled at the end of its round. */
const acknowledged = new Map<string, Intent>()

interface Loaded {
  readonly sent: number
  readonly surprises: ReadonlyArray<string>
  readonly turnedAway: number
  readonly p99: number
}

/** Orders at the rate, slice by slice, until told that it is enough and all were answered. */
const load = async (stage: Stage, name: string, isEnough: () => boolean): Promise<Loaded> => {
  const slices: Array<Traffic> = []
  while (!isEnough()) {
    const slice = new Traffic(stage.api, stage.exchange, seed + slices.length, `${name}-${slices.length}`)
    slices.push(slice)
    await slice.flow(rate, rate * sliceSeconds)
  }
  while (slices.some(({ waiting }) => waiting > 0)) await pause(50)
  for (const intent of slices.flatMap((slice) => [...slice.acknowledged.values()])) {
    if (intent.stays) await cancel(stage.api, intent.id)
    acknowledged.set(intent.id, { ...intent, stays: false })
  }
  const latencies = slices.flatMap((slice) => slice.latencies).toSorted((a, b) => a - b)
  return {
    sent: slices.reduce((sum, slice) => sum + slice.sent, 0),
    surprises: slices.flatMap((slice) => slice.surprises),
    turnedAway: slices.reduce((sum, slice) => sum + [...slice.turnedAway.values()].reduce((all, n) => all + n, 0), 0),
    p99: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN
  }
}

const cancel = async (api: string, id: string): Promise<void> => {
  for (;;) {
    const response = await fetch(`${api}/api/v1/orders/${id}`, { method: "DELETE" })
    await response.text()
    if (response.status !== 503) return
    await pause(100)
  }
}

/** Until nothing is open, in doubt or owed; how long that took from the end of the fault, or null. */
const settle = async (stage: Stage, from: number): Promise<number | null> => {
  while (Date.now() - from < inTimeMillis + 60_000) {
    const [first] = stage.replicas
    const open = await first!.figure("orders_processing").catch(() => Number.NaN)
    const unknown = await first!.figure("nexus_orders_unknown").catch(() => Number.NaN)
    const owed = await first!.figure("nexus_outbox_backlog").catch(() => Number.NaN)
    if (open === 0 && unknown === 0 && owed === 0) return Date.now() - from
    await pause(200)
  }
  return null
}

const takeovers = async (
  stage: Stage,
  name: string,
  { detail, isFlawless, limitMillis, lost, since }: Outcome
): Promise<void> => {
  const moves = (await stage.witness.moves(since)).filter(({ role }) => role !== "auditor")
  if (isFlawless) {
    const gaps = moves.flatMap(({ at, owner, role }, index) => {
      if (owner !== null) return []
      const next = moves.slice(index).find((one) => one.role === role && one.owner !== null)
      return [(next?.at ?? Number.POSITIVE_INFINITY) - at]
    })
    const longest = Math.max(...gaps)
    report(
      `${name}: taken over in ${limitMillis / 1_000} s`,
      gaps.length > 0 && longest <= limitMillis,
      `${gaps.length} roles given back, each without an owner for ${(longest / 1_000).toFixed(2)} s at most`
    )
  }
  if (lost.length === 0) return
  const late: Array<string> = []
  const times: Array<string> = []
  for (const { epoch, role } of lost) {
    const move = moves.find((one) => one.role === role && one.epoch > epoch && one.owner !== null)
    const lane = role.startsWith("relay/") ? Number(role.slice("relay/".length)) : null
    // A lane is taken over once its cursor moves again, which the load makes it do.
    const at = lane === null ? (move?.at ?? null) : await stage.witness.firstWrite(lane, epoch)
    const took = at === null ? null : at - since
    times.push(`${role} ${took === null ? "never" : `${(took / 1_000).toFixed(2)} s`}`)
    if (took === null || took > limitMillis) late.push(role)
  }
  report(`${name}: taken over in ${limitMillis / 1_000} s`, late.length === 0, `${detail}; ${times.join(", ")}`)
}

const verdict = async (stage: Stage, name: string, settledMillis: number | null): Promise<void> => {
  const writes = await stage.witness.cursorWrites()
  report(
    `${name}: fenced`,
    writes.stale === 0 && writes.astray === 0,
    `${writes.all} writes of cursors, ${writes.stale} under an old epoch, ${writes.astray} astray`
  )
  report(
    `${name}: settled in time`,
    settledMillis !== null && settledMillis <= inTimeMillis,
    settledMillis === null ? "never" : `${(settledMillis / 1_000).toFixed(1)} s, promised ${inTimeMillis / 1_000} s`
  )
  const found = await judge(stage.api, stage.control, acknowledged)
  const bad = [
    ...found.lost.map((id) => `${id} is lost`),
    ...found.unasked.map((id) => `${id} was not asked for`),
    ...found.stuck,
    ...found.unknown
  ]
  report(
    `${name}: nothing lost`,
    bad.length === 0 && found.orphans.length === 0,
    `${acknowledged.size} orders acknowledged, ${found.lost.length} lost, ${found.stuck.length} stuck, ${found.orphans.length} orphans${few([...bad, ...found.orphans])}`
  )
  const twice = [...found.acceptedTwice, ...found.executedTwice, ...found.differs]
  report(
    `${name}: nothing twice`,
    twice.length === 0,
    `${found.executed} executed in ${found.trades} trades, ${found.acceptedTwice.length} accepted twice, ${found.executedTwice.length} executed twice, ${found.differs.length} differ from the ledger${few(twice)}`
  )
  await inKafka(stage, name)
  await counted(stage, name)
  const verified = await stage.verify()
  report(
    `${name}: nexus verify`,
    verified.code === 0,
    verified.code === 0 ? lastLine(verified.out) : verified.out.slice(0, 600)
  )
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? ""

const inKafka = async (stage: Stage, name: string): Promise<void> => {
  const heads = await stage.witness.heads()
  const missing = () => heads.reduce((sum, { head, lane }) => sum + stage.reader.missing(lane, 1, head), 0)
  const end = Date.now() + 15_000
  while (missing() > 0 && Date.now() < end) await pause(200)
  const events = heads.reduce((sum, { head }) => sum + head, 0)
  report(
    `${name}: complete in Kafka`,
    missing() === 0 && stage.reader.faults.length === 0,
    `${events} positions on ${heads.length} lanes, ${missing()} missing, ${stage.reader.repeats} repeats${few(stage.reader.faults)}`
  )
}

const countNames = ["orders_total", "orders_processing", "orders_completed", "orders_failed", "orders_cancelled"]

const counted = async (stage: Stage, name: string): Promise<void> => {
  const all = await Promise.all(
    stage.replicas.map((replica) => Promise.all(countNames.map((metric) => replica.figure(metric))))
  )
  const [total = Number.NaN, ...parts] = all[0]!
  const isSame = all.every((one) => JSON.stringify(one) === JSON.stringify(all[0]))
  report(
    `${name}: counts agree`,
    isSame && total === acknowledged.size && total === parts.reduce((sum, n) => sum + n, 0),
    isSame ? `${total} = ${parts.join(" + ")} on ${all.length} replicas` : JSON.stringify(all)
  )
}

const playRound = async (stage: Stage, kind: Kind, number: number): Promise<void> => {
  const name = `${kind} ${number + 1}`
  const begun = Date.now()
  const failuresBefore = stage.balancer.failures.length
  let isOver = false
  const loading = load(stage, `${kind}${number}`, () => isOver)
  let outcome: Outcome
  try {
    outcome = await fault(stage, kind, number, seed, settings)
  } finally {
    isOver = true
  }
  const faultEnded = Date.now()
  const loaded = await loading
  // What was placed last has its own time from then on.
  const settledMillis = await settle(stage, Math.max(faultEnded, Date.now()))
  const failures = stage.balancer.failures.slice(failuresBefore)
  report(
    `${name}: under load`,
    loaded.surprises.length === 0 && outcome.faults.length === 0 && (!outcome.isFlawless || failures.length === 0),
    `${outcome.detail}; ${loaded.sent} orders at ${rate}/s, p99 ${Math.round(loaded.p99)} ms with retries, ` +
      `${failures.length} requests failed at the balancer${few(failures.map(({ what }) => what))}` +
      few([...outcome.faults, ...loaded.surprises])
  )
  await takeovers(stage, name, outcome)
  await verdict(stage, name, settledMillis)
  console.log(`     ${name} took ${Math.round((Date.now() - begun) / 1_000)} s`)
}

const brokers = process.env["KAFKA_BROKERS"] ?? null
const source = await findKafka()
if (brokers === null && source._tag === "None") {
  console.log(`SKIP the run: ${source.reason}`)
  console.log("0 passed, 0 failed, 1 skipped")
  process.exit(0)
}
const begun = Date.now()
const stage = await Stage.open({ seed, brokers, source })
const leave = () => {
  void stage.close(true).finally(() => process.exit(130))
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave)
console.log(`3 replicas, ${rate} orders/s, seed ${seed}; logs in ${stage.folder}`)
try {
  for (const [kind, count] of rounds) {
    for (let number = 0; number < count; number++) await playRound(stage, kind, number)
  }
} catch (error) {
  report("the run", false, error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  await stage.close(values.keep || failed > 0)
}
if (values.keep || failed > 0) console.log(`     kept ${stage.folder}`)
console.log(`     ${Math.round((Date.now() - begun) / 1_000)} s`)
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exit(failed === 0 ? 0 : 1)
