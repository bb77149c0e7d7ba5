/**
 * From the parameters of `order` to an order that the engine can judge, complaint by complaint.
 *
 * The order of the complaints between themselves is not documented; this file is the one table of it: presence and
 * form while reading, then symbol, type, side, time in force, what a type wants and does not want, precision, values.
 */
import { type Amount, amount, isTooPrecise } from "./Amount.ts"
import type { NewOrder } from "./Exchange.ts"
import {
  isContingent,
  isMarketLike,
  isOrderType,
  isPreventionMode,
  isSide,
  isTimeInForce,
  type OrderType
} from "./Order.ts"
import type { Parameters } from "./Parameters.ts"
import {
  badCombination,
  filterFailure,
  invalidPrice,
  invalidQuantity,
  invalidSide,
  invalidTimeInForce,
  invalidType,
  invalidValue,
  isRefusal,
  mandatory,
  mandatoryEither,
  notRequired,
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
  /** Its quantity is what another order will have bought. */
  readonly isPaidOn?: boolean
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
export const newOrderOf = (form: OrderForm, names: FormNames = plainNames): NewOrder | Refusal => {
  const { side, timeInForce, type } = form
  if (!isOrderType(type)) return invalidType
  if (!isSide(side)) return invalidSide
  if (timeInForce !== undefined && !isTimeInForce(timeInForce)) return invalidTimeInForce
  const misfit = misfitOf(form, type, names)
  if (misfit !== undefined) return misfit
  const mode = form.selfTradePreventionMode
  if (mode !== undefined && !isPreventionMode(mode)) return invalidValue("selfTradePreventionMode")
  if (form.strategyType !== undefined && form.strategyType < lowestStrategyType) return strategyTypeTooLow

  const quantity = amountOf(names("quantity"), form.quantity)
  if (isRefusal(quantity)) return quantity
  const price = amountOf(names("price"), form.price)
  if (isRefusal(price)) return price
  const quoteQuantity = amountOf(names("quoteOrderQty"), form.quoteOrderQty)
  if (isRefusal(quoteQuantity)) return quoteQuantity
  const icebergQuantity = amountOf(names("icebergQty"), form.icebergQty)
  if (isRefusal(icebergQuantity)) return icebergQuantity
  const stopPrice = amountOf(names("stopPrice"), form.stopPrice)
  if (isRefusal(stopPrice)) return stopPrice
  if (quantity === 0n && quoteQuantity === 0n && form.isPaidOn !== true) return invalidQuantity
  if (form.price !== undefined && price === 0n) return invalidPrice
  if (form.stopPrice !== undefined && stopPrice === 0n) return invalidPrice
  if (form.trailingDelta === 0) return filterFailure("TRAILING_DELTA")
  return {
    side,
    type,
    timeInForce: timeInForce ?? "GTC",
    price,
    quantity,
    quoteQuantity,
    icebergQuantity,
    stopPrice,
    trailingDelta: form.trailingDelta ?? 0,
    preventionMode: mode,
    clientOrderId: form.newClientOrderId,
    strategyId: form.strategyId,
    strategyType: form.strategyType
  }
}

/** What a field of the form is called in the request; an order of a list has its own names. */
export type FormNames = (field: string) => string
const plainNames: FormNames = (field) => field

/** What each type wants, besides one of stop price and trailing delta for those that wait for a trigger. */
const wanted: Readonly<Record<OrderType, ReadonlyArray<"timeInForce" | "quantity" | "price">>> = {
  LIMIT: ["timeInForce", "quantity", "price"],
  LIMIT_MAKER: ["quantity", "price"],
  MARKET: [],
  STOP_LOSS: ["quantity"],
  STOP_LOSS_LIMIT: ["timeInForce", "quantity", "price"],
  TAKE_PROFIT: ["quantity"],
  TAKE_PROFIT_LIMIT: ["timeInForce", "quantity", "price"]
}

/** What the type wants and was not sent, or does not want and was. */
const misfitOf = (form: OrderForm, type: OrderType, names: FormNames): Refusal | undefined => {
  for (const field of wanted[type]) {
    const isKnownLater = field === "quantity" && form.isPaidOn === true
    if (form[field] === undefined && !isKnownLater) return mandatory(names(field))
  }
  if (isContingent(type)) {
    if (form.stopPrice === undefined && form.trailingDelta === undefined) {
      return mandatoryEither(names("stopPrice"), names("trailingDelta"))
    }
  } else {
    if (form.stopPrice !== undefined) return notRequired(names("stopPrice"))
    if (form.trailingDelta !== undefined) return notRequired(names("trailingDelta"))
  }
  if (isMarketLike(type)) {
    if (form.price !== undefined) return notRequired(names("price"))
    if (form.timeInForce !== undefined) return timeInForceNotRequired
    if (form.icebergQty !== undefined) return notRequired(names("icebergQty"))
  }
  if (type === "LIMIT_MAKER" && form.timeInForce !== undefined) return timeInForceNotRequired
  if (type !== "MARKET") {
    if (form.quoteOrderQty !== undefined) return notRequired(names("quoteOrderQty"))
  } else if (form.isPaidOn !== true) {
    if (form.quantity !== undefined && form.quoteOrderQty !== undefined) return badCombination
    if (form.quantity === undefined && form.quoteOrderQty === undefined) return mandatory(names("quantity"))
  }
  const mayHide = form.timeInForce === undefined || form.timeInForce === "GTC"
  return form.icebergQty === undefined || mayHide ? undefined : unsupportedCombination
}

const amountOf = (name: string, text: string | undefined): Amount | Refusal => {
  if (text === undefined) return 0n
  return isTooPrecise(text) ? tooPrecise(name) : amount(text)
}
