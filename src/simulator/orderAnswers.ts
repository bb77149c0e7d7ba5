/** What placing and cancelling answers, for single orders, lists, and the halves of a cancel-replace alike. */
import type { Exchange } from "./Exchange.ts"
import type { Canceled } from "./OrderRequests.ts"
import type { Market } from "./Matching.ts"
import type { Order } from "./Order.ts"
import type { ResponseType } from "./orderParameters.ts"
import { listView } from "./listViews.ts"
import { ackView, cancelView, fullView, resultView } from "./orderViews.ts"

export const placedView = (exchange: Exchange, market: Market, order: Order, responseType: ResponseType) => {
  if (responseType === "ACK") return ackView(order)
  return responseType === "RESULT" ? resultView(order) : fullView(order, exchange.matching.trades, market.prevented)
}

/** An order, or the list that went with it. */
export const canceledView = ({ cancelId, list, orders }: Canceled) => {
  const reports = orders.map((order) => cancelView(order, cancelId))
  return list === undefined ? reports[0] : { ...listView(list, orders[0]?.symbol.symbol ?? ""), orderReports: reports }
}
