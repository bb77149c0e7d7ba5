/**
 * The exchange's REST API as the engine sees it: typed, exact, and honest about what is not known.
 *
 * Sends each request once; nothing below the journal retries. An order is sent exactly as it was journalled, with
 * the journalled timestamp, on a permit that was had before: the exchange itself then refuses a packet that is late.
 */
import { Context, Effect, Layer } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { Decimal } from "../domain/Decimal.ts"
import type { OrderRequest } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import type { Instrument } from "../domain/Instrument.ts"
import { aboutAnother, decodeAnswer, decodeItems, decodeList, unreadable } from "./answers.ts"
import type { BinanceError } from "./BinanceError.ts"
import { Breaker } from "./Breaker.ts"
import { endpoints } from "./endpoints.ts"
import type { Endpoint, Permit } from "./Gateway.ts"
import { pingEndpoint } from "./Gateway.ts"
import { RateLimits } from "./RateLimits.ts"
import { given, givenId, Requests } from "./Requests.ts"
import { timeEndpoint } from "./ServerTime.ts"
import type { Parameters } from "./sign.ts"
import type { ExchangeTrade, FoundOrder } from "./translate.ts"
import { cancelledReport, foundOrder, instrumentOf, parametersOf, placedReport, tradeOf } from "./translate.ts"
import * as wire from "./wire.ts"

export type { Permit } from "./Gateway.ts"
export type { ExchangeTrade, FoundOrder } from "./translate.ts"

/** The budget waits no longer than this for a part of an answer to `health` to be worth a line. */
const limitedMillis = 1_000

export interface Submission {
  readonly clientOrderId: string
  readonly request: OrderRequest
  /** On the exchange's clock. */
  readonly timestamp: EpochMillis
  readonly recvWindowMillis: number
}

export interface CancelTarget {
  readonly symbol: string
  readonly clientOrderId: string
  readonly exchangeOrderId?: string
  /** Else the order stands, and that is a refusal: cancel only what has executed nothing, or something. */
  readonly onlyWhen?: "ONLY_NEW" | "ONLY_PARTIALLY_FILLED"
}

export interface Account {
  readonly uid: string
  readonly canTrade: boolean
  readonly balances: ReadonlyArray<{ readonly asset: string; readonly free: Decimal; readonly locked: Decimal }>
}

export interface BookTicker {
  readonly bid: Decimal
  readonly bidQuantity: Decimal
  readonly ask: Decimal
  readonly askQuantity: Decimal
}

export class BinanceClient extends Context.Service<
  BinanceClient,
  {
    readonly ping: Effect.Effect<void, BinanceError>
    readonly time: Effect.Effect<EpochMillis, BinanceError>
    readonly exchangeInfo: Effect.Effect<ReadonlyArray<Instrument>, BinanceError>
    readonly tickerPrice: (symbol: string) => Effect.Effect<{ readonly price: Decimal }, BinanceError>
    readonly bookTicker: (symbol: string) => Effect.Effect<BookTicker, BinanceError>
    readonly account: Effect.Effect<Account, BinanceError>
    /** Keys, circuit, rate budget and connection for one order. Then `placeOrder` or `giveBack`, once. */
    readonly readyToSubmit: Effect.Effect<Permit, BinanceError>
    readonly giveBack: (permit: Permit) => Effect.Effect<void>
    /** Sends exactly what was journalled, once. Success: accepted, and the answer is about this order. */
    readonly placeOrder: (submission: Submission, permit: Permit) => Effect.Effect<ExchangeReport, BinanceError>
    /** May be repeated. OrderUnknown: not open, hence ended or never there; a query tells. */
    readonly cancelOrder: (order: CancelTarget) => Effect.Effect<ExchangeReport, BinanceError>
    readonly queryOrder: (order: {
      readonly symbol: string
      readonly clientOrderId: string
    }) => Effect.Effect<FoundOrder, BinanceError>
    /** By the exchange's own id, which it gives anew after a reset: whose order it is the caller must look at. */
    readonly queryByExchangeId: (order: {
      readonly symbol: string
      readonly exchangeOrderId: string
    }) => Effect.Effect<FoundOrder, BinanceError>
    readonly openOrders: (symbol?: string) => Effect.Effect<ReadonlyArray<FoundOrder>, BinanceError>
    /** Oldest first; from `orderId` on, or from `startTime` on, 24 hours of it. */
    readonly allOrders: (query: {
      readonly symbol: string
      readonly startTime?: EpochMillis
      readonly orderId?: string
      readonly limit?: number
    }) => Effect.Effect<ReadonlyArray<FoundOrder>, BinanceError>
    readonly myTrades: (query: {
      readonly symbol: string
      readonly exchangeOrderId?: string
      readonly startTime?: EpochMillis
      readonly fromId?: string
      readonly limit?: number
    }) => Effect.Effect<ReadonlyArray<ExchangeTrade>, BinanceError>
    /** Why orders do not flow to the exchange now; null: nothing is known against it. Asks nobody. */
    readonly health: Effect.Effect<string | null>
  }
>()("nexus/binance/BinanceClient") {
  static readonly layer = Layer.effect(
    BinanceClient,
    Effect.gen(function* () {
      const breaker = yield* Breaker
      const limits = yield* RateLimits
      const requests = yield* Requests
      const { open, signed } = requests

      const ordersOf = (endpoint: Endpoint, parameters: Parameters) =>
        signed(endpoint, parameters).pipe(
          Effect.flatMap((answer) => decodeList(endpoint, wire.QueriedOrder, answer)),
          Effect.map((orders) => orders.map(foundOrder))
        )

      const exchangeInfo = Effect.gen(function* () {
        const answer = yield* open(endpoints.exchangeInfo, [])
        const info = yield* decodeAnswer(endpoints.exchangeInfo, wire.ExchangeInfo, answer)
        yield* limits.learn(info.rateLimits)
        return (yield* decodeItems(endpoints.exchangeInfo, wire.SymbolInfo, info.symbols)).map(instrumentOf)
      })

      const placeOrder = Effect.fnUntraced(function* (submission: Submission, permit: Permit) {
        const endpoint = endpoints.placeOrder
        const { clientOrderId, recvWindowMillis, request, timestamp } = submission
        const answer = yield* requests.submit(permit, [
          ...parametersOf(request),
          ["newClientOrderId", clientOrderId],
          ["newOrderRespType", "FULL"],
          ["recvWindow", recvWindowMillis],
          ["timestamp", timestamp]
        ])
        const order = yield* decodeAnswer(endpoint, wire.PlacedOrder, answer)
        if (order.clientOrderId !== clientOrderId || order.symbol !== request.symbol) {
          return yield* unreadable(endpoint, aboutAnother)
        }
        return placedReport(order)
      })

      const cancelOrder = Effect.fnUntraced(function* (order: CancelTarget) {
        const endpoint = endpoints.cancelOrder
        // Both ids: the exchange finds it by its own, fast, and refuses if ours is another one, as after a reset.
        const answer = yield* signed(endpoint, [
          ["symbol", order.symbol],
          ...givenId("orderId", order.exchangeOrderId),
          ["origClientOrderId", order.clientOrderId],
          ...given("cancelRestrictions", order.onlyWhen)
        ])
        const cancelled = yield* decodeAnswer(endpoint, wire.CancelledOrder, answer)
        if (cancelled.origClientOrderId !== order.clientOrderId || cancelled.symbol !== order.symbol) {
          return yield* unreadable(endpoint, aboutAnother)
        }
        return cancelledReport(cancelled)
      })

      const query = (
        symbol: string,
        id: readonly [name: string, value: string],
        isIt: (found: FoundOrder) => boolean
      ) =>
        Effect.gen(function* () {
          const endpoint = endpoints.queryOrder
          const answer = yield* signed(endpoint, [["symbol", symbol], id])
          const found = foundOrder(yield* decodeAnswer(endpoint, wire.QueriedOrder, answer))
          return found.symbol === symbol && isIt(found) ? found : yield* unreadable(endpoint, aboutAnother)
        })

      return BinanceClient.of({
        ping: Effect.asVoid(open(pingEndpoint, [])),
        time: Effect.gen(function* () {
          const answer = yield* open(timeEndpoint, [])
          return (yield* decodeAnswer(timeEndpoint, wire.ServerTimeBody, answer)).serverTime
        }),
        exchangeInfo,
        tickerPrice: (symbol) =>
          Effect.flatMap(open(endpoints.tickerPrice, [["symbol", symbol]]), (answer) =>
            decodeAnswer(endpoints.tickerPrice, wire.TickerPrice, answer)
          ),
        bookTicker: Effect.fnUntraced(function* (symbol: string) {
          const answer = yield* open(endpoints.bookTicker, [["symbol", symbol]])
          const book = yield* decodeAnswer(endpoints.bookTicker, wire.BookTicker, answer)
          return { bid: book.bidPrice, bidQuantity: book.bidQty, ask: book.askPrice, askQuantity: book.askQty }
        }),
        account: Effect.gen(function* () {
          const answer = yield* signed(endpoints.account, [["omitZeroBalances", "true"]])
          const account = yield* decodeAnswer(endpoints.account, wire.AccountBody, answer)
          return {
            ...account,
            balances: account.balances.map((balance) => ({ ...balance, asset: wire.word(balance.asset) }))
          }
        }),
        readyToSubmit: requests.readyToSubmit(endpoints.placeOrder),
        giveBack: requests.giveBack,
        placeOrder,
        cancelOrder,
        queryOrder: ({ clientOrderId, symbol }) =>
          query(symbol, ["origClientOrderId", clientOrderId], (found) => found.clientOrderId === clientOrderId),
        queryByExchangeId: ({ exchangeOrderId, symbol }) =>
          query(symbol, ["orderId", exchangeOrderId], ({ report }) => report.exchangeOrderId === exchangeOrderId),
        openOrders: (symbol) =>
          symbol === undefined
            ? ordersOf(endpoints.openOrders, [])
            : ordersOf(endpoints.openOrdersOfSymbol, [["symbol", symbol]]),
        allOrders: ({ limit, orderId, startTime, symbol }) =>
          ordersOf(endpoints.allOrders, [
            ["symbol", symbol],
            ...given("orderId", orderId),
            ...given("startTime", startTime),
            ...given("limit", limit)
          ]),
        myTrades: ({ exchangeOrderId, fromId, limit, startTime, symbol }) => {
          const endpoint = exchangeOrderId === undefined ? endpoints.myTrades : endpoints.myTradesOfOrder
          return signed(endpoint, [
            ["symbol", symbol],
            ...given("orderId", exchangeOrderId),
            ...given("startTime", startTime),
            ...given("fromId", fromId),
            ...given("limit", limit)
          ]).pipe(
            Effect.flatMap((answer) => decodeList(endpoint, wire.Trade, answer)),
            Effect.map((trades) => trades.map(tradeOf))
          )
        },
        health: Effect.gen(function* () {
          const refusal = yield* requests.refusal
          if (refusal !== null) return `the exchange refuses our keys: ${refusal}`
          const wait = yield* limits.waitMillis("submit", endpoints.placeOrder.weight)
          if (wait >= limitedMillis) return `limits our requests: orders wait ${Math.ceil(wait / 1_000)} s`
          return (yield* breaker.state) === "closed" ? null : "does not answer: orders wait until it does"
        })
      })
    })
  )
}
