/** Orders that ended while nobody listened: a few, and thousands; and ones that the exchange does not know. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Archived, OrderUnknown } from "../../src/binance/BinanceError.ts"
import { OpenOrders } from "../../src/engine/OpenOrders.ts"
import { ExchangeScript, limit, TestNexus } from "../layers.ts"
import { filledOf, hasEnded, isResting, scripted } from "./scripted.ts"

const resting = limit("BUY", "0.01", "50000")
const quiet = { roles: ["executor"], env: { NEXUS_EXECUTION_WORKERS: "16" } } as const

/** Orders that rest at the exchange, older than what a comparison takes for news; their client order ids. */
const restingOrders = (count: number, prefix = "order") =>
  Effect.gen(function* () {
    const nexus = yield* TestNexus
    const ids = Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
    yield* Effect.forEach(ids, (id) => nexus.place(id, resting), { concurrency: 64 })
    const clientOrderIds = yield* Effect.forEach(
      ids,
      (id) => Effect.map(nexus.until(id, isResting), ({ clientOrderId }) => clientOrderId ?? ""),
      { concurrency: 16 }
    )
    yield* nexus.advance("3 seconds")
    return { ids, clientOrderIds }
  })

describe("VanishedOrders", () => {
  it.live("three hundred orders that ended unheard cost a few pages of lists, and no question each", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const { clientOrderIds, ids } = yield* restingOrders(300)
      for (const [index, id] of clientOrderIds.entries()) {
        if (index % 3 === 0) yield* exchange.expire(id)
        else yield* exchange.fill(id)
      }

      const report = yield* (yield* OpenOrders).compare

      assert.deepInclude(report, { listed: 0, compared: 300, repaired: 300, missing: 0, failed: 0, differences: [] })
      const orders = yield* Effect.forEach(ids, nexus.order, { concurrency: 16 })
      assert.strictEqual(orders.filter(({ status }) => status === "COMPLETED").length, 200)
      assert.strictEqual(orders.filter(({ status }) => status === "FAILED").length, 100)
      const { allOrders = 0, myTrades = 0, queryOrder = 0 } = yield* exchange.asked
      assert.strictEqual(queryOrder, 0)
      assert.isAtMost(allOrders + myTrades, 4)
    }).pipe(scripted([], quiet))
  )

  it.live("orders that the lists do not show are asked for one by one, and only they", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const { clientOrderIds, ids } = yield* restingOrders(40)
      for (const id of clientOrderIds) yield* exchange.fill(id)
      yield* exchange.lagReads({ orders: 0, trades: 3_600_000 })

      const without = yield* (yield* OpenOrders).compare
      assert.strictEqual(without.repaired, 0)
      assert.strictEqual((yield* nexus.order(ids[0]!)).status, "EXECUTING")
      yield* exchange.lagReads({ orders: 0, trades: 0 })
      const report = yield* (yield* OpenOrders).compare

      assert.deepInclude(report, { compared: 40, repaired: 40, differences: [] })
      assert.strictEqual(filledOf(yield* nexus.order(ids[39]!)), "0.01")
    }).pipe(scripted([], quiet))
  )

  it.live("an order that the exchange does not know is asked for twice, reported as missing, and stays open here", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* restingOrders(1, "witness")
      const { ids } = yield* restingOrders(1)
      yield* exchange.expire((yield* nexus.order("witness-0")).clientOrderId ?? "")
      yield* exchange.expire((yield* nexus.order(ids[0]!)).clientOrderId ?? "")
      const unknown = new OrderUnknown({ code: "-2013" })
      yield* exchange.nextQueries(unknown, unknown, unknown)

      const report = yield* (yield* OpenOrders).compare

      // Of the two, one was known when it was asked for the second time.
      assert.deepInclude(report, { compared: 2, missing: 1, repaired: 1 })
      assert.strictEqual(report.differences[0]?.what, "open here, unknown to the exchange")
      assert.strictEqual((yield* exchange.asked)["queryOrder"], 4)
    }).pipe(scripted([], quiet))
  )

  it.live("an order that the exchange has archived ends as cancelled, and says so", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const { clientOrderIds, ids } = yield* restingOrders(1)
      yield* exchange.expire(clientOrderIds[0]!)
      yield* exchange.nextQueries(new Archived({}))

      yield* (yield* OpenOrders).compare

      const order = yield* nexus.until(ids[0]!, hasEnded)
      assert.strictEqual(order.status, "CANCELLED")
      assert.include(order.reason?.message, "ARCHIVED")
    }).pipe(scripted([], quiet))
  )

  it.live("an order of more than a thousand trades is booked with all of them, and completed once", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* nexus.place("many", limit("BUY", "0.025", "50000"))
      const { clientOrderId } = yield* nexus.until("many", isResting)
      yield* nexus.advance("3 seconds")
      for (let trade = 1; trade < 2_500; trade++) yield* exchange.fill(clientOrderId ?? "", "0.00001")
      yield* exchange.fill(clientOrderId ?? "")

      yield* (yield* OpenOrders).compare

      const order = yield* nexus.until("many", hasEnded)
      assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.025"])
      const names = (yield* nexus.events("many")).map(({ _tag }) => _tag)
      assert.strictEqual(names.filter((name) => name === "OrderFilled").length, 2_500)
      assert.strictEqual((yield* exchange.asked)["myTrades"], 3)
    }).pipe(scripted([], quiet))
  )
})
