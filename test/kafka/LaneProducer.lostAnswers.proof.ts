/**
 * Answers lost, late or never given, twenty rounds of it, each with a seed of its own: a relay behind a proxy that
 * forwards a produce request and then loses the answer, cuts the connection, or cuts before it forwards. What the log
 * holds is on the topic, in order.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { makeClient } from "../../src/kafka/Client.ts"
import { makeLaneProducer } from "../../src/kafka/LaneProducer.ts"
import { ensureTopics } from "../../src/kafka/Topics.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import type { Fault } from "./FaultProxy.ts"
import { once, record } from "./EventBus.contract.ts"
import { freshOptions, proxyBefore, readLog } from "./kafkaForTests.ts"
import { beside, judge, placeAndCancel, untilRelayed } from "./relayed.ts"

const rounds = 20
const orders = 60
/** As many requests as may meet a fault; all that follow are forwarded. */
const scriptLength = 60
const patienceMillis = 120_000

const draw = Effect.gen(function* () {
  const script: Array<Fault> = []
  for (let n = 0; n < scriptLength; n++) {
    const chance = yield* Random.nextIntBetween(0, 100)
    if (chance < 25) script.push("reset on answer")
    else if (chance < 35) script.push("reset on request")
    // Each of these costs a whole request time-out, 5 s.
    else if (chance < 38) script.push("drop answer")
    else if (chance < 50) script.push({ delayAnswerMillis: yield* Random.nextIntBetween(1, 300) })
    else script.push("forward")
  }
  return script
})

/** Five tries of 5 s each and the pauses between them, on a busy machine. */
const sendBoundMillis = 40_000

describeKafka("a broker that swallows every answer", () => {
  it.live(
    "holds a send for a bounded time, and the same batch again is stored in its place",
    () =>
      Effect.gen(function* () {
        const proxy = yield* proxyBefore(kafkaBrokers())
        const options = freshOptions(kafkaBrokers())
        yield* ensureTopics(options)
        const kafka = yield* makeClient({ brokers: [proxy.brokers], clientId: "nexus-test" })
        const producer = makeLaneProducer(kafka, options.topics.events, "events", 0)
        yield* producer.send([record("o", "warm")])
        proxy.script.push(...Array.from<Fault>({ length: 5 }).fill("drop answer"))
        const begun = performance.now()

        const error = yield* Effect.flip(producer.send([record("o", "A")]))
        const held = performance.now() - begun
        yield* producer.send([record("o", "A")])
        yield* producer.send([record("o", "B")])
        yield* producer.close

        assert.strictEqual(error._tag, "BusUnavailable")
        assert.isBelow(held, sendBoundMillis)
        const log = yield* Effect.promise(() => readLog(kafkaBrokers(), options.topics.events, 0))
        assert.deepStrictEqual(once(log), ["warm", "A", "B"])
      }).pipe(Effect.scoped),
    2 * sendBoundMillis
  )
})

describeKafka("answers lost between Kafka and the relay", () => {
  for (let round = 1; round <= rounds; round++) {
    it.live(
      `cost no event and no order of events, round ${round}`,
      () =>
        Effect.gen(function* () {
          const proxy = yield* proxyBefore(kafkaBrokers())
          const options = freshOptions(kafkaBrokers())
          yield* Effect.gen(function* () {
            const script = yield* draw
            const faults = script.filter((fault) => fault !== "forward").length
            // Only now: what starts the relay is not what is tested.
            proxy.script.push(...script)
            yield* Effect.forEach(
              Array.from({ length: orders }, (_, index) => `o-${round}-${index}`),
              placeAndCancel,
              { concurrency: 4 }
            )
            yield* untilRelayed(patienceMillis)

            const verdict = yield* judge(kafkaBrokers(), options.topics)

            assert.deepStrictEqual(verdict.faults, [])
            assert.deepStrictEqual([verdict.events, verdict.asked], [2 * orders, orders])
            assert.isBelow(proxy.script.length, scriptLength, "no request met the script")
            return { ...verdict, faults }
          }).pipe(beside({ ...options, brokers: [proxy.brokers] }))
        }).pipe(Effect.scoped, Random.withSeed(`answers lost, round ${round}`)),
      patienceMillis + 60_000
    )
  }
})
