/**
 * A relay on a Kafka in trouble, and the judge of what became of its records.
 *
 * The judge is a plain client that reads both topics from their first record to their last, and compares with the log:
 * each event is on the events topic at least once with its body (INV-9); per order, repeats apart, versions come one after
 * the other (INV-10); and so do positions per lane. On the orders topic is each event that asks for work, and no other, in
 * the order of the log.
 */
import { Effect } from "effect"
import type { Kafka, KafkaMessage } from "kafkajs"
import { randomUUID } from "node:crypto"
import type { StoredEvent } from "../../src/domain/Envelope.ts"
import { densityFaults, topicFaults } from "../../src/domain/invariants.ts"
import * as KafkaBus from "../../src/kafka/KafkaBus.ts"
import { Cursors } from "../../src/sql/Cursors.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { scripted } from "../engine/scripted.ts"
import { limit, TestNexus } from "../layers.ts"
import { plainKafka } from "./kafkaForTests.ts"

/** Runs a test beside a relay on this Kafka, and nothing else that works by itself. */
export const beside = (options: KafkaBus.KafkaBusOptions) =>
  scripted([], {
    roles: ["relay"],
    bus: KafkaBus.layer(options),
    // Few at a time: more sends, and so more of them meet a fault.
    env: { NEXUS_OUTBOX_BATCH_SIZE: "8" }
  })

/** Places an order and cancels it before anything was sent: two events, the first of which asks for work. */
export const placeAndCancel = Effect.fnUntraced(function* (id: string) {
  const nexus = yield* TestNexus
  yield* nexus.place(id, limit("BUY", "0.01", "50000"))
  yield* nexus.cancel(id)
})

const pollMillis = 50

/** Waits until the bus has acknowledged the whole log; dies after `patienceMillis`. */
export const untilRelayed = Effect.fnUntraced(function* (patienceMillis: number) {
  const cursors = yield* Cursors
  const store = yield* EventStore
  const begun = performance.now()
  for (;;) {
    const heads = yield* store.laneHeads
    const at = new Map((yield* cursors.positions).map(({ lane, position }) => [lane, position]))
    const owed = heads.filter(({ lane, position }) => at.get(lane) !== position)
    if (owed.length === 0) return
    if (performance.now() - begun > patienceMillis) {
      return yield* Effect.die(new Error(`never relayed: ${JSON.stringify({ heads, cursors: [...at] })}`))
    }
    yield* Effect.sleep(pollMillis)
  }
})

interface Seen {
  readonly lane: number
  readonly position: number
  readonly stream: string
  readonly version: number
  readonly body: string
}

/** Said here once more, and not taken from the relay that is judged. */
const asking = new Set(["OrderPlaced", "CancelRequested"])

/** What is wrong on the topics; empty when nothing is. `repeats` counts what came more than once on either. */
export const judge = Effect.fnUntraced(function* (
  brokers: string,
  topics: { readonly orders: string; readonly events: string }
) {
  const log = yield* wholeLog
  const work = log.filter(({ type }) => asking.has(type))
  const seen = yield* Effect.promise(() => readTopic(brokers, topics.events))
  const asked = yield* Effect.promise(() => readTopic(brokers, topics.orders))
  const faults = [...missing(log, seen, "events"), ...missing(work, asked, "orders"), ...astray(work, asked)]

  for (const [stream, records] of Map.groupBy(seen, (one) => one.stream)) {
    for (const fault of topicFaults(records)) faults.push(`${stream}: ${fault}`)
  }
  for (const [lane, records] of Map.groupBy(seen, (one) => one.lane)) {
    for (const fault of densityFaults(new Set(records.map((one) => one.position)), 0))
      faults.push(`lane ${lane}: ${fault}`)
  }
  const repeats = seen.length + asked.length - placesOf(seen).size - placesOf(asked).size
  return { faults, events: log.length, asked: work.length, repeats }
})

const placeOf = ({ lane, position }: { readonly lane: number; readonly position: number }) => `${lane}/${position}`
const placesOf = (seen: ReadonlyArray<Seen>) => new Map(seen.map((one) => [placeOf(one), one.body]))

const missing = (wanted: ReadonlyArray<StoredEvent>, seen: ReadonlyArray<Seen>, topic: string) => {
  const bodies = placesOf(seen)
  return wanted.flatMap((event) => {
    const body = bodies.get(placeOf(event))
    const what = `lane ${event.lane} position ${event.position} (${event.type})`
    if (body === undefined) return [`${what} is not on the ${topic} topic`]
    return body === JSON.stringify(event.data) ? [] : [`${what} has another body on the ${topic} topic`]
  })
}

/** Of the orders topic: what asks for no work, and what comes for the first time after something later. */
const astray = (work: ReadonlyArray<StoredEvent>, asked: ReadonlyArray<Seen>): ReadonlyArray<string> => {
  const wanted = new Set(work.map(placeOf))
  const faults = asked.filter((one) => !wanted.has(placeOf(one))).map((one) => `${placeOf(one)} asks for no work`)
  for (const [lane, records] of Map.groupBy(asked, (one) => one.lane)) {
    let last = 0
    for (const position of new Set(records.map((one) => one.position))) {
      if (position < last) faults.push(`lane ${lane} of the orders topic: ${position} follows ${last}`)
      last = position
    }
  }
  return faults
}

const wholeLog = Effect.gen(function* () {
  const store = yield* EventStore
  const all: Array<StoredEvent> = []
  for (const { lane, position } of yield* store.laneHeads) all.push(...(yield* store.readLane(lane, 0, position + 1)))
  return all
})

const patienceMillis = 60_000

const readTopic = async (brokers: string, topic: string): Promise<ReadonlyArray<Seen>> => {
  const kafka = plainKafka(brokers)
  const ends = await endsOf(kafka, topic)
  const left = new Set([...ends].filter(([, end]) => end > 0).map(([partition]) => partition))
  const seen: Array<Seen> = []
  if (left.size === 0) return seen
  const consumer = kafka.consumer({ groupId: `judge-${randomUUID()}`, maxWaitTimeInMs: 100 })
  let late: NodeJS.Timeout | undefined
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      late = setTimeout(() => reject(new Error(`the judge never came to the end of ${topic}`)), patienceMillis)
      consumer
        .run({
          autoCommit: false,
          eachMessage: ({ message, partition }) => {
            seen.push(seenOf(partition, message))
            if (Number(message.offset) + 1 >= ends.get(partition)!) left.delete(partition)
            if (left.size === 0) resolve()
            return Promise.resolve()
          }
        })
        .catch(reject)
    })
  } finally {
    clearTimeout(late)
    await consumer.disconnect()
  }
  return seen
}

const endsOf = async (kafka: Kafka, topic: string): Promise<ReadonlyMap<number, number>> => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const offsets = await admin.fetchTopicOffsets(topic)
    return new Map(offsets.map(({ high, partition }) => [partition, Number(high)]))
  } finally {
    await admin.disconnect()
  }
}

const seenOf = (partition: number, { headers, value }: KafkaMessage): Seen => {
  const header = (name: string) => String(headers?.[name] ?? "")
  return {
    // Where it lies, not where it says: a record in a wrong partition is missing in its own.
    lane: partition,
    position: Number(header("ce_position")),
    stream: header("ce_subject"),
    version: Number(header("ce_sequence")),
    body: value?.toString() ?? ""
  }
}
