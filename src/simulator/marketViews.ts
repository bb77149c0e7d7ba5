/** The JSON of public market data, over REST and the WebSocket API: decimals as strings, ids and times as numbers. */
import { type Amount, format, plain } from "./Amount.ts"
import { type Candle, tradesIn } from "./Candles.ts"
import { type Interval, nextSpan } from "./intervals.ts"
import type { Market } from "./Matching.ts"
import type { PriceRange } from "./priceRange.ts"
import { quoteOf } from "./Tape.ts"
import { change, changePercent, lastDay, previousClose, weightedAverage } from "./tickers.ts"
import type { Row } from "./TradeRing.ts"

export const publicTradeView = (trade: Row) => ({
  id: trade.id,
  price: format(trade.price),
  qty: format(trade.quantity),
  quoteQty: format(quoteOf(trade)),
  time: trade.time,
  isBuyerMaker: trade.isBuyerMaker,
  isBestMatch: true
})

export const aggregateView = (trade: Row) => ({
  a: trade.id,
  p: format(trade.price),
  q: format(trade.quantity),
  f: trade.firstId,
  l: trade.lastId,
  T: trade.time,
  m: trade.isBuyerMaker,
  M: true
})

export const levelView = ([price, quantity]: readonly [Amount, Amount]) => [format(price), format(quantity)] as const

export const depthView = ({ book }: Market, limit: number) => ({
  lastUpdateId: book.updateId,
  bids: book.depth("BUY", limit).map(levelView),
  asks: book.depth("SELL", limit).map(levelView)
})

/** Twelve places without names; the last one is documented as unused. */
export const candleView = (candle: Candle, interval: Interval, offset: number) => [
  candle.start,
  format(candle.open),
  format(candle.high),
  format(candle.low),
  format(candle.close),
  format(candle.volume),
  nextSpan(interval, candle.start, offset) - 1,
  format(candle.quote),
  tradesIn(candle),
  format(candle.takerVolume),
  format(candle.takerQuote),
  "0"
]

/** The 24 hours with the book's touch, which the other tickers lack. */
export const dayView = (market: Market, now: number) => {
  const window = lastDay(market, now)
  const { sum } = window
  const { bidPrice, bidQty, askPrice, askQty } = touchView(market)
  return {
    symbol: market.info.symbol,
    priceChange: format(change(window)),
    priceChangePercent: changePercent(window),
    weightedAvgPrice: format(weightedAverage(window)),
    prevClosePrice: format(previousClose(market, window)),
    lastPrice: format(sum.close),
    lastQty: format(market.tape.lastTrade?.quantity ?? 0n),
    bidPrice,
    bidQty,
    askPrice,
    askQty,
    openPrice: format(sum.open),
    highPrice: format(sum.high),
    lowPrice: format(sum.low),
    volume: format(sum.volume),
    quoteVolume: format(sum.quote),
    openTime: window.openTime,
    closeTime: window.closeTime,
    firstId: sum.firstId,
    lastId: sum.lastId,
    count: tradesIn(sum)
  }
}

const nothing = [0n, 0n] as const

export const touchView = ({ book, info }: Market) => {
  const [bidPrice, bidQty] = levelView(book.depth("BUY", 1)[0] ?? nothing)
  const [askPrice, askQty] = levelView(book.depth("SELL", 1)[0] ?? nothing)
  return { symbol: info.symbol, bidPrice, bidQty, askPrice, askQty }
}

/** Of the multipliers only those that are set. */
export const executionRulesView = (symbol: string, range: PriceRange) => ({
  symbol,
  rules: [
    {
      ruleType: "PRICE_RANGE",
      ...Object.fromEntries(Object.entries(range).map(([name, factor]) => [name, plain(factor)]))
    }
  ]
})
