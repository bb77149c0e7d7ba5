/**
 * A Kafka broker from the official image, for machines with a Docker engine and no Java.
 *
 * The command-line client runs in the foreground under the guard, so the container ends with us like any child:
 * the client passes SIGTERM on. The data lives in the folder given; the container itself is thrown away.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { spawnGuarded } from "../GuardedProcess.ts"
import { kafkaVersion } from "./Artifacts.ts"
import type { RunningBroker } from "./Broker.ts"

const probeTimeoutMs = 10_000
const tailLength = 4_000

/** Undefined when an engine answers; else why none does. */
export const dockerEngine = (): string | undefined => {
  const probe = spawnSync("docker", ["version", "--format", "{{.Server.Version}}"], { timeout: probeTimeoutMs })
  if (probe.error !== undefined) return "no Docker on the PATH"
  return probe.status === 0 ? undefined : "no Docker engine answers"
}

export const dockerBroker = async (options: {
  readonly port: number
  readonly dataDir: string
}): Promise<RunningBroker> => {
  const { dataDir, port } = options
  const data = join(dataDir, "data")
  const log = join(dataDir, "broker.log")
  mkdirSync(data, { recursive: true })
  // The image runs as a user of its own, whose number means nothing here.
  chmodSync(data, 0o777)
  const name = `nexus-kafka-${process.pid}-${port}`
  const settings = Object.entries(environment(port)).flatMap(([key, value]) => ["--env", `${key}=${value}`])
  const mounts = ["--publish", `127.0.0.1:${port}:${port}`, "--volume", `${data}:/data`]
  const broker = await spawnGuarded({
    command: "docker",
    args: ["run", "--rm", "--name", name, ...mounts, ...settings, `apache/kafka:${kafkaVersion}`],
    log,
    stopSignal: "TERM"
  })
  return {
    stop: broker.stop,
    kill9: async () => {
      spawnSync("docker", ["kill", "--signal", "KILL", name], { timeout: probeTimeoutMs })
      await broker.exited
    },
    failure: () => (broker.hasExited() ? readFileSync(log, "utf8").slice(-tailLength) : undefined)
  }
}

// As soon as one setting is given the image's own defaults are dropped, so all of them stand here.
const environment = (port: number): Readonly<Record<string, string>> => ({
  CLUSTER_ID: "bmV4dXMta2Fma2EtdGVzdA",
  KAFKA_NODE_ID: "1",
  KAFKA_PROCESS_ROLES: "broker,controller",
  KAFKA_LISTENERS: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://127.0.0.1:19093`,
  KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
  KAFKA_CONTROLLER_LISTENER_NAMES: "CONTROLLER",
  KAFKA_CONTROLLER_QUORUM_VOTERS: "1@127.0.0.1:19093",
  KAFKA_INTER_BROKER_LISTENER_NAME: "PLAINTEXT",
  KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
  KAFKA_LOG_DIRS: "/data",
  KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false",
  KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1",
  KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: "1",
  KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: "1",
  KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: "1",
  KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS: "1",
  KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: "1",
  KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: "1",
  KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0"
})
