/**
 * The price range rule: no order may trade, as taker, too far from the reference price.
 *
 * The limits are set when the order starts to take, and hold until it is done with it. A multiplier that is not set, or
 * a reference price that does not exist, sets no limit.
 */
import { type Amount, times } from "./Amount.ts"
import type { Side } from "./Order.ts"

/** Multiples of the reference price, in units of 10^-8. */
export interface PriceRange {
  readonly bidLimitMultUp?: Amount
  readonly bidLimitMultDown?: Amount
  readonly askLimitMultUp?: Amount
  readonly askLimitMultDown?: Amount
}

export interface PriceLimits {
  readonly low: Amount | undefined
  readonly high: Amount | undefined
}

const noLimits: PriceLimits = { low: undefined, high: undefined }

export const limitsOf = (range: PriceRange | undefined, side: Side, reference: Amount | undefined): PriceLimits => {
  if (range === undefined || reference === undefined) return noLimits
  const [down, up] =
    side === "BUY" ? [range.bidLimitMultDown, range.bidLimitMultUp] : [range.askLimitMultDown, range.askLimitMultUp]
  const multiple = (factor: Amount | undefined) => (factor === undefined ? undefined : times(reference, factor))
  return { low: multiple(down), high: multiple(up) }
}

export const isWithin = (price: Amount, { high, low }: PriceLimits): boolean =>
  (low === undefined || price >= low) && (high === undefined || price <= high)
