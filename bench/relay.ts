/**
 * Log → Kafka, against a broker's own tools in the same run: how fast the relay drains a backlog, whether it stays as
 * fast from the first tenth to the last (also beside a transaction of somebody else that never ends), and how long an event
 * takes from its commit to a consumer.
 *
 *   npm run bench:relay [-- --backlog 1000000 --latency-seconds 30 --batch-size 100]
 *
 * Ends with 1 when a bound of its own says NO.
 *
 * The relay is the program in that role (and the api's, unused); what it relays is written by another process, so that each commit wakes it
 * through PostgreSQL, which is the long way. Broker, PostgreSQL and all of them share the machine.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { Kafka, logLevel } from "kafkajs"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../tools/freePort.ts"
import { kafkaVersion } from "../tools/kafka/Artifacts.ts"
import { findKafka, startBroker } from "../tools/kafka/Broker.ts"
import { pause, Program, run } from "../tools/proofs/programs.ts"
import { output } from "./child.ts"
import { startBenchPostgres } from "./postgres.ts"
import type { Logged, LogPlan } from "./relayLog.ts"
import { flushMillis, machine, percentile, table } from "./report.ts"
import { createLed } from "../tools/kafka/createLed.ts"

const { values } = parseArgs({
  options: {
    /** Events. */
    backlog: { type: "string", default: "1000000" },
    /** Records that the broker's own producer sends, before the drain and after it. */
    records: { type: "string", default: "500000" },
    "latency-seconds": { type: "string", default: "30" },
    "latency-rate": { type: "string", default: "1000" },
    /** Round trips of the broker's own latency tool. */
    "round-trips": { type: "string", default: "10000" },
    /** `outbox.batch_size`; what the program does without being told unless given. */
    "batch-size": { type: "string", default: "" }
  }
})
const backlog = Number(values.backlog)
const records = Number(values.records)
const latencyRate = Number(values["latency-rate"])
const latencySeconds = Number(values["latency-seconds"])
/** The goal is told and not demanded; all else decides how the bench ends. */
const wanted = { rate: 12_000, goal: 30_000, p99: 20, timesBroker: 3, slowestTenth: 0.5 }

const lanes = 4
const tenths = 10
const sampleMillis = 100
/** Without a further record for so long, the relay stands still. */
const stillMillis = 60_000
/** Relay, writer and consumer are processes just started: till their compilers settle, the tail is theirs. */
const warmUpSeconds = 15
/** To know the size of a record. */
const sampleEvents = 5_000
const toolRecords = { warmUp: 50_000 }
const group = "bench-relay"

const source = await findKafka()
if (source._tag !== "Java") throw new Error("the broker's own tools need Java 17 and Kafka's jars")
const { classPath } = source
const folder = mkdtempSync(join(tmpdir(), "nexus-bench-relay-"))
const postgres = await startBenchPostgres(lanes)
const broker = await startBroker({ source })
const kafka = new Kafka({ brokers: [broker.brokers], clientId: "bench", logLevel: logLevel.NOTHING })
const admin = kafka.admin()

const env = {
  DATABASE_URL: postgres.url,
  KAFKA_BROKERS: broker.brokers,
  NEXUS_APP_ROLES: "api,relay",
  NEXUS_LOGGING_LEVEL: "warn",
  ...(values["batch-size"] === "" ? {} : { NEXUS_OUTBOX_BATCH_SIZE: values["batch-size"] })
}
const events = "nexus.events"

const log = async (plan: Omit<LogPlan, "url" | "lanes">): Promise<Logged> =>
  JSON.parse(
    await output(process.execPath, [
      join(import.meta.dirname, "relayLog.ts"),
      JSON.stringify({ ...plan, url: postgres.url, lanes } satisfies LogPlan)
    ])
  ) as Logged

const tool = (name: string, ...args: ReadonlyArray<string>) =>
  output("java", ["-Xmx512m", "-cp", classPath, `org.apache.kafka.tools.${name}`, ...args])

/** Records a second of the broker's own producer: 16 kB batches, all copies, as many partitions as there are lanes. */
const producerPerformance = async (recordBytes: number): Promise<number> => {
  const topic = `pp-${Date.now()}`
  await createLed(admin, [{ topic, numPartitions: lanes }])
  const what = ["--num-records", `${records}`, "--record-size", `${recordBytes}`, "--throughput", "-1"]
  const how = ["--warmup-records", `${Math.min(toolRecords.warmUp, records / 2)}`]
  const properties = ["--command-property", "acks=all", "batch.size=16384"]
  const where = ["--bootstrap-server", broker.brokers, "--topic", topic]
  const said = await tool("ProducerPerformance", ...where, ...what, ...how, ...properties)
  const rates = [...said.matchAll(/records sent, ([\d.]+) records\/sec/g)].map(([, rate]) => Number(rate))
  if (rates.length === 0) throw new Error(`ProducerPerformance said: ${said}`)
  await admin.deleteTopics({ topics: [topic] })
  return rates.at(-1)!
}

const endToEndLatency = async (recordBytes: number): Promise<{ readonly p50: number; readonly p99: number }> => {
  const topic = `e2e-${Date.now()}`
  await createLed(admin, [{ topic, numPartitions: 1 }])
  const said = await tool("EndToEndLatency", broker.brokers, topic, values["round-trips"], "all", `${recordBytes}`)
  const [, p50, p99] = /50th = (\d+), 99th = (\d+)/.exec(said) ?? []
  if (p50 === undefined || p99 === undefined) throw new Error(`EndToEndLatency said: ${said}`)
  return { p50: Number(p50), p99: Number(p99) }
}

const sent = async (): Promise<number> =>
  (await admin.fetchTopicOffsets(events)).reduce((sum, { high }) => sum + Number(high), 0)

const withRelay = async <A>(use: () => Promise<A>): Promise<A> => {
  const port = await freePort()
  const data = { NEXUS_APP_PORT: `${port}`, NEXUS_APP_DATA_DIR: join(folder, "data") }
  // With the api, for its /ready; nobody calls it.
  const relay = new Program(["serve"], { ...env, ...data }, join(folder, "nexus.log"), `http://127.0.0.1:${port}/ready`)
  try {
    await relay.start()
    return await use()
  } finally {
    await relay.stop("SIGINT")
  }
}

interface Drain {
  readonly rate: number
  readonly tenths: ReadonlyArray<number>
}

/** From the first record that the relay sends to the last. */
const drain = async (count: number): Promise<Drain> => {
  const before = await sent()
  return withRelay(async () => {
    const marks: Array<number> = []
    let from = { at: performance.now(), count: 0 }
    let begun: number | undefined
    let moved = performance.now()
    while (marks.length < tenths) {
      const now = performance.now()
      const done = (await sent()) - before
      if (done > from.count) {
        begun ??= from.at
        moved = now
        // Between two looks the rate is taken for even.
        while (marks.length < tenths && done >= ((marks.length + 1) * count) / tenths) {
          const mark = ((marks.length + 1) * count) / tenths
          marks.push(from.at + ((now - from.at) * (mark - from.count)) / (done - from.count))
        }
      }
      if (now - moved > stillMillis) throw new Error(`the relay stands still after ${done} of ${count} events`)
      from = { at: now, count: done }
      await pause(sampleMillis)
    }
    const starts = [begun ?? marks[0]!, ...marks]
    const rateOf = (events: number, millis: number) => (events * 1_000) / millis
    return {
      rate: rateOf(count, marks.at(-1)! - starts[0]!),
      tenths: marks.map((mark, index) => rateOf(count / tenths, mark - starts[index]!))
    }
  })
}

/** A transaction of somebody else, with an id of its own, open until it is let go. */
const foreignTransaction = () =>
  Effect.runFork(
    Effect.scoped(
      Effect.gen(function* () {
        const sql = yield* PgClient.make({ url: Redacted.make(postgres.url), maxConnections: 1 }).pipe(
          Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make)
        )
        return yield* sql.withTransaction(Effect.andThen(sql`select pg_current_xact_id()::text`, Effect.never))
      })
    )
  )

/** Commit to consumer, of every event after the warm-up, sorted. */
const latencies = (): Promise<ReadonlyArray<number>> =>
  withRelay(async () => {
    const seen = new Map<string, number>()
    const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 100 })
    await consumer.connect()
    await consumer.subscribe({ topics: [events], fromBeginning: false })
    const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve))
    await consumer.run({
      eachBatch: ({ batch }) => {
        const now = performance.timeOrigin + performance.now()
        for (const { headers } of batch.messages) {
          seen.set(`${String(headers?.["ce_subject"])} ${String(headers?.["ce_sequence"])}`, now)
        }
        return Promise.resolve()
      }
    })
    await joined
    try {
      const commits = join(folder, "commits")
      const logged = await log({ events: latencyRate * (latencySeconds + warmUpSeconds), rate: latencyRate, commits })
      const end = performance.now() + stillMillis
      while (seen.size < logged.events) {
        if (performance.now() > end) throw new Error(`the consumer has ${seen.size} of ${logged.events} events`)
        await pause(sampleMillis)
      }
      const all = readFileSync(commits, "utf8").trim().split("\n")
      const took = all.slice(latencyRate * warmUpSeconds).map((line) => {
        const [order, version, committed] = line.split(" ")
        // Kafka may be faster than the answer to the append.
        return Math.max(0, seen.get(`${order} ${version}`)! - Number(committed))
      })
      return took.sort((a, b) => a - b)
    } finally {
      await consumer.disconnect()
    }
  })

let failed = true
try {
  await admin.connect()
  const topics = await run(["topics"], env)
  if (topics.code !== 0) throw new Error(topics.out)
  const fill = () => log({ events: backlog, rate: 0, commits: "" })

  const sample = await log({ events: sampleEvents, rate: 0, commits: "" })
  await drain(sample.events)
  const { recordBytes } = sample
  const before = await producerPerformance(recordBytes)
  // Before the backlog: behind a million rows in a minute PostgreSQL is busy with vacuuming them for some more.
  const took = await latencies()
  const brokers = await endToEndLatency(recordBytes)
  const first = await fill()
  const alone = await drain(first.events)
  const second = await fill()
  const foreign = foreignTransaction()
  const beside = await drain(second.events)
  await Effect.runPromise(Fiber.interrupt(foreign))
  const after = await producerPerformance(recordBytes)

  const whole = (value: number) => Math.round(value).toString()
  const yes = (isIt: boolean) => (isIt ? "yes" : "NO")
  let isKept = true
  const demanded = (isIt: boolean) => {
    isKept &&= isIt
    return yes(isIt)
  }
  const performanceRate = (before + after) / 2
  const p99 = percentile(took, 0.99)
  const allowed = Math.max(wanted.p99, wanted.timesBroker * brokers.p99)
  const slowest = ({ rate, tenths: each }: Drain) => Math.min(...each) / rate
  const flat = (one: Drain) =>
    `${slowest(one).toFixed(2)}–${(Math.max(...one.tenths) / one.rate).toFixed(2)}, at least ${wanted.slowestTenth} wanted: ${demanded(slowest(one) >= wanted.slowestTenth)}`
  console.log(
    [
      table(
        ["events a second, by tenth", ...Array.from({ length: tenths }, (_, index) => `${index + 1}`), "all"],
        [
          ["drain of the backlog", ...alone.tenths.map(whole), whole(alone.rate)],
          ["… beside an open transaction", ...beside.tenths.map(whole), whole(beside.rate)]
        ]
      ),
      "",
      `relay ${whole(alone.rate)}/s of the broker's own ${whole(performanceRate)}/s (${whole(before)} before, ${whole(after)} after): ` +
        `${(alone.rate / performanceRate).toFixed(2)}; at least ${wanted.rate}/s wanted: ${demanded(alone.rate >= wanted.rate)}, goal ${wanted.goal}: ${yes(alone.rate >= wanted.goal)}`,
      `slowest and fastest tenth ÷ all: ${flat(alone)}; beside an open transaction ${flat(beside)}`,
      `commit → consumer at ${latencyRate} events/s: p50 ${percentile(took, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; the broker's EndToEndLatency ` +
        `p50 ${brokers.p50} ms, p99 ${brokers.p99} ms; at most ${allowed} ms wanted: ${demanded(p99 <= allowed)}`,
      "",
      `Two backlogs of ${first.events} and ${second.events} events, ${recordBytes} bytes a record with key and headers, one in five to both topics; ${lanes} lanes.`,
      `ProducerPerformance: ${records} records of the same size, acks=all, batches of 16 kB, ${lanes} partitions. Latency counts from the answer to the append, in another process than the relay's.`,
      `Kafka ${kafkaVersion}, one broker; PostgreSQL ${await postgres.version()}, fsync on, synchronous_commit on; a flush of 8 kB takes ${flushMillis(folder).toFixed(2)} ms here.`,
      `All on one machine: ${machine()}`
    ].join("\n")
  )
  if (!isKept) process.exitCode = 1
  failed = false
} finally {
  await admin.disconnect()
  await broker.stop()
  await postgres.stop()
  if (failed) console.error(`logs in ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
