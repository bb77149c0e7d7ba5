/** The events of the user data stream. Fields come in their documented order, conditional ones where they apply. */
import type { Balance } from "./Accounts.ts"
import { format, times } from "./Amount.ts"
import type { Execution } from "./Execution.ts"
import { isMarketLike, isOpen, isWorking, none, type Order } from "./Order.ts"
import { contingencyOf, type ListStatusType, type OrderList } from "./OrderList.ts"
import { tradeGroupId } from "./prevention.ts"

const zero = format(0n)

export const executionReport = (order: Order, execution: Execution, now: number) => {
  const { cancelId, formerClientId, prevention, trade } = execution
  const isCanceled = cancelId !== undefined
  return {
    e: "executionReport",
    E: now,
    s: order.symbol.symbol,
    c: cancelId ?? order.clientOrderId,
    S: order.side,
    o: order.type,
    f: order.timeInForce,
    q: format(order.quantity),
    p: format(order.price),
    P: format(order.stopPrice),
    ...(order.trailingDelta > 0 ? { d: order.trailingDelta, D: order.trailingTime } : {}),
    F: format(order.icebergQuantity),
    g: order.listId,
    C: isCanceled ? order.clientOrderId : (formerClientId ?? ""),
    x: execution.type,
    X: order.status,
    r: execution.rejectReason ?? "NONE",
    ...(order.expiryReason === "" ? {} : { eR: order.expiryReason }),
    i: order.id,
    l: trade === undefined ? zero : format(trade.quantity),
    z: format(order.executed),
    L: trade === undefined ? zero : format(trade.price),
    n: trade === undefined ? "0" : format(trade.commission),
    N: trade === undefined ? null : trade.commissionAsset,
    T: execution.time,
    t: trade === undefined ? none : trade.id,
    ...(order.prevented > 0n ? { v: order.preventedMatchId } : {}),
    I: execution.executionId,
    w: isOnBook(order, execution),
    m: trade?.isMaker ?? false,
    M: trade !== undefined,
    O: order.time,
    Z: format(order.quoteExecuted),
    Y: trade === undefined ? zero : format(times(trade.price, trade.quantity)),
    Q: format(order.quoteQuantity),
    ...(order.strategyId === undefined ? {} : { j: order.strategyId }),
    ...(order.strategyType === undefined ? {} : { J: order.strategyType }),
    ...(isWorking(order) ? { W: order.workingTime } : {}),
    V: order.preventionMode,
    ...(order.prevented > 0n ? { A: format(order.prevented), u: tradeGroupId } : {}),
    ...(prevention === undefined
      ? {}
      : {
          B: format(prevention.lost),
          U: prevention.counterOrderId,
          Cs: order.symbol.symbol,
          pl: format(prevention.quantity),
          pL: format(prevention.price),
          pY: format(times(prevention.price, prevention.quantity))
        })
  }
}

// An order at any price is shown as on the book when it begins, and no more once it trades.
const isOnBook = (order: Order, { type }: Execution): boolean => {
  if (!isWorking(order) || !isOpen(order)) return false
  return type === "NEW" || !isMarketLike(order.type)
}

export const listStatus = (list: OrderList, symbol: string, type: ListStatusType, now: number) => ({
  e: "listStatus",
  E: now,
  s: symbol,
  g: list.id,
  c: contingencyOf(list),
  l: type,
  L: list.isDone ? "ALL_DONE" : "EXECUTING",
  r: "NONE",
  C: list.clientId,
  T: list.updateTime,
  O: list.orderIds.map((i, at) => ({ s: symbol, i, c: list.clientOrderIds[at]! }))
})

export const accountPosition = (balances: ReadonlyArray<Balance>, updateTime: number, now: number) => ({
  e: "outboundAccountPosition",
  E: now,
  u: updateTime,
  B: balances.map(({ asset, free, locked }) => ({ a: asset, f: format(free), l: format(locked) }))
})
