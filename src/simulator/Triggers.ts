/**
 * The stop orders of one symbol that wait for the price, and when each of them goes.
 *
 * Plain stops go at the trade that reaches their stop price. Trailing ones follow the best price from the trade that
 * reaches the stop price on (without a stop price, from the next trade on) and go when the price has come back by
 * their delta. Fed with every trade; what a trade does to a stop depends on its price alone.
 */
import type { Amount } from "./Amount.ts"
import { none, type Order, triggersAbove } from "./Order.ts"

/** Basis points in one. */
const whole = 10_000n

export class Triggers {
  readonly #waiting = new Set<Order>()
  /** A trade at or above the one, or at or below the other, may concern somebody. */
  #lowestAbove: Amount | undefined
  #highestBelow: Amount | undefined
  #following = 0
  /** The bounds are found anew at the next trade, not at each of many cancels. */
  #isWide = false

  add(order: Order): void {
    this.#waiting.add(order)
    this.#widen(order)
  }

  remove(order: Order): void {
    if (this.#waiting.delete(order)) this.#isWide = true
  }

  clear(): void {
    this.#waiting.clear()
    this.#isWide = true
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Orders that this trade sets off, the oldest first; they wait no longer. `changing` hears of each that moves. */
  trade(price: Amount, time: number, changing: (order: Order) => void): ReadonlyArray<Order> {
    if (this.#isWide) this.#narrow()
    if (!this.#mayConcern(price)) return nobody
    const fired: Array<Order> = []
    for (const order of this.#waiting) {
      if (order.trailingDelta === 0) {
        if (meets(order, price)) fired.push(order)
        continue
      }
      if (order.trailingTime === none) {
        if (order.stopPrice > 0n && !meets(order, price)) continue
        changing(order)
        order.trailingTime = time
        order.extreme = price
        this.#isWide = true
        continue
      }
      if (hasComeBack(order, price)) fired.push(order)
      else if (isBetter(order, price)) {
        changing(order)
        order.extreme = price
      }
    }
    for (const order of fired) this.remove(order)
    return fired
  }

  #mayConcern(price: Amount): boolean {
    return (
      this.#following > 0 ||
      (this.#lowestAbove !== undefined && price >= this.#lowestAbove) ||
      (this.#highestBelow !== undefined && price <= this.#highestBelow)
    )
  }

  #narrow(): void {
    this.#isWide = false
    this.#lowestAbove = undefined
    this.#highestBelow = undefined
    this.#following = 0
    for (const order of this.#waiting) this.#widen(order)
  }

  #widen(order: Order): void {
    const { stopPrice } = order
    if (order.trailingDelta > 0 && (order.trailingTime !== none || stopPrice === 0n)) this.#following++
    else if (triggersAbove(order.type, order.side)) {
      if (this.#lowestAbove === undefined || stopPrice < this.#lowestAbove) this.#lowestAbove = stopPrice
    } else if (this.#highestBelow === undefined || stopPrice > this.#highestBelow) this.#highestBelow = stopPrice
  }
}

const nobody: ReadonlyArray<Order> = []

/** Whether a price is on the far side of the stop price: at placement, the order would trigger immediately. */
export const meets = (order: Pick<Order, "type" | "side" | "stopPrice">, price: Amount): boolean =>
  triggersAbove(order.type, order.side) ? price >= order.stopPrice : price <= order.stopPrice

// A buyer waits for the price to rise from its lowest, a seller for it to fall from its highest.
const isBetter = ({ extreme, side }: Order, price: Amount): boolean =>
  side === "BUY" ? price < extreme : price > extreme

const hasComeBack = ({ extreme, side, trailingDelta }: Order, price: Amount): boolean =>
  side === "BUY"
    ? price * whole >= extreme * (whole + BigInt(trailingDelta))
    : price * whole <= extreme * (whole - BigInt(trailingDelta))
