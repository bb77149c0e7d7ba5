/** The wider requests against the exchange simulator, over each way that an order can take. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { AccountFacts } from "../../src/binance/AccountFacts.ts"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import { OrderChanges } from "../../src/binance/OrderChanges.ts"
import { type OcoSubmission, OrderLists } from "../../src/binance/OrderLists.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import type { OrderRequest } from "../../src/domain/Event.ts"
import { makeSimulator, type RunningSimulator } from "../../src/simulator/Server.ts"
import { apiKey, apiSecret, clientLayer } from "./AnsweringServer.ts"

class Simulator extends Context.Service<Simulator, RunningSimulator>()("test/ChangesSimulator") {
  static readonly layer = Layer.effect(
    Simulator,
    makeSimulator({ host: "127.0.0.1", port: 0, seed: 7, latencyMs: 0, limits: "off", tickMs: 0, apiKey, apiSecret })
  )
}

const over = (transport: "rest" | "websocket") =>
  Layer.unwrap(
    Effect.map(Simulator, ({ url, wsApiUrl }) => clientLayer(url, transport === "rest" ? {} : { wsApiUrl }))
  ).pipe(Layer.provideMerge(Simulator.layer))

let drawn = 0
const freshId = (): string => `nx-changes-${++drawn}`
const recvWindowMillis = 5_000

const limit = (price: string, quantity: string): OrderRequest => ({
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: decimal(quantity),
  quoteQuantity: null,
  price: decimal(price),
  validUntil: null
})

const now = Effect.flatMap(ServerTime, (time) => Effect.andThen(time.ensure, time.now))

const place = Effect.fnUntraced(function* (clientOrderId: string, request: OrderRequest) {
  const client = yield* BinanceClient
  const timestamp = yield* now
  return yield* client.placeOrder({ clientOrderId, request, timestamp, recvWindowMillis }, yield* client.readyToSubmit)
})

const reasonOf = <A, R>(effect: Effect.Effect<A, BinanceError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

for (const transport of ["rest", "websocket"] as const) {
  layer(over(transport), { excludeTestServices: true })(`over ${transport}`, (it) => {
    describe("an order", () => {
      it.effect("of each kind that waits for a price is placed with its stop, its iceberg and its prevention", () =>
        Effect.gen(function* () {
          const client = yield* BinanceClient
          const stop = { stopPrice: decimal("69900"), selfTradePrevention: "EXPIRE_BOTH" } as const
          const requests: ReadonlyArray<OrderRequest> = [
            { ...limit("70000", "0.01"), type: "STOP_LOSS_LIMIT", ...stop },
            { ...limit("50000", "0.01"), type: "TAKE_PROFIT_LIMIT", stopPrice: decimal("50100") },
            { ...limit("50000", "0.01"), icebergQuantity: decimal("0.001") },
            { ...limit("50000", "0.01"), type: "LIMIT_MAKER", timeInForce: null }
          ]
          for (const request of requests) {
            const order = { symbol: "BTCUSDT", clientOrderId: freshId() }

            const placed = yield* place(order.clientOrderId, request)

            const found = yield* client.queryOrder(order)
            assert.deepStrictEqual([placed.exchangeStatus, found.type], ["NEW", request.type])
            yield* client.cancelOrder(order)
          }
        })
      )

      it.effect("that would trigger at once is refused for good", () =>
        Effect.gen(function* () {
          const request = { ...limit("50000", "0.01"), type: "STOP_LOSS_LIMIT", stopPrice: decimal("50100") } as const

          assert.deepInclude(yield* reasonOf(place(freshId(), request)), {
            _tag: "Refused",
            code: "-2010",
            repeatable: false
          })
        })
      )

      it.effect("is tested without being placed, and said what it would cost", () =>
        Effect.gen(function* () {
          const changes = yield* OrderChanges
          const { ledger } = yield* Simulator
          const before = ledger().length

          yield* changes.test(limit("50000", "0.01"))
          const rates = yield* changes.testWithRates(limit("50000", "0.01"))
          const refused = yield* reasonOf(changes.test(limit("50000", "0.000000001")))

          assert.match(format(rates.standardCommissionForOrder.taker), /^0(\.\d+)?$/)
          assert.deepInclude(refused, { _tag: "Refused", repeatable: false })
          assert.strictEqual(ledger().length, before)
        })
      )

      it.effect("is cancelled only in the state that was asked for", () =>
        Effect.gen(function* () {
          const client = yield* BinanceClient
          const order = { symbol: "BTCUSDT", clientOrderId: freshId() }
          yield* place(order.clientOrderId, limit("50000", "0.01"))

          const reason = yield* reasonOf(client.cancelOrder({ ...order, onlyWhen: "ONLY_PARTIALLY_FILLED" }))
          const report = yield* client.cancelOrder({ ...order, onlyWhen: "ONLY_NEW" })

          assert.deepInclude(reason, { _tag: "Refused", code: "-2011", repeatable: false })
          assert.strictEqual(report.exchangeStatus, "CANCELED")
        })
      )

      it.effect("made smaller keeps both its ids, and cannot be made larger", () =>
        Effect.gen(function* () {
          const client = yield* BinanceClient
          const changes = yield* OrderChanges
          const order = { symbol: "BTCUSDT", clientOrderId: freshId() }
          const { exchangeOrderId } = yield* place(order.clientOrderId, limit("50000", "0.01"))

          const amended = yield* changes.amend({ ...order, exchangeOrderId, newQuantity: decimal("0.004") })
          const same = yield* reasonOf(changes.amend({ ...order, newQuantity: decimal("0.004") }))
          const larger = yield* reasonOf(changes.amend({ ...order, newQuantity: decimal("0.02") }))

          const found = yield* client.queryOrder(order)
          assert.strictEqual(amended.exchangeOrderId, exchangeOrderId)
          assert.deepStrictEqual([found.report.exchangeOrderId, format(found.quantity)], [exchangeOrderId, "0.004"])
          assert.deepStrictEqual([same._tag, larger._tag], ["Refused", "Refused"])
          yield* client.cancelOrder(order)
          assert.strictEqual(
            (yield* reasonOf(changes.amend({ ...order, newQuantity: decimal("0.001") })))._tag,
            "OrderUnknown"
          )
        })
      )

      it.effect("is replaced in one request, and each half is told when only one is done", () =>
        Effect.gen(function* () {
          const client = yield* BinanceClient
          const changes = yield* OrderChanges
          const [old, next, third] = [freshId(), freshId(), freshId()]
          yield* place(old, limit("50000", "0.01"))
          const replace = Effect.fnUntraced(function* (
            target: string,
            clientOrderId: string,
            mode: "STOP_ON_FAILURE" | "ALLOW_FAILURE"
          ) {
            return yield* changes.replace(
              {
                cancel: { symbol: "BTCUSDT", clientOrderId: target },
                cancelId: freshId(),
                mode,
                submission: { clientOrderId, request: limit("51000", "0.01"), timestamp: yield* now, recvWindowMillis }
              },
              yield* changes.readyToReplace
            )
          })

          const both = yield* replace(old, next, "STOP_ON_FAILURE")
          const none = yield* replace(old, third, "STOP_ON_FAILURE")
          const one = yield* replace(old, third, "ALLOW_FAILURE")

          assert.deepStrictEqual([both.cancelled._tag, both.placed._tag], ["Done", "Done"])
          assert.deepStrictEqual([none.cancelled._tag, none.placed._tag], ["Failed", "NotAttempted"])
          assert.deepStrictEqual([one.cancelled._tag, one.placed._tag], ["Failed", "Done"])
          assert.strictEqual(
            (yield* client.queryOrder({ symbol: "BTCUSDT", clientOrderId: old })).report.exchangeStatus,
            "CANCELED"
          )
          for (const clientOrderId of [next, third]) yield* client.cancelOrder({ symbol: "BTCUSDT", clientOrderId })
        })
      )
    })

    describe("a list of orders", () => {
      const oco = Effect.fnUntraced(function* (aboveStop: string) {
        const submission: OcoSubmission = {
          listClientOrderId: freshId(),
          symbol: "BTCUSDT",
          side: "BUY",
          quantity: decimal("0.01"),
          above: {
            clientOrderId: freshId(),
            type: "STOP_LOSS_LIMIT",
            price: decimal("70000"),
            stopPrice: decimal(aboveStop),
            timeInForce: "GTC"
          },
          below: { clientOrderId: freshId(), type: "LIMIT_MAKER", price: decimal("50000") },
          timestamp: yield* now,
          recvWindowMillis
        }
        return submission
      })
      const placeOco = Effect.fnUntraced(function* (submission: OcoSubmission) {
        const lists = yield* OrderLists
        return yield* lists.placeOco(submission, yield* lists.readyToPlace("OCO"))
      })

      it.effect("is placed, found and cancelled under the ids that we gave it and its legs", () =>
        Effect.gen(function* () {
          const client = yield* BinanceClient
          const lists = yield* OrderLists
          const submission = yield* oco("69900")
          const target = { symbol: "BTCUSDT", listClientOrderId: submission.listClientOrderId }
          const legs = [submission.above.clientOrderId, submission.below.clientOrderId].toSorted()

          const placed = yield* placeOco(submission)
          const found = yield* lists.query(target)
          const cancelled = yield* lists.cancel(target)

          assert.deepStrictEqual([...placed.reports.keys()].toSorted(), legs)
          assert.deepStrictEqual(found.legs.map(({ clientOrderId }) => clientOrderId).toSorted(), legs)
          assert.deepStrictEqual([found.contingency, found.orderStatus], ["OCO", "EXECUTING"])
          assert.deepStrictEqual([...cancelled.reports.keys()].toSorted(), legs)
          for (const clientOrderId of legs) {
            const { report } = yield* client.queryOrder({ symbol: "BTCUSDT", clientOrderId })
            assert.strictEqual(report.exchangeStatus, "CANCELED")
          }
          assert.strictEqual((yield* lists.query(target)).orderStatus, "ALL_DONE")
          assert.strictEqual((yield* reasonOf(lists.cancel(target)))._tag, "OrderUnknown")
        })
      )

      it.effect("whose prices do not fit together is refused, and one that was never placed is not found", () =>
        Effect.gen(function* () {
          const lists = yield* OrderLists
          const submission = yield* oco("40000")

          const refused = yield* reasonOf(placeOco(submission))
          const absent = yield* reasonOf(
            lists.query({ symbol: "BTCUSDT", listClientOrderId: submission.listClientOrderId })
          )

          assert.deepInclude(refused, { _tag: "Refused", code: "-2010", repeatable: false })
          assert.strictEqual(absent._tag, "OrderUnknown")
        })
      )
    })

    describe("the account", () => {
      it.effect("tells its counts, filters, fees and prevented matches", () =>
        Effect.gen(function* () {
          const facts = yield* AccountFacts
          const { exchangeOrderId } = yield* place(freshId(), { ...limit("50000", "0.01"), timeInForce: "IOC" })

          const counts = yield* facts.orderCounts
          const filters = yield* facts.filters("BTCUSDT")
          const fees = yield* facts.commission("BTCUSDT")
          const prevented = yield* facts.preventedMatches({ symbol: "BTCUSDT", exchangeOrderId })

          assert.deepStrictEqual(
            counts.map(({ interval, rateLimitType }) => `${rateLimitType} ${interval}`),
            ["ORDERS SECOND", "ORDERS DAY"]
          )
          assert.isTrue(filters.symbol.some(({ type }) => type === "LOT_SIZE"))
          assert.strictEqual(fees.symbol, "BTCUSDT")
          assert.deepStrictEqual(prevented, [])
        })
      )
    })
  })
}
