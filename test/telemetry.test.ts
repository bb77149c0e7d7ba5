/** Log lines: their shape, their level, and what must never stand in one. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Redacted, Result } from "effect"
import { TestConsole } from "effect/testing"
import { AppConfig, loadConfig } from "../src/config.ts"
import { Telemetry } from "../src/telemetry.ts"

/** What a program writes to standard error under this configuration, line by line. */
const linesOf = (env: Record<string, string>, program: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const config = yield* Effect.fromResult(loadConfig({ yamlText: "", env, cwd: "/" }))
    yield* program.pipe(Effect.provide(Telemetry.layer.pipe(Layer.provide(Layer.succeed(AppConfig, config)))))
    assert.deepStrictEqual(yield* TestConsole.logLines, [])
    return (yield* TestConsole.errorLines).map(String)
  })
const text = { NEXUS_LOGGING_FORMAT: "text" }

describe("format", () => {
  it.effect("json is one object a line, with annotations and fields beside the message", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(
        {},
        Effect.logWarning("lane is behind", { lane: 3, owed: 10n }).pipe(
          Effect.annotateLogs({ orderId: "o-1" }),
          Effect.withLogSpan("relay")
        )
      )

      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line) as unknown),
        [
          {
            time: "1970-01-01T00:00:00.000Z",
            level: "warn",
            message: "lane is behind",
            app: "nexus-order-manager",
            spans_ms: { relay: 0 },
            orderId: "o-1",
            lane: 3,
            owed: "10n"
          }
        ]
      )
      assert.match(lines[0] ?? "", /^\{"time":/)
    })
  )

  it.effect("text is one line a record, with the cause indented below", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(
        text,
        Effect.logError("lost", Cause.fail("first\n00:00:00.000 INFO  forged")).pipe(Effect.annotateLogs("lane", 3))
      )

      const [head, ...below] = (lines[0] ?? "").split("\n")
      assert.strictEqual(head, "00:00:00.000 ERROR lost lane=3")
      assert.isNotEmpty(below)
      for (const line of below) assert.match(line, /^ {4}/)
    })
  )

  it.effect("the name of the program is on every line of JSON", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf({ NEXUS_APP_NAME: "desk-7" }, Effect.logInfo("up"))

      assert.include(lines[0], '"app":"desk-7"')
    })
  )

  it.effect("no field takes the place of the time, the level or the message", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(
        {},
        Effect.logInfo("true", { message: "forged", level: "forged", time: "forged", app: "forged" })
      )

      assert.notInclude(lines[0], "forged")
    })
  )

  it.effect("a cause is in the line of JSON with the tag of its error", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf({}, Effect.logError("lost", Cause.die(new Error("the third step broke"))))

      const record: { cause: string } = JSON.parse(lines[0] ?? "")
      assert.include(record.cause, "the third step broke")
    })
  )
})

describe("level", () => {
  const all = Effect.all([Effect.logDebug("d"), Effect.logInfo("i"), Effect.logWarning("w"), Effect.logError("e")], {
    discard: true
  })

  it.effect.each([
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1]
  ] as const)("%s lets %d of four levels through", ([level, count]) =>
    Effect.gen(function* () {
      const lines = yield* linesOf({ NEXUS_LOGGING_LEVEL: level }, all)

      assert.strictEqual(lines.length, count)
    })
  )
})

describe("what must not print", () => {
  it.effect.each(["json", "text"])("as %s, characters from outside neither break a line nor move a cursor", (format) =>
    Effect.gen(function* () {
      const evil = "a\nb\r\u001b[2J\u007f\u009b31m\u2028\u0000"
      const lines = yield* linesOf(
        { NEXUS_LOGGING_FORMAT: format },
        Effect.logInfo(evil, { [evil]: evil }).pipe(Effect.annotateLogs("k", evil))
      )

      assert.strictEqual(lines.length, 1)
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      assert.notMatch(lines[0] ?? "", /[\u0000-\u001f\u007f-\u009f\u2028]/)
      if (format === "json") assert.deepInclude(JSON.parse(lines[0] ?? ""), { message: evil })
    })
  )

  it.effect.each(["json", "text"])(
    "as %s, a redacted value and a secret inside another text are struck out",
    (format) =>
      Effect.gen(function* () {
        const env = {
          NEXUS_LOGGING_FORMAT: format,
          DATABASE_URL: "postgres://u:canary%22pass@h/d",
          BINANCE_TESTNET_API_KEY: "canary-api-key",
          BINANCE_TESTNET_API_SECRET: "canary-api-secret"
        }
        const config = Result.getOrThrow(loadConfig({ yamlText: "", env, cwd: "/" }))
        const lines = yield* linesOf(
          env,
          Effect.logInfo("connecting", config.connections.serving, config.database.url, {
            list: [Redacted.make("canary-other")]
          }).pipe(
            Effect.andThen(
              Effect.logError("refused", Cause.fail(new Error('no entry for canary"pass with canary-api-secret')))
            ),
            Effect.andThen(Effect.logInfo(`key canary-api-key`)),
            Effect.andThen(Effect.logInfo("config", config))
          )
        )

        assert.strictEqual(lines.length, 4)
        for (const line of lines) {
          assert.notInclude(line, "canary")
          assert.include(line, "<redacted")
        }
      })
  )
})
