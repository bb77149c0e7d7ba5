/**
 * The public streams that speak at a pace, not with every change: each remembers what it told last and says at a beat
 * what is new since then.
 */
import type { Amount } from "./Amount.ts"
import { type Interval, nextSpan, spanStart } from "./intervals.ts"
import { depthView } from "./marketViews.ts"
import type { Market } from "./Matching.ts"
import type { Side } from "./Order.ts"
import {
  averageEvent,
  depthEvent,
  klineEvent,
  miniTickerEvent,
  referencePriceEvent,
  tickerEvent,
  windowTickerEvent
} from "./streamEvents.ts"
import type { StreamKind } from "./streamNames.ts"
import { lastDay, rolling } from "./tickers.ts"

/** The quickest pace; all others are multiples of it. */
export const beatMillis = 100
const fast = 1
const everySecond = 10
const everyTwoSeconds = 20

export interface PeriodicStream {
  /** In beats. */
  readonly every: number
  readonly news: (now: number) => ReadonlyArray<unknown>
  /** To be called when nobody listens any more. */
  readonly end?: () => void
}

/** Undefined for a stream that speaks with every change. */
export const periodicStream = (
  wanted: StreamKind,
  markets: ReadonlyArray<Market>,
  now: number
): PeriodicStream | undefined => {
  switch (wanted.kind) {
    case "depth":
      return depthDifferences(wanted.market, wanted.isFast ? fast : everySecond)
    case "topDepth":
      return { every: wanted.isFast ? fast : everySecond, news: topOfBook(wanted.market, wanted.levels) }
    case "kline":
      return {
        every: wanted.interval === "1s" ? everySecond : everyTwoSeconds,
        news: candles(wanted.market, wanted.interval, wanted.offset, now)
      }
    case "ticker":
      return { every: everySecond, news: whenChanged(wanted.market, quotedId, dayTicker) }
    case "miniTicker":
      return { every: everySecond, news: whenChanged(wanted.market, tradedId, miniTicker) }
    case "windowTicker":
      return {
        every: everySecond,
        news: whenChanged(wanted.market, tradedId, windowTicker(wanted.size, wanted.millis))
      }
    case "avgPrice":
      return { every: everySecond, news: (at) => [averageEvent(wanted.market, at)] }
    case "referencePrice": {
      const { market } = wanted
      const { reference } = market
      // A symbol that never has such a price has nothing to tell.
      const news = (at: number) => (reference === undefined ? [] : [referencePriceEvent(market, reference.at(at), at)])
      return { every: everySecond, news }
    }
    case "allMiniTickers":
      return { every: everySecond, news: together(markets, miniTicker) }
    case "allWindowTickers":
      return { every: everySecond, news: together(markets, windowTicker(wanted.size, wanted.millis)) }
    case "trade":
    case "aggTrade":
    case "bookTicker":
      return undefined
  }
}

type Told = (market: Market, now: number) => unknown

const dayTicker: Told = (market, now) => tickerEvent(market, lastDay(market, now), now)
const miniTicker: Told = (market, now) => miniTickerEvent(market, lastDay(market, now), now)
const windowTicker =
  (size: string, millis: number): Told =>
  (market, now) =>
    windowTickerEvent(market, size, rolling(market, now, millis), now)

const tradedId = ({ tape }: Market): number => tape.trades.nextId
const quotedId = ({ book, tape }: Market): string => `${tape.trades.nextId} ${book.updateId}`

/** At the first beat, and then when a mark of the market has moved. */
const whenChanged = (market: Market, mark: (market: Market) => unknown, tell: Told): PeriodicStream["news"] => {
  let told: unknown
  return (now) => {
    if (mark(market) === told) return []
    told = mark(market)
    return [tell(market, now)]
  }
}

/** One array of those that changed; nothing when none did. */
const together = (markets: ReadonlyArray<Market>, tell: Told): PeriodicStream["news"] => {
  const each = markets.map((market) => whenChanged(market, tradedId, tell))
  return (now) => {
    const events = each.flatMap((news) => news(now))
    return events.length === 0 ? [] : [events]
  }
}

const topOfBook = (market: Market, levels: number): PeriodicStream["news"] =>
  whenChanged(
    market,
    ({ book }) => book.updateId,
    () => depthView(market, levels)
  )

/**
 * The levels that changed since the last time, with what they show now: also one that came and went in between, for a
 * snapshot may have shown it. `U` follows on the last `u`, and both count as `lastUpdateId` of a snapshot does, so that
 * a copy of the book can be kept from the two.
 */
const depthDifferences = (market: Market, every: number): PeriodicStream => {
  const { book } = market
  let toldId = book.updateId
  const touched = { BUY: new Set<Amount>(), SELL: new Set<Amount>() }
  const levels = (side: Side) => {
    const prices = [...touched[side]].sort((one, other) => (one < other === (side === "SELL") ? -1 : 1))
    touched[side].clear()
    return prices.map((price) => [price, book.quantityOf(side, price)] as const)
  }
  return {
    every,
    news: (now) => {
      if (book.updateId === toldId) return []
      const event = depthEvent(market, toldId + 1, book.updateId, levels("BUY"), levels("SELL"), now)
      toldId = book.updateId
      return [event]
    },
    end: book.watch((side, price) => touched[side].add(price))
  }
}

/** After a jump of the clock the spans in between are told as closed no further than this many. */
const mostClosed = 10

const candles = (market: Market, interval: Interval, offset: number, begun: number): PeriodicStream["news"] => {
  const { tape } = market
  const candleAt = (start: number) => tape.candles.at(interval, start, offset, tape.openingPrice)
  let start = spanStart(interval, begun, offset)
  let toldId: number | undefined
  return (now) => {
    const events: Array<unknown> = []
    const current = spanStart(interval, now, offset)
    for (let closed = 0; start < current && closed < mostClosed; closed++) {
      events.push(klineEvent(market, candleAt(start), interval, offset, true, now))
      start = nextSpan(interval, start, offset)
      toldId = undefined
    }
    start = current
    const candle = candleAt(start)
    if (candle.lastId === toldId) return events
    toldId = candle.lastId
    return [...events, klineEvent(market, candle, interval, offset, false, now)]
  }
}
