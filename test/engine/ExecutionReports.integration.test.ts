import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { UserEvent } from "../../src/binance/UserStream.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { ExchangeScript, limit, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { filledOf, hasEnded, isResting, passes, passesUntil, scripted, story, streaming } from "./scripted.ts"

const resting = limit("BUY", "0.01", "50000")

/** An order that rests at the exchange, older than what a comparison takes for news; its client order id. */
const restingOrder = (orderId: string) =>
  Effect.gen(function* () {
    const nexus = yield* TestNexus
    yield* nexus.place(orderId, resting)
    const { clientOrderId } = yield* nexus.until(orderId, isResting)
    yield* nexus.advance("3 seconds")
    return clientOrderId ?? ""
  })

/** The reports that the exchange would have sent for what this does, in its order. */
const reportsOf = <A, E, R>(what: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const exchange = yield* ExchangeScript
    yield* exchange.news("held")
    yield* what
    const held = yield* exchange.heldNews
    return held.filter((event): event is Extract<UserEvent, { _tag: "Report" }> => event._tag === "Report")
  })

const pushAll = (events: ReadonlyArray<UserEvent>) =>
  Effect.flatMap(ExchangeScript, ({ push }) => Effect.forEach(events, push, { discard: true }))

const threeFills = (id: string) =>
  Effect.gen(function* () {
    const { fill } = yield* ExchangeScript
    yield* fill(id, "0.002")
    yield* fill(id, "0.003")
    yield* fill(id)
  })

describe("ExecutionReports", () => {
  it.live("news that comes twice is booked once", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const id = yield* restingOrder("twice")
      const reports = yield* reportsOf(threeFills(id))

      yield* pushAll(reports.flatMap((report) => [report, report]))

      const order = yield* nexus.until("twice", hasEnded)
      assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
      yield* pushAll(reports)
      yield* nexus.advance("5 seconds")
      const names = (yield* nexus.events("twice")).map(({ _tag }) => _tag)
      assert.strictEqual(names.filter((name) => name === "OrderFilled").length, 3)
      assert.strictEqual(names.filter((name) => name === "OrderCompleted").length, 1)
    }).pipe(scripted([]))
  )

  it.live("news that comes backwards ends the order only when its fills sum to what was executed", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const id = yield* restingOrder("backwards")
      const reports = yield* reportsOf(threeFills(id))
      yield* exchange.lagReads({ orders: 0, trades: 3_600_000 })

      for (const report of reports.toReversed()) {
        yield* exchange.push(report)
        yield* nexus.until("backwards", ({ fills }) =>
          [...fills].some(([trade]) => trade === report.report.fills[0]?.tradeId)
        )
      }

      const order = yield* nexus.until("backwards", hasEnded)
      assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
      assert.isTrue((yield* story("backwards")).endsWith("OrderFilled OrderCompleted"))
    }).pipe(scripted([]))
  )

  it.live("fills whose news was lost are fetched before the order may end", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const id = yield* restingOrder("gaps")
      const reports = yield* reportsOf(threeFills(id))

      yield* pushAll(reports.slice(-1))

      const order = yield* nexus.until("gaps", hasEnded)
      assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
      assert.isTrue((yield* story("gaps")).endsWith("OrderFilled OrderFilled OrderFilled OrderCompleted"))
    }).pipe(scripted([]))
  )

  it.live("an order whose trades cannot be had yet stays EXECUTING, and ends by the sweep once they can", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const id = yield* restingOrder("slow")
      const reports = yield* reportsOf(threeFills(id))
      yield* exchange.lagReads({ orders: 0, trades: 3_600_000 })

      yield* pushAll(reports.slice(-1))
      yield* nexus.until("slow", (order) => filledOf(order) !== "0")
      yield* until(exchange.asked, ({ myTrades = 0 }) => myTrades > 0)
      yield* nexus.advance("5 seconds")
      assert.strictEqual((yield* nexus.order("slow")).status, "EXECUTING")

      yield* exchange.lagReads({ orders: 0, trades: 0 })
      yield* nexus.advance("31 seconds")
      const order = yield* nexus.until("slow", hasEnded)
      assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
    }).pipe(scripted([]))
  )

  it.live("an order that was filled while the stream was down is booked as soon as the stream is back", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const id = yield* restingOrder("down")
      yield* exchange.news("lost")
      yield* threeFills(id)

      yield* exchange.news("live")

      const order = yield* nexus.until("down", hasEnded)
      assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
    }).pipe(scripted([]))
  )

  it.live("an order that was partly filled while the stream was down keeps resting with its fill", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const id = yield* restingOrder("partly")
      yield* exchange.news("lost")
      yield* exchange.fill(id, "0.004")

      yield* exchange.news("live")

      const order = yield* nexus.until("partly", (seen) => filledOf(seen) === "0.004")
      assert.strictEqual(order.status, "EXECUTING")
    }).pipe(scripted([]))
  )

  it.live("an event that is lost without a sign is found by the sweep", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const id = yield* restingOrder("silent")
      yield* exchange.news("lost")
      yield* exchange.expire(id)

      yield* passesUntil(Effect.map(nexus.order("silent"), hasEnded))

      assert.strictEqual((yield* nexus.order("silent")).status, "FAILED")
    }).pipe(scripted([]))
  )

  it.live("a fill that comes after the order was cancelled is booked, and moves no counter", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const { totals } = yield* EventStore
      const id = yield* restingOrder("after")
      const [fill] = yield* reportsOf(Effect.flatMap(ExchangeScript, (exchange) => exchange.fill(id, "0.001")))
      assert.isDefined(fill)
      const cancelled = {
        ...fill,
        report: {
          ...fill.report,
          exchangeStatus: "CANCELED",
          fills: [],
          executedQuantity: (yield* nexus.order("after")).filledQuantity
        }
      }
      yield* pushAll([cancelled])
      yield* nexus.until("after", hasEnded)
      const before = yield* totals

      yield* pushAll([fill])

      const order = yield* nexus.until("after", (seen) => filledOf(seen) === "0.001")
      assert.strictEqual(order.status, "CANCELLED")
      assert.deepStrictEqual(yield* totals, before)
    }).pipe(scripted([]))
  )

  it.live("news of an order that this store never sent is left alone, and counted", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const id = yield* restingOrder("ours")
      const [ours] = yield* reportsOf(exchange.fill(id, "0.001"))
      assert.isDefined(ours)
      yield* exchange.acceptForeign("somebody-else", resting)
      yield* exchange.push({ ...ours, clientOrderId: "somebody-else" })
      yield* exchange.push(ours)
      yield* nexus.until("ours", (order) => filledOf(order) === "0.001")

      yield* exchange.news("live")
      yield* nexus.advance("31 seconds")

      yield* until(exchange.asked, ({ openOrders = 0 }) => openOrders >= 3)
      const [, foreign] = yield* exchange.ledger
      assert.deepStrictEqual([foreign?.clientOrderId, foreign?.status], ["somebody-else", "NEW"])
      assert.strictEqual((yield* exchange.asked)["cancelOrder"], undefined)
    }).pipe(scripted([]))
  )

  it.live("an order that can never be compared does not have all orders compared all the time", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* streaming
      yield* nexus.place("delisted", { ...resting, symbol: "ETHUSDT" })
      yield* nexus.until("delisted", isResting)
      yield* nexus.advance("3 seconds")
      yield* exchange.news("lost")
      yield* exchange.delist("ETHUSDT")
      yield* exchange.news("live")
      const { openOrders: before = 0 } = yield* exchange.asked

      yield* passes(120)

      // The sweep takes four of them.
      assert.isBelow(((yield* exchange.asked)["openOrders"] ?? 0) - before, 15)
    }).pipe(scripted([]))
  )
})
