/**
 * The exchange's REST API as the engine sees it: typed, exact, and honest about what is not known.
 *
 * Sends each request once; nothing below the journal retries. An order is sent exactly as it was journalled, with
 * the journalled timestamp, on a permit that was had before: the exchange itself then refuses a packet that is late.
 */
import type { Redacted as Secret } from "effect"
import { Context, Effect, Fiber, Layer, Redacted, Scope, Semaphore } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { Decimal } from "../domain/Decimal.ts"
import type { OrderRequest } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import type { Instrument } from "../domain/Instrument.ts"
import { decodeAnswer, decodeItems, decodeList, unreadable } from "./answers.ts"
import type { BinanceError } from "./BinanceError.ts"
import { NotSent } from "./BinanceError.ts"
import { Breaker } from "./Breaker.ts"
import { isClockRefusal } from "./classify.ts"
import { makeCredentials } from "./Credentials.ts"
import type { Endpoint, Permit } from "./Gateway.ts"
import { errorOf, Gateway, pingEndpoint } from "./Gateway.ts"
import { RateLimits } from "./RateLimits.ts"
import { ServerTime, timeEndpoint } from "./ServerTime.ts"
import { type Parameters, queryOf, signedQuery } from "./sign.ts"
import type { ExchangeTrade, FoundOrder } from "./translate.ts"
import { cancelledReport, foundOrder, instrumentOf, parametersOf, placedReport, tradeOf } from "./translate.ts"
import * as wire from "./wire.ts"

export type { Permit } from "./Gateway.ts"
export type { ExchangeTrade, FoundOrder } from "./translate.ts"

const endpoints = {
  exchangeInfo: { method: "GET", path: "/api/v3/exchangeInfo", kind: "refresh", weight: 20 },
  tickerPrice: { method: "GET", path: "/api/v3/ticker/price", kind: "refresh", weight: 2 },
  bookTicker: { method: "GET", path: "/api/v3/ticker/bookTicker", kind: "refresh", weight: 2 },
  account: { method: "GET", path: "/api/v3/account", kind: "query", weight: 20 },
  placeOrder: { method: "POST", path: "/api/v3/order", kind: "submit", weight: 1 },
  cancelOrder: { method: "DELETE", path: "/api/v3/order", kind: "cancel", weight: 1 },
  queryOrder: { method: "GET", path: "/api/v3/order", kind: "query", weight: 4 },
  openOrders: { method: "GET", path: "/api/v3/openOrders", kind: "query", weight: 80 },
  openOrdersOfSymbol: { method: "GET", path: "/api/v3/openOrders", kind: "query", weight: 6 },
  allOrders: { method: "GET", path: "/api/v3/allOrders", kind: "query", weight: 20 },
  myTrades: { method: "GET", path: "/api/v3/myTrades", kind: "query", weight: 20 },
  myTradesOfOrder: { method: "GET", path: "/api/v3/myTrades", kind: "query", weight: 5 }
} as const satisfies Readonly<Record<string, Endpoint>>

/** Every exchange of this kind lists it; asking for one symbol keeps the answer small. */
const someSymbol = "BTCUSDT"
/** The budget waits no longer than this for a part of an answer to `health` to be worth a line. */
const limitedMillis = 1_000

export interface Submission {
  readonly clientOrderId: string
  readonly request: OrderRequest
  /** On the exchange's clock. */
  readonly timestamp: EpochMillis
  readonly recvWindowMillis: number
}

export interface BinanceClientOptions {
  readonly apiKey: Secret.Redacted
  readonly apiSecret: Secret.Redacted
  /** Of queries and cancels; an order carries the journalled one. */
  readonly recvWindowMillis: number
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
    readonly cancelOrder: (order: {
      readonly symbol: string
      readonly clientOrderId: string
      readonly exchangeOrderId?: string
    }) => Effect.Effect<ExchangeReport, BinanceError>
    readonly queryOrder: (order: {
      readonly symbol: string
      readonly clientOrderId: string
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
  static readonly layer = (options: BinanceClientOptions) =>
    Layer.effect(
      BinanceClient,
      Effect.gen(function* () {
        const breaker = yield* Breaker
        const gateway = yield* Gateway
        const limits = yield* RateLimits
        const serverTime = yield* ServerTime
        const scope = yield* Scope.Scope
        const secret = Redacted.value(options.apiSecret)
        const headers = { "x-mbx-apikey": Redacted.value(options.apiKey) }
        const learning = Semaphore.makeUnsafe(1)
        const credentials = makeCredentials()
        // Whose answer tells whether our keys are taken again.
        const probes = new WeakSet<Permit>()

        const open = Effect.fnUntraced(function* (endpoint: Endpoint, parameters: Parameters) {
          return yield* gateway.send(yield* gateway.reserve(endpoint), queryOf(parameters), {})
        })

        // The refusal is what the caller is told, whatever comes of this; and it goes on when the caller leaves.
        const measureAgain = serverTime.sync.pipe(
          Effect.catch((error) => Effect.logWarning("the exchange's clock could not be measured", error.message)),
          Effect.forkIn(scope)
        )

        const sendSigned = (permit: Permit, query: string) =>
          gateway.send(permit, query, headers).pipe(
            Effect.tap(() => credentials.observe(permit.endpoint.kind, null)),
            Effect.tapError(({ reason }) => credentials.observe(permit.endpoint.kind, reason))
          )

        // Stamped and signed as late as possible, when nothing is waited for any more.
        const signed = Effect.fnUntraced(function* (endpoint: Endpoint, parameters: Parameters) {
          yield* serverTime.ensure
          const permit = yield* gateway.reserve(endpoint)
          const stamped: Parameters = [
            ...parameters,
            ["recvWindow", options.recvWindowMillis],
            ["timestamp", yield* serverTime.now]
          ]
          return yield* sendSigned(permit, signedQuery(secret, stamped)).pipe(
            // Waited for, so that the caller's next try has the right time.
            Effect.tapError(({ reason }) =>
              isClockRefusal(reason) ? Effect.flatMap(measureAgain, Fiber.await) : Effect.void
            )
          )
        })

        const ordersOf = (endpoint: Endpoint, parameters: Parameters) =>
          signed(endpoint, parameters).pipe(
            Effect.flatMap((answer) => decodeList(endpoint, wire.QueriedOrder, answer)),
            Effect.map((orders) => orders.map(foundOrder))
          )

        const exchangeInfo = Effect.fnUntraced(function* (parameters: Parameters) {
          const answer = yield* open(endpoints.exchangeInfo, parameters)
          const info = yield* decodeAnswer(endpoints.exchangeInfo, wire.ExchangeInfo, answer)
          yield* limits.learn(info.rateLimits)
          return (yield* decodeItems(endpoints.exchangeInfo, wire.SymbolInfo, info.symbols)).map(instrumentOf)
        })

        // The budget for orders is not guessed; one asks, the others wait for it.
        let hasAsked = false
        const learnLimits = learning.withPermit(
          Effect.gen(function* () {
            if (hasAsked || (yield* limits.isLearnt)) return
            // An exchange without that symbol says no, and the documented limits stay.
            yield* exchangeInfo([["symbol", someSymbol]]).pipe(
              Effect.catchIf(
                ({ reason }) => reason._tag === "Refused",
                () => Effect.void
              )
            )
            hasAsked = true
          })
        )

        const reserveOrder = Effect.gen(function* () {
          if (!hasAsked) yield* learnLimits
          return yield* gateway.reserve(endpoints.placeOrder)
        }).pipe(Effect.mapError(withoutOrder))

        const readyToSubmit = Effect.gen(function* () {
          const admission = yield* credentials.admit
          if (admission === "refuse") return yield* keysRefused(credentials.refusal())
          if (admission === "probe") {
            const probe = yield* Effect.onError(reserveOrder, () => Effect.sync(credentials.leave))
            probes.add(probe)
            return probe
          }
          const permit = yield* reserveOrder
          // Refused while this one waited: many may have.
          const refusal = credentials.refusal()
          if (refusal === null) return permit
          yield* gateway.giveBack(permit)
          return yield* keysRefused(refusal)
        })

        const giveBack = (permit: Permit) =>
          Effect.andThen(
            Effect.sync(() => {
              if (probes.delete(permit)) credentials.leave()
            }),
            gateway.giveBack(permit)
          )

        const placeOrder = Effect.fnUntraced(function* (submission: Submission, permit: Permit) {
          const endpoint = endpoints.placeOrder
          const { clientOrderId, recvWindowMillis, request, timestamp } = submission
          const query = signedQuery(secret, [
            ...parametersOf(request),
            ["newClientOrderId", clientOrderId],
            ["newOrderRespType", "FULL"],
            ["recvWindow", recvWindowMillis],
            ["timestamp", timestamp]
          ])
          const answer = yield* sendSigned(permit, query).pipe(
            // Not waited for: the outcome is written down first.
            Effect.tapError(({ reason }) => (isClockRefusal(reason) ? measureAgain : Effect.void))
          )
          const order = yield* decodeAnswer(endpoint, wire.PlacedOrder, answer)
          if (order.clientOrderId !== clientOrderId || order.symbol !== request.symbol) {
            return yield* unreadable(endpoint, new Error("it is about another order"))
          }
          return placedReport(order)
        })

        const cancelOrder = Effect.fnUntraced(function* (order: {
          readonly symbol: string
          readonly clientOrderId: string
          readonly exchangeOrderId?: string
        }) {
          const endpoint = endpoints.cancelOrder
          // Both ids: the exchange finds it by its own, fast, and refuses if ours is another one, as after a reset.
          const answer = yield* signed(endpoint, [
            ["symbol", order.symbol],
            ...(order.exchangeOrderId === undefined ? [] : [["orderId", order.exchangeOrderId] as const]),
            ["origClientOrderId", order.clientOrderId]
          ])
          const cancelled = yield* decodeAnswer(endpoint, wire.CancelledOrder, answer)
          if (cancelled.origClientOrderId !== order.clientOrderId || cancelled.symbol !== order.symbol) {
            return yield* unreadable(endpoint, new Error("it is about another order"))
          }
          return cancelledReport(cancelled)
        })

        const queryOrder = Effect.fnUntraced(function* (order: {
          readonly symbol: string
          readonly clientOrderId: string
        }) {
          const endpoint = endpoints.queryOrder
          const answer = yield* signed(endpoint, [
            ["symbol", order.symbol],
            ["origClientOrderId", order.clientOrderId]
          ])
          const found = foundOrder(yield* decodeAnswer(endpoint, wire.QueriedOrder, answer))
          if (found.clientOrderId !== order.clientOrderId || found.symbol !== order.symbol) {
            return yield* unreadable(endpoint, new Error("it is about another order"))
          }
          return found
        })

        return BinanceClient.of({
          ping: Effect.asVoid(open(pingEndpoint, [])),
          time: Effect.gen(function* () {
            const answer = yield* open(timeEndpoint, [])
            return (yield* decodeAnswer(timeEndpoint, wire.ServerTimeBody, answer)).serverTime
          }),
          exchangeInfo: exchangeInfo([]),
          tickerPrice: (symbol) =>
            Effect.flatMap(open(endpoints.tickerPrice, [["symbol", symbol]]), (answer) =>
              decodeAnswer(endpoints.tickerPrice, wire.TickerPrice, answer)
            ),
          bookTicker: Effect.fnUntraced(function* (symbol: string) {
            const answer = yield* open(endpoints.bookTicker, [["symbol", symbol]])
            const book = yield* decodeAnswer(endpoints.bookTicker, wire.BookTicker, answer)
            return { bid: book.bidPrice, bidQuantity: book.bidQty, ask: book.askPrice, askQuantity: book.askQty }
          }),
          account: Effect.flatMap(signed(endpoints.account, [["omitZeroBalances", "true"]]), (answer) =>
            decodeAnswer(endpoints.account, wire.AccountBody, answer)
          ),
          readyToSubmit,
          giveBack,
          placeOrder,
          cancelOrder,
          queryOrder,
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
            const refusal = credentials.refusal()
            if (refusal !== null) return `the exchange refuses our keys: ${refusal}`
            if ((yield* breaker.state) !== "closed") return "does not answer: orders wait until it does"
            const wait = yield* limits.waitMillis("submit", endpoints.placeOrder.weight)
            return wait < limitedMillis ? null : `limits our requests: orders wait ${Math.ceil(wait / 1_000)} s`
          })
        })
      })
    )
}

const given = (name: string, value: string | number | undefined): Parameters =>
  value === undefined ? [] : [[name, value]]

// Whatever became of the questions before an order: the order itself was not sent.
const withoutOrder = ({ reason }: BinanceError): BinanceError =>
  errorOf(
    endpoints.placeOrder,
    reason._tag === "RateLimited" || reason._tag === "NotSent" ? reason : new NotSent({ cause: reason })
  )

const keysRefused = (refusal: string | null): BinanceError =>
  errorOf(endpoints.placeOrder, new NotSent({ cause: new Error(`the exchange refuses our keys: ${refusal ?? ""}`) }))
