/** What the account has open, counted as the filters count: on one symbol, and over all of them. */
import { ours } from "./Accounts.ts"
import type { Counts, Standing } from "./filters.ts"
import type { Market, Matching } from "./Matching.ts"
import { isContingent, type Order, remaining } from "./Order.ts"

export const standingOf = (matching: Matching, market: Market): Standing => ({
  onSymbol: countsOf(matching, [market], market.index),
  onExchange: () => countsOf(matching, matching.markets, undefined),
  position: () => {
    const { free, locked } = matching.accounts.of(ours, market.info.base)
    const buying = [...market.orders.open.values()].filter(({ side }) => side === "BUY")
    return buying.reduce((sum, order) => sum + remaining(order), free + locked)
  }
})

const countsOf = (matching: Matching, markets: ReadonlyArray<Market>, index: number | undefined): Counts => ({
  orders: markets.reduce((sum, { orders }) => sum + orders.open.size, 0),
  algoOrders: () => count(markets, ({ type }) => isContingent(type)),
  icebergs: () => count(markets, ({ icebergQuantity }) => icebergQuantity > 0n),
  lists: () => matching.contingencies.lists.countOpen(index)
})

const count = (markets: ReadonlyArray<Market>, counts: (order: Order) => boolean): number => {
  let sum = 0
  for (const { orders } of markets) for (const order of orders.open.values()) if (counts(order)) sum++
  return sum
}
