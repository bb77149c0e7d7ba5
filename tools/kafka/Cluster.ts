/**
 * Three Kafka brokers on loopback, each a process and a folder of its own: three copies of every record, two of which
 * must be written before it counts as sent.
 *
 * For what one broker cannot show: leaders that move, a broker that dies while the others go on, a cluster that has
 * lost everything. From the jars alone; all of it stops with whoever started it.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { Kafka, logLevel } from "kafkajs"
import { freePort } from "../freePort.ts"
import type { KafkaSource, RunningBroker } from "./Broker.ts"
import { javaBroker, newClusterId } from "./JavaBroker.ts"

export interface Cluster {
  /** Bootstrap servers of all, `host:port,…`. */
  readonly brokers: string
  /** Clean stop of one broker, by its id: 1, 2, 3. */
  readonly stopOne: (id: number) => Promise<void>
  /** kill -9 of one; its data stays. */
  readonly kill9: (id: number) => Promise<void>
  /** Starts one that was stopped or killed, on its port and data, and waits until all copies are complete again. */
  readonly startOne: (id: number) => Promise<void>
  /** Starts those that do not run, as a test that failed leaves them. */
  readonly heal: () => Promise<void>
  /** Stops all, forgets everything, and starts an empty cluster on the same ports. */
  readonly wipe: () => Promise<void>
  /** Id of the broker that leads a partition; -1 while nobody does. */
  readonly leaderOf: (topic: string, partition: number) => Promise<number>
  /** Of every partition, for the message of a failure: `topic/partition leader 1 of 1,2,3, in sync 1,3`. */
  readonly state: () => Promise<ReadonlyArray<string>>
  /** Hands a partition to a list of brokers; its leader moves when the present one is not on it. */
  readonly reassign: (topic: string, partition: number, replicas: ReadonlyArray<number>) => Promise<void>
  readonly stop: () => Promise<void>
}

const size = 3
const ids = Array.from({ length: size }, (_, index) => index + 1)
/** Three virtual machines on two busy cores. */
const readyTimeoutMs = 180_000
const pollMs = 200

export const startCluster = async (source: KafkaSource): Promise<Cluster> => {
  if (source._tag !== "Java") throw new Error("several brokers need Java 17 and Kafka's jars")
  const folder = mkdtempSync(join(tmpdir(), "nexus-kafka-three-"))
  const ports = await freePorts(size)
  const controllerPorts = await freePorts(size)
  const brokers = ports.map((port) => `127.0.0.1:${port}`)
  const running = new Map<number, RunningBroker>()
  let clusterId = newClusterId()

  const launch = async (id: number): Promise<void> => {
    const broker = await javaBroker({
      classPath: source.classPath,
      port: ports[id - 1]!,
      dataDir: join(folder, `broker-${id}`),
      removeAtEnd: false,
      member: { id, clusterId, controllerPorts }
    })
    running.set(id, broker)
  }

  const ask = async <A>(
    question: (admin: ReturnType<Kafka["admin"]>) => Promise<A>,
    through: ReadonlyArray<string> = brokers
  ): Promise<A> => {
    const admin = new Kafka({ brokers: [...through], logLevel: logLevel.NOTHING, requestTimeout: 5_000 }).admin()
    await admin.connect()
    try {
      return await question(admin)
    } finally {
      await admin.disconnect()
    }
  }

  /**
   * Every partition has a leader and all its copies, in the eyes of each broker. All are asked: for some seconds the
   * others take a broker that was killed for alive.
   */
  const isComplete = async (): Promise<boolean> => {
    try {
      const answers = await Promise.all(brokers.map((broker) => ask(seesAll, [broker])))
      return answers.every((complete) => complete)
    } catch {
      return false // not yet: the loop below has the deadline
    }
  }

  const seesAll = async (admin: ReturnType<Kafka["admin"]>): Promise<boolean> => {
    const { brokers: members } = await admin.describeCluster()
    if (members.length < size) return false
    const { topics } = await admin.fetchTopicMetadata()
    return topics.every(({ partitions }) =>
      partitions.every(({ isr, leader, replicas }) => leader >= 0 && isr.length === replicas.length)
    )
  }

  const untilComplete = async (): Promise<void> => {
    const deadline = performance.now() + readyTimeoutMs
    while (!(await isComplete())) {
      for (const [id, broker] of running) {
        const failure = broker.failure()
        if (failure !== undefined) throw new Error(`broker ${id} ended:\n${failure}`)
      }
      if (performance.now() > deadline) throw new Error(`the cluster is not complete in ${readyTimeoutMs} ms`)
      await pause(pollMs)
    }
  }

  const stopAll = async (): Promise<void> => {
    const all = [...running.values()]
    running.clear()
    await Promise.all(all.map((broker) => broker.stop()))
  }

  const take = (id: number): RunningBroker => {
    const broker = running.get(id)
    if (broker === undefined) throw new Error(`broker ${id} does not run`)
    running.delete(id)
    return broker
  }

  const startAll = async (): Promise<void> => {
    await Promise.all(ids.map(launch))
    await untilComplete()
  }

  const stop = async (): Promise<void> => {
    await stopAll()
    rmSync(folder, { recursive: true, force: true })
  }

  try {
    await startAll()
  } catch (cause) {
    await stop()
    throw cause
  }
  return {
    brokers: brokers.join(","),
    stopOne: (id) => take(id).stop(),
    kill9: (id) => take(id).kill9(),
    startOne: async (id) => {
      await launch(id)
      await untilComplete()
    },
    heal: async () => {
      await Promise.all(ids.filter((id) => !running.has(id)).map(launch))
      await untilComplete()
    },
    wipe: async () => {
      await Promise.all(ids.filter((id) => running.has(id)).map((id) => take(id).kill9()))
      rmSync(folder, { recursive: true, force: true })
      clusterId = newClusterId()
      await startAll()
    },
    leaderOf: (topic, partition) =>
      ask(async (admin) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
        return topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? -1
      }),
    state: () =>
      ask(async (admin) => {
        const { topics } = await admin.fetchTopicMetadata()
        return topics.flatMap(({ name, partitions }) =>
          partitions.map(
            ({ isr, leader, partitionId, replicas }) =>
              `${name}/${partitionId} leader ${leader} of ${replicas.join()}, in sync ${isr.join()}`
          )
        )
      }),
    reassign: (topic, partition, replicas) =>
      ask((admin) =>
        admin.alterPartitionReassignments({
          topics: [{ topic, partitionAssignment: [{ partition, replicas: [...replicas] }] }]
        })
      ),
    stop
  }
}

const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const ports: Array<number> = []
  while (ports.length < count) {
    const port = await freePort()
    if (!ports.includes(port)) ports.push(port)
  }
  return ports
}
