import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { market, openStream, type Params, signed, signedParams, startSimulator, until } from "./client.ts"

/** The JSON types of an answer, as deep as it goes; of a list those of its first item. */
const typesOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.length === 0 ? [] : [typesOf(value[0])]
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, typesOf(item)]))
}

const rates = { maker: "string", taker: "string", buyer: "string", seller: "string" }

/** Every documented field with its documented type. */
const documented: Readonly<Record<string, readonly [method: string, params: Params, types: unknown]>> = {
  "GET /api/v3/account": [
    "account.status",
    {},
    {
      makerCommission: "number",
      takerCommission: "number",
      buyerCommission: "number",
      sellerCommission: "number",
      commissionRates: rates,
      canTrade: "boolean",
      canWithdraw: "boolean",
      canDeposit: "boolean",
      brokered: "boolean",
      requireSelfTradePrevention: "boolean",
      preventSor: "boolean",
      updateTime: "number",
      accountType: "string",
      balances: [{ asset: "string", free: "string", locked: "string" }],
      permissions: ["string"],
      uid: "number"
    }
  ],
  "GET /api/v3/account/commission": [
    "account.commission",
    { symbol: "BTCUSDT" },
    {
      symbol: "string",
      standardCommission: rates,
      specialCommission: rates,
      taxCommission: rates,
      discount: {
        enabledForAccount: "boolean",
        enabledForSymbol: "boolean",
        discountAsset: "string",
        discount: "string"
      }
    }
  ],
  "GET /api/v3/rateLimit/order": [
    "account.rateLimits.orders",
    {},
    [{ rateLimitType: "string", interval: "string", intervalNum: "number", limit: "number", count: "number" }]
  ],
  "GET /api/v3/myFilters": [
    "myFilters",
    { symbol: "BTCUSDT" },
    {
      exchangeFilters: [],
      symbolFilters: [{ filterType: "string", minPrice: "string", maxPrice: "string", tickSize: "string" }],
      assetFilters: []
    }
  ],
  "GET /api/v3/myAllocations": ["myAllocations", { symbol: "BTCUSDT" }, []],
  "GET /api/v3/myTrades": [
    "myTrades",
    { symbol: "BTCUSDT" },
    [
      {
        symbol: "string",
        id: "number",
        orderId: "number",
        orderListId: "number",
        price: "string",
        qty: "string",
        quoteQty: "string",
        commission: "string",
        commissionAsset: "string",
        time: "number",
        isBuyer: "boolean",
        isMaker: "boolean",
        isBestMatch: "boolean"
      }
    ]
  ]
}

describe("answers about the account", () => {
  it.live("have every documented field with its documented type, the same over both APIs", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)
      yield* signed(simulator, "POST /api/v3/order", market("0.01"))

      for (const [request, [method, params, types]] of Object.entries(documented)) {
        const { json, status } = yield* signed(simulator, request, params)
        const before = stream.messages.length
        stream.send({ id: before, method, params: signedParams(params) })
        yield* until(`an answer to ${method}`, () => stream.messages.length > before)

        assert.strictEqual(status, 200, request)
        assert.deepStrictEqual(typesOf(json), types, request)
        assert.deepStrictEqual(stream.messages.at(-1).result, json, method)
      }
    })
  )

  it.live("leave out empty balances only when they are asked to", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ balances: { USDT: "1000", BTC: "1", ETH: "0" } })
      const assets = Effect.fnUntraced(function* (params: Params) {
        const { json } = yield* signed(simulator, "GET /api/v3/account", params)
        return json.balances?.map(({ asset }: { asset: string }) => asset) ?? json.code
      })

      assert.include(yield* assets({}), "ETH")
      assert.include(yield* assets({ omitZeroBalances: "false" }), "ETH")
      assert.deepStrictEqual(yield* assets({ omitZeroBalances: "true" }), ["USDT", "BTC"])
      assert.strictEqual(yield* assets({ omitZeroBalances: "perhaps" }), -1130)
    })
  )

  it.live("myTrades takes the documented combinations and refuses the others", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const { json: order } = yield* signed(simulator, "POST /api/v3/order", market("0.01"))
      const now = Date.now()
      const day = 86_400_000
      const cases: ReadonlyArray<readonly [params: Params, code: number | undefined]> = [
        [{}, undefined],
        [{ orderId: order.orderId }, undefined],
        [{ startTime: now - 1_000 }, undefined],
        [{ endTime: now + 60_000 }, undefined],
        [{ fromId: 1 }, undefined],
        [{ startTime: now - day, endTime: now }, undefined],
        [{ startTime: `${now - day}000`, endTime: `${now}000` }, undefined],
        [{ orderId: order.orderId, fromId: 1 }, undefined],
        [{ startTime: now - day - 1, endTime: now }, -1127],
        [{ fromId: 1, startTime: now }, -1128],
        [{ fromId: 1, endTime: now }, -1128],
        [{ orderId: 1, startTime: now }, -1128]
      ]
      for (const [params, code] of cases) {
        const { json } = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT", ...params })

        assert.strictEqual(json.code, code, JSON.stringify(params))
      }
    })
  )
})
