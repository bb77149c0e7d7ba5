/**
 * What stands on the events topic already: its newest records, for a start that compares them with the log, and all
 * since a moment, for a recovery that reads back what the log has lost.
 *
 * Reads with a consumer group of its own name, which commits nothing and ends with the reading. Bounded by the end
 * that the topic has when it is asked.
 */
import { Context, Effect, Layer, Result } from "effect"
import type { Admin, Consumer, Kafka, KafkaMessage } from "kafkajs"
import { randomUUID } from "node:crypto"
import type { EpochMillis } from "../domain/Ids.ts"
import { makeClient, retry } from "./Client.ts"
import { BusUnavailable } from "./EventBus.ts"
import type { TopicsOptions } from "./Topics.ts"
import type { EventRecord, MarkerRecord } from "./wire.ts"
import { fromRecord } from "./wire.ts"

export type HistoryRecord = EventRecord | MarkerRecord

export class TopicHistory extends Context.Service<
  TopicHistory,
  {
    /** The last records of each lane, oldest first within it. Empty for a topic that is not there yet. */
    readonly newest: Effect.Effect<ReadonlyArray<HistoryRecord>, BusUnavailable>
    /** All records that were sent since the moment, in order within each lane. */
    readonly since: (moment: EpochMillis) => Effect.Effect<ReadonlyArray<HistoryRecord>, BusUnavailable>
  }
>()("nexus/kafka/TopicHistory") {
  /** Null instead of options: there is no Kafka, and nothing on it. */
  static readonly layer = (options: (TopicsOptions & { readonly consumerGroup: string }) | null) =>
    Layer.effect(
      TopicHistory,
      Effect.gen(function* () {
        if (options === null) return TopicHistory.of({ newest: Effect.succeed([]), since: () => Effect.succeed([]) })
        const kafka = yield* makeClient(options)
        const name = options.topics.events
        const group = `${options.consumerGroup}.history`
        return TopicHistory.of({
          newest: readFrom(kafka, name, group, (admin) =>
            admin.fetchTopicOffsets(name).then((partitions) =>
              partitions.map(({ high, low, partition }) => ({
                partition,
                from: Math.max(Number(low), Number(high) - newestRecords),
                end: Number(high)
              }))
            )
          ),
          since: (moment) =>
            readFrom(kafka, name, group, async (admin) => {
              const [ends, starts] = await Promise.all([
                admin.fetchTopicOffsets(name),
                admin.fetchTopicOffsetsByTimestamp(name, moment)
              ])
              const from = new Map(starts.map(({ offset, partition }) => [partition, Number(offset)]))
              return ends.map(({ high, low, partition }) => ({
                partition,
                from: Math.max(Number(low), from.get(partition) ?? 0),
                end: Number(high)
              }))
            })
        })
      })
    )
}

// One fetch brings as many: what was sent again on purpose may stand behind the newest.
const newestRecords = 200
/** A record comes within milliseconds; a topic of which none comes for so long is not being read. */
const silenceMillis = 15_000
const disconnectMillis = 3_000
const maxWaitMillis = 100

interface Stretch {
  readonly partition: number
  readonly from: number
  /** The offset after the last. */
  readonly end: number
}

const readFrom = (
  kafka: Kafka,
  name: string,
  group: string,
  stretchesOf: (admin: Admin) => Promise<ReadonlyArray<Stretch>>
): Effect.Effect<ReadonlyArray<HistoryRecord>, BusUnavailable> =>
  Effect.gen(function* () {
    const stretches = yield* withAdmin(kafka, async (admin) =>
      (await admin.listTopics()).includes(name) ? stretchesOf(admin) : []
    )
    const wanted = stretches.filter(({ end, from }) => end > from)
    if (wanted.length === 0) return []
    const messages = yield* withConsumer(kafka, `${group}.${randomUUID()}`, (consumer) => read(consumer, name, wanted))
    // What is not ours says nothing about our log.
    return messages.flatMap((message) =>
      Result.match(fromRecord(message), { onFailure: () => [], onSuccess: (record) => [record] })
    )
  })

const unavailable = (cause: unknown) => new BusUnavailable({ topic: "events", lane: null, cause })

const quietly = (leave: () => Promise<void>) =>
  Effect.tryPromise(leave).pipe(
    Effect.timeoutOption(disconnectMillis),
    Effect.catch((error) => Effect.logDebug("a reader of the topic did not leave in order", error))
  )

const withAdmin = <A>(kafka: Kafka, use: (admin: Admin) => Promise<A>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => kafka.admin({ retry })),
    (admin) => Effect.tryPromise({ try: () => admin.connect().then(() => use(admin)), catch: unavailable }),
    (admin) => quietly(() => admin.disconnect())
  )

const withConsumer = <A>(kafka: Kafka, groupId: string, use: (consumer: Consumer) => Promise<A>) =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      kafka.consumer({
        groupId,
        maxWaitTimeInMs: maxWaitMillis,
        allowAutoTopicCreation: false,
        retry: { ...retry, restartOnFailure: () => Promise.resolve(false) }
      })
    ),
    (consumer) => Effect.tryPromise({ try: () => use(consumer), catch: unavailable }),
    (consumer) => quietly(() => consumer.disconnect())
  )

const read = async (consumer: Consumer, topic: string, stretches: ReadonlyArray<Stretch>) => {
  const open = new Map(stretches.map((stretch) => [stretch.partition, stretch]))
  const messages: Array<{ readonly key: string; readonly value: string; readonly headers: Record<string, string> }> = []
  await consumer.connect()
  // From the end, so that nothing is fetched before the places are said, below.
  await consumer.subscribe({ topics: [topic], fromBeginning: false })
  let silence: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      const listen = () => {
        clearTimeout(silence)
        silence = setTimeout(() => reject(new Error(`${topic} was not read to its end in time`)), silenceMillis)
      }
      listen()
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
      consumer
        .run({
          autoCommit: false,
          eachMessage: ({ message, partition }) => {
            listen()
            const stretch = open.get(partition)
            const offset = Number(message.offset)
            if (stretch === undefined || offset < stretch.from) return Promise.resolve()
            if (offset < stretch.end) messages.push(textOf(message))
            if (offset + 1 >= stretch.end) open.delete(partition)
            if (open.size === 0) resolve()
            return Promise.resolve()
          }
        })
        .then(() => {
          for (const { from, partition } of stretches) consumer.seek({ topic, partition, offset: `${from}` })
        })
        .catch(reject)
    })
  } finally {
    clearTimeout(silence)
  }
  return messages
}

const textOf = ({ headers, key, value }: KafkaMessage) => ({
  key: key?.toString() ?? "",
  value: value?.toString() ?? "",
  headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, header]) => [name, String(header)]))
})
