/**
 * Books what the exchange says of one order, by whichever way it came: the answer to a submission, the
 * user stream, or a query. Where the news says more was executed than its trades show, the trades are
 * fetched before the order can end (INV-7); where the trades cost another sum than the exchange says, that
 * is an alarm; where a cancel is wanted and the order turns out to be open, the cancel goes on its way.
 */
import { Clock, Context, Effect, Layer, Result } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import { tradesFrom } from "../binance/SymbolHistory.ts"
import { isTheOneWeSent } from "../binance/translate.ts"
import type { ExchangeReport } from "../domain/Command.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { EpochMillis, OrderId } from "../domain/Ids.ts"
import type { OrderStream } from "../domain/Order.ts"
import { isEnded, isOpen } from "../domain/Order.ts"
import type { Rejection } from "../domain/Rejection.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import type { Difference } from "../sql/Findings.ts"
import { Cancels } from "./Cancels.ts"
import { Engine } from "./Engine.ts"
import { sumDifference } from "./sumDifference.ts"

// Trades may be a moment behind the order that they fill.
const tradeFetches = 3
const tradePauseMillis = 200
// Answers of one order: a hundred thousand trades.
const pages = 100
// Alarms kept for the next report; the log has all of them.
const keptAlarms = 100
// Whoever fetches may hold a worker, and the sweep comes back to what was not fetched.
const fetchTimeout = "10 seconds"

export class Settlement extends Context.Service<
  Settlement,
  {
    /** Books the news; the order after it. `attempt`: whose answer this is, where it is one. */
    readonly record: (
      orderId: OrderId,
      report: ExchangeReport,
      attempt?: number
    ) => Effect.Effect<OrderStream, Rejection>
    /** Books an order that was found at the exchange, if it is the one we sent; else parks ours. */
    readonly adopt: (orderId: OrderId, found: FoundOrder) => Effect.Effect<OrderStream, Rejection | StoreUnavailable>
    /** Ends an order that the exchange has archived: accepted, nothing executed, ended, and older than it remembers. */
    readonly endArchived: (order: {
      readonly orderId: OrderId
      readonly exchangeOrderId: string | null
      readonly placedAt: EpochMillis
    }) => Effect.Effect<OrderStream, Rejection>
    /** Sums that stay wrong, since they were last taken. */
    readonly takeAlarms: Effect.Effect<ReadonlyArray<Difference>>
  }
>()("nexus/engine/Settlement") {
  static readonly layer = Layer.effect(
    Settlement,
    Effect.gen(function* () {
      const cancels = yield* Cancels
      const client = yield* BinanceClient
      const engine = yield* Engine

      const alarms: Array<Difference> = []

      const alarm = Effect.fnUntraced(function* (orderId: OrderId, what: string) {
        yield* Effect.logError(`an order's trades do not add up: ${what}`, { orderId })
        if (alarms.length < keptAlarms) alarms.push({ orderId, what })
      })

      const tradesOf = (symbol: string, exchangeOrderId: string) =>
        Effect.map(tradesFrom(client, symbol, { exchangeOrderId }, pages), ({ trades }) => trades)

      const record = Effect.fn("Settlement.record")(function* (
        orderId: OrderId,
        report: ExchangeReport,
        attempt?: number
      ) {
        const tell = (news: ExchangeReport) =>
          Effect.flatMap(Clock.currentTimeMillis, (at) =>
            engine.tell(orderId, {
              _tag: "RecordReport",
              at,
              report: news,
              ...(attempt === undefined ? {} : { attempt })
            })
          )
        const first = yield* tell(report)
        let { stream } = first
        let isNews = first.events.length > 0
        for (let fetch = 0; fetch < tradeFetches && lacksTrades(stream, report); fetch++) {
          if (fetch > 0) yield* Effect.sleep(tradePauseMillis * fetch)
          const symbol = stream.order.request?.symbol ?? ""
          const trades = yield* Effect.result(Effect.timeout(tradesOf(symbol, report.exchangeOrderId), fetchTimeout))
          // The sweep over open orders asks again; an order whose trades are unknown does not end.
          if (Result.isFailure(trades)) {
            yield* Effect.logWarning(`the trades of an order could not be fetched: ${trades.failure.message}`, {
              orderId
            })
            break
          }
          const told = yield* tell({ ...report, fills: trades.success })
          stream = told.stream
          isNews ||= told.events.length > 0
        }
        // The same sums of the same news were judged when it was new.
        const difference = isNews ? sumDifference(stream.order, report) : null
        if (difference !== null) yield* alarm(orderId, difference)
        const { cancelRefused, cancelRequested } = stream.order
        if (isOpen(stream.order) && cancelRequested && !cancelRefused) yield* cancels.want(orderId)
        return stream
      })

      const adopt = Effect.fn("Settlement.adopt")(function* (orderId: OrderId, found: FoundOrder) {
        const stream = yield* engine.read(orderId)
        const request = stream?.order.request ?? null
        const known = stream?.order.exchangeOrderId ?? null
        if (request === null || isTheOneWeSent(request, found, known)) {
          // Found by a log that has lost its attempt: it was sent when the exchange made it, not when it changed last.
          const isMadeUp = stream?.order.attempt === null && found.createdAt !== undefined
          return yield* record(orderId, isMadeUp ? { ...found.report, transactTime: found.createdAt } : found.report)
        }
        const reason = "the exchange has another order under this order's client order id"
        yield* Effect.logError(reason, { orderId, exchangeOrderId: found.report.exchangeOrderId })
        const told = yield* engine.tell(orderId, {
          _tag: "ParkOrder",
          at: yield* Clock.currentTimeMillis,
          reason,
          record: found.report.exchangeOrderId
        })
        return told.stream
      })

      const endArchived: Settlement["Service"]["endArchived"] = ({ exchangeOrderId, orderId, placedAt }) =>
        record(orderId, {
          exchangeOrderId: exchangeOrderId ?? "archived",
          exchangeStatus: "CANCELED",
          expiryReason: "ARCHIVED",
          executedQuantity: Decimal.zero,
          executedQuote: Decimal.zero,
          transactTime: placedAt,
          fills: [],
          source: "query"
        })

      return Settlement.of({ record, adopt, endArchived, takeAlarms: Effect.sync(() => alarms.splice(0)) })
    })
  )
}

const lacksTrades = ({ order }: OrderStream, report: ExchangeReport): boolean =>
  Decimal.isLess(order.filledQuantity, report.executedQuantity) &&
  (!isEnded(order) || order.exchangeOrderId === null || order.exchangeOrderId === report.exchangeOrderId)
