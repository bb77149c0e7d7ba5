/** Requests that place, cancel and read order lists. */
import { always, type Endpoint, faultOfPeriod, onMarket, readPeriod, rowsOf, type Run } from "./Endpoint.ts"
import type { Exchange } from "./Exchange.ts"
import type { ListTarget } from "./OrderRequests.ts"
import { type ListKind, type OrderList, sizeOf } from "./OrderList.ts"
import { canceledView, placedView } from "./orderAnswers.ts"
import { type ListForm, readOldPair, readPair, readTriggering } from "./listParameters.ts"
import type { Parameters } from "./Parameters.ts"
import { badCombination, isRefusal, listDoesNotExist, mandatoryEither, type Refusal } from "./Refusal.ts"
import { listView } from "./listViews.ts"

const placing = (rest: string, webSocket: string, kind: ListKind, read: (p: Parameters) => ListForm): Endpoint => ({
  rest: `POST /api/v3/${rest}`,
  webSocket,
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  isOrder: true,
  orders: sizeOf(kind),
  read: (p) => place(read(p))
})

const place = ({ read, responseType, symbol }: ListForm): Run =>
  onMarket(symbol, ({ exchange }, market) => {
    const wanted = read()
    if (isRefusal(wanted)) return wanted
    if (isRefusal(responseType)) return responseType
    const refused = exchange.checkList(market, wanted)
    if (refused !== undefined) return refused
    const placed = exchange.placeList(market, wanted)
    if (isRefusal(placed)) return placed
    return {
      ...listView(placed.list, symbol),
      orderReports: placed.orders.map((order) => placedView(exchange, market, order, responseType))
    }
  })

const cancelList: Endpoint = {
  rest: "DELETE /api/v3/orderList",
  webSocket: "orderList.cancel",
  isSigned: true,
  weight: always(1),
  isFreeOnSuccess: true,
  read: (p) => {
    const symbol = p.symbol()
    const target = readTarget(p, "listClientOrderId")
    const newId = p.clientId("newClientOrderId")
    return onMarket(symbol, ({ exchange }, market) => {
      if (isEmpty(target)) return mandatoryEither("listClientOrderId", "orderListId")
      const canceled = exchange.cancelList(market, target, newId ?? exchange.drawId(target.listId ?? 0))
      return isRefusal(canceled) ? canceled : canceledView(canceled)
    })
  }
}

const readTarget = (p: Parameters, clientIdName: string): ListTarget => ({
  listId: p.whole("orderListId"),
  clientId: p.text(clientIdName)
})

const isEmpty = ({ clientId, listId }: ListTarget): boolean => clientId === undefined && listId === undefined

const queryList: Endpoint = {
  rest: "GET /api/v3/orderList",
  webSocket: "orderList.status",
  isSigned: true,
  weight: always(4),
  read: (p) => {
    const target = readTarget(p, "origClientOrderId")
    return ({ exchange }) => {
      if (isEmpty(target)) return mandatoryEither("origClientOrderId", "orderListId")
      const list = found(exchange, target)
      return isRefusal(list) ? list : viewOf(exchange, list)
    }
  }
}

const found = ({ matching }: Exchange, { clientId, listId }: ListTarget): OrderList | Refusal => {
  const { lists } = matching.contingencies
  const list = listId === undefined ? lists.byClientId(clientId ?? "") : lists.byId(listId)
  return list === undefined || (clientId !== undefined && list.clientId !== clientId) ? listDoesNotExist : list
}

const viewOf = ({ matching }: Exchange, list: OrderList) => listView(list, matching.markets[list.market]!.info.symbol)

const openLists: Endpoint = {
  rest: "GET /api/v3/openOrderList",
  webSocket: "openOrderLists.status",
  isSigned: true,
  weight: always(6),
  read:
    () =>
    ({ exchange }) =>
      [...exchange.matching.contingencies.lists.open].map((list) => viewOf(exchange, list))
}

const allLists: Endpoint = {
  rest: "GET /api/v3/allOrderList",
  webSocket: "allOrderLists",
  isSigned: true,
  weight: always(20),
  read: (p) => {
    const fromId = p.whole("fromId")
    const period = readPeriod(p)
    const limit = rowsOf(p.whole("limit"))
    return ({ exchange }) => {
      const hasPeriod = period.startTime !== undefined || period.endTime !== undefined
      if (hasPeriod && fromId !== undefined) return badCombination
      const fault = faultOfPeriod(period)
      if (fault !== undefined) return fault
      const { endTime = Infinity, startTime = 0 } = period
      const wanted = [...exchange.matching.contingencies.lists.all()].filter(
        ({ id, time }) => id >= (fromId ?? 0) && time >= startTime && time <= endTime
      )
      // From an id or a time onwards the oldest come first; without either, the newest are meant.
      const isFromStart = fromId !== undefined || period.startTime !== undefined
      const page = isFromStart ? wanted.slice(0, limit) : wanted.slice(-limit)
      return page.map((list) => viewOf(exchange, list))
    }
  }
}

export const listEndpoints: ReadonlyArray<Endpoint> = [
  placing("orderList/oco", "orderList.place.oco", "OCO", readPair),
  placing("order/oco", "orderList.place", "OCO", readOldPair),
  placing("orderList/oto", "orderList.place.oto", "OTO", (p) => readTriggering(p, "OTO")),
  placing("orderList/otoco", "orderList.place.otoco", "OTOCO", (p) => readTriggering(p, "OTOCO")),
  placing("orderList/opo", "orderList.place.opo", "OPO", (p) => readTriggering(p, "OPO")),
  placing("orderList/opoco", "orderList.place.opoco", "OPOCO", (p) => readTriggering(p, "OPOCO")),
  cancelList,
  queryList,
  openLists,
  allLists
]
