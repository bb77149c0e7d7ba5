/**
 * Whether the exchange still remembers what it has told us. A testnet forgets everything about once a month, without
 * a word: then "unknown" says nothing of an order, and sending it again could buy what was bought before.
 *
 * Sentinels answer it: the oldest orders of ours that the exchange has accepted since it last forgot. The oldest one
 * known proves that nothing was forgotten; a younger one proves it only by an id above that of an older one, for
 * after a reset ids begin again. Forgotten is believed only when sentinels are unknown again and again, and neither
 * their trades nor their ids are in the exchange's lists. It is written down once, and every order that was live
 * before it ends as LOST_BY_RESET; nothing of it is sent again.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { ordersFrom } from "../binance/SymbolHistory.ts"
import { AppConfig } from "../config.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { OrderId } from "../domain/Ids.ts"
import type { Status } from "../domain/Order.ts"
import { conclusiveAt } from "../domain/reconcile.ts"
import type { Rejection } from "../domain/Rejection.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Findings } from "../sql/Findings.ts"
import { Store } from "../sql/Store.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { AmendedOrders, type SentOrder } from "./AmendedOrders.ts"
import { Engine } from "./Engine.ts"
import { ForeignOrders } from "./ForeignOrders.ts"
import { Settlement } from "./Settlement.ts"

// Several, so that one order that the exchange has mislaid is not taken for all of them.
const sentinelCount = 3
const candidates = 50
// Behind every id of an order, so that a page begins after a moment.
const lastOfAll = OrderId.make("z".repeat(64))
// Questions to each sentinel before its silence is believed, and the pause between them.
const rounds = 3
const roundPauseMillis = 2_000
// Clocks of the exchange's nodes need not agree to the second.
const clockMarginMillis = 1_000
const pageSize = 500
// What an exchange lists after a reset is short; where it is not, orders are asked for one by one.
const historyPages = 20
const concurrency = 16
// So long after a reset nobody writes down any more that an order was sent before it.
const watchAfterMillis = 900_000

type Failure = BinanceError | StoreUnavailable | Rejection

export class Resets extends Context.Service<
  Resets,
  {
    /** False: the exchange does not know orders that it has accepted. True also while there is none to ask for. */
    readonly intact: Effect.Effect<boolean, BinanceError | StoreUnavailable>
    /** Attempts that started before this are lost with what the exchange forgot, and are nobody's to judge. */
    readonly last: Effect.Effect<EpochMillis | null, StoreUnavailable>
    /** Looks for all the evidence of a reset, writes one down that is certain, and ends the orders that are lost by one. */
    readonly watch: Effect.Effect<void, Failure>
  }
>()("nexus/engine/Resets") {
  static readonly layer = Layer.effect(
    Resets,
    Effect.gen(function* () {
      const { margins } = yield* AppConfig
      const amendedOrders = yield* AmendedOrders
      const blotter = yield* Blotter
      const client = yield* BinanceClient
      const engine = yield* Engine
      const findings = yield* Findings
      const foreign = yield* ForeignOrders
      const serverTime = yield* ServerTime
      const settlement = yield* Settlement
      const store = yield* Store
      const limits = { deltaMillis: margins.delta_ms, stalenessMillis: margins.staleness_ms }
      // Owned here: symbols that the exchange refuses to be asked about, whose orders say nothing either way.
      const refusedSymbols = new Set<string>()
      // The reset after which nothing was left to settle.
      let settledReset: EpochMillis | null = null

      // The oldest first. One that executed stays known for ever; of another, "archived" is known enough.
      const sentinels = Effect.gen(function* () {
        const after = yield* findings.lastReset
        const before = (yield* Clock.currentTimeMillis) - limits.deltaMillis - limits.stalenessMillis
        const found: Array<Sentinel> = []
        for (const status of ["COMPLETED", "CANCELLED", "EXECUTING"] satisfies ReadonlyArray<Status>) {
          const rows = yield* blotter.list({
            statuses: [status],
            limit: candidates,
            order: "asc",
            ...(after === null ? {} : { before: { placedAt: after, orderId: lastOfAll } })
          })
          const old = rows.filter((row) => row.updatedAt < before && !refusedSymbols.has(row.symbol)).map(sentinelOf)
          found.push(...old.filter((sentinel) => sentinel !== null).slice(0, sentinelCount))
        }
        return found.toSorted((a, b) => a.placedAt - b.placedAt).slice(0, sentinelCount)
      })

      // Null: the question itself is refused, as of a symbol that is traded there no more.
      const isKnown = (sentinel: Sentinel) =>
        // One that was amended elsewhere is remembered under another client order id.
        amendedOrders.ask(sentinel.sent).pipe(
          Effect.as(true),
          Effect.catch((error) => {
            const { reason } = error
            // Archived is a memory too.
            if (reason._tag === "Archived") return Effect.succeed(true)
            if (reason._tag === "OrderUnknown") return Effect.succeed(false)
            if (reason._tag !== "Refused" || reason.repeatable) return Effect.fail(error)
            refusedSymbols.add(sentinel.symbol)
            return Effect.as(
              Effect.logWarning(`the exchange does not tell of ${sentinel.symbol} any more: ${error.message}`),
              null
            )
          })
        )

      /** Those of them that the exchange does not know; none if it has forgotten nothing. */
      const forgotten = Effect.fnUntraced(function* (asked: ReadonlyArray<Sentinel>) {
        const unknown: Array<Sentinel> = []
        for (const sentinel of asked) {
          if (refusedSymbols.has(sentinel.symbol)) continue
          const known = yield* isKnown(sentinel)
          if (known === null) continue
          if (!known) unknown.push(sentinel)
          else if (unknown.length === 0 || unknown.some((older) => isAbove(sentinel, older))) return []
        }
        return unknown
      })

      const intact = Effect.gen(function* () {
        // Ends: each round but the last has found one more symbol that says nothing.
        for (;;) {
          const before = refusedSymbols.size
          const unknown = yield* forgotten(yield* sentinels)
          if (refusedSymbols.size === before) return unknown.length === 0
        }
      })

      // The lists say it too: null if any of them still shows a sentinel.
      const missingFromLists = Effect.fnUntraced(function* (asked: ReadonlyArray<Sentinel>) {
        const evidence: Array<string> = []
        for (const { clientOrderId, exchangeOrderId, symbol, trade } of asked) {
          const [order] = yield* client.allOrders({ symbol, orderId: exchangeOrderId, limit: 1 })
          if (order?.clientOrderId === clientOrderId) return null
          evidence.push(`${symbol} lists no order ${exchangeOrderId} of ours any more`)
          if (trade === null) continue
          const { at, tradeId } = trade
          const [listed] = yield* client.myTrades({ symbol, fromId: tradeId, limit: 1 })
          // Ids begin again, and the first order after it may well have the ids of the first one before it; not its hour.
          const isThis = listed?.tradeId === tradeId && listed.exchangeOrderId === exchangeOrderId
          if (isThis && Math.abs(listed.at - at) <= clockMarginMillis) return null
          evidence.push(`${symbol} lists no trade ${tradeId} of ours any more`)
        }
        return evidence
      })

      const evidenceOfReset = Effect.gen(function* () {
        // Keys of another account would know none of our orders either.
        const { uid } = yield* client.account
        if (uid !== (yield* store.accountUid)) return null
        let unknown = yield* sentinels
        for (let round = 0; round < rounds; round++) {
          if (round > 0) yield* Effect.sleep(roundPauseMillis)
          unknown = yield* forgotten(unknown)
          if (unknown.length === 0) return null
        }
        const lists = yield* missingFromLists(unknown)
        if (lists === null) return null
        // An order from before a sentinel that still rests there was not forgotten.
        const youngest = Math.max(...unknown.map(({ placedAt }) => placedAt))
        for (const listed of yield* client.openOrders()) {
          const row = yield* blotter.findByClientOrderId(listed.clientOrderId)
          if (row !== null && row.placedAt < youngest) return null
        }
        return [
          ...unknown.map(
            ({ exchangeOrderId, orderId }) =>
              `order ${orderId}, accepted as ${exchangeOrderId}, was unknown in ${rounds} rounds of questions`
          ),
          ...lists
        ]
      })

      const detect = Effect.gen(function* () {
        // Only what was looked at may be written on: another owner's reset would be a second one.
        let head = 0
        yield* engine.recordAccount((version) => {
          head = version
          return null
        })
        const evidence = yield* evidenceOfReset
        if (evidence === null) return
        const { count, open } = yield* blotter.doubtCounts
        const openOrders = open + count
        yield* Effect.logError("the exchange has forgotten all orders: what was live there is lost", { openOrders })
        yield* engine.recordAccount((version) =>
          version === head ? { _tag: "ExchangeReset", evidence, openOrders } : null
        )
        yield* foreign.forgetAll
      })

      const lost = (row: BlotterRow) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) =>
          // Whatever was sent since the row was read is another attempt, and lives.
          engine.tell(row.orderId, { _tag: "RecordReset", at, attempt: row.attempt?.number ?? 0 })
        )

      const askAgain = (row: BlotterRow) =>
        client.queryOrder(row).pipe(
          Effect.flatMap((found) => settlement.adopt(row.orderId, found)),
          Effect.catchIf(
            (error) => error._tag === "BinanceError" && error.reason._tag === "OrderUnknown",
            () => lost(row)
          ),
          Effect.asVoid
        )

      // What was sent after the exchange forgot stands in its new lists; everything else is lost.
      const endLost = Effect.fnUntraced(function* (symbol: string, rows: ReadonlyArray<BlotterRow>) {
        const { complete, orders } = yield* ordersFrom(client, symbol, { id: "0" }, historyPages)
        const known = new Map(orders.map((order) => [order.clientOrderId, order]))
        yield* Effect.forEach(
          rows,
          (row) => {
            const found = known.get(row.clientOrderId)
            const settled =
              found !== undefined
                ? Effect.asVoid(settlement.adopt(row.orderId, found))
                : complete
                  ? Effect.asVoid(lost(row))
                  : askAgain(row)
            // One that a later release has written to holds back nobody but itself.
            return Effect.catchTag(settled, "Rejection", ({ message }) =>
              Effect.logWarning(`an order of before the reset cannot be ended: ${message}`, { orderId: row.orderId })
            )
          },
          { concurrency, discard: true }
        )
      })

      const liveBefore = Effect.fnUntraced(function* (reset: EpochMillis) {
        const before = (row: BlotterRow) => row.attempt !== null && row.attempt.startedAt < reset
        const found: Array<BlotterRow> = []
        for (const read of [blotter.open, (page: Page) => blotter.inDoubt({ ...page, startedBefore: reset })]) {
          let after: string | null = null
          do {
            const rows: ReadonlyArray<BlotterRow> = yield* read({ limit: pageSize, after })
            found.push(...rows.filter(before))
            after = rows.length < pageSize ? null : (rows.at(-1)?.orderId ?? null)
          } while (after !== null)
        }
        return found
      })

      const settle = Effect.gen(function* () {
        const reset = yield* findings.lastReset
        if (reset === null || reset === settledReset) return
        const isLate = (yield* Clock.currentTimeMillis) > reset + watchAfterMillis
        const now = (yield* serverTime.pessimisticNow) - clockMarginMillis
        const rows = yield* liveBefore(reset)
        // An exchange that forgets is often away for hours: nobody else ends what was live before.
        if (isLate && rows.length === 0) settledReset = reset
        const ripe = rows.filter((row) => row.attempt !== null && conclusiveAt(row.attempt, limits) < now)
        for (const [symbol, ofSymbol] of Map.groupBy(ripe, (row) => row.symbol)) yield* endLost(symbol, ofSymbol)
      })

      return Resets.of({
        intact,
        last: findings.lastReset,
        watch: Effect.gen(function* () {
          if (!(yield* intact)) yield* detect
          yield* settle
        })
      })
    })
  )
}

interface Page {
  readonly limit: number
  readonly after: string | null
}

interface Sentinel {
  readonly sent: SentOrder
  readonly orderId: string
  readonly clientOrderId: string
  readonly symbol: string
  readonly exchangeOrderId: string
  readonly placedAt: EpochMillis
  /** One of its trades, on the exchange's clock; null: nothing of it was executed. */
  readonly trade: { readonly tradeId: string; readonly at: EpochMillis } | null
}

/** Ids grow within a symbol, until the exchange forgets. */
const isAbove = (younger: Sentinel, older: Sentinel): boolean =>
  younger.symbol === older.symbol && BigInt(younger.exchangeOrderId) > BigInt(older.exchangeOrderId)

/** Null: the exchange need not know it, as one that an operator has ended, or had archived it before it told its id. */
const sentinelOf = (row: BlotterRow): Sentinel | null => {
  const { clientOrderId, exchangeOrderId, fills, orderId, placedAt, reason, symbol } = row
  if (exchangeOrderId === null || !/^\d+$/.test(exchangeOrderId) || reason?.code === "OPERATOR") return null
  return { sent: row, orderId, clientOrderId, symbol, exchangeOrderId, placedAt, trade: fills[0] ?? null }
}
