/**
 * An order of ours that another program with the same keys amends at the exchange, where it gets another client order id:
 * no fill is lost, it can still be cancelled, and it is nobody else's order.
 */
import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FoundOrder } from "../../src/binance/BinanceClient.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { isAmendedOf, type SentOrder } from "../../src/engine/AmendedOrder.ts"
import { ForeignOrders } from "../../src/engine/ForeignOrders.ts"
import { OpenOrders } from "../../src/engine/OpenOrders.ts"
import { hasEnded, isResting } from "./scripted.ts"
import { limit, Simulator, SimulatedExchange, TestNexus } from "../layers.ts"

/** With our keys and none of our code. */
const byHand = (request: string, params: Readonly<Record<string, string>>) =>
  Effect.flatMap(Simulator, ({ url }) =>
    Effect.promise(async () => {
      const [method = "", path = ""] = request.split(" ")
      const { serverTime } = (await (await fetch(`${url}/api/v3/time`)).json()) as { readonly serverTime: number }
      const form = new URLSearchParams({ ...params, timestamp: `${serverTime}` }).toString()
      const signature = createHmac("sha256", "secret-of-the-tests").update(form).digest("hex")
      const response = await fetch(`${url}${path}?${form}&signature=${signature}`, {
        method,
        headers: { "x-mbx-apikey": "key-of-the-tests" }
      })
      assert.strictEqual(response.status, 200, await response.clone().text())
      return response.json()
    })
  )

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
        assert.include(order.reason?.message ?? "", "amended at the exchange")
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
    clientOrderId: "nx1" as SentOrder["clientOrderId"],
    exchangeOrderId: "7",
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    price: "59000",
    quantity: "0.05",
    attempt: { timestamp: 1_000_000 }
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

  it("an amended order is found", () => {
    assert.isTrue(isAmendedOf(ours, found))
  })

  it.for<readonly [string, SentOrder, FoundOrder]>([
    ["one of another time, as after a reset", ours, { ...found, createdAt: 1_000_000 + 121_000 }],
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
    assert.isFalse(isAmendedOf(mine, theirs))
  })
})
