/**
 * Orders at the exchange that this store never sent: made by hand or by another program under our keys.
 *
 * They come from the user stream and from every comparison of open orders, are kept where any replica can list
 * them, and are never touched. One that is listed no more is asked for once, which is all that is done to it.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { ends } from "../domain/reconcile.ts"
import type { ForeignOrder } from "../sql/ForeignOrders.ts"
import { ForeignOrders as Kept } from "../sql/ForeignOrders.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"

export type { ForeignOrder } from "../sql/ForeignOrders.ts"

// Rows of one answer; whoever makes more by hand has another problem.
const listSize = 1_000
// Orders asked for per comparison, at 4 of 6,000 a minute each.
const askedAtOnce = 20
// An ended one stays listed for a day, so that a morning shows what happened at night.
const forgetAfterMillis = 86_400_000

export class ForeignOrders extends Context.Service<
  ForeignOrders,
  {
    /** Open ones first, then what ended within a day; the newest first. */
    readonly read: Effect.Effect<ReadonlyArray<ForeignOrder>, StoreUnavailable>
    /** News of one, from the stream. */
    readonly heard: (order: FoundOrder) => Effect.Effect<void, StoreUnavailable>
    /** All that a list of open orders has shown, which was asked for at this moment. */
    readonly listed: (orders: ReadonlyArray<FoundOrder>, askedAt: EpochMillis) => Effect.Effect<void, StoreUnavailable>
    /** The exchange has forgotten them, and gives their ids anew. */
    readonly forgetAll: Effect.Effect<void, StoreUnavailable>
  }
>()("nexus/engine/ForeignOrders") {
  static readonly layer = Layer.effect(
    ForeignOrders,
    Effect.gen(function* () {
      const client = yield* BinanceClient
      const kept = yield* Kept

      // Listed before, and not any more: it ended, and only its own answer says how.
      const askFor = Effect.fnUntraced(function* (order: ForeignOrder) {
        const gone = { ...order, status: "UNKNOWN", isOpen: false }
        return yield* client.queryOrder(order).pipe(
          Effect.map((found) => (found.report.exchangeOrderId === order.id ? rowOf(found) : gone)),
          // A failed question leaves it open and unseen, so the next comparison asks again.
          Effect.catch(({ reason }) =>
            Effect.succeed(reason._tag === "OrderUnknown" || reason._tag === "Archived" ? gone : null)
          )
        )
      })

      const listed = Effect.fn("ForeignOrders.listed")(function* (
        orders: ReadonlyArray<FoundOrder>,
        askedAt: EpochMillis
      ) {
        yield* kept.save(orders.map(rowOf), askedAt)
        const vanished = yield* kept.unseenSince(askedAt, askedAtOnce)
        const answers = yield* Effect.forEach(vanished, askFor)
        yield* kept.save(
          answers.filter((answer) => answer !== null),
          askedAt
        )
        yield* kept.forget(askedAt - forgetAfterMillis)
      })

      return ForeignOrders.of({
        read: kept.list(listSize),
        heard: (order) => Effect.flatMap(Clock.currentTimeMillis, (now) => kept.save([rowOf(order)], now)),
        listed,
        forgetAll: kept.forgetAll
      })
    })
  )
}

const rowOf = ({ clientOrderId, quantity, report, side, symbol, type }: FoundOrder): Omit<ForeignOrder, "since"> => ({
  id: report.exchangeOrderId,
  clientOrderId,
  symbol,
  side,
  type,
  quantity: Decimal.format(quantity),
  executed: Decimal.format(report.executedQuantity),
  status: report.exchangeStatus,
  isOpen: !ends.has(report.exchangeStatus)
})
