/** What a symbol's lists prove when far more has happened since than anybody would read. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ExchangeTrade, FoundOrder } from "../../src/binance/BinanceClient.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { surveyOf } from "../../src/binance/survey.ts"

const begin = 1_700_000_000_000
const one = decimal("1")

/** An order a second, and two trades in three seconds, without end. */
const busySymbol = {
  openOrders: () => Effect.succeed([]),
  allOrders: ({ limit = 500, orderId, startTime = begin }: Query) =>
    Effect.succeed(rows(orderId ?? `${(startTime - begin) / 1_000}`, limit, order)),
  myTrades: ({ fromId, limit = 500, startTime = begin }: Query) =>
    Effect.succeed(rows(fromId ?? `${(startTime - begin) / 1_500}`, limit, trade))
}

interface Query {
  readonly orderId?: string
  readonly fromId?: string
  readonly startTime?: number
  readonly limit?: number
}

const rows = <A>(from: string, count: number, row: (id: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, index) => row(Math.max(1, Math.ceil(Number(from))) + index))

const undated = (id: number): FoundOrder => ({
  clientOrderId: `other-${id}`,
  symbol: "BTCUSDT",
  side: "BUY",
  type: "MARKET",
  price: one,
  quantity: one,
  report: {
    exchangeOrderId: `${id}`,
    exchangeStatus: "FILLED",
    expiryReason: "NONE",
    executedQuantity: one,
    executedQuote: one,
    transactTime: begin + id * 1_000,
    fills: [],
    source: "query"
  }
})

const order = (id: number): FoundOrder => ({ ...undated(id), createdAt: begin + id * 1_000 })

const trade = (id: number): ExchangeTrade => ({
  tradeId: `${id}`,
  price: one,
  quantity: one,
  fee: one,
  feeAsset: "BNB",
  at: begin + id * 1_500,
  exchangeOrderId: `${Math.floor(id * 1.5)}`
})

describe("surveyOf", () => {
  it.effect("what came long after an attempt could arrive does not keep its absence from being proven", () =>
    Effect.gen(function* () {
      const { asked, found } = yield* surveyOf(busySymbol, "BTCUSDT", { from: begin, until: begin + 3_000_000 })

      assert.deepStrictEqual(asked, ["order", "openOrders", "allOrders", "myTrades"])
      assert.isTrue(found.has("other-3000"))
    })
  )

  it.effect("lists that are longer than anybody reads before that moment prove nothing", () =>
    Effect.gen(function* () {
      const { asked } = yield* surveyOf(busySymbol, "BTCUSDT", { from: begin, until: begin + 60_000_000 })

      assert.deepStrictEqual(asked, ["order", "openOrders"])
    })
  )

  it.effect("an order in the list that does not say when it was made ends nothing", () =>
    Effect.gen(function* () {
      const silent = {
        ...busySymbol,
        allOrders: ({ limit = 500, orderId }: Query) => Effect.succeed(rows(orderId ?? "0", limit, undated))
      }

      const { asked } = yield* surveyOf(silent, "BTCUSDT", { from: begin, until: begin + 3_000_000 })

      assert.notInclude(asked, "allOrders")
    })
  )
})
