/**
 * Proof: three replicas on one PostgreSQL and one Kafka lose nothing and do nothing twice, whichever of them is killed,
 * stands still, is cut off from anything, or is restarted, or PostgreSQL is away under all of them or ends an owner's
 * sessions; and what must be single is soon taken over.
 *
 *   npm run test:replicas [-- --rounds kill=3,stop=1,postgres=2,kafka=2,exchange=2,outage=1,terminate=1,roll=1,storm=1]
 *     [--rate 50] [--pause 60] [--cut 20] [--seed 1] [--keep] [--short | --nightly]
 *
 * Every round runs under a load of orders of all kinds and ends with a verdict: takeovers, stale writes, the log against
 * the exchange's own ledger, Kafka against the log, the counts of all replicas, `nexus verify`. KAFKA_BROKERS is taken
 * from the environment (brokers on this machine); without it one is started.
 */
import { parseArgs } from "node:util"
import { findKafka } from "../kafka/Broker.ts"
import { load, settle } from "./replicas/load.ts"
import { fault, type Kind, kinds, type Outcome } from "./replicas/rounds.ts"
import { Stage } from "./replicas/Stage.ts"
import { few, verdict } from "./replicas/verdict.ts"
import type { Intent } from "./soak/Traffic.ts"

const sizes = {
  short: "kill=3,stop=2,postgres=2,kafka=2,exchange=2,outage=1,terminate=1,roll=1,storm=1",
  full: "kill=20,stop=6,postgres=2,kafka=2,exchange=2,outage=1,terminate=1,roll=5,storm=8",
  nightly: "kill=100,stop=30,postgres=10,kafka=10,exchange=10,outage=5,terminate=5,roll=20,storm=30"
}
const { values } = parseArgs({
  options: {
    rounds: { type: "string" },
    rate: { type: "string", default: "50" },
    pause: { type: "string", default: "60" },
    cut: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false },
    short: { type: "boolean", default: false },
    nightly: { type: "boolean", default: false }
  }
})
const rate = Number(values.rate)
const seed = Number(values.seed)
const settings = { pauseMillis: Number(values.pause) * 1_000, cutMillis: Number(values.cut) * 1_000 }
const size = values.nightly ? "nightly" : values.short ? "short" : "full"
const rounds = new Map(
  (values.rounds ?? sizes[size]).split(",").map((text) => {
    const [kind, count] = text.split("=") as [Kind, string | undefined]
    if (!kinds.includes(kind) || !Number.isInteger(Number(count))) throw new Error(`not rounds: ${text}`)
    return [kind, Number(count)] as const
  })
)
let [passed, failed] = [0, 0]
const report = (what: string, isGood: boolean, detail: string): void => {
  if (isGood) passed += 1
  else failed += 1
  console.log(`${isGood ? "PASS" : "FAIL"} ${what}: ${detail}`)
}
/** Of all rounds; what rested was cancelled at the end of its round. */
const acknowledged = new Map<string, Intent>()

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

const playRound = async (stage: Stage, kind: Kind, number: number): Promise<void> => {
  const name = `${kind} ${number + 1}`
  const begun = Date.now()
  const failuresBefore = stage.balancer.failures.length
  const commandsBefore = stage.balancer.commandsFailed
  let isOver = false
  const { api, exchange } = stage
  const loading = load({ api, exchange, name: `${kind}${number}`, rate, seed, acknowledged, isEnough: () => isOver })
  let outcome: Outcome
  try {
    outcome = await fault(stage, kind, number, seed, settings)
  } finally {
    isOver = true
  }
  const faultEnded = Date.now()
  const loaded = await loading
  // What was placed last has its own time from then on.
  const settledMillis = await settle(stage.replicas[0]!, Math.max(faultEnded, Date.now()))
  const failures = stage.balancer.failures.slice(failuresBefore)
  report(
    `${name}: under load`,
    loaded.surprises.length === 0 && outcome.faults.length === 0 && (!outcome.isFlawless || failures.length === 0),
    `${outcome.detail}; ${loaded.sent} orders at ${rate}/s, p99 ${Math.round(loaded.p99)} ms with retries, ` +
      `${failures.length} requests failed at the balancer${few(failures.map(({ what }) => what))}` +
      few([...outcome.faults, ...loaded.surprises])
  )
  await takeovers(stage, name, outcome)
  await verdict(stage, name, acknowledged, settledMillis, report)
  const { commandsFailed, dishonest, unresolved } = stage.balancer
  report(
    `${name}: honest answers`,
    dishonest.length === 0 && unresolved.size === 0,
    `${commandsFailed - commandsBefore} commands answered 5xx or not at all, ${unresolved.size} not resolved by the same id, ` +
      `${dishonest.length} by a replica that called itself ready${few([...unresolved, ...dishonest])}`
  )
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
