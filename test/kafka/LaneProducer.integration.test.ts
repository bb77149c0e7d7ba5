/**
 * The ways in which kafkajs loses acknowledged messages, forced at a proxy on a real broker. A judge
 * that does not run through the adapter reads the log afterwards. Each of these fails without the rule
 * that it names.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random, Scope } from "effect"
import { makeClient } from "../../src/kafka/Client.ts"
import type { BusRecord } from "../../src/kafka/EventBus.ts"
import type { LaneProducer } from "../../src/kafka/LaneProducer.ts"
import { makeLaneProducer, maxSendBytes } from "../../src/kafka/LaneProducer.ts"
import { ensureTopics } from "../../src/kafka/Topics.ts"
import { once, record } from "./EventBus.contract.ts"
import type { Fault } from "./FaultProxy.ts"
import { freshOptions, proxyBefore, plainKafka, readLog } from "./kafkaForTests.ts"
import { until } from "./until.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { createLed } from "../../tools/kafka/createLed.ts"

/** kafkajs tries a send five times; the sixth request belongs to the next send. */
const triesPerSend = 5

/** As the relay does: the same batch again until it is acknowledged. */
const sendUntilTaken = (producer: LaneProducer, values: ReadonlyArray<string>) =>
  producer.send(values.map((value) => record("o", value))).pipe(Effect.retry({ times: 50 }))

/** Four pauses and their neighbours, 2 to 3 s, on a busy machine. */
const refusedBoundMillis = 8_000

const lane = 1

/** A topic that takes records up to a size, made before ours would be. */
const makeNarrow = async (topic: string, lanes: number, maxMessageBytes: number) => {
  const admin = plainKafka(kafkaBrokers()).admin()
  await admin.connect()
  const configEntries = [{ name: "max.message.bytes", value: String(maxMessageBytes) }]
  await createLed(admin, [{ topic, numPartitions: lanes, replicationFactor: 1, configEntries }])
  await admin.disconnect()
}

const setUpWith = Effect.fnUntraced(function* ({ maxMessageBytes }: { readonly maxMessageBytes?: number }) {
  const proxy = yield* proxyBefore(kafkaBrokers())
  const options = freshOptions(kafkaBrokers())
  const name = options.topics.orders
  if (maxMessageBytes !== undefined) yield* Effect.promise(() => makeNarrow(name, options.lanes, maxMessageBytes))
  yield* ensureTopics(options)
  const kafka = yield* makeClient({ brokers: [proxy.brokers], clientId: "nexus-test" })
  const producer = yield* Effect.acquireRelease(
    Effect.sync(() => makeLaneProducer(kafka, name, "orders", lane)),
    (one) => one.close
  )
  return { kafka, name, producer, proxy, log: Effect.promise(() => readLog(kafkaBrokers(), name, lane)) }
})

const setUp = setUpWith({})

describeKafka("what Kafka acknowledged is in its log", () => {
  for (const fault of ["reset on answer", "drop answer"] as const) {
    it.live(`when two sends overlap and the first one meets: ${fault}`, () =>
      Effect.gen(function* () {
        const { log, producer, proxy } = yield* setUp
        yield* sendUntilTaken(producer, ["warm"])
        proxy.script.push(fault)

        yield* Effect.all([sendUntilTaken(producer, ["A"]), sendUntilTaken(producer, ["B"])], { concurrency: 2 })

        // Not even twice: the broker knows the second try of a send that it has stored.
        assert.deepStrictEqual(yield* log, ["warm", "A", "B"])
      }).pipe(Effect.scoped)
    )
  }

  it.live("when a send was given up though it was stored, and another batch of the same size follows", () =>
    Effect.gen(function* () {
      const { log, producer, proxy } = yield* setUp
      yield* sendUntilTaken(producer, ["warm"])
      proxy.script.push(...Array.from<Fault>({ length: triesPerSend }).fill("reset on answer"))

      const rejected = yield* Effect.flip(producer.send([record("o", "A")]))
      yield* producer.send([record("o", "B")])
      yield* producer.send([record("o", "C"), record("o", "D")])

      assert.strictEqual(rejected._tag, "BusUnavailable")
      assert.deepStrictEqual(once(yield* log), ["warm", "A", "B", "C", "D"])
    }).pipe(Effect.scoped)
  )

  it.live("when connections were refused until the send was given up, and the same batch is sent again", () =>
    Effect.gen(function* () {
      const { log, producer, proxy } = yield* setUp
      yield* sendUntilTaken(producer, ["warm"])
      yield* Effect.promise(() => proxy.close())
      const begun = performance.now()

      const error = yield* Effect.flip(producer.send([record("o", "A")]))
      const heldMillis = performance.now() - begun
      yield* Effect.promise(() => proxy.listen())
      yield* sendUntilTaken(producer, ["A"])
      yield* sendUntilTaken(producer, ["B"])

      assert.strictEqual(error._tag, "BusUnavailable")
      assert.isBelow(heldMillis, refusedBoundMillis)
      assert.deepStrictEqual(yield* log, ["warm", "A", "B"])
    }).pipe(Effect.scoped)
  )

  it.live("and a send that Kafka did not confirm for its very partition is an error", () =>
    Effect.gen(function* () {
      const { kafka, name } = yield* setUp
      // kafkajs resolves such a send without having sent anything.
      const astray = makeLaneProducer(kafka, name, "orders", 77)

      const error = yield* Effect.flip(astray.send([record("o", "A")]))
      yield* astray.close

      assert.strictEqual(error._tag, "BusUnavailable")
      assert.include(error.message, "did not confirm partition 77")
    }).pipe(Effect.scoped)
  )

  it.live("and closing waits for the send in flight, after which nothing is stored any more", () =>
    Effect.gen(function* () {
      const { log, name, kafka, proxy } = yield* setUp
      const scope = yield* Scope.make()
      const producer = makeLaneProducer(kafka, name, "orders", lane)
      yield* Scope.addFinalizer(scope, producer.close)
      yield* producer.send([record("o", "warm")])
      const before = proxy.produced()
      proxy.script.push("reset on request", { delayAnswerMillis: 300 })

      const sending = yield* Effect.forkScoped(producer.send([record("o", "A")]))
      yield* until("the send is on its way", () => proxy.produced() > before)
      // Interrupting it must not cut it either: kafkajs would store it later, behind our back.
      const interrupting = yield* Effect.forkScoped(Fiber.interrupt(sending))
      yield* Scope.close(scope, Exit.void)
      const atClose = proxy.produced()
      const logAtClose = yield* log
      const late = yield* Effect.flip(producer.send([record("o", "B")]))
      yield* Fiber.join(interrupting)

      assert.deepStrictEqual(once(logAtClose), ["warm", "A"])
      assert.strictEqual(proxy.produced(), atClose)
      assert.strictEqual(late._tag, "BusUnavailable")
      assert.deepStrictEqual(yield* log, logAtClose)
    }).pipe(Effect.scoped)
  )

  it.live("in order and without a gap over forty batches with a fault at every third request", () =>
    Effect.gen(function* () {
      const { log, producer, proxy } = yield* setUp
      const faults: ReadonlyArray<Fault> = ["reset on answer", { delayAnswerMillis: 20 }, "reset on answer"]
      const sent: Array<string> = []
      // Enough for all requests that the batches make, repeats included.
      for (let n = 0; n < 150; n++) {
        proxy.script.push((yield* Random.nextIntBetween(0, 2)) > 0 ? "forward" : faults[n % faults.length]!)
      }

      for (let batch = 0; batch < 40; batch++) {
        const size = yield* Random.nextIntBetween(1, 5)
        const values = Array.from({ length: size }, (_, n) => `${batch}.${n}`)
        yield* sendUntilTaken(producer, values)
        sent.push(...values)
      }

      assert.deepStrictEqual(once(yield* log), sent)
    }).pipe(Effect.scoped, Random.withSeed("kafka faults 1"))
  )
})

describeKafka("a batch for Kafka", () => {
  it.live("larger than one send is sent whole and in order", () =>
    Effect.gen(function* () {
      const { log, producer } = yield* setUp
      const values = Array.from({ length: 7 }, (_, n) => `${n}`.padEnd(400_000, "."))

      yield* producer.send(values.map((value) => record("o", value)))

      assert.deepStrictEqual(
        (yield* log).map((value) => value.slice(0, 1)),
        ["0", "1", "2", "3", "4", "5", "6"]
      )
    }).pipe(Effect.scoped)
  )

  const good = (n: number): BusRecord => record("o", `good ${n}`)
  const oversize = record("o", "x".repeat(maxSendBytes))
  const unwell = record("o", "half a pair: \uD800")
  for (const [what, bad] of [
    ["too large", oversize],
    ["not Unicode", unwell]
  ] as const) {
    it.live(`with a record that is ${what} is refused by its index before anything is sent`, () =>
      Effect.gen(function* () {
        const { log, producer } = yield* setUp

        const error = yield* Effect.flip(producer.send([good(0), good(1), bad, good(3)]))

        assert.strictEqual(error._tag, "RecordRefused")
        assert.deepInclude(error, { topic: "orders", lane, index: 2 })
        assert.deepStrictEqual(yield* log, [])
      }).pipe(Effect.scoped)
    )
  }

  it.live("with a record that only the broker finds too large is refused by that record's index", () =>
    Effect.gen(function* () {
      const { kafka, name, producer } = yield* setUpWith({ maxMessageBytes: 2_000 })
      const records = [good(0), good(1), good(2), record("o", "y".repeat(3_000)), good(4)]

      const error = yield* Effect.flip(producer.send(records))
      const rest = makeLaneProducer(kafka, name, "orders", lane)
      yield* rest.send(records.filter((_, index) => index !== 3))
      yield* rest.close

      assert.strictEqual(error._tag, "RecordRefused")
      assert.deepInclude(error, { index: 3 })
    }).pipe(Effect.scoped)
  )
})
