/** The keys of supervision, under a test's clock: how often a broken loop starts again, and when that is enough. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Layer, References, Result } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig, loadConfig } from "../../src/config.ts"
import { Supervisor } from "../../src/engine/Supervisor.ts"
import { row, type Rows } from "./Row.ts"

/** Starts of a loop that fails at once, by the second of a minute, and in which second the process would have ended. */
const minuteOf = (
  env: Readonly<Record<string, string>>,
  failure: Effect.Effect<void, string>,
  judge: (minute: { readonly starts: ReadonlyArray<number>; readonly gaveUpAt: number | null }) => void
) => {
  const config = Result.getOrThrow(loadConfig({ yamlText: "", env, cwd: "/tmp" }))
  return (): Promise<void> =>
    Effect.gen(function* () {
      const supervisor = yield* Supervisor
      const starts: Array<number> = []
      const loop = Effect.andThen(
        Effect.sync(() => void starts.push(Date.now())),
        failure
      )
      yield* supervisor.supervise("broken", loop)
      const ended = yield* Effect.forkChild(Effect.flip(supervisor.giveUp))
      const perSecond: Array<number> = []
      let gaveUpAt: number | null = null
      for (let second = 0; second < 60; second++) {
        yield* TestClock.adjust("1 second")
        perSecond.push(starts.length)
        if (gaveUpAt === null && ended.pollUnsafe() !== undefined) gaveUpAt = second
      }
      judge({ starts: perSecond, gaveUpAt })
      yield* Fiber.interrupt(ended)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Supervisor.layer.pipe(Layer.provide(Layer.succeed(AppConfig, config)), Layer.provideMerge(TestClock.layer()))
      ),
      Effect.provideService(References.MinimumLogLevel, "None"),
      Effect.runPromise
    )
}

const bug = Effect.die("a bug")
const away = Effect.fail("a dependency is away")

export const supervisionRows: Rows = {
  "supervision.max_defects": row(
    "the process gives up after so many",
    minuteOf({ NEXUS_SUPERVISION_MAX_DEFECTS: "1" }, bug, ({ gaveUpAt }) => {
      // The default of ten would take half a minute.
      assert.isAtMost(gaveUpAt ?? 60, 3)
    })
  ),
  "supervision.defect_window_ms": row(
    "older ones are forgotten",
    minuteOf(
      {
        NEXUS_SUPERVISION_MAX_DEFECTS: "1",
        NEXUS_SUPERVISION_DEFECT_WINDOW_MS: "1000",
        NEXUS_SUPERVISION_RESTART_MIN_MS: "3000",
        NEXUS_SUPERVISION_RESTART_MAX_MS: "3000"
      },
      bug,
      ({ gaveUpAt, starts }) => {
        assert.isNull(gaveUpAt)
        assert.isAbove(starts.at(-1) ?? 0, 10)
      }
    )
  ),
  "supervision.restart_min_ms": row(
    "the wait before the first start again",
    minuteOf({ NEXUS_SUPERVISION_RESTART_MIN_MS: "20000" }, away, ({ starts }) => {
      assert.strictEqual(starts[8], 1)
      assert.isAbove(starts[25] ?? 0, 1)
    })
  ),
  "supervision.restart_max_ms": row(
    "the wait at most",
    minuteOf({ NEXUS_SUPERVISION_RESTART_MAX_MS: "400" }, away, ({ starts }) => {
      assert.isAbove(starts.at(-1) ?? 0, 100)
    })
  )
}
