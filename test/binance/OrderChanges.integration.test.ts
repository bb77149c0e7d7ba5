/** Replacing and amending, towards a server that answers what each test says: every row of the exchange's own table. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { Breaker } from "../../src/binance/Breaker.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import { type Half, OrderChanges, type Replacement } from "../../src/binance/OrderChanges.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import { type AnsweringServer, answeringServer, clientLayer, json } from "./AnsweringServer.ts"

const withServer = <A, E>(
  use: (
    server: AnsweringServer
  ) => Effect.Effect<A, E, BinanceClient | Breaker | OrderChanges | RateLimits | Scope.Scope>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* answeringServer
      return yield* Effect.provide(use(server), clientLayer(server.url))
    })
  )

const replacement: Replacement = {
  cancel: { symbol: "BTCUSDT", clientOrderId: "nx-old", exchangeOrderId: "9007199254740993" },
  cancelId: "nx-cancel",
  mode: "STOP_ON_FAILURE",
  submission: {
    clientOrderId: "nx-new",
    request: {
      symbol: "BTCUSDT",
      side: "BUY",
      type: "STOP_LOSS_LIMIT",
      timeInForce: "GTC",
      quantity: decimal("0.5"),
      quoteQuantity: null,
      price: decimal("61000"),
      stopPrice: decimal("60900"),
      icebergQuantity: decimal("0.1"),
      selfTradePrevention: "EXPIRE_MAKER",
      validUntil: null
    },
    timestamp: 1_700_000_000_123,
    recvWindowMillis: 4_000
  }
}

const replace = Effect.gen(function* () {
  const changes = yield* OrderChanges
  return yield* changes.replace(replacement, yield* changes.readyToReplace)
})

const reasonOf = <A, R>(effect: Effect.Effect<A, BinanceError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const order = {
  symbol: "BTCUSDT",
  orderId: 12,
  orderListId: -1,
  clientOrderId: "nx-new",
  transactTime: 1_700_000_000_200,
  executedQty: "0.00000000",
  cummulativeQuoteQty: "0.00000000",
  status: "NEW",
  fills: []
}
const cancelled = { ...order, orderId: 11, origClientOrderId: "nx-old", clientOrderId: "nx-cancel", status: "CANCELED" }
const unknownOrder = { code: -2011, msg: "Unknown order sent." }
const poor = { code: -2010, msg: "Account has insufficient balance for requested action." }
const tooMany = { code: -1015, msg: "Too many new orders; current limit is 50 orders per 10 SECOND." }

const body = (cancelResult: string, newOrderResult: string, cancelResponse: unknown, newOrderResponse: unknown) => ({
  cancelResult,
  newOrderResult,
  cancelResponse,
  newOrderResponse
})

const shown = (half: Half): string =>
  half._tag === "Done"
    ? `done ${half.report.exchangeOrderId}`
    : half._tag === "Failed"
      ? `failed ${half.reason._tag}`
      : "not attempted"

describe("a replacement", () => {
  const rows: ReadonlyArray<
    readonly [what: string, status: number, code: number | null, data: object, halves: object]
  > = [
    ["both halves done", 200, null, body("SUCCESS", "SUCCESS", cancelled, order), ["done 11", "done 12"]],
    [
      "the cancel failed, the order not attempted",
      400,
      -2022,
      body("FAILURE", "NOT_ATTEMPTED", unknownOrder, null),
      ["failed OrderUnknown", "not attempted"]
    ],
    ["only the cancel done", 409, -2021, body("SUCCESS", "FAILURE", cancelled, poor), ["done 11", "failed Refused"]],
    [
      "only the order done",
      409,
      -2021,
      body("FAILURE", "SUCCESS", unknownOrder, order),
      ["failed OrderUnknown", "done 12"]
    ],
    [
      "both failed",
      400,
      -2022,
      body("FAILURE", "FAILURE", unknownOrder, poor),
      ["failed OrderUnknown", "failed Refused"]
    ],
    [
      "only the cancel done, for too many orders",
      429,
      -2021,
      body("SUCCESS", "FAILURE", cancelled, tooMany),
      ["done 11", "failed RateLimited"]
    ],
    [
      "nothing done, for too many orders",
      429,
      -2022,
      body("FAILURE", "NOT_ATTEMPTED", unknownOrder, null),
      ["failed OrderUnknown", "not attempted"]
    ],
    [
      "an earlier order under the new id open",
      409,
      -2021,
      body("SUCCESS", "FAILURE", cancelled, { code: -2010, msg: "Duplicate order sent." }),
      ["done 11", "failed DuplicateOrder"]
    ],
    [
      "an order whose outcome its own half does not know",
      409,
      -2021,
      body("SUCCESS", "FAILURE", cancelled, { code: -1007, msg: "Timeout waiting for response from backend server." }),
      ["done 11", "failed OutcomeUnknown"]
    ]
  ]
  for (const [what, status, code, data, halves] of rows) {
    it.live(`tells each half apart: ${what}`, () =>
      withServer((server) =>
        Effect.gen(function* () {
          const answer = code === null ? data : { code, msg: "Order cancel-replace failed.", data }
          server.answer("POST /api/v3/order/cancelReplace", () => ({ status, body: JSON.stringify(answer) }))

          const replaced = yield* replace

          assert.deepStrictEqual([shown(replaced.cancelled), shown(replaced.placed)], halves as ReadonlyArray<string>)
          assert.strictEqual(yield* (yield* Breaker).state, "closed")
        })
      )
    )
  }

  it.live("is not done at all when orders are too many and nothing else was asked", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order/cancelReplace", () => ({ status: 429, body: JSON.stringify(tooMany) }))

        assert.deepInclude(yield* reasonOf(replace), { _tag: "RateLimited", code: "-1015" })
      })
    )
  )

  it.live("that met too many orders holds back new ones for as long as the exchange wants, and nothing else", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const data = body("FAILURE", "NOT_ATTEMPTED", unknownOrder, null)
        server.answer("POST /api/v3/order/cancelReplace", () => ({
          status: 429,
          headers: { "retry-after": "30" },
          body: JSON.stringify({ code: -2022, msg: "Order cancel-replace failed.", data })
        }))

        yield* replace

        assert.approximately(yield* limits.stoppedMillis("submit"), 30_000, 1_000)
        assert.strictEqual(yield* limits.stoppedMillis("cancel"), 0)
      })
    )
  )

  it.live("names both orders and the cancel by ids of ours, and sends what was journalled", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order/cancelReplace", () => json(body("SUCCESS", "SUCCESS", cancelled, order)))

        yield* replace

        const { signature: _, ...sent } = Object.fromEntries(server.asked.at(-1)!.query)
        assert.deepStrictEqual(sent, {
          symbol: "BTCUSDT",
          side: "BUY",
          type: "STOP_LOSS_LIMIT",
          timeInForce: "GTC",
          quantity: "0.5",
          price: "61000",
          stopPrice: "60900",
          icebergQty: "0.1",
          selfTradePreventionMode: "EXPIRE_MAKER",
          newClientOrderId: "nx-new",
          newOrderRespType: "FULL",
          cancelReplaceMode: "STOP_ON_FAILURE",
          cancelOrderId: "9007199254740993",
          cancelOrigClientOrderId: "nx-old",
          cancelNewClientOrderId: "nx-cancel",
          recvWindow: "4000",
          timestamp: "1700000000123"
        })
      })
    )
  )

  const doubtful: ReadonlyArray<readonly [string, number, unknown]> = [
    ["is about another cancel", 200, body("SUCCESS", "SUCCESS", { ...cancelled, origClientOrderId: "other" }, order)],
    ["is about another order", 200, body("SUCCESS", "SUCCESS", cancelled, { ...order, clientOrderId: "other" })],
    ["has a result that nobody knows", 200, body("SUCCESS", "PERHAPS", cancelled, order)],
    ["has a success without an order", 409, { code: -2021, msg: "", data: body("SUCCESS", "FAILURE", null, poor) }],
    ["has a code of parts and no parts", 409, { code: -2021, msg: "" }],
    ["comes with status 500", 500, { code: -2021, msg: "", data: body("SUCCESS", "FAILURE", cancelled, poor) }]
  ]
  for (const [what, status, answer] of doubtful) {
    it.live(`is in doubt as a whole when its answer ${what}`, () =>
      withServer((server) =>
        Effect.gen(function* () {
          server.answer("POST /api/v3/order/cancelReplace", () => ({ status, body: JSON.stringify(answer) }))

          assert.strictEqual((yield* reasonOf(replace))._tag, "OutcomeUnknown")
        })
      )
    )
  }
})

describe("an amendment", () => {
  const amendedOrder = {
    symbol: "BTCUSDT",
    orderId: 12,
    orderListId: -1,
    origClientOrderId: "nx-1",
    clientOrderId: "nx-1",
    price: "50000.00000000",
    qty: "0.20000000",
    executedQty: "0.10000000",
    preventedQty: "0.00000000",
    quoteOrderQty: "0.00000000",
    cumulativeQuoteQty: "5000.00000000",
    status: "PARTIALLY_FILLED"
  }
  const amend = Effect.flatMap(OrderChanges, (changes) =>
    changes.amend({ symbol: "BTCUSDT", clientOrderId: "nx-1", newQuantity: decimal("0.2") })
  )

  it.live("keeps the order's id, for else the exchange would draw another", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("PUT /api/v3/order/amend/keepPriority", () =>
          json({ transactTime: 5, executionId: 7, amendedOrder })
        )

        const amended = yield* amend

        const { query } = server.asked.at(-1)!
        assert.deepStrictEqual(
          [query.get("origClientOrderId"), query.get("newClientOrderId"), query.get("newQty")],
          ["nx-1", "nx-1", "0.2"]
        )
        assert.deepStrictEqual([format(amended.quantity), format(amended.executedQuantity)], ["0.2", "0.1"])
      })
    )
  )

  it.live("after which the order has another id is in doubt", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const renamed = { ...amendedOrder, clientOrderId: "drawn-by-the-exchange" }
        server.answer("PUT /api/v3/order/amend/keepPriority", () => json({ transactTime: 5, amendedOrder: renamed }))

        assert.strictEqual((yield* reasonOf(amend))._tag, "OutcomeUnknown")
      })
    )
  )

  it.live("of an order that is not open is no refusal, and one of the same quantity is", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const refuse = (msg: string) =>
          server.answer("PUT /api/v3/order/amend/keepPriority", () => ({
            status: 400,
            body: JSON.stringify({ code: -2038, msg })
          }))

        refuse("Unknown order sent.")
        const gone = yield* reasonOf(amend)
        refuse("The requested action would change no state; rejecting")
        const same = yield* reasonOf(amend)

        assert.strictEqual(gone._tag, "OrderUnknown")
        assert.deepInclude(same, { _tag: "Refused", code: "-2038", repeatable: false })
      })
    )
  )
})
