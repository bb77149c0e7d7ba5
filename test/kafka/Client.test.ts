/** kafkajs' log as ours: what people read of it, and what they never see. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, References } from "effect"
import { makeClient } from "../../src/kafka/Client.ts"

type Line = ReturnType<typeof Logger.formatStructured.log>

/** What we log of what kafkajs logs. */
const logged = Effect.fnUntraced(function* (
  say: (log: { readonly [level in "error" | "warn"]: (message: string, extra?: object) => void }) => void
) {
  const lines: Array<Line> = []
  const noting = Logger.make((entry) => void lines.push(Logger.formatStructured.log(entry)))
  const kafka = yield* makeClient({ brokers: ["127.0.0.1:1"], clientId: "c" }).pipe(
    Effect.provide(Logger.layer([noting])),
    Effect.provideService(References.MinimumLogLevel, "Trace")
  )
  say(kafka.logger().namespace("Connection"))
  return lines.map(({ annotations, level, message }) => ({ level, message, annotations }))
})

describe("kafkajs' log", () => {
  it.effect("has an error of its own, as each failover makes some, at warn, and its warnings at debug", () =>
    Effect.gen(function* () {
      const lines = yield* logged((log) => {
        log.error("The replica is not the leader", {})
        log.warn("Something of its own", {})
      })

      assert.deepStrictEqual(
        lines.map(({ level, message }) => `${level} ${String(message)}`),
        ["WARN The replica is not the leader", "DEBUG Something of its own"]
      )
    })
  )

  it.effect("shows the fields that are known to be harmless and no other: they may hold payload or secrets", () =>
    Effect.gen(function* () {
      const [line] = yield* logged((log) =>
        log.error("Response Produce(key: 0, version: 7)", {
          broker: "127.0.0.1:9092",
          groupId: "g",
          topic: "orders",
          error: "not the leader",
          clientId: "c",
          correlationId: 3,
          size: 55,
          stack: "Error: secret",
          payload: { password: "secret" },
          sasl: "secret"
        })
      )

      assert.deepStrictEqual(line, {
        level: "WARN",
        message: "Response Produce(key: 0, version: 7)",
        annotations: {
          kafkajs: "Connection",
          broker: "127.0.0.1:9092",
          groupId: "g",
          topic: "orders",
          error: "not the leader"
        }
      })
    })
  )

  it.effect("repeats no line within half a minute, and leaves out the warning that says what is so on purpose", () =>
    Effect.gen(function* () {
      const lines = yield* logged((log) => {
        for (let n = 0; n < 3; n++) log.error("Connection error", { broker: `${n}` })
        log.error("Another", {})
        log.warn("Limiting retries for the idempotent producer may invalidate EoS guarantees", {})
      })

      assert.deepStrictEqual(
        lines.map(({ message }) => message),
        ["Connection error", "Another"]
      )
    })
  )
})
