/**
 * A Kafka broker from its jars: a formatted data folder and one guarded Java process.
 *
 * The folder is formatted once and used again by a restart. Alone, it keeps one replica of every internal topic; as
 * one of three, three, of which two must have a record. Topics are never made by accident, and the heap is small: it
 * shares two cores and their memory with the tests.
 * After kill -9 a restart waits until the controller gives up the dead broker's session, hence the short time-out.
 */
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { freePort } from "../freePort.ts"
import { spawnGuarded } from "../GuardedProcess.ts"
import type { RunningBroker } from "./Broker.ts"

const run = promisify(execFile)
const heap = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC"]
/** A second, or two minutes when three of them share two cores with a whole test run. */
const formatTimeoutMs = 180_000
/** Of the broker's log, when it fails. */
const tailLength = 4_000

export interface JavaBrokerOptions {
  readonly classPath: string
  readonly port: number
  readonly dataDir: string
  readonly removeAtEnd: boolean
  /** Its place among several; alone when absent. */
  readonly member?: ClusterMember
  /** What it has beside its plain listener. */
  readonly beside?: BesidePlain
}

export interface BesidePlain {
  /** `PROTOCOL://host:port`. */
  readonly listeners: ReadonlyArray<string>
  /** Lines for server.properties. */
  readonly properties: string
  /** For the first formatting of its storage. */
  readonly formatArgs: ReadonlyArray<string>
}

const nothingBeside: BesidePlain = { listeners: [], properties: "", formatArgs: [] }

export interface ClusterMember {
  /** 1, 2, … */
  readonly id: number
  /** The same for all. */
  readonly clusterId: string
  /** Ports of all, its own among them: the member with id 1 has the first. */
  readonly controllerPorts: ReadonlyArray<number>
}

// A dash in front would be read as an option.
export const newClusterId = (): string => randomBytes(16).toString("base64url").replace(/^-/, "A")

export const javaBroker = async (options: JavaBrokerOptions): Promise<RunningBroker> => {
  const { classPath, dataDir, port, removeAtEnd } = options
  const properties = join(dataDir, "server.properties")
  const logging = join(dataDir, "log4j2.properties")
  const log = join(dataDir, "broker.log")
  const java = [`-Dlog4j2.configurationFile=${logging}`, "-cp", classPath]
  const data = join(dataDir, "data")
  mkdirSync(dataDir, { recursive: true })
  writeFileSync(logging, loggingProperties)
  const member = options.member ?? { id: 1, clusterId: newClusterId(), controllerPorts: [await freePort()] }
  const beside = options.beside ?? nothingBeside
  writeFileSync(properties, serverProperties(port, member, data, beside))
  if (!existsSync(join(data, "meta.properties"))) {
    const format = ["kafka.tools.StorageTool", "format", "-t", member.clusterId, "-c", properties, ...beside.formatArgs]
    await run("java", ["-Xmx128m", ...java, ...format], { timeout: formatTimeoutMs })
  }
  const broker = await spawnGuarded({
    command: "java",
    args: [...heap, ...java, "kafka.Kafka", properties],
    log,
    stopSignal: "TERM",
    ...(removeAtEnd ? { removeAtEnd: dataDir } : {})
  })
  return {
    stop: broker.stop,
    kill9: broker.kill9,
    failure: () => (broker.hasExited() ? readFileSync(log, "utf8").slice(-tailLength) : undefined)
  }
}

const serverProperties = (port: number, member: ClusterMember, logDirs: string, beside: BesidePlain) => {
  const { controllerPorts, id } = member
  const copies = controllerPorts.length
  const enough = Math.max(1, copies - 1)
  const forClients = [`PLAINTEXT://127.0.0.1:${port}`, ...beside.listeners].join()
  return `process.roles=broker,controller
node.id=${id}
listeners=${forClients},CONTROLLER://127.0.0.1:${controllerPorts[id - 1]}
advertised.listeners=${forClients}
controller.listener.names=CONTROLLER
controller.quorum.voters=${controllerPorts.map((each, index) => `${index + 1}@127.0.0.1:${each}`).join(",")}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=${["CONTROLLER:PLAINTEXT", ...["PLAINTEXT", "SASL_SSL", "SASL_PLAINTEXT", "SSL"].map((each) => `${each}:${each}`)].join()}
log.dirs=${logDirs}
auto.create.topics.enable=false
auto.leader.rebalance.enable=false
default.replication.factor=${copies}
min.insync.replicas=${enough}
offsets.topic.replication.factor=${copies}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=${copies}
transaction.state.log.min.isr=${enough}
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=${copies}
share.coordinator.state.topic.min.isr=${enough}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
${beside.properties}`
}

const loggingProperties = `appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
`
