/**
 * Books what the exchange says of one order, by whichever way it came: the answer to a submission, the
 * user stream, or a query. Where the news says more was executed than its trades show, the trades are
 * fetched before the order can end (INV-7); where a cancel is wanted and the order turns out to be open,
 * the cancel goes on its way.
 */
import { Clock, Context, Effect, Layer, Queue, Result } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { ExchangeReport } from "../domain/Command.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderId } from "../domain/Ids.ts"
import type { OrderStream } from "../domain/Order.ts"
import { isEnded, isOpen } from "../domain/Order.ts"
import type { Rejection } from "../domain/Rejection.ts"
import { Engine } from "./Engine.ts"

// Cancels that wait for a fiber; what does not fit stays in the log, and the sweep brings it back.
const cancelQueueSize = 4_096
// Trades may be a moment behind the order that they fill.
const tradeFetches = 3
const tradePauseMillis = 200

export class Settlement extends Context.Service<
  Settlement,
  {
    /** Books the news; the order after it. */
    readonly record: (orderId: OrderId, report: ExchangeReport) => Effect.Effect<OrderStream, Rejection>
    /** The order has a cancel to deliver; nothing happens if it stands in line already. */
    readonly wantCancel: (orderId: OrderId) => Effect.Effect<void>
    readonly takeCancel: Effect.Effect<OrderId>
  }
>()("nexus/engine/Settlement") {
  static readonly layer = Layer.effect(
    Settlement,
    Effect.gen(function* () {
      const client = yield* BinanceClient
      const engine = yield* Engine
      const cancels = yield* Queue.dropping<OrderId>(cancelQueueSize)
      const inLine = new Set<OrderId>()

      const wantCancel = (orderId: OrderId) =>
        Effect.sync(() => {
          if (inLine.has(orderId)) return
          if (Queue.offerUnsafe(cancels, orderId)) inLine.add(orderId)
        })

      const takeCancel = Effect.tap(Queue.take(cancels), (orderId) => Effect.sync(() => inLine.delete(orderId)))

      const record = Effect.fn("Settlement.record")(function* (orderId: OrderId, report: ExchangeReport) {
        let { stream } = yield* engine.tell(orderId, {
          _tag: "RecordReport",
          at: yield* Clock.currentTimeMillis,
          report
        })
        for (let fetch = 0; fetch < tradeFetches && lacksTrades(stream, report); fetch++) {
          if (fetch > 0) yield* Effect.sleep(tradePauseMillis * fetch)
          const trades = yield* Effect.result(
            client.myTrades({
              symbol: stream.order.request?.symbol ?? "",
              exchangeOrderId: report.exchangeOrderId
            })
          )
          // The sweep over open orders asks again; an order whose trades are unknown does not end.
          if (Result.isFailure(trades)) {
            yield* Effect.logWarning("the trades of an order could not be fetched", { orderId }, trades.failure)
            break
          }
          const fuller = { ...report, fills: trades.success }
          stream = (yield* engine.tell(orderId, {
            _tag: "RecordReport",
            at: yield* Clock.currentTimeMillis,
            report: fuller
          })).stream
        }
        const { cancelRefused, cancelRequested } = stream.order
        if (isOpen(stream.order) && cancelRequested && !cancelRefused) yield* wantCancel(orderId)
        return stream
      })

      return Settlement.of({ record, wantCancel, takeCancel })
    })
  )
}

const lacksTrades = ({ order }: OrderStream, report: ExchangeReport): boolean =>
  Decimal.isLess(order.filledQuantity, report.executedQuantity) &&
  (!isEnded(order) || order.exchangeOrderId === report.exchangeOrderId)
