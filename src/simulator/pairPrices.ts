/**
 * The relation of the prices of an OCO pair: the one sells above the market and the other below it, or the reverse for
 * buying. Of a limit order its price counts, of a take profit its stop price, of a stop loss its stop price.
 */
import type { Amount } from "./Amount.ts"
import type { Order } from "./Order.ts"

/** A pair with the stop loss first; without a last price only the two are compared. */
export const arePricesInOrder = (pair: ReadonlyArray<Order>, lastPrice: Amount | undefined): boolean => {
  const [stop, target] = pair
  if (stop === undefined || target === undefined) return true
  const far = target.type === "TAKE_PROFIT" ? target.stopPrice : target.price
  const sells = stop.side === "SELL"
  const isBelow = (low: Amount, high: Amount) => low === 0n || high === 0n || low < high
  const [low, high] = sells ? [stop.stopPrice, far] : [far, stop.stopPrice]
  return lastPrice === undefined ? isBelow(low, high) : isBelow(low, lastPrice) && isBelow(lastPrice, high)
}
