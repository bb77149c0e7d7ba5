/**
 * Orders that are open here and that the exchange lists as open no more: they ended, or the list was old.
 *
 * A few are asked for one by one. Many of one symbol, as after an outage, are read from its lists of orders and of
 * trades, a thousand a page, and only what those do not show is asked for by itself. An order that the exchange does
 * not know is asked for twice, since answers lag, and is then reported as missing: never as ended.
 */
import { Context, Effect, Layer, Result } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { ordersFrom, tradesFrom } from "../binance/SymbolHistory.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { Fill } from "../domain/Event.ts"
import type { OrderId } from "../domain/Ids.ts"
import { ends } from "../domain/reconcile.ts"
import type { Rejection } from "../domain/Rejection.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { AmendedOrders } from "./AmendedOrders.ts"
import { Resets } from "./Resets.ts"
import { Settlement } from "./Settlement.ts"

// One question costs 4 and a page of a list 20: below this many, asking is the cheaper way.
const fewOrders = 20
const questionsPerPage = 5
// Questions at a time; the permits pace them further.
const concurrency = 4
// Appends at a time, where the answers are there already.
const bookingConcurrency = 32
// Between the two questions about an order that the exchange does not know.
const secondLookMillis = 1_000

type Failure = BinanceError | StoreUnavailable | Rejection

export interface Settled {
  /** Fills or an end were booked. */
  readonly repaired: number
  /** The exchange knows them by no question. */
  readonly missing: ReadonlyArray<OrderId>
  /** Questions without an answer. */
  readonly failed: number
}

export class VanishedOrders extends Context.Service<
  VanishedOrders,
  { readonly settle: (rows: ReadonlyArray<BlotterRow>) => Effect.Effect<Settled> }
>()("nexus/engine/VanishedOrders") {
  static readonly layer = Layer.effect(
    VanishedOrders,
    Effect.gen(function* () {
      const amendedOrders = yield* AmendedOrders
      const client = yield* BinanceClient
      const resets = yield* Resets
      const settlement = yield* Settlement

      // True: something of it was new.
      const book = Effect.fnUntraced(function* (row: BlotterRow, found: FoundOrder) {
        const { order } = yield* settlement.adopt(row.orderId, found)
        return order.status !== row.status || !Decimal.equals(order.filledQuantity, Decimal.decimal(row.filledQuantity))
      })

      const tell = (error: Failure, row: BlotterRow) =>
        Effect.logWarning(`an order could not be compared with the exchange: ${error.message}`, {
          orderId: row.orderId
        })

      const ask = Effect.fnUntraced(function* (row: BlotterRow) {
        const answer = yield* Effect.result(Effect.flatMap(amendedOrders.ask(row), (found) => book(row, found)))
        if (Result.isSuccess(answer)) return answer.success ? ("repaired" as const) : ("same" as const)
        const error = answer.failure
        if (error._tag === "BinanceError" && error.reason._tag === "OrderUnknown") return "unknown" as const
        if (error._tag === "BinanceError" && error.reason._tag === "Archived") {
          // Ended, executed nothing, and older than the exchange remembers: its own word.
          const ended = yield* Effect.result(settlement.endArchived(row))
          if (Result.isSuccess(ended)) return "repaired" as const
        }
        yield* tell(error, row)
        return "failed" as const
      })

      const askAll = (rows: ReadonlyArray<BlotterRow>) =>
        Effect.forEach(rows, (row) => Effect.map(ask(row), (answer) => ({ row, answer })), { concurrency })

      const oneByOne = Effect.fnUntraced(function* (rows: ReadonlyArray<BlotterRow>) {
        const first = yield* askAll(rows)
        const unknown = first.filter(({ answer }) => answer === "unknown").map(({ row }) => row)
        if (unknown.length > 0) yield* Effect.sleep(secondLookMillis)
        const second = yield* askAll(unknown)
        const answers = [...first, ...second]
        const missing = second.filter(({ answer }) => answer === "unknown").map(({ row }) => row.orderId)
        if (missing.length > 0) {
          yield* Effect.logWarning("open orders are unknown to the exchange", {
            count: missing.length,
            missing: missing.slice(0, 10)
          })
        }
        return {
          repaired: answers.filter(({ answer }) => answer === "repaired").length,
          failed: answers.filter(({ answer }) => answer === "failed").length,
          missing
        }
      })

      // Trades of many orders at once; of those that it does not show, they are fetched order by order when booked.
      const tradesOf = Effect.fnUntraced(function* (symbol: string, moved: ReadonlyArray<Listed>) {
        const byOrder = new Map<string, Array<Fill>>()
        if (moved.length < fewOrders) return byOrder
        const since = Math.min(...moved.map(({ row }) => row.attempt?.timestamp ?? row.placedAt))
        // The list goes one day from its start: what is older is fetched order by order.
        const pages = Math.floor(moved.length / questionsPerPage)
        const { trades } = yield* tradesFrom(client, symbol, { startTime: since }, pages)
        for (const { exchangeOrderId, ...fill } of trades) {
          const fills = byOrder.get(exchangeOrderId)
          if (fills === undefined) byOrder.set(exchangeOrderId, [fill])
          else fills.push(fill)
        }
        return byOrder
      })

      const byLists = Effect.fnUntraced(function* (symbol: string, rows: ReadonlyArray<BlotterRow>) {
        const known = rows.filter(({ exchangeOrderId }) => exchangeOrderId !== null)
        const oldest = known.reduce(
          (least, { exchangeOrderId }) => min(least, exchangeOrderId!),
          known[0]?.exchangeOrderId ?? "0"
        )
        const pages = Math.floor(rows.length / questionsPerPage)
        const { orders } = yield* ordersFrom(client, symbol, { id: oldest }, pages)
        const found = new Map(orders.map((order) => [order.report.exchangeOrderId, order]))
        const listed = rows.flatMap((row) => {
          const order = found.get(row.exchangeOrderId ?? "")
          return order !== undefined &&
            (order.clientOrderId === row.clientOrderId || amendedOrders.recognise(row, order))
            ? [{ row, order }]
            : []
        })
        // Open in this list too: the other one was old.
        const ended = listed.filter(({ order }) => ends.has(order.report.exchangeStatus))
        const moved = ended.filter(({ order, row }) =>
          Decimal.isGreater(order.report.executedQuantity, Decimal.decimal(row.filledQuantity))
        )
        const trades = yield* tradesOf(symbol, moved)
        const booked = yield* Effect.forEach(
          ended,
          ({ order, row }) => {
            const fills = trades.get(order.report.exchangeOrderId) ?? []
            return book(row, { ...order, report: { ...order.report, fills } }).pipe(
              Effect.catch((error) => Effect.as(tell(error, row), null))
            )
          },
          { concurrency: bookingConcurrency }
        )
        const shown = new Set(listed.map(({ row }) => row.orderId))
        const hidden = rows.filter(({ orderId }) => !shown.has(orderId))
        // An exchange that has forgotten everything need not be asked a thousand times.
        const isAsked = hidden.length < fewOrders || (yield* resets.intact)
        const rest: Settled = isAsked
          ? yield* oneByOne(hidden)
          : { repaired: 0, failed: 0, missing: hidden.map(({ orderId }) => orderId) }
        return {
          repaired: rest.repaired + booked.filter((isNew) => isNew === true).length,
          failed: rest.failed + booked.filter((isNew) => isNew === null).length,
          missing: rest.missing
        }
      })

      const settle = Effect.fn("VanishedOrders.settle")(function* (rows: ReadonlyArray<BlotterRow>) {
        const parts: Array<Settled> = []
        for (const [symbol, ofSymbol] of Map.groupBy(rows, (row) => row.symbol)) {
          parts.push(
            ofSymbol.length < fewOrders
              ? yield* oneByOne(ofSymbol)
              : yield* Effect.catch(byLists(symbol, ofSymbol), (error) =>
                  Effect.as(Effect.logWarning(`the orders of ${symbol} could not be compared: ${error.message}`), {
                    repaired: 0,
                    missing: [],
                    failed: ofSymbol.length
                  })
                )
          )
        }
        return {
          repaired: parts.reduce((sum, { repaired }) => sum + repaired, 0),
          failed: parts.reduce((sum, { failed }) => sum + failed, 0),
          missing: parts.flatMap(({ missing }) => missing)
        }
      })

      return VanishedOrders.of({ settle })
    })
  )
}

interface Listed {
  readonly row: BlotterRow
  readonly order: FoundOrder
}

const min = (one: string, other: string): string => (BigInt(one) < BigInt(other) ? one : other)
