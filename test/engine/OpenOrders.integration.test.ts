import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { OpenOrders } from "../../src/engine/OpenOrders.ts"
import { acceptedLate, ExchangeScript, limit, rests, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { hasEnded, isResting, isUnknown, scripted } from "./scripted.ts"

const resting = limit("BUY", "0.01", "50000")

describe("OpenOrders", () => {
  it.live("an order that ended here and turns up in the book all the same is cancelled there", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* exchange.news("lost")
      yield* nexus.place("ghost", resting)
      yield* nexus.until("ghost", isUnknown)
      yield* nexus.cancel("ghost")
      yield* nexus.advance("10 seconds")
      assert.strictEqual((yield* nexus.until("ghost", hasEnded)).status, "CANCELLED")

      // Later than anything that the exchange promises.
      yield* nexus.advance("60 seconds")
      const ledger = yield* until(exchange.ledger, (orders) => orders[0]?.status === "CANCELED")

      assert.strictEqual(ledger.length, 1)
      assert.strictEqual((yield* nexus.order("ghost")).status, "CANCELLED")
    }).pipe(scripted([acceptedLate(30_000, rests)]))
  )

  it.live("a comparison in which nothing differs changes nothing", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      for (const id of ["a", "b", "c"]) {
        yield* nexus.place(id, resting)
        yield* nexus.until(id, isResting)
      }
      yield* nexus.advance("3 seconds")
      const before = yield* nexus.verify

      const found = yield* (yield* OpenOrders).compare

      assert.deepStrictEqual([found.listed, found.adopted, found.foreign, found.repaired], [3, 0, 0, 0])
      assert.strictEqual((yield* nexus.verify).events, before.events)
    }).pipe(scripted([]))
  )

  it.live("an order that the list does not show yet is not taken for ended", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* nexus.place("fresh", resting)
      yield* nexus.until("fresh", isResting)
      yield* exchange.lagReads({ orders: 600_000, trades: 600_000 })
      yield* nexus.advance("5 seconds")

      yield* (yield* OpenOrders).compare

      assert.strictEqual((yield* nexus.order("fresh")).status, "EXECUTING")
    }).pipe(scripted([]))
  )
})
