/** What was amended on one symbol: one row per amendment, oldest first, with the ids before and after. */
import type { Amount } from "./Amount.ts"

export interface Amendment {
  readonly orderId: number
  readonly executionId: number
  readonly formerClientId: string
  readonly clientOrderId: string
  readonly formerQuantity: Amount
  readonly quantity: Amount
  readonly time: number
}

export class Amendments {
  readonly #rows: Array<Amendment> = []
  #written = 0

  add(row: Amendment): void {
    this.#rows.push(row)
  }

  of(orderId: number, fromExecutionId: number, limit: number): Array<Amendment> {
    return this.#rows.filter((row) => row.orderId === orderId && row.executionId >= fromExecutionId).slice(0, limit)
  }

  /** Those that no journal entry has yet. */
  takeNew(): Array<string> {
    if (this.#written === this.#rows.length) return []
    const lines = this.#rows.slice(this.#written).map(encodeAmendment)
    this.#written = this.#rows.length
    return lines
  }

  lines(): Array<string> {
    return this.#rows.map(encodeAmendment)
  }

  /** Takes one from the journal. Returns false for text that is none. */
  load(line: string): boolean {
    const field = line.split("|")
    if (field.length !== 7) return false
    this.#rows.push({
      orderId: Number(field[0]),
      executionId: Number(field[1]),
      formerClientId: field[2]!,
      clientOrderId: field[3]!,
      formerQuantity: BigInt(field[4]!),
      quantity: BigInt(field[5]!),
      time: Number(field[6])
    })
    this.#written = this.#rows.length
    return true
  }

  clear(): void {
    this.#rows.length = 0
    this.#written = 0
  }
}

const encodeAmendment = (row: Amendment): string =>
  [
    row.orderId,
    row.executionId,
    row.formerClientId,
    row.clientOrderId,
    row.formerQuantity,
    row.quantity,
    row.time
  ].join("|")
