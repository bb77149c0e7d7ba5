/** What the engine's tests on a scripted exchange have in common: how they begin, and what holds at the end of each. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { AppConfig } from "../../src/config.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { ledgerFaults } from "../../src/domain/invariants.ts"
import { isEnded, type Order } from "../../src/domain/Order.ts"
import { ExchangeCheck } from "../../src/engine/ExchangeCheck.ts"
import { ExchangeScript, ScriptedExchange, TestNexus, type TestNexusOptions } from "../layers.ts"
import type { Outcome } from "../ScriptedExchange.ts"
import { until } from "../sql/until.ts"

// Looked at often, so that a test waits for the engine and not for its pace.
const paced = { NEXUS_RECONCILER_DOUBT_CHECK_MS: "100" }

/** Runs a test on an engine whose exchange answers like this, and checks at its end what must hold always. */
export const scripted =
  (outcomes: ReadonlyArray<Outcome>, options: TestNexusOptions = {}) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    started.pipe(
      Effect.andThen(test),
      Effect.andThen(sound),
      Effect.provide(TestNexus.on(ScriptedExchange(outcomes), { ...options, env: { ...paced, ...options.env } }))
    )

/** The exchange was seen and is the right one: what a test does to it now, it does to a running engine. */
const started = Effect.gen(function* () {
  const { app } = yield* AppConfig
  if (app.roles.includes("executor")) yield* (yield* ExchangeCheck).passed
})

/** The whole log verifies, the counters add up (INV-12), and no order was executed twice (INV-3). */
export const sound = Effect.gen(function* () {
  const report = yield* (yield* TestNexus).verify
  assert.deepStrictEqual(report.findings, [])
  const ledger = yield* (yield* ExchangeScript).ledger
  const sent = yield* (yield* ExchangeScript).submissions
  for (const id of new Set(ledger.map(({ clientOrderId }) => clientOrderId))) {
    const orders = ledger
      .filter(({ clientOrderId }) => clientOrderId === id)
      .map(({ exchangeOrderId, executedQuantity }) => ({ exchangeOrderId, executed: executedQuantity !== "0" }))
    const attempts = sent.filter(({ clientOrderId }) => clientOrderId === id).length
    assert.deepStrictEqual(ledgerFaults(Math.max(attempts, 1), orders), [])
  }
})

export const story = (orderId: string) =>
  Effect.flatMap(TestNexus, (nexus) =>
    Effect.map(nexus.events(orderId), (events) => events.map(({ _tag }) => _tag).join(" "))
  )

export const hasEnded = isEnded
export const isUnknown = (order: Order) => order.certainty === "UNKNOWN"
export const isResting = (order: Order) => order.status === "EXECUTING" && order.certainty === "CONFIRMED"
export const filledOf = (order: Order) => Decimal.format(order.filledQuantity)

/** Time goes on second by second, so that loops which sleep in between take their turns. */
export const passes = Effect.fnUntraced(function* (seconds: number) {
  const nexus = yield* TestNexus
  for (let second = 0; second < seconds; second++) {
    yield* nexus.advance("1 second")
    yield* Effect.sleep(15)
  }
})

/** Lets time go on until it is so; a machine that is busy needs more of it. */
export const passesUntil = <E, R>(isIt: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function* () {
    for (let second = 0; second < 600 && !(yield* isIt); second++) yield* passes(1)
  })

/** The user stream runs here, and its first gap is repaired. */
export const streaming = Effect.flatMap(ExchangeScript, ({ asked }) =>
  // The first answer is for the check of the account.
  until(asked, ({ account = 0 }) => account >= 2)
)
