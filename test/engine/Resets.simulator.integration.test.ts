/** The exchange simulator forgets everything under a thousand open orders, as the testnet does about monthly. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { accountStream } from "../../src/domain/Ids.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { limit, market, Simulator, SimulatedExchange, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { hasEnded, isResting, passesUntil } from "./scripted.ts"

const open = 1_000

describe("a reset of the exchange under a thousand open orders", () => {
  it.live(
    "is one ExchangeReset; each of them ends as LOST_BY_RESET, none is sent again, and new orders flow within 30 s",
    () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const simulator = yield* Simulator
        const store = yield* EventStore
        for (const id of ["w-1", "w-2", "w-3"]) {
          yield* nexus.place(id, market("BUY", "0.001"))
          yield* nexus.until(id, hasEnded)
        }
        const ids = Array.from({ length: open }, (_, index) => `open-${index}`)
        yield* Effect.forEach(ids, (id) => nexus.place(id, limit("BUY", "0.0001", "55000")), { concurrency: 64 })
        yield* until(
          Effect.sync(() => simulator.ledger().filter(({ status }) => status === "NEW").length),
          (there) => there === open
        )
        yield* Effect.forEach(ids, (id) => nexus.until(id, isResting), { concurrency: 16 })
        yield* nexus.advance("5 seconds")

        simulator.faults.reset()
        const forgotten = performance.now()
        yield* nexus.place("new", market("BUY", "0.001"))

        assert.strictEqual((yield* nexus.until("new", hasEnded)).status, "COMPLETED")
        assert.isBelow(performance.now() - forgotten, 30_000)
        yield* passesUntil(Effect.map(store.totals, ({ failed }) => failed === open))
        for (const id of ids) {
          const { attempt, reason } = yield* nexus.order(id)
          assert.deepStrictEqual([reason?.code, attempt?.number], ["LOST_BY_RESET", 1])
        }
        yield* nexus.advance("31 seconds")
        yield* nexus.place("newer", market("BUY", "0.001"))
        yield* nexus.until("newer", hasEnded)
        const { events } = yield* store.load(accountStream)
        assert.strictEqual(events.filter(({ type }) => type === "ExchangeReset").length, 1)
        const sent = simulator.ledger().map(({ clientOrderId }) => clientOrderId)
        assert.strictEqual(new Set(sent).size, sent.length)
        assert.deepStrictEqual((yield* nexus.verify).findings, [])
      }).pipe(Effect.provide(TestNexus.on(SimulatedExchange, { env: { NEXUS_RECONCILER_DOUBT_CHECK_MS: "200" } }))),
    60_000
  )
})
