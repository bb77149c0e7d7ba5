/**
 * All order lists of the account, over all symbols: the exchange numbers them from one sequence.
 *
 * Keeps and finds; what happens to the orders of a list is the matching engine's affair.
 */
import { decodeList, encodeList, type OrderList } from "./OrderList.ts"

export class OrderLists {
  readonly #lists = new Map<number, OrderList>()
  readonly #open = new Map<number, OrderList>()
  /** The newest list of each list client id. */
  readonly #byClientId = new Map<string, number>()
  readonly #changed = new Set<OrderList>()
  nextId = 0

  add(list: OrderList): void {
    this.#remember(list)
    this.#changed.add(list)
  }

  /** To be called after each change, and before `takeChanges`. */
  changed(list: OrderList): void {
    this.#changed.add(list)
    if (list.isDone) this.#open.delete(list.id)
  }

  byId(id: number): OrderList | undefined {
    return this.#lists.get(id)
  }

  byClientId(clientId: string): OrderList | undefined {
    const id = this.#byClientId.get(clientId)
    return id === undefined ? undefined : this.#lists.get(id)
  }

  isOpenClientId(clientId: string): boolean {
    return this.byClientId(clientId)?.isDone === false
  }

  get open(): Iterable<OrderList> {
    return this.#open.values()
  }

  /** How many are open, of one symbol or of all. */
  countOpen(market: number | undefined): number {
    if (market === undefined) return this.#open.size
    let count = 0
    for (const list of this.#open.values()) if (list.market === market) count++
    return count
  }

  /** In the order of their ids. */
  all(): Iterable<OrderList> {
    return this.#lists.values()
  }

  takeChanges(): Array<string> {
    if (this.#changed.size === 0) return []
    const lines = [...this.#changed].map(encodeList)
    this.#changed.clear()
    return lines
  }

  lines(): Array<string> {
    return [...this.#lists.values()].map(encodeList)
  }

  /** Takes one from the journal, the newest line of an id last. Returns false for text that is none. */
  load(line: string): boolean {
    const list = decodeList(line)
    if (list === undefined) return false
    this.#remember(list)
    return true
  }

  clear(): void {
    this.#lists.clear()
    this.#open.clear()
    this.#byClientId.clear()
    this.#changed.clear()
    this.nextId = 0
  }

  #remember(list: OrderList): void {
    this.#lists.set(list.id, list)
    this.#byClientId.set(list.clientId, list.id)
    this.nextId = Math.max(this.nextId, list.id + 1)
    if (list.isDone) this.#open.delete(list.id)
    else this.#open.set(list.id, list)
  }
}
