/**
 * Compares the orders open at the exchange with the orders open in the log, and repairs what differs:
 * fills that never arrived, ends that nobody told, orders that were thought absent.
 *
 * Runs at start, after every gap of the user stream, and as a slow sweep: the only defence against a silently lost
 * event (INV-4). What the exchange lists and this store never sent goes to ForeignOrders.ts; what is open here and
 * not listed there, to VanishedOrders.ts. What was found is kept for everybody to read.
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
import type { Difference, ReconciliationReport } from "../sql/Findings.ts"
import { Findings } from "../sql/Findings.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { AmendedOrders } from "./AmendedOrders.ts"
import { ForeignOrders } from "./ForeignOrders.ts"
import { Settlement } from "./Settlement.ts"
import { VanishedOrders } from "./VanishedOrders.ts"

const pageSize = 500
// Questions to the exchange at a time; the permits pace them further.
const concurrency = 4
/** An order that changed this recently may be missing from a list that was asked before. */
export const settleMillis = 2_000
// Differences kept in a report; the log has all of them.
const keptDifferences = 100

export interface Comparison extends ReconciliationReport {
  /** Orders that changed too recently to be judged by what is not listed: the next comparison looks at them. */
  readonly fresh: number
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
      const amendedOrders = yield* AmendedOrders
      const blotter = yield* Blotter
      const client = yield* BinanceClient
      const findings = yield* Findings
      const foreign = yield* ForeignOrders
      const settlement = yield* Settlement
      const vanished = yield* VanishedOrders

      // Listed there, and not open here. Lists lag, so nothing is done to an order before it was asked for itself.
      const adopt = Effect.fnUntraced(
        function* (listed: FoundOrder, begun: EpochMillis) {
          const row = yield* blotter.findByClientOrderId(listed.clientOrderId)
          if (row === null) return "foreign" as const
          // It was open or ended while the list was on its way; the next comparison looks at it again.
          if (row.updatedAt >= begun - settleMillis) return "known" as const
          const found = yield* amendedOrders.ask(row)
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

      // Listed there and open here. A list may be old: what speaks against our sums is asked for once more.
      const compareListed = Effect.fnUntraced(function* (row: BlotterRow, listed: FoundOrder) {
        const filled = Decimal.decimal(row.filledQuantity)
        if (Decimal.equals(filled, listed.report.executedQuantity)) return null
        const found = Decimal.isGreater(listed.report.executedQuantity, filled) ? listed : yield* amendedOrders.ask(row)
        const { order } = yield* settlement.adopt(row.orderId, found)
        const { executedQuantity } = found.report
        return {
          repaired: !Decimal.equals(order.filledQuantity, filled),
          // The stream may have gone on meanwhile, the exchange may not have gone back.
          what: Decimal.isLess(order.filledQuantity, executedQuantity)
            ? `executed ${Decimal.format(executedQuantity)}, and its trades sum to ${Decimal.format(order.filledQuantity)}`
            : Decimal.isGreater(filled, executedQuantity)
              ? `booked ${Decimal.format(filled)}, and the exchange has executed ${Decimal.format(executedQuantity)}`
              : null
        }
      })

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
        const byExchangeId = new Map(
          Array.from(listed.values(), (found) => [exchangeKey(found.symbol, found.report), found])
        )
        // Amended elsewhere it has another client order id, and is ours nevertheless.
        const take = (row: BlotterRow): FoundOrder | undefined => {
          const amended = byExchangeId.get(exchangeKey(row.symbol, row))
          const found =
            listed.get(row.clientOrderId) ??
            (amended !== undefined && amendedOrders.recognise(row, amended) ? amended : undefined)
          if (found !== undefined) listed.delete(found.clientOrderId)
          return found
        }
        const differences: Array<Difference> = []
        const gone: Array<BlotterRow> = []
        let compared = 0
        let repaired = 0
        let failed = 0
        let fresh = 0
        let after: string | null = null
        do {
          const rows: ReadonlyArray<BlotterRow> = yield* blotter.open({ after, limit: pageSize })
          compared += rows.length
          const pairs = rows.flatMap((row) => {
            const found = take(row)
            if (found === undefined && row.updatedAt < begun - settleMillis) gone.push(row)
            else if (found === undefined) fresh += 1
            return found === undefined ? [] : [{ row, found }]
          })
          const outcomes = yield* Effect.forEach(
            pairs,
            ({ found, row }) => alone(Effect.map(compareListed(row, found), (outcome) => ({ row, outcome }))),
            { concurrency }
          )
          for (const one of outcomes) {
            if (Option.isNone(one)) failed += 1
            else if (one.value.outcome !== null) {
              const { outcome, row } = one.value
              if (outcome.repaired) repaired += 1
              if (outcome.what !== null) differences.push({ orderId: row.orderId, what: outcome.what })
            }
          }
          after = rows.length < pageSize ? null : (rows.at(-1)?.orderId ?? null)
        } while (after !== null)

        const settled = yield* vanished.settle(gone)
        const strangers: Array<FoundOrder> = []
        const kinds = yield* Effect.forEach(
          listed.values(),
          (found) =>
            alone(
              Effect.tap(adopt(found, begun), (kind) =>
                Effect.sync(() => void (kind === "foreign" && strangers.push(found)))
              )
            ),
          { concurrency }
        )
        yield* foreign.listed(strangers, begun)
        const report: ReconciliationReport = {
          at: begun,
          listed: openOrders,
          compared,
          adopted: kinds.filter((kind) => Option.isSome(kind) && kind.value === "adopted").length,
          repaired: repaired + settled.repaired,
          foreign: strangers.length,
          missing: settled.missing.length,
          failed: failed + settled.failed + kinds.filter(Option.isNone).length,
          differences: [
            ...differences,
            ...settled.missing.map((orderId) => ({ orderId, what: "open here, unknown to the exchange" })),
            ...(yield* settlement.takeAlarms)
          ].slice(0, keptDifferences)
        }
        yield* findings.saveReport(report)
        return { ...report, fresh }
      })

      return OpenOrders.of({ compare })
    })
  )
}

const exchangeKey = (symbol: string, { exchangeOrderId }: { readonly exchangeOrderId: string | null }): string =>
  `${symbol} ${exchangeOrderId}`
