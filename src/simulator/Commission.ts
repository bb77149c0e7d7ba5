/**
 * What a trade costs the account: rates by role and side, taken from what is received, or in BNB at a discount.
 *
 * Standard, special and tax commission add up. Paid in BNB, the standard part is multiplied by the discount and all of
 * it converted at the last price of BNB; without enough free BNB the full commission is taken from what is received.
 * Rounded down to 10^-8, in the account's favour.
 */
import { type Amount, amount, one } from "./Amount.ts"
import type { Side } from "./Order.ts"

/** As shares of what is received, in units of 10^-8. */
export interface CommissionRates {
  readonly maker: Amount
  readonly taker: Amount
  readonly buyer: Amount
  readonly seller: Amount
}

export interface Commissions {
  readonly standard: CommissionRates
  readonly special: CommissionRates
  readonly tax: CommissionRates
  /** Whether the account pays in BNB when it can. */
  readonly paysInBnb: boolean
  /** What the standard commission is multiplied by when it is paid in BNB. */
  readonly discount: Amount
}

export const discountAsset = "BNB"

const noRates: CommissionRates = { maker: 0n, taker: 0n, buyer: 0n, seller: 0n }
const tenthOfPercent = amount("0.001")

/** 0.1 % for maker and taker, and nothing else. */
export const defaultCommissions: Commissions = {
  standard: { ...noRates, maker: tenthOfPercent, taker: tenthOfPercent },
  special: noRates,
  tax: noRates,
  paysInBnb: false,
  discount: amount("0.75")
}

/** The rate of one order's side, for either role. */
export const rateFor = (rates: CommissionRates, side: Side, isMaker: boolean): Amount =>
  (isMaker ? rates.maker : rates.taker) + (side === "BUY" ? rates.buyer : rates.seller)

/** What is taken from the amount received. */
export const commissionOn = (commissions: Commissions, received: Amount, side: Side, isMaker: boolean): Amount => {
  const { special, standard, tax } = commissions
  const rate = rateFor(standard, side, isMaker) + rateFor(special, side, isMaker) + rateFor(tax, side, isMaker)
  return (received * rate) / one
}

/** The same in BNB. `worth` is what was received, in the asset that BNB is priced in; `price` the price of BNB. */
export const commissionInBnb = (
  commissions: Commissions,
  worth: Amount,
  price: Amount,
  side: Side,
  isMaker: boolean
): Amount => {
  const { discount, special, standard, tax } = commissions
  const discounted = rateFor(standard, side, isMaker) * discount
  const full = (rateFor(special, side, isMaker) + rateFor(tax, side, isMaker)) * one
  return (worth * (discounted + full)) / (one * price)
}
