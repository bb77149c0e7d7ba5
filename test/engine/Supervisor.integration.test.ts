/**
 * Every background loop of a running engine, by its name: a defect at its third step, under load. The loop starts
 * again and is counted, no other one starts again or stands still, and every order still ends.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Supervisor } from "../../src/engine/Supervisor.ts"
import { ExchangeScript, limit, market, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { hasEnded, scripted } from "./scripted.ts"

/** Only holds the loops of the role; takes no step of its own. */
const withoutSteps = "reconciler"
/** A defect while a message is handled is the bus's to repeat: the subscription itself goes on. */
const handledByTheBus = "executor/messages"

/** Fast enough to be seen turning while another loop is down. */
const busy = ["backlog", "ownership", "executor/due-scan", "reconciler/doubts"]

/** Of each role, the loop that starts last. */
const last = ["relay/0", "relay/1", "relay/2", "relay/3", "user-stream/gaps", "reconciler/instruments", handledByTheBus]

interface Traps {
  /** The loop that dies at its third step from now on; null: none. */
  target: string | null
  steps: number
  sprung: number
  readonly beats: Map<string, number>
}

const trapped = (traps: Traps) =>
  Layer.effect(
    Supervisor,
    Effect.map(Supervisor, (real) =>
      Supervisor.of({
        ...real,
        beat: (name) =>
          Effect.suspend(() => {
            traps.beats.set(name, (traps.beats.get(name) ?? 0) + 1)
            if (name !== traps.target) return real.beat(name)
            traps.steps += 1
            if (traps.steps !== 3) return real.beat(name)
            traps.target = null
            traps.sprung += 1
            return Effect.die(new Error(`a bug in ${name}`))
          })
      })
    )
  ).pipe(Layer.provide(Supervisor.layer))

const traps: Traps = { target: null, steps: 0, sprung: 0, beats: new Map() }

const restartsOf = (name: string) =>
  Effect.flatMap(Supervisor, ({ report }) =>
    Effect.map(report, (loops) => loops.find((loop) => loop.name === name)?.restarts)
  )

/** Loops that run inside another one end and begin with it. */
const isWithin = (name: string, outer: string) => name === outer || name.startsWith(`${outer}/`)

it.live(
  "a defect at the third step of any loop restarts that loop alone, is counted, and costs no order its end",
  () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const { report } = yield* Supervisor
      const placed: Array<string> = []

      // Orders that fill, orders that rest and are cancelled, news and gaps, and a time that goes on by minutes.
      const load = Effect.gen(function* () {
        for (let round = 0; ; round++) {
          const fills = `fills-${round}`
          const rests = `rests-${round}`
          placed.push(fills, rests)
          yield* nexus.place(fills, market("BUY", "0.01"))
          yield* nexus.place(rests, limit("BUY", "0.01", "50000"))
          const older = `rests-${round - 5}`
          if (round >= 5) yield* Effect.catch(nexus.cancel(older), () => Effect.void)
          yield* exchange.push({ _tag: "Other" })
          yield* exchange.push({ _tag: "Connected" })
          yield* nexus.advance("1 second")
          yield* Effect.sleep(10)
        }
      })
      const loaded = yield* Effect.forkScoped(load)
      const names = (yield* until(report, (loops) => last.every((one) => loops.some(({ name }) => name === one))))
        .map(({ name }) => name)
        .filter((name) => name !== withoutSteps)
      assert.isAtLeast(names.length, 35)

      for (const name of names) {
        yield* until(report, (loops) => loops.every(({ waitingFor }) => waitingFor === null))
        const before = new Map((yield* report).map((loop) => [loop.name, loop.restarts]))
        const beatsBefore = busy.map((one) => traps.beats.get(one) ?? 0)
        const sprungBefore = traps.sprung
        traps.steps = 0
        traps.target = name

        yield* until(
          Effect.sync(() => ({ waitsFor: name, sprung: traps.sprung, steps: traps.steps })),
          ({ sprung }) => sprung > sprungBefore
        )
        if (name !== handledByTheBus) {
          const counted = (before.get(name) ?? 0) + 1
          yield* until(
            Effect.map(restartsOf(name), (restarts) => ({ name, restarts })),
            ({ restarts }) => restarts === counted
          )
        }
        yield* until(
          Effect.sync(() => busy.map((one, index) => (traps.beats.get(one) ?? 0) - (beatsBefore[index] ?? 0))),
          (turns) => turns.every((count) => count > 3)
        )
        for (const loop of yield* report) {
          if (!isWithin(loop.name, name))
            assert.strictEqual(loop.restarts, before.get(loop.name) ?? 0, `${loop.name} ${loop.waitingFor}`)
        }
      }

      yield* Fiber.interrupt(loaded)
      const orders = [...placed]
      for (const id of orders) if (id.startsWith("rests")) yield* Effect.catch(nexus.cancel(id), () => Effect.void)
      for (const id of orders) yield* nexus.until(id, hasEnded)
      assert.isAtLeast(orders.length, names.length)
    }).pipe(
      Effect.scoped,
      scripted([], {
        supervisor: trapped(traps),
        env: {
          NEXUS_SUPERVISION_MAX_DEFECTS: "1000",
          NEXUS_EXECUTION_WORKERS: "2",
          NEXUS_EXECUTION_CANCEL_WORKERS: "2",
          NEXUS_EXECUTION_MAX_AGE_MS: "86400000",
          NEXUS_RECONCILER_SNAPSHOT_REFRESH_MS: "5000"
        }
      })
    ),
  120_000
)
