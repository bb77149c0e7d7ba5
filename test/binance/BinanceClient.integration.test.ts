/** The client over real sockets, towards a server that answers what each test says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import type { Scope } from "effect"
import { createHmac } from "node:crypto"
import type { Submission } from "../../src/binance/BinanceClient.ts"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import type { AnsweringServer, Reply } from "./AnsweringServer.ts"
import { answeringServer, clientLayer, json, refusal } from "./AnsweringServer.ts"

const secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
const clientOrderId = "nxabcdefghijklmnopqrstuvwxyz2345"

const submission: Submission = {
  clientOrderId,
  request: {
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    timeInForce: "GTC",
    quantity: decimal("0.00000001"),
    quoteQuantity: null,
    price: decimal("100000"),
    validUntil: null
  },
  timestamp: 1_700_000_000_123,
  recvWindowMillis: 4_000
}

const filled = {
  symbol: "BTCUSDT",
  orderId: 12,
  orderListId: -1,
  clientOrderId,
  transactTime: 1_700_000_000_200,
  price: "100000.00000000",
  origQty: "0.30000000",
  executedQty: "0.30000000",
  cummulativeQuoteQty: "30000.00000000",
  status: "FILLED",
  timeInForce: "GTC",
  type: "LIMIT",
  side: "BUY",
  fills: [
    { price: "100000.00000000", qty: "0.10000000", commission: "0.00010000", commissionAsset: "BTC", tradeId: 7 },
    { price: "100000.00000000", qty: "0.20000000", commission: "0.00020000", commissionAsset: "BTC", tradeId: 8 }
  ]
}

const queried = {
  symbol: "BTCUSDT",
  orderId: 12,
  clientOrderId,
  price: "100.00000000",
  origQty: "2.00000000",
  executedQty: "0.50000000",
  cummulativeQuoteQty: "50.00000000",
  status: "PARTIALLY_FILLED",
  type: "LIMIT",
  side: "SELL",
  time: 1_700_000_000_000,
  updateTime: 1_700_000_000_500
}

type Services = BinanceClient | RateLimits | ServerTime | Scope.Scope

const withServer = <A, E>(
  use: (server: AnsweringServer) => Effect.Effect<A, E, Services>,
  options: { readonly timeoutMillis?: number } = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* answeringServer
      return yield* Effect.provide(use(server), clientLayer(server.url, options))
    })
  )

const everyTenMillis = Schedule.spaced("10 millis")

const place = Effect.gen(function* () {
  const client = yield* BinanceClient
  return yield* client.placeOrder(submission, yield* client.readyToSubmit)
})

const reasonOf = <A, R>(effect: Effect.Effect<A, BinanceError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const ordersSent = (server: AnsweringServer) => server.asked.filter(({ method }) => method === "POST").length

describe("an order on its way", () => {
  it.live("is sent once, as it was journalled, in plain decimals, signed over the bytes on the wire", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order", () => json(filled))

        const report = yield* place

        const sent = server.asked.find(({ method }) => method === "POST")!
        const [payload, signature] = sent.raw.split("&signature=")
        assert.strictEqual(signature, createHmac("sha256", secret).update(payload!).digest("hex"))
        assert.deepStrictEqual(Object.fromEntries(new URLSearchParams(payload)), {
          symbol: "BTCUSDT",
          side: "BUY",
          type: "LIMIT",
          timeInForce: "GTC",
          quantity: "0.00000001",
          price: "100000",
          newClientOrderId: clientOrderId,
          newOrderRespType: "FULL",
          recvWindow: "4000",
          timestamp: "1700000000123"
        })
        assert.strictEqual(report.exchangeOrderId, "12")
        assert.deepStrictEqual(
          report.fills.map(({ fee, price, quantity, tradeId }) => [
            tradeId,
            format(price),
            format(quantity),
            format(fee)
          ]),
          [
            ["7", "100000", "0.1", "0.0001"],
            ["8", "100000", "0.2", "0.0002"]
          ]
        )
        assert.strictEqual(ordersSent(server), 1)
      })
    )
  )

  it.live("keeps every digit of an id above 2^53", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const body = JSON.stringify(filled).replace(`"orderId":12`, `"orderId":9223372036854775807`)
        server.answer("POST /api/v3/order", () => ({ status: 200, body }))

        const report = yield* place

        assert.strictEqual(report.exchangeOrderId, "9223372036854775807")
      })
    )
  )

  const doubtful: ReadonlyArray<readonly [string, Reply]> = [
    ["the connection is cut after it arrived", "cut"],
    ["the answer is cut off", "cut within the body"],
    ["no answer comes in time", "silence"],
    ["the answer is no JSON", { status: 200, body: "<html>" }],
    ["the answer is about another order", json({ ...filled, clientOrderId: "other" })],
    ["the answer is about another symbol", json({ ...filled, symbol: "ETHUSDT" })],
    ["the answer has no order", json({})],
    [
      "the answer is longer than any order's",
      { status: 200, body: `${JSON.stringify(filled)}${" ".repeat(1_100_000)}` }
    ],
    ["a gateway answers", { status: 502, body: "<html>Bad Gateway</html>" }]
  ]
  for (const [name, reply] of doubtful) {
    it.live(`is in doubt, and not sent again, when ${name}`, () =>
      withServer(
        (server) =>
          Effect.gen(function* () {
            server.answer("POST /api/v3/order", () => reply)

            const reason = yield* reasonOf(place)

            assert.strictEqual(reason._tag, "OutcomeUnknown")
            assert.strictEqual(ordersSent(server), 1)
          }),
        { timeoutMillis: 300 }
      )
    )
  }

  it.live("is not sent when nobody listens at the address", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        yield* client.ping
        yield* server.stop

        const reason = yield* reasonOf(client.readyToSubmit)

        assert.strictEqual(reason._tag, "NotSent")
      })
    )
  )

  it.live("is not sent when its connection is seen to have ended before, and no other can be had", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const permit = yield* client.readyToSubmit
        assert.isTrue(permit.line.isOpen())
        yield* server.stop
        yield* Effect.suspend(() => (permit.line.isOpen() ? Effect.fail("not yet") : Effect.void)).pipe(
          Effect.retry({ times: 1_000, schedule: Schedule.spaced("1 millis") })
        )

        const reason = yield* reasonOf(client.placeOrder(submission, permit))

        assert.strictEqual(reason._tag, "NotSent")
      })
    )
  )

  it.live("needs no connection to be made once it has its permit", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order", () => json(filled))
        const client = yield* BinanceClient
        const permit = yield* client.readyToSubmit
        const other = yield* client.readyToSubmit
        const before = server.connections()

        yield* client.placeOrder(submission, permit)
        yield* client.placeOrder(submission, other)

        assert.strictEqual(server.connections(), before)
      })
    )
  )
})

describe("the budget", () => {
  it.live("gets back the place of a permit that is not used", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const rateLimits = [{ rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: 1 }]
        server.answer("GET /api/v3/exchangeInfo", () => json({ rateLimits, symbols: [] }))
        const client = yield* BinanceClient
        const limits = yield* RateLimits

        const permit = yield* client.readyToSubmit
        const waitBefore = yield* limits.waitMillis("submit", 1)
        yield* client.giveBack(permit)

        assert.isAbove(waitBefore, 0)
        assert.strictEqual(yield* limits.waitMillis("submit", 1), 0)
      })
    )
  )

  it.live("lets nothing go out on a permit that was given back, and frees it once only", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const permit = yield* client.readyToSubmit
        yield* client.giveBack(permit)
        yield* client.giveBack(permit)

        const reason = yield* reasonOf(client.placeOrder(submission, permit))

        assert.strictEqual(reason._tag, "NotSent")
        assert.strictEqual(ordersSent(server), 0)
      })
    )
  )

  it.live("stops all traffic for as long as a ban says, and says so in one sentence", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order", () => ({
          status: 418,
          body: JSON.stringify({ code: -1003, msg: "Way too much request weight used; IP banned until 1." }),
          headers: { "retry-after": "90" }
        }))
        const client = yield* BinanceClient
        const limits = yield* RateLimits

        const reason = yield* reasonOf(place)

        assert.strictEqual(reason._tag, "RateLimited")
        assert.isAbove(yield* limits.waitMillis("cancel", 1), 80_000)
        assert.match((yield* client.health)!, /orders wait \d+ s/)
      })
    )
  )

  it.live("lets cancels and queries pass when only new orders are too many", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order", () => refusal(429, -1015, "Too many new orders; current limit is 50."))
        const limits = yield* RateLimits

        yield* reasonOf(place)

        assert.isAbove(yield* limits.waitMillis("submit", 1), 5_000)
        assert.strictEqual(yield* limits.waitMillis("cancel", 1), 0)
        assert.strictEqual(yield* limits.waitMillis("query", 4), 0)
      })
    )
  )
})

describe("an order refused for its time", () => {
  it.live("is answered at once, and the clock is measured although nobody waits for it", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order", () =>
          refusal(400, -1021, "Timestamp for this request is outside of the recvWindow.")
        )
        const serverTime = yield* ServerTime
        yield* serverTime.sync
        // From here on the clock is asked in vain until the order has its answer.
        let answerTime = () => {}
        const answered = new Promise<void>((resolve) => {
          answerTime = resolve
        })
        const ahead = 3_600_000
        server.answer("GET /api/v3/time", () => answered.then(() => json({ serverTime: Date.now() + ahead })))

        const reason = yield* reasonOf(place)
        answerTime()

        assert.deepInclude(reason, { _tag: "Refused", code: "-1021", repeatable: true })
        const offset = yield* serverTime.offset.pipe(
          Effect.repeat({ until: (millis) => millis > ahead / 2, times: 200, schedule: everyTenMillis })
        )
        assert.approximately(offset, ahead, 1_000)
      })
    )
  )
})

describe("refused keys", () => {
  const revoked = refusal(401, -2015, "Invalid API-key, IP, or permissions for action.")

  it.live("cost one order's attempt and not the whole queue: the next is not sent, and health says why", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("POST /api/v3/order", () => revoked)
        const client = yield* BinanceClient

        const first = yield* reasonOf(place)
        const others = yield* Effect.forEach([1, 2, 3], () => reasonOf(place))

        assert.deepInclude(first, { _tag: "Refused", code: "-2015", repeatable: true })
        for (const other of others) {
          assert.strictEqual(other._tag, "NotSent")
          assert.include(other.message, "the exchange refuses our keys: -2015 Invalid API-key")
        }
        assert.strictEqual(ordersSent(server), 1)
        assert.strictEqual(
          yield* client.health,
          "the exchange refuses our keys: -2015 Invalid API-key, IP, or permissions for action."
        )
      })
    )
  )

  it.live("in the answer to a question hold orders back as well, until a question is answered", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/order", () => revoked)
        const client = yield* BinanceClient
        const ask = client.queryOrder({ symbol: "BTCUSDT", clientOrderId })
        yield* reasonOf(ask)
        const held = yield* reasonOf(client.readyToSubmit)
        server.answer("GET /api/v3/order", () => json(queried))

        yield* ask

        assert.strictEqual(held._tag, "NotSent")
        assert.isNull(yield* client.health)
        yield* client.giveBack(yield* client.readyToSubmit)
      })
    )
  )

  it.live("stop an order that waited for its turn when they were refused", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const oneAtATime = [{ rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: 1 }]
        server.answer("GET /api/v3/exchangeInfo", () => json({ rateLimits: oneAtATime, symbols: [] }))
        server.answer("POST /api/v3/order", () => revoked)
        const client = yield* BinanceClient
        const permit = yield* client.readyToSubmit
        const waiting = yield* Effect.forkChild(reasonOf(client.readyToSubmit))
        yield* Effect.yieldNow

        yield* reasonOf(client.placeOrder(submission, permit))

        assert.strictEqual((yield* Fiber.join(waiting))._tag, "NotSent")
        assert.strictEqual(ordersSent(server), 1)
      })
    )
  )

  it.live("are no refusal of a cancel: it is wanted still", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("DELETE /api/v3/order", () => revoked)
        const client = yield* BinanceClient

        const reason = yield* reasonOf(client.cancelOrder({ symbol: "BTCUSDT", clientOrderId }))

        assert.deepInclude(reason, { _tag: "Refused", repeatable: true })
      })
    )
  )
})

describe("a question", () => {
  it.live("is stamped with the exchange's clock, whatever ours says", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const ahead = 3_600_000
        server.answer("GET /api/v3/time", () => json({ serverTime: Date.now() + ahead }))
        server.answer("GET /api/v3/order", () => json(queried))
        const client = yield* BinanceClient

        yield* client.queryOrder({ symbol: "BTCUSDT", clientOrderId })

        const stamped = Number(server.asked.at(-1)!.query.get("timestamp"))
        assert.approximately(stamped - Date.now(), ahead, 1_000)
        assert.approximately(yield* (yield* ServerTime).offset, ahead, 1_000)
      })
    )
  )

  it.live("refused for its time has the clock measured again", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/order", () =>
          refusal(400, -1021, "Timestamp for this request is outside of the recvWindow.")
        )
        const client = yield* BinanceClient
        yield* (yield* ServerTime).sync
        const measurements = () => server.asked.filter(({ path }) => path === "/api/v3/time").length
        const before = measurements()

        const reason = yield* reasonOf(client.queryOrder({ symbol: "BTCUSDT", clientOrderId }))

        assert.deepInclude(reason, { _tag: "Refused", code: "-1021", repeatable: true })
        assert.isAbove(measurements(), before)
      })
    )
  )

  it.live("never shows its query or signature in an error", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/order", () => "cut")
        const client = yield* BinanceClient

        const error = yield* Effect.flip(client.queryOrder({ symbol: "BTCUSDT", clientOrderId }))

        const shown = `${error.message} ${JSON.stringify(error)} ${String(error.stack)}`
        assert.strictEqual(error.endpoint, "GET /api/v3/order")
        assert.notInclude(shown, "signature=")
        assert.notInclude(shown, secret)
      })
    )
  )

  it.live("about an order gives its cumulative state", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/order", () => json(queried))
        const client = yield* BinanceClient

        const found = yield* client.queryOrder({ symbol: "BTCUSDT", clientOrderId })

        assert.strictEqual(format(found.price), "100")
        assert.strictEqual(format(found.report.executedQuantity), "0.5")
        assert.deepInclude(found.report, { exchangeStatus: "PARTIALLY_FILLED", expiryReason: "NONE", source: "query" })
      })
    )
  )

  it.live("about all open orders costs the weight of all symbols", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/openOrders", () =>
          json([queried, { ...queried, orderId: 13, clientOrderId: "foreign" }])
        )
        const client = yield* BinanceClient

        const orders = yield* client.openOrders()

        assert.deepStrictEqual(
          orders.map((order) => [order.clientOrderId, order.report.exchangeOrderId]),
          [
            [clientOrderId, "12"],
            ["foreign", "13"]
          ]
        )
        assert.isFalse(server.asked.at(-1)!.query.has("symbol"))
      })
    )
  )
})

describe("a cancel", () => {
  it.live("names the order by both ids, and is answered under the order's own", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("DELETE /api/v3/order", () =>
          json({
            ...queried,
            origClientOrderId: clientOrderId,
            clientOrderId: "cancel-1",
            transactTime: 9,
            status: "CANCELED"
          })
        )
        const client = yield* BinanceClient

        const report = yield* client.cancelOrder({ symbol: "BTCUSDT", clientOrderId, exchangeOrderId: "12" })

        const { query } = server.asked.at(-1)!
        assert.deepStrictEqual([query.get("orderId"), query.get("origClientOrderId")], ["12", clientOrderId])
        assert.deepInclude(report, { exchangeStatus: "CANCELED", transactTime: 9, exchangeOrderId: "12" })
      })
    )
  )

  it.live("of an order that is not open is no refusal", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("DELETE /api/v3/order", () => refusal(400, -2011, "Unknown order sent."))
        const client = yield* BinanceClient

        const reason = yield* reasonOf(client.cancelOrder({ symbol: "BTCUSDT", clientOrderId }))

        assert.strictEqual(reason._tag, "OrderUnknown")
      })
    )
  )
})

describe("connections", () => {
  it.live("are kept and used again by the next request", () =>
    withServer((server) =>
      Effect.gen(function* () {
        const client = yield* BinanceClient

        for (let count = 0; count < 20; count++) yield* client.ping

        assert.strictEqual(server.connections(), 1)
      })
    )
  )

  it.live("that fail one after the other open the circuit, which a query closes again", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/order", () => "cut")
        const client = yield* BinanceClient
        const ask = reasonOf(client.queryOrder({ symbol: "BTCUSDT", clientOrderId }))
        for (let count = 0; count < 5; count++) yield* ask
        const before = server.asked.length

        const [query, order] = [yield* ask, yield* reasonOf(client.readyToSubmit)]
        assert.deepStrictEqual([query._tag, order._tag, server.asked.length], ["NotSent", "NotSent", before])

        const permit = yield* client.readyToSubmit.pipe(Effect.retry({ times: 1_000, schedule: everyTenMillis }))
        assert.isNull(yield* client.health)
        yield* client.giveBack(permit)
      })
    )
  )
})

describe("what is public", () => {
  it.live("is read without a key: prices, books and symbols, unknown filters included", () =>
    withServer((server) =>
      Effect.gen(function* () {
        server.answer("GET /api/v3/ticker/price", () => json({ symbol: "BTCUSDT", price: "4.00000200" }))
        server.answer("GET /api/v3/ticker/bookTicker", () =>
          json({ symbol: "BTCUSDT", bidPrice: "1.0", bidQty: "2.0", askPrice: "3.0", askQty: "4.0" })
        )
        server.answer("GET /api/v3/exchangeInfo", () => json({ rateLimits: [], symbols: [bitcoin] }))
        const client = yield* BinanceClient

        const { price } = yield* client.tickerPrice("BTCUSDT")
        const book = yield* client.bookTicker("BTCUSDT")
        const instruments = yield* client.exchangeInfo

        assert.strictEqual(format(price), "4.000002")
        assert.deepStrictEqual([book.bid, book.bidQuantity, book.ask, book.askQuantity].map(format), [
          "1",
          "2",
          "3",
          "4"
        ])
        assert.deepStrictEqual(
          instruments[0]!.filters.map((filter) => (filter.type === "OTHER" ? filter.name : filter.type)),
          ["PRICE_FILTER", "T_PLUS_SELL", "MAX_NUM_ORDERS"]
        )
        assert.isTrue(server.asked.every(({ headers }) => headers["x-mbx-apikey"] === undefined))
      })
    )
  )
})

const bitcoin = {
  symbol: "BTCUSDT",
  status: "TRADING",
  baseAsset: "BTC",
  baseAssetPrecision: 8,
  quoteAsset: "USDT",
  quoteAssetPrecision: 8,
  orderTypes: ["LIMIT", "MARKET", "STOP_LOSS"],
  icebergAllowed: true,
  quoteOrderQtyMarketAllowed: true,
  filters: [
    { filterType: "PRICE_FILTER", minPrice: "0.01000000", maxPrice: "1000000.00000000", tickSize: "0.01000000" },
    { filterType: "T_PLUS_SELL", endTime: 1 },
    { filterType: "MAX_NUM_ORDERS", maxNumOrders: 200 }
  ]
}
