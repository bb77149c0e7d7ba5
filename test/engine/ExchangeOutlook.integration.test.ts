/** What an operator sees of the exchange's limits, in readiness and metrics. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { RateLimited } from "../../src/binance/BinanceError.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { Health } from "../../src/engine/Health.ts"
import { ExchangeCheck } from "../../src/engine/ExchangeCheck.ts"
import { ScriptedExchange, SimulatedExchange, TestNexus } from "../layers.ts"

const metric = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    Effect.flatMap(Health, ({ metrics }) => metrics),
    (families) =>
      families
        .find((family) => family.name === name)
        ?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))?.value
  )

describe("the outlook on the exchange", () => {
  it.live("says how long a ban lasts, and that the process is ready all the same", () =>
    Effect.gen(function* () {
      const limits = yield* RateLimits

      yield* limits.obey(
        new RateLimited({ code: "-1003", retryAfterMillis: 90_000, exchangeMessage: "", banned: true })
      )
      const { degraded, exchange, ready } = yield* (yield* Health).readiness

      assert.isTrue(ready)
      assert.approximately(exchange?.stoppedMillis ?? 0, 90_000, 5_000)
      assert.approximately(exchange?.nextSubmitMillis ?? 0, 90_000, 5_000)
      assert.include(
        degraded.find(({ part }) => part === "exchange limits")?.detail,
        "it wants no requests for 90 s: all traffic to it waits"
      )
      assert.approximately((yield* metric("nexus_exchange_stopped_seconds", { scope: "all" })) ?? 0, 90, 5)
      assert.approximately((yield* metric("nexus_exchange_wait_seconds", { kind: "submit" })) ?? 0, 90, 5)
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]))))
  )

  it.live("tells what is used of each limit that the exchange publishes, and how old our share is", () =>
    Effect.gen(function* () {
      yield* (yield* ExchangeCheck).passed

      const limit = yield* metric("nexus_exchange_limit", { limit: "REQUEST_WEIGHT/60000" })
      const used = yield* metric("nexus_exchange_limit_used", { limit: "REQUEST_WEIGHT/60000" })
      const age = yield* metric("nexus_exchange_share_age_seconds")
      const { exchange } = yield* (yield* Health).readiness

      assert.isAtLeast(limit ?? 0, 6_000)
      assert.isAbove(used ?? 0, 0)
      assert.isBelow(age ?? Number.NaN, 3)
      assert.strictEqual(yield* metric("nexus_exchange_circuit_open"), 0)
      assert.deepInclude(exchange, { nextSubmitMillis: 0, stoppedMillis: 0, circuit: "closed" })
      assert.isAtMost(Math.abs(exchange?.clockOffsetMillis ?? Number.NaN), (exchange?.clockErrorMillis ?? 0) + 1)
    }).pipe(Effect.provide(TestNexus.on(SimulatedExchange, { env: { NEXUS_SIMULATOR_LIMITS: "real" } })))
  )
})
