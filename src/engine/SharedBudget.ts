/**
 * Fills the exchange client's port for shares from the store: all replicas of a store spend one budget, and a stop
 * that one of them is told is obeyed by all within the time of a look.
 */
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import type { Ask, Granted } from "../binance/BudgetShares.ts"
import { BudgetShares, BudgetUnavailable } from "../binance/BudgetShares.ts"
import type { ShareRow } from "../sql/Limits.ts"
import { Limits } from "../sql/Limits.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"

export const layer = Layer.effect(
  BudgetShares,
  Effect.gen(function* () {
    const limits = yield* Limits
    // Fresh per start: a process that comes back must not take its earlier life's share for its own.
    const me = yield* (yield* SecureRandom).uuidV4()
    let turn = 0

    const take = (asks: ReadonlyArray<Ask>) =>
      asks.length === 0 ? Effect.succeed([]) : Effect.suspend(() => limits.take(me, ++turn, asks))

    return BudgetShares.of({
      exchange: (asks, stops) =>
        Effect.gen(function* () {
          // The stop first: it is what others must hear of soonest.
          if (stops.allMillis > 0) yield* limits.stop("all", stops.allMillis)
          if (stops.ordersMillis > 0) yield* limits.stop("orders", stops.ordersMillis)
          const rows = yield* take(asks)
          const { all, orders } = yield* limits.stops
          return { granted: rows.map(grantedOf), stops: { allMillis: all, ordersMillis: orders } }
        }).pipe(Effect.mapError(unavailable))
    })
  })
)

const unavailable = ({ detail }: StoreUnavailable) => new BudgetUnavailable({ detail })

const grantedOf = ({ allowed, at, counted, from, granted, name, others, window }: ShareRow): Granted => ({
  name,
  window,
  granted,
  allowed: allowed === 0 ? null : allowed,
  others,
  told: at === 0 ? null : { count: counted, from, at }
})
