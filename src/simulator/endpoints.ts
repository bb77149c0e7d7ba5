/**
 * What can be asked, over REST and over the WebSocket API alike: one row per request.
 *
 * Each row reads its parameters first and gives back what is to be done; between the two stand the checks that are the
 * same for all (unread parameters, time, signature, key). Doing it is synchronous and answers a value or a Refusal.
 */
import { ours } from "./Accounts.ts"
import { format } from "./Amount.ts"
import type { Exchange, Target } from "./Exchange.ts"
import type { Market } from "./Matching.ts"
import { newOrderOf, readOrderForm, responseTypeOf } from "./orderParameters.ts"
import type { Order } from "./Order.ts"
import type { Parameters } from "./Parameters.ts"
import type { RateLimits } from "./RateLimits.ts"
import {
  badCombination,
  idsOfDifferentOrders,
  invalidRestrictions,
  invalidSymbol,
  invalidValue,
  isRefusal,
  mandatoryEither,
  orderDoesNotExist,
  type Refusal,
  tooLongInterval,
  unknownOrder
} from "./Refusal.ts"
import { averageMinutes } from "./Tape.ts"
import {
  accountView,
  ackView,
  cancelView,
  depthView,
  fullView,
  myTradeView,
  orderView,
  publicTradeView,
  resultView,
  symbolView
} from "./views.ts"

export interface Desk {
  readonly exchange: Exchange
  readonly limits: RateLimits
  readonly accountUid: number
  readonly now: () => number
}

/** What a fault asks of the request that it strikes. */
export interface Twist {
  /** Fill the order of a cancel just before it. */
  readonly fillsFirst: boolean
}

export type Run = (desk: Desk, twist: Twist) => unknown

export interface Endpoint {
  readonly rest: string
  readonly webSocket: string
  readonly isSigned: boolean
  readonly weight: (params: ReadonlyMap<string, string>) => number
  /** Orders and cancels cost nothing when they succeed. */
  readonly isFreeOnSuccess?: boolean
  /** Adds to the unfilled order count. */
  readonly isOrder?: boolean
  readonly read: (p: Parameters) => Run
}

const dayMillis = 86_400_000
const defaultRows = 500
const greatestRows = 1_000
const defaultDepth = 100
const greatestDepth = 5_000

const onMarket =
  (symbol: string, run: (desk: Desk, market: Market, twist: Twist) => unknown): Run =>
  (desk, twist) => {
    const market = desk.exchange.matching.market(symbol)
    return market === undefined ? invalidSymbol : run(desk, market, twist)
  }

/** One symbol, several, or all. */
const onMarkets = (
  p: Parameters,
  run: (desk: Desk, markets: ReadonlyArray<Market>, isOne: boolean) => unknown
): Run => {
  const symbol = p.symbolIfSent()
  const list = p.text("symbols")
  return (desk) => {
    const { matching } = desk.exchange
    if (symbol !== undefined && list !== undefined) return badCombination
    const names = symbol === undefined ? (list === undefined ? undefined : namesOf(list)) : [symbol]
    if (isRefusal(names)) return names
    if (names === undefined) return run(desk, matching.markets, false)
    const markets = names.map((name) => matching.market(name)).filter((market) => market !== undefined)
    return markets.length < names.length ? invalidSymbol : run(desk, markets, symbol !== undefined)
  }
}

const namesOf = (list: string): ReadonlyArray<string> | Refusal =>
  /^\["[^"]+"(,"[^"]+")*\]$/.test(list) ? list.slice(2, -2).split('","') : invalidValue("symbols")

const readTarget = (p: Parameters): Target => ({
  orderId: p.whole("orderId"),
  clientOrderId: p.text("origClientOrderId")
})

const rowsOf = (limit: number | undefined): number => Math.min(limit ?? defaultRows, greatestRows)

const found = (order: Order | undefined, target: Target): Order | Refusal => {
  if (order === undefined) return orderDoesNotExist
  const isOther = target.orderId !== undefined && target.clientOrderId !== undefined
  return isOther && order.clientOrderId !== target.clientOrderId ? idsOfDifferentOrders : order
}

const always = (weight: number) => (): number => weight

const ping: Endpoint = {
  rest: "GET /api/v3/ping",
  webSocket: "ping",
  isSigned: false,
  weight: always(1),
  read: () => () => ({})
}

const time: Endpoint = {
  rest: "GET /api/v3/time",
  webSocket: "time",
  isSigned: false,
  weight: always(1),
  read: () => (desk) => ({ serverTime: desk.now() })
}

const exchangeInfo: Endpoint = {
  rest: "GET /api/v3/exchangeInfo",
  webSocket: "exchangeInfo",
  isSigned: false,
  weight: always(20),
  read: (p) => {
    const permissionSets = p.text("showPermissionSets") !== "false"
    p.known("permissions", "symbolStatus")
    return onMarkets(p, (desk, markets) => ({
      timezone: "UTC",
      serverTime: desk.now(),
      rateLimits: desk.limits.published(),
      exchangeFilters: [],
      symbols: markets.map(({ info }) => symbolView(info, permissionSets))
    }))
  }
}

const depth: Endpoint = {
  rest: "GET /api/v3/depth",
  webSocket: "depth",
  isSigned: false,
  weight: (params) => depthWeight(Number(params.get("limit") ?? defaultDepth)),
  read: (p) => {
    const symbol = p.symbol()
    const limit = p.whole("limit")
    p.known("symbolStatus")
    return onMarket(symbol, (_, market) => depthView(market, Math.min(limit ?? defaultDepth, greatestDepth)))
  }
}

const depthWeight = (limit: number): number => {
  if (limit <= 100) return 5
  if (limit <= 500) return 25
  return limit <= 1000 ? 50 : 250
}

const perSymbolWeight = (params: ReadonlyMap<string, string>): number => (params.has("symbol") ? 2 : 4)

const tickerPrice: Endpoint = {
  rest: "GET /api/v3/ticker/price",
  webSocket: "ticker.price",
  isSigned: false,
  weight: perSymbolWeight,
  read: (p) => {
    p.known("symbolStatus")
    return onMarkets(p, (_, markets, isOne) => {
      const views = markets.map(({ info, tape }) => ({ symbol: info.symbol, price: format(tape.lastPrice) }))
      return isOne ? views[0] : views
    })
  }
}

const bookTicker: Endpoint = {
  rest: "GET /api/v3/ticker/bookTicker",
  webSocket: "ticker.book",
  isSigned: false,
  weight: perSymbolWeight,
  read: (p) => {
    p.known("symbolStatus")
    return onMarkets(p, ({ exchange }, markets, isOne) => {
      const views = markets.map((market) => {
        const [bidPrice, bidQuantity] = exchange.matching.shown(market, "BUY")
        const [askPrice, askQuantity] = exchange.matching.shown(market, "SELL")
        return {
          symbol: market.info.symbol,
          bidPrice: format(bidPrice),
          bidQty: format(bidQuantity),
          askPrice: format(askPrice),
          askQty: format(askQuantity)
        }
      })
      return isOne ? views[0] : views
    })
  }
}

const avgPrice: Endpoint = {
  rest: "GET /api/v3/avgPrice",
  webSocket: "avgPrice",
  isSigned: false,
  weight: always(2),
  read: (p) =>
    onMarket(p.symbol(), (desk, { tape }) => ({
      mins: averageMinutes,
      price: format(tape.average(desk.now())),
      closeTime: desk.now()
    }))
}

const trades: Endpoint = {
  rest: "GET /api/v3/trades",
  webSocket: "trades.recent",
  isSigned: false,
  weight: always(25),
  read: (p) => {
    const symbol = p.symbol()
    const limit = p.whole("limit")
    return onMarket(symbol, (_, { tape }) => tape.recent(rowsOf(limit)).map(publicTradeView))
  }
}

const account: Endpoint = {
  rest: "GET /api/v3/account",
  webSocket: "account.status",
  isSigned: true,
  weight: always(20),
  read: (p) => {
    const omitZero = p.text("omitZeroBalances") === "true"
    return ({ accountUid, exchange }) =>
      accountView(exchange.matching.accounts.balancesOf(ours), accountUid, exchange.updateTime, omitZero)
  }
}

const placeOrder: Endpoint = {
  rest: "POST /api/v3/order",
  webSocket: "order.place",
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  isOrder: true,
  read: (p) => {
    const form = readOrderForm(p)
    return onMarket(form.symbol, ({ exchange }, market) => {
      const wanted = newOrderOf(form)
      if (isRefusal(wanted)) return wanted
      const responseType = responseTypeOf(form)
      if (isRefusal(responseType)) return responseType
      const refused = exchange.check(market, wanted)
      if (refused !== undefined) return refused
      const order = exchange.place(market, wanted)
      if (isRefusal(order)) return order
      if (responseType === "ACK") return ackView(order)
      return responseType === "RESULT" ? resultView(order) : fullView(order, exchange.matching.trades)
    })
  }
}

const testOrder: Endpoint = {
  rest: "POST /api/v3/order/test",
  webSocket: "order.test",
  isSigned: true,
  weight: (params) => (params.get("computeCommissionRates") === "true" ? 20 : 1),
  read: (p) => {
    const form = readOrderForm(p)
    const withRates = p.text("computeCommissionRates") === "true"
    return onMarket(form.symbol, ({ exchange }, market) => {
      const wanted = newOrderOf(form)
      if (isRefusal(wanted)) return wanted
      const responseType = responseTypeOf(form)
      if (isRefusal(responseType)) return responseType
      return exchange.check(market, wanted) ?? (withRates ? commissionRates : {})
    })
  }
}

const noRates = { maker: "0.00000000", taker: "0.00000000" }
const commissionRates = {
  standardCommissionForOrder: { maker: "0.00100000", taker: "0.00100000" },
  specialCommissionForOrder: noRates,
  taxCommissionForOrder: noRates,
  discount: { enabledForAccount: false, enabledForSymbol: false, discountAsset: "BNB", discount: "0.00000000" }
}

const queryOrder: Endpoint = {
  rest: "GET /api/v3/order",
  webSocket: "order.status",
  isSigned: true,
  weight: always(4),
  read: (p) => {
    const symbol = p.symbol()
    const target = readTarget(p)
    return onMarket(symbol, ({ exchange }, market) => {
      if (isEmpty(target)) return mandatoryEither("origClientOrderId", "orderId")
      const order = found(exchange.read(market, target), target)
      return isRefusal(order) ? order : orderView(order)
    })
  }
}

const isEmpty = (target: Target): boolean => target.orderId === undefined && target.clientOrderId === undefined

const cancelOrder: Endpoint = {
  rest: "DELETE /api/v3/order",
  webSocket: "order.cancel",
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  read: (p) => {
    const symbol = p.symbol()
    const target = readTarget(p)
    const newId = p.clientId("newClientOrderId")
    const restriction = p.text("cancelRestrictions")
    return onMarket(symbol, ({ exchange }, market, twist) => {
      if (isEmpty(target)) return mandatoryEither("origClientOrderId", "orderId")
      if (restriction !== undefined && restriction !== "ONLY_NEW" && restriction !== "ONLY_PARTIALLY_FILLED") {
        return invalidRestrictions
      }
      const aimed = exchange.lookUp(market, target)
      if (twist.fillsFirst && aimed !== undefined && market.orders.open.has(aimed.id)) exchange.fill(market, aimed)
      const cancelId = newId ?? exchange.drawId(aimed?.id ?? 0)
      const order = exchange.cancel(market, target, cancelId, restriction)
      return isRefusal(order) ? order : cancelView(order, cancelId)
    })
  }
}

const cancelOpenOrders: Endpoint = {
  rest: "DELETE /api/v3/openOrders",
  webSocket: "openOrders.cancelAll",
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  read: (p) =>
    onMarket(p.symbol(), ({ exchange }, market) => {
      const canceled = exchange.cancelAll(market, () => exchange.drawId(0))
      return canceled.length === 0 ? unknownOrder : canceled.map(([order, cancelId]) => cancelView(order, cancelId))
    })
}

const openOrders: Endpoint = {
  rest: "GET /api/v3/openOrders",
  webSocket: "openOrders.status",
  isSigned: true,
  weight: (params) => (params.has("symbol") ? 6 : 80),
  read: (p) => {
    const symbol = p.symbolIfSent()
    const viewsOf = (exchange: Exchange, market: Market) => exchange.readOpen(market).map(orderView)
    if (symbol !== undefined) return onMarket(symbol, ({ exchange }, market) => viewsOf(exchange, market))
    return ({ exchange }) => exchange.matching.markets.flatMap((market) => viewsOf(exchange, market))
  }
}

const readPeriod = (p: Parameters) => ({ startTime: p.whole("startTime"), endTime: p.whole("endTime") })

const faultOfPeriod = ({ endTime, startTime }: ReturnType<typeof readPeriod>): Refusal | undefined =>
  startTime !== undefined && endTime !== undefined && endTime - startTime > dayMillis ? tooLongInterval(24) : undefined

const allOrders: Endpoint = {
  rest: "GET /api/v3/allOrders",
  webSocket: "allOrders",
  isSigned: true,
  weight: always(20),
  read: (p) => {
    const symbol = p.symbol()
    const orderId = p.whole("orderId")
    const period = readPeriod(p)
    const limit = rowsOf(p.whole("limit"))
    return onMarket(symbol, ({ exchange }, { orders }) => {
      const fault = faultOfPeriod(period)
      if (fault !== undefined) return fault
      const { endTime = Infinity, startTime = 0 } = period
      const ids = orders.idsBetween(startTime, endTime)
      // From an id or a time onwards the oldest come first; without either, the newest are meant.
      const isFromStart = orderId !== undefined || period.startTime !== undefined
      const wanted = orderId === undefined ? ids : ids.filter((id) => id >= orderId)
      const page = isFromStart ? wanted.slice(0, limit) : wanted.slice(-limit)
      return page
        .map((id) => exchange.lookUp(exchange.matching.market(symbol)!, { orderId: id, clientOrderId: undefined })!)
        .map((order) => (exchange.isStale ? orders.asOf(order, exchange.readTime()) : order))
        .filter((order) => order !== undefined)
        .map(orderView)
    })
  }
}

const myTrades: Endpoint = {
  rest: "GET /api/v3/myTrades",
  webSocket: "myTrades",
  isSigned: true,
  weight: (params) => (params.has("orderId") ? 5 : 20),
  read: (p) => {
    const symbol = p.symbol()
    const orderId = p.whole("orderId")
    const fromId = p.whole("fromId")
    const period = readPeriod(p)
    const limit = rowsOf(p.whole("limit"))
    return onMarket(symbol, ({ exchange }, market) => {
      const hasPeriod = period.startTime !== undefined || period.endTime !== undefined
      if (hasPeriod && (orderId !== undefined || fromId !== undefined)) return badCombination
      const fault = faultOfPeriod(period)
      if (fault !== undefined) return fault
      const { endTime = Infinity, startTime = 0 } = period
      const seenUntil = exchange.isStale ? Math.min(endTime, exchange.readTime()) : endTime
      const table = exchange.matching.trades
      const rows = orderId === undefined ? table.rows() : (market.orders.byId(orderId)?.trades ?? [])
      const matching = [...rows]
        .map((row) => table.at(row))
        .filter(
          (trade) =>
            trade.symbol === market.index &&
            trade.id >= (fromId ?? 0) &&
            trade.time >= startTime &&
            trade.time <= seenUntil
        )
      const isFromStart = fromId !== undefined || period.startTime !== undefined
      const page = isFromStart ? matching.slice(0, limit) : matching.slice(-limit)
      return page.map((trade) => myTradeView(trade, market.info))
    })
  }
}

const orderLimits: Endpoint = {
  rest: "GET /api/v3/rateLimit/order",
  webSocket: "account.rateLimits.orders",
  isSigned: true,
  weight: always(40),
  read: () => (desk) => {
    const counts = desk.limits.orderCounts(desk.now())
    return desk.limits
      .published()
      .filter(({ rateLimitType }) => rateLimitType === "ORDERS")
      .map((limit, at) => ({ ...limit, count: counts[at] }))
  }
}

export const endpoints: ReadonlyArray<Endpoint> = [
  ping,
  time,
  exchangeInfo,
  depth,
  tickerPrice,
  bookTicker,
  avgPrice,
  trades,
  account,
  placeOrder,
  testOrder,
  queryOrder,
  cancelOrder,
  cancelOpenOrders,
  openOrders,
  allOrders,
  myTrades,
  orderLimits
]
