/**
 * Who owns what: the account under test, the counterparties, and the account that takes the fees.
 *
 * Nothing here makes or burns an asset once the exchange is open: every movement takes from one account what it gives
 * to another, so the sum of each asset never changes.
 */
import type { Amount } from "./Amount.ts"

/** The account whose keys the clients hold. */
export const ours = 0
export const fees = 1
/** Two counterparties that quote, and one that takes. */
export const firstMaker = 2
export const secondMaker = 3
export const taker = 4
export const accountCount = 5

export interface Balance {
  readonly account: number
  readonly asset: string
  free: Amount
  locked: Amount
}

export class Accounts {
  readonly #balances: ReadonlyArray<Map<string, Balance>> = Array.from({ length: accountCount }, () => new Map())
  /** Balances that moved since somebody last cleared this. */
  readonly touched = new Set<Balance>()

  of(account: number, asset: string): Balance {
    const balances = this.#balances[account]!
    let balance = balances.get(asset)
    if (balance === undefined) balances.set(asset, (balance = { account, asset, free: 0n, locked: 0n }))
    return balance
  }

  balancesOf(account: number): Iterable<Balance> {
    return this.#balances[account]!.values()
  }

  /** Sets a balance from outside: at opening, from the journal, and at a reset. */
  set(account: number, asset: string, free: Amount, locked: Amount): void {
    const balance = this.#touch(account, asset)
    balance.free = free
    balance.locked = locked
  }

  clear(): void {
    for (const balances of this.#balances) balances.clear()
    this.touched.clear()
  }

  lock(account: number, asset: string, value: Amount): void {
    const balance = this.#touch(account, asset)
    balance.free -= value
    balance.locked += value
  }

  unlock(account: number, asset: string, value: Amount): void {
    this.lock(account, asset, -value)
  }

  /** Spends what an order had locked. */
  spendLocked(account: number, asset: string, value: Amount): void {
    this.#touch(account, asset).locked -= value
  }

  /** Gives to the free balance; a negative value spends from it. */
  give(account: number, asset: string, value: Amount): void {
    this.#touch(account, asset).free += value
  }

  sums(): Map<string, Amount> {
    const sums = new Map<string, Amount>()
    for (const balances of this.#balances) {
      for (const { asset, free, locked } of balances.values()) sums.set(asset, (sums.get(asset) ?? 0n) + free + locked)
    }
    return sums
  }

  #touch(account: number, asset: string): Balance {
    const balance = this.of(account, asset)
    this.touched.add(balance)
    return balance
  }
}
