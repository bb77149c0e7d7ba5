/**
 * Everything of one upgrade: a PostgreSQL that the older release has migrated, a Kafka, an exchange with its control
 * port, two processes whose release can be exchanged one after the other, and a balancer in front of them.
 */
import { chmodSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { type BenchPostgres, startBenchPostgres } from "../../../bench/postgres.ts"
import { freePort } from "../../freePort.ts"
import { type Broker, type KafkaSource, startBroker } from "../../kafka/Broker.ts"
import { keys, pause, Program, run } from "../programs.ts"
import { Balancer } from "../replicas/Balancer.ts"
import { Reader } from "../replicas/Reader.ts"
import { Replica } from "../replicas/Stage.ts"
import { setUp, Witness } from "../replicas/Witness.ts"
import type { Release } from "./releases.ts"

const slots = 2
const noCuts = { postgres: [], kafka: [], exchange: [] }

export interface StageOptions {
  readonly folder: string
  readonly first: Release
  readonly seed: number
  /** Brokers that run already; null: one is started. */
  readonly brokers: string | null
  readonly source: KafkaSource
}

/** How a process ended that was asked to. */
export interface Ended {
  readonly code: number | null
  readonly millis: number
}

export class Stage {
  readonly replicas: Array<Replica> = []
  readonly exchange: string
  readonly control: string
  readonly balancer: Balancer
  readonly witness: Witness
  readonly reader: Reader
  readonly databaseUrl: string
  #release: Release
  readonly #folder: string
  readonly #ports: ReadonlyArray<number>
  readonly #postgres: BenchPostgres
  readonly #broker: Broker | null
  readonly #simulator: Program
  readonly #environment: Readonly<Record<string, string>>
  readonly #extra: Array<Program> = []

  private constructor(parts: {
    readonly folder: string
    readonly first: Release
    readonly exchange: string
    readonly control: string
    readonly ports: ReadonlyArray<number>
    readonly balancer: Balancer
    readonly witness: Witness
    readonly reader: Reader
    readonly databaseUrl: string
    readonly postgres: BenchPostgres
    readonly broker: Broker | null
    readonly simulator: Program
    readonly environment: Readonly<Record<string, string>>
  }) {
    this.#folder = parts.folder
    this.#release = parts.first
    this.exchange = parts.exchange
    this.control = parts.control
    this.#ports = parts.ports
    this.balancer = parts.balancer
    this.witness = parts.witness
    this.reader = parts.reader
    this.databaseUrl = parts.databaseUrl
    this.#postgres = parts.postgres
    this.#broker = parts.broker
    this.#simulator = parts.simulator
    this.#environment = parts.environment
  }

  get api(): string {
    return `http://127.0.0.1:${this.balancer.port}`
  }

  static async open({ brokers, first, folder, seed, source }: StageOptions): Promise<Stage> {
    mkdirSync(join(folder, "journal"), { recursive: true })
    chmodSync(folder, 0o755)
    const broker = brokers === null ? await startBroker({ source }) : null
    const kafka = brokers ?? broker!.brokers
    const postgres = await startBenchPostgres()
    // The one that it comes with is of this release.
    await postgres.run([`create database upgrade`])
    const database = new URL(postgres.url)
    database.pathname = "/upgrade"
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
    const name = `upgrade.${Date.now().toString(36)}`
    const ports: Array<number> = []
    for (let slot = 0; slot < slots; slot++) ports.push(await freePort())
    const witness = await Witness.open(database.href)
    const stage = new Stage({
      folder,
      first,
      exchange: `http://127.0.0.1:${exchangePort}`,
      control: `http://127.0.0.1:${controlPort}`,
      ports,
      balancer: new Balancer(balancerPort, ports),
      witness,
      reader: new Reader(kafka.split(","), `${name}-reader`),
      databaseUrl: database.href,
      postgres,
      broker,
      simulator,
      environment: {
        ...credentials,
        DATABASE_URL: database.href,
        KAFKA_BROKERS: kafka,
        NEXUS_DATABASE_MIGRATE: "false",
        NEXUS_DATABASE_MAX_OPEN_CONNS: "12",
        NEXUS_KAFKA_TOPICS_ORDERS: `${name}.orders`,
        NEXUS_KAFKA_TOPICS_EVENTS: `${name}.events`,
        NEXUS_KAFKA_CONSUMER_GROUP: name,
        NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${exchangePort}`,
        NEXUS_BINANCE_TESTNET_WS_API_URL: `ws://127.0.0.1:${exchangePort}/ws-api/v3`
      }
    })
    const migrated = await stage.command(first, "migrate")
    if (migrated.code !== 0) throw new Error(`${first.name} could not migrate: ${migrated.out}`)
    for (const statement of setUp) await witness.ask(statement)
    for (let slot = 0; slot < slots; slot++) await stage.#start(slot, first)
    await stage.balancer.open()
    await stage.reader.open(`${name}.events`)
    return stage
  }

  get slots(): ReadonlyArray<number> {
    return this.replicas.map(({ index }) => index)
  }

  async #start(slot: number, release: Release): Promise<void> {
    const port = this.#ports[slot]!
    const program = this.#program(`process-${slot}`, port, release, {})
    this.replicas[slot] = new Replica(slot, port, program, noCuts)
    await program.start()
    this.#release = release
  }

  #program(name: string, port: number, release: Release, more: Readonly<Record<string, string>>): Program {
    return new Program(
      ["serve"],
      {
        ...this.#environment,
        NEXUS_APP_PORT: `${port}`,
        NEXUS_APP_DATA_DIR: join(this.#folder, name),
        ...more
      },
      join(this.#folder, `${name}.log`),
      `http://127.0.0.1:${port}/ready`,
      [],
      release.root
    )
  }

  /** Ends one process as a rolling update does, and starts another release in its place. */
  async replace(slot: number, release: Release): Promise<Ended> {
    const asked = Date.now()
    const code = await this.replicas[slot]!.program.stop("SIGTERM")
    const millis = Date.now() - asked
    await this.#start(slot, release)
    while (!this.balancer.isReady(slot)) await pause(50)
    return { code, millis }
  }

  /** One process more, of some roles, beside the balancer; its address. */
  async startBeside(release: Release, roles: string): Promise<string> {
    const port = await freePort()
    const program = this.#program("beside", port, release, { NEXUS_APP_ROLES: roles })
    this.#extra.push(program)
    await program.start()
    return `http://127.0.0.1:${port}`
  }

  /** A command of a release, in the environment of its processes. */
  command(
    release: Release,
    ...args: ReadonlyArray<string>
  ): Promise<{ readonly code: number | null; readonly out: string }> {
    return run(args, this.#environment, release.root)
  }

  /** What a process of a command needs besides its arguments. */
  get environment(): Readonly<Record<string, string>> {
    return this.#environment
  }

  /** By the release that serves. */
  verify(): Promise<{ readonly code: number | null; readonly out: string }> {
    return this.command(this.#release, "verify")
  }

  async close(): Promise<void> {
    await this.reader.close().catch(() => {})
    this.balancer.close()
    await Promise.all(
      [...this.replicas.map(({ program }) => program), ...this.#extra].map((one) => one.stop("SIGTERM"))
    )
    await this.witness.close()
    await this.#simulator.stop("SIGTERM")
    await this.#broker?.stop()
    await this.#postgres.stop()
  }
}
