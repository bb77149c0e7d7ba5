/** How a price changed over a window: the sums that the tickers of REST, the WebSocket API and the streams all show. */
import { type Amount, dividedBy, format } from "./Amount.ts"
import { type Candle, minuteMillis, tradesIn } from "./Candles.ts"
import type { Market } from "./Matching.ts"

export interface Window {
  readonly sum: Candle
  readonly openTime: number
  readonly closeTime: number
}

export const dayMillis = 86_400_000

/** The last 24 hours, or as much more as the minute in which they began. */
export const lastDay = (market: Market, now: number): Window => ({
  sum: market.tape.candles.since(now - dayMillis, market.tape.openingPrice),
  openTime: now - dayMillis,
  closeTime: now
})

/** From the begin of a minute until now, so up to 59,999 ms longer than asked. */
export const rolling = (market: Market, now: number, millis: number): Window => {
  const openTime = now - millis - ((now - millis) % minuteMillis)
  return { sum: market.tape.candles.since(openTime, market.tape.openingPrice), openTime, closeTime: now }
}

/** The day that it is now in a zone `offset` milliseconds ahead of UTC. */
export const tradingDay = (market: Market, now: number, offset: number): Window => {
  const openTime = Math.floor((now + offset) / dayMillis) * dayMillis - offset
  const sum = market.tape.candles.since(openTime, market.tape.openingPrice)
  return { sum, openTime, closeTime: openTime + dayMillis - 1 }
}

export const change = ({ sum }: Window): Amount => sum.close - sum.open

/** Three decimals, rounded towards zero. */
export const changePercent = ({ sum }: Window): string => {
  const thousandths = sum.open === 0n ? 0n : ((sum.close - sum.open) * 100_000n) / sum.open
  const digits = String(thousandths < 0n ? -thousandths : thousandths).padStart(4, "0")
  return `${thousandths < 0n ? "-" : ""}${digits.slice(0, -3)}.${digits.slice(-3)}`
}

export const weightedAverage = ({ sum }: Window): Amount => (sum.volume === 0n ? 0n : dividedBy(sum.quote, sum.volume))

/** The close before the window; its open if nothing was traded before. */
export const previousClose = (market: Market, { openTime, sum }: Window): Amount =>
  market.tape.candles.closeBefore(openTime) ?? sum.open

export const miniView = (market: Market, window: Window) => ({
  symbol: market.info.symbol,
  openPrice: format(window.sum.open),
  highPrice: format(window.sum.high),
  lowPrice: format(window.sum.low),
  lastPrice: format(window.sum.close),
  volume: format(window.sum.volume),
  quoteVolume: format(window.sum.quote),
  openTime: window.openTime,
  closeTime: window.closeTime,
  firstId: window.sum.firstId,
  lastId: window.sum.lastId,
  count: tradesIn(window.sum)
})

export const fullView = (market: Market, window: Window) => {
  const { symbol, ...rest } = miniView(market, window)
  return {
    symbol,
    priceChange: format(change(window)),
    priceChangePercent: changePercent(window),
    weightedAvgPrice: format(weightedAverage(window)),
    ...rest
  }
}
