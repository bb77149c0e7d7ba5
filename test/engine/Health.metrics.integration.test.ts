/** What an operator sees of a relay that is behind, an executor at work and the loops of a process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { laneOf } from "../../src/domain/Ids.ts"
import { Health } from "../../src/engine/Health.ts"
import manifest from "../../package.json" with { type: "json" }
import { templateLanes } from "../harness/template.ts"
import { filled, market, neverArrived, ScriptedExchange, slowly, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { brokenBus, makeBusFaults } from "./brokenBus.ts"
import { hasEnded, isUnknown, scripted } from "./scripted.ts"

const samples = (name: string) =>
  Effect.map(
    Effect.flatMap(Health, ({ metrics }) => metrics),
    (families) => families.find((family) => family.name === name)?.samples ?? []
  )

const metric = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    samples(name),
    (all) => all.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))?.value
  )

const buy = market("BUY", "0.01")

describe("metrics", () => {
  it.live(
    "tell by how long a lane is behind while the bus is away, and that orders came by the scan of the log",
    () => {
      const faults = makeBusFaults()
      faults.isAway = true
      const lane = { lane: `${laneOf("behind", templateLanes)}` }
      return Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* nexus.place("behind", buy)
        yield* nexus.until("behind", hasEnded)

        const lag = yield* until(metric("nexus_outbox_lag_seconds", lane), (seconds) => (seconds ?? 0) > 0)
        yield* nexus.advance("1 minute")
        const later = (yield* metric("nexus_outbox_lag_seconds", lane)) ?? 0
        assert.isAtLeast(later - (lag ?? 0), 59)
        assert.strictEqual(yield* metric("nexus_executor_due_scan_hits_total"), 1)

        faults.isAway = false
        yield* until(metric("nexus_outbox_lag_seconds", lane), (seconds) => seconds === 0)
      }).pipe(scripted([filled], { bus: brokenBus(faults), env: { NEXUS_EXECUTION_PICKUP_AFTER_MS: "100" } }))
    }
  )

  it.live("count the orders that an executor has in hand", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("in-hand", buy)

      yield* until(metric("nexus_executor_ready"), (ready) => ready === 1)
      yield* nexus.advance("5 seconds")
      yield* nexus.until("in-hand", hasEnded)

      yield* until(metric("nexus_executor_ready"), (ready) => ready === 0)
    }).pipe(scripted([slowly(4_000, filled)]))
  )

  it.live("tell for how long the oldest order has been in doubt, and nothing once none is", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const age = metric("nexus_orders_unknown_age_seconds")
      assert.strictEqual(yield* age, 0)
      yield* nexus.place("doubted", buy)
      const { attempt } = yield* nexus.until("doubted", isUnknown)
      yield* nexus.advance("2 seconds")
      const sinceStart = () => (nexus.clock.currentTimeMillisUnsafe() - (attempt?.startedAt ?? 0)) / 1_000

      const least = sinceStart()
      const seconds = (yield* age) ?? 0

      assert.isAtLeast(least, 2)
      assert.isAtLeast(seconds, least)
      assert.isAtMost(seconds, sinceStart())
      // So much later nothing that was sent can arrive any more, and it is sent again.
      yield* nexus.advance("10 seconds")
      yield* nexus.until("doubted", hasEnded)
      assert.strictEqual(yield* age, 0)
    }).pipe(scripted([neverArrived, filled]))
  )

  it.live("count the live replicas of each role, this one and those that come and go", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus
      const replicas = Effect.map(samples("nexus_role_replicas"), (all) =>
        all.map(({ labels, value }) => `${labels["role"]} ${value}`).join(", ")
      )
      const alone = "relay 0, executor 1, reports 0, reconciler 0"
      yield* until(replicas, (seen) => seen === alone)

      yield* Effect.scoped(
        Effect.gen(function* () {
          const roles = ["relay", "executor"] as const
          yield* Layer.build(TestNexus.on(ScriptedExchange([]), { databaseUrl, roles }))
          yield* until(replicas, (seen) => seen === "relay 1, executor 2, reports 0, reconciler 0")
        })
      )

      yield* until(replicas, (seen) => seen === alone)
    }).pipe(scripted([], { roles: ["executor"] }))
  )

  it.live("name the release that runs, and how long ago each loop took a step", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      assert.strictEqual(yield* metric("nexus_build_info", { version: manifest.version, node: process.version }), 1)
      const age = metric("nexus_loop_heartbeat_age_seconds", { loop: "backlog" })
      yield* until(age, (seconds) => seconds !== undefined && seconds < 1)
      yield* nexus.advance("1 minute")
      yield* until(age, (seconds) => seconds !== undefined && seconds < 1)
    }).pipe(scripted([]))
  )
})
