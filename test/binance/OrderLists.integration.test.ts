/** Order lists towards a server that answers what each test says: what is sent, and what is made of the answer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type ListKind,
  type OcoSubmission,
  OrderLists,
  type OtocoSubmission,
  type OtoSubmission,
  type Pair
} from "../../src/binance/OrderLists.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { type AnsweringServer, answeringServer, clientLayer, json, type Reply } from "./AnsweringServer.ts"

const submission = {
  listClientOrderId: "nx-list",
  symbol: "BTCUSDT",
  timestamp: 1_700_000_000_123,
  recvWindowMillis: 4_000
}
const pair: Pair = {
  side: "SELL",
  quantity: decimal("0.5"),
  above: { clientOrderId: "nx-above", type: "LIMIT_MAKER", price: decimal("66000"), icebergQuantity: decimal("0.1") },
  below: {
    clientOrderId: "nx-below",
    type: "STOP_LOSS_LIMIT",
    price: decimal("62900.5"),
    stopPrice: decimal("63000"),
    trailingDelta: 150,
    timeInForce: "GTC",
    strategyId: 7,
    strategyType: 1_000_001
  }
}
const working = {
  clientOrderId: "nx-working",
  type: "LIMIT",
  side: "BUY",
  quantity: decimal("0.5"),
  price: decimal("64000.10"),
  timeInForce: "GTC",
  peg: { price: "PRIMARY_PEG", offsetLevels: 2 }
} as const

const oco: OcoSubmission = { ...submission, ...pair, selfTradePrevention: "EXPIRE_BOTH" }
const oto: OtoSubmission = {
  ...submission,
  working,
  pending: {
    clientOrderId: "nx-pending",
    type: "TAKE_PROFIT",
    side: "SELL",
    quantity: decimal("0.0000001"),
    stopPrice: decimal("66000"),
    peg: { price: "MARKET_PEG" }
  }
}
const otoco: OtocoSubmission = { ...submission, working, pending: pair }

const shared = {
  symbol: "BTCUSDT",
  listClientOrderId: "nx-list",
  newOrderRespType: "FULL",
  recvWindow: "4000",
  timestamp: "1700000000123"
}
const legs = (above: string, below: string) => ({
  [`${above}Type`]: "LIMIT_MAKER",
  [`${above}ClientOrderId`]: "nx-above",
  [`${above}Price`]: "66000",
  [`${above}IcebergQty`]: "0.1",
  [`${below}Type`]: "STOP_LOSS_LIMIT",
  [`${below}ClientOrderId`]: "nx-below",
  [`${below}Price`]: "62900.5",
  [`${below}StopPrice`]: "63000",
  [`${below}TrailingDelta`]: "150",
  [`${below}TimeInForce`]: "GTC",
  [`${below}StrategyId`]: "7",
  [`${below}StrategyType`]: "1000001"
})
const workingSent = {
  workingType: "LIMIT",
  workingClientOrderId: "nx-working",
  workingSide: "BUY",
  workingQuantity: "0.5",
  workingPrice: "64000.1",
  workingTimeInForce: "GTC",
  workingPegPriceType: "PRIMARY_PEG",
  workingPegOffsetType: "PRICE_LEVEL",
  workingPegOffsetValue: "2"
}

interface Kind {
  readonly kind: ListKind
  readonly path: string
  readonly ids: ReadonlyArray<string>
  readonly sent: object
}
const kinds: ReadonlyArray<Kind> = [
  {
    kind: "OCO",
    path: "POST /api/v3/orderList/oco",
    ids: ["nx-above", "nx-below"],
    sent: {
      ...shared,
      side: "SELL",
      quantity: "0.5",
      selfTradePreventionMode: "EXPIRE_BOTH",
      ...legs("above", "below")
    }
  },
  {
    kind: "OTO",
    path: "POST /api/v3/orderList/oto",
    ids: ["nx-working", "nx-pending"],
    sent: {
      ...shared,
      ...workingSent,
      pendingType: "TAKE_PROFIT",
      pendingClientOrderId: "nx-pending",
      pendingSide: "SELL",
      pendingQuantity: "0.0000001",
      pendingStopPrice: "66000",
      pendingPegPriceType: "MARKET_PEG"
    }
  },
  {
    kind: "OTOCO",
    path: "POST /api/v3/orderList/otoco",
    ids: ["nx-working", "nx-above", "nx-below"],
    sent: {
      ...shared,
      ...workingSent,
      pendingSide: "SELL",
      pendingQuantity: "0.5",
      ...legs("pendingAbove", "pendingBelow")
    }
  }
]

const placed = (kind: ListKind) =>
  Effect.gen(function* () {
    const lists = yield* OrderLists
    const permit = yield* lists.readyToPlace(kind)
    if (kind === "OCO") return yield* lists.placeOco(oco, permit)
    return kind === "OTO" ? yield* lists.placeOto(oto, permit) : yield* lists.placeOtoco(otoco, permit)
  })

const report = (clientOrderId: string, at: number) => ({
  symbol: "BTCUSDT",
  orderId: `9007199254740${993 + at}`,
  orderListId: 3,
  clientOrderId,
  transactTime: 1_700_000_000_200,
  executedQty: "0.00000000",
  cummulativeQuoteQty: "0.00000000",
  status: at === 0 ? "NEW" : "PENDING_NEW",
  fills: []
})
const list = (ids: ReadonlyArray<string>) => ({
  orderListId: 3,
  contingencyType: "OTO",
  listStatusType: "EXEC_STARTED",
  listOrderStatus: "EXECUTING",
  listClientOrderId: "nx-list",
  transactionTime: 1_700_000_000_200,
  symbol: "BTCUSDT",
  orders: ids.map((clientOrderId, at) => ({ symbol: "BTCUSDT", orderId: `9007199254740${993 + at}`, clientOrderId })),
  orderReports: ids.map(report)
})

const withServer = <A, E>(use: (server: AnsweringServer) => Effect.Effect<A, E, OrderLists>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* answeringServer
      return yield* Effect.provide(use(server), clientLayer(server.url))
    })
  )

for (const { ids, kind, path, sent } of kinds) {
  describe(`a list of kind ${kind}`, () => {
    it.live("is sent exactly as it was journalled, each leg by an id of ours", () =>
      withServer((server) =>
        Effect.gen(function* () {
          server.answer(path, () => json(list(ids)))

          const change = yield* placed(kind)

          const asked = server.asked.at(-1)!
          const { signature, ...seen } = Object.fromEntries(asked.query)
          assert.strictEqual(`${asked.method} ${asked.path}`, path)
          assert.deepStrictEqual(seen, sent as Record<string, string>)
          assert.match(signature ?? "", /^[0-9a-f]{64}$/)
          assert.deepStrictEqual([...change.reports.keys()], [...ids])
          assert.strictEqual(change.legs.at(-1)?.exchangeOrderId, `9007199254740${992 + ids.length}`)
        })
      )
    )

    const unclear: ReadonlyArray<readonly [string, () => Reply]> = [
      ["never comes", () => "cut"],
      ["lacks one of our legs", () => json(list([...ids.slice(0, -1), "drawn-by-the-exchange"]))],
      ["is about another list", () => json({ ...list(ids), listClientOrderId: "other" })],
      ["says that nobody knows", () => ({ status: 400, body: `{"code":-1007,"msg":"Timeout waiting."}` })],
      ["is a page of HTML", () => ({ status: 503, body: "<html>" })]
    ]
    for (const [what, reply] of unclear) {
      it.live(`is in doubt when its answer ${what}`, () =>
        withServer((server) =>
          Effect.gen(function* () {
            server.answer(path, reply)

            const { endpoint, reason } = yield* Effect.flip(placed(kind))

            assert.deepStrictEqual([endpoint, reason._tag], [path, "OutcomeUnknown"])
            assert.strictEqual(server.asked.filter((one) => `${one.method} ${one.path}` === path).length, 1)
          })
        )
      )
    }

    it.live("is refused for good by its prices, and for now by a closed market", () =>
      withServer((server) =>
        Effect.gen(function* () {
          const refuse = (msg: string) =>
            server.answer(path, () => ({ status: 400, body: JSON.stringify({ code: -2010, msg }) }))

          refuse("The relationship of the prices for the orders is not correct.")
          const prices = (yield* Effect.flip(placed(kind))).reason
          refuse("Market is closed.")
          const closed = (yield* Effect.flip(placed(kind))).reason

          assert.deepInclude(prices, { _tag: "Refused", code: "-2010", repeatable: false })
          assert.deepInclude(closed, { _tag: "Refused", code: "-2010", repeatable: true })
        })
      )
    )
  })
}
