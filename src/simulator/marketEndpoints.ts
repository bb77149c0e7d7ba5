/** Public requests: the server, the book, and the trades. */
import { format } from "./Amount.ts"
import { always, type Endpoint, onMarket, rowsOf, type Run } from "./Endpoint.ts"
import { exchangeInfo } from "./exchangeInfoEndpoint.ts"
import { klines, uiKlines } from "./klineEndpoints.ts"
import { noReferencePrice } from "./marketRefusals.ts"
import { marketsByOne, namedSymbols, oneMarket } from "./marketSelection.ts"
import { aggregateView, depthView, executionRulesView, publicTradeView } from "./marketViews.ts"
import { limitOf, momentOf } from "./marketParameters.ts"
import { badCombination, mandatory } from "./Refusal.ts"
import { averageMinutes } from "./Tape.ts"
import { tickerEndpoints } from "./tickerEndpoints.ts"

const defaultDepth = 100
const greatestDepth = 5_000
const rulesWeight = 2
const greatestRulesWeight = 40

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

const depth: Endpoint = {
  rest: "GET /api/v3/depth",
  webSocket: "depth",
  isSigned: false,
  weight: (params) => depthWeight(Number(params.get("limit") ?? defaultDepth)),
  read: (p) => {
    const limit = limitOf(p) ?? defaultDepth
    return oneMarket(p, (_, market) => depthView(market, Math.min(limit, greatestDepth)))
  }
}

const depthWeight = (limit: number): number => {
  if (limit <= 100) return 5
  if (limit <= 500) return 25
  return limit <= 1_000 ? 50 : 250
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
      closeTime: tape.lastTrade?.time ?? desk.now()
    }))
}

const trades: Endpoint = {
  rest: "GET /api/v3/trades",
  webSocket: "trades.recent",
  isSigned: false,
  weight: always(25),
  read: (p) => {
    const symbol = p.symbol()
    const rows = rowsOf(limitOf(p))
    return onMarket(symbol, (_, { tape }) => tape.trades.recent(rows).map(publicTradeView))
  }
}

const historicalTrades: Endpoint = {
  rest: "GET /api/v3/historicalTrades",
  webSocket: "trades.historical",
  isSigned: false,
  weight: always(25),
  read: (p) => {
    const symbol = p.symbol()
    const rows = rowsOf(limitOf(p))
    const fromId = p.whole("fromId")
    return onMarket(symbol, (_, { tape }) =>
      (fromId === undefined ? tape.trades.recent(rows) : tape.trades.from(fromId, rows)).map(publicTradeView)
    )
  }
}

const aggTrades: Endpoint = {
  rest: "GET /api/v3/aggTrades",
  webSocket: "trades.aggregate",
  isSigned: false,
  weight: always(4),
  read: (p) => {
    const symbol = p.symbol()
    const rows = rowsOf(limitOf(p))
    const fromId = p.whole("fromId")
    const startTime = momentOf(p, "startTime")
    const endTime = momentOf(p, "endTime")
    return onMarket(symbol, (_, { tape: { aggregates } }) => {
      const hasPeriod = startTime !== undefined || endTime !== undefined
      if (fromId !== undefined && hasPeriod) return badCombination
      if (fromId !== undefined) return aggregates.from(fromId, rows).map(aggregateView)
      if (!hasPeriod) return aggregates.recent(rows).map(aggregateView)
      const found = aggregates.within(startTime ?? 0, endTime ?? Infinity, rows, startTime !== undefined)
      return found.map(aggregateView)
    })
  }
}

/** Nobody trades in blocks here. */
const historicalBlockTrades: Endpoint = {
  rest: "GET /api/v3/historicalBlockTrades",
  webSocket: "blockTrades.historical",
  isSigned: false,
  weight: always(25),
  read: (p) => {
    const symbol = p.symbol()
    const fromId = p.whole("fromId")
    limitOf(p)
    return fromId === undefined ? () => mandatory("fromId") : onMarket(symbol, () => [])
  }
}

const executionRules: Endpoint = {
  rest: "GET /api/v3/executionRules",
  webSocket: "executionRules",
  isSigned: false,
  weight: (params) => {
    const named = namedSymbols(params)
    return named === 0 ? greatestRulesWeight : Math.min(named * rulesWeight, greatestRulesWeight)
  },
  read: (p) =>
    marketsByOne(p, (_, markets) => ({
      symbolRules: markets
        .filter(({ info }) => info.priceRange !== undefined)
        .map(({ info }) => executionRulesView(info.symbol, info.priceRange!))
    }))
}

const referencePrice: Endpoint = {
  rest: "GET /api/v3/referencePrice",
  webSocket: "referencePrice",
  isSigned: false,
  weight: always(2),
  read: (p): Run =>
    onMarket(p.symbol(), (desk, { info, reference }) => {
      if (reference === undefined) return noReferencePrice
      const price = reference.at(desk.now())
      return {
        symbol: info.symbol,
        referencePrice: price === undefined ? null : format(price),
        timestamp: desk.now()
      }
    })
}

const referencePriceCalculation: Endpoint = {
  rest: "GET /api/v3/referencePrice/calculation",
  webSocket: "referencePrice.calculation",
  isSigned: false,
  weight: always(2),
  read: (p) =>
    oneMarket(p, (_, { info: { symbol }, reference }) =>
      reference === undefined ? noReferencePrice : { symbol, calculationType: "ARITHMETIC_MEAN", ...reference.rules }
    )
}

export const marketEndpoints: ReadonlyArray<Endpoint> = [
  ping,
  time,
  exchangeInfo,
  depth,
  avgPrice,
  trades,
  historicalTrades,
  aggTrades,
  historicalBlockTrades,
  klines,
  uiKlines,
  ...tickerEndpoints,
  executionRules,
  referencePrice,
  referencePriceCalculation
]
