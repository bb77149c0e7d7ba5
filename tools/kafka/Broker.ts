/**
 * A real Kafka broker for tests and for `npm run kafka`: one node, KRaft, loopback, small heap.
 *
 * From Maven Central's jars where Java and Maven are there, else from the Docker engine, else not at all, with the
 * reason. Ready means that a topic has a leader, not that the port is open. A broker stops with whoever started it.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { Kafka, logLevel } from "kafkajs"
import { freePort } from "../freePort.ts"
import { kafkaArtifacts } from "./Artifacts.ts"
import { dockerBroker, dockerEngine } from "./DockerBroker.ts"
import { javaBroker } from "./JavaBroker.ts"
import { createLed } from "./createLed.ts"

export type KafkaSource =
  | { readonly _tag: "Java"; readonly classPath: string }
  | { readonly _tag: "Docker" }
  | { readonly _tag: "None"; readonly reason: string }

export interface Broker {
  /** Bootstrap servers, `host:port`. */
  readonly brokers: string
  /** Clean stop; removes the data unless the folder was the caller's. */
  readonly stop: () => Promise<void>
  /** kill -9; the data stays. */
  readonly kill9: () => Promise<void>
  /** Starts it again on the same port and data, after `kill9` or while it runs (then it is stopped first). */
  readonly restart: () => Promise<void>
}

/** What a broker is made of; each way of running one gives these three, `startBroker` does the rest. */
export interface RunningBroker {
  readonly stop: () => Promise<void>
  readonly kill9: () => Promise<void>
  /** What the broker said, once it has ended by itself. */
  readonly failure: () => string | undefined
}

export interface BrokerOptions {
  readonly source: KafkaSource
  readonly port?: number
  readonly dataDir?: string
}

const readyTimeoutMs = 90_000
const pollMs = 100

/** Where a broker can come from on this machine; fetches the jars when they are wanted and not there yet. */
export const findKafka = async (): Promise<KafkaSource> => {
  const artifacts = await kafkaArtifacts()
  if (artifacts._tag === "Ready") return { _tag: "Java", classPath: artifacts.classPath }
  const docker = dockerEngine()
  if (docker === undefined) return { _tag: "Docker" }
  return { _tag: "None", reason: `no Kafka: KAFKA_BROKERS is not set, ${artifacts.reason}, ${docker}` }
}

export const startBroker = async (options: BrokerOptions): Promise<Broker> => {
  const { source } = options
  if (source._tag === "None") throw new Error(source.reason)
  const port = options.port ?? (await freePort())
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "nexus-kafka-"))
  const ours = options.dataDir === undefined
  const brokers = `127.0.0.1:${port}`

  const launch = async (): Promise<RunningBroker> => {
    const running =
      source._tag === "Java"
        ? await javaBroker({ classPath: source.classPath, port, dataDir, removeAtEnd: ours })
        : await dockerBroker({ port, dataDir })
    try {
      await untilReady(brokers, running)
      return running
    } catch (cause) {
      await running.stop()
      throw cause
    }
  }

  let running = await launch()
  return {
    brokers,
    stop: async () => {
      await running.stop()
      if (ours) rmSync(dataDir, { recursive: true, force: true })
    },
    kill9: () => running.kill9(),
    restart: async () => {
      await running.kill9()
      running = await launch()
    }
  }
}

/** Waits until a topic that is made here has a leader. */
export const untilReady = async (brokers: string, running: RunningBroker): Promise<void> => {
  const deadline = performance.now() + readyTimeoutMs
  for (;;) {
    const failure = running.failure()
    if (failure !== undefined) throw new Error(`the Kafka broker ended while starting:\n${failure}`)
    if (await hasLeader(brokers)) return
    if (performance.now() > deadline)
      throw new Error(`the Kafka broker at ${brokers} is not ready in ${readyTimeoutMs} ms`)
    await pause(pollMs)
  }
}

const probeTopic = "nexus.ready"

const hasLeader = async (brokers: string): Promise<boolean> => {
  const admin = new Kafka({
    brokers: [brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 5_000,
    retry: { retries: 0 }
  }).admin()
  try {
    await admin.connect()
    await createLed(admin, [{ topic: probeTopic, numPartitions: 1 }])
    const { topics } = await admin.fetchTopicMetadata({ topics: [probeTopic] })
    if ((topics[0]?.partitions[0]?.leader ?? -1) < 0) return false
    await admin.deleteTopics({ topics: [probeTopic] })
    return true
  } catch {
    return false // not yet: the loop above has the deadline
  } finally {
    await admin.disconnect()
  }
}
