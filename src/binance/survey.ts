/**
 * What a symbol's lists say of orders that a question did not find: its open orders, all its orders and all its trades
 * from one moment to another. Asked once for all orders in doubt of the symbol.
 *
 * `asked` has the kinds of question that were answered to their end: the others prove nothing.
 */
import { Effect } from "effect"
import type { BinanceClient, FoundOrder } from "./BinanceClient.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import type { Question } from "../domain/reconcile.ts"
import { ordersFrom, tradesFrom } from "./SymbolHistory.ts"

// How many pages of a list are read before a symbol is taken for too busy to judge.
const pages = 20
// Orders of trades that no list showed, looked up one by one.
const strangers = 50

export const surveyOf = Effect.fnUntraced(function* (
  client: Pick<BinanceClient["Service"], "openOrders" | "allOrders" | "myTrades">,
  symbol: string,
  /** On the exchange's clock: none of the attempts can have arrived before or after. */
  span: { readonly from: EpochMillis; readonly until: EpochMillis }
) {
  const start = { startTime: span.from }
  const found = new Map<string, FoundOrder>()
  const known = new Set<string>()
  const keep = (orders: ReadonlyArray<FoundOrder>) => {
    for (const order of orders) {
      found.set(order.clientOrderId, order)
      known.add(order.report.exchangeOrderId)
    }
  }
  const asked: Array<Question> = ["order"]
  keep(yield* client.openOrders(symbol))
  asked.push("openOrders")

  const all = yield* ordersFrom(client, symbol, start, pages, span.until)
  keep(all.orders)
  if (all.complete) asked.push("allOrders")

  const { complete, trades } = yield* tradesFrom(client, symbol, start, pages, span.until)
  const inSpan = trades.filter(({ at }) => at <= span.until)
  const unknown = Array.from(new Set(inSpan.map((trade) => trade.exchangeOrderId))).filter((id) => !known.has(id))
  for (const orderId of unknown.slice(0, strangers)) {
    keep(yield* client.allOrders({ symbol, orderId, limit: 1 }))
  }
  // A trade whose order nobody shows may be the very one that is looked for.
  if (complete && unknown.every((id) => known.has(id))) asked.push("myTrades")
  return { found, asked }
})
