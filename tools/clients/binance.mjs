// binance: REST through MainClient, the user data stream through WebsocketAPIClient, public streams through WebsocketClient.
import { MainClient, WebsocketAPIClient, WebsocketClient, WS_KEY_MAP } from "binance"

const idsOf = (orders) => orders.map(({ orderId }) => String(orderId))
const placedOf = ({ orderId, status }) => ({ orderId: String(orderId), status })
const quiet = { trace: () => {}, info: () => {}, error: (...what) => console.error("binance:", ...what) }

/** @type {import("./connect.ts").Connect} */
export const connect = async ({ apiKey, apiSecret, rest, webSocket }) => {
  const keys = { api_key: apiKey, api_secret: apiSecret }
  const client = new MainClient({ ...keys, baseUrl: rest })
  const api = new WebsocketAPIClient({ ...keys, wsUrl: webSocket, attachEventListeners: false }, quiet)
  const streams = new WebsocketClient({ wsUrl: webSocket }, quiet)
  return {
    idPrefix: `${client.getOrderIdPrefix()}-`,
    // Over the WebSocket API: over REST this library asks for the time at an address of its own.
    serverTime: async () => (await api.getSpotServerTime()).result.serverTime,
    symbols: async () => (await client.getExchangeInfo()).symbols.map(({ symbol }) => symbol),
    bestBid: async (symbol) => String((await client.getSymbolOrderBookTicker({ symbol })).bidPrice),
    depth: async (symbol) => (await client.getOrderBook({ symbol, limit: 5 })).bids.length,
    candles: async (symbol) => (await client.getKlines({ symbol, interval: "1m" })).length,
    dayTicker: async (symbol) => (await client.get24hrChangeStatistics({ symbol })).lastPrice,
    publicTrades: async (symbol) => (await client.getRecentTrades({ symbol })).length,
    placeLimit: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(
        await client.submitNewOrder({
          symbol,
          side,
          type: "LIMIT",
          timeInForce: "GTC",
          price: Number(price),
          quantity: Number(quantity),
          newClientOrderId: clientOrderId,
          newOrderRespType: "FULL"
        })
      ),
    placeMarket: async ({ clientOrderId, quantity, side, symbol }) =>
      placedOf(
        await client.submitNewOrder({
          symbol,
          side,
          type: "MARKET",
          quantity: Number(quantity),
          newClientOrderId: clientOrderId,
          newOrderRespType: "FULL"
        })
      ),
    query: async (symbol, orderId) => placedOf(await client.getOrder({ symbol, orderId: Number(orderId) })),
    openOrders: async (symbol) => idsOf(await client.getOpenOrders({ symbol })),
    cancel: async (symbol, orderId) => placedOf(await client.cancelOrder({ symbol, orderId: Number(orderId) })),
    allOrders: async (symbol) => idsOf(await client.getAllOrders({ symbol })),
    trades: async (symbol) => idsOf(await client.getAccountTradeList({ symbol })),
    free: async (asset) =>
      String((await client.getAccountInformation()).balances.find((balance) => balance.asset === asset).free),
    placeOco: async ({ abovePrice, belowPrice, belowStopPrice, quantity, side, symbol }) =>
      idsOf(
        (
          await client.submitNewOCO({
            symbol,
            side,
            quantity: Number(quantity),
            price: Number(abovePrice),
            stopPrice: Number(belowStopPrice),
            stopLimitPrice: Number(belowPrice),
            stopLimitTimeInForce: "GTC"
          })
        ).orders
      ),
    placeOverWebSocket: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(
        (
          await api.submitNewSpotOrder({
            symbol,
            side,
            type: "LIMIT",
            timeInForce: "GTC",
            price,
            quantity,
            newClientOrderId: clientOrderId,
            timestamp: Date.now()
          })
        ).result
      ),
    cancelOverWebSocket: async (symbol, orderId) =>
      placedOf((await api.cancelSpotOrder({ symbol, orderId: Number(orderId), timestamp: Date.now() })).result),
    cancelAll: async (symbol) => (await client.cancelAllSymbolOrders({ symbol })).length,
    userStream: async (tell) => {
      api.getWSClient().on("message", (message) => {
        const event = message.event ?? message
        if (event.e === "executionReport") tell({ clientOrderId: event.c, status: event.X })
      })
      await api.subscribeUserDataStream(WS_KEY_MAP.mainWSAPI)
    },
    nextTrade: (symbol) =>
      new Promise((resolve, reject) => {
        streams.on("message", (message) => {
          const event = message.data ?? message
          if (event.e === "trade") resolve(event.p)
        })
        streams.subscribe(`${symbol.toLowerCase()}@trade`, WS_KEY_MAP.main).catch(reject)
      }),
    close: async () => {
      api.getWSClient().closeAll(true)
      streams.closeAll(true)
    }
  }
}
