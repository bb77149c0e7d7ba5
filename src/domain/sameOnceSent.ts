/**
 * Whether two requests are one order to the exchange. What it does not tell of an order afterwards, until when it was
 * to be sent and whether self-trade prevention was asked for, is not compared.
 */
import * as Decimal from "./Decimal.ts"
import type { OrderRequest } from "./Event.ts"

export const isSameOnceSent = (one: OrderRequest, other: OrderRequest): boolean =>
  one.symbol === other.symbol &&
  one.side === other.side &&
  one.type === other.type &&
  one.timeInForce === other.timeInForce &&
  isSame(one.quantity, other.quantity) &&
  isSame(one.quoteQuantity, other.quoteQuantity) &&
  isSame(one.price, other.price) &&
  isSame(one.stopPrice, other.stopPrice) &&
  isSame(one.icebergQuantity, other.icebergQuantity)

const isSame = (one: Decimal.Decimal | null | undefined, other: Decimal.Decimal | null | undefined): boolean =>
  one === null || one === undefined || other === null || other === undefined
    ? (one ?? null) === (other ?? null)
    : Decimal.equals(one, other)
