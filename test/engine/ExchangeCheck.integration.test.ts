import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { accountStream } from "../../src/domain/Ids.ts"
import { ExchangeCheck } from "../../src/engine/ExchangeCheck.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Store } from "../../src/sql/Store.ts"
import { ExchangeScript, limit, market, ScriptedExchange, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { hasEnded, scripted } from "./scripted.ts"

const account = Effect.flatMap(EventStore, (store) => Effect.map(store.load(accountStream), ({ events }) => events))

describe("ExchangeCheck", () => {
  it.live("the account's stream begins with the opening of the store, once, however often it is opened", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus
      const { storeId } = yield* Store
      yield* Effect.gen(function* () {
        yield* (yield* ExchangeCheck).passed
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { databaseUrl })))

      const events = yield* account

      assert.strictEqual(events[0]?.type, "StoreOpened")
      assert.deepStrictEqual({ ...Object(events[0]?.data) }, { storeId, exchange: "SIMULATOR", accountUid: "4711" })
      assert.strictEqual(events.filter(({ type }) => type === "StoreOpened").length, 1)
    }).pipe(scripted([]))
  )

  it.live("a store of another account is refused with both names, and nothing is sent for it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* Effect.gen(function* () {
        const stranger = yield* TestNexus
        const refusal = yield* Effect.flip((yield* ExchangeCheck).refused)
        assert.include(refusal.message, "account 4711")
        assert.include(refusal.message, "account 9999")
        yield* stranger.place("wrong", market("BUY", "0.01"))
        yield* stranger.advance("1 minute")
        yield* Effect.sleep(100)
        assert.deepStrictEqual(yield* (yield* ExchangeScript).submissions, [])
      }).pipe(
        Effect.provide(
          TestNexus.on(ScriptedExchange([], { accountUid: "9999" }), {
            databaseUrl: nexus.databaseUrl,
            roles: ["executor", "reports", "reconciler"]
          })
        )
      )
    }).pipe(scripted([]))
  )

  it.live("a store of another exchange is refused with both names, before anything runs", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus

      const refusal = yield* Effect.flip(
        Effect.asVoid(TestNexus).pipe(
          Effect.provide(
            TestNexus.on(ScriptedExchange([]), {
              databaseUrl,
              roles: [],
              env: { BINANCE_TESTNET_API_KEY: "a-key-of-nobody", BINANCE_TESTNET_API_SECRET: "a-secret-of-nobody" }
            })
          )
        )
      )

      assert.strictEqual(refusal._tag, "StoreBelongsElsewhere")
      assert.include(refusal.message, "SIMULATOR")
      assert.include(refusal.message, "TESTNET")
    }).pipe(scripted([]))
  )

  it.live("nothing is sent before the exchange was seen, and everything that waited is sent after", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus
      yield* Effect.gen(function* () {
        const nexus = yield* TestNexus
        const exchange = yield* ExchangeScript
        for (const id of ["a", "b", "c"]) yield* nexus.place(id, market("BUY", "0.01"))
        yield* nexus.advance("20 seconds")
        yield* Effect.sleep(100)
        assert.strictEqual((yield* exchange.asked)["readyToSubmit"], undefined)

        yield* exchange.comeBack
        yield* nexus.advance("30 seconds")

        for (const id of ["a", "b", "c"]) yield* nexus.until(id, hasEnded)
        assert.strictEqual((yield* exchange.ledger).length, 3)
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([], { startsAway: true }), { databaseUrl })))
    }).pipe(scripted([], { roles: [] }))
  )

  it.live("what the exchange lists and this store never sent is counted in the account's stream", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus
      yield* Effect.gen(function* () {
        const exchange = yield* ExchangeScript
        yield* exchange.acceptForeign("by-hand", limit("BUY", "0.01", "50000"))
        yield* exchange.comeBack
        yield* (yield* TestNexus).advance("30 seconds")

        const events = yield* until(account, (all) => all.some(({ type }) => type === "ReconciliationReported"))

        const report = Object(events.find(({ type }) => type === "ReconciliationReported")?.data)
        assert.deepStrictEqual([report.openOrders, report.foreign, report.adopted], [1, 1, 0])
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([], { startsAway: true }), { databaseUrl })))
    }).pipe(scripted([], { roles: [] }))
  )
})
