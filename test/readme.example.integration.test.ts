import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { answerLost, ExchangeScript, market, ScriptedExchange, TestNexus } from "./layers.ts"

it.live("an order whose answer was lost is found at the exchange, and not sent again", () =>
  Effect.gen(function* () {
    const nexus = yield* TestNexus
    yield* nexus.place("ORDER-001", market("BUY", "0.001"))
    const order = yield* nexus.until("ORDER-001", ({ status }) => status === "COMPLETED")

    const ledger = yield* (yield* ExchangeScript).ledger
    assert.deepStrictEqual([order.attempt?.number, ledger.length], [1, 1])
    assert.isTrue((yield* nexus.verify).ok)
  }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([answerLost()]))))
)
