/**
 * What the exchange lists of one symbol, read page by page: its orders and its trades from a moment or an id on.
 *
 * A list is complete when its last page was not full, or went beyond the moment that is asked about. One that is longer than the pages allowed is said to be
 * incomplete, and proves nothing by what it does not show.
 */
import { Effect } from "effect"
import type { BinanceClient, ExchangeTrade, FoundOrder } from "./BinanceClient.ts"
import type { EpochMillis } from "../domain/Ids.ts"

/** Rows of a page: the most that the exchange gives. */
export const pageRows = 1_000

export type From = { readonly startTime: EpochMillis } | { readonly id: string }

export const nextId = (id: string): string => `${BigInt(id) + 1n}`

type Client = Pick<BinanceClient["Service"], "allOrders" | "myTrades">

/** Made by `until`, or all of them. Ids grow with time, so that what follows a younger order is younger too. */
export const ordersFrom = Effect.fnUntraced(function* (
  client: Pick<Client, "allOrders">,
  symbol: string,
  from: From,
  pages: number,
  until = Number.POSITIVE_INFINITY
) {
  const orders: Array<FoundOrder> = []
  let start: { readonly startTime: EpochMillis } | { readonly orderId: string } =
    "id" in from ? { orderId: from.id } : from
  for (let page = 0; page < pages; page++) {
    const rows: ReadonlyArray<FoundOrder> = yield* client.allOrders({ symbol, ...start, limit: pageRows })
    orders.push(...rows)
    const last = rows.at(-1)
    if (rows.length < pageRows || last === undefined) return { orders, complete: true }
    if ((last.createdAt ?? Number.NEGATIVE_INFINITY) > until) return { orders, complete: true }
    start = { orderId: nextId(last.report.exchangeOrderId) }
  }
  return { orders, complete: false }
})

/** Of one order only when its exchange id is given; made by `until`, or all of them. */
export const tradesFrom = Effect.fnUntraced(function* (
  client: Pick<Client, "myTrades">,
  symbol: string,
  from: From | { readonly exchangeOrderId: string },
  pages: number,
  until = Number.POSITIVE_INFINITY
) {
  const trades: Array<ExchangeTrade> = []
  const order = "exchangeOrderId" in from ? from : {}
  let start: { readonly startTime?: EpochMillis; readonly fromId?: string } =
    "id" in from ? { fromId: from.id } : "startTime" in from ? from : {}
  for (let page = 0; page < pages; page++) {
    const rows: ReadonlyArray<ExchangeTrade> = yield* client.myTrades({ symbol, ...order, ...start, limit: pageRows })
    trades.push(...rows)
    const last = rows.at(-1)
    if (rows.length < pageRows || last === undefined || last.at > until) return { trades, complete: true }
    start = { fromId: nextId(last.tradeId) }
  }
  return { trades, complete: false }
})
