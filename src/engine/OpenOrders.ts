/**
 * Compares the orders open at the exchange with the orders open in the log, and repairs what differs:
 * fills that never arrived, ends that nobody told, orders that were thought absent.
 *
 * Runs at start, after every gap of the user stream, and as a slow sweep: the only defence against a
 * silently lost event (INV-4). What the exchange lists and this store never sent is counted, never touched.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import * as Decimal from "../domain/Decimal.ts"
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
            (error) => error.reason._tag === "OrderUnknown" || error.reason._tag === "Archived",
            (error) =>
              Effect.as(
                Effect.logWarning("an open order is unknown to the exchange", {
                  orderId: row.orderId,
                  code: error.reason._tag
                }),
                null
              )
          )
        )
        if (found !== null) yield* settlement.record(row.orderId, found.report)
      })

      // Listed there, and not open here.
      const adopt = Effect.fnUntraced(function* (found: FoundOrder) {
        const row = yield* blotter.findByClientOrderId(found.clientOrderId)
        if (row === null) return "foreign" as const
        const stream = yield* settlement.record(row.orderId, found.report)
        if (stream.order.status === "EXECUTING") return "adopted" as const
        if (stream.order.status === "PENDING") return "known" as const
        // Our log says it ended, so nobody watches it: it must not stay in the book.
        yield* Effect.logError("an order that ended here is open at the exchange; it is cancelled there", {
          orderId: row.orderId
        })
        const cancelled = yield* client.cancelOrder({ symbol: row.symbol, clientOrderId: found.clientOrderId })
        yield* settlement.record(row.orderId, cancelled)
        return "adopted" as const
      })

      const compare = Effect.gen(function* () {
        const begun = yield* Clock.currentTimeMillis
        const listed = new Map((yield* client.openOrders()).map((found) => [found.clientOrderId, found]))
        const openOrders = listed.size
        let fillsBooked = 0
        let after: string | null = null
        while (true) {
          const rows: ReadonlyArray<BlotterRow> = yield* blotter.open({ after, limit: pageSize })
          yield* Effect.forEach(
            rows,
            (row) =>
              Effect.gen(function* () {
                const found = listed.get(row.clientOrderId)
                listed.delete(row.clientOrderId)
                if (found === undefined) {
                  if (row.updatedAt < begun - settleMillis) yield* askWhatBecame(row)
                } else if (Decimal.isGreater(found.report.executedQuantity, Decimal.decimal(row.filledQuantity))) {
                  yield* settlement.record(row.orderId, found.report)
                  fillsBooked += 1
                }
              }),
            { concurrency, discard: true }
          )
          after = rows.at(-1)?.orderId ?? null
          if (rows.length < pageSize) break
        }
        const kinds = yield* Effect.forEach(listed.values(), adopt, { concurrency })
        return {
          openOrders,
          fillsBooked,
          adopted: kinds.filter((kind) => kind === "adopted").length,
          foreign: kinds.filter((kind) => kind === "foreign").length
        }
      })

      return OpenOrders.of({ compare })
    })
  )
}
