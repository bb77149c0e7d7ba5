/** An exchange that has forgotten everything, one that only seems to, and what becomes of the orders. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Archived, OrderUnknown } from "../../src/binance/BinanceError.ts"
import { accountStream } from "../../src/domain/Ids.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { answerLost, ExchangeScript, limit, market, neverArrived, rests, TestNexus } from "../layers.ts"
import { filledOf, hasEnded, isResting, isUnknown, passes, passesUntil, scripted } from "./scripted.ts"

const resting = limit("BUY", "0.01", "50000")

const resets = Effect.flatMap(EventStore, (store) =>
  Effect.map(store.load(accountStream), ({ events }) =>
    events.flatMap(({ data, type }) => (type === "ExchangeReset" ? [Object(data)] : []))
  )
)

/** Orders that have executed, older than any answer may be: whoever asks for them knows whether the exchange remembers. */
const witnesses = (...ids: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const nexus = yield* TestNexus
    for (const id of ids) {
      yield* nexus.place(id, market("BUY", "0.01"))
      yield* nexus.until(id, hasEnded)
    }
    yield* nexus.advance("5 seconds")
  })

describe("Resets", () => {
  it.live("a reset is written down once, ends every order that was live, and sends none of them again", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* witnesses("w-1", "w-2")
      for (const id of ["open-1", "open-2", "partly"]) {
        yield* nexus.place(id, resting)
        yield* nexus.until(id, isResting)
      }
      const partly = yield* nexus.order("partly")
      yield* exchange.fill(partly.clientOrderId ?? "", "0.004")
      yield* nexus.until("partly", (order) => filledOf(order) === "0.004")
      yield* exchange.news("lost")
      yield* exchange.script(answerLost(rests), neverArrived)
      for (const id of ["doubt-1", "doubt-2"]) {
        yield* nexus.place(id, resting)
        yield* nexus.until(id, isUnknown)
      }
      const sent = (yield* exchange.submissions).length

      yield* exchange.reset

      for (const id of ["open-1", "open-2", "partly", "doubt-1", "doubt-2"]) {
        yield* passesUntil(Effect.map(nexus.order(id), hasEnded))
        const order = yield* nexus.order(id)
        assert.deepStrictEqual([id, order.status, order.reason?.code], [id, "FAILED", "LOST_BY_RESET"])
      }
      assert.strictEqual(filledOf(yield* nexus.order("partly")), "0.004")
      yield* passes(30)
      const written = yield* resets
      assert.strictEqual(written.length, 1)
      assert.isAtLeast(written[0].evidence.length, 4)
      assert.strictEqual((yield* exchange.submissions).length, sent)

      yield* exchange.news("live")
      yield* nexus.place("new", market("BUY", "0.01"))
      assert.strictEqual((yield* nexus.until("new", hasEnded)).status, "COMPLETED")
    }).pipe(scripted([]))
  )

  it.live("an order in doubt from before a reset is not proven absent by an exchange that forgot", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* witnesses("w")
      yield* exchange.news("lost")
      yield* exchange.script(answerLost())
      yield* exchange.lagReads({ orders: 4_000, trades: 4_000 })
      yield* nexus.place("filled-there", market("BUY", "0.01"))
      yield* nexus.until("filled-there", isUnknown)

      yield* exchange.reset

      yield* passesUntil(Effect.map(nexus.order("filled-there"), hasEnded))
      const order = yield* nexus.order("filled-there")
      assert.strictEqual(order.reason?.code, "LOST_BY_RESET")
      assert.strictEqual((yield* exchange.submissions).length, 2)
    }).pipe(scripted([]))
  )

  it.live("one stale answer, and one order that stays unknown among known ones, are no reset", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* witnesses("w-1", "w-2", "w-3")
      yield* nexus.place("open", resting)
      yield* nexus.until("open", isResting)
      const unknown = new OrderUnknown({ code: "-2013" })
      yield* exchange.nextQueries(unknown)
      yield* passes(30)
      // All that are asked once, and a part of those that are asked after that.
      yield* exchange.nextQueries(unknown, unknown, unknown, unknown, unknown)

      yield* passes(30)

      assert.deepStrictEqual(yield* resets, [])
      assert.isTrue(isResting(yield* nexus.order("open")))
    }).pipe(scripted([]))
  )

  it.live("a reset is not hidden by the orders that were filled after it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* witnesses("w")
      yield* nexus.place("open", resting)
      yield* nexus.until("open", isResting)
      yield* nexus.advance("5 seconds")

      yield* exchange.reset
      yield* witnesses("n-1", "n-2", "n-3")

      yield* passesUntil(Effect.map(nexus.order("open"), hasEnded))
      assert.strictEqual((yield* nexus.order("open")).reason?.code, "LOST_BY_RESET")
      assert.strictEqual((yield* resets).length, 1)
      for (const id of ["w", "n-1", "n-2", "n-3"]) assert.strictEqual((yield* nexus.order(id)).status, "COMPLETED")
    }).pipe(scripted([]))
  )

  it.live("questions for orders that lag without end are no reset while the lists still show them", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* witnesses("w-1", "w-2")
      const unknown = new OrderUnknown({ code: "-2013" })
      const before = (yield* exchange.asked)["allOrders"] ?? 0
      yield* exchange.nextQueries(...Array.from({ length: 200 }, () => unknown))

      yield* passesUntil(Effect.map(exchange.asked, ({ allOrders = 0 }) => allOrders > before))
      yield* passes(10)

      assert.deepStrictEqual(yield* resets, [])
      assert.strictEqual((yield* nexus.order("w-1")).status, "COMPLETED")
    }).pipe(scripted([]))
  )

  it.live("an order from before a reset ends also when the exchange stays away for hours after it", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const engine = yield* Engine
      yield* witnesses("w")
      yield* exchange.news("lost")
      yield* exchange.script(neverArrived)
      yield* nexus.place("doubt", resting)
      yield* nexus.until("doubt", isUnknown)

      yield* exchange.goAway
      yield* exchange.reset
      yield* engine.recordAccount(() => ({ _tag: "ExchangeReset", evidence: ["seen by another owner"], openOrders: 1 }))
      yield* nexus.advance("2 hours")
      yield* passes(5)
      yield* exchange.comeBack

      yield* passesUntil(Effect.map(nexus.order("doubt"), hasEnded))
      assert.strictEqual((yield* nexus.order("doubt")).reason?.code, "LOST_BY_RESET")
    }).pipe(scripted([]))
  )

  it.live("a symbol that the exchange does not know any more keeps no doubt about another one from its end", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* nexus.place("old", { ...market("BUY", "0.01"), symbol: "ETHUSDT" })
      yield* nexus.until("old", hasEnded)
      yield* nexus.advance("5 seconds")
      yield* witnesses("w")
      yield* exchange.delist("ETHUSDT")
      yield* exchange.script(neverArrived)

      yield* nexus.place("doubt", market("BUY", "0.01"))

      yield* nexus.until("doubt", isUnknown)
      yield* passesUntil(Effect.map(nexus.order("doubt"), hasEnded))
      assert.strictEqual((yield* nexus.order("doubt")).status, "COMPLETED")
      assert.deepStrictEqual(yield* resets, [])
    }).pipe(scripted([]))
  )

  it.live("an order that the exchange had archived before we knew its id there does not hide a reset", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* witnesses("w")
      yield* exchange.news("lost")
      yield* exchange.script(neverArrived)
      yield* exchange.nextQueries(...Array.from({ length: 3 }, () => new Archived({})))
      yield* nexus.place("archived", resting)
      yield* passesUntil(Effect.map(nexus.order("archived"), hasEnded))
      assert.strictEqual((yield* nexus.order("archived")).status, "CANCELLED")
      yield* passes(5)

      yield* exchange.reset

      yield* passesUntil(Effect.map(resets, (written) => written.length > 0))
      assert.strictEqual((yield* resets).length, 1)
    }).pipe(scripted([]))
  )
})
