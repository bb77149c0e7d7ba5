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
  myTradesOfOrder: { method: "GET", path: "/api/v3/myTrades", kind: "query", weight: 5, isList: true }
} as const satisfies Readonly<Record<string, Endpoint>>
