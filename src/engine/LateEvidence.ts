/**
 * What the exchange says after an operator has ended an order by decision. It is booked like all news; where it
 * speaks against the decision it is also an alarm: a line of the log and a counter, once per order and kind of news.
 */
import { Effect } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { OrderEvent } from "../domain/Event.ts"
import type { OrderId } from "../domain/Ids.ts"
import type { OrderStream } from "../domain/Order.ts"
import { isEnded } from "../domain/Order.ts"
import { ends } from "../domain/reconcile.ts"

// Decisions are rare. Beyond this the oldest may be told of a second time.
const remembered = 1_000

export const makeLateEvidence = () => {
  // Owned here: what was told of already.
  const told = new Set<string>()
  let count = 0

  const alarm = (orderId: OrderId, stream: OrderStream, what: string): Effect.Effect<void> => {
    const key = `${orderId} ${what}`
    if (told.has(key)) return Effect.void
    told.add(key)
    if (told.size > remembered) for (const oldest of told) if (told.delete(oldest)) break
    count += 1
    return Effect.logError(`the exchange speaks against an operator's decision: ${what}`, {
      orderId,
      status: stream.order.status,
      decision: stream.order.reason?.message
    })
  }

  /** Call with all news that was told of an order, after it is booked. */
  const observe = (
    orderId: OrderId,
    { events, stream }: { readonly stream: OrderStream; readonly events: ReadonlyArray<OrderEvent> },
    report: ExchangeReport
  ): Effect.Effect<void> => {
    // One comparison on the path of all news.
    if (stream.order.reason?.code !== "OPERATOR" || !isEnded(stream.order)) return Effect.void
    const trades = events.flatMap((event) => (event._tag === "OrderFilled" ? [event.tradeId] : []))
    if (trades.length > 0) return alarm(orderId, stream, `executed after all: trade ${trades.join(", ")}`)
    if (!ends.has(report.exchangeStatus)) {
      return alarm(orderId, stream, `the order is open there as ${report.exchangeOrderId}`)
    }
    const completed = report.exchangeStatus === "FILLED"
    return completed === (stream.order.status === "COMPLETED")
      ? Effect.void
      : alarm(orderId, stream, `the order ended there as ${report.exchangeStatus}`)
  }

  return { observe, count: () => count }
}
