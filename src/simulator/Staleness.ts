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

interface Timed extends Lag {
  /** The last moment that is seen of a lag without end. */
  readonly lastSeen: number
}

export class Staleness {
  /** By kind of reads and client order id; the id is empty for all orders. */
  readonly #lags = new Map<string, Timed>()

  /** Replaces what was set for the same reads and order; 0 ends it. */
  set(lag: Lag, now: number): void {
    const key = `${lag.reads} ${lag.clientOrderId ?? ""}`
    if (lag.millis === 0) this.#lags.delete(key)
    // What happens in this very millisecond happens after it.
    else this.#lags.set(key, { ...lag, lastSeen: now - 1 })
  }

  clear(): void {
    this.#lags.clear()
  }

  get isFresh(): boolean {
    return this.#lags.size === 0
  }

  /** Whether any reads of this order lag. */
  concerns(clientOrderId: string): boolean {
    return (["orders", "histories"] as const).some((reads) => this.seenUntil(reads, clientOrderId, 0) < Infinity)
  }

  /** Up to when these reads of an order have seen what happened; Infinity: all of it. */
  seenUntil(reads: Reads, clientOrderId: string, now: number): number {
    const until = (lag: Timed | undefined): number => {
      if (lag === undefined) return Infinity
      return lag.millis === Infinity ? lag.lastSeen : now - lag.millis
    }
    return Math.min(until(this.#lags.get(`${reads} `)), until(this.#lags.get(`${reads} ${clientOrderId}`)))
  }

  /** The greatest lag of any. */
  get greatest(): number {
    return Math.max(0, ...Array.from(this.#lags.values(), ({ millis }) => millis))
  }

  list(): ReadonlyArray<Lag> {
    return Array.from(this.#lags.values(), ({ clientOrderId, millis, reads }) => ({ reads, clientOrderId, millis }))
  }
}
