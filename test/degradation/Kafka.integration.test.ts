/**
 * What a client and a probe see while Kafka is down or slow: everything but the lag as ever, since orders are found in
 * the log; and once it is back, every event goes out in order.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { randomUUID } from "node:crypto"
import { vi } from "vitest"
import type { Cut } from "../../tools/proofs/replicas/Cut.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import {
  bid,
  buy,
  cancel,
  ends,
  type Exchange,
  figure,
  find,
  makeExchange,
  networksBefore,
  place,
  rests,
  standing,
  stands,
  wholeOn
} from "./Whole.ts"

// A consumer joins a group anew after each cut.
vi.setConfig({ testTimeout: 90_000 })

interface Setting {
  readonly exchange: Exchange
  readonly networks: ReadonlyArray<Cut>
  readonly topic: string
}

const trading = <A, E, R>(test: (setting: Setting) => Effect.Effect<A, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const exchange = yield* makeExchange
      const networks = yield* networksBefore(kafkaBrokers().split(","))
      const name = randomUUID().slice(0, 8)
      const env = {
        KAFKA_BROKERS: networks.map(({ port }) => `127.0.0.1:${port}`).join(","),
        NEXUS_KAFKA_TOPICS_ORDERS: `degraded.${name}.orders`,
        NEXUS_KAFKA_TOPICS_EVENTS: `degraded.${name}.events`,
        NEXUS_KAFKA_CONSUMER_GROUP: `degraded-${name}`
      }
      yield* stands(({ parts, ready }) => ready === 200 && parts.length === 0).pipe(
        Effect.andThen(test({ exchange, networks, topic: env.NEXUS_KAFKA_TOPICS_EVENTS })),
        Effect.tap(Effect.flatMap(TestNexus, ({ verify }) => verify)),
        Effect.provide(wholeOn(exchange, { env }))
      )
    })
  )

interface Seen {
  readonly orderId: string
  readonly version: number
  readonly type: string
}

/** Reads with a plain client what is in the topic, until it is told to stop. */
const reader = (topic: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const kafka = new Kafka({ brokers: kafkaBrokers().split(","), clientId: "judge", logLevel: logLevel.NOTHING })
      const consumer = kafka.consumer({ groupId: `judge-${randomUUID()}`, maxWaitTimeInMs: 100 })
      const seen: Array<Seen> = []
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({
        eachMessage: ({ message }) => {
          const header = (name: string) => String(message.headers?.[name] ?? "")
          const [orderId, version] = [header("ce_subject"), Number(header("ce_sequence"))]
          seen.push({ orderId, version, type: header("ce_type").replace("nexus.", "") })
          return Promise.resolve()
        }
      })
      return { consumer, seen }
    }),
    ({ consumer }) => Effect.promise(() => consumer.disconnect())
  )

/** Repeats apart, each order's events must have come in the order of their versions. */
const assertInOrder = (seen: ReadonlyArray<Seen>): void => {
  const heads = new Map<string, number>()
  for (const { orderId, version } of seen) {
    const head = heads.get(orderId) ?? 0
    assert.isAtMost(version, head + 1, `${orderId} came with version ${version} after ${head}`)
    heads.set(orderId, Math.max(head, version))
  }
}

const completedIn = (seen: ReadonlyArray<Seen>) =>
  Effect.sync(() => new Set(seen.flatMap(({ orderId, type }) => (type === "OrderCompleted" ? [orderId] : []))).size)

const crowd = 20

/** A group forgets a member that left without a word only after its session of 30 s. */
const joinMillis = 60_000
const joined = Effect.gen(function* () {
  const end = performance.now() + joinMillis
  while ((yield* standing).parts.includes("kafka") && performance.now() < end) yield* Effect.sleep("200 millis")
  yield* stands(({ parts, ready }) => ready === 200 && !parts.includes("kafka"))
})

describeKafka("Kafka down", () => {
  it.live("orders and cancels go on without it, the outbox grows, and all of it is sent in order once it is back", () =>
    trading(({ networks, topic }) =>
      Effect.gen(function* () {
        yield* Effect.andThen(place(bid("rests")), rests("rests"))
        for (const network of networks) network.cut("refusing")
        const away = yield* stands(({ parts }) => parts.includes("kafka"))

        const placed = yield* Effect.forEach(
          Array.from({ length: crowd }, (_, index) => `o-${index}`),
          (id) => place(buy(id)),
          { concurrency: "unbounded" }
        )
        const cancelled = yield* cancel("rests")
        for (let index = 0; index < crowd; index++) {
          assert.strictEqual((yield* ends(`o-${index}`))["status"], "COMPLETED")
        }
        const gone = yield* ends("rests")
        yield* until(figure("nexus_outbox_backlog"), (owed) => owed >= 3 * crowd)
        const lag = yield* until(figure("nexus_outbox_lag_seconds"), (seconds) => seconds > 0)
        const scanned = yield* figure("nexus_executor_due_scan_hits_total")

        assert.deepStrictEqual([away.health, away.ready, away.reason], [200, 200, null])
        assert.isTrue(placed.every(({ status }) => status === 202))
        assert.deepStrictEqual([cancelled.status, gone["status"]], [202, "CANCELLED"])
        assert.strictEqual((yield* find("o-0")).status, 200)
        assert.isAbove(lag, 0)
        assert.isAtLeast(scanned, crowd)

        for (const network of networks) network.heal()
        yield* until(figure("nexus_outbox_backlog"), (owed) => owed === 0)
        const { seen } = yield* reader(topic)
        yield* until(completedIn(seen), (completed) => completed === crowd)
        assertInOrder(seen)
        yield* joined
      })
    )
  )
})

/** Of one answer, at which a broker is of little use and yet alive. */
const slowMillis = 700

describeKafka("Kafka slow", () => {
  it.live("with every answer late, commands, reads and readiness are as ever, and events still go out in order", () =>
    trading(({ networks, topic }) =>
      Effect.gen(function* () {
        yield* Effect.andThen(place(bid("rests")), rests("rests"))
        for (const network of networks) network.slow(slowMillis)
        const ids = Array.from({ length: crowd }, (_, index) => `o-${index}`)
        const { seen } = yield* reader(topic)
        const probes: Array<string> = []
        const probing = yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              Effect.map(standing, ({ health, ready }) => probes.push(`${health} ${ready}`)),
              Effect.sleep("100 millis")
            )
          )
        )

        const begun = performance.now()
        let took = Infinity
        const answered = Effect.sync(() => (took = Math.min(took, performance.now() - begun)))
        const placed = yield* Effect.forEach(ids, (id) => Effect.tap(place(buy(id)), answered), {
          concurrency: "unbounded"
        })
        const cancelled = yield* cancel("rests")
        const found = yield* find("rests")
        for (const id of ids) assert.strictEqual((yield* ends(id))["status"], "COMPLETED")
        const lag = yield* until(figure("nexus_outbox_lag_seconds"), (seconds) => seconds > 0)
        yield* until(completedIn(seen), (completed) => completed === crowd)
        yield* Fiber.interrupt(probing)

        assert.isTrue(placed.every(({ status }) => status === 202))
        assert.deepStrictEqual([cancelled.status, found.status, found.body["cancel_requested"]], [202, 200, true])
        // The first answer came before Kafka can have said anything.
        assert.isBelow(took, slowMillis)
        assert.isAbove(lag, 0)
        assert.isAbove(probes.length, 5)
        assert.deepStrictEqual([...new Set(probes)], ["200 200"])
        assertInOrder(seen)
        for (const network of networks) network.heal()
        yield* until(figure("nexus_outbox_backlog"), (owed) => owed === 0)
      })
    )
  )

  it.live("answers that come late cost a client nothing, and no event its place", () =>
    trading(({ networks, topic }) =>
      Effect.gen(function* () {
        for (const network of networks) network.cut("deaf")
        const placed = yield* place(buy("waits"))
        const order = yield* ends("waits")
        const owed = yield* until(figure("nexus_outbox_backlog"), (left) => left > 0)
        const silent = yield* standing
        for (const network of networks) network.heal()

        assert.deepStrictEqual([placed.status, order["status"]], [202, "COMPLETED"])
        assert.deepStrictEqual([silent.health, silent.ready, silent.reason], [200, 200, null])
        assert.isAbove(owed, 0)
        yield* until(figure("nexus_outbox_backlog"), (left) => left === 0)
        const { seen } = yield* reader(topic)
        yield* until(
          Effect.sync(() => seen.length),
          (count) => count >= owed
        )
        assertInOrder(seen)
      })
    )
  )
})
