/**
 * Self-trade prevention: which mode applies, and the record of every match that it prevented.
 *
 * The taker's mode decides. TRANSFER would need two accounts; within one it is DECREMENT, and recorded as it was asked.
 */
import type { Amount } from "./Amount.ts"
import { isPreventionMode, type Order, type PreventionMode } from "./Order.ts"

export interface PreventedMatch {
  readonly id: number
  readonly takerOrderId: number
  readonly makerOrderId: number
  readonly mode: PreventionMode
  readonly price: Amount
  /** What the taker lost; 0 when the mode spares it. */
  readonly takerQuantity: Amount
  readonly makerQuantity: Amount
  readonly time: number
}

/** The account is in no trade group. */
export const tradeGroupId = -1

export const modeOf = (taking: Pick<Order, "preventionMode">, maker: Pick<Order, "preventionMode">): PreventionMode =>
  taking.preventionMode === "TRANSFER" && maker.preventionMode !== "TRANSFER" ? "DECREMENT" : taking.preventionMode

/** The prevented matches of one symbol, oldest first. */
export class PreventedMatches {
  readonly #matches: Array<PreventedMatch> = []
  #written = 0

  /** The first match of a symbol has the id 0, as in the exchange's own examples. */
  get nextId(): number {
    return this.#matches.length
  }

  add(match: PreventedMatch): void {
    this.#matches.push(match)
  }

  byId(id: number): PreventedMatch | undefined {
    return this.#matches[id]
  }

  of(orderId: number, fromId: number, limit: number): Array<PreventedMatch> {
    const found: Array<PreventedMatch> = []
    for (let id = fromId; id < this.#matches.length && found.length < limit; id++) {
      const match = this.#matches[id]!
      if (match.takerOrderId === orderId || match.makerOrderId === orderId) found.push(match)
    }
    return found
  }

  /** Those that no journal entry has yet. */
  takeNew(): Array<string> {
    if (this.#written === this.#matches.length) return []
    const lines = this.#matches.slice(this.#written).map(encodeMatch)
    this.#written = this.#matches.length
    return lines
  }

  lines(): Array<string> {
    return this.#matches.map(encodeMatch)
  }

  /** Takes one from the journal. Returns false for text that is none. */
  load(line: string): boolean {
    const match = decodeMatch(line)
    if (match === undefined || match.id !== this.#matches.length) return false
    this.#matches.push(match)
    this.#written = this.#matches.length
    return true
  }

  clear(): void {
    this.#matches.length = 0
    this.#written = 0
  }
}

const encodeMatch = (match: PreventedMatch): string =>
  [
    match.id,
    match.takerOrderId,
    match.makerOrderId,
    match.mode,
    match.price,
    match.takerQuantity,
    match.makerQuantity,
    match.time
  ].join("|")

const decodeMatch = (line: string): PreventedMatch | undefined => {
  const field = line.split("|")
  const mode = field[3] ?? ""
  if (field.length !== 8 || !isPreventionMode(mode)) return undefined
  return {
    id: Number(field[0]),
    takerOrderId: Number(field[1]),
    makerOrderId: Number(field[2]),
    mode,
    price: BigInt(field[4]!),
    takerQuantity: BigInt(field[5]!),
    makerQuantity: BigInt(field[6]!),
    time: Number(field[7])
  }
}
