/**
 * The open orders of one symbol, by price and then by time.
 *
 * Each side is an array of price levels with the best one last, so that taking from the touch moves nothing. Within a
 * level a Set keeps the order of arrival and removes from the middle at no cost. Depth is what orders show: of an
 * iceberg its slice.
 */
import type { Amount } from "./Amount.ts"
import { type Order, shown, type Side } from "./Order.ts"

/** Hears of the price of every level that changes. */
export type BookWatcher = (side: Side, price: Amount) => void

export interface Level {
  readonly price: Amount
  readonly orders: Set<Order>
}

export const opposite = (side: Side): Side => (side === "BUY" ? "SELL" : "BUY")

/** Whether a taker of `side` with this limit may trade at `price`. */
export const reaches = (side: Side, limit: Amount, price: Amount): boolean =>
  side === "BUY" ? price <= limit : price >= limit

export class Book {
  readonly #bids: Array<Level> = []
  readonly #asks: Array<Level> = []
  /** Grows with every change; `lastUpdateId` and `u` of the market data. */
  updateId = 1
  readonly #watchers = new Set<BookWatcher>()

  add(order: Order): void {
    const levels = this.#side(order.side)
    const at = this.#position(levels, order.side, order.price)
    const found = levels[at]
    if (found !== undefined && found.price === order.price) found.orders.add(order)
    else levels.splice(at, 0, { price: order.price, orders: new Set([order]) })
    this.changed(order)
  }

  remove(order: Order): void {
    const levels = this.#side(order.side)
    const at = this.#position(levels, order.side, order.price)
    const level = levels[at]
    if (level === undefined || level.price !== order.price || !level.orders.delete(order)) return
    if (level.orders.size === 0) levels.splice(at, 1)
    this.changed(order)
  }

  /** Behind all others at its price: an iceberg whose slice was taken. */
  requeue(order: Order): void {
    const levels = this.#side(order.side)
    const orders = levels[this.#position(levels, order.side, order.price)]?.orders
    if (orders?.delete(order) === true) orders.add(order)
    this.changed(order)
  }

  /** What an open order shows is another quantity than before. */
  changed({ price, side }: Order): void {
    this.updateId++
    for (const watcher of this.#watchers) watcher(side, price)
  }

  clear(): void {
    for (const watcher of this.#watchers) {
      for (const { price } of this.#bids) watcher("BUY", price)
      for (const { price } of this.#asks) watcher("SELL", price)
    }
    this.#bids.length = 0
    this.#asks.length = 0
    this.updateId++
  }

  /** Returns how to end it. */
  watch(watcher: BookWatcher): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** What a level shows; 0 where there is none. */
  quantityOf(side: Side, price: Amount): Amount {
    const levels = this.#side(side)
    const level = levels[this.#position(levels, side, price)]
    return level?.price === price ? quantityAt(level) : 0n
  }

  best(side: Side): Level | undefined {
    const levels = this.#side(side)
    return levels[levels.length - 1]
  }

  /** The order that a taker of the other side meets first. */
  first(side: Side): Order | undefined {
    const level = this.best(side)
    if (level === undefined) return undefined
    for (const order of level.orders) return order
    return undefined
  }

  /** Open orders of one side in the order in which they would trade. */
  *queue(side: Side): Generator<Order, void, void> {
    const levels = this.#side(side)
    for (let at = levels.length - 1; at >= 0; at--) yield* levels[at]!.orders
  }

  /** Best levels first, each with what it shows. */
  depth(side: Side, limit: number): Array<readonly [Amount, Amount]> {
    const levels = this.#side(side)
    const best: Array<readonly [Amount, Amount]> = []
    for (let at = levels.length - 1; at >= 0 && best.length < limit; at--) {
      const level = levels[at]!
      best.push([level.price, quantityAt(level)])
    }
    return best
  }

  #side(side: Side): Array<Level> {
    return side === "BUY" ? this.#bids : this.#asks
  }

  /** Where a price stands or would stand: bids rise towards the end, asks fall. */
  #position(levels: ReadonlyArray<Level>, side: Side, price: Amount): number {
    let low = 0
    let high = levels.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const there = levels[middle]!.price
      if (side === "BUY" ? there < price : there > price) low = middle + 1
      else high = middle
    }
    return low
  }
}

export const quantityAt = (level: Level): Amount => {
  let total = 0n
  for (const order of level.orders) total += shown(order)
  return total
}
