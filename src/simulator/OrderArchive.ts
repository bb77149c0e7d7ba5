/**
 * All orders that the account ever had on one symbol: the open ones as objects, the ended ones as text.
 *
 * Also keeps, while reads are made stale, what each recently changed order looked like before.
 */
import { ours } from "./Accounts.ts"
import type { SymbolInfo } from "./Market.ts"
import { decode, encode, isOpen, none, type Order } from "./Order.ts"

interface Former {
  readonly at: number
  /** Undefined: the order did not exist. */
  readonly before: string | undefined
}

export class OrderArchive {
  readonly open = new Map<number, Order>()
  readonly #ended = new Map<number, string>()
  /** The newest order of each client order id. */
  readonly #byClientId = new Map<string, number>()
  readonly #ids: Array<number> = []
  readonly #times: Array<number> = []
  readonly #changed = new Set<Order>()
  readonly #formers = new Map<number, Array<Former>>()
  readonly #symbolOf: (name: string) => SymbolInfo | undefined
  /** Of which orders former states are kept; undefined: of none. */
  #keepsFormerOf: ((clientOrderId: string) => boolean) | undefined

  constructor(symbolOf: (name: string) => SymbolInfo | undefined) {
    this.#symbolOf = symbolOf
  }

  get count(): number {
    return this.#ids.length
  }

  add(order: Order): void {
    this.#remember(order.id, order.time, order.clientOrderId)
    this.open.set(order.id, order)
    if (this.#keepsFormerOf?.(order.clientOrderId) === true) this.#keepFormer(order, undefined, order.time)
    this.#changed.add(order)
  }

  /** To be called after each change, and before `takeChanges`. */
  changed(order: Order): void {
    this.#changed.add(order)
  }

  /** An amended order goes by its new client id from now on. */
  renamed(order: Order, former: string): void {
    if (former === order.clientOrderId) return
    if (this.#byClientId.get(former) === order.id) this.#byClientId.delete(former)
    this.#byClientId.set(order.clientOrderId, order.id)
  }

  /** To be called before each change, for stale reads. */
  aboutToChange(order: Order, at: number): void {
    if (this.#keepsFormerOf?.(order.clientOrderId) === true) this.#keepFormer(order, encode(order), at)
  }

  /** The orders that changed since the last call, encoded; those that ended stay only so. */
  takeChanges(): Array<string> {
    if (this.#changed.size === 0) return []
    const lines: Array<string> = []
    for (const order of this.#changed) {
      const line = encode(order)
      lines.push(line)
      if (isOpen(order)) continue
      this.open.delete(order.id)
      this.#ended.set(order.id, line)
    }
    this.#changed.clear()
    return lines
  }

  /** Takes an order from the journal, the newest line of an id last. Returns false for text that is no order. */
  load(line: string): boolean {
    const order = decode(line, ours, this.#symbolOf)
    if (order === undefined) return false
    const known = this.byId(order.id)
    if (known === undefined) this.#remember(order.id, order.time, order.clientOrderId)
    else this.renamed(order, known.clientOrderId)
    if (isOpen(order)) this.open.set(order.id, order)
    else {
      this.open.delete(order.id)
      this.#ended.set(order.id, line)
    }
    return true
  }

  byId(id: number): Order | undefined {
    const open = this.open.get(id)
    if (open !== undefined) return open
    const line = this.#ended.get(id)
    return line === undefined ? undefined : decode(line, ours, this.#symbolOf)
  }

  byClientId(clientOrderId: string): Order | undefined {
    const id = this.#byClientId.get(clientOrderId)
    return id === undefined ? undefined : this.byId(id)
  }

  listIdOf(id: number): number {
    return this.byId(id)?.listId ?? none
  }

  isOpenClientId(clientOrderId: string): boolean {
    const id = this.#byClientId.get(clientOrderId)
    const order = id === undefined ? undefined : this.open.get(id)
    return order !== undefined && isOpen(order)
  }

  /** Ids of orders placed within the times, in the order of their ids. */
  idsBetween(start: number, end: number): Array<number> {
    return this.#ids.filter((_, at) => this.#times[at]! >= start && this.#times[at]! <= end)
  }

  *lines(): Generator<string, void, void> {
    for (const id of this.#ids) {
      const open = this.open.get(id)
      yield open === undefined ? this.#ended.get(id)! : encode(open)
    }
  }

  *all(): Generator<Order, void, void> {
    for (const id of this.#ids) yield this.byId(id)!
  }

  clear(): void {
    this.open.clear()
    this.#ended.clear()
    this.#byClientId.clear()
    this.#changed.clear()
    this.#formers.clear()
    this.#ids.length = 0
    this.#times.length = 0
  }

  /** Begins to keep what stale reads of these orders need, or ends it. */
  keepFormers(of: ((clientOrderId: string) => boolean) | undefined): void {
    this.#keepsFormerOf = of
    if (of === undefined) this.#formers.clear()
  }

  /** The order as it was at that time; undefined when it did not exist. */
  asOf(order: Order, time: number): Order | undefined {
    const later = this.#formers.get(order.id)?.find(({ at }) => at > time)
    if (later === undefined) return order
    return later.before === undefined ? undefined : decode(later.before, ours, this.#symbolOf)
  }

  /** Orders that ended or began after that time, for a stale list of the open ones. */
  changedSince(time: number): Array<Order> {
    const ids = [...this.#formers].filter(([, formers]) => formers.some(({ at }) => at > time)).map(([id]) => id)
    return ids.map((id) => this.byId(id)!)
  }

  /** Forgets what no stale read can ask for any more. */
  forgetFormers(before: number): void {
    for (const [id, formers] of this.#formers) {
      if (formers.every(({ at }) => at <= before)) this.#formers.delete(id)
    }
  }

  #remember(id: number, time: number, clientOrderId: string): void {
    this.#ids.push(id)
    this.#times.push(time)
    this.#byClientId.set(clientOrderId, id)
  }

  #keepFormer(order: Order, before: string | undefined, at: number): void {
    const formers = this.#formers.get(order.id)
    const former = { at, before }
    if (formers === undefined) this.#formers.set(order.id, [former])
    else formers.push(former)
  }
}
