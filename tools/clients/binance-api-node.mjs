// binance-api-node: REST with httpBase, public streams with wsBase, the user data stream with wsApi.
import library from "binance-api-node"

const Binance = library.default ?? library
const idsOf = (orders) => orders.map(({ orderId }) => String(orderId))
const placedOf = ({ orderId, status }) => ({ orderId: String(orderId), status })

/** @type {import("./connect.ts").Connect} */
export const connect = async ({ apiKey, apiSecret, rest, webSocket }) => {
  const client = Binance({
    apiKey,
    apiSecret,
    httpBase: rest,
    wsBase: `${webSocket}/ws`,
    wsApi: `${webSocket}/ws-api/v3`
  })
  const ends = []
  return {
    serverTime: () => client.time(),
    symbols: async () => (await client.exchangeInfo()).symbols.map(({ symbol }) => symbol),
    bestBid: async (symbol) => (await client.allBookTickers())[symbol].bidPrice,
    depth: async (symbol) => (await client.book({ symbol, limit: 5 })).bids.length,
    candles: async (symbol) => (await client.candles({ symbol, interval: "1m" })).length,
    dayTicker: async (symbol) => (await client.dailyStats({ symbol })).lastPrice,
    publicTrades: async (symbol) => (await client.trades({ symbol })).length,
    placeLimit: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(await client.order({ symbol, side, type: "LIMIT", price, quantity, newClientOrderId: clientOrderId })),
    placeMarket: async ({ clientOrderId, quantity, side, symbol }) =>
      placedOf(await client.order({ symbol, side, type: "MARKET", quantity, newClientOrderId: clientOrderId })),
    query: async (symbol, orderId) => placedOf(await client.getOrder({ symbol, orderId: Number(orderId) })),
    openOrders: async (symbol) => idsOf(await client.openOrders({ symbol })),
    cancel: async (symbol, orderId) => placedOf(await client.cancelOrder({ symbol, orderId: Number(orderId) })),
    allOrders: async (symbol) => idsOf(await client.allOrders({ symbol })),
    trades: async (symbol) => idsOf(await client.myTrades({ symbol })),
    free: async (asset) => (await client.accountInfo()).balances.find((balance) => balance.asset === asset).free,
    placeOco: async ({ abovePrice, belowPrice, belowStopPrice, quantity, side, symbol }) =>
      idsOf(
        (
          await client.orderOco({
            symbol,
            side,
            quantity,
            price: abovePrice,
            stopPrice: belowStopPrice,
            stopLimitPrice: belowPrice,
            stopLimitTimeInForce: "GTC"
          })
        ).orders
      ),
    cancelAll: async (symbol) => (await client.cancelOpenOrders({ symbol })).length,
    userStream: async (tell) => {
      ends.push(
        await client.ws.user((event) => {
          if (event.eventType === "executionReport") {
            tell({ clientOrderId: event.newClientOrderId, status: event.orderStatus })
          }
        })
      )
    },
    nextTrade: (symbol) =>
      new Promise((resolve) => {
        ends.push(client.ws.trades(symbol, ({ price }) => resolve(price)))
      }),
    close: async () => {
      for (const end of ends) end()
    }
  }
}
