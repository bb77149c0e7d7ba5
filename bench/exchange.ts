/**
 * How many signed orders a second the simulator takes: a process of its own, asked over kept connections.
 *
 *   npm run bench:exchange [-- SECONDS [CONNECTIONS [JOURNAL_FOLDER]]]
 *
 * The client shares the machine's cores with it, so the figure is a lower bound. Ends with 1 if an order was refused, or
 * a pace is below what the simulator promises: whoever tests against it must not wait for it.
 */
import { spawn } from "node:child_process"
import { createHmac } from "node:crypto"
import { once } from "node:events"
import http from "node:http"
import { createInterface } from "node:readline"
import { Effect } from "effect"
import { makeSimulator } from "../src/simulator/Server.ts"

const apiKey = "bench"
const apiSecret = "bench-secret"

const serve = (journal: string | undefined) =>
  Effect.gen(function* () {
    const { url } = yield* makeSimulator({
      host: "127.0.0.1",
      port: 0,
      seed: 7,
      latencyMs: 0,
      limits: "off",
      tickMs: 250,
      apiKey,
      apiSecret,
      // So much that no order of the bench is refused.
      balances: { USDT: "1000000000000", BTC: "10000000" },
      ...(journal === undefined ? {} : { journal })
    })
    yield* Effect.sync(() => console.log(url))
    return yield* Effect.never
  }).pipe(Effect.scoped)

const signed = (params: string): string =>
  `${params}&signature=${createHmac("sha256", apiSecret).update(params).digest("hex")}`

const post = (agent: http.Agent, url: URL, params: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const req = http.request(
      {
        agent,
        host: url.hostname,
        port: url.port,
        method: "POST",
        path: `/api/v3/order?${signed(params)}`,
        headers: { "X-MBX-APIKEY": apiKey, "Content-Length": 0 }
      },
      (res) => {
        res.resume()
        res.on("end", () => resolve(res.statusCode ?? 0))
      }
    )
    req.on("error", reject)
    req.end()
  })

/** Orders per second. */
const promised = 3_000

interface Pace {
  readonly name: string
  readonly params: (n: number) => string
}

const paces: ReadonlyArray<Pace> = [
  { name: "MARKET 0.001 BTC", params: () => "type=MARKET&quantity=0.001" },
  { name: "LIMIT resting", params: (n) => `type=LIMIT&timeInForce=GTC&quantity=0.001&price=${30_000 + (n % 5_000)}` }
]

const run = async (seconds: number, connections: number, journal: string | undefined): Promise<void> => {
  const args = ["--serve", ...(journal === undefined ? [] : [journal])]
  const child = spawn(process.execPath, [import.meta.filename, ...args], { stdio: ["ignore", "pipe", "inherit"] })
  try {
    const [line] = await once(createInterface({ input: child.stdout }), "line")
    const url = new URL(String(line))
    const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
    console.log(
      `node ${process.version}, ${connections} connections, ${journal === undefined ? "no journal" : "journal"}`
    )
    for (const { name, params } of paces) {
      const until = performance.now() + seconds * 1_000
      const start = performance.now()
      let sent = 0
      let failed = 0
      const one = async (): Promise<void> => {
        while (performance.now() < until) {
          const n = sent++
          const side = name.startsWith("LIMIT") || n % 2 === 0 ? "BUY" : "SELL"
          const status = await post(
            agent,
            url,
            `symbol=BTCUSDT&side=${side}&${params(n)}&newClientOrderId=b-${start.toFixed(0)}-${n}&timestamp=${Date.now()}`
          )
          if (status !== 200) failed++
        }
      }
      await Promise.all(Array.from({ length: connections }, one))
      const rate = sent / ((performance.now() - start) / 1_000)
      const isGood = failed === 0 && rate >= promised
      if (!isGood) process.exitCode = 1
      console.log(
        `${name.padEnd(20)} ${rate.toFixed(0).padStart(8)} orders/s   ${failed} failed   ${isGood ? "yes" : `NO: ${promised} are promised`}`
      )
    }
    agent.destroy()
  } finally {
    child.kill("SIGKILL")
  }
}

const [first, second, third] = process.argv.slice(2)
if (first === "--serve") await Effect.runPromise(serve(second))
else await run(Number(first ?? 5), Number(second ?? 32), third)
