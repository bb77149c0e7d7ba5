/** The exchange's requests that this program makes: path, precedence and weight of each, as Binance documents them. */
import type { Endpoint } from "./Gateway.ts"

export const endpoints = {
  exchangeInfo: { method: "GET", path: "/api/v3/exchangeInfo", kind: "refresh", weight: 20, isList: true },
  tickerPrice: { method: "GET", path: "/api/v3/ticker/price", kind: "refresh", weight: 2 },
  bookTicker: { method: "GET", path: "/api/v3/ticker/bookTicker", kind: "refresh", weight: 2 },
  account: { method: "GET", path: "/api/v3/account", kind: "query", weight: 20, isList: true },
  placeOrder: { method: "POST", path: "/api/v3/order", webSocket: "order.place", kind: "submit", weight: 1 },
  cancelOrder: { method: "DELETE", path: "/api/v3/order", webSocket: "order.cancel", kind: "cancel", weight: 1 },
  queryOrder: { method: "GET", path: "/api/v3/order", kind: "query", weight: 4 },
  openOrders: { method: "GET", path: "/api/v3/openOrders", kind: "query", weight: 80, isList: true },
  openOrdersOfSymbol: { method: "GET", path: "/api/v3/openOrders", kind: "query", weight: 6, isList: true },
  allOrders: { method: "GET", path: "/api/v3/allOrders", kind: "query", weight: 20, isList: true },
  myTrades: { method: "GET", path: "/api/v3/myTrades", kind: "query", weight: 20, isList: true },
  myTradesOfOrder: { method: "GET", path: "/api/v3/myTrades", kind: "query", weight: 5, isList: true },
  testOrder: { method: "POST", path: "/api/v3/order/test", kind: "query", weight: 1 },
  testOrderWithRates: { method: "POST", path: "/api/v3/order/test", kind: "query", weight: 20 },
  cancelReplace: {
    method: "POST",
    path: "/api/v3/order/cancelReplace",
    webSocket: "order.cancelReplace",
    kind: "submit",
    weight: 1
  },
  // It only ever makes an order smaller, so it goes with the cancels.
  amendKeepPriority: {
    method: "PUT",
    path: "/api/v3/order/amend/keepPriority",
    webSocket: "order.amend.keepPriority",
    kind: "cancel",
    weight: 4
  },
  placeOco: {
    method: "POST",
    path: "/api/v3/orderList/oco",
    webSocket: "orderList.place.oco",
    kind: "submit",
    weight: 1
  },
  placeOto: {
    method: "POST",
    path: "/api/v3/orderList/oto",
    webSocket: "orderList.place.oto",
    kind: "submit",
    weight: 1
  },
  placeOtoco: {
    method: "POST",
    path: "/api/v3/orderList/otoco",
    webSocket: "orderList.place.otoco",
    kind: "submit",
    weight: 1
  },
  cancelList: {
    method: "DELETE",
    path: "/api/v3/orderList",
    webSocket: "orderList.cancel",
    kind: "cancel",
    weight: 1
  },
  queryList: { method: "GET", path: "/api/v3/orderList", kind: "query", weight: 4 },
  orderRateLimits: { method: "GET", path: "/api/v3/rateLimit/order", kind: "query", weight: 40 },
  myFilters: { method: "GET", path: "/api/v3/myFilters", kind: "query", weight: 40 },
  commission: { method: "GET", path: "/api/v3/account/commission", kind: "query", weight: 20 },
  preventedMatch: { method: "GET", path: "/api/v3/myPreventedMatches", kind: "query", weight: 2, isList: true },
  preventedMatchesOfOrder: {
    method: "GET",
    path: "/api/v3/myPreventedMatches",
    kind: "query",
    weight: 20,
    isList: true
  }
} as const satisfies Readonly<Record<string, Endpoint>>
