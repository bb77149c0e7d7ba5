/**
 * From the parameters of `order` to an order that the engine can judge, complaint by complaint.
 *
 * The order of the complaints between themselves is not documented; this file is the one table of it: presence and
 * form while reading, then symbol, type, side, time in force, what a type wants and does not want, precision, values.
 */
import { type Amount, amount, isTooPrecise } from "./Amount.ts"
import type { NewOrder } from "./Exchange.ts"
import type { OrderType, Side, TimeInForce } from "./Order.ts"
import type { Parameters } from "./Parameters.ts"
import {
  badCombination,
  invalidPrice,
  invalidQuantity,
  invalidSide,
  invalidTimeInForce,
  invalidType,
  invalidValue,
  isRefusal,
  mandatory,
  notRequired,
  notSupported,
  preventionModeNotAllowed,
  type Refusal,
  strategyTypeTooLow,
  timeInForceNotRequired,
  tooPrecise,
  unsupportedCombination
} from "./Refusal.ts"

export type ResponseType = "ACK" | "RESULT" | "FULL"

export interface OrderForm {
  readonly symbol: string
  readonly side: string
  readonly type: string
  readonly timeInForce: string | undefined
  readonly quantity: string | undefined
  readonly quoteOrderQty: string | undefined
  readonly price: string | undefined
  readonly icebergQty: string | undefined
  readonly stopPrice: string | undefined
  readonly trailingDelta: number | undefined
  readonly newClientOrderId: string | undefined
  readonly newOrderRespType: string | undefined
  readonly selfTradePreventionMode: string | undefined
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
}

export const readOrderForm = (p: Parameters): OrderForm => ({
  symbol: p.symbol(),
  side: p.mandatoryText("side"),
  type: p.mandatoryText("type"),
  timeInForce: p.text("timeInForce"),
  quantity: p.decimal("quantity"),
  quoteOrderQty: p.decimal("quoteOrderQty"),
  price: p.decimal("price"),
  icebergQty: p.decimal("icebergQty"),
  stopPrice: p.decimal("stopPrice"),
  trailingDelta: p.whole("trailingDelta"),
  newClientOrderId: p.clientId("newClientOrderId"),
  newOrderRespType: p.text("newOrderRespType"),
  selfTradePreventionMode: p.text("selfTradePreventionMode"),
  strategyId: p.whole("strategyId"),
  strategyType: p.whole("strategyType")
})

/** Types of the exchange that this one does not trade, as its engine calls them. */
const otherTypes: Readonly<Record<string, string>> = {
  STOP_LOSS: "Stop loss",
  STOP_LOSS_LIMIT: "Stop loss limit",
  TAKE_PROFIT: "Take profit",
  TAKE_PROFIT_LIMIT: "Take profit limit"
}
const preventionModes = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
const lowestStrategyType = 1_000_000

export const responseTypeOf = (form: OrderForm): ResponseType | Refusal => {
  switch (form.newOrderRespType) {
    case undefined:
      return form.type === "LIMIT" || form.type === "MARKET" ? "FULL" : "ACK"
    case "ACK":
    case "RESULT":
    case "FULL":
      return form.newOrderRespType
    default:
      return invalidValue("newOrderRespType")
  }
}

/** The symbol is known already. */
export const newOrderOf = (form: OrderForm): NewOrder | Refusal => {
  const { side, timeInForce, type } = form
  if (type in otherTypes) return notSupported(otherTypes[type]!)
  if (!isType(type)) return invalidType
  if (!isSide(side)) return invalidSide
  if (timeInForce !== undefined && !isTimeInForce(timeInForce)) return invalidTimeInForce
  const misfit = misfitOf(form, type)
  if (misfit !== undefined) return misfit
  const mode = form.selfTradePreventionMode
  if (mode !== undefined && mode !== "NONE") {
    return preventionModes.includes(mode) ? preventionModeNotAllowed : invalidValue("selfTradePreventionMode")
  }
  if (form.strategyType !== undefined && form.strategyType < lowestStrategyType) return strategyTypeTooLow

  const quantity = amountOf("quantity", form.quantity)
  if (isRefusal(quantity)) return quantity
  const price = amountOf("price", form.price)
  if (isRefusal(price)) return price
  const quoteQuantity = amountOf("quoteOrderQty", form.quoteOrderQty)
  if (isRefusal(quoteQuantity)) return quoteQuantity
  const icebergQuantity = amountOf("icebergQty", form.icebergQty)
  if (isRefusal(icebergQuantity)) return icebergQuantity
  if (quantity === 0n && quoteQuantity === 0n) return invalidQuantity
  if (form.price !== undefined && price === 0n) return invalidPrice
  return {
    side,
    type,
    timeInForce: timeInForce ?? "GTC",
    price,
    quantity,
    quoteQuantity,
    icebergQuantity,
    clientOrderId: form.newClientOrderId,
    strategyId: form.strategyId,
    strategyType: form.strategyType
  }
}

/** What the type wants and was not sent, or does not want and was. */
const misfitOf = (form: OrderForm, type: OrderType): Refusal | undefined => {
  if (form.stopPrice !== undefined) return notRequired("stopPrice")
  if (form.trailingDelta !== undefined) return notRequired("trailingDelta")
  if (type === "MARKET") {
    if (form.price !== undefined) return notRequired("price")
    if (form.timeInForce !== undefined) return timeInForceNotRequired
    if (form.icebergQty !== undefined) return notRequired("icebergQty")
    if (form.quantity !== undefined && form.quoteOrderQty !== undefined) return badCombination
    return form.quantity === undefined && form.quoteOrderQty === undefined ? mandatory("quantity") : undefined
  }
  if (type === "LIMIT" && form.timeInForce === undefined) return mandatory("timeInForce")
  if (type === "LIMIT_MAKER" && form.timeInForce !== undefined) return timeInForceNotRequired
  if (form.quantity === undefined) return mandatory("quantity")
  if (form.price === undefined) return mandatory("price")
  if (form.quoteOrderQty !== undefined) return notRequired("quoteOrderQty")
  const mayHide = form.timeInForce === undefined || form.timeInForce === "GTC"
  return form.icebergQty === undefined || mayHide ? undefined : unsupportedCombination
}

const amountOf = (name: string, text: string | undefined): Amount | Refusal => {
  if (text === undefined) return 0n
  return isTooPrecise(text) ? tooPrecise(name) : amount(text)
}

const isType = (type: string): type is OrderType => type === "LIMIT" || type === "LIMIT_MAKER" || type === "MARKET"
const isSide = (side: string): side is Side => side === "BUY" || side === "SELL"
const isTimeInForce = (text: string): text is TimeInForce => text === "GTC" || text === "IOC" || text === "FOK"
