/** Requests that place, cancel and read orders. */
import { amendEndpoints } from "./amendEndpoints.ts"
import { cancelReplace } from "./cancelReplaceEndpoint.ts"
import { always, type Endpoint, faultOfPeriod, onMarket, readPeriod, rowsOf } from "./Endpoint.ts"
import type { Exchange } from "./Exchange.ts"
import type { Target } from "./OrderRequests.ts"
import { listEndpoints } from "./listEndpoints.ts"
import type { Market } from "./Matching.ts"
import type { Order } from "./Order.ts"
import { newOrderOf, readOrderForm, responseTypeOf } from "./orderParameters.ts"
import { overtake } from "./overtaken.ts"
import type { Parameters } from "./Parameters.ts"
import {
  archived,
  idsOfDifferentOrders,
  isRefusal,
  mandatoryEither,
  orderDoesNotExist,
  type Refusal,
  unknownOrder
} from "./Refusal.ts"
import { canceledView, placedView } from "./orderAnswers.ts"
import { smartRoutingEndpoints } from "./smartRoutingEndpoints.ts"
import { preventedEndpoints } from "./preventedEndpoints.ts"
import { readRestriction } from "./restriction.ts"
import { orderCommissionView } from "./accountViews.ts"
import { orderView } from "./orderViews.ts"

const readTarget = (p: Parameters): Target => ({
  orderId: p.whole("orderId"),
  clientOrderId: p.text("origClientOrderId")
})

const found = (order: Order | undefined, target: Target): Order | Refusal => {
  if (order === undefined) return orderDoesNotExist
  const isOther = target.orderId !== undefined && target.clientOrderId !== undefined
  return isOther && order.clientOrderId !== target.clientOrderId ? idsOfDifferentOrders : order
}

const isEmpty = (target: Target): boolean => target.orderId === undefined && target.clientOrderId === undefined

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
      return isRefusal(order) ? order : placedView(exchange, market, order, responseType)
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
    const withRates = p.flag("computeCommissionRates")
    return onMarket(form.symbol, ({ exchange }, market) => {
      const wanted = newOrderOf(form)
      if (isRefusal(wanted)) return wanted
      const responseType = responseTypeOf(form)
      if (isRefusal(responseType)) return responseType
      return exchange.check(market, wanted) ?? (withRates ? orderCommissionView(exchange.commissions, wanted.side) : {})
    })
  }
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
      if (isRefusal(order)) return order
      return exchange.isArchived(order) ? archived : orderView(order)
    })
  }
}

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
    const restriction = readRestriction(p)
    return onMarket(symbol, ({ exchange }, market, twist) => {
      if (isEmpty(target)) return mandatoryEither("origClientOrderId", "orderId")
      if (isRefusal(restriction)) return restriction
      const aimed = exchange.lookUp(market, target)
      overtake(exchange, market, twist, [aimed])
      const cancelId = newId ?? exchange.drawId(aimed?.id ?? 0)
      const canceled = exchange.cancel(market, target, cancelId, restriction)
      return isRefusal(canceled) ? canceled : canceledView(canceled)
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
    onMarket(p.symbol(), ({ exchange }, market, twist) => {
      overtake(exchange, market, twist, market.orders.open.values())
      const canceled = exchange.cancelAll(market, () => exchange.drawId(0))
      return canceled.length === 0 ? unknownOrder : canceled.map(canceledView)
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
    return onMarket(symbol, ({ exchange }, market) => {
      const { orders } = market
      const fault = faultOfPeriod(period)
      if (fault !== undefined) return fault
      const { endTime = Infinity, startTime = 0 } = period
      const ids = orders.idsBetween(startTime, endTime)
      // From an id or a time onwards the oldest come first; without either, the newest are meant.
      const isFromStart = orderId !== undefined || period.startTime !== undefined
      const wanted = orderId === undefined ? ids : ids.filter((id) => id >= orderId)
      const page = isFromStart ? wanted.slice(0, limit) : wanted.slice(-limit)
      return page
        .map((id) => exchange.seen(market, "histories", orders.byId(id)!))
        .filter((order) => order !== undefined)
        .filter((order) => !exchange.isArchived(order))
        .map(orderView)
    })
  }
}

export const orderEndpoints: ReadonlyArray<Endpoint> = [
  placeOrder,
  testOrder,
  queryOrder,
  cancelOrder,
  cancelOpenOrders,
  openOrders,
  allOrders,
  cancelReplace,
  ...amendEndpoints,
  ...listEndpoints,
  ...preventedEndpoints,
  ...smartRoutingEndpoints
]
