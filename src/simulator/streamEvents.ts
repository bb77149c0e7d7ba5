/** The JSON of the public streams: names of one letter, as documented; decimals as strings, ids and times as numbers. */
import { type Amount, format } from "./Amount.ts"
import { type Candle, tradesIn } from "./Candles.ts"
import { type Interval, nextSpan } from "./intervals.ts"
import { levelView, touchView } from "./marketViews.ts"
import type { Market } from "./Matching.ts"
import { averageMinutes, type PublicTrade } from "./Tape.ts"
import { change, changePercent, previousClose, weightedAverage, type Window } from "./tickers.ts"
import type { Row } from "./TradeRing.ts"

export const tradeEvent = ({ info }: Market, trade: PublicTrade, now: number) => ({
  e: "trade",
  E: now,
  s: info.symbol,
  t: trade.id,
  p: format(trade.price),
  q: format(trade.quantity),
  T: trade.time,
  m: trade.isBuyerMaker,
  M: true
})

export const aggregateEvent = ({ info }: Market, trade: Row, now: number) => ({
  e: "aggTrade",
  E: now,
  s: info.symbol,
  a: trade.id,
  p: format(trade.price),
  q: format(trade.quantity),
  f: trade.firstId,
  l: trade.lastId,
  T: trade.time,
  m: trade.isBuyerMaker,
  M: true
})

type Levels = ReadonlyArray<readonly [Amount, Amount]>

export const depthEvent = (
  { info }: Market,
  firstId: number,
  lastId: number,
  bids: Levels,
  asks: Levels,
  now: number
) => ({
  e: "depthUpdate",
  E: now,
  s: info.symbol,
  U: firstId,
  u: lastId,
  b: bids.map(levelView),
  a: asks.map(levelView)
})

export const klineEvent = (
  { info }: Market,
  candle: Candle,
  interval: Interval,
  offset: number,
  isClosed: boolean,
  now: number
) => ({
  e: "kline",
  E: now,
  s: info.symbol,
  k: {
    t: candle.start,
    T: nextSpan(interval, candle.start, offset) - 1,
    s: info.symbol,
    i: interval,
    f: candle.firstId,
    L: candle.lastId,
    o: format(candle.open),
    c: format(candle.close),
    h: format(candle.high),
    l: format(candle.low),
    v: format(candle.volume),
    n: tradesIn(candle),
    x: isClosed,
    q: format(candle.quote),
    V: format(candle.takerVolume),
    Q: format(candle.takerQuote),
    B: "0"
  }
})

export const miniTickerEvent = ({ info }: Market, { sum }: Window, now: number) => ({
  e: "24hrMiniTicker",
  E: now,
  s: info.symbol,
  c: format(sum.close),
  o: format(sum.open),
  h: format(sum.high),
  l: format(sum.low),
  v: format(sum.volume),
  q: format(sum.quote)
})

export const tickerEvent = (market: Market, window: Window, now: number) => {
  const { askPrice, askQty, bidPrice, bidQty } = touchView(market)
  const { sum } = window
  return {
    e: "24hrTicker",
    E: now,
    s: market.info.symbol,
    p: format(change(window)),
    P: changePercent(window),
    w: format(weightedAverage(window)),
    x: format(previousClose(market, window)),
    c: format(sum.close),
    Q: format(market.tape.lastTrade?.quantity ?? 0n),
    b: bidPrice,
    B: bidQty,
    a: askPrice,
    A: askQty,
    o: format(sum.open),
    h: format(sum.high),
    l: format(sum.low),
    v: format(sum.volume),
    q: format(sum.quote),
    O: window.openTime,
    C: window.closeTime,
    F: sum.firstId,
    L: sum.lastId,
    n: tradesIn(sum)
  }
}

export const windowTickerEvent = ({ info }: Market, size: string, window: Window, now: number) => ({
  e: `${size}Ticker`,
  E: now,
  s: info.symbol,
  p: format(change(window)),
  P: changePercent(window),
  o: format(window.sum.open),
  h: format(window.sum.high),
  l: format(window.sum.low),
  c: format(window.sum.close),
  w: format(weightedAverage(window)),
  v: format(window.sum.volume),
  q: format(window.sum.quote),
  O: window.openTime,
  C: window.closeTime,
  F: window.sum.firstId,
  L: window.sum.lastId,
  n: tradesIn(window.sum)
})

export const averageEvent = ({ info, tape }: Market, now: number) => ({
  e: "avgPrice",
  E: now,
  s: info.symbol,
  i: `${averageMinutes}m`,
  w: format(tape.average(now)),
  T: tape.lastTrade?.time ?? now
})

/** Without the time of the event, which all the others have. */
export const referencePriceEvent = ({ info }: Market, price: Amount | undefined, now: number) => ({
  e: "referencePrice",
  s: info.symbol,
  r: price === undefined ? null : format(price),
  t: now
})
