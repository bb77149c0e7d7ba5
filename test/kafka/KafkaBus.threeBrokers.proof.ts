/**
 * A relay on three brokers (three copies, two must have a record) that are restarted in turn, killed, and wiped, while
 * orders come in. Whatever happens to them, the topic has what the log has, in order.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { randomUUID } from "node:crypto"
import { Partitioners } from "kafkajs"
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest"
import { makeClient } from "../../src/kafka/Client.ts"
import { EventBus } from "../../src/kafka/EventBus.ts"
import { makeLaneProducer } from "../../src/kafka/LaneProducer.ts"
import { ensureTopics } from "../../src/kafka/Topics.ts"
import { Cursors } from "../../src/sql/Cursors.ts"
import { findKafka } from "../../tools/kafka/Broker.ts"
import { type Cluster, startCluster } from "../../tools/kafka/Cluster.ts"
import { newFolder, removeAll, run } from "../cli/Program.ts"
import { describeOwnBroker } from "../harness/kafka.ts"
import { TestNexus } from "../layers.ts"
import { until as eventually } from "../sql/until.ts"
import { collect, publishUntilTaken, record } from "./EventBus.contract.ts"
import { freshOptions, plainKafka, readLog, withBus } from "./kafkaForTests.ts"
import { beside, judge, placeAndCancel, untilRelayed } from "./relayed.ts"
import { createLed } from "../../tools/kafka/createLed.ts"

const startUpMillis = 400_000
const testMillis = 900_000
const patienceMillis = 120_000
const restartRounds = 3
const killRounds = 8
const ids = [1, 2, 3]
const stuckSessionMillis = 6_000

describeOwnBroker("on three brokers", () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster(await findKafka())
  }, startUpMillis)
  afterAll(async () => {
    // Undefined when it did not start.
    await (cluster as Cluster | undefined)?.stop()
  }, 60_000)
  beforeEach(() => cluster.heal(), startUpMillis)
  afterEach(removeAll)

  const optionsOf = () => ({ ...freshOptions(cluster.brokers), replicationFactor: 3, minInsyncReplicas: 2 })

  /** Orders all the time, in the background; the effect ends it. */
  const load = Effect.fnUntraced(function* (name: string) {
    let placed = 0
    const fiber = yield* Effect.forkScoped(
      Effect.gen(function* () {
        for (;;) {
          yield* placeAndCancel(`${name}-${placed}`)
          placed += 1
          yield* Effect.sleep(10)
        }
      })
    )
    return { placed: () => placed, stop: Fiber.interrupt(fiber) }
  })

  /** Waits until the relay has sent something more in every lane. */
  const flowsAgain = Effect.gen(function* () {
    const cursors = yield* Cursors
    const before = yield* cursors.positions
    const begun = performance.now()
    for (;;) {
      const now = yield* cursors.positions
      if (now.every(({ position }, index) => position > before[index]!.position)) return
      if (performance.now() - begun > patienceMillis) {
        const { health, sending } = yield* EventBus
        const led = yield* Effect.promise(() => cluster.state())
        return yield* Effect.die(
          new Error(
            `nothing flows: ${JSON.stringify({ before, now, health: yield* health, sending: yield* sending, led })}`
          )
        )
      }
      yield* Effect.sleep(50)
    }
  })

  const sound = (topics: { readonly orders: string; readonly events: string }, placed: number) =>
    Effect.gen(function* () {
      yield* untilRelayed(patienceMillis)
      const { asked, events, faults, repeats } = yield* judge(cluster.brokers, topics)
      assert.deepStrictEqual(faults, [])
      assert.isAtLeast(asked, placed)
      console.log(`${events} events, ${asked} of them ask for work, ${repeats} repeats`)
    })

  it(
    "bare kafkajs resolves a send over two partitions without one of them when its leader moves; ours has both",
    async () => {
      const bareTopic = `bare-${randomUUID().slice(0, 8)}`
      const kafka = plainKafka(cluster.brokers)
      const admin = kafka.admin()
      await admin.connect()
      const assigned = (topic: string) => ({
        topic,
        replicaAssignment: [
          { partition: 0, replicas: [1] },
          { partition: 1, replicas: [2] }
        ],
        configEntries: [{ name: "min.insync.replicas", value: "1" }]
      })
      const ourTopic = `ours-${randomUUID().slice(0, 8)}`
      await createLed(admin, [assigned(bareTopic), assigned(ourTopic)])
      await admin.disconnect()
      const moved = async (topic: string) => {
        await cluster.reassign(topic, 1, [1])
        while ((await cluster.leaderOf(topic, 1)) !== 1) await new Promise((resolve) => setTimeout(resolve, 20))
      }
      const both = (value: string) => [
        { partition: 0, value },
        { partition: 1, value }
      ]

      const bare = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner })
      await bare.connect()
      await bare.send({ topic: bareTopic, messages: both("before") })
      await moved(bareTopic)
      const answer = await bare.send({ topic: bareTopic, messages: both("after") })
      await bare.disconnect()

      const ours = await Effect.runPromise(makeClient({ brokers: cluster.brokers.split(","), clientId: "nexus-test" }))
      const lanes = [0, 1].map((lane) => makeLaneProducer(ours, ourTopic, "orders", lane))
      const sendAll = (value: string) =>
        Promise.all(
          lanes.map((lane) => Effect.runPromise(Effect.retry(lane.send([record("k", value)]), { times: 20 })))
        )
      await sendAll("before")
      await moved(ourTopic)
      await sendAll("after")
      for (const lane of lanes) await Effect.runPromise(lane.close)

      assert.deepStrictEqual(
        answer.map(({ partition }) => partition),
        [0]
      )
      assert.deepStrictEqual(await readLog(cluster.brokers, bareTopic, 1), ["before"])
      for (const lane of [0, 1])
        assert.deepStrictEqual(await readLog(cluster.brokers, ourTopic, lane), ["before", "after"])
    },
    testMillis
  )

  it(
    "bare kafkajs beats for a handler that is stuck, and nobody learns of it; ours names the record that it holds",
    async () => {
      const options = { ...optionsOf(), lanes: 1 }
      const bareTopic = `bare-${randomUUID().slice(0, 8)}`
      const kafka = plainKafka(cluster.brokers)
      const admin = kafka.admin()
      await admin.connect()
      await createLed(admin, [{ topic: bareTopic, numPartitions: 1, replicationFactor: 3 }])
      const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
      await producer.connect()
      await producer.send({ topic: bareTopic, messages: [{ value: "stuck" }] })
      await producer.disconnect()
      const groupId = `g-${bareTopic}`
      const consumer = kafka.consumer({
        groupId,
        sessionTimeout: stuckSessionMillis,
        heartbeatInterval: 1_000,
        maxWaitTimeInMs: 500
      })
      let beats = 0
      let letGo: (() => void) | undefined
      await consumer.connect()
      await consumer.subscribe({ topics: [bareTopic], fromBeginning: true })
      const stuck = new Promise<void>((inHand) => {
        void consumer.run({
          eachMessage: () => {
            consumer.on("consumer.heartbeat", () => void (beats += 1))
            inHand()
            return new Promise<void>((resolve) => (letGo = resolve))
          }
        })
      })
      await stuck
      await new Promise((resolve) => setTimeout(resolve, 2 * stuckSessionMillis))
      const beatsWhileStuck = beats
      const { groups } = await admin.describeGroups([groupId])
      letGo?.()
      await consumer.disconnect()
      await admin.disconnect()

      const told = await withBus({ ...options, sessionTimeoutMs: stuckSessionMillis }, (bus) =>
        Effect.gen(function* () {
          yield* collect(bus, { group: groupId, handle: () => Effect.never })
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "stuck")])
          return yield* eventually(bus.health, (problem) => problem?.includes("in hand") ?? false)
        })
      ).pipe(Effect.runPromise)

      assert.isAtLeast(beatsWhileStuck, 3)
      assert.deepStrictEqual([groups[0]?.state, groups[0]?.members.length], ["Stable", 1])
      assert.match(told ?? "", /lane 0 has had the record at offset 0 in hand for \d+ s/)
    },
    testMillis
  )

  it.live(
    `a rolling restart costs no event, ${restartRounds} rounds`,
    () => {
      const options = optionsOf()
      return Effect.gen(function* () {
        const orders = yield* load("roll")
        // Topics with three copies cannot be made while a broker is away.
        yield* flowsAgain
        for (let round = 0; round < restartRounds; round++) {
          for (const id of ids) {
            yield* Effect.promise(() => cluster.stopOne(id))
            yield* flowsAgain
            yield* Effect.promise(() => cluster.startOne(id))
          }
        }
        yield* orders.stop
        yield* sound(options.topics, orders.placed())
      }).pipe(beside(options), Effect.scoped)
    },
    testMillis
  )

  it.live(
    `kill -9 of a lane's leader costs no event, ${killRounds} rounds`,
    () => {
      const options = optionsOf()
      return Effect.gen(function* () {
        const orders = yield* load("kill")
        yield* flowsAgain
        for (let round = 0; round < killRounds; round++) {
          const leader = yield* Effect.promise(() => cluster.leaderOf(options.topics.events, round % options.lanes))
          yield* Effect.promise(() => cluster.kill9(leader))
          yield* flowsAgain
          yield* Effect.promise(() => cluster.startOne(leader))
        }
        yield* orders.stop
        yield* sound(options.topics, orders.placed())
      }).pipe(beside(options), Effect.scoped)
    },
    testMillis
  )

  it.live(
    "topics that have lost everything are complete again after nexus republish, while the relay goes on",
    () => {
      const options = optionsOf()
      return Effect.gen(function* () {
        const { databaseUrl } = yield* TestNexus
        const before = yield* load("before")
        yield* flowsAgain
        yield* before.stop
        yield* untilRelayed(patienceMillis)

        yield* Effect.promise(() => cluster.wipe())
        yield* ensureTopics(options)
        const folder = newFolder()
        for (const { lane, position } of yield* (yield* Cursors).positions) {
          const args = ["republish", "--lane", `${lane}`, "--from", "1", "--to", `${position}`]
          const { code, err, out } = yield* Effect.promise(() =>
            run(args, folder, {
              DATABASE_URL: databaseUrl,
              KAFKA_BROKERS: cluster.brokers,
              NEXUS_KAFKA_TOPICS_ORDERS: options.topics.orders,
              NEXUS_KAFKA_TOPICS_EVENTS: options.topics.events,
              NEXUS_KAFKA_REPLICATION_FACTOR: `${options.replicationFactor}`,
              NEXUS_KAFKA_MIN_INSYNC_REPLICAS: `${options.minInsyncReplicas}`,
              NEXUS_KAFKA_RETENTION_MS: `${options.retentionMs}`
            })
          )
          // A cluster this young may be told of as it is: still loading.
          assert.strictEqual(code, 0, err)
          assert.include(out, `sent positions 1 to ${position} of lane ${lane} again: ${position} to`)
        }
        const after = yield* load("after")
        yield* flowsAgain
        yield* after.stop

        yield* sound(options.topics, before.placed() + after.placed())
      }).pipe(beside(options), Effect.scoped)
    },
    testMillis
  )
})
