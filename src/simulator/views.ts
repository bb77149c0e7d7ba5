/** The JSON of answers and events: names and shapes as Binance documents them, decimals as strings of eight digits. */
import { type Balance } from "./Accounts.ts"
import type { Amendment } from "./Amendments.ts"
import { type Amount, decimals, format, times } from "./Amount.ts"
import { type CommissionRates, type Commissions, discountAsset, rateFor } from "./Commission.ts"
import type { AssetFilter, ExchangeFilter } from "./filters.ts"
import type { Filter, SymbolInfo } from "./Market.ts"
import type { Execution } from "./Matching.ts"
import { isMarketLike, isOpen, isWorking, none, type Order, type Side } from "./Order.ts"
import { contingencyOf, type ListStatusType, type OrderList } from "./OrderList.ts"
import { type PreventedMatch, type PreventedMatches, tradeGroupId } from "./prevention.ts"
import type { Trade, Trades } from "./Trades.ts"

const zero = format(0n)
const spotPermissions = ["SPOT"]

export const ackView = (order: Order) => ({
  symbol: order.symbol.symbol,
  orderId: order.id,
  orderListId: order.listId,
  clientOrderId: order.clientOrderId,
  transactTime: order.updateTime
})

export const resultView = (order: Order) => ({
  ...ackView(order),
  price: format(order.price),
  // An order that another one pays for has no quantity before it is known.
  ...(order.quantity === 0n ? {} : { origQty: format(order.quantity) }),
  executedQty: format(order.executed),
  origQuoteOrderQty: format(order.quoteQuantity),
  cummulativeQuoteQty: format(order.quoteExecuted),
  status: order.status,
  timeInForce: order.timeInForce,
  type: order.type,
  side: order.side,
  ...stop(order),
  workingTime: order.workingTime,
  ...iceberg(order),
  ...strategy(order),
  selfTradePreventionMode: order.preventionMode,
  ...prevented(order),
  ...expiry(order)
})

export const fullView = (order: Order, trades: Trades, matches: PreventedMatches) => ({
  ...resultView(order),
  fills: order.trades.map((row) => {
    const trade = trades.at(row)
    return {
      price: format(trade.price),
      qty: format(trade.quantity),
      commission: format(trade.commission),
      commissionAsset: commissionAssetOf(trade, order.symbol),
      tradeId: trade.id
    }
  }),
  ...preventedMatches(order, matches)
})

/** Of a taker, every match that was prevented; nothing for most orders. */
const preventedMatches = (order: Order, matches: PreventedMatches) => {
  if (order.preventionMode === "NONE" || matches.nextId === 0) return {}
  const own = matches.of(order.id, 0, Infinity).filter(({ takerOrderId }) => takerOrderId === order.id)
  if (own.length === 0) return {}
  return {
    preventedMatches: own.map((match) => ({
      preventedMatchId: match.id,
      makerSymbol: order.symbol.symbol,
      makerOrderId: match.makerOrderId,
      price: format(match.price),
      ...preventedQuantities(match)
    }))
  }
}

const preventedQuantities = ({ makerQuantity, takerQuantity }: PreventedMatch) => ({
  ...(takerQuantity > 0n ? { takerPreventedQuantity: format(takerQuantity) } : {}),
  ...(makerQuantity > 0n ? { makerPreventedQuantity: format(makerQuantity) } : {})
})

export const preventedMatchView = (match: PreventedMatch, symbol: string) => ({
  symbol,
  preventedMatchId: match.id,
  takerOrderId: match.takerOrderId,
  makerSymbol: symbol,
  makerOrderId: match.makerOrderId,
  tradeGroupId,
  selfTradePreventionMode: match.mode,
  price: format(match.price),
  ...preventedQuantities(match),
  transactTime: match.time
})

export const orderView = (order: Order) => ({
  symbol: order.symbol.symbol,
  orderId: order.id,
  orderListId: order.listId,
  clientOrderId: order.clientOrderId,
  price: format(order.price),
  origQty: format(order.quantity),
  executedQty: format(order.executed),
  cummulativeQuoteQty: format(order.quoteExecuted),
  status: order.status,
  timeInForce: order.timeInForce,
  type: order.type,
  side: order.side,
  stopPrice: format(order.stopPrice),
  ...trailing(order),
  icebergQty: format(order.icebergQuantity),
  time: order.time,
  updateTime: order.updateTime,
  isWorking: isWorking(order),
  workingTime: order.workingTime,
  origQuoteOrderQty: format(order.quoteQuantity),
  ...strategy(order),
  selfTradePreventionMode: order.preventionMode,
  ...prevented(order),
  ...expiry(order)
})

export const cancelView = (order: Order, cancelId: string) => ({
  symbol: order.symbol.symbol,
  origClientOrderId: order.clientOrderId,
  orderId: order.id,
  orderListId: order.listId,
  clientOrderId: cancelId,
  transactTime: order.updateTime,
  price: format(order.price),
  origQty: format(order.quantity),
  executedQty: format(order.executed),
  origQuoteOrderQty: format(order.quoteQuantity),
  cummulativeQuoteQty: format(order.quoteExecuted),
  status: order.status,
  timeInForce: order.timeInForce,
  type: order.type,
  side: order.side,
  ...stop(order),
  ...iceberg(order),
  ...strategy(order),
  selfTradePreventionMode: order.preventionMode,
  ...prevented(order)
})

export const amendedView = (order: Order, formerClientId: string) => ({
  symbol: order.symbol.symbol,
  orderId: order.id,
  orderListId: order.listId,
  origClientOrderId: formerClientId,
  clientOrderId: order.clientOrderId,
  price: format(order.price),
  qty: format(order.quantity),
  executedQty: format(order.executed),
  preventedQty: format(order.prevented),
  quoteOrderQty: format(order.quoteQuantity),
  cumulativeQuoteQty: format(order.quoteExecuted),
  status: order.status,
  timeInForce: order.timeInForce,
  type: order.type,
  side: order.side,
  ...stop(order),
  ...iceberg(order),
  ...strategy(order),
  ...(isWorking(order) ? { workingTime: order.workingTime } : {}),
  selfTradePreventionMode: order.preventionMode,
  ...expiry(order)
})

export const amendmentView = (row: Amendment, symbol: string) => ({
  symbol,
  orderId: row.orderId,
  executionId: row.executionId,
  origClientOrderId: row.formerClientId,
  newClientOrderId: row.clientOrderId,
  origQty: format(row.formerQuantity),
  newQty: format(row.quantity),
  time: row.time
})

const stop = (order: Order) => ({
  ...(order.stopPrice > 0n ? { stopPrice: format(order.stopPrice) } : {}),
  ...trailing(order)
})

const trailing = ({ trailingDelta, trailingTime }: Order) => (trailingDelta > 0 ? { trailingDelta, trailingTime } : {})

const iceberg = ({ icebergQuantity }: Order) => (icebergQuantity > 0n ? { icebergQty: format(icebergQuantity) } : {})

const strategy = ({ strategyId, strategyType }: Order) => ({
  ...(strategyId === undefined ? {} : { strategyId }),
  ...(strategyType === undefined ? {} : { strategyType })
})

const prevented = (order: Order) =>
  order.prevented > 0n ? { preventedMatchId: order.preventedMatchId, preventedQuantity: format(order.prevented) } : {}

const expiry = ({ expiryReason }: Order) => (expiryReason === "" ? {} : { expiryReason })

export const commissionAssetOf = ({ isBuyer, isInBnb }: Trade, symbol: SymbolInfo): string => {
  if (isInBnb) return discountAsset
  return isBuyer ? symbol.base : symbol.quote
}

export const myTradeView = (trade: Trade, symbol: SymbolInfo, listId: number) => ({
  symbol: symbol.symbol,
  id: trade.id,
  orderId: trade.orderId,
  orderListId: listId,
  price: format(trade.price),
  qty: format(trade.quantity),
  quoteQty: format(trade.quote),
  commission: format(trade.commission),
  commissionAsset: commissionAssetOf(trade, symbol),
  time: trade.time,
  isBuyer: trade.isBuyer,
  isMaker: trade.isMaker,
  isBestMatch: true
})

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

/** A share in 10,000, as older fields write rates. */
const basisPoints = (rate: Amount): number => Number(rate / 10_000n)

export const accountView = (
  balances: Iterable<Balance>,
  uid: number,
  updateTime: number,
  omitZero: boolean,
  { standard }: Commissions
) => ({
  makerCommission: basisPoints(standard.maker),
  takerCommission: basisPoints(standard.taker),
  buyerCommission: basisPoints(standard.buyer),
  sellerCommission: basisPoints(standard.seller),
  commissionRates: ratesView(standard),
  canTrade: true,
  canWithdraw: false,
  canDeposit: false,
  brokered: false,
  requireSelfTradePrevention: false,
  preventSor: false,
  updateTime,
  accountType: "SPOT",
  balances: [...balances]
    .filter(({ free, locked }) => !omitZero || free > 0n || locked > 0n)
    .map(({ asset, free, locked }) => ({ asset, free: format(free), locked: format(locked) })),
  permissions: spotPermissions,
  uid
})

const ratesView = ({ buyer, maker, seller, taker }: CommissionRates) => ({
  maker: format(maker),
  taker: format(taker),
  buyer: format(buyer),
  seller: format(seller)
})

const discountView = ({ discount, paysInBnb }: Commissions) => ({
  enabledForAccount: paysInBnb,
  enabledForSymbol: paysInBnb,
  discountAsset,
  discount: format(discount)
})

export const commissionView = (commissions: Commissions, symbol: string) => ({
  symbol,
  standardCommission: ratesView(commissions.standard),
  specialCommission: ratesView(commissions.special),
  taxCommission: ratesView(commissions.tax),
  discount: discountView(commissions)
})

/** The rates of one order: its side is known, its role is not. */
export const orderCommissionView = (commissions: Commissions, side: Side) => {
  const roles = (rates: CommissionRates) => ({
    maker: format(rateFor(rates, side, true)),
    taker: format(rateFor(rates, side, false))
  })
  return {
    standardCommissionForOrder: roles(commissions.standard),
    specialCommissionForOrder: roles(commissions.special),
    taxCommissionForOrder: roles(commissions.tax),
    discount: discountView(commissions)
  }
}

export const symbolView = (info: SymbolInfo, withPermissionSets: boolean) => ({
  symbol: info.symbol,
  status: info.status,
  baseAsset: info.base,
  baseAssetPrecision: decimals,
  quoteAsset: info.quote,
  quotePrecision: decimals,
  quoteAssetPrecision: decimals,
  baseCommissionPrecision: decimals,
  quoteCommissionPrecision: decimals,
  orderTypes: info.features.orderTypes,
  icebergAllowed: info.features.iceberg,
  ocoAllowed: info.features.oco,
  otoAllowed: info.features.oto,
  opoAllowed: info.features.opo,
  quoteOrderQtyMarketAllowed: info.features.quoteQuantity,
  allowTrailingStop: info.features.trailingStop,
  cancelReplaceAllowed: info.features.cancelReplace,
  amendAllowed: info.features.amend,
  pegInstructionsAllowed: false,
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  filters: info.filters.map(filterView),
  permissions: [],
  permissionSets: withPermissionSets ? [spotPermissions] : [],
  defaultSelfTradePreventionMode: info.defaultPreventionMode,
  allowedSelfTradePreventionModes: info.allowedPreventionModes
})

/** Amounts as strings; counts and flags as they are. */
export const filterView = (filter: Filter | ExchangeFilter | AssetFilter) =>
  Object.fromEntries(
    Object.entries(filter).map(([name, value]) => [name, typeof value === "bigint" ? format(value) : value])
  )

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
