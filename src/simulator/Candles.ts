/**
 * What was traded, second by second for the last hour and minute by minute for the last month.
 *
 * Every longer candle and every rolling window is summed from these when somebody asks, so that a trade costs two
 * additions however many intervals there are. Spans without a trade take no room; they are told as flat candles.
 */
import type { Amount } from "./Amount.ts"
import { type Interval, nextSpan, spanStart } from "./intervals.ts"
import type { PublicTrade } from "./Tape.ts"

/** Sums over a span; without a trade the prices are the last one before it, and the ids -1. */
export interface Candle {
  readonly start: number
  readonly open: Amount
  readonly high: Amount
  readonly low: Amount
  readonly close: Amount
  readonly volume: Amount
  readonly quote: Amount
  /** Of these, what takers bought. */
  readonly takerVolume: Amount
  readonly takerQuote: Amount
  readonly firstId: number
  readonly lastId: number
}

type Growing = { -readonly [K in keyof Candle]: Candle[K] }

const secondMillis = 1_000
export const minuteMillis = 60_000
const keptSeconds = 3_600
const keptMinutes = 31 * 24 * 60

export const tradesIn = ({ firstId, lastId }: Candle): number => (firstId < 0 ? 0 : lastId - firstId + 1)

export class Candles {
  readonly #seconds = new Series(secondMillis, keptSeconds)
  readonly #minutes = new Series(minuteMillis, keptMinutes)

  add(trade: PublicTrade): void {
    this.#seconds.add(trade)
    this.#minutes.add(trade)
  }

  clear(): void {
    this.#seconds.clear()
    this.#minutes.clear()
  }

  /** The sums from the minute that `from` lies in up to now; `before` is the price of a time without trades. */
  since(from: number, before: Amount): Candle {
    const start = from - (from % minuteMillis)
    return this.#minutes.sum(start, Number.POSITIVE_INFINITY, before)
  }

  /** One candle of an interval. */
  at(interval: Interval, start: number, offset: number, before: Amount): Candle {
    return this.#seriesOf(interval).sum(start, nextSpan(interval, start, offset), before)
  }

  /** The close of the last trade before a moment. */
  closeBefore(time: number): Amount | undefined {
    return this.#minutes.closeBefore(time)
  }

  /** Candles whose begin lies in [from, to], at most so many, the oldest or the newest of them. */
  between(wanted: WantedCandles, before: Amount): Array<Candle> {
    const { interval, offset } = wanted
    const series = this.#seriesOf(interval)
    const first = series.first
    if (first === undefined) return []
    const earliest = spanStart(interval, first, offset)
    const start = wanted.from === undefined ? undefined : Math.max(earliest, ceilSpan(interval, wanted.from, offset))
    const starts =
      start === undefined
        ? backward(wanted, earliest, spanStart(interval, wanted.to, offset))
        : forward(wanted, start, wanted.to)
    let last = starts.length === 0 ? before : (series.closeBefore(starts[0]!) ?? before)
    return starts.map((from) => {
      const candle = series.sum(from, nextSpan(interval, from, offset), last)
      last = candle.close
      return candle
    })
  }

  #seriesOf(interval: Interval): Series {
    return interval === "1s" ? this.#seconds : this.#minutes
  }
}

export interface WantedCandles {
  readonly interval: Interval
  readonly offset: number
  /** Undefined: the newest that fit. */
  readonly from: number | undefined
  readonly to: number
  readonly limit: number
}

const ceilSpan = (interval: Interval, time: number, offset: number): number => {
  const start = spanStart(interval, time, offset)
  return start === time ? start : nextSpan(interval, start, offset)
}

const forward = ({ interval, limit, offset }: WantedCandles, start: number, to: number): Array<number> => {
  const starts: Array<number> = []
  for (let at = start; at <= to && starts.length < limit; at = nextSpan(interval, at, offset)) starts.push(at)
  return starts
}

const backward = ({ interval, limit, offset }: WantedCandles, earliest: number, last: number): Array<number> => {
  const starts: Array<number> = []
  for (let at = last; at >= earliest && starts.length < limit; at = spanStart(interval, at - 1, offset)) starts.push(at)
  return starts.toReversed()
}

/** Candles of one length, oldest first, the oldest forgotten in blocks. */
class Series {
  readonly #length: number
  readonly #kept: number
  #candles: Array<Growing> = []

  constructor(length: number, kept: number) {
    this.#length = length
    this.#kept = kept
  }

  get first(): number | undefined {
    return this.#candles[0]?.start
  }

  add({ id, isBuyerMaker, price, quantity, quote, time }: PublicTrade): void {
    const start = time - (time % this.#length)
    const last = this.#candles[this.#candles.length - 1]
    // A clock that was set back adds to the newest candle: their order is what everything rests on.
    if (last === undefined || last.start < start) {
      const [takerVolume, takerQuote] = isBuyerMaker ? [0n, 0n] : [quantity, quote]
      const prices = { open: price, high: price, low: price, close: price }
      this.#candles.push({
        start,
        ...prices,
        volume: quantity,
        quote,
        takerVolume,
        takerQuote,
        firstId: id,
        lastId: id
      })
      if (this.#candles.length >= 2 * this.#kept) this.#candles = this.#candles.slice(-this.#kept)
      return
    }
    if (price > last.high) last.high = price
    if (price < last.low) last.low = price
    last.close = price
    last.volume += quantity
    last.quote += quote
    if (!isBuyerMaker) {
      last.takerVolume += quantity
      last.takerQuote += quote
    }
    last.lastId = id
  }

  clear(): void {
    this.#candles = []
  }

  /** Over [from, to); flat at the last close before it, or at `before`. */
  sum(from: number, to: number, before: Amount): Candle {
    let at = this.#position(from)
    const first = this.#candles[at]
    if (first === undefined || first.start >= to) {
      const flat = this.#candles[at - 1]?.close ?? before
      const prices = { open: flat, high: flat, low: flat, close: flat }
      return { start: from, ...prices, volume: 0n, quote: 0n, takerVolume: 0n, takerQuote: 0n, firstId: -1, lastId: -1 }
    }
    const sum: Growing = { ...first, start: from }
    for (let next = this.#candles[++at]; next !== undefined && next.start < to; next = this.#candles[++at]) {
      if (next.high > sum.high) sum.high = next.high
      if (next.low < sum.low) sum.low = next.low
      sum.close = next.close
      sum.volume += next.volume
      sum.quote += next.quote
      sum.takerVolume += next.takerVolume
      sum.takerQuote += next.takerQuote
      sum.lastId = next.lastId
    }
    return sum
  }

  closeBefore(time: number): Amount | undefined {
    return this.#candles[this.#position(time) - 1]?.close
  }

  /** Place of the first candle that begins at `time` or later. */
  #position(time: number): number {
    let low = 0
    let high = this.#candles.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#candles[middle]!.start < time) low = middle + 1
      else high = middle
    }
    return low
  }
}
