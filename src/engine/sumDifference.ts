/**
 * Whether the fills of an order add up to what the exchange says of it: the quantity exactly, and what they cost to
 * within the rounding of each trade.
 */
import { HashMap } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { Order } from "../domain/Order.ts"

// The exchange rounds the amount of each trade to the digits of its quote asset, eight at the most.
const roundingOfTrade = Decimal.decimal("0.00000001")

/** Null: they do, or the news is of another time than the fills, or of another order. */
export const sumDifference = (order: Order, report: ExchangeReport): string | null => {
  const { exchangeOrderId, filledQuantity, filledQuote, fills } = order
  const { executedQuantity, executedQuote } = report
  if (exchangeOrderId !== report.exchangeOrderId || !Decimal.equals(filledQuantity, executedQuantity)) return null
  // Not told of old orders.
  if (Decimal.isZero(executedQuantity) || Decimal.isZero(executedQuote)) return null
  const off = Decimal.subtract(filledQuote, executedQuote)
  const rounding = Decimal.multiply(roundingOfTrade, Decimal.decimal(`${HashMap.size(fills)}`))
  const isWithin = !Decimal.isGreater(off, rounding) && !Decimal.isLess(off, Decimal.subtract(Decimal.zero, rounding))
  return isWithin
    ? null
    : `its trades cost ${Decimal.format(filledQuote)}, the exchange says ${Decimal.format(executedQuote)}`
}
