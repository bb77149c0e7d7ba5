/**
 * Settles attempts whose outcome nobody knows, by asking the exchange and never by guessing.
 *
 * A positive answer is adopted at once. A negative one counts only after timestamp + recvWindow + δ + T on
 * the exchange's clock, and only if open orders, all orders and trades of the symbol, asked once per symbol,
 * say the same (domain/reconcile.ts decides). Until then the order stays visibly UNKNOWN (INV-3, INV-8).
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { AppConfig } from "../config.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { EpochMillis, OrderId } from "../domain/Ids.ts"
import type { Margins, Question } from "../domain/reconcile.ts"
import { conclusiveAt, reconcile } from "../domain/reconcile.ts"
import type { Rejection } from "../domain/Rejection.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { Engine } from "./Engine.ts"
import { Settlement } from "./Settlement.ts"

const pageSize = 500
const pages = 20
// Between two questions about one order, doubling: an order that exists is usually visible at once.
const askPauseMillis = 1_000
const askPauseMaxMillis = 15_000
const concurrency = 4
// Rows of a list answer, and how many lists are read before a symbol is taken for too busy to judge.
const listSize = 1_000
const lists = 20
// Orders of trades that no list showed, looked up one by one.
const strangers = 50
// Half of what a list sees from its start: attempts further apart are surveyed apart.
const windowMillis = 12 * 3_600_000
// The exchange's nodes need not agree to the second.
const clockMarginMillis = 1_000

type Failure = BinanceError | StoreUnavailable | Rejection

interface Waiting {
  readonly notBefore: EpochMillis
  readonly pause: number
}

export class Doubts extends Context.Service<
  Doubts,
  {
    /**
     * One look at every attempt in doubt; how many there were. An answer that proves nothing is asked about at once,
     * an attempt without any answer only if it started before this moment: its sender may still be waiting.
     */
    readonly settle: (startedBefore: EpochMillis) => Effect.Effect<number, Failure>
  }
>()("nexus/engine/Doubts") {
  static readonly layer = Layer.effect(
    Doubts,
    Effect.gen(function* () {
      const { margins } = yield* AppConfig
      const blotter = yield* Blotter
      const client = yield* BinanceClient
      const engine = yield* Engine
      const serverTime = yield* ServerTime
      const settlement = yield* Settlement
      const limits: Margins = { deltaMillis: margins.delta_ms, stalenessMillis: margins.staleness_ms }
      // When each order is asked about again; owned by the one caller of `settle`.
      let waiting = new Map<OrderId, Waiting>()

      const allInDoubt = Effect.fnUntraced(function* (startedBefore: EpochMillis) {
        const now = yield* Clock.currentTimeMillis
        const found: Array<BlotterRow> = []
        let after: string | null = null
        for (let page = 0; page < pages; page++) {
          const rows: ReadonlyArray<BlotterRow> = yield* blotter.inDoubt({ startedBefore: now, limit: pageSize, after })
          found.push(...rows.filter((row) => isAnswered(row) || (row.attempt?.startedAt ?? 0) <= startedBefore))
          if (rows.length < pageSize) break
          after = rows.at(-1)?.orderId ?? null
        }
        return found
      })

      // P3: the plain question. A failed one proves nothing and holds back nobody but its own order.
      const ask = (row: BlotterRow) =>
        client.queryOrder(row).pipe(
          Effect.flatMap((found) => settlement.adopt(row.orderId, found)),
          Effect.as("found" as const),
          Effect.catch((error) => {
            const reason = error._tag === "BinanceError" ? error.reason._tag : null
            if (reason === "OrderUnknown") return Effect.succeed("not found" as const)
            if (reason === "Archived") return Effect.as(endArchived(row), "found" as const)
            return Effect.as(
              Effect.logWarning(`an order in doubt could not be asked for: ${error.message}`, { orderId: row.orderId }),
              "failed" as const
            )
          })
        )

      // Accepted, nothing executed, ended, and older than the exchange remembers: its own word, hence an end.
      const endArchived = Effect.fnUntraced(function* (row: BlotterRow) {
        yield* Effect.catch(
          settlement.record(row.orderId, {
            exchangeOrderId: row.exchangeOrderId ?? "archived",
            exchangeStatus: "CANCELED",
            expiryReason: "ARCHIVED",
            executedQuantity: Decimal.zero,
            executedQuote: Decimal.zero,
            transactTime: row.attempt?.timestamp ?? 0,
            fills: [],
            source: "query"
          }),
          (error) =>
            Effect.logWarning(`an archived order could not be ended: ${error.message}`, { orderId: row.orderId })
        )
      })

      // P5: what the symbol's lists say. Every order of ours that any of them shows is in `found`.
      const survey = Effect.fnUntraced(function* (symbol: string, since: EpochMillis) {
        const found = new Map<string, FoundOrder>()
        const asked: Array<Question> = ["order"]
        const known = new Set<string>()
        const keep = (orders: ReadonlyArray<FoundOrder>) => {
          for (const order of orders) {
            found.set(order.clientOrderId, order)
            known.add(order.report.exchangeOrderId)
          }
        }
        keep(yield* client.openOrders(symbol))
        asked.push("openOrders")

        let page = yield* client.allOrders({ symbol, startTime: since, limit: listSize })
        keep(page)
        for (let list = 1; page.length === listSize && list < lists; list++) {
          page = yield* client.allOrders({
            symbol,
            orderId: next(page.at(-1)!.report.exchangeOrderId),
            limit: listSize
          })
          keep(page)
        }
        if (page.length < listSize) asked.push("allOrders")

        let trades = yield* client.myTrades({ symbol, startTime: since, limit: listSize })
        const traded = new Set(trades.map((trade) => trade.exchangeOrderId))
        for (let list = 1; trades.length === listSize && list < lists; list++) {
          trades = yield* client.myTrades({ symbol, fromId: next(trades.at(-1)!.tradeId), limit: listSize })
          for (const trade of trades) traded.add(trade.exchangeOrderId)
        }
        const unknown = Array.from(traded).filter((exchangeOrderId) => !known.has(exchangeOrderId))
        for (const orderId of unknown.slice(0, strangers)) {
          keep(yield* client.allOrders({ symbol, orderId, limit: 1 }))
        }
        // A trade whose order nobody shows may be the very one that is looked for.
        if (trades.length < listSize && unknown.every((exchangeOrderId) => known.has(exchangeOrderId))) {
          asked.push("myTrades")
        }
        return { found, asked }
      })

      const settleSymbol = Effect.fnUntraced(function* (symbol: string, rows: ReadonlyArray<BlotterRow>) {
        // Before the first question, at the pessimistic end of our estimate.
        const askedAt = (yield* serverTime.pessimisticNow) - clockMarginMillis
        const answers = yield* Effect.forEach(rows, (row) => Effect.map(ask(row), (answer) => ({ row, answer })), {
          concurrency
        })
        const ripe = answers.flatMap(({ answer, row }) =>
          answer === "not found" && row.attempt !== null && askedAt > conclusiveAt(row.attempt, limits)
            ? [{ row, timestamp: row.attempt.timestamp }]
            : []
        )
        yield* Effect.forEach(windowsOf(ripe), (window) => prove(symbol, window, askedAt), { discard: true })
      })

      const prove = Effect.fnUntraced(function* (symbol: string, ripe: ReadonlyArray<Ripe>, askedAt: EpochMillis) {
        const since = Math.min(...ripe.map(({ timestamp }) => timestamp)) - clockMarginMillis
        const { asked, found } = yield* survey(symbol, since)
        for (const { row } of ripe) {
          const order = found.get(row.clientOrderId)
          if (order !== undefined) {
            yield* settlement.adopt(row.orderId, order)
            continue
          }
          const stream = yield* engine.read(row.orderId)
          if (stream === null) continue
          const at = yield* Clock.currentTimeMillis
          const verdict = reconcile(stream.order, { _tag: "NotFound", askedAt, asked }, limits, at)
          if (verdict._tag === "Record") yield* engine.tell(row.orderId, verdict.command)
        }
      })

      const settle = Effect.fn("Doubts.settle")(function* (startedBefore: EpochMillis) {
        const rows = yield* allInDoubt(startedBefore)
        const now = yield* Clock.currentTimeMillis
        const due = rows.filter((row) => (waiting.get(row.orderId)?.notBefore ?? 0) <= now)
        const next = new Map<OrderId, Waiting>()
        for (const row of rows) {
          const before = waiting.get(row.orderId)
          if (before !== undefined && before.notBefore > now) {
            next.set(row.orderId, before)
            continue
          }
          const pause = Math.min((before?.pause ?? askPauseMillis / 2) * 2, askPauseMaxMillis)
          // Not slept past the moment from which a no is conclusive.
          const ripe = row.attempt === null ? 0 : conclusiveAt(row.attempt, limits) + 2 * clockMarginMillis
          const notBefore = ripe > now ? Math.min(now + pause, ripe) : now + pause
          next.set(row.orderId, { pause, notBefore })
        }
        waiting = next
        const bySymbol = new Map<string, Array<BlotterRow>>()
        for (const row of due) bySymbol.set(row.symbol, [...(bySymbol.get(row.symbol) ?? []), row])
        yield* Effect.forEach(
          bySymbol,
          ([symbol, doubtful]) =>
            Effect.catch(settleSymbol(symbol, doubtful), (error: Failure) =>
              Effect.logWarning(`the doubts of ${symbol} could not be settled yet: ${error.message}`)
            ),
          { discard: true }
        )
        return rows.length
      })

      return Doubts.of({ settle })
    })
  )
}

interface Ripe {
  readonly row: BlotterRow
  readonly timestamp: EpochMillis
}

/** Groups attempts so that one survey, which sees 24 hours from its start, covers every attempt of a group. */
const windowsOf = (ripe: ReadonlyArray<Ripe>): ReadonlyArray<ReadonlyArray<Ripe>> => {
  const windows: Array<Array<Ripe>> = []
  for (const one of ripe.toSorted((a, b) => a.timestamp - b.timestamp)) {
    const window = windows.at(-1)
    if (window === undefined || one.timestamp - window[0]!.timestamp > windowMillis) windows.push([one])
    else window.push(one)
  }
  return windows
}

const isAnswered = ({ attempt }: BlotterRow): boolean => attempt?.state === "UNKNOWN"

const next = (id: string): string => `${BigInt(id) + 1n}`
