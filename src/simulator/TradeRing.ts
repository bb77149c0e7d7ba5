/**
 * The last trades of a market, in columns: a row costs 40 bytes and no object, and the oldest is overwritten.
 *
 * The ids of what it holds have no gaps, so a row is found by its id. Holds trades as they were, or the aggregates of
 * those that one taker made at one price, which then also have the ids of their first and last trade.
 */
import type { Amount } from "./Amount.ts"

export interface Row {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly time: number
  readonly isBuyerMaker: boolean
  readonly firstId: number
  readonly lastId: number
}

/** A power of two; seconds of the busiest market, hours of a quiet one. */
const rows = 65_536

export class TradeRing {
  readonly #amounts = new BigInt64Array(rows * 2)
  readonly #numbers = new Float64Array(rows * 3)
  readonly #flags = new Uint8Array(rows)
  #firstId = 0
  /** The id after the newest. */
  #nextId = 0

  /** Whether this would be the first row, or one of a count that began anew. */
  isBefore(id: number): boolean {
    return id < this.#nextId - 1
  }

  get count(): number {
    return this.#nextId - this.#firstId
  }

  get firstId(): number {
    return this.#firstId
  }

  get nextId(): number {
    return this.#nextId
  }

  add(row: Row): void {
    if (this.count === 0) this.#firstId = row.id
    this.#nextId = row.id + 1
    if (this.count > rows) this.#firstId = this.#nextId - rows
    this.#write(row)
  }

  /** Adds to the newest row. */
  extend(quantity: Amount, lastId: number): void {
    const at = (this.#nextId - 1) % rows
    this.#amounts[at * 2 + 1]! += quantity
    this.#numbers[at * 3 + 2] = lastId
  }

  clear(): void {
    this.#firstId = 0
    this.#nextId = 0
  }

  get newest(): Row | undefined {
    return this.count === 0 ? undefined : this.#read(this.#nextId - 1)
  }

  /** The newest ones, oldest first. */
  recent(limit: number): Array<Row> {
    return this.#slice(Math.max(this.#firstId, this.#nextId - limit), this.#nextId)
  }

  /** From an id on; what is forgotten already is left out. */
  from(id: number, limit: number): Array<Row> {
    const first = Math.max(this.#firstId, id)
    return this.#slice(first, Math.min(first + limit, this.#nextId))
  }

  /** Within [from, to]: the oldest of them, or the newest. */
  within(from: number, to: number, limit: number, oldestFirst: boolean): Array<Row> {
    const first = this.#idAt(from)
    const after = this.#idAt(to + 1)
    return oldestFirst
      ? this.#slice(first, Math.min(first + limit, after))
      : this.#slice(Math.max(first, after - limit), after)
  }

  /** The first id whose time is `time` or later; a clock that was set back makes it inexact, never wrong in order. */
  #idAt(time: number): number {
    let low = this.#firstId
    let high = this.#nextId
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#numbers[(middle % rows) * 3]! < time) low = middle + 1
      else high = middle
    }
    return low
  }

  #slice(from: number, to: number): Array<Row> {
    const found: Array<Row> = []
    for (let id = from; id < to; id++) found.push(this.#read(id))
    return found
  }

  #write({ firstId, id, isBuyerMaker, lastId, price, quantity, time }: Row): void {
    const at = id % rows
    this.#amounts[at * 2] = price
    this.#amounts[at * 2 + 1] = quantity
    this.#numbers[at * 3] = time
    this.#numbers[at * 3 + 1] = firstId
    this.#numbers[at * 3 + 2] = lastId
    this.#flags[at] = isBuyerMaker ? 1 : 0
  }

  #read(id: number): Row {
    const at = id % rows
    return {
      id,
      price: this.#amounts[at * 2]!,
      quantity: this.#amounts[at * 2 + 1]!,
      time: this.#numbers[at * 3]!,
      firstId: this.#numbers[at * 3 + 1]!,
      lastId: this.#numbers[at * 3 + 2]!,
      isBuyerMaker: this.#flags[at] === 1
    }
  }
}
