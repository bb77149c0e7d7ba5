/**
 * Everything of one run: a PostgreSQL, a Kafka, an exchange with its control port, three replicas of Nexus each behind
 * its own proxies to all three, a balancer in front of them, and those who watch.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startBenchPostgres, type BenchPostgres } from "../../../bench/postgres.ts"
import { freePort } from "../../freePort.ts"
import { type Broker, type KafkaSource, startBroker } from "../../kafka/Broker.ts"
import { keys, pause, Program, run } from "../programs.ts"
import { Balancer } from "./Balancer.ts"
import { Cut } from "./Cut.ts"
import { Reader } from "./Reader.ts"
import { setUp, Witness } from "./Witness.ts"

export const replicaCount = 3
/** After the last round's fault; a machine with nothing to spare takes its time. */
const spreadMillis = 60_000
export type Part = "postgres" | "kafka" | "exchange"

/** An owner's name is drawn at its start, and never said but in PostgreSQL; its roles are in its metrics. */
export interface Held {
  readonly role: string
  readonly epoch: number
}

export class Replica {
  readonly index: number
  readonly port: number
  readonly program: Program
  readonly cuts: Readonly<Record<Part, ReadonlyArray<Cut>>>

  constructor(index: number, port: number, program: Program, cuts: Replica["cuts"]) {
    this.index = index
    this.port = port
    this.program = program
    this.cuts = cuts
  }

  async metrics(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/metrics`, { signal: AbortSignal.timeout(5_000) })
    return response.text()
  }

  /** Sum of a metric over its labels. */
  async figure(name: string): Promise<number> {
    const found = Array.from((await this.metrics()).matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm")))
    return found.length === 0 ? Number.NaN : found.reduce((sum, [, value]) => sum + Number(value), 0)
  }

  async held(): Promise<ReadonlyArray<Held>> {
    const found = (await this.metrics()).matchAll(/^nexus_lease_held\{role="([^"]+)",epoch="(\d+)"\} 1$/gm)
    return Array.from(found, ([, role, epoch]) => ({ role: role!, epoch: Number(epoch) }))
  }
}

export interface StageOptions {
  readonly seed: number
  /** Brokers that run already; null: one is started. */
  readonly brokers: string | null
  /** What such a one is made of. */
  readonly source: KafkaSource
  /** Of the store; as many as by default unless said. */
  readonly lanes?: number
}

export class Stage {
  readonly folder: string
  readonly api: string
  readonly exchange: string
  readonly control: string
  readonly balancer: Balancer
  readonly replicas: ReadonlyArray<Replica>
  readonly witness: Witness
  readonly reader: Reader
  readonly #postgres: BenchPostgres
  readonly #broker: Broker | null
  readonly #simulator: Program
  readonly #environment: Readonly<Record<string, string>>

  private constructor(parts: {
    readonly folder: string
    readonly exchange: string
    readonly control: string
    readonly balancer: Balancer
    readonly replicas: ReadonlyArray<Replica>
    readonly witness: Witness
    readonly reader: Reader
    readonly postgres: BenchPostgres
    readonly broker: Broker | null
    readonly simulator: Program
    readonly environment: Readonly<Record<string, string>>
  }) {
    this.folder = parts.folder
    this.api = `http://127.0.0.1:${parts.balancer.port}`
    this.exchange = parts.exchange
    this.control = parts.control
    this.balancer = parts.balancer
    this.replicas = parts.replicas
    this.witness = parts.witness
    this.reader = parts.reader
    this.#postgres = parts.postgres
    this.#broker = parts.broker
    this.#simulator = parts.simulator
    this.#environment = parts.environment
  }

  static async open({ brokers, lanes, seed, source }: StageOptions): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), "nexus-replicas-"))
    chmodSync(folder, 0o755)
    mkdirSync(join(folder, "journal"))
    const broker = brokers === null ? await startBroker({ source }) : null
    const kafka = (brokers ?? broker!.brokers).split(",")
    const postgres = await startBenchPostgres(lanes)
    await postgres.run(setUp)
    const [exchangePort, controlPort, balancerPort] = [await freePort(), await freePort(), await freePort()]
    const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
    const simulator = new Program(
      [
        "simulate-exchange",
        `--port=${exchangePort}`,
        `--control-port=${controlPort}`,
        `--seed=${seed}`,
        `--journal=${join(folder, "journal")}`
      ],
      credentials,
      join(folder, "exchange.log"),
      `http://127.0.0.1:${exchangePort}/api/v3/ping`
    )
    await simulator.start()
    const name = Date.now().toString(36)
    const shared = {
      ...credentials,
      NEXUS_DATABASE_MIGRATE: "false",
      ...(lanes === undefined ? {} : { NEXUS_DATABASE_LANES: `${lanes}` }),
      NEXUS_KAFKA_TOPICS_ORDERS: `replicas.${name}.orders`,
      NEXUS_KAFKA_TOPICS_EVENTS: `replicas.${name}.events`,
      NEXUS_KAFKA_CONSUMER_GROUP: `replicas-${name}`,
      NEXUS_DATABASE_MAX_OPEN_CONNS: "12"
    }
    const replicas: Array<Replica> = []
    for (let index = 0; index < replicaCount; index++) {
      const cuts = {
        postgres: [await Cut.open({ host: "127.0.0.1", port: postgres.port })],
        kafka: await Cut.openAll(kafka.map(addressOf), true),
        exchange: [await Cut.open({ host: "127.0.0.1", port: exchangePort })]
      }
      const database = new URL(postgres.url)
      database.port = `${cuts.postgres[0]!.port}`
      const exchange = `127.0.0.1:${cuts.exchange[0]!.port}`
      const port = await freePort()
      const program = new Program(
        ["serve"],
        {
          ...shared,
          DATABASE_URL: database.href,
          KAFKA_BROKERS: cuts.kafka.map(({ port }) => `127.0.0.1:${port}`).join(","),
          NEXUS_APP_PORT: `${port}`,
          NEXUS_APP_DATA_DIR: join(folder, `data-${index}`),
          NEXUS_BINANCE_TESTNET_BASE_URL: `http://${exchange}`,
          NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://${exchange}/ws-api/v3`
        },
        join(folder, `replica-${index}.log`),
        `http://127.0.0.1:${port}/ready`
      )
      replicas.push(new Replica(index, port, program, cuts))
    }
    await Promise.all(replicas.map(({ program }) => program.start()))
    const balancer = new Balancer(
      balancerPort,
      replicas.map(({ port }) => port)
    )
    await balancer.open()
    const reader = new Reader(kafka, `replicas-${name}-reader`)
    await reader.open(`replicas.${name}.events`)
    return new Stage({
      folder,
      exchange: `http://127.0.0.1:${exchangePort}`,
      control: `http://127.0.0.1:${controlPort}`,
      balancer,
      replicas,
      witness: await Witness.open(postgres.url),
      reader,
      postgres,
      broker,
      simulator,
      environment: {
        ...shared,
        NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${exchangePort}`,
        DATABASE_URL: postgres.url,
        KAFKA_BROKERS: kafka.join(",")
      }
    })
  }

  /** Until each single work has a live owner and each replica has a lane. */
  async untilSpread(): Promise<void> {
    const end = Date.now() + spreadMillis
    for (;;) {
      const leases = (await this.witness.leases()).filter(({ role }) => role !== "auditor")
      const owners = new Set(leases.filter(({ role }) => role.startsWith("relay/")).map(({ owner }) => owner))
      const held = await Promise.all(this.replicas.map((replica) => replica.held().catch(() => [])))
      const known = held.flat()
      const agree = leases.every((lease) =>
        known.some(({ epoch, role }) => role === lease.role && epoch === lease.epoch)
      )
      if (agree && owners.size === replicaCount && leases.every(({ isLive }) => isLive)) return
      if (Date.now() > end) throw new Error(`leases are not spread: ${JSON.stringify(leases)}`)
      await pause(100)
    }
  }

  /** Which replica holds a role now. */
  async holderOf(role: string): Promise<Replica> {
    const end = Date.now() + spreadMillis
    while (Date.now() < end) {
      const lease = (await this.witness.leases()).find((one) => one.role === role)
      for (const replica of this.replicas) {
        const held = await replica.held().catch(() => [])
        if (held.some((one) => one.role === role && one.epoch === lease?.epoch)) return replica
      }
      await pause(100)
    }
    throw new Error(`nobody holds ${role}`)
  }

  /** Of PostgreSQL itself, under all replicas. The moment from which on it answers again. */
  async withoutPostgres(millis: number): Promise<number> {
    await this.#postgres.stopAtOnce()
    await pause(millis)
    await this.#postgres.startAgain()
    const returned = Date.now()
    await this.witness.comesBack()
    return returned
  }

  /** Ends every session that a replica has at PostgreSQL; how many there were. */
  async terminateSessions(replica: Replica): Promise<number> {
    const ports = replica.cuts.postgres.flatMap((cut) => cut.clientPorts())
    const ended = await this.witness.ask(
      `select pg_terminate_backend(pid) from pg_stat_activity where client_port = any('{${ports.join(",")}}'::int[])`
    )
    return ended.length
  }

  verify(): Promise<{ readonly code: number | null; readonly out: string }> {
    return run(["verify"], this.#environment)
  }

  async close(keep: boolean): Promise<void> {
    await this.reader.close().catch(() => {})
    this.balancer.close()
    for (const { cuts, program } of this.replicas) {
      program.child?.kill("SIGCONT")
      for (const cut of [...cuts.postgres, ...cuts.kafka, ...cuts.exchange]) cut.heal()
    }
    await Promise.all(this.replicas.map(({ program }) => program.stop("SIGTERM")))
    for (const { cuts } of this.replicas)
      for (const cut of [...cuts.postgres, ...cuts.kafka, ...cuts.exchange]) cut.close()
    await this.witness.close()
    await this.#simulator.stop("SIGTERM")
    await this.#broker?.stop()
    await this.#postgres.stop()
    if (!keep) rmSync(this.folder, { recursive: true, force: true })
  }
}

const addressOf = (broker: string) => {
  const at = broker.lastIndexOf(":")
  return { host: broker.slice(0, at), port: Number(broker.slice(at + 1)) }
}
