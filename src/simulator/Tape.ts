/** What the public sees of a market: its last trades, its last price, and the average of the last minutes. */
import { type Amount, dividedBy } from "./Amount.ts"

export interface PublicTrade {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly quote: Amount
  readonly time: number
  readonly isBuyerMaker: boolean
}

/** As many as one answer of `trades` may hold. */
const keptTrades = 1000
export const averageMinutes = 5
const minuteMillis = 60_000

interface Minute {
  minute: number
  quantity: Amount
  quote: Amount
}

export class Tape {
  lastPrice: Amount
  /** A ring: the oldest trade is overwritten. */
  readonly #trades: Array<PublicTrade> = []
  #next = 0
  readonly #minutes: Array<Minute> = []

  constructor(startPrice: Amount) {
    this.lastPrice = startPrice
  }

  add(trade: PublicTrade): void {
    this.lastPrice = trade.price
    this.#trades[this.#next] = trade
    this.#next = (this.#next + 1) % keptTrades
    const minute = Math.floor(trade.time / minuteMillis)
    let current = this.#minutes[this.#minutes.length - 1]
    if (current === undefined || current.minute !== minute) {
      this.#minutes.push((current = { minute, quantity: 0n, quote: 0n }))
      if (this.#minutes.length > averageMinutes) this.#minutes.shift()
    }
    current.quantity += trade.quantity
    current.quote += trade.quote
  }

  /** Oldest first. */
  recent(limit: number): Array<PublicTrade> {
    const ordered = [...this.#trades.slice(this.#next), ...this.#trades.slice(0, this.#next)]
    return ordered.slice(-limit)
  }

  /** Weighted by volume over the last minutes; the last price when nothing traded. */
  average(now: number): Amount {
    const oldest = Math.floor(now / minuteMillis) - averageMinutes
    let quantity = 0n
    let quote = 0n
    for (const one of this.#minutes) {
      if (one.minute <= oldest) continue
      quantity += one.quantity
      quote += one.quote
    }
    return quantity === 0n ? this.lastPrice : dividedBy(quote, quantity)
  }
}
