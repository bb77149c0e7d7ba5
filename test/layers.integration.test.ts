/** The layers that others build on keep what they say: one time for engine and exchange, a true ledger, faults on order. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import * as Decimal from "../src/domain/Decimal.ts"
import { asAdministrator } from "./harness/template.ts"
import { limit, market, ScriptedExchange, Simulator, TestNexus } from "./layers.ts"

describe("TestNexus with the simulator", () => {
  it.live("a market order is executed over its sockets, and the ledger there says the same as the log", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const { ledger } = yield* Simulator
      yield* nexus.place("buy", market("BUY", "0.5"))

      const order = yield* nexus.until("buy", ({ status }) => status === "COMPLETED")

      const [there] = ledger()
      assert.strictEqual(there?.clientOrderId, order.clientOrderId)
      assert.isTrue(Decimal.equals(Decimal.decimal(there?.executedQty ?? "0"), order.filledQuantity))
      assert.isTrue((yield* nexus.verify).ok)
    }).pipe(Effect.provide(TestNexus.layer))
  )

  it.live("time that is set forward passes for the exchange too: an order of an hour later is not refused", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("now", limit("BUY", "0.01", "20000"))
      yield* nexus.until("now", ({ attempt }) => attempt?.state === "ACCEPTED")

      yield* nexus.advance("1 hour")
      yield* nexus.place("later", market("BUY", "0.01"))

      const order = yield* nexus.until("later", ({ status }) => status === "COMPLETED")
      assert.strictEqual(order.attempt?.number, 1)
      assert.strictEqual((yield* nexus.order("now")).status, "EXECUTING")
    }).pipe(Effect.provide(TestNexus.layer))
  )

  it.live("an order whose answer the simulator loses is found there, and one that never arrived is sent again", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const { faults, ledger } = yield* Simulator
      faults.next({ on: "POST /api/v3/order", kind: "answerLost" })
      yield* nexus.place("lost", market("BUY", "0.01"))
      const lost = yield* nexus.until("lost", ({ status }) => status === "COMPLETED")
      faults.next({ on: "POST /api/v3/order", kind: "neverArrives" })
      yield* nexus.place("absent", market("BUY", "0.01"))
      yield* nexus.until("absent", ({ certainty }) => certainty === "UNKNOWN")

      yield* nexus.advance("10 seconds")

      const absent = yield* nexus.until("absent", ({ status }) => status === "COMPLETED")
      assert.deepStrictEqual([lost.attempt?.number, absent.attempt?.number, ledger().length], [1, 2, 2])
      assert.isTrue((yield* nexus.verify).ok)
    }).pipe(Effect.provide(TestNexus.layer))
  )
})

describe("the verification at the end of a test", () => {
  it.live("fails it when anything is not as it must be, with what that is", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("told", market("BUY", "0.5"))
      yield* nexus.verify
      yield* asAdministrator(nexus.databaseUrl, (sql) => sql.unsafe("update orders set symbol = 'ETHUSDT'"))

      const cause = yield* Effect.flip(Effect.sandbox(nexus.verify))

      assert.match(Cause.pretty(cause), /orders, .*told: symbol is .*ETHUSDT/)
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] })))
  )
})
