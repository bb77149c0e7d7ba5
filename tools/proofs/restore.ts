/**
 * Proof: a database that is set back under load loses nothing that Kafka or the exchange know, executes nothing twice,
 * and its readers miss nothing, although all clients send everything again.
 *
 *   npm run proof:restore [-- --seconds 60] [--clients 64] [--pause 400] [--seed 1] [--keep]
 *
 * A base backup is taken while the clients trade; so many seconds later the process that relays dies, then all of Nexus
 * and PostgreSQL. The backup takes the database's place. Nexus must refuse to start on it; `nexus recover` is killed
 * once in its midst and run to its end; then everybody sends everything again, beside new orders. The judge is the
 * exchange's own ledger, and a reader of Kafka that is written against the published schemas alone. KAFKA_BROKERS is
 * taken from the environment; without it a broker is started.
 */
import { spawn } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { prove, readAll } from "../../test/kafka/foreignConsumer.ts"
import { freePort } from "../freePort.ts"
import { type Broker, findKafka, startBroker } from "../kafka/Broker.ts"
import { keys, pause, Program, run } from "./programs.ts"
import { Clients, symbols } from "./restore/Clients.ts"
import { Server } from "./restore/Server.ts"
import { type Entry, type View, verdictOf } from "./soak/judge.ts"
import type { Intent } from "./soak/Traffic.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "64" },
    pause: { type: "string", default: "400" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false }
  }
})
const lostMillis = Number(values.seconds) * 1_000
const pauseMillis = Number(values.pause)
const clientCount = Number(values.clients)
const root = join(import.meta.dirname, "../..")
const warmUpMillis = 5_000
/** Without a relay, orders go on by the due-scan: long enough that some do, and Kafka never hears of them. */
const unheardMillis = 6_000
/** recvWindow, δ and staleness of a simulator, and what is promised after the last of them; and a starved machine. */
const inTimeMillis = 5_000 + 1_000 + 1_000 + 30_000 + 60_000

let [passed, failed] = [0, 0]
const report = (what: string, isGood: boolean, detail: string): void => {
  if (isGood) passed += 1
  else failed += 1
  console.log(`${isGood ? "PASS" : "FAIL"} ${what}: ${detail}`)
}
const few = (found: ReadonlyArray<string>): string =>
  found.length === 0 ? "" : `; ${found.slice(0, 3).join("; ")}${found.length > 3 ? "; …" : ""}`
const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? ""

const exact = (text: string): unknown =>
  JSON.parse(text, (_, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" ? (context?.source ?? String(value)) : value
  )

const ledgerOf = async (control: string): Promise<ReadonlyArray<Entry>> => {
  const all: Array<Entry> = []
  for (const symbol of symbols) {
    const answer = await (await fetch(`${control}/ledger?symbol=${symbol}`)).json()
    all.push(...(answer as { readonly orders: ReadonlyArray<Entry> }).orders)
  }
  return all
}

const pricesOf = async (exchange: string): Promise<ReadonlyArray<number>> =>
  Promise.all(
    symbols.map(async (symbol) => {
      const answer = await fetch(`${exchange}/api/v3/ticker/price?symbol=${symbol}`)
      return Number(((await answer.json()) as { readonly price: string }).price)
    })
  )

const source = await findKafka()
const given = process.env["KAFKA_BROKERS"] ?? null
if (given === null && source._tag === "None") {
  console.log(`SKIP the run: ${source.reason}`)
  console.log("0 passed, 0 failed, 1 skipped")
  process.exit(0)
}

const folder = mkdtempSync(join(tmpdir(), "nexus-restore-"))
chmodSync(folder, 0o755)
mkdirSync(join(folder, "journal"))
const open: { broker: Broker | null; server: Server | null; programs: Array<Program> } = {
  broker: null,
  server: null,
  programs: []
}
const close = async (): Promise<void> => {
  await Promise.all(open.programs.map((program) => program.stop("SIGKILL")))
  await open.server?.close()
  await open.broker?.stop()
  if (!values.keep && failed === 0) rmSync(folder, { recursive: true, force: true })
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void close().finally(() => process.exit(130)))
}

const play = async (): Promise<void> => {
  open.broker = given === null ? await startBroker({ source }) : null
  const brokers = given ?? open.broker!.brokers
  const server = (open.server = await Server.open())
  const [exchangePort, controlPort, port] = [await freePort(), await freePort(), await freePort()]
  const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
  const program = (name: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>, probe: string) => {
    const one = new Program(args, env, join(folder, `${name}.log`), probe)
    open.programs.push(one)
    return one
  }
  const exchange = `http://127.0.0.1:${exchangePort}`
  const control = `http://127.0.0.1:${controlPort}`
  await program(
    "exchange",
    [
      "simulate-exchange",
      `--port=${exchangePort}`,
      `--control-port=${controlPort}`,
      `--seed=${values.seed}`,
      `--journal=${join(folder, "journal")}`
    ],
    credentials,
    `${exchange}/api/v3/ping`
  ).start()
  const name = Date.now().toString(36)
  const topic = `restore.${name}.events`
  const environment = {
    ...credentials,
    DATABASE_URL: server.url,
    KAFKA_BROKERS: brokers,
    NEXUS_KAFKA_TOPICS_ORDERS: `restore.${name}.orders`,
    NEXUS_KAFKA_TOPICS_EVENTS: topic,
    NEXUS_KAFKA_CONSUMER_GROUP: `restore-${name}`,
    NEXUS_BINANCE_TESTNET_BASE_URL: exchange,
    NEXUS_HTTP_DRAIN_MS: "0",
    NEXUS_APP_DATA_DIR: join(folder, "data")
  }
  const api = `http://127.0.0.1:${port}`
  const front = program(
    "front",
    ["serve"],
    { ...environment, NEXUS_APP_PORT: `${port}`, NEXUS_APP_ROLES: "api,executor,reports,reconciler" },
    `${api}/ready`
  )
  const relayPort = await freePort()
  const relay = program(
    "relay",
    ["serve"],
    { ...environment, NEXUS_APP_PORT: `${relayPort}`, NEXUS_APP_ROLES: "api,relay" },
    `http://127.0.0.1:${relayPort}/ready`
  )
  await front.start()
  await relay.start()

  const prices = await pricesOf(exchange)
  const clients = new Clients(api, clientCount)
  clients.open("before", prices, pauseMillis)
  await pause(warmUpMillis)
  const backupAt = Date.now()
  await server.backUp()
  const backupTook = Date.now() - backupAt
  const kept = clients.sent.length
  await pause(Math.max(lostMillis - unheardMillis, 0))
  await relay.stop("SIGKILL")
  await pause(Math.min(unheardMillis, lostMillis))
  await front.stop("SIGKILL")
  const committed = Number((await server.ask("select count(*) as n from events"))[0]?.["n"])
  await server.die()
  await clients.close()
  const answered = clients.sent.filter((one) => one.answered)
  const unanswered = clients.sent.length - answered.length

  server.setBack()
  await server.start()
  const restored = Number((await server.ask("select count(*) as n from events"))[0]?.["n"])
  const ledgerBefore = await ledgerOf(control)
  report(
    "set back under load",
    committed > restored && clients.surprises.length === 0,
    `${clients.sent.length} orders of ${clientCount} clients, ${kept} of them before the end of a backup that took ` +
      `${backupTook} ms; ${committed - restored} of ${committed} events are lost, ${unanswered} requests unanswered${few(clients.surprises)}`
  )

  const refused = await run(["serve"], { ...environment, NEXUS_APP_PORT: `${port}` })
  report(
    "not served as it is",
    refused.code === 1 && refused.out.includes("nexus recover"),
    `exit code ${refused.code}: ${lastLine(refused.out)}`
  )

  const flags = ["recover", "--by", "the proof", "--reason", `set back by ${values.seconds} s`, "--json"]
  const killed = await killedMidway(flags, environment)
  const begun = Date.now()
  const recovered = await run(flags, environment)
  const told = /^\{.*\}$/m.exec(recovered.out)?.[0]
  if (recovered.code !== 0 || told === undefined) throw new Error(`recover: ${recovered.code} ${recovered.out}`)
  const recovery = JSON.parse(told) as Recovery
  const fresh = recovery.orders.filter(({ isNew }) => isNew)
  const back = recovery.lanes.reduce((sum, { broughtBackTo, head }) => sum + broughtBackTo - head, 0)
  report(
    "recovered",
    recovery.generation === 2 && recovery.lanes.every(({ stop }) => stop === null) && fresh.length > 0,
    `${killed}; then in ${((Date.now() - begun) / 1_000).toFixed(1)} s: generation ${recovery.generation}, ${back} events back from ` +
      `Kafka, ${fresh.length} orders that only the exchange knew, ${recovery.orders.length - fresh.length} brought up to date`
  )
  const twice = await run(flags, environment)
  const nothing = JSON.parse(/^\{.*\}$/m.exec(twice.out)?.[0] ?? "{}") as Recovery
  report(
    "recovered twice is the same",
    twice.code === 0 && nothing.generation === 2 && nothing.events === 0 && nothing.orders.length === 0,
    `${nothing.events} events and ${nothing.orders?.length} orders at the second run`
  )

  const again = program("again", ["serve"], { ...environment, NEXUS_APP_PORT: `${port}` }, `${api}/ready`)
  await again.start()
  // Before anybody asks again: what was answered is known, unless nothing of it ever left PostgreSQL.
  const onTopic = new Set((await readAll(brokers, topic)).map(({ headers }) => headers["ce_subject"]))
  const known = await views(clients, answered)
  const gone = answered.filter(({ id }) => !known.has(id))
  const wrongly = gone.filter(({ id }) => onTopic.has(id))
  report(
    "answered orders are known",
    wrongly.length === 0,
    `${answered.length - gone.length} of ${answered.length}; of the other ${gone.length} neither Kafka nor the exchange knows anything${few(wrongly.map(({ id }) => id))}`
  )

  const newcomers = new Clients(api, 8)
  newcomers.open("after", prices, pauseMillis)
  const repeated = await clients.repeatAll()
  await pause(3_000)
  await newcomers.close()
  await settled(api)
  const all = [...clients.sent, ...newcomers.sent]
  const ends = await views(clients, all)
  const ledger = await ledgerOf(control)
  const intents = new Map(
    all
      .filter((one) => one.answered)
      .map(({ body, id }): [string, Intent] => [id, { id, manner: "market", stays: body.includes("LIMIT") }])
  )
  const verdict = verdictOf(ends, ledger, intents)
  const accepted = new Set(ledger.map(({ clientOrderId }) => clientOrderId))
  report(
    "nothing is executed twice",
    verdict.acceptedTwice.length + verdict.executedTwice.length === 0 && accepted.size === ledger.length,
    `${repeated.again} repetitions answered with the order there was, ${repeated.fresh} new; ${ledger.length} orders on the ` +
      `ledger (${ledgerBefore.length} before), ${verdict.executed} executed, ${verdict.acceptedTwice.length} accepted twice${few([...verdict.acceptedTwice, ...verdict.executedTwice])}`
  )
  const lacking = [...verdict.lost, ...verdict.orphans, ...verdict.differs, ...verdict.stuck, ...verdict.unknown]
  report(
    "every order is known, as the ledger has it",
    lacking.length === 0 && clients.surprises.length + newcomers.surprises.length === 0,
    `${all.length} orders, ${verdict.trades} trades, ${verdict.resting} at rest, ${verdict.lost.length} lost, ${verdict.orphans.length} orphans, ` +
      `${verdict.differs.length} differ${few([...lacking, ...clients.surprises, ...newcomers.surprises])}`
  )

  await readers(server, brokers, topic)
  await again.stop("SIGTERM")
  // A machine that is starved by this very load may take its time between two pages.
  const verified = await run(["verify"], { ...environment, NEXUS_DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_MS: "60000" })
  report("nexus verify", verified.code === 0, verified.code === 0 ? lastLine(verified.out) : verified.out.slice(0, 600))
}

interface Recovery {
  readonly generation: number
  readonly events: number
  readonly lanes: ReadonlyArray<{ readonly head: number; readonly broughtBackTo: number; readonly stop: string | null }>
  readonly orders: ReadonlyArray<{ readonly orderId: string; readonly isNew: boolean }>
}

/** Begun and killed while it works: in the middle of bringing events back, or of waiting for the exchange. */
const killedMidway = async (flags: ReadonlyArray<string>, env: Readonly<Record<string, string>>): Promise<string> => {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_)/.test(name))
  const child = spawn(process.execPath, [join(root, "src/cli.ts"), ...flags], {
    cwd: root,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: "ignore"
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const count = async () => Number((await open.server!.ask("select count(*) as n from events"))[0]?.["n"])
  const before = await count()
  while ((await count()) === before && child.exitCode === null) await pause(20)
  child.kill("SIGKILL")
  await ended
  return `killed once after ${(await count()) - before} events`
}

const views = async (clients: Clients, sent: ReadonlyArray<{ readonly id: string }>): Promise<Map<string, View>> => {
  const found = new Map<string, View>()
  const waiting = sent.map(({ id }) => id)
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        const { status, text } = await clients.view(id)
        if (status === 200) found.set(id, exact(text) as View)
      }
    })
  )
  return found
}

/** Until nothing is in doubt or owed, and what is open rests in the book. */
const settled = async (api: string): Promise<void> => {
  const end = Date.now() + inTimeMillis
  const figure = async (text: string, name: string) =>
    Number(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "m").exec(text)?.[1])
  while (Date.now() < end) {
    const text = await (await fetch(`${api}/metrics`)).text()
    const [unknown, owed] = [await figure(text, "nexus_orders_unknown"), await figure(text, "nexus_outbox_backlog")]
    const pending = (await (
      await fetch(`${api}/api/v1/orders?status=PENDING&limit=1`)
    ).json()) as ReadonlyArray<unknown>
    const busy = (await (await fetch(`${api}/api/v1/orders?status=EXECUTING&limit=500`)).json()) as ReadonlyArray<View>
    if (unknown === 0 && owed === 0 && pending.length === 0 && busy.every(({ certainty }) => certainty === "CONFIRMED"))
      return
    await pause(200)
  }
}

/** Complete over both generations, each event once under one id, and all that is committed. */
const readers = async (server: Server, brokers: string, topic: string): Promise<void> => {
  const eventIds = async () => (await server.ask("select event_id as id from events")).map(({ id }) => String(id))
  // The store goes on meanwhile: what was in the log before must be on the topic, and what is there, in the log after.
  const before = await eventIds()
  while ((await server.ask("select from outbox limit 1")).length > 0) await pause(100)
  const messages = await readAll(brokers, topic)
  const after = new Set(await eventIds())
  const proof = prove(join(root, "docs/events"), messages)
  const ids = new Map<string, string>()
  const bodies: Array<string> = []
  for (const { headers } of messages) {
    const key = `${headers["ce_subject"]} version ${headers["ce_sequence"]}`
    const before = ids.get(key)
    if (before !== undefined && before !== headers["ce_id"]) bodies.push(`${key} means two events`)
    ids.set(key, headers["ce_id"]!)
  }
  const seen = new Set(ids.values())
  const missed = before.filter((id) => !seen.has(id)).map((id) => `${id} is not on the topic`)
  const unknown = [...seen].filter((id) => !after.has(id)).map((id) => `${id} is not in the log`)
  const wrong = [...proof.missing, ...proof.wrong, ...bodies, ...missed, ...unknown]
  report(
    "readers miss nothing",
    wrong.length === 0,
    `${before.length} events in the log, ${seen.size} on the topic in ${proof.events} positions of two generations, ${proof.repeats} repeats, ` +
      `${proof.missing.length} missing, ${proof.voided.length} void, ${bodies.length} with two meanings${few(wrong)}`
  )
}

const begun = Date.now()
console.log(`${clientCount} clients, back by ${values.seconds} s, seed ${values.seed}; logs in ${folder}`)
try {
  await play()
} catch (error) {
  report("the run", false, error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  await close()
}
if (values.keep || failed > 0) console.log(`     kept ${folder}`)
console.log(`     ${Math.round((Date.now() - begun) / 1_000)} s`)
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exit(failed === 0 ? 0 : 1)
