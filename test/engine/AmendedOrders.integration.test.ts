/**
 * An order of ours that another program with the same keys amends at the exchange, where it gets another client order id:
 * no fill is lost, it can still be cancelled, and it is nobody else's order.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FoundOrder } from "../../src/binance/BinanceClient.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { isAmendedOf, type SentOrder } from "../../src/engine/AmendedOrders.ts"
import { ForeignOrders } from "../../src/engine/ForeignOrders.ts"
import { OpenOrders } from "../../src/engine/OpenOrders.ts"
import { StreamState } from "../../src/engine/StreamState.ts"
import { Findings } from "../../src/sql/Findings.ts"
import { until } from "../sql/until.ts"
import { byHand } from "./byHand.ts"
import { hasEnded, isResting } from "./scripted.ts"
import { limit, Simulator, SimulatedExchange, TestNexus } from "../layers.ts"

const amend = (orderId: string, newQty: string, more: Readonly<Record<string, string>> = {}) =>
  byHand("PUT /api/v3/order/amend/keepPriority", { symbol: "BTCUSDT", orderId, newQty, ...more })

const trading = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  test.pipe(
    Effect.andThen(Effect.flatMap(TestNexus, ({ verify }) => verify)),
    Effect.tap((report) => Effect.sync(() => assert.deepStrictEqual(report.findings, []))),
    Effect.provide(TestNexus.on(SimulatedExchange, { env: { NEXUS_SIMULATOR_TICK_MS: "0" } }))
  )

/** Rests under the market, and the exchange's id of it. */
const resting = Effect.gen(function* () {
  const nexus = yield* TestNexus
  yield* nexus.place("ours", limit("BUY", "0.05", "59000"))
  const { exchangeOrderId } = yield* nexus.until("ours", isResting)
  return exchangeOrderId ?? ""
})

/** What is on the exchange's book of its own, without a word of ours. */
const onLedger = Effect.map(Simulator, ({ ledger }) =>
  ledger().map(({ executedQty, status }) => `${status} ${Decimal.format(Decimal.decimal(executedQty))}`)
)

describe("an order that another program amends", () => {
  it.live("fills, and ends with what was left of it", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { moveMarket } = yield* Simulator

        yield* amend(yield* resting, "0.03")
        moveMarket("BTCUSDT", "58900")

        const order = yield* nexus.until("ours", hasEnded)
        assert.deepStrictEqual([order.status, Decimal.format(order.filledQuantity)], ["CANCELLED", "0.03"])
        assert.include(order.reason?.message ?? "", "filled with 0.03 of 0.05")
        assert.deepStrictEqual(yield* onLedger, ["FILLED 0.03"])
        assert.deepStrictEqual(yield* (yield* ForeignOrders).read, [])
      })
    )
  )

  it.live("is found by the comparison where the stream told nothing of it", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults, moveMarket } = yield* Simulator
        const id = yield* resting
        faults.silenceStreams()

        yield* amend(id, "0.03")
        yield* nexus.advance("3 seconds")
        const { foreign, missing } = yield* (yield* OpenOrders).compare
        moveMarket("BTCUSDT", "58900")
        yield* (yield* OpenOrders).compare

        assert.deepStrictEqual([foreign, missing], [0, 0])
        const order = yield* nexus.until("ours", hasEnded)
        assert.deepStrictEqual([order.status, Decimal.format(order.filledQuantity)], ["CANCELLED", "0.03"])
      })
    )
  )

  it.live("while the stream was away is followed by it afterwards", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const findings = yield* Findings
        const stream = yield* StreamState
        const { faults, moveMarket } = yield* Simulator
        yield* until(findings.lastReport, (report) => report !== null)
        const id = yield* resting
        faults.revokeKey(true)
        faults.closeStreams(false)
        const away = yield* until(
          Effect.sync(() => stream.awaySince),
          (since) => since !== null
        )
        faults.revokeKey(false)
        yield* amend(id, "0.03")
        // Only the one behind the gap comes in this time.
        yield* until(findings.lastReport, (report) => (report?.at ?? 0) > (away ?? 0))

        moveMarket("BTCUSDT", "58900")

        assert.strictEqual((yield* nexus.until("ours", hasEnded)).status, "CANCELLED")
        const sources = (yield* nexus.events("ours")).flatMap((event) =>
          event._tag === "OrderFilled" || event._tag === "OrderCancelled" ? [event.source] : []
        )
        assert.deepStrictEqual([...new Set(sources)], ["stream"])
        assert.deepStrictEqual(yield* (yield* ForeignOrders).read, [])
      })
    )
  )

  it.live("does not keep the news of one that has its id after a reset", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults, moveMarket } = yield* Simulator
        const id = yield* resting
        yield* amend(id, "0.03")
        yield* (yield* OpenOrders).compare

        faults.reset()
        yield* nexus.place("next", limit("BUY", "0.05", "59000"))
        const next = yield* nexus.until("next", isResting)
        assert.strictEqual(next.exchangeOrderId, id)
        moveMarket("BTCUSDT", "58900")

        const order = yield* nexus.until("next", hasEnded)
        assert.deepStrictEqual([order.status, Decimal.format(order.filledQuantity)], ["COMPLETED", "0.05"])
        assert.strictEqual(Decimal.format((yield* nexus.order("ours")).filledQuantity), "0")
      })
    )
  )

  it.live("does not keep the news of a foreign one that has its id after a reset", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults, moveMarket } = yield* Simulator
        const id = yield* resting
        yield* amend(id, "0.03")
        yield* (yield* OpenOrders).compare

        faults.reset()
        const { orderId } = yield* byHand("POST /api/v3/order", {
          symbol: "BTCUSDT",
          side: "BUY",
          type: "LIMIT",
          timeInForce: "GTC",
          quantity: "0.02",
          price: "59100",
          newClientOrderId: "web_1"
        })
        assert.strictEqual(`${orderId}`, id)
        // The reset cuts the stream, and of what opened and ended while it is away nobody hears.
        const { compare } = yield* OpenOrders
        const { read } = yield* ForeignOrders
        yield* until(Effect.andThen(compare, read), (all) => all.some(({ isOpen }) => isOpen))
        const stream = yield* StreamState
        yield* until(
          Effect.sync(() => stream.awaySince),
          (since) => since === null
        )
        moveMarket("BTCUSDT", "58900")

        const [foreign] = yield* until(read, (all) => all.some(({ isOpen }) => !isOpen))
        assert.deepStrictEqual([foreign?.id, foreign?.status], [id, "FILLED"])
        assert.strictEqual(Decimal.format((yield* nexus.order("ours")).filledQuantity), "0")
      })
    )
  )

  it.live("is cancelled for its client all the same", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus

        yield* amend(yield* resting, "0.03")
        yield* nexus.cancel("ours")

        assert.strictEqual((yield* nexus.until("ours", hasEnded)).status, "CANCELLED")
        assert.deepStrictEqual(yield* onLedger, ["CANCELED 0"])
      })
    )
  )

  it.live("and keeps its client order id is not taken for another one", () =>
    trading(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults, moveMarket } = yield* Simulator
        const id = yield* resting
        const { clientOrderId } = yield* nexus.order("ours")
        faults.silenceStreams()

        yield* amend(id, "0.03", { newClientOrderId: clientOrderId ?? "" })
        moveMarket("BTCUSDT", "58900")
        yield* nexus.advance("3 seconds")
        yield* (yield* OpenOrders).compare

        const order = yield* nexus.until("ours", hasEnded)
        assert.deepStrictEqual([order.parked, Decimal.format(order.filledQuantity)], [false, "0.03"])
      })
    )
  )
})

describe("under an id of the exchange that is ours", () => {
  const ours: SentOrder = {
    orderId: "ours" as SentOrder["orderId"],
    clientOrderId: "nx1" as SentOrder["clientOrderId"],
    exchangeOrderId: "7",
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    price: "59000",
    quantity: "0.05",
    attempt: { timestamp: 1_000_000, recvWindowMillis: 5_000 }
  }
  const found: FoundOrder = {
    clientOrderId: "web_1",
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    price: Decimal.decimal("59000.00"),
    quantity: Decimal.decimal("0.03"),
    createdAt: 1_000_400,
    report: {
      exchangeOrderId: "7",
      exchangeStatus: "NEW",
      expiryReason: "NONE",
      executedQuantity: Decimal.zero,
      executedQuote: Decimal.zero,
      transactTime: 1_000_400,
      fills: [],
      source: "query"
    }
  }
  const { createdAt: _, ...withoutTime } = found

  const deltaMillis = 10_000

  // A timestamp may be a second ahead of the exchange's clock, and is accepted for 5 s + 10 s.
  it.for([1_000_400, 1_000_000 - 1_000, 1_000_000 + 15_000])("an amended order is found, made at %i", (createdAt) => {
    assert.isTrue(isAmendedOf(ours, { ...found, createdAt }, deltaMillis))
  })

  it.for<readonly [string, SentOrder, FoundOrder]>([
    ["one made later than ours can have been, as after a reset,", ours, { ...found, createdAt: 1_000_000 + 15_001 }],
    ["one made before ours was sent", ours, { ...found, createdAt: 1_000_000 - 1_001 }],
    ["one whose time nobody says", ours, withoutTime],
    ["one of another price", ours, { ...found, price: Decimal.decimal("59001") }],
    ["one of the other side", ours, { ...found, side: "SELL" }],
    ["one of another symbol", ours, { ...found, symbol: "ETHUSDT" }],
    ["one of another type", ours, { ...found, type: "LIMIT_MAKER" }],
    ["a larger one", ours, { ...found, quantity: Decimal.decimal("0.051") }],
    [
      "another one of our own making, as after a reset that was quick",
      ours,
      { ...found, clientOrderId: `nx${"a".repeat(30)}` }
    ],
    ["one under another id", ours, { ...found, report: { ...found.report, exchangeOrderId: "8" } }],
    ["one, while ours has no id yet,", { ...ours, exchangeOrderId: null }, found],
    ["one that ours could never rest as", { ...ours, type: "MARKET", price: null }, found]
  ])("%s is somebody else's", ([, mine, theirs]) => {
    assert.isFalse(isAmendedOf(mine, theirs, deltaMillis))
  })
})
