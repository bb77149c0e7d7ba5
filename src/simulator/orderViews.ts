/** The JSON of orders, wherever they are told of: names and shapes as documented, decimals as strings of eight digits. */
import { commissionAssetOf } from "./accountViews.ts"
import type { Amendment } from "./Amendments.ts"
import { format } from "./Amount.ts"
import { isWorking, type Order } from "./Order.ts"
import { type PreventedMatch, type PreventedMatches, tradeGroupId } from "./prevention.ts"
import type { Trades } from "./Trades.ts"

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
