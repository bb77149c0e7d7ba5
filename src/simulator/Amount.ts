/**
 * Exact decimals as whole numbers of 10^-8.
 *
 * Every price, quantity and balance of Spot has at most eight decimals, and on the seeded symbols tick size times
 * step size is 10^-7 or coarser, so sums and products here are exact. What is not (a commission) is rounded down by name.
 */

/** An exact decimal, in units of 10^-8. */
export type Amount = bigint

export const decimals = 8
export const one: Amount = 100_000_000n

// 10^0 … 10^8, to widen fractions that came with fewer digits.
const powers = Array.from({ length: decimals + 1 }, (_, n) => 10n ** BigInt(n))

/** Whether the text has non-zero digits beyond the eighth decimal, which no Amount can hold. */
export const isTooPrecise = (text: string): boolean => {
  const dot = text.indexOf(".")
  return dot >= 0 && text.length - dot - 1 > decimals && /[1-9]/.test(text.slice(dot + 1 + decimals))
}

/** Reads digits with an optional fraction; the caller has checked the form and the precision. */
export const amount = (text: string): Amount => {
  const dot = text.indexOf(".")
  if (dot < 0) return BigInt(text) * one
  const fraction = text.slice(dot + 1, dot + 1 + decimals)
  return BigInt(text.slice(0, dot) + fraction) * powers[decimals - fraction.length]!
}

/** Eight decimals, always, as the exchange writes them. */
export const format = (value: Amount): string => {
  if (value < 0n) return `-${format(-value)}`
  const digits = value.toString().padStart(decimals + 1, "0")
  const cut = digits.length - decimals
  return `${digits.slice(0, cut)}.${digits.slice(cut)}`
}

/** Only the digits that count, as the exchange writes factors: 5, 0.2. */
export const plain = (value: Amount): string => format(value).replace(/\.?0+$/, "")

/** Exact where `price` and `quantity` sit on tick and step; rounded down otherwise. */
export const times = (price: Amount, quantity: Amount): Amount => (price * quantity) / one

/** How much can be bought for `quote` at `price`, rounded down to 10^-8. */
export const dividedBy = (quote: Amount, price: Amount): Amount => (quote * one) / price

export const min = (a: Amount, b: Amount): Amount => (a < b ? a : b)

export const floorTo = (value: Amount, step: Amount): Amount => (step === 0n ? value : value - (value % step))

/** For pseudo-random sizes and display only: never for money that moves. */
export const approximately = (value: number): Amount => BigInt(Math.round(value * 1e8))
