/**
 * What a producer of the bare client does when an answer is lost or a connection refused, on a real broker: the reasons
 * for the rules of the adapter.
 *
 * Nothing of ours runs here but the proxy and the judge. docs/decisions/0006 names for each defect the test of the
 * adapter that shows its absence. When one of these fails, kafkajs has changed, and a rule may go.
 */
import { assert, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { createRequire } from "node:module"
import { setTimeout as pause } from "node:timers/promises"
import { Kafka, logLevel, Partitioners, type Producer, type RetryOptions } from "kafkajs"
import { retry as retryOfOurs } from "../../src/kafka/Client.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { makeFaultProxy, type Fault, type FaultProxy } from "./FaultProxy.ts"
import { plainKafka, readLog } from "./kafkaForTests.ts"
import { createLed } from "../../tools/kafka/createLed.ts"

/** As the adapter sets it, but for the time of a request: these tests wait for it. */
const settings = { retries: 4, initialRetryTime: 50, maxRetryTime: 200, factor: 0, multiplier: 1 }
const triesPerSend = 5
const requestTimeoutMillis = 500

/** kafkajs takes these when NODE_ENV is "test", as vitest sets it: 15. Else it is 5. */
const { retries: defaultRetries } = createRequire(import.meta.url)("kafkajs/src/retry/defaults.test.js") as {
  readonly retries: number
}

/** What it takes after a leader was killed, at least. */
const newLeaderMillis = 6_000

interface Bench {
  readonly proxy: FaultProxy
  readonly topic: string
  readonly producer: Producer
  readonly send: (...values: ReadonlyArray<string>) => Promise<unknown>
  readonly log: () => Promise<ReadonlyArray<string>>
}

const withBare = async (
  idempotent: boolean,
  use: (bench: Bench) => Promise<void>,
  retry: RetryOptions = settings
): Promise<void> => {
  const topic = `bare-${randomUUID().slice(0, 8)}`
  const admin = plainKafka(kafkaBrokers()).admin()
  await admin.connect()
  await createLed(admin, [{ topic, numPartitions: 1, replicationFactor: 1 }])
  await admin.disconnect()
  const proxy = await makeFaultProxy(kafkaBrokers())
  const producer = new Kafka({
    brokers: [proxy.brokers],
    clientId: "bare",
    logLevel: logLevel.NOTHING,
    requestTimeout: requestTimeoutMillis,
    retry
  }).producer({ idempotent, createPartitioner: Partitioners.DefaultPartitioner, retry })
  try {
    await producer.connect()
    await use({
      proxy,
      topic,
      producer,
      send: (...values) => producer.send({ topic, acks: -1, messages: values.map((value) => ({ key: "k", value })) }),
      log: () => readLog(kafkaBrokers(), topic, 0)
    })
  } finally {
    await producer.disconnect().catch(() => undefined)
    await proxy.close()
  }
}

const outcomeOf = (sending: Promise<unknown>): Promise<"acknowledged" | "rejected"> =>
  sending.then(
    () => "acknowledged" as const,
    () => "rejected" as const
  )

describeKafka("bare kafkajs", () => {
  for (const fault of ["reset on answer", "drop answer"] as const) {
    it(`loses one of two overlapping sends, both of which it acknowledges, when the first one meets: ${fault}`, () =>
      withBare(true, async ({ log, proxy, send }) => {
        await send("warm")
        proxy.script.push(fault)

        const outcomes = await Promise.all([outcomeOf(send("A")), outcomeOf(send("B"))])

        assert.deepStrictEqual(outcomes, ["acknowledged", "acknowledged"])
        // Either may be the first on the wire; it is there twice, and the other never.
        assert.strictEqual(new Set(await log()).size, 2)
      }))
  }

  it("loses the batch after a send that it gave up though it was stored, and acknowledges it", () =>
    withBare(true, async ({ log, proxy, send }) => {
      await send("warm")
      proxy.script.push(...Array.from<Fault>({ length: triesPerSend }).fill("reset on answer"))

      const outcomes = [await outcomeOf(send("A")), await outcomeOf(send("B"))]

      assert.deepStrictEqual(outcomes, ["rejected", "acknowledged"])
      assert.deepStrictEqual(await log(), ["warm", "A"])
    }))

  it("never recovers from it when the next batch is of another size", () =>
    withBare(true, async ({ log, proxy, send }) => {
      await send("warm")
      proxy.script.push(...Array.from<Fault>({ length: triesPerSend }).fill("reset on answer"))

      const outcomes = [await outcomeOf(send("A")), await outcomeOf(send("B", "C")), await outcomeOf(send("D", "E"))]

      assert.deepStrictEqual(outcomes, ["rejected", "rejected", "rejected"])
      assert.deepStrictEqual(await log(), ["warm", "A"])
    }))

  it("stores a send after it was disconnected under it, behind what another producer has stored since", () =>
    withBare(true, async ({ log, producer, proxy, send, topic }) => {
      const second = plainKafka(kafkaBrokers()).producer({ createPartitioner: Partitioners.DefaultPartitioner })
      await second.connect()
      await send("v1")
      const before = proxy.produced()
      // Three of its five tries, so that there is time for the other one.
      proxy.script.push(...Array.from<Fault>({ length: triesPerSend - 2 }).fill("drop request"))

      const zombie = outcomeOf(send("zombie"))
      while (proxy.produced() === before) await pause(1)
      await producer.disconnect()
      await second.send({ topic, messages: [{ value: "v2" }] })
      await second.disconnect()
      await zombie

      assert.deepStrictEqual(await log(), ["v1", "v2", "zombie"])
    }))

  it("stores a record twice when it is not idempotent", () =>
    withBare(false, async ({ log, proxy, send }) => {
      await send("warm")
      proxy.script.push("reset on answer")

      await Promise.all([send("A"), send("B")])

      const stored = await log()
      assert.sameMembers([...new Set(stored)], ["warm", "A", "B"])
      assert.lengthOf(stored, 4)
    }))

  it("gives a send up after few tries though it was told of no limit, where its documentation promises endless ones", () => {
    const { initialRetryTime, maxRetryTime } = settings
    return withBare(
      true,
      async ({ log, proxy, send }) => {
        await send("warm")
        const before = proxy.produced()
        proxy.script.push(...Array.from<Fault>({ length: 10 * defaultRetries }).fill("reset on request"))

        const outcome = await outcomeOf(send("A"))

        assert.strictEqual(outcome, "rejected")
        assert.strictEqual(proxy.produced() - before, 1 + defaultRetries)
        assert.deepStrictEqual(await log(), ["warm"])
      },
      { initialRetryTime, maxRetryTime }
    )
  })

  it("gives a send up within seconds where connections are refused, sooner than brokers choose a leader anew", () =>
    withBare(
      true,
      async ({ log, proxy, send }) => {
        await send("warm")
        await proxy.close()
        const begun = performance.now()

        const error = await send("A").then(
          () => "nothing",
          (cause: unknown) => (cause instanceof Error ? cause.name : cause)
        )
        const heldMillis = performance.now() - begun
        await proxy.listen()

        assert.strictEqual(error, "KafkaJSNonRetriableError")
        assert.isBelow(heldMillis, newLeaderMillis)
        assert.deepStrictEqual(await log(), ["warm"])
      },
      retryOfOurs
    ))
})
