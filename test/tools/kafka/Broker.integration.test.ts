/**
 * The brokers that other tests kill: what they acknowledged before must be there afterwards, or those tests prove nothing.
 */
import { Kafka, logLevel } from "kafkajs"
import { assert, it } from "vitest"
import { describeOwnBroker, startOwnBroker } from "../../harness/kafka.ts"
import { createLed } from "../../../tools/kafka/createLed.ts"

const clientOf = (brokers: string) => new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING })

describeOwnBroker("a broker of one's own", () => {
  it("has its topics again, on the same port, after kill -9 and a restart", async () => {
    const broker = await startOwnBroker()
    try {
      const before = clientOf(broker.brokers).admin()
      await before.connect()
      await createLed(before, [{ topic: "kept", numPartitions: 3 }])
      await before.disconnect()

      await broker.kill9()
      await broker.restart()

      const after = clientOf(broker.brokers).admin()
      await after.connect()
      const { topics } = await after.fetchTopicMetadata({ topics: ["kept"] })
      await after.disconnect()
      assert.strictEqual(topics[0]?.partitions.length, 3)
    } finally {
      await broker.stop()
    }
  })
})
