/**
 * Orders POST → COMPLETED with executors as processes of their own: the highest rate that is held by one, by two, …
 *
 * One process takes orders in, relays and follows the account; each executor is one more. PostgreSQL, a real Kafka
 * and the simulator (latency 0) are processes of their own as well, new for each number of executors.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../tools/freePort.ts"
import { findKafka, startBroker } from "../tools/kafka/Broker.ts"
import { keys, Program } from "../tools/proofs/programs.ts"
import { type Held, meterOf } from "./heldRate.ts"
import { startBenchPostgres } from "./postgres.ts"
import { machine, table } from "./report.ts"

interface Plan {
  readonly executors: number
  readonly from: number
  readonly probeSeconds: number
  readonly confirmSeconds: number
}

const warmUp = { rate: 100, seconds: 10 }

const heldBy = async (executors: number, plan: Plan): Promise<Held> => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-bench-executors-"))
  mkdirSync(join(folder, "journal"))
  const stops: Array<() => Promise<unknown>> = [async () => rmSync(folder, { recursive: true, force: true })]
  try {
    const postgres = await startBenchPostgres()
    stops.push(postgres.stop)
    const broker = await startBroker({ source: await findKafka() })
    stops.push(broker.stop)
    const exchangePort = await freePort()
    const exchange = `http://127.0.0.1:${exchangePort}`
    const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }

    const start = async (name: string, args: ReadonlyArray<string>, env: Record<string, string>, probe: string) => {
      const program = new Program(args, { ...credentials, ...env }, join(folder, `${name}.log`), probe)
      stops.push(() => program.stop("SIGTERM"))
      await program.start()
    }
    const serve = async (name: string, roles: string): Promise<number> => {
      const port = await freePort()
      const env = {
        DATABASE_URL: postgres.url,
        KAFKA_BROKERS: broker.brokers,
        NEXUS_APP_ROLES: roles,
        NEXUS_APP_PORT: `${port}`,
        NEXUS_APP_DATA_DIR: join(folder, name),
        NEXUS_LOGGING_LEVEL: "warn",
        NEXUS_BINANCE_TESTNET_BASE_URL: exchange,
        NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${exchangePort}/ws-api/v3`
      }
      await start(name, ["serve"], env, `http://127.0.0.1:${port}/ready`)
      return port
    }

    const simulate = [
      "simulate-exchange",
      "--port",
      `${exchangePort}`,
      "--seed",
      "7",
      "--journal",
      join(folder, "journal")
    ]
    await start("exchange", simulate, {}, `${exchange}/api/v3/ping`)
    const port = await serve("intake", "api,relay,reports,reconciler")
    // Without the API there is no port to ask whether it is ready; nothing is posted to it.
    for (let number = 1; number <= executors; number++) await serve(`executor-${number}`, "api,executor")

    process.stderr.write(`${executors} executor${executors === 1 ? "" : "s"}\n`)
    const meter = meterOf(port, `executors${executors}-`)
    await meter.runAt(warmUp.rate, warmUp.seconds, 0)
    return await meter.highest(plan)
  } finally {
    for (const stop of stops.toReversed()) await stop()
  }
}

export const compareExecutors = async (plan: Plan): Promise<string> => {
  const all: Array<Held> = []
  for (let executors = 1; executors <= plan.executors; executors++) all.push(await heldBy(executors, plan))
  const rows = all.map(({ completed, held, rate }, index) => [
    `${index + 1}`,
    held ? `${rate}` : `below ${rate}`,
    `${completed}`,
    (rate / all[0]!.rate).toFixed(2)
  ])
  return [
    table(
      ["executor processes", `orders/s held for ${plan.confirmSeconds} s`, "completed in them", "÷ one executor"],
      rows
    ),
    "",
    "POST → COMPLETED of MARKET orders, open loop over 64 connections; PostgreSQL, Kafka, exchange (latency 0), load and all",
    `processes of Nexus share the machine: ${machine()}`
  ].join("\n")
}
