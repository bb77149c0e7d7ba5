/**
 * A topic of somebody else without a leader, in the cluster that we share: it must not keep us from sending.
 *
 * In a file of its own: once a client of ours was made, the guard is in place for the whole process, bare clients included.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { afterAll, beforeAll } from "vitest"
import { makeClient } from "../../src/kafka/Client.ts"
import { makeLaneProducer } from "../../src/kafka/LaneProducer.ts"
import { findKafka } from "../../tools/kafka/Broker.ts"
import { type Cluster, startCluster } from "../../tools/kafka/Cluster.ts"
import { createLed } from "../../tools/kafka/createLed.ts"
import { describeOwnBroker } from "../harness/kafka.ts"
import { record } from "./EventBus.contract.ts"
import { plainKafka } from "./kafkaForTests.ts"
import { untilSaid } from "./until.ts"

const startUpMillis = 400_000
const testMillis = 300_000
const gone = 1

describeOwnBroker("beside a foreign topic whose only replica is on a broker that is gone", () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster(await findKafka())
  }, startUpMillis)
  // Undefined when it did not start.
  afterAll(() => (cluster as Cluster | undefined)?.stop(), startUpMillis)

  it(
    "bare kafkajs cannot begin to send to another topic; ours does",
    async () => {
      const [foreign, topic] = [`foreign-${randomUUID().slice(0, 8)}`, `ours-${randomUUID().slice(0, 8)}`]
      const kafka = plainKafka(cluster.brokers)
      const admin = kafka.admin()
      await admin.connect()
      await createLed(admin, [
        { topic: foreign, replicaAssignment: [{ partition: 0, replicas: [gone] }] },
        { topic, replicaAssignment: [{ partition: 0, replicas: [2, 3] }] }
      ])
      await cluster.kill9(gone)
      // Brokers notice only after a session's time; then the question itself fails.
      const isLed = Effect.promise(() =>
        admin.fetchTopicMetadata({ topics: [foreign] }).then(
          () => true,
          () => false
        )
      )
      await Effect.runPromise(
        untilSaid(
          "nobody leads it",
          Effect.map(isLed, (led) => !led)
        )
      )
      await admin.disconnect()

      const bare = kafka.producer({
        idempotent: true,
        retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000 }
      })
      const answer = await bare.connect().then(
        () => "connected",
        (error: Error) => error.message
      )
      await bare.disconnect()
      const ours = await Effect.runPromise(makeClient({ brokers: cluster.brokers.split(","), clientId: "nexus-test" }))
      const lane = makeLaneProducer(ours, topic, "orders", 0)
      // The first ones may meet the broker that is gone.
      await Effect.runPromise(Effect.retry(lane.send([record("k", "value")]), { times: 10 }))
      await Effect.runPromise(lane.close)

      assert.match(answer, /no leader for this topic-partition/)
    },
    testMillis
  )
})
