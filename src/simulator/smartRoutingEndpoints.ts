/**
 * Orders over several books of one base asset. No symbol here is routed so: an order is judged like any other, and
 * then refused in the exchange's words.
 */
import { always, type Endpoint, onMarket } from "./Endpoint.ts"
import { newOrderOf, readOrderForm } from "./orderParameters.ts"
import type { Parameters } from "./Parameters.ts"
import { isRefusal, noSmartRouting } from "./Refusal.ts"

const refused = (p: Parameters) => {
  const form = readOrderForm(p)
  return onMarket(form.symbol, () => {
    const wanted = newOrderOf(form)
    return isRefusal(wanted) ? wanted : noSmartRouting
  })
}

const place: Endpoint = {
  rest: "POST /api/v3/sor/order",
  webSocket: "sor.order.place",
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  isOrder: true,
  read: refused
}

const test: Endpoint = {
  rest: "POST /api/v3/sor/order/test",
  webSocket: "sor.order.test",
  isSigned: true,
  weight: (params) => (params.get("computeCommissionRates") === "true" ? 20 : 1),
  read: (p) => {
    p.flag("computeCommissionRates")
    return refused(p)
  }
}

export const smartRoutingEndpoints: ReadonlyArray<Endpoint> = [place, test]
