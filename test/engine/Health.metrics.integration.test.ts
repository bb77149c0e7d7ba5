/** What an operator sees of a relay that is behind, an executor at work and the loops of a process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { laneOf } from "../../src/domain/Ids.ts"
import { Health } from "../../src/engine/Health.ts"
import manifest from "../../package.json" with { type: "json" }
import { templateLanes } from "../harness/template.ts"
import { filled, market, slowly, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { brokenBus, makeBusFaults } from "./brokenBus.ts"
import { hasEnded, scripted } from "./scripted.ts"

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
