/**
 * Proof: nothing lost, nothing twice. 1,000 orders from 64 connections while the program is killed with -9
 * five times; then the log, the API and the exchange's own ledger must tell one story.
 *
 *   node tools/proofs/crash.ts [--orders 1000] [--kills 5] [--kill-exchange] [--faults] [--transport websocket]
 *
 * KAFKA_BROKERS is taken from the environment; without it the embedded bus runs.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { faultyProxy } from "./faultyProxy.ts"
import { freePort } from "../freePort.ts"
import { keys, ledger, pause, Program, run } from "./programs.ts"

const { values } = parseArgs({
  options: {
    orders: { type: "string", default: "1000" },
    kills: { type: "string", default: "5" },
    connections: { type: "string", default: "64" },
    "kill-exchange": { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
    transport: { type: "string", default: "rest" },
    keep: { type: "boolean", default: false }
  }
})
const orders = Number(values.orders)
const kills = Number(values.kills)
const symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"] as const
const quantities = { BTCUSDT: "0.002", ETHUSDT: "0.02", BNBUSDT: "0.1" } as const
// In time: what must be proven absent waits recvWindow + δ + T + 30 s, a stale order its age limit + 30 s.
const settleMillis = 180_000
const faultEvery = 10

const folder = mkdtempSync(join(tmpdir(), "nexus-crash-"))
// As root, PostgreSQL runs as another user, who must be able to enter.
chmodSync(folder, 0o755)
mkdirSync(join(folder, "journal"))
const exchangePort = await freePort()
const proxyPort = await freePort()
const appPort = await freePort()
const exchange = `http://127.0.0.1:${exchangePort}`
const reached = values.faults ? proxyPort : exchangePort
const app = `http://127.0.0.1:${appPort}`
const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
const brokers = process.env["KAFKA_BROKERS"]
const run16 = Date.now().toString(36)
const environment: Record<string, string> = {
  ...credentials,
  NEXUS_APP_PORT: `${appPort}`,
  NEXUS_APP_DATA_DIR: join(folder, "data"),
  NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${reached}`,
  NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${reached}/ws-api/v3`,
  NEXUS_BINANCE_TESTNET_ORDER_TRANSPORT: values.transport,
  ...(brokers === undefined
    ? {}
    : {
        KAFKA_BROKERS: brokers,
        NEXUS_KAFKA_TOPICS_ORDERS: `crash.${run16}.orders`,
        NEXUS_KAFKA_TOPICS_EVENTS: `crash.${run16}.events`,
        NEXUS_KAFKA_CONSUMER_GROUP: `crash-${run16}`
      })
}

const simulator = new Program(
  ["simulate-exchange", "--port", `${exchangePort}`, "--seed", "7", "--journal", join(folder, "journal")],
  credentials,
  join(folder, "exchange.log"),
  `${exchange}/api/v3/ping`
)
const nexus = new Program(["serve"], environment, join(folder, "nexus.log"), `${app}/ready`)

const bodyOf = (index: number) => {
  const symbol = symbols[index % symbols.length]!
  return {
    id: `crash-${run16}-${index}`,
    symbol,
    side: index % 2 === 0 ? "BUY" : "SELL",
    type: "MARKET",
    quantity: quantities[symbol]
  }
}

// The same request under the same id until it is answered: what a client does that must not lose an order.
const post = async (index: number): Promise<void> => {
  while (true) {
    try {
      const response = await fetch(`${app}/api/v1/orders`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(bodyOf(index)),
        signal: AbortSignal.timeout(15_000)
      })
      const text = await response.text()
      if (response.status === 202 || response.status === 200) return
      if (response.status !== 503) throw new Error(`order ${index} was answered ${response.status}: ${text}`)
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("order ")) throw error
    }
    await pause(50)
  }
}

interface View {
  readonly id: string
  readonly status: string
  readonly certainty: string
  readonly client_order_id: string
  readonly filled_quantity: number
  readonly reason: unknown
}

const view = async (index: number): Promise<View | null> => {
  const response = await fetch(`${app}/api/v1/orders/${bodyOf(index).id}`)
  if (response.status === 404) return null
  return (await response.json()) as View
}

const faults: Array<string> = []
const proxy = values.faults ? await faultyProxy(proxyPort, exchangePort, faultEvery) : undefined
const begun = Date.now()
try {
  await simulator.start()
  await nexus.start()
  console.log(`posting ${orders} orders from ${values.connections} connections; logs in ${folder}`)

  let next = 0
  let acknowledged = 0
  const posting = Array.from({ length: Number(values.connections) }, async () => {
    while (next < orders) {
      const index = next++
      await post(index)
      acknowledged += 1
    }
  })
  for (let kill = 1; kill <= kills; kill++) {
    const mark = Math.floor((orders * kill) / (kills + 1))
    while (acknowledged < mark) await pause(2)
    await nexus.stop("SIGKILL")
    if (values["kill-exchange"] && kill % 2 === 0) {
      await simulator.stop("SIGKILL")
      await simulator.start()
    }
    await nexus.start()
    console.log(`kill ${kill}: at ${mark} acknowledged orders, ready again`)
  }
  await Promise.all(posting)
  console.log(`acknowledged ${acknowledged} of ${orders} after ${((Date.now() - begun) / 1000).toFixed(1)} s`)

  const end = Date.now() + settleMillis
  let open = -1
  while (Date.now() < end && open !== 0) {
    const response = await fetch(`${app}/api/v1/orders?status=open&limit=500`)
    open = ((await response.json()) as ReadonlyArray<unknown>).length
    if (open > 0) await pause(250)
  }
  if (open !== 0) faults.push(`${open} orders did not reach an end in ${settleMillis / 1000} s`)
  console.log(`all ended after ${((Date.now() - begun) / 1000).toFixed(1)} s`)

  const books = new Map<string, Array<{ status: string; executed: number }>>()
  for (const symbol of symbols) {
    for (const { clientOrderId, executedQty, status } of await ledger(exchange, symbol)) {
      books.set(clientOrderId, [...(books.get(clientOrderId) ?? []), { status, executed: Number(executedQty) }])
    }
  }
  const ends = new Map<string, number>()
  for (let index = 0; index < orders; index++) {
    const order = await view(index)
    if (order === null) {
      faults.push(`order ${index} was acknowledged and is not in the log`)
      continue
    }
    ends.set(order.status, (ends.get(order.status) ?? 0) + 1)
    const entries = books.get(order.client_order_id) ?? []
    const executed = entries.filter((entry) => entry.executed > 0)
    books.delete(order.client_order_id)
    if (executed.length > 1) faults.push(`${order.id} executed ${executed.length} times`)
    if (order.status === "COMPLETED" && executed.length !== 1)
      faults.push(`${order.id} COMPLETED, on the ledger ${executed.length} times`)
    if (order.status === "FAILED" && executed.length !== 0) faults.push(`${order.id} FAILED, yet executed`)
    const sum = executed.reduce((total, entry) => total + entry.executed, 0)
    if (Math.abs(sum - order.filled_quantity) > 1e-9)
      faults.push(`${order.id} filled ${order.filled_quantity}, the ledger says ${sum}`)
  }
  for (const [id] of books) if (id.startsWith("nx")) faults.push(`the ledger has ${id}, the log does not`)
  console.log(`ends: ${Array.from(ends, ([status, count]) => `${count} ${status}`).join(", ")}`)
  if (proxy !== undefined)
    console.log(`answers lost ${proxy.counts.lost}, cut ${proxy.counts.cut}, late ${proxy.counts.late}`)

  const code = await nexus.stop("SIGTERM")
  if (code !== 0) faults.push(`SIGTERM ended the program with ${code}`)
  const verified = await run(["verify"], environment)
  console.log(verified.out.trim())
  if (verified.code !== 0) faults.push(`verify ended with ${verified.code}`)
} catch (error) {
  faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  await nexus.stop("SIGTERM")
  await simulator.stop("SIGTERM")
  await proxy?.close()
}
for (const fault of faults.slice(0, 20)) console.log(`FAULT ${fault}`)
if (faults.length === 0 && !values.keep) rmSync(folder, { recursive: true, force: true })
console.log(faults.length === 0 ? "nothing lost, nothing twice" : `${faults.length} faults; see ${folder}`)
process.exitCode = faults.length === 0 ? 0 : 1
