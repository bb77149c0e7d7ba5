/**
 * The account's trades, in columns.
 *
 * A row costs 58 bytes and no object, so the trades of a whole run stay in memory and every one can be asked for. Rows
 * are only added, in the order of their ids; an order that meets another of the same account gives two rows of one id.
 */
import type { Amount } from "./Amount.ts"

export interface Trade {
  readonly id: number
  readonly orderId: number
  /** Place of the symbol in the list of symbols. */
  readonly symbol: number
  readonly price: Amount
  readonly quantity: Amount
  readonly quote: Amount
  readonly commission: Amount
  /** The commission was paid in BNB instead of what was received. */
  readonly isInBnb: boolean
  readonly isBuyer: boolean
  readonly isMaker: boolean
  readonly time: number
}

export interface Wanted {
  readonly symbol: number
  readonly fromId: number
  readonly startTime: number
  readonly endTime: number
  readonly limit: number
  readonly oldestFirst: boolean
}

const firstRows = 1024

export class Trades {
  #amounts = new BigInt64Array(firstRows * 4)
  #numbers = new Float64Array(firstRows * 3)
  #flags = new Uint16Array(firstRows)
  #rows = 0

  get count(): number {
    return this.#rows
  }

  /** Returns the row. */
  add(trade: Trade): number {
    if (this.#rows === this.#flags.length) this.#grow()
    const row = this.#rows++
    this.#amounts[row * 4] = trade.price
    this.#amounts[row * 4 + 1] = trade.quantity
    this.#amounts[row * 4 + 2] = trade.quote
    this.#amounts[row * 4 + 3] = trade.commission
    this.#numbers[row * 3] = trade.id
    this.#numbers[row * 3 + 1] = trade.orderId
    this.#numbers[row * 3 + 2] = trade.time
    this.#flags[row] = (trade.symbol << 3) | (trade.isInBnb ? 4 : 0) | (trade.isBuyer ? 2 : 0) | (trade.isMaker ? 1 : 0)
    return row
  }

  at(row: number): Trade {
    const flags = this.#flags[row]!
    return {
      id: this.#numbers[row * 3]!,
      orderId: this.#numbers[row * 3 + 1]!,
      symbol: flags >> 3,
      price: this.#amounts[row * 4]!,
      quantity: this.#amounts[row * 4 + 1]!,
      quote: this.#amounts[row * 4 + 2]!,
      commission: this.#amounts[row * 4 + 3]!,
      isInBnb: (flags & 4) !== 0,
      isBuyer: (flags & 2) !== 0,
      isMaker: (flags & 1) !== 0,
      time: this.#numbers[row * 3 + 2]!
    }
  }

  /** Rows that are wanted, oldest first, at most as many as the limit, from the end that is meant. */
  find(wanted: Wanted): Array<number> {
    const found: Array<number> = []
    const step = wanted.oldestFirst ? 1 : -1
    for (let row = wanted.oldestFirst ? 0 : this.#rows - 1; row >= 0 && row < this.#rows; row += step) {
      if (!this.#fits(row, wanted)) continue
      found.push(row)
      if (found.length === wanted.limit) break
    }
    return wanted.oldestFirst ? found : found.toReversed()
  }

  /** The same among given rows. */
  pick(rows: ReadonlyArray<number>, wanted: Wanted): Array<number> {
    const fitting = rows.filter((row) => this.#fits(row, wanted))
    return wanted.oldestFirst ? fitting.slice(0, wanted.limit) : fitting.slice(-wanted.limit)
  }

  clear(): void {
    this.#rows = 0
  }

  // On the columns, without making an object: there may be hundreds of thousands of rows.
  #fits(row: number, { endTime, fromId, startTime, symbol }: Wanted): boolean {
    if (this.#flags[row]! >> 3 !== symbol || this.#numbers[row * 3]! < fromId) return false
    const time = this.#numbers[row * 3 + 2]!
    return time >= startTime && time <= endTime
  }

  #grow(): void {
    const rows = this.#flags.length * 2
    const amounts = new BigInt64Array(rows * 4)
    const numbers = new Float64Array(rows * 3)
    const flags = new Uint16Array(rows)
    amounts.set(this.#amounts)
    numbers.set(this.#numbers)
    flags.set(this.#flags)
    this.#amounts = amounts
    this.#numbers = numbers
    this.#flags = flags
  }
}
