/** `nexus topics` against a real Kafka: makes, finds right, refuses what cannot carry the lanes. Needs Kafka alone. */
import { randomUUID } from "node:crypto"
import { afterEach, assert, it } from "vitest"
import { plainKafka } from "../kafka/kafkaForTests.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { newFolder, removeAll, run } from "./Program.ts"

afterEach(removeAll)

const kafkaOf = (name: string) => ({
  KAFKA_BROKERS: kafkaBrokers(),
  NEXUS_KAFKA_TOPICS_ORDERS: `cli.${name}.orders`,
  NEXUS_KAFKA_TOPICS_EVENTS: `cli.${name}.events`
})

describeKafka("nexus topics", () => {
  it("makes a partition per lane, finds them right a second time, and refuses another number of lanes", async () => {
    const folder = newFolder()
    const name = randomUUID().slice(0, 8)
    const env = { ...kafkaOf(name), NEXUS_DATABASE_LANES: "3" }

    const first = await run(["topics"], folder, env)
    const second = await run(["topics"], folder, env)
    const other = await run(["topics"], folder, { ...env, NEXUS_DATABASE_LANES: "2" })

    assert.strictEqual(first.code, 0, first.err)
    assert.strictEqual(first.out, `created cli.${name}.orders, cli.${name}.events\n`)
    assert.strictEqual(second.code, 0, second.err)
    assert.strictEqual(second.out, `the topics are right: cli.${name}.orders, cli.${name}.events\n`)
    assert.strictEqual(other.code, 1)
    assert.include(other.err, `Topic "cli.${name}.orders" has 3 partitions but the store has 2 lanes`)
    assert.notMatch(other.err, /\bat .*:\d+:\d+/)
    const admin = plainKafka(kafkaBrokers()).admin()
    await admin.connect()
    const { topics } = await admin.fetchTopicMetadata({ topics: [`cli.${name}.orders`, `cli.${name}.events`] })
    await admin.disconnect()
    assert.deepStrictEqual(
      topics.map(({ partitions }) => partitions.length),
      [3, 3]
    )
  })

  it("says in a sentence that no broker answers", async () => {
    const program = await run(["topics"], newFolder(), { KAFKA_BROKERS: "127.0.0.1:1" })

    assert.strictEqual(program.code, 1)
    assert.match(program.err.split("\n").at(-2) ?? "", /^nexus: .*Kafka/)
    assert.notMatch(program.err, /\bat .*:\d+:\d+/)
  })
})
