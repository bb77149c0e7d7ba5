/** Client and user stream against the exchange simulator, over its sockets: two programs that share no code. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { type UserEvent, UserStream } from "../../src/binance/UserStream.ts"
import type { ExchangeReport } from "../../src/domain/Command.ts"
import { decimal, format, isPositive, multiply, sum } from "../../src/domain/Decimal.ts"
import type { OrderRequest } from "../../src/domain/Event.ts"
import { clientOrderIdOf, OrderId, StoreId } from "../../src/domain/Ids.ts"
import { checkStatic } from "../../src/domain/Instrument.ts"
import { makeSimulator, type RunningSimulator } from "../../src/simulator/Server.ts"
import { apiKey, apiSecret, clientLayer, credentials } from "./AnsweringServer.ts"

class Simulator extends Context.Service<Simulator, RunningSimulator>()("test/Simulator") {
  static readonly layer = Layer.effect(
    Simulator,
    makeSimulator({
      host: "127.0.0.1",
      port: 0,
      seed: 7,
      latencyMs: 0,
      limits: "off",
      tickMs: 0,
      apiKey,
      apiSecret
    })
  )
}

const joined = Layer.unwrap(
  Effect.map(Simulator, ({ url, wsApiUrl }) =>
    UserStream.layer({ ...credentials, wsApiUrl, silenceMillis: 75_000 }).pipe(
      Layer.provideMerge(clientLayer(url, { timeoutMillis: 2_000 }))
    )
  )
).pipe(Layer.provideMerge(Simulator.layer))

const storeId = StoreId.make("6f1c2a1e-1d0a-4f0e-9f57-0c3b8f0e8c11")
let drawn = 0
const freshId = (): string => clientOrderIdOf(storeId, OrderId.make(`order-${++drawn}`))

const market = (quantity: string, side: "BUY" | "SELL" = "BUY"): OrderRequest => ({
  symbol: "BTCUSDT",
  side,
  type: "MARKET",
  timeInForce: null,
  quantity: decimal(quantity),
  quoteQuantity: null,
  price: null,
  validUntil: null
})

/** Far below the market, and of its tick and step. */
const resting = Effect.gen(function* () {
  const client = yield* BinanceClient
  const { bid } = yield* client.bookTicker("BTCUSDT")
  const price = decimal(format(multiply(bid, decimal("0.9"))).replace(/\..*/, ""))
  return { ...market("0.001"), type: "LIMIT", timeInForce: "GTC", price } as const satisfies OrderRequest
})

const place = Effect.fnUntraced(function* (clientOrderId: string, request: OrderRequest) {
  const client = yield* BinanceClient
  const permit = yield* client.readyToSubmit
  const timestamp = yield* (yield* ServerTime).now
  return yield* client.placeOrder({ clientOrderId, request, timestamp, recvWindowMillis: 5_000 }, permit)
})

const reasonOf = <A, R>(effect: Effect.Effect<A, BinanceError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const sumOfFills = (report: Pick<ExchangeReport, "fills">) => format(sum(report.fills.map((fill) => fill.quantity)))

layer(joined, { excludeTestServices: true })("the exchange simulator", (it) => {
  describe("to the client", () => {
    it.effect("publishes symbols whose filters pass what it accepts", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient

        const instruments = yield* client.exchangeInfo

        const bitcoin = instruments.find(({ symbol }) => symbol === "BTCUSDT")!
        assert.deepStrictEqual(checkStatic(bitcoin, yield* resting), [])
        assert.isNotEmpty(bitcoin.filters.filter(({ type }) => type === "LOT_SIZE"))
        assert.notInclude(
          bitcoin.filters.map((filter) => (filter.type === "OTHER" ? filter.name : "")),
          "PRICE_FILTER"
        )
      })
    )

    it.effect("fills a market order in trades that sum to what it executed, here and in a list of trades", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const clientOrderId = freshId()

        const report = yield* place(clientOrderId, market("0.05"))

        assert.strictEqual(report.exchangeStatus, "FILLED")
        assert.strictEqual(sumOfFills(report), "0.05")
        const trades = yield* client.myTrades({ symbol: "BTCUSDT", exchangeOrderId: report.exchangeOrderId })
        assert.deepStrictEqual(
          trades.map(({ fee, feeAsset, price, quantity, tradeId }) => [
            tradeId,
            feeAsset,
            ...[price, quantity, fee].map(format)
          ]),
          report.fills.map(({ fee, feeAsset, price, quantity, tradeId }) => [
            tradeId,
            feeAsset,
            ...[price, quantity, fee].map(format)
          ])
        )
        assert.strictEqual(
          format(report.executedQuote),
          format(sum(report.fills.map((fill) => multiply(fill.price, fill.quantity))))
        )
      })
    )

    it.effect("keeps a resting order, finds it in every list, and cancels it", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const order = { symbol: "BTCUSDT", clientOrderId: freshId() }

        const placed = yield* place(order.clientOrderId, yield* resting)

        const found = yield* client.queryOrder(order)
        assert.strictEqual(found.report.exchangeOrderId, placed.exchangeOrderId)
        const lists = yield* Effect.all([
          client.openOrders("BTCUSDT"),
          client.openOrders(),
          client.allOrders({ symbol: "BTCUSDT", startTime: placed.transactTime - 1_000 }),
          client.allOrders({ symbol: "BTCUSDT", orderId: placed.exchangeOrderId, limit: 1 })
        ])
        for (const list of lists)
          assert.include(
            list.map((one) => one.clientOrderId),
            order.clientOrderId
          )
        const cancelled = yield* client.cancelOrder({ ...order, exchangeOrderId: placed.exchangeOrderId })
        assert.strictEqual(cancelled.exchangeStatus, "CANCELED")
        assert.strictEqual((yield* reasonOf(client.cancelOrder(order)))._tag, "OrderUnknown")
        assert.strictEqual((yield* client.queryOrder(order)).report.exchangeStatus, "CANCELED")
      })
    )

    it.effect("does not cancel an order by its own id when ours is another one", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const clientOrderId = freshId()
        const { exchangeOrderId } = yield* place(clientOrderId, yield* resting)

        const reason = yield* reasonOf(
          client.cancelOrder({ symbol: "BTCUSDT", clientOrderId: freshId(), exchangeOrderId })
        )

        assert.strictEqual(reason._tag, "OrderUnknown")
        yield* client.cancelOrder({ symbol: "BTCUSDT", clientOrderId })
      })
    )

    it.effect("tells an open duplicate, an unknown order and a refusal apart", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const clientOrderId = freshId()
        yield* place(clientOrderId, yield* resting)

        const duplicate = yield* reasonOf(place(clientOrderId, yield* resting))
        const unknown = yield* reasonOf(client.queryOrder({ symbol: "BTCUSDT", clientOrderId: freshId() }))
        const refused = yield* reasonOf(place(freshId(), market("0.000000001")))
        const poor = yield* reasonOf(place(freshId(), { ...market("100"), side: "SELL", quantity: decimal("101") }))

        assert.strictEqual(duplicate._tag, "DuplicateOrder")
        assert.strictEqual(unknown._tag, "OrderUnknown")
        assert.deepInclude(refused, { _tag: "Refused", repeatable: false })
        assert.deepInclude(poor, { _tag: "Refused", repeatable: false })
        yield* client.cancelOrder({ symbol: "BTCUSDT", clientOrderId })
      })
    )

    it.effect("refuses a send that comes after its window, so that nothing late is ever executed", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const timestamp = (yield* (yield* ServerTime).now) - 5_500
        const clientOrderId = freshId()

        const reason = yield* reasonOf(
          client.placeOrder(
            { clientOrderId, request: market("0.01"), timestamp, recvWindowMillis: 5_000 },
            yield* client.readyToSubmit
          )
        )

        assert.deepInclude(reason, { _tag: "Refused", code: "-1021", repeatable: true })
        const { ledger } = yield* Simulator
        assert.notInclude(
          ledger().map((order) => order.clientOrderId),
          clientOrderId
        )
      })
    )

    it.effect("shows an order whose answer was lost, and the account that paid for it", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const simulator = yield* Simulator
        const before = yield* client.account
        const order = { symbol: "BTCUSDT", clientOrderId: freshId() }
        simulator.faults.next({ on: "POST /api/v3/order", kind: "answerLost" })

        const reason = yield* reasonOf(place(order.clientOrderId, market("0.01")))

        assert.strictEqual(reason._tag, "OutcomeUnknown")
        assert.strictEqual((yield* client.queryOrder(order)).report.exchangeStatus, "FILLED")
        const free = (account: typeof before, asset: string) =>
          account.balances.find((balance) => balance.asset === asset)!.free
        const after = yield* client.account
        assert.notStrictEqual(format(free(after, "USDT")), format(free(before, "USDT")))
        assert.strictEqual(after.uid, `${simulator.accountUid}`)
      })
    )

    for (const kind of ["answerCut", "neverArrives"] as const) {
      it.effect(`leaves in doubt an order with the fault ${kind}`, () =>
        Effect.gen(function* () {
          const simulator = yield* Simulator
          simulator.faults.next({ on: "POST /api/v3/order", kind })

          const reason = yield* reasonOf(place(freshId(), market("0.01")))

          assert.strictEqual(reason._tag, "OutcomeUnknown")
        })
      )
    }

    it.effect("has its clock followed when that is set", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const simulator = yield* Simulator
        const time = yield* ServerTime
        simulator.setClockOffset(-120_000)

        const refused = yield* reasonOf(client.account)
        const { canTrade } = yield* client.account

        assert.deepInclude(refused, { _tag: "Refused", code: "-1021" })
        assert.isTrue(canTrade)
        assert.approximately(yield* time.offset, -120_000, 1_000)
        simulator.setClockOffset(0)
        yield* time.sync
      })
    )
  })

  describe("on the user data stream", () => {
    it.effect("tells the same trades as its answers, and a cancel under the order's own id", () =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const stream = yield* UserStream
        const events = yield* Queue.unbounded<UserEvent>()
        yield* Effect.forkScoped(stream.run((event) => Queue.offer(events, event)))
        while ((yield* Queue.take(events))._tag !== "Connected");
        const [bought, cancelled] = [freshId(), freshId()]

        const answer = yield* place(bought, market("0.05"))
        yield* place(cancelled, yield* resting)
        yield* client.cancelOrder({ symbol: "BTCUSDT", clientOrderId: cancelled })

        const reports: Array<Extract<UserEvent, { readonly _tag: "Report" }>> = []
        while (reports.at(-1)?.report.exchangeStatus !== "CANCELED") {
          const event = yield* Queue.take(events)
          if (event._tag === "Report") reports.push(event)
        }
        const fills = reports
          .filter(({ clientOrderId }) => clientOrderId === bought)
          .flatMap(({ report }) => report.fills)
        assert.deepStrictEqual(
          fills.map((fill) => [fill.tradeId, format(fill.quantity), format(fill.fee), fill.feeAsset]),
          answer.fills.map((fill) => [fill.tradeId, format(fill.quantity), format(fill.fee), fill.feeAsset])
        )
        assert.isTrue(fills.every((fill) => isPositive(fill.quantity)))
        assert.strictEqual(reports.at(-1)!.clientOrderId, cancelled)
      })
    )
  })
})
