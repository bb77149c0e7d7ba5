/** The keys of a real Kafka: seen by a client that is not ours, on the broker. */
import { Effect, Exit } from "effect"
import kafkajs from "kafkajs"
import { Socket } from "node:net"
import { assert, vi } from "vitest"
import { ends, place } from "../cli/orders.ts"
import { newFolder, run, serve, until } from "../cli/Program.ts"
import { kafkaBrokers } from "../harness/kafka.ts"
import { plainKafka } from "../kafka/kafkaForTests.ts"
import { newDatabase, unique } from "./programs.ts"
import { row, type Rows } from "./Row.ts"

const name = unique()
const orders = `key.${name}.orders`
const events = `key.${name}.events`
const group = `key-${name}`

/** A program on that Kafka that has ended an order; started once. */
const started = (() => {
  let program: ReturnType<typeof serve> | undefined
  const start = async () => {
    const running = await serve(newFolder(), {
      DATABASE_URL: await newDatabase(),
      NEXUS_KAFKA_BROKERS: kafkaBrokers(),
      NEXUS_KAFKA_CONSUMER_GROUP: group,
      NEXUS_KAFKA_TOPICS_ORDERS: orders,
      NEXUS_KAFKA_TOPICS_EVENTS: events,
      NEXUS_KAFKA_RETENTION_MS: "7200000"
    })
    await ends(running.url, (await place(running.url)).id)
    return running
  }
  return () => (program ??= start())
})()

const withAdmin = async <A>(use: (admin: kafkajs.Admin) => Promise<A>): Promise<A> => {
  const admin = plainKafka(kafkaBrokers()).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

const recordsOf = (topic: string) =>
  withAdmin(async (admin) => (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0))

/** `nexus topics` for topics of its own. */
const topics = (env: Readonly<Record<string, string>>) =>
  run(["topics"], newFolder(), {
    KAFKA_BROKERS: kafkaBrokers(),
    NEXUS_KAFKA_TOPICS_ORDERS: `key.${unique()}.orders`,
    NEXUS_KAFKA_TOPICS_EVENTS: `key.${unique()}.events`,
    ...env
  })

export const kafkaRows: Rows = {
  "kafka.brokers": row("the banner, and records on that broker", async () => {
    assert.include((await started()).out, `Kafka at ${kafkaBrokers()}`)
    await until("records", async () => (await recordsOf(events)) > 0)
  }),
  "kafka.consumer_group": row("a group with a member", async () => {
    await started()
    await until("the group has a member", async () => {
      const { groups } = await withAdmin((admin) => admin.describeGroups([group]))
      return (groups[0]?.members.length ?? 0) > 0
    })
  }),
  "kafka.topics.orders": row("what asks for work", async () => {
    await started()
    await until("one record", async () => (await recordsOf(orders)) === 1)
  }),
  "kafka.topics.events": row("all events", async () => {
    await started()
    await until("the whole life", async () => (await recordsOf(events)) >= 4)
  }),
  "kafka.retention_ms": row("the setting of a created topic", async () => {
    await started()
    const { resources } = await withAdmin((admin) =>
      admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: events, configNames: ["retention.ms"] }]
      })
    )
    assert.strictEqual(resources[0]?.configEntries[0]?.configValue, "7200000")
  }),
  "kafka.create_topics": row("missing topics are asked for in a sentence and not made", async () => {
    const missing = `key.${unique()}.none`
    const program = await serve(newFolder(), {
      DATABASE_URL: await newDatabase(),
      KAFKA_BROKERS: kafkaBrokers(),
      NEXUS_KAFKA_TOPICS_ORDERS: missing,
      NEXUS_KAFKA_TOPICS_EVENTS: `${missing}.too`,
      NEXUS_KAFKA_CREATE_TOPICS: "false"
    })
    await until("it is told", async () =>
      (await (await fetch(`${program.url}/ready`)).text()).includes('run \\"nexus topics\\"')
    )
    assert.notInclude(await withAdmin((admin) => admin.listTopics()), missing)
  }),
  "kafka.replication_factor": row("more copies than there are brokers are refused", async () => {
    const { code, err } = await topics({ NEXUS_KAFKA_REPLICATION_FACTOR: "3" })
    assert.strictEqual(code, 1)
    assert.include(err, "Kafka cannot keep 3 copies")
  }),
  "kafka.min_insync_replicas": row("what a broker is asked to create", async () => {
    // One broker takes only 1, which is the default: so it is looked for in the bytes of the request.
    const sent: Array<string> = []
    const write = vi.spyOn(Socket.prototype, "write").mockImplementation(function (this: Socket, ...args) {
      if (Buffer.isBuffer(args[0])) sent.push(args[0].toString("latin1"))
      return Reflect.apply(original, this, args)
    })
    vi.stubEnv("KAFKA_BROKERS", kafkaBrokers())
    vi.stubEnv("NEXUS_KAFKA_TOPICS_ORDERS", `key.${unique()}.orders`)
    vi.stubEnv("NEXUS_KAFKA_TOPICS_EVENTS", `key.${unique()}.events`)
    vi.stubEnv("NEXUS_KAFKA_REPLICATION_FACTOR", "3")
    vi.stubEnv("NEXUS_KAFKA_MIN_INSYNC_REPLICAS", "2")
    try {
      const { topics: command } = await import("../../src/main.ts")
      assert.isTrue(Exit.isFailure(await Effect.runPromiseExit(command)))
    } finally {
      vi.unstubAllEnvs()
      write.mockRestore()
    }
    // A string of the protocol stands behind its length.
    assert.isTrue(sent.some((bytes) => bytes.includes(`min.insync.replicas${String.fromCharCode(0, 1)}2`)))
  })
}

const original = Socket.prototype.write
