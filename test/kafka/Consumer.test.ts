/**
 * What becomes of a kafkajs consumer that ends without a word. No broker brings kafkajs into that state at will, so a
 * stand-in of the foreign client does: it joins, and then does what its part in the script says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import type { Consumer, ConsumerRunConfig, EachBatchPayload } from "kafkajs"
import { Kafka, logLevel } from "kafkajs"
import { consume } from "../../src/kafka/Consumer.ts"
import { SubscriptionStatus } from "../../src/kafka/SubscriptionStatus.ts"
import { handedBatch, refusal } from "./handedBatch.ts"
import { until } from "./until.ts"

type Part = "silent" | "stops" | "turns"

const sessionTimeoutMillis = 500
const signMillis = 50

interface Made {
  readonly part: Part
  signs: number
  hasLeft: boolean
  eachBatch: ConsumerRunConfig["eachBatch"]
}

/** A client whose consumers play these parts one after the other; the last one is played by all that follow. */
const scriptedKafka = (parts: ReadonlyArray<Part>) => {
  const made: Array<Made> = []
  const kafka = new Kafka({ brokers: ["127.0.0.1:1"], logLevel: logLevel.NOTHING })
  const { events } = kafka.consumer({ groupId: "g" })
  kafka.consumer = () => {
    const one: Made = { part: parts[made.length] ?? parts.at(-1)!, signs: 0, hasLeft: false, eachBatch: undefined }
    made.push(one)
    const listeners = new Map<string, () => void>()
    let turning: NodeJS.Timeout | undefined
    const stop = () => {
      clearInterval(turning)
      return Promise.resolve()
    }
    const consumer: Pick<Consumer, "events" | "on" | "connect" | "subscribe" | "run" | "stop" | "disconnect"> = {
      events,
      on: (name: string, listener: unknown) => {
        listeners.set(name, listener as () => void)
        return () => listeners.delete(name)
      },
      connect: () => Promise.resolve(),
      subscribe: () => Promise.resolve(),
      run: (config) => {
        one.eachBatch = config?.eachBatch
        listeners.get(events.GROUP_JOIN)?.()
        if (one.part === "stops") listeners.get(events.STOP)?.()
        if (one.part === "turns") {
          turning = setInterval(() => {
            one.signs += 1
            listeners.get(events.HEARTBEAT)?.()
          }, signMillis)
        }
        return Promise.resolve()
      },
      stop,
      disconnect: () => {
        one.hasLeft = true
        return stop()
      }
    }
    return consumer as Consumer
  }
  return { kafka, made }
}

const consuming = Effect.fnUntraced(function* (...parts: ReadonlyArray<Part>) {
  const { kafka, made } = scriptedKafka(parts)
  const status = new SubscriptionStatus("orders for group g")
  const ended: Array<unknown> = []
  const noting = Logger.make((entry) => void ended.push(Logger.formatStructured.log(entry).annotations["reason"]))
  yield* Effect.forkScoped(
    consume(kafka, {
      name: "orders",
      group: "g",
      concurrency: 1,
      sessionTimeoutMillis,
      deliver: () => Effect.void,
      status
    }).pipe(Effect.provide(Logger.layer([noting])))
  )
  return { made, status, ended }
})

describe("a consumer that says nothing", () => {
  for (const [part, why] of [
    ["silent", /^it gave no sign of life for \d{4,} ms$/],
    ["stops", /^it stopped by itself$/]
  ] as const) {
    it.live(`and is ${part === "silent" ? "silent for two sessions" : "stopped"} is left, and another is built`, () =>
      Effect.gen(function* () {
        const { ended, made, status } = yield* consuming(part, "turns")

        yield* until("the next one turns", () => (made[1]?.signs ?? 0) > 0)

        assert.match(ended.join(), why)
        assert.isTrue(made[0]?.hasLeft)
        assert.isNull(status.problem())
      }).pipe(Effect.scoped)
    )
  }

  it.live("but beats goes on for many sessions", () =>
    Effect.gen(function* () {
      const { ended, made } = yield* consuming("turns")

      yield* until(
        "it has turned for five sessions",
        () => (made[0]?.signs ?? 0) >= (5 * sessionTimeoutMillis) / signMillis
      )

      assert.deepStrictEqual([made.length, ended], [1, []])
    }).pipe(Effect.scoped)
  )
})

describe("a commit that the group refuses", () => {
  it.live("comes to kafkajs as its very own error, by which it knows to join again", () =>
    Effect.gen(function* () {
      const { made } = yield* consuming("turns")
      yield* until("it has joined", () => made[0]?.eachBatch !== undefined)
      const refused = refusal("ILLEGAL_GENERATION")
      const { payload } = handedBatch(["5"], { commit: () => Promise.reject(refused) })

      const thrown = yield* Effect.promise(() =>
        made[0]!.eachBatch!(payload as EachBatchPayload).then(
          () => "nothing",
          (error: unknown) => error
        )
      )

      assert.strictEqual(thrown, refused)
    }).pipe(Effect.scoped)
  )
})
