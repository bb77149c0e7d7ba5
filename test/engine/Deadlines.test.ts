/** One sleeper for all who wait: nobody is given up early, nobody is kept. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig, loadConfig } from "../../src/config.ts"
import { makeDeadlines } from "../../src/engine/Deadlines.ts"
import { Supervisor } from "../../src/engine/Supervisor.ts"

const patienceMillis = 8_000
const config = Result.getOrThrow(loadConfig({ yamlText: "", env: {}, cwd: "/tmp" }))
const supervised = Supervisor.layer.pipe(Layer.provide(Layer.succeed(AppConfig, config)))

const caller = (name: string, givenUp: Array<string>) =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    deadline: now + patienceMillis,
    giveUp: () => void givenUp.push(name)
  }))

it.effect("a caller is given up at its deadline, however quiet it was before", () =>
  Effect.gen(function* () {
    const givenUp: Array<string> = []
    const deadlines = yield* makeDeadlines(patienceMillis, yield* Supervisor)
    yield* TestClock.adjust(3 * patienceMillis + 1)

    deadlines.add(yield* caller("one", givenUp))
    yield* TestClock.adjust(patienceMillis - 1)
    assert.deepStrictEqual(givenUp, [])
    yield* TestClock.adjust(1)

    assert.deepStrictEqual(givenUp, ["one"])
  }).pipe(Effect.scoped, Effect.provide(supervised))
)

it.effect("each caller has its own deadline, and one that was answered is left alone", () =>
  Effect.gen(function* () {
    const givenUp: Array<string> = []
    const deadlines = yield* makeDeadlines(patienceMillis, yield* Supervisor)
    const answered = yield* caller("answered", givenUp)
    deadlines.add(answered)
    yield* TestClock.adjust(100)
    deadlines.add(yield* caller("second", givenUp))
    yield* TestClock.adjust(100)
    deadlines.add(yield* caller("third", givenUp))

    deadlines.remove(answered)
    yield* TestClock.adjust(patienceMillis - 100)
    assert.deepStrictEqual(givenUp, ["second"])
    yield* TestClock.adjust(100)

    assert.deepStrictEqual(givenUp, ["second", "third"])
  }).pipe(Effect.scoped, Effect.provide(supervised))
)

it.effect("a clock that is set back keeps nobody waiting", () =>
  Effect.gen(function* () {
    const givenUp: Array<string> = []
    const deadlines = yield* makeDeadlines(patienceMillis, yield* Supervisor)
    deadlines.add({ deadline: 100 * patienceMillis, giveUp: () => void givenUp.push("from another time") })

    yield* TestClock.adjust(patienceMillis)

    assert.deepStrictEqual(givenUp, ["from another time"])
  }).pipe(Effect.scoped, Effect.provide(supervised))
)
