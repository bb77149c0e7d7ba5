/**
 * From the parameters of `order` to an order that the engine can judge, complaint by complaint.
 *
 * Presence and form are judged while reading; then comes the symbol, and after it what stands in the table of the
 * complaints, in its order, for that is not documented.
 */
import { type Amount, amount, isTooPrecise } from "./Amount.ts"
import type { NewOrder } from "./OrderRequests.ts"
import {
  isContingent,
  isMarketLike,
  isOrderType,
  isPreventionMode,
  isSide,
  isTimeInForce,
  type OrderType
} from "./Order.ts"
import { openQuestions, type OrderComplaint } from "./openQuestions.ts"
import type { Parameters } from "./Parameters.ts"
import { faultOfPeg, type PegForm, readPeg } from "./pegs.ts"
import {
  badCombination,
  filterFailure,
  invalidPrice,
  invalidQuantity,
  invalidSide,
  invalidTimeInForce,
  invalidType,
  invalidValue,
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

export interface OrderForm extends PegForm {
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

/** What a field of the form is called in the request; an order of a list has its own names. */
export type FormNames = (field: string) => string
const plainNames: FormNames = (field) => field

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
  strategyType: p.whole("strategyType"),
  ...readPeg(p, plainNames)
})

const lowestStrategyType = 1_000_000
const invalidMode = invalidValue("selfTradePreventionMode")

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
  for (const complaint of openQuestions.orderComplaints) {
    const refusal = judges[complaint](form, names)
    if (refusal !== undefined) return refusal
  }
  const { selfTradePreventionMode: preventionMode, side, timeInForce = "GTC", type } = form
  // Judged already, wherever the table puts it; the compiler wants to see it too.
  if (!isOrderType(type)) return invalidType
  if (!isSide(side)) return invalidSide
  if (!isTimeInForce(timeInForce)) return invalidTimeInForce
  if (preventionMode !== undefined && !isPreventionMode(preventionMode)) return invalidMode
  return {
    side,
    type,
    timeInForce,
    price: amountOf(form.price),
    quantity: amountOf(form.quantity),
    quoteQuantity: amountOf(form.quoteOrderQty),
    icebergQuantity: amountOf(form.icebergQty),
    stopPrice: amountOf(form.stopPrice),
    trailingDelta: form.trailingDelta ?? 0,
    preventionMode,
    clientOrderId: form.newClientOrderId,
    strategyId: form.strategyId,
    strategyType: form.strategyType
  }
}

type Judge = (form: OrderForm, names: FormNames) => Refusal | undefined

/** What each complaint is about; their order is data. */
const judges: Readonly<Record<OrderComplaint, Judge>> = {
  type: ({ type }) => (isOrderType(type) ? undefined : invalidType),
  side: ({ side }) => (isSide(side) ? undefined : invalidSide),
  timeInForce: ({ timeInForce }) =>
    timeInForce === undefined || isTimeInForce(timeInForce) ? undefined : invalidTimeInForce,
  fields: (form, names) => (isOrderType(form.type) ? misfitOf(form, form.type, names) : undefined),
  preventionMode: ({ selfTradePreventionMode: mode }) =>
    mode === undefined || isPreventionMode(mode) ? undefined : invalidMode,
  strategyType: ({ strategyType }) =>
    strategyType === undefined || strategyType >= lowestStrategyType ? undefined : strategyTypeTooLow,
  precision: (form, names) => {
    for (const field of decimals) {
      const text = form[field]
      if (text !== undefined && isTooPrecise(text)) return tooPrecise(names(field))
    }
    return undefined
  },
  zeros: (form) => {
    if (isNothing(form.quantity) && isNothing(form.quoteOrderQty) && form.isPaidOn !== true) return invalidQuantity
    if (form.price !== undefined && isNothing(form.price)) return invalidPrice
    if (form.stopPrice !== undefined && isNothing(form.stopPrice)) return invalidPrice
    return form.trailingDelta === 0 ? filterFailure("TRAILING_DELTA") : undefined
  }
}

const decimals = ["quantity", "price", "quoteOrderQty", "icebergQty", "stopPrice"] as const

const isNothing = (text: string | undefined): boolean => text === undefined || !/[1-9]/.test(text)

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
  const peg = faultOfPeg(form, names)
  if (peg !== undefined) return peg
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

const amountOf = (text: string | undefined): Amount => (text === undefined ? 0n : amount(text))
