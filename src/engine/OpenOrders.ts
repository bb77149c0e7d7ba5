/**
 * Compares the orders open at the exchange with the orders open in the log, and repairs what differs:
 * fills that never arrived, ends that nobody told, orders that were thought absent.
 *
 * Runs at start, after every gap of the user stream, and as a slow sweep: the only defence against a
 * silently lost event (INV-4). What the exchange lists and this store never sent is counted, never touched.
 */
import { Clock, Context, Effect, Layer, Option } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { isEnded } from "../domain/Order.ts"
import { ends } from "../domain/reconcile.ts"
import type { Rejection } from "../domain/Rejection.ts"
import { Blotter } from "../sql/Blotter.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { Settlement } from "./Settlement.ts"

const pageSize = 500
// Questions to the exchange at a time; the permits pace them further.
const concurrency = 4
// An order that changed this recently may be missing from a list that was asked before.
const settleMillis = 2_000

export interface Comparison {
  readonly openOrders: number
  readonly adopted: number
  readonly foreign: number
  readonly fillsBooked: number
  /** Orders whose question failed: the comparison is not complete. */
  readonly failed: number
}

export class OpenOrders extends Context.Service<
  OpenOrders,
  {
    readonly compare: Effect.Effect<Comparison, BinanceError | StoreUnavailable | Rejection>
  }
>()("nexus/engine/OpenOrders") {
  static readonly layer = Layer.effect(
    OpenOrders,
    Effect.gen(function* () {
      const blotter = yield* Blotter
      const client = yield* BinanceClient
      const settlement = yield* Settlement

      // Open here, and the exchange does not list it: it ended, or the list is older than the order.
      const askWhatBecame = Effect.fnUntraced(function* (row: BlotterRow) {
        const found = yield* client.queryOrder(row).pipe(
          Effect.catchIf(
            (error) => error.reason._tag === "OrderUnknown",
            () =>
              Effect.as(Effect.logWarning("an open order is unknown to the exchange", { orderId: row.orderId }), null)
          )
        )
        if (found !== null) yield* settlement.adopt(row.orderId, found)
      })

      // Listed there, and not open here. Lists lag, so nothing is done to an order before it was asked for itself.
      const adopt = Effect.fnUntraced(
        function* (listed: FoundOrder, begun: EpochMillis) {
          const row = yield* blotter.findByClientOrderId(listed.clientOrderId)
          if (row === null) return "foreign" as const
          // It was open or ended while the list was on its way; the next comparison looks at it again.
          if (row.updatedAt >= begun - settleMillis) return "known" as const
          const found = yield* client.queryOrder(row)
          const stream = yield* settlement.adopt(row.orderId, found)
          if (stream.order.status === "EXECUTING") return "adopted" as const
          if (ends.has(found.report.exchangeStatus) || !isEnded(stream.order)) return "known" as const
          // Our log says it ended, so nobody watches it: it must not stay in the book.
          yield* Effect.logError("an order that ended here is open at the exchange; it is cancelled there", {
            orderId: row.orderId
          })
          const cancelled = yield* client.cancelOrder({ symbol: row.symbol, clientOrderId: listed.clientOrderId })
          yield* settlement.record(row.orderId, cancelled)
          return "adopted" as const
        },
        Effect.catchIf(
          (error) => error._tag === "BinanceError" && error.reason._tag === "OrderUnknown",
          () => Effect.succeed("known" as const)
        )
      )

      // One question that fails holds back nobody but its own order.
      const alone = <A, E extends { readonly message: string }>(question: Effect.Effect<A, E>) =>
        Effect.catch(Effect.asSome(question), (error) =>
          Effect.as(
            Effect.logWarning(`an order could not be compared with the exchange: ${error.message}`),
            Option.none<A>()
          )
        )

      const compare = Effect.gen(function* () {
        const begun = yield* Clock.currentTimeMillis
        const listed = new Map((yield* client.openOrders()).map((found) => [found.clientOrderId, found]))
        const openOrders = listed.size
        let fillsBooked = 0
        let failed = 0
        let after: string | null = null
        const compareRow = Effect.fnUntraced(function* (row: BlotterRow) {
          const found = listed.get(row.clientOrderId)
          listed.delete(row.clientOrderId)
          if (found === undefined) {
            if (row.updatedAt < begun - settleMillis) yield* askWhatBecame(row)
          } else if (Decimal.isGreater(found.report.executedQuantity, Decimal.decimal(row.filledQuantity))) {
            yield* settlement.adopt(row.orderId, found)
            fillsBooked += 1
          }
        })
        while (true) {
          const rows: ReadonlyArray<BlotterRow> = yield* blotter.open({ after, limit: pageSize })
          const compared = yield* Effect.forEach(rows, (row) => alone(compareRow(row)), { concurrency })
          failed += compared.filter(Option.isNone).length
          after = rows.at(-1)?.orderId ?? null
          if (rows.length < pageSize) break
        }
        const kinds = yield* Effect.forEach(listed.values(), (found) => alone(adopt(found, begun)), { concurrency })
        const count = (kind: "adopted" | "foreign") =>
          kinds.filter((one) => Option.isSome(one) && one.value === kind).length
        failed += kinds.filter(Option.isNone).length
        return { openOrders, fillsBooked, failed, adopted: count("adopted"), foreign: count("foreign") }
      })

      return OpenOrders.of({ compare })
    })
  )
}
