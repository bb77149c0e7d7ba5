/** Public requests: the server, its rules, and the market data. */
import { format } from "./Amount.ts"
import { always, type Endpoint, onMarket, onMarkets, rowsOf } from "./Endpoint.ts"
import { averageMinutes } from "./Tape.ts"
import { depthView, publicTradeView, symbolView } from "./views.ts"

const defaultDepth = 100
const greatestDepth = 5_000

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

export const marketEndpoints: ReadonlyArray<Endpoint> = [
  ping,
  time,
  exchangeInfo,
  depth,
  tickerPrice,
  bookTicker,
  avgPrice,
  trades
]
