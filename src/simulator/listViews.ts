/** The JSON of order lists. */
import { contingencyOf, type OrderList } from "./OrderList.ts"

/** A list as it is now; `orderReports` are added where an answer has them. */
export const listView = (list: OrderList, symbol: string) => ({
  orderListId: list.id,
  contingencyType: contingencyOf(list),
  listStatusType: list.isDone ? "ALL_DONE" : "EXEC_STARTED",
  listOrderStatus: list.isDone ? "ALL_DONE" : "EXECUTING",
  listClientOrderId: list.clientId,
  transactionTime: list.updateTime,
  symbol,
  orders: listOrders(list, symbol)
})

/** The list of an amended order, which has no status of its own news. */
export const amendedListView = (list: OrderList, symbol: string) => ({
  orderListId: list.id,
  contingencyType: contingencyOf(list),
  listOrderStatus: list.isDone ? "ALL_DONE" : "EXECUTING",
  listClientOrderId: list.clientId,
  symbol,
  orders: listOrders(list, symbol)
})

const listOrders = (list: OrderList, symbol: string) =>
  list.orderIds.map((orderId, at) => ({ symbol, orderId, clientOrderId: list.clientOrderIds[at]! }))
