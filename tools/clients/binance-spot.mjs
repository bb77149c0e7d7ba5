// @binance/spot: the exchange's own connector. REST for requests, its WebSocket API connection for the user data stream.
import { Spot } from "@binance/spot"

const idsOf = (orders) => orders.map(({ orderId }) => String(orderId))
const placedOf = ({ orderId, status }) => ({ orderId: String(orderId), status })
const dataOf = async (request) => (await request).data()

/** @type {import("./connect.ts").Connect} */
export const connect = async ({ apiKey, apiSecret, rest, webSocket }) => {
  const { restAPI, websocketAPI, websocketStreams } = new Spot({
    configurationRestAPI: { apiKey, apiSecret, basePath: rest },
    configurationWebsocketAPI: { apiKey, apiSecret, wsURL: `${webSocket}/ws-api/v3` },
    configurationWebsocketStreams: { wsURL: webSocket }
  })
  const connections = []
  let api
  return {
    serverTime: async () => Number((await dataOf(restAPI.time())).serverTime),
    symbols: async () => (await dataOf(restAPI.exchangeInfo())).symbols.map(({ symbol }) => symbol),
    bestBid: async (symbol) => (await dataOf(restAPI.tickerBookTicker({ symbol }))).bidPrice,
    depth: async (symbol) => (await dataOf(restAPI.depth({ symbol, limit: 5 }))).bids.length,
    candles: async (symbol) => (await dataOf(restAPI.klines({ symbol, interval: "1m" }))).length,
    dayTicker: async (symbol) => (await dataOf(restAPI.ticker24hr({ symbol }))).lastPrice,
    publicTrades: async (symbol) => (await dataOf(restAPI.getTrades({ symbol }))).length,
    placeLimit: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(
        await dataOf(
          restAPI.newOrder({
            symbol,
            side,
            type: "LIMIT",
            timeInForce: "GTC",
            price: Number(price),
            quantity: Number(quantity),
            newClientOrderId: clientOrderId
          })
        )
      ),
    placeMarket: async ({ clientOrderId, quantity, side, symbol }) =>
      placedOf(
        await dataOf(
          restAPI.newOrder({
            symbol,
            side,
            type: "MARKET",
            quantity: Number(quantity),
            newClientOrderId: clientOrderId
          })
        )
      ),
    query: async (symbol, orderId) => placedOf(await dataOf(restAPI.getOrder({ symbol, orderId: Number(orderId) }))),
    openOrders: async (symbol) => idsOf(await dataOf(restAPI.getOpenOrders({ symbol }))),
    cancel: async (symbol, orderId) =>
      placedOf(await dataOf(restAPI.deleteOrder({ symbol, orderId: Number(orderId) }))),
    allOrders: async (symbol) => idsOf(await dataOf(restAPI.allOrders({ symbol }))),
    trades: async (symbol) => idsOf(await dataOf(restAPI.myTrades({ symbol }))),
    free: async (asset) =>
      (await dataOf(restAPI.getAccount())).balances.find((balance) => balance.asset === asset).free,
    placeOco: async ({ abovePrice, belowPrice, belowStopPrice, quantity, side, symbol }) =>
      idsOf(
        (
          await dataOf(
            restAPI.orderListOco({
              symbol,
              side,
              quantity: Number(quantity),
              aboveType: "LIMIT_MAKER",
              abovePrice: Number(abovePrice),
              belowType: "STOP_LOSS_LIMIT",
              belowPrice: Number(belowPrice),
              belowStopPrice: Number(belowStopPrice),
              belowTimeInForce: "GTC"
            })
          )
        ).orders
      ),
    placeOverWebSocket: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(
        (
          await api.orderPlace({
            symbol,
            side,
            type: "LIMIT",
            timeInForce: "GTC",
            price: Number(price),
            quantity: Number(quantity),
            newClientOrderId: clientOrderId
          })
        ).data
      ),
    cancelOverWebSocket: async (symbol, orderId) =>
      placedOf((await api.orderCancel({ symbol, orderId: Number(orderId) })).data),
    cancelAll: async (symbol) => (await dataOf(restAPI.deleteOpenOrders({ symbol }))).length,
    userStream: async (tell) => {
      api = await websocketAPI.connect()
      connections.push(api)
      const subscription = await api.userDataStreamSubscribeSignature()
      subscription.stream.on("message", (event) => {
        if (event.e === "executionReport") tell({ clientOrderId: event.c, status: event.X })
      })
    },
    nextTrade: async (symbol) => {
      const connection = await websocketStreams.connect()
      connections.push(connection)
      return new Promise((resolve) => {
        connection.trade({ symbol: symbol.toLowerCase() }).on("message", ({ p }) => resolve(p))
      })
    },
    close: async () => {
      for (const connection of connections) await connection.disconnect()
    }
  }
}
