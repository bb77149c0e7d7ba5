/**
 * Proof: executors share the work evenly, and an answer that does not come holds up nobody else.
 *
 *   npm run proof:fairness [-- --orders 10000] [--held 3000] [--rate 60] [--seed 1] [--keep]
 *
 * Three replicas, a store of twelve lanes, MARKET orders at a fixed rate whatever becomes of the earlier ones. Each
 * replica must bring 25 to 42 % of them to the exchange. Then the exchange keeps every fourth answer to itself for 9 s,
 * just below the time after which it gives up by itself: the p99 of the other orders, from the log's word that an order
 * is placed to its word that it is COMPLETED, stays within twice what it was before. KAFKA_BROKERS as in
 * tools/proofs/replicas.ts.
 */
import http from "node:http"
import { parseArgs } from "node:util"
import { clientOrderIdOf, OrderId, StoreId } from "../../src/domain/Ids.ts"
import { findKafka } from "../kafka/Broker.ts"
import { pause } from "./programs.ts"
import { Stage } from "./replicas/Stage.ts"

const { values } = parseArgs({
  options: {
    orders: { type: "string", default: "10000" },
    held: { type: "string", default: "3000" },
    rate: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false }
  }
})
const [count, heldCount, rate, seed] = [values.orders, values.held, values.rate, values.seed].map(Number) as [
  number,
  number,
  number,
  number
]
const lanes = 12
const [leastShare, greatestShare] = [0.25, 0.42]
const heldMillis = 9_000
const slower = 2
/** Connections and code are warm after so many. */
const warmCount = 500
const settleMillis = 60_000
/** What the control port reads at once. */
const faultsAtOnce = 100
const quantities = [
  ["BTCUSDT", "0.0002"],
  ["ETHUSDT", "0.004"],
  ["BNBUSDT", "0.022"]
] as const

let [passed, failed] = [0, 0]
const report = (what: string, isGood: boolean, detail: string): void => {
  if (isGood) passed += 1
  else failed += 1
  console.log(`${isGood ? "PASS" : "FAIL"} ${what}: ${detail}`)
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 128 })

const post = (api: string, body: object): Promise<number> =>
  new Promise((resolve, reject) => {
    const text = JSON.stringify(body)
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) }
    const request = http.request(`${api}/api/v1/orders`, { method: "POST", agent, headers }, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode ?? 0))
    })
    request.on("error", reject)
    request.end(text)
  })

/** Under one id until it is taken. Sides alternate per symbol, so that the account's funds last. */
const place = async (api: string, prefix: string, number: number): Promise<void> => {
  const [symbol, quantity] = quantities[number % quantities.length]!
  const side = Math.floor(number / quantities.length) % 2 === 0 ? "BUY" : "SELL"
  const body = { id: `${prefix}${number}`, symbol, side, type: "MARKET", quantity }
  while (![200, 202].includes(await post(api, body))) await pause(100)
}

interface Flow {
  /** From the log's first word of an order to its last, in ms. */
  readonly lives: ReadonlyMap<string, number>
  readonly executed: ReadonlyArray<number>
  /** Orders that no message brought in time: on a machine with nothing to spare they come by the scan of the log. */
  readonly scanned: number
}

const flow = async (stage: Stage, prefix: string, orders: number): Promise<Flow> => {
  const before = stage.replicas.map(({ cuts }) => cuts.exchange[0]!.orders)
  const scannedBefore = await scanHits(stage)
  const placing: Array<Promise<void>> = []
  const begun = performance.now()
  while (placing.length < orders) {
    const due = Math.min(orders, ((performance.now() - begun) * rate) / 1_000)
    while (placing.length < due) placing.push(place(stage.api, prefix, placing.length))
    await pause(5)
  }
  await Promise.all(placing)
  const end = Date.now() + settleMillis
  let seen = await stage.witness.lives(prefix)
  while (seen.some(({ completedAt }) => completedAt === null) && Date.now() < end) {
    await pause(1_000)
    seen = await stage.witness.lives(prefix)
  }
  return {
    lives: new Map(
      seen.map(({ completedAt, id, placedAt }) => [id, (completedAt ?? Number.POSITIVE_INFINITY) - placedAt])
    ),
    executed: stage.replicas.map(({ cuts }, index) => cuts.exchange[0]!.orders - before[index]!),
    scanned: (await scanHits(stage)) - scannedBefore
  }
}

const scanHits = async (stage: Stage): Promise<number> => {
  const hits = await Promise.all(stage.replicas.map((replica) => replica.figure("nexus_executor_due_scan_hits_total")))
  return hits.reduce((sum, one) => sum + one, 0)
}

const sorted = (values: Iterable<number>): ReadonlyArray<number> => Array.from(values).toSorted((a, b) => a - b)
const at = (values: ReadonlyArray<number>, share: number): number =>
  values[Math.floor(values.length * share)] ?? Number.NaN
const figures = (values: ReadonlyArray<number>): string =>
  `p50 ${at(values, 0.5)} ms, p99 ${at(values, 0.99)} ms, longest ${values.at(-1)} ms`

/** Every fourth order's answer, known beforehand because a client order id follows from the order's. */
const holdEveryFourth = async (stage: Stage, prefix: string, orders: number): Promise<ReadonlySet<string>> => {
  const storeId = StoreId.make(await stage.witness.storeId())
  const held = Array.from({ length: Math.floor(orders / 4) }, (_, index) => `${prefix}${index * 4 + 3}`)
  for (let from = 0; from < held.length; from += faultsAtOnce) {
    const faults = held.slice(from, from + faultsAtOnce).map((id) => ({
      on: "POST /api/v3/order",
      kind: "answerLate",
      millis: heldMillis,
      clientOrderId: clientOrderIdOf(storeId, OrderId.make(id))
    }))
    const response = await fetch(`${stage.control}/faults`, { method: "POST", body: JSON.stringify(faults) })
    if (!response.ok) throw new Error(`faults: ${response.status} ${await response.text()}`)
  }
  return new Set(held)
}

const strikes = async (stage: Stage): Promise<number> => {
  const { struck } = (await (await fetch(`${stage.control}/faults`)).json()) as {
    readonly struck: Readonly<Record<string, number>>
  }
  return struck["answerLate"] ?? 0
}

const isComplete = ({ lives }: Flow, orders: number): boolean =>
  lives.size === orders && Array.from(lives.values()).every(Number.isFinite)

const prove = async (stage: Stage): Promise<void> => {
  await stage.untilSpread()
  await flow(stage, "warm-", warmCount)

  const fair = await flow(stage, "fair-", count)
  const shares = fair.executed.map((one) => one / count)
  report(
    "fair",
    isComplete(fair, count) && shares.every((share) => share >= leastShare && share <= greatestShare),
    `${count} orders at ${rate}/s, of which the replicas brought ${shares.map((share) => `${(share * 100).toFixed(1)} %`).join(", ")} to the exchange; ` +
      `each must take ${leastShare * 100} to ${greatestShare * 100} %; ${fair.scanned} came by the scan of the log`
  )
  const normal = sorted(fair.lives.values())

  const held = await holdEveryFourth(stage, "held-", heldCount)
  const slow = await flow(stage, "held-", heldCount)
  const struck = await strikes(stage)
  const others = sorted(Array.from(slow.lives).flatMap(([id, millis]) => (held.has(id) ? [] : [millis])))
  const limit = at(normal, 0.99) * slower
  report(
    "not blocking",
    isComplete(slow, heldCount) && struck === held.size && at(others, 0.99) <= limit,
    `${struck} of ${heldCount} answers held for ${heldMillis / 1_000} s; the others ${figures(others)}, ${slow.scanned} by the scan; ` +
      `before ${figures(normal)}, so that p99 may be ${limit} ms`
  )
  const verified = await stage.verify()
  report("nexus verify", verified.code === 0, verified.out.trim().split("\n").at(-1) ?? "")
}

const source = await findKafka()
const brokers = process.env["KAFKA_BROKERS"] ?? null
if (brokers === null && source._tag === "None") {
  console.log(`SKIP the run: ${source.reason}`)
  console.log("0 passed, 0 failed, 1 skipped")
  process.exit(0)
}
const begun = Date.now()
const stage = await Stage.open({ seed, brokers, source, lanes })
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void stage.close(true).finally(() => process.exit(130)))
}
console.log(`3 replicas, ${lanes} lanes, seed ${seed}; logs in ${stage.folder}`)
try {
  await prove(stage)
} catch (error) {
  report("the run", false, error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  agent.destroy()
  await stage.close(values.keep || failed > 0)
}
if (values.keep || failed > 0) console.log(`     kept ${stage.folder}`)
console.log(`     ${Math.round((Date.now() - begun) / 1_000)} s`)
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exit(failed === 0 ? 0 : 1)
