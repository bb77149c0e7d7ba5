/** Requests that amend an order where it stands, and tell what was amended. */
import { isTooPrecise, amount } from "./Amount.ts"
import { always, type Endpoint, onMarket, rowsOf } from "./Endpoint.ts"
import { invalidQuantity, isRefusal, mandatory, mandatoryEither, tooPrecise } from "./Refusal.ts"
import { amendedListView } from "./listViews.ts"
import { amendedView, amendmentView } from "./orderViews.ts"

const amend: Endpoint = {
  rest: "PUT /api/v3/order/amend/keepPriority",
  webSocket: "order.amend.keepPriority",
  isSigned: true,
  weight: always(4),
  read: (p) => {
    const symbol = p.symbol()
    const target = { orderId: p.whole("orderId"), clientOrderId: p.text("origClientOrderId") }
    const newId = p.clientId("newClientOrderId")
    const newQuantity = p.decimal("newQty")
    return onMarket(symbol, ({ exchange }, market) => {
      if (newQuantity === undefined) return mandatory("newQty")
      if (target.orderId === undefined && target.clientOrderId === undefined) {
        return mandatoryEither("origClientOrderId", "orderId")
      }
      if (isTooPrecise(newQuantity)) return tooPrecise("newQty")
      const quantity = amount(newQuantity)
      if (quantity === 0n) return invalidQuantity
      const amended = exchange.amend(market, target, quantity, newId)
      if (isRefusal(amended)) return amended
      const { executionId, formerClientId, list, order } = amended
      return {
        transactTime: order.updateTime,
        executionId,
        amendedOrder: amendedView(order, formerClientId),
        ...(list === undefined ? {} : { listStatus: amendedListView(list, symbol) })
      }
    })
  }
}

const amendments: Endpoint = {
  rest: "GET /api/v3/order/amendments",
  webSocket: "order.amendments",
  isSigned: true,
  weight: always(4),
  read: (p) => {
    const symbol = p.symbol()
    const orderId = p.whole("orderId")
    const from = p.whole("fromExecutionId") ?? 0
    const limit = rowsOf(p.whole("limit"))
    return onMarket(symbol, (_, market) => {
      if (orderId === undefined) return mandatory("orderId")
      return market.amendments.of(orderId, from, limit).map((row) => amendmentView(row, symbol))
    })
  }
}

export const amendEndpoints: ReadonlyArray<Endpoint> = [amend, amendments]
