/**
 * From the parameters of an order list to a list that the engine can judge.
 *
 * The orders of a list have the parameters of a single order under a prefix: `above` and `below`, `working` and
 * `pending`, `pendingAbove` and `pendingBelow`. The old `order/oco` has names of its own for the same two orders.
 */
import type { NewList, NewOrder } from "./OrderRequests.ts"
import type { ListKind } from "./OrderList.ts"
import { openQuestions } from "./openQuestions.ts"
import { type FormNames, newOrderOf, type OrderForm, type ResponseType } from "./orderParameters.ts"
import type { Parameters } from "./Parameters.ts"
import { noPeg, readPeg } from "./pegs.ts"
import {
  icebergWithoutGtc,
  invalidType,
  invalidValue,
  isRefusal,
  notForPairs,
  paidPendingMustSell,
  paidWorkingMustBuy,
  pairOutOfPlace,
  type Refusal
} from "./Refusal.ts"

/** What the request says, before it is known to make sense. */
export interface ListForm {
  readonly symbol: string
  /** The list as the engine takes it, or the first thing that is wrong with it. */
  readonly read: () => NewList | Refusal
  readonly responseType: ResponseType | Refusal
}

/** What all orders of a list share. */
interface Shared {
  readonly symbol: string
  readonly clientId: string | undefined
  readonly selfTradePreventionMode: string | undefined
}

const readShared = (p: Parameters): Shared => ({
  symbol: p.symbol(),
  clientId: p.clientId("listClientOrderId"),
  selfTradePreventionMode: p.text("selfTradePreventionMode")
})

const readResponseType = (p: Parameters): ResponseType | Refusal => {
  const text = p.text("newOrderRespType") ?? openQuestions.listResponseType
  return text === "ACK" || text === "RESULT" || text === "FULL" ? text : invalidValue("newOrderRespType")
}

/** `quantity` of `pendingAbove` is `pendingAboveQuantity`; without a prefix it stays itself. */
const named =
  (prefix: string): FormNames =>
  (field) => {
    const name = field === "newClientOrderId" ? "clientOrderId" : field
    return prefix === "" ? name : prefix + name.charAt(0).toUpperCase() + name.slice(1)
  }

interface Leg {
  readonly form: OrderForm
  readonly names: FormNames
}

/** Reads what one order of a list has for itself; side and quantity may be common to two. */
const readLeg = (
  p: Parameters,
  prefix: string,
  shared: Shared,
  common: Pick<OrderForm, "side" | "quantity" | "isPaidOn">
): Leg => {
  const names = named(prefix)
  return {
    names,
    form: {
      ...common,
      symbol: shared.symbol,
      type: p.mandatoryText(names("type")),
      timeInForce: p.text(names("timeInForce")),
      quoteOrderQty: undefined,
      price: p.decimal(names("price")),
      icebergQty: p.decimal(names("icebergQty")),
      stopPrice: p.decimal(names("stopPrice")),
      trailingDelta: p.whole(names("trailingDelta")),
      newClientOrderId: p.clientId(names("newClientOrderId")),
      newOrderRespType: undefined,
      selfTradePreventionMode: shared.selfTradePreventionMode,
      strategyId: p.whole(names("strategyId")),
      strategyType: p.whole(names("strategyType")),
      ...readPeg(p, names)
    }
  }
}

const orderOf = ({ form, names }: Leg): NewOrder | Refusal => {
  const hidesInVain = form.icebergQty !== undefined && form.timeInForce !== undefined && form.timeInForce !== "GTC"
  return hidesInVain ? icebergWithoutGtc(names("icebergQty"), names("timeInForce")) : newOrderOf(form, names)
}

const listOf = (kind: ListKind, shared: Shared, legs: ReadonlyArray<Leg>): NewList | Refusal => {
  const orders: Array<NewOrder> = []
  for (const leg of legs) {
    const order = orderOf(leg)
    if (isRefusal(order)) return order
    orders.push(order)
  }
  return { kind, clientId: shared.clientId, orders }
}

/** The stop loss first, as the exchange numbers them; or why the two are no pair. */
const pairOf = (above: Leg, below: Leg): ReadonlyArray<Leg> | Refusal => {
  const sells = above.form.side === "SELL"
  for (const { form } of [above, below]) {
    if (form.type !== "LIMIT_MAKER" && !/^(STOP_LOSS|TAKE_PROFIT)(_LIMIT)?$/.test(form.type)) return notForPairs
  }
  if (above.form.type === "LIMIT_MAKER" && below.form.type === "LIMIT_MAKER") return pairOutOfPlace[-1168]
  const [stopSide, targetSide] = sells ? [below, above] : [above, below]
  const isStop = ({ form }: Leg) => form.type.startsWith("STOP_LOSS")
  if (targetSide.form.type.startsWith("STOP_LOSS")) return pairOutOfPlace[sells ? -1197 : -1196]
  if (!isStop(stopSide)) {
    if (stopSide.form.type === "LIMIT_MAKER") return pairOutOfPlace[sells ? -1166 : -1165]
    return pairOutOfPlace[sells ? -1199 : -1198]
  }
  return [stopSide, targetSide]
}

export const readPair = (p: Parameters): ListForm => {
  const shared = readShared(p)
  const common = { side: p.mandatoryText("side"), quantity: mandatoryDecimal(p, "quantity") }
  const above = readLeg(p, "above", shared, common)
  const below = readLeg(p, "below", shared, common)
  return {
    symbol: shared.symbol,
    responseType: readResponseType(p),
    read: () => {
      const pair = pairOf(above, below)
      return isRefusal(pair) ? pair : listOf("OCO", shared, pair)
    }
  }
}

/** The way of before 2024: a limit and a stop, of which the prices say which is above. */
export const readOldPair = (p: Parameters): ListForm => {
  const shared = readShared(p)
  const side = p.mandatoryText("side")
  const quantity = mandatoryDecimal(p, "quantity")
  const price = mandatoryDecimal(p, "price")
  const stopPrice = mandatoryDecimal(p, "stopPrice")
  const stopLimitPrice = p.decimal("stopLimitPrice")
  const nothing = {
    symbol: shared.symbol,
    side,
    quantity,
    quoteOrderQty: undefined,
    newOrderRespType: undefined,
    selfTradePreventionMode: shared.selfTradePreventionMode,
    ...noPeg
  }
  const limit: Leg = {
    names: (field) => (field === "price" || field === "quantity" ? field : named("limit")(field)),
    form: {
      ...nothing,
      type: "LIMIT_MAKER",
      timeInForce: undefined,
      price,
      icebergQty: p.decimal("limitIcebergQty"),
      stopPrice: undefined,
      trailingDelta: undefined,
      newClientOrderId: p.clientId("limitClientOrderId"),
      strategyId: p.whole("limitStrategyId"),
      strategyType: p.whole("limitStrategyType")
    }
  }
  const stop: Leg = {
    names: (field) => {
      if (field === "price") return "stopLimitPrice"
      if (field === "timeInForce") return "stopLimitTimeInForce"
      return field === "icebergQty" ? "stopIcebergQty" : field
    },
    form: {
      ...nothing,
      type: stopLimitPrice === undefined ? "STOP_LOSS" : "STOP_LOSS_LIMIT",
      timeInForce: p.text("stopLimitTimeInForce"),
      price: stopLimitPrice,
      icebergQty: p.decimal("stopIcebergQty"),
      stopPrice,
      trailingDelta: p.whole("trailingDelta"),
      newClientOrderId: p.clientId("stopClientOrderId"),
      strategyId: p.whole("stopStrategyId"),
      strategyType: p.whole("stopStrategyType")
    }
  }
  return {
    symbol: shared.symbol,
    responseType: readResponseType(p),
    read: () => listOf("OCO", shared, [stop, limit])
  }
}

/** A working order, and what is placed once it is filled: one order or a pair, of a quantity of its own or paid on. */
export const readTriggering = (p: Parameters, kind: Exclude<ListKind, "OCO">): ListForm => {
  const shared = readShared(p)
  const isPaidOn = kind === "OPO" || kind === "OPOCO"
  const working = readLeg(p, "working", shared, {
    side: p.mandatoryText("workingSide"),
    quantity: mandatoryDecimal(p, "workingQuantity")
  })
  const common = {
    side: p.mandatoryText("pendingSide"),
    quantity: isPaidOn ? undefined : mandatoryDecimal(p, "pendingQuantity"),
    isPaidOn
  }
  const hasPair = kind === "OTOCO" || kind === "OPOCO"
  const pending = hasPair
    ? [readLeg(p, "pendingAbove", shared, common), readLeg(p, "pendingBelow", shared, common)]
    : [readLeg(p, "pending", shared, common)]
  return {
    symbol: shared.symbol,
    responseType: readResponseType(p),
    read: () => {
      const { side, type } = working.form
      if (type !== "LIMIT" && type !== "LIMIT_MAKER") return invalidType
      if (isPaidOn && side === "SELL") return paidWorkingMustBuy
      if (isPaidOn && common.side === "BUY") return paidPendingMustSell
      const [first, second] = pending
      const legs = second === undefined ? pending : pairOf(first!, second)
      return isRefusal(legs) ? legs : listOf(kind, shared, [working, ...legs])
    }
  }
}

/** A decimal that must be there. */
const mandatoryDecimal = (p: Parameters, name: string): string | undefined => p.decimal(name) ?? p.missing(name)
