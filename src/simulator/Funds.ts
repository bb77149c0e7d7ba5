/**
 * What orders hold of their account's funds: quote when they buy, base when they sell.
 *
 * An order says itself how much it holds, so what an account has locked is always the sum over its orders; an order
 * gives back what it no longer needs, whatever way it got there. What trades at any price holds nothing while it trades.
 */
import type { Accounts } from "./Accounts.ts"
import { type Amount, times } from "./Amount.ts"
import { isMarketLike, isWorking, type Order, remaining } from "./Order.ts"

export class Funds {
  readonly #accounts: Accounts

  constructor(accounts: Accounts) {
    this.#accounts = accounts
  }

  assetOf({ side, symbol }: Order): string {
    return side === "BUY" ? symbol.quote : symbol.base
  }

  free(order: Order): Amount {
    return this.#accounts.of(order.account, this.assetOf(order)).free
  }

  hold(order: Order, value: Amount): void {
    if (value === 0n) return
    this.#accounts.lock(order.account, this.assetOf(order), value)
    order.locked += value
  }

  /** Brings what an order holds to a value, up or down. */
  holdExactly(order: Order, value: Amount): void {
    this.hold(order, value - order.locked)
  }

  release(order: Order): void {
    this.holdExactly(order, 0n)
  }

  /** One order of a pair takes over what the other holds for both. */
  hand(from: Order, to: Order): void {
    to.locked += from.locked
    from.locked = 0n
  }

  /** Pays out of what is held; what the order reckoned with and did not need is free again. */
  pay(order: Order, reckoned: Amount, paid: Amount): void {
    const asset = this.assetOf(order)
    order.locked -= reckoned
    this.#accounts.spendLocked(order.account, asset, reckoned)
    if (reckoned > paid) this.#accounts.give(order.account, asset, reckoned - paid)
  }
}

/**
 * What an open order has to hold for what is left of it. A stop that will buy at any price holds its stop price's
 * worth (without one, the last price's): what it will cost is seen when it goes.
 */
export const needOf = (order: Order, lastPrice: Amount): Amount => {
  const rest = remaining(order)
  if (isMarketLike(order.type)) {
    if (order.type === "MARKET" || isWorking(order)) return 0n
    if (order.side === "BUY") return times(order.stopPrice > 0n ? order.stopPrice : lastPrice, rest)
    return rest
  }
  return order.side === "BUY" ? times(order.price, rest) : rest
}
