/** Topics and buses of a test's own on the run's broker, so that no test sees another's records. */
import { Kafka, logLevel } from "kafkajs"
import { randomUUID } from "node:crypto"
import type { Scope } from "effect"
import { Effect } from "effect"
import { EventBus } from "../../src/kafka/EventBus.ts"
import type { KafkaBusOptions } from "../../src/kafka/KafkaBus.ts"
import * as KafkaBus from "../../src/kafka/KafkaBus.ts"
import { makeFaultProxy } from "./FaultProxy.ts"

/** Shortest session that a broker allows by default: members that die are noticed in test time. */
const sessionTimeoutMs = 6_000

export const freshOptions = (brokers: string, lanes = 4): KafkaBusOptions => {
  const name = randomUUID().slice(0, 8)
  return {
    brokers: brokers.split(","),
    clientId: "nexus-test",
    topics: { orders: `orders-${name}`, events: `events-${name}` },
    lanes,
    createTopics: true,
    replicationFactor: 1,
    minInsyncReplicas: 1,
    retentionMs: 3_600_000,
    sessionTimeoutMs
  }
}

/** A bus for one use; closed, with all that it started, at the end. */
export const withBus = <A, E>(
  options: KafkaBusOptions,
  use: (bus: typeof EventBus.Service) => Effect.Effect<A, E, Scope.Scope>
) => Effect.flatMap(EventBus, use).pipe(Effect.scoped, Effect.provide(KafkaBus.layer(options)))

export const proxyBefore = (brokers: string) =>
  Effect.acquireRelease(
    Effect.promise(() => makeFaultProxy(brokers)),
    (proxy) => Effect.promise(() => proxy.close())
  )

/** A plain client, the judge: it does not run through the adapter. */
export const plainKafka = (brokers: string) =>
  new Kafka({ brokers: brokers.split(","), clientId: "judge", logLevel: logLevel.NOTHING })

/** Asked again while a topic that was just made has no leader yet. */
const endsOf = async (kafka: Kafka, topic: string) => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    for (let asked = 0; ; asked++) {
      try {
        return await admin.fetchTopicOffsets(topic)
      } catch (error) {
        if (asked === 50) throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  } finally {
    await admin.disconnect()
  }
}

/** All values of one partition, in order, read until the end that the partition has now. */
export const readLog = async (brokers: string, topic: string, partition: number): Promise<ReadonlyArray<string>> => {
  const kafka = plainKafka(brokers)
  const ends = await endsOf(kafka, topic)
  const end = Number(ends.find((one) => one.partition === partition)!.high)
  if (end === 0) return []
  const values: Array<string> = []
  const consumer = kafka.consumer({ groupId: `judge-${randomUUID()}`, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  try {
    await new Promise<void>((resolve, reject) => {
      consumer.on("consumer.crash", ({ payload }) => {
        if (!payload.restart) reject(payload.error)
      })
      consumer
        .run({
          autoCommit: false,
          eachMessage: ({ message, partition: from }) => {
            if (from === partition) values.push(message.value!.toString())
            if (values.length === end) resolve()
            return Promise.resolve()
          }
        })
        .catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return values
}
