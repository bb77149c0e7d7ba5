import { assert, it } from "@effect/vitest"
import { Data, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig, loadConfig } from "../../src/config.ts"
import { Supervisor } from "../../src/engine/Supervisor.ts"

class Away extends Data.TaggedError("Away")<{ readonly message: string }> {}

const config = Result.getOrThrow(loadConfig({ yamlText: "", env: { NEXUS_SUPERVISION_MAX_DEFECTS: "3" }, cwd: "/tmp" }))
const supervised = Supervisor.layer.pipe(Layer.provide(Layer.succeed(AppConfig, config)))

/** A loop that counts its steps, one a second, and may stumble at some of them. */
const counting = (name: string, steps: Array<number>, stumble: (step: number) => Effect.Effect<void, Away>) =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor
    while (true) {
      yield* supervisor.beat(name)
      steps.push(steps.length + 1)
      yield* stumble(steps.length)
      yield* Effect.sleep("1 second")
    }
  })

it.effect("a loop with a defect at its third step starts again, is counted, and the others never pause", () =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor
    const broken: Array<number> = []
    const healthy: Array<number> = []
    yield* supervisor.supervise(
      "broken",
      counting("broken", broken, (step) => (step === 3 ? Effect.die("a bug") : Effect.void))
    )
    yield* supervisor.supervise(
      "healthy",
      counting("healthy", healthy, () => Effect.void)
    )

    yield* TestClock.adjust("20 seconds")

    assert.isAtLeast(healthy.length, 20)
    assert.isAtLeast(broken.length, 18)
    const report = yield* supervisor.report
    assert.strictEqual(report.find(({ name }) => name === "broken")?.restarts, 1)
    assert.strictEqual(report.find(({ name }) => name === "healthy")?.restarts, 0)
  }).pipe(Effect.scoped, Effect.provide(supervised))
)

it.effect("more defects than the budget end the process with the loop's name", () =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor
    yield* supervisor.supervise(
      "broken",
      counting("broken", [], () => Effect.die("a bug"))
    )
    const ended = yield* Effect.forkChild(Effect.flip(supervisor.giveUp))

    yield* TestClock.adjust("2 minutes")

    const error = yield* Fiber.join(ended)
    assert.strictEqual(error.loop, "broken")
    assert.strictEqual(error.defects, 4)
  }).pipe(Effect.scoped, Effect.provide(supervised))
)

it.effect(
  "a dependency that is away for ten minutes spends nothing, is reported, and is taken up when it is back",
  () =>
    Effect.gen(function* () {
      const supervisor = yield* Supervisor
      const steps: Array<number> = []
      let away = true
      yield* supervisor.supervise(
        "waiting",
        counting("waiting", steps, () => (away ? Effect.fail(new Away({ message: "no answer" })) : Effect.void))
      )
      const ended = yield* Effect.forkChild(Effect.exit(supervisor.giveUp))

      yield* TestClock.adjust("10 minutes")

      assert.isUndefined(ended.pollUnsafe())
      assert.strictEqual((yield* supervisor.report)[0]?.waitingFor, "no answer")
      away = false
      const before = steps.length
      yield* TestClock.adjust("2 minutes")
      assert.isAtLeast(steps.length - before, 80)
      assert.isNull((yield* supervisor.report)[0]?.waitingFor ?? null)
    }).pipe(Effect.scoped, Effect.provide(supervised))
)
