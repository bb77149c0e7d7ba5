/** Programs that several rows look at: each is started once, when the first row asks for it, and ended with the file. */
import { Effect, Exit, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import { startSimulator } from "../cli/exchange.ts"
import { newFolder, removeAll, serve } from "../cli/Program.ts"
import { asAdministrator, emptyDatabase } from "../harness/template.ts"
import { freePort } from "../../tools/freePort.ts"
import { type ExchangeFront, startFront } from "./ExchangeFront.ts"

const scope = Scope.makeUnsafe()
const fronts: Array<ExchangeFront> = []

export const endPrograms = async (): Promise<void> => {
  await removeAll()
  for (const front of fronts) front.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
}

const once = <A>(start: () => Promise<A>): (() => Promise<A>) => {
  let started: Promise<A> | undefined
  return () => (started ??= start())
}

export const newDatabase = (): Promise<string> =>
  Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope))

/** The first column of a statement's rows, as an administrator. */
export const ask = (url: string, statement: string): Promise<ReadonlyArray<unknown>> =>
  Effect.runPromise(
    asAdministrator(url, (sql) => Effect.map(sql.unsafe(statement), (rows) => rows.map((row) => Object.values(row)[0])))
  )

export const embeddedPorts = once(async () => ({ app: await freePort(), database: await freePort() }))

/** All parts embedded although others are given, at places of its own. Rows may kill its PostgreSQL, not the program. */
export const embedded = once(async () => {
  const folder = newFolder()
  const ports = await embeddedPorts()
  const program = await serve(folder, {
    NEXUS_APP_HOST: "127.0.0.2",
    NEXUS_APP_PORT: `${ports.app}`,
    NEXUS_APP_DATA_DIR: "elsewhere",
    NEXUS_APP_ALLOW_OPEN_HOST: "true",
    DATABASE_URL: "postgres://nobody:nothing@127.0.0.1:1/nowhere",
    NEXUS_DATABASE_MODE: "embedded",
    NEXUS_DATABASE_EMBEDDED_PORT: `${ports.database}`,
    BINANCE_TESTNET_API_KEY: "unused",
    BINANCE_TESTNET_API_SECRET: "unused",
    NEXUS_BINANCE_MODE: "embedded",
    KAFKA_BROKERS: "127.0.0.1:1",
    NEXUS_KAFKA_MODE: "embedded",
    NEXUS_SIMULATOR_SEED: "8",
    NEXUS_SIMULATOR_LATENCY_MS: "400",
    NEXUS_SIMULATOR_TICK_MS: "0",
    NEXUS_LOGGING_LEVEL: "warn",
    NEXUS_LOGGING_FORMAT: "text"
  })
  return { program, folder, ports, dataDir: `${folder}/elsewhere/simulator` }
})

/** On a database of its own, with narrow limits. */
export const narrow = once(async () => {
  const database = await newDatabase()
  const folder = newFolder()
  const program = await serve(folder, {
    DATABASE_URL: database,
    NEXUS_AUDIT_ANCHOR_FILE: "heads.json",
    NEXUS_AUDIT_ANCHOR_INTERVAL_MS: "100",
    NEXUS_APP_NAME: "another-name",
    NEXUS_DATABASE_MAX_OPEN_CONNS: "11",
    NEXUS_DATABASE_MAX_IDLE_CONNS: "9",
    NEXUS_SIMULATOR_LIMITS: "real",
    NEXUS_SIMULATOR_TICK_MS: "0",
    NEXUS_HTTP_MAX_BODY_BYTES: "1024",
    NEXUS_HTTP_MAX_CONNECTIONS: "20",
    NEXUS_HTTP_REQUEST_TIMEOUT_MS: "1500",
    NEXUS_HTTP_HEADERS_TIMEOUT_MS: "400",
    NEXUS_HTTP_KEEP_ALIVE_TIMEOUT_MS: "300",
    NEXUS_HTTP_DRAIN_MS: "1200"
  })
  return { program, database, anchor: `${folder}/heads.json` }
})

/** On an exchange at an address, with fronts before its REST and its WebSocket API. */
export const trading = once(async () => {
  const simulator = await startSimulator(newFolder())
  const rest = await startFront(simulator.address)
  const sockets = await startFront(simulator.address)
  fronts.push(rest, sockets)
  const program = await serve(newFolder(), {
    DATABASE_URL: await newDatabase(),
    NEXUS_BINANCE_TESTNET_API_KEY: simulator.env.BINANCE_TESTNET_API_KEY ?? "",
    NEXUS_BINANCE_TESTNET_API_SECRET: simulator.env.BINANCE_TESTNET_API_SECRET ?? "",
    NEXUS_BINANCE_TESTNET_BASE_URL: rest.address,
    NEXUS_BINANCE_TESTNET_WS_API_URL: `${sockets.address.replace("http", "ws")}/ws-api/v3`,
    NEXUS_BINANCE_TESTNET_RECV_WINDOW_MS: "4321",
    NEXUS_BINANCE_TESTNET_TIMEOUT_MS: "900",
    NEXUS_BINANCE_STREAM_SILENCE_MS: "2000"
  })
  return { program, rest, sockets }
})

export const unique = (): string => randomUUID().slice(0, 8)
