/**
 * The port by which replicas that share an address and an account share its budget: RateLimits asks here for a
 * share of each window in advance, and tells what the exchange counted and how long it wants to hear nothing.
 *
 * Whoever fills it promises that all shares of a window, what the exchange has counted and what others hold never
 * exceed the limit; and that a stop told by one is answered to all from then on, restarts included.
 */
import { Context, type Effect, Schema } from "effect"

/** A count of the exchange; between `from`, at the earliest, and `at`, at the latest, its request was under way. Exchange's clock. */
export interface Told {
  readonly count: number
  readonly from: number
  readonly at: number
}

export interface Ask {
  readonly name: string
  /** Number of the window since 1970, on the exchange's clock. */
  readonly window: number
  /** What the exchange allows in it, as this replica has learnt; null: it has not yet. */
  readonly allowed: number | null
  /** The exchange's count in the newest answer since the last report. */
  readonly told: Told | null
  /** What this replica holds, handed to it or not: what it may still spend, and what is in no count yet. */
  readonly keep: number
  /** What it wants beyond that, in order of precedence; each up to a ceiling of all that is used or held. */
  readonly wants: ReadonlyArray<{ readonly ceiling: number; readonly amount: number }>
}

export interface Granted {
  readonly name: string
  readonly window: number
  readonly granted: number
  /** What the exchange allows in it, as any replica has learnt; null: none has. */
  readonly allowed: number | null
  /** The newest count of the exchange that any replica was told. */
  readonly told: Told | null
  /** What the other replicas hold. */
  readonly others: number
}

export interface Stops {
  /** The exchange wants to hear nothing of us for so long; 0: it does not mind. */
  readonly allMillis: number
  /** The same for new orders. */
  readonly ordersMillis: number
}

/** No share can be had now; what is in hand may be spent for a while. */
export class BudgetUnavailable extends Schema.TaggedError<BudgetUnavailable>()("BudgetUnavailable", {
  detail: Schema.String
}) {
  override get message() {
    return `no share of the exchange's budget can be had: ${this.detail}`
  }
}

export class BudgetShares extends Context.Service<
  BudgetShares,
  {
    /** Without asks only the stops are exchanged. */
    readonly exchange: (
      asks: ReadonlyArray<Ask>,
      stops: Stops
    ) => Effect.Effect<{ readonly granted: ReadonlyArray<Granted>; readonly stops: Stops }, BudgetUnavailable>
  }
>()("nexus/binance/BudgetShares") {}
