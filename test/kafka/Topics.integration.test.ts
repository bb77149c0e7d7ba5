import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import kafkajs from "kafkajs"
import { checkTopicsOn, ensureTopics } from "../../src/kafka/Topics.ts"
import { makeClient } from "../../src/kafka/Client.ts"
import { publishUntilTaken, record } from "./EventBus.contract.ts"
import { freshOptions, plainKafka, withBus } from "./kafkaForTests.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { createLed } from "../../tools/kafka/createLed.ts"

describeKafka("the topics", () => {
  it.live("are made with a partition per lane and the asked settings, and are right when asked again", () =>
    Effect.gen(function* () {
      const options = { ...freshOptions(kafkaBrokers(), 3), retentionMs: 7_200_000 }
      const { events, orders } = options.topics

      const first = yield* ensureTopics(options)
      const second = yield* ensureTopics(options)

      assert.deepStrictEqual(first, { created: [orders, events], existing: [], weak: [] })
      assert.deepStrictEqual(second, { created: [], existing: [orders, events], weak: [] })
      const found = yield* Effect.promise(async () => {
        const admin = plainKafka(kafkaBrokers()).admin()
        await admin.connect()
        const { topics } = await admin.fetchTopicMetadata({ topics: [orders, events] })
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: orders }]
        })
        await admin.disconnect()
        const settings = new Map(resources[0]!.configEntries.map((entry) => [entry.configName, entry.configValue]))
        return { partitions: topics.map((topic) => topic.partitions.length), settings }
      })
      assert.deepStrictEqual(found.partitions, [3, 3])
      assert.strictEqual(found.settings.get("retention.ms"), "7200000")
      assert.strictEqual(found.settings.get("cleanup.policy"), "delete")
      assert.strictEqual(found.settings.get("min.insync.replicas"), "1")
    })
  )

  it.live("made by two processes at the same time are right for both", () =>
    Effect.gen(function* () {
      const options = freshOptions(kafkaBrokers())

      const reports = yield* Effect.all([ensureTopics(options), ensureTopics(options), ensureTopics(options)], {
        concurrency: "unbounded"
      })

      assert.lengthOf(reports, 3)
    })
  )

  it.live("with too many partitions are refused with what mends it, for Kafka cannot take partitions away", () =>
    Effect.gen(function* () {
      const options = freshOptions(kafkaBrokers(), 4)
      yield* ensureTopics(options)

      const error = yield* Effect.flip(ensureTopics({ ...options, lanes: 2 }))

      assert.strictEqual(error._tag, "TopicsWrong")
      assert.include(error.message, `Topic "${options.topics.orders}" has 4 partitions but the store has 2 lanes`)
      assert.include(error.message, "give kafka.topics another name")
    })
  )

  it.live("that keep less than was asked for are told of, each with the command that mends it", () =>
    Effect.gen(function* () {
      const options = freshOptions(kafkaBrokers())
      const { events, orders } = options.topics
      yield* Effect.promise(async () => {
        const admin = plainKafka(kafkaBrokers()).admin()
        await admin.connect()
        const configEntries = [
          { name: "retention.ms", value: "3599999" },
          { name: "cleanup.policy", value: "compact" }
        ]
        const sound = [{ name: "retention.ms", value: "-1" }]
        await createLed(admin, [
          { topic: events, numPartitions: options.lanes, configEntries },
          { topic: orders, numPartitions: options.lanes, configEntries: sound }
        ])
        await admin.disconnect()
      })

      const { weak } = yield* ensureTopics(options)
      const copies = yield* ensureTopics({ ...options, replicationFactor: 3, minInsyncReplicas: 2, retentionMs: 1 })

      const command = `kafka-configs.sh --alter --entity-type topics --entity-name ${events} --add-config`
      assert.deepStrictEqual(weak, [
        `Topic "${events}" keeps records for 3599999 ms, kafka.retention_ms asks for 3600000: ${command} retention.ms=3600000, or lower the key.`,
        `Topic "${events}" has cleanup.policy compact, which takes an order's older events away: ${command} cleanup.policy=delete.`
      ])
      assert.match(copies.weak.at(-1) ?? "", /has 1 copies, kafka.replication_factor asks for 3: give it more with/)
      assert.match(copies.weak.at(-2) ?? "", /asks for 2: kafka-configs.sh .* min.insync.replicas=2\.$/)
    })
  )

  it.live("of a bus that keep less are in its health, and records go out all the same", () => {
    const options = freshOptions(kafkaBrokers())
    return Effect.gen(function* () {
      yield* ensureTopics(options)

      yield* withBus({ ...options, retentionMs: 7_200_000 }, (bus) =>
        Effect.gen(function* () {
          yield* publishUntilTaken(bus, "orders", 0, [record("o", "1")])

          assert.match((yield* bus.health) ?? "", /keeps records for 3600000 ms, kafka.retention_ms asks for 7200000/)
        })
      )
    })
  })

  it.live("that are only checked are not made, and the sentence names the command that makes them", () =>
    Effect.gen(function* () {
      const options = freshOptions(kafkaBrokers())
      const kafka = yield* makeClient(options)

      const missing = yield* Effect.flip(checkTopicsOn(kafka, options))
      yield* ensureTopics(options)
      const there = yield* checkTopicsOn(kafka, options)

      assert.strictEqual(missing._tag, "TopicsWrong")
      assert.include(missing.message, 'run "nexus topics"')
      assert.deepStrictEqual(there.created, [])
    })
  )

  it.live("that ask for more copies than there are brokers are refused with the setting to change", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ensureTopics({ ...freshOptions(kafkaBrokers()), replicationFactor: 9 }))

      assert.strictEqual(error._tag, "TopicsWrong")
      assert.include(error.message, "lower kafka.replication_factor")
    })
  )

  it.live("of a Kafka that is away are no mistake in the settings", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ensureTopics({ ...freshOptions(kafkaBrokers()), brokers: ["127.0.0.1:1"] }))

      assert.strictEqual(error._tag, "BusUnavailable")
    })
  )
})
