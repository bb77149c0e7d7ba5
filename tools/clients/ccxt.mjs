// ccxt speaks of unified markets; where it has a word of its own for something, the exchange's is in `info`.
import { pro } from "ccxt"

const market = "BTC/USDT"
const marketOf = (symbol) => (symbol === "BTCUSDT" ? market : symbol)
const placedOf = ({ info }) => ({ orderId: String(info.orderId), status: info.status })
const idsOf = (orders) => orders.map(({ info }) => String(info.orderId))

/** @type {import("./connect.ts").Connect} */
export const connect = async ({ apiKey, apiSecret, rest, webSocket }) => {
  const client = new pro.binance({
    apiKey,
    secret: apiSecret,
    urls: {
      api: {
        public: `${rest}/api/v3`,
        private: `${rest}/api/v3`,
        // The wallet is another product, which the simulator does not have; what is asked of it goes nowhere else.
        sapi: `${rest}/sapi/v1`,
        ws: { spot: `${webSocket}/ws`, "ws-api": { spot: `${webSocket}/ws-api/v3` } }
      }
    },
    options: { defaultType: "spot", fetchMarkets: { types: ["spot"] }, fetchMargins: false, fetchCurrencies: false }
  })
  // Its documented way to a ws:// address.
  await client.loadHttpProxyAgent()
  let isOpen = true
  return {
    serverTime: () => client.fetchTime(),
    symbols: async () => (await client.fetchMarkets()).map(({ id }) => id),
    bestBid: async (symbol) => String((await client.fetchBidsAsks([marketOf(symbol)]))[marketOf(symbol)].bid),
    depth: async (symbol) => (await client.fetchOrderBook(marketOf(symbol), 5)).bids.length,
    candles: async (symbol) => (await client.fetchOHLCV(marketOf(symbol), "1m")).length,
    dayTicker: async (symbol) => String((await client.fetchTicker(marketOf(symbol))).last),
    publicTrades: async (symbol) => (await client.fetchTrades(marketOf(symbol))).length,
    placeLimit: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(
        await client.createOrder(marketOf(symbol), "limit", side.toLowerCase(), Number(quantity), Number(price), {
          newClientOrderId: clientOrderId
        })
      ),
    placeMarket: async ({ clientOrderId, quantity, side, symbol }) =>
      placedOf(
        await client.createOrder(marketOf(symbol), "market", side.toLowerCase(), Number(quantity), undefined, {
          newClientOrderId: clientOrderId
        })
      ),
    query: async (symbol, orderId) => placedOf(await client.fetchOrder(orderId, marketOf(symbol))),
    openOrders: async (symbol) => idsOf(await client.fetchOpenOrders(marketOf(symbol))),
    cancel: async (symbol, orderId) => placedOf(await client.cancelOrder(orderId, marketOf(symbol))),
    allOrders: async (symbol) => idsOf(await client.fetchOrders(marketOf(symbol))),
    trades: async (symbol) => (await client.fetchMyTrades(marketOf(symbol))).map(({ order }) => order),
    free: async (asset) => String((await client.fetchBalance())[asset].free),
    // No unified word for it: the exchange's own endpoint.
    placeOco: async ({ abovePrice, belowPrice, belowStopPrice, quantity, side, symbol }) =>
      (
        await client.privatePostOrderListOco({
          symbol,
          side,
          quantity,
          aboveType: "LIMIT_MAKER",
          abovePrice,
          belowType: "STOP_LOSS_LIMIT",
          belowPrice,
          belowStopPrice,
          belowTimeInForce: "GTC"
        })
      ).orders.map(({ orderId }) => String(orderId)),
    placeOverWebSocket: async ({ clientOrderId, price, quantity, side, symbol }) =>
      placedOf(
        await client.createOrderWs(marketOf(symbol), "limit", side.toLowerCase(), Number(quantity), Number(price), {
          newClientOrderId: clientOrderId
        })
      ),
    cancelOverWebSocket: async (symbol, orderId) => placedOf(await client.cancelOrderWs(orderId, marketOf(symbol))),
    cancelAll: async (symbol) => (await client.cancelAllOrders(marketOf(symbol))).length,
    userStream: async (tell) => {
      const told = async () => {
        while (isOpen) {
          for (const { info } of await client.watchOrders(market)) tell({ clientOrderId: info.c, status: info.X })
        }
      }
      await client.loadMarkets()
      // It resolves with the first event, so what can be awaited is only that the subscription went out.
      await client.ensureUserDataStreamWsSubscribeSignature("spot")
      told().catch((error) => {
        if (isOpen) throw error
      })
    },
    nextTrade: async (symbol) => String((await client.watchTrades(marketOf(symbol)))[0].price),
    close: async () => {
      isOpen = false
      await client.close()
    }
  }
}
