/**
 * Cancel-replace: an order is cancelled and another one placed in one moment.
 *
 * The answer tells both halves: both done is 200, one of them 409, none 400. Only where the unfilled order count is
 * used up and a failure stops the whole is it 429.
 */
import { always, type Endpoint, onMarket } from "./Endpoint.ts"
import type { Exchange } from "./Exchange.ts"
import type { Replaced, Target } from "./OrderRequests.ts"
import type { Market } from "./Matching.ts"
import { canceledView, placedView } from "./orderAnswers.ts"
import { newOrderOf, readOrderForm, type ResponseType, responseTypeOf } from "./orderParameters.ts"
import { overtake } from "./overtaken.ts"
import { readRestriction } from "./restriction.ts"
import { invalidValue, isRefusal, mandatoryEither, notReplaced, partlyReplaced, type Refusal } from "./Refusal.ts"

const modes = ["STOP_ON_FAILURE", "ALLOW_FAILURE"]
const exceededModes = ["DO_NOTHING", "CANCEL_ONLY"]

export const cancelReplace: Endpoint = {
  rest: "POST /api/v3/order/cancelReplace",
  webSocket: "order.cancelReplace",
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  isOrder: true,
  // With CANCEL_ONLY there is something to do even when the count is used up.
  judgesOrderCount: true,
  read: (p) => {
    const form = readOrderForm(p)
    const mode = p.mandatoryText("cancelReplaceMode")
    const exceededMode = p.text("orderRateLimitExceededMode") ?? "DO_NOTHING"
    const newCancelId = p.clientId("cancelNewClientOrderId")
    const target: Target = {
      orderId: p.whole("cancelOrderId"),
      clientOrderId: p.text("cancelOrigClientOrderId")
    }
    const restriction = readRestriction(p)
    return onMarket(form.symbol, (desk, market, twist) => {
      const { exchange, limits } = desk
      if (!modes.includes(mode)) return invalidValue("cancelReplaceMode")
      if (!exceededModes.includes(exceededMode)) return invalidValue("orderRateLimitExceededMode")
      if (target.orderId === undefined && target.clientOrderId === undefined) {
        return mandatoryEither("cancelOrigClientOrderId", "cancelOrderId")
      }
      if (isRefusal(restriction)) return restriction
      const wanted = newOrderOf(form)
      if (isRefusal(wanted)) return wanted
      const responseType = responseTypeOf(form)
      if (isRefusal(responseType)) return responseType
      const refused = exchange.check(market, wanted)
      if (refused !== undefined) return refused
      const overCount = limits.admitOrder(desk.now())
      if (overCount !== undefined && exceededMode === "DO_NOTHING") return overCount
      overtake(exchange, market, twist, [exchange.lookUp(market, target)])
      const stopsOnFailure = mode === "STOP_ON_FAILURE"
      const cancelId = newCancelId ?? exchange.drawId(target.orderId ?? 0)
      const replaced = exchange.replace(market, {
        target,
        cancelId,
        restriction,
        stopsOnFailure,
        wanted,
        overCount,
        putsOff: twist.putsOff
      })
      if (isRefusal(replaced)) return replaced
      const stopper = stopsOnFailure ? overCount : undefined
      return answer(exchange, market, replaced, responseType, stopper)
    })
  }
}

const answer = (
  exchange: Exchange,
  market: Market,
  { cancel, order }: Replaced,
  responseType: ResponseType,
  stopper: Refusal | undefined
) => {
  const isCanceled = !isRefusal(cancel)
  const isPlaced = order !== undefined && !isRefusal(order)
  const data = {
    cancelResult: isCanceled ? "SUCCESS" : "FAILURE",
    newOrderResult: order === undefined ? "NOT_ATTEMPTED" : isPlaced ? "SUCCESS" : "FAILURE",
    cancelResponse: isCanceled ? canceledView(cancel) : errorView(cancel),
    newOrderResponse:
      order === undefined ? null : isPlaced ? placedView(exchange, market, order, responseType) : errorView(order)
  }
  if (isCanceled && isPlaced) return data
  const detail = stopper?.retryAt === undefined ? { data } : { data, retryAt: stopper.retryAt }
  if (isCanceled || isPlaced) return partlyReplaced(stopper === undefined ? 409 : 429, detail)
  return notReplaced(stopper === undefined ? 400 : 429, detail)
}

const errorView = ({ code, message }: Refusal) => ({ code, msg: message })
