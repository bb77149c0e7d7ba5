/**
 * A Kafka broker from its jars: a formatted data folder and one guarded Java process.
 *
 * The folder is formatted once and used again by a restart. Every internal topic has one replica and one partition,
 * topics are never made by accident, and the heap is small: it shares two cores and their memory with the tests.
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
const formatTimeoutMs = 60_000
/** Of the broker's log, when it fails. */
const tailLength = 4_000

export interface JavaBrokerOptions {
  readonly classPath: string
  readonly port: number
  readonly dataDir: string
  readonly removeAtEnd: boolean
}

export const javaBroker = async (options: JavaBrokerOptions): Promise<RunningBroker> => {
  const { classPath, dataDir, port, removeAtEnd } = options
  const properties = join(dataDir, "server.properties")
  const logging = join(dataDir, "log4j2.properties")
  const log = join(dataDir, "broker.log")
  const java = [`-Dlog4j2.configurationFile=${logging}`, "-cp", classPath]
  const data = join(dataDir, "data")
  mkdirSync(dataDir, { recursive: true })
  writeFileSync(logging, loggingProperties)
  writeFileSync(properties, serverProperties(port, await freePort(), data))
  if (!existsSync(join(data, "meta.properties"))) {
    // A dash in front would be read as an option.
    const id = randomBytes(16).toString("base64url").replace(/^-/, "A")
    const format = ["kafka.tools.StorageTool", "format", "-t", id, "-c", properties]
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

const serverProperties = (port: number, controllerPort: number, logDirs: string) => `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:${controllerPort}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${logDirs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
`

const loggingProperties = `appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
`
