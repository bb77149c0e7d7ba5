/**
 * What an order would do to the book as it stands, without doing it: for funds, for FOK, and for quote quantities.
 *
 * Counts the hidden parts of icebergs and sees self-trade prevention coming, as the matching itself will.
 */
import { type Amount, dividedBy, floorTo, min, times } from "./Amount.ts"
import { type Book, opposite, reaches } from "./Book.ts"
import { type Order, remaining } from "./Order.ts"
import { modeOf } from "./prevention.ts"

export type Taking = Pick<Order, "account" | "side" | "preventionMode">

export interface Foresight {
  readonly quantity: Amount
  readonly quote: Amount
  /** The book ended before the order did. */
  readonly isShort: boolean
}

/** How much would be traded of a quantity; with a limit, no further than its price. */
export const foresee = (book: Book, taking: Taking, quantity: Amount, limit: Amount | undefined): Foresight => {
  let wanted = quantity
  const seen = { quantity: 0n, quote: 0n, isShort: false }
  for (const maker of book.queue(opposite(taking.side))) {
    if (wanted === 0n) return seen
    if (limit !== undefined && !reaches(taking.side, limit, maker.price)) return { ...seen, isShort: true }
    const there = min(wanted, remaining(maker))
    const mode = maker.account === taking.account ? modeOf(taking, maker) : "NONE"
    if (mode === "EXPIRE_TAKER" || mode === "EXPIRE_BOTH") return seen
    if (mode === "EXPIRE_MAKER") continue
    wanted -= there
    if (mode !== "NONE") continue
    seen.quantity += there
    seen.quote += times(maker.price, there)
  }
  return { ...seen, isShort: wanted > 0n }
}

/** How much would be traded for an amount of quote, in whole steps. */
export const foreseeQuote = (book: Book, taking: Taking, quoteQuantity: Amount, step: Amount): Foresight => {
  let left = quoteQuantity
  const seen = { quantity: 0n, quote: 0n, isShort: false }
  for (const maker of book.queue(opposite(taking.side))) {
    const affordable = floorTo(dividedBy(left, maker.price), step)
    if (affordable === 0n) return seen
    const taken = min(affordable, remaining(maker))
    const quote = times(maker.price, taken)
    seen.quantity += taken
    seen.quote += quote
    left -= quote
    if (taken === affordable) return seen
  }
  return { ...seen, isShort: true }
}
