/**
 * Proof: memory is flat. 100,000 orders, 20,000 of them resting at once, the simulator a process of its own;
 * once all have ended, heap after collection is within 10 % and the resident set within 20 % of what they
 * were after the warm-up. Asked through the inspector, so the program runs as anyone runs it.
 *
 *   node tools/proofs/memory.ts [--orders 100000] [--resting 20000] [--connections 32]
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../freePort.ts"
import { heapOf, type Memory } from "./heapOf.ts"
import { keys, pause, Program } from "./programs.ts"

const { values } = parseArgs({
  options: {
    orders: { type: "string", default: "100000" },
    resting: { type: "string", default: "20000" },
    warmup: { type: "string", default: "10000" },
    connections: { type: "string", default: "32" }
  }
})
const orders = Number(values.orders)
const resting = Number(values.resting)
const warmup = Number(values.warmup)
const connections = Number(values.connections)
const heapLimit = 1.1
const residentLimit = 1.2
// Orders that are open at a time while market orders are posted, so that none becomes stale in the queue.
const backlog = 2_000
// V8 gives memory back to the system only while it idles.
const settleMillis = 30_000

const folder = mkdtempSync(join(tmpdir(), "nexus-memory-"))
// As root, PostgreSQL runs as another user, who must be able to enter.
chmodSync(folder, 0o755)
mkdirSync(join(folder, "journal"))
const [exchangePort, appPort, inspectPort] = [await freePort(), await freePort(), await freePort()]
const app = `http://127.0.0.1:${appPort}`
const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
const simulator = new Program(
  ["simulate-exchange", "--port", `${exchangePort}`, "--seed", "7", "--journal", join(folder, "journal")],
  credentials,
  join(folder, "exchange.log"),
  `http://127.0.0.1:${exchangePort}/api/v3/ping`
)
const nexus = new Program(
  ["serve"],
  {
    ...credentials,
    NEXUS_APP_PORT: `${appPort}`,
    NEXUS_APP_DATA_DIR: join(folder, "data"),
    NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${exchangePort}`,
    NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${exchangePort}/ws-api/v3`
  },
  join(folder, "nexus.log"),
  `${app}/ready`,
  [`--inspect=127.0.0.1:${inspectPort}`]
)

const request = async (method: string, path: string, body?: object): Promise<number> => {
  const response = await fetch(app + path, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
  })
  await response.text()
  return response.status
}

const processing = async (): Promise<number> => {
  const text = await (await fetch(`${app}/metrics`)).text()
  return Number(/^orders_processing (\d+)/m.exec(text)?.[1] ?? Number.NaN)
}

const inParallel = async (count: number, each: (index: number) => Promise<void>): Promise<void> => {
  let next = 0
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (next < count) await each(next++)
    })
  )
}

const market =
  (prefix: string, base: number) =>
  async (index: number): Promise<void> => {
    while (index % 256 === 0 && (await processing()) > base + backlog) await pause(200)
    const status = await request("POST", "/api/v1/orders", {
      id: `${prefix}-${index}`,
      symbol: "ETHUSDT",
      side: index % 2 === 0 ? "BUY" : "SELL",
      type: "MARKET",
      quantity: "0.01"
    })
    if (status !== 202) throw new Error(`${prefix}-${index} was answered ${status}`)
  }

/** Posts orders far below the market, so that they rest; above the smallest notional. */
const rest = async (prefix: string, count: number): Promise<void> => {
  const symbol = (await (await fetch(`${app}/api/v1/symbols/BNBUSDT`)).json()) as { bid: number }
  const price = (Math.floor(symbol.bid * 0.5 * 10) / 10).toFixed(1)
  const quantity = (Math.ceil((12 / Number(price)) * 100) / 100).toFixed(2)
  await inParallel(count, async (index) => {
    const order = { id: `${prefix}-${index}`, symbol: "BNBUSDT", side: "BUY", type: "LIMIT", price, quantity }
    const status = await request("POST", "/api/v1/orders", order)
    if (status !== 202) throw new Error(`${prefix}-${index} was answered ${status}`)
    while (index % 256 === 0 && (await processing()) < index - backlog) await pause(100)
  })
}

const cancelAll = (prefix: string, count: number): Promise<void> =>
  inParallel(count, async (index) => {
    await request("DELETE", `/api/v1/orders/${prefix}-${index}`)
  })

const until = async (count: number): Promise<void> => {
  while ((await processing()) > count) await pause(500)
}

const report = (name: string, { external, heapTotal, heapUsed, rss }: Memory) => {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  console.log(
    `${name.padEnd(36)} heap ${megabytes(heapUsed)} of ${megabytes(heapTotal)}, external ${megabytes(external)}, resident ${megabytes(rss)}`
  )
}

let code = 1
try {
  await simulator.start()
  await nexus.start()
  // The same mix as the run, so that every path is compiled and every pool has its size before the first look.
  await inParallel(warmup * 0.8, market("warm", 0))
  await rest("warm-rest", warmup * 0.2)
  await cancelAll("warm-rest", warmup * 0.2)
  await until(0)
  await pause(settleMillis)
  const before = await heapOf(inspectPort)
  report(`after ${warmup} orders to warm up`, before)

  await rest("rest", resting)
  report(`${resting} orders resting`, await heapOf(inspectPort))
  await inParallel(orders - resting, market("order", resting))
  await until(resting)
  report(`${orders - resting} more orders ended`, await heapOf(inspectPort))
  await cancelAll("rest", resting)
  await until(0)
  await pause(settleMillis)
  const after = await heapOf(inspectPort)
  report("all ended", after)
  const heap = after.heapUsed / before.heapUsed
  const resident = after.rss / before.rss
  console.log(`heap ${heap.toFixed(3)} (limit ${heapLimit}), resident ${resident.toFixed(3)} (limit ${residentLimit})`)
  code = heap <= heapLimit && resident <= residentLimit ? 0 : 1
} finally {
  await nexus.stop("SIGTERM")
  await simulator.stop("SIGTERM")
}
if (code === 0) rmSync(folder, { recursive: true, force: true })
else console.log(`logs in ${folder}`)
process.exitCode = code
