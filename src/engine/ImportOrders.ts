/**
 * Brings into the log what only the exchange knows of our orders since a moment.
 *
 * An order of the log is brought up to what the exchange says of it. One that has our kind of client order id and is
 * not in the log becomes a stream of its own, under that id, for nobody can tell any more which id it was placed under;
 * whoever sends its request again computes the same client order id and finds it (Engine.streamOf). All of it may be
 * repeated: what is there already is nothing new.
 */
import { Clock, Effect, Schema } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import { ordersFrom, tradesFrom } from "../binance/SymbolHistory.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderRequest } from "../domain/Event.ts"
import { OrderType, Side, TimeInForce } from "../domain/Event.ts"
import { ClientOrderId, type EpochMillis, OrderId } from "../domain/Ids.ts"
import { isEnded } from "../domain/Order.ts"
import { ends } from "../domain/reconcile.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Engine } from "./Engine.ts"
import { Settlement } from "./Settlement.ts"

/** One order that the exchange knew better than the log. */
export interface Imported {
  readonly orderId: string
  /** false: the order was in the log, and its state there was older. */
  readonly isNew: boolean
  readonly symbol: string
  readonly side: string
  readonly type: string
  readonly quantity: string
  readonly filled: string
  readonly trades: number
  readonly status: string
  readonly exchangeOrderId: string
}

export interface ImportReport {
  readonly orders: ReadonlyArray<Imported>
  /** Ours by their id, and of a kind that this program does not place: left alone, and told. */
  readonly unreadable: ReadonlyArray<{ readonly symbol: string; readonly exchangeOrderId: string }>
}

const dayMillis = 86_400_000
// A list goes one day from its start. A million orders of one symbol and day.
const pages = 1_000
// Symbols at a time; the request budget paces them.
const concurrency = 4
const isOurs = Schema.is(ClientOrderId)

export const importOrders = Effect.fn("ImportOrders.importOrders")(function* (options: {
  readonly symbols: ReadonlyArray<string>
  readonly since: EpochMillis
}) {
  const client = yield* BinanceClient
  const now = yield* Clock.currentTimeMillis
  const open = (yield* client.openOrders()).filter(({ clientOrderId }) => isOurs(clientOrderId))
  const symbols = [...new Set([...options.symbols, ...open.map(({ symbol }) => symbol)])]
  const reports = yield* Effect.forEach(
    symbols,
    Effect.fnUntraced(function* (symbol) {
      const found = new Map(open.filter((one) => one.symbol === symbol).map((one) => [one.report.exchangeOrderId, one]))
      for (let start = options.since; start <= now; start += dayMillis) {
        const { orders } = yield* ordersFrom(client, symbol, { startTime: start }, pages)
        for (const order of orders) if (isOurs(order.clientOrderId)) found.set(order.report.exchangeOrderId, order)
      }
      const inOrder = [...found.values()].toSorted((one, other) =>
        BigInt(one.report.exchangeOrderId) < BigInt(other.report.exchangeOrderId) ? -1 : 1
      )
      return yield* Effect.forEach(inOrder, importOne)
    }),
    { concurrency }
  )
  const all = reports.flat()
  return {
    orders: all.flatMap((one) => (one !== null && "orderId" in one ? [one] : [])),
    unreadable: all.flatMap((one) => (one !== null && !("orderId" in one) ? [one] : []))
  } satisfies ImportReport
})

/** Null: nothing about it is new. */
const importOne = Effect.fnUntraced(function* (found: FoundOrder) {
  const blotter = yield* Blotter
  const row = yield* blotter.findByClientOrderId(found.clientOrderId)
  return row === null ? yield* create(found) : yield* settle(row, found)
})

const settle = Effect.fnUntraced(function* (row: BlotterRow, found: FoundOrder) {
  const { executedQuantity, exchangeOrderId, exchangeStatus } = found.report
  const knows =
    row.exchangeOrderId === exchangeOrderId &&
    Decimal.equals(Decimal.decimal(row.filledQuantity), executedQuantity) &&
    (!ends.has(exchangeStatus) || ["COMPLETED", "FAILED", "CANCELLED"].includes(row.status))
  if (knows) return null
  const { order, version } = yield* (yield* Settlement).adopt(row.orderId, found)
  if (version === row.version) return null
  return importedOf(row.orderId, false, found, order)
})

const create = Effect.fnUntraced(function* (found: FoundOrder) {
  const { report, symbol } = found
  const { exchangeOrderId } = report
  const request = requestOf(found)
  if (request === null) return { symbol, exchangeOrderId }
  const client = yield* BinanceClient
  const engine = yield* Engine
  const fills = Decimal.isZero(report.executedQuantity)
    ? []
    : (yield* tradesFrom(client, symbol, { exchangeOrderId }, pages)).trades
  const clientOrderId = ClientOrderId.make(found.clientOrderId)
  const orderId = OrderId.make(clientOrderId)
  const { events, stream } = yield* engine.tell(orderId, {
    _tag: "ImportOrder",
    at: found.createdAt ?? report.transactTime,
    request,
    clientOrderId,
    // The list says when it changed last; it was accepted when it came into being.
    report: { ...report, fills, transactTime: found.createdAt ?? report.transactTime }
  })
  if (events.length === 0) return null
  return importedOf(orderId, true, found, stream.order)
})

const importedOf = (
  orderId: string,
  isNew: boolean,
  found: FoundOrder,
  order: Parameters<typeof isEnded>[0] & { readonly filledQuantity: Decimal.Decimal }
): Imported => ({
  orderId,
  isNew,
  symbol: found.symbol,
  side: found.side,
  type: found.type,
  quantity: Decimal.format(found.quantity),
  filled: Decimal.format(order.filledQuantity),
  trades: Array.from(order.fills).length,
  status: order.status ?? "",
  exchangeOrderId: found.report.exchangeOrderId
})

const isSide = Schema.is(Side)
const isType = Schema.is(OrderType)
const isTimeInForce = Schema.is(TimeInForce)

/** What must have been asked for, as far as the exchange tells; null: this program places no such order. */
const requestOf = ({ price, quantity, side, symbol, terms, type }: FoundOrder): OrderRequest | null => {
  if (!isSide(side) || !isType(type)) return null
  const byQuote = type === "MARKET" && terms !== undefined && Decimal.isPositive(terms.quoteQuantity)
  const timeInForce = terms?.timeInForce ?? "GTC"
  return {
    symbol,
    side,
    type,
    timeInForce: type === "MARKET" || type === "LIMIT_MAKER" || !isTimeInForce(timeInForce) ? null : timeInForce,
    quantity: byQuote ? null : quantity,
    quoteQuantity: byQuote ? terms.quoteQuantity : null,
    price: type === "MARKET" ? null : price,
    validUntil: null,
    ...(terms !== undefined && Decimal.isPositive(terms.stopPrice) ? { stopPrice: terms.stopPrice } : {}),
    ...(terms !== undefined && Decimal.isPositive(terms.icebergQuantity)
      ? { icebergQuantity: terms.icebergQuantity }
      : {})
  }
}
