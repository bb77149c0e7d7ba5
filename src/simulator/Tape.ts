/**
 * What the public sees of a market: its trades, their aggregates, its candles, and the prices that follow from them.
 *
 * It begins with the process: trades of an earlier life are in the account's history, not here. Where trade ids begin
 * anew, as after a reset of the exchange, the tape does too.
 */
import { type Amount, dividedBy, times } from "./Amount.ts"
import { Candles, minuteMillis } from "./Candles.ts"
import { type Row, TradeRing } from "./TradeRing.ts"

export interface PublicTrade {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly quote: Amount
  readonly time: number
  readonly isBuyerMaker: boolean
}

export const averageMinutes = 5

export class Tape {
  lastPrice: Amount
  readonly candles = new Candles()
  readonly trades = new TradeRing()
  /** Complete between two commands: no taker trades in both. */
  readonly aggregates = new TradeRing()
  #lastTaker: unknown
  #firstPrice: Amount

  constructor(startPrice: Amount) {
    this.lastPrice = startPrice
    this.#firstPrice = startPrice
  }

  /** What one taker trades at one price is one aggregate; who it is does not matter, only whether it is still the same. */
  add(trade: PublicTrade, taker?: unknown): void {
    const { id, isBuyerMaker, price, quantity, time } = trade
    if (this.trades.isBefore(id)) this.#beginAnew()
    if (this.trades.count === 0) this.#firstPrice = this.lastPrice
    const goesOn = taker !== undefined && taker === this.#lastTaker && price === this.lastPrice
    this.#lastTaker = taker
    this.lastPrice = price
    const row = { id, price, quantity, time, isBuyerMaker, firstId: id, lastId: id }
    this.trades.add(row)
    if (goesOn) this.aggregates.extend(quantity, id)
    else this.aggregates.add({ ...row, id: this.aggregates.nextId })
    this.candles.add(trade)
  }

  /** The price before the first trade, which an earlier life may have left. */
  get openingPrice(): Amount {
    return this.trades.count === 0 ? this.lastPrice : this.#firstPrice
  }

  get lastTrade(): Row | undefined {
    return this.trades.newest
  }

  /** Weighted by volume over the last minutes; the last price when nothing traded. */
  average(now: number): Amount {
    const { quote, volume } = this.candles.since(now - (averageMinutes - 1) * minuteMillis, this.lastPrice)
    return volume === 0n ? this.lastPrice : dividedBy(quote, volume)
  }

  #beginAnew(): void {
    this.trades.clear()
    this.aggregates.clear()
    this.candles.clear()
    this.#lastTaker = undefined
  }
}

export const quoteOf = ({ price, quantity }: Row): Amount => times(price, quantity)
