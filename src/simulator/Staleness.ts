/**
 * How far reads lag behind the engine: of all orders, or of single ones, so that trials can go side by side.
 *
 * Two kinds of reads lag apart: `orders` (one order, the open ones), which come from a memory, and `histories` (all
 * orders, trades), which come from a database. The engine's own answers, to a place or a cancel, are never stale.
 */

export type Reads = "orders" | "histories"

export interface Lag {
  readonly reads: Reads
  /** Undefined: all orders. */
  readonly clientOrderId: string | undefined
  /** Infinity: nothing that happens from now on is ever seen. */
  readonly millis: number
}

export class Staleness {
  /** By kind of reads and client order id; the id is empty for all orders. */
  readonly #lags = new Map<string, Lag>()

  /** Replaces what was set for the same reads and order; 0 ends it. */
  set(lag: Lag): void {
    const key = `${lag.reads} ${lag.clientOrderId ?? ""}`
    if (lag.millis === 0) this.#lags.delete(key)
    else this.#lags.set(key, lag)
  }

  clear(): void {
    this.#lags.clear()
  }

  get isFresh(): boolean {
    return this.#lags.size === 0
  }

  /** The greater of what is set for all orders and for this one. */
  of(reads: Reads, clientOrderId: string): number {
    const all = this.#lags.get(`${reads} `)?.millis ?? 0
    return Math.max(all, this.#lags.get(`${reads} ${clientOrderId}`)?.millis ?? 0)
  }

  get greatest(): number {
    return Math.max(0, ...[...this.#lags.values()].map(({ millis }) => millis))
  }

  list(): ReadonlyArray<Lag> {
    return [...this.#lags.values()]
  }
}
