/**
 * The reference price of a symbol: the mean of its trades' prices over a moving window, as the engine counts it.
 *
 * Trades are gathered in buckets of one width, aligned to the clock. The oldest bucket that the window cuts counts by
 * the share of it that lies inside. Without trades in the window there is no price.
 */
import type { Amount } from "./Amount.ts"
import type { AveragePrice } from "./filters.ts"
import type { Tape } from "./Tape.ts"

export interface ReferenceRules {
  readonly bucketCount: number
  readonly bucketWidthMs: number
}

interface Bucket {
  readonly openTime: number
  trades: bigint
  sum: bigint
}

/** What filters call the average: the reference price if there is one, else that of the last minutes, else the last. */
export const averageOf =
  (
    { reference, tape }: { readonly reference: ReferencePrice | undefined; readonly tape: Tape },
    now: number
  ): AveragePrice =>
  (minutes) =>
    reference?.at(now) ?? (minutes === 0 ? tape.lastPrice : tape.average(now))

export class ReferencePrice {
  readonly rules: ReferenceRules
  readonly #buckets: Array<Bucket> = []

  constructor(rules: ReferenceRules) {
    this.rules = rules
  }

  add(price: Amount, time: number): void {
    const openTime = time - (time % this.rules.bucketWidthMs)
    this.#drop(time)
    let bucket = this.#buckets.at(-1)
    if (bucket === undefined || bucket.openTime !== openTime) {
      this.#buckets.push((bucket = { openTime, trades: 0n, sum: 0n }))
    }
    bucket.trades++
    bucket.sum += price
  }

  /** Undefined while nothing was traded for as long as the window is. */
  at(now: number): Amount | undefined {
    this.#drop(now)
    const { bucketWidthMs } = this.rules
    const cutoff = now - this.#windowMs
    let trades = 0n
    let sum = 0n
    for (const bucket of this.#buckets) {
      const inside = BigInt(bucketWidthMs - Math.min(Math.max(0, cutoff - bucket.openTime), bucketWidthMs))
      trades += bucket.trades * inside
      sum += bucket.sum * inside
    }
    return trades === 0n ? undefined : sum / trades
  }

  clear(): void {
    this.#buckets.length = 0
  }

  get #windowMs(): number {
    return this.rules.bucketCount * this.rules.bucketWidthMs
  }

  #drop(now: number): void {
    const cutoff = now - this.#windowMs
    while (this.#buckets.length > 0 && this.#buckets[0]!.openTime + this.rules.bucketWidthMs <= cutoff) {
      this.#buckets.shift()
    }
  }
}
