/** A fault of cancels: the orders that one is meant for are filled just before it, wholly or in part. */
import type { Twist } from "./Endpoint.ts"
import type { Exchange } from "./Exchange.ts"
import type { Market } from "./Matching.ts"
import type { Order } from "./Order.ts"

export const overtake = (
  exchange: Exchange,
  market: Market,
  { fillsFirst }: Twist,
  orders: Iterable<Order | undefined>
): void => {
  if (fillsFirst === undefined) return
  // A fill changes what is open: the list is taken first.
  for (const order of Array.from(orders)) {
    if (order !== undefined && market.orders.open.has(order.id)) exchange.fill(market, order, fillsFirst)
  }
}
