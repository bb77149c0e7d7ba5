/** Facts about the account in the shapes that the exchange documents, with what nobody knows yet among them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AccountFacts } from "../../src/binance/AccountFacts.ts"
import { format } from "../../src/domain/Decimal.ts"
import { type AnsweringServer, answeringServer, clientLayer, json } from "./AnsweringServer.ts"

const withServer = <A, E>(use: (server: AnsweringServer) => Effect.Effect<A, E, AccountFacts>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* answeringServer
      return yield* Effect.provide(use(server), clientLayer(server.url))
    })
  )

describe("the account", () => {
  it.live("has filters of its own: those that are known are read, and the others hide none of them", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/myFilters", () =>
          json({
            exchangeFilters: [{ filterType: "EXCHANGE_MAX_NUM_ORDERS", maxNumOrders: 1000 }],
            symbolFilters: [
              { filterType: "MAX_NUM_ORDER_LISTS", maxNumOrderLists: 20 },
              { filterType: "LOT_SIZE", minQty: "0.1", maxQty: "9.0", stepSize: "0.1" }
            ],
            assetFilters: [
              { filterType: "NEW_KIND" },
              { filterType: "MAX_ASSET", asset: "JPY", limit: "1000000.00000000" }
            ]
          })
        )
        const facts = yield* AccountFacts

        const filters = yield* facts.filters("BTCJPY")

        assert.deepStrictEqual(
          filters.symbol.map(({ type }) => type),
          ["OTHER", "LOT_SIZE"]
        )
        assert.deepStrictEqual(
          filters.assets.map(({ asset, limit }) => [asset, format(limit)]),
          [["JPY", "1000000"]]
        )
      })
    )
  )

  it.live("has prevented matches, with every digit of their ids", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const one = {
          symbol: "BTCUSDT",
          preventedMatchId: 1,
          takerOrderId: 5,
          makerSymbol: "BTCUSDT",
          makerOrderId: 3,
          tradeGroupId: 1,
          selfTradePreventionMode: "EXPIRE_MAKER",
          price: "1.100000",
          makerPreventedQuantity: "1.300000",
          transactTime: 1669101687094
        }
        const body = JSON.stringify([one]).replace('"takerOrderId":5', '"takerOrderId":9007199254740993')
        server.answer("GET /api/v3/myPreventedMatches", () => ({ status: 200, body }))
        const facts = yield* AccountFacts

        const [match] = yield* facts.preventedMatches({ symbol: "BTCUSDT", preventedMatchId: "9007199254740995" })

        assert.deepInclude(match, { takerOrderId: "9007199254740993", makerOrderId: "3", mode: "EXPIRE_MAKER" })
        assert.strictEqual(server.asked.at(-1)!.query.get("preventedMatchId"), "9007199254740995")
      })
    )
  )

  it.live("has fees and counts of unfilled orders", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const fees = { maker: "0.00000010", taker: "0.00000020", buyer: "0.00000030", seller: "0.00000040" }
        server.answer("GET /api/v3/account/commission", () =>
          json({ symbol: "BTCUSDT", standardCommission: fees, taxCommission: fees, discount: { discountAsset: "BNB" } })
        )
        server.answer("GET /api/v3/rateLimit/order", () =>
          json([{ rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: 10_000, count: 7 }])
        )
        const facts = yield* AccountFacts

        const { standardCommission } = yield* facts.commission("BTCUSDT")
        const [count] = yield* facts.orderCounts

        assert.deepStrictEqual(
          [format(standardCommission.maker), format(standardCommission.seller)],
          ["0.0000001", "0.0000004"]
        )
        assert.deepInclude(count, { count: 7, limit: 10_000 })
      })
    )
  )
})
