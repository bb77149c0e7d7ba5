/** The JSON of answers and events: names and shapes as Binance documents them, decimals as strings of eight digits. */
import { type Balance } from "./Accounts.ts"
import { type Amount, decimals, format, times } from "./Amount.ts"
import type { Filter, SymbolInfo } from "./Market.ts"
import type { Execution, Market } from "./Matching.ts"
import { isOpen, type Order } from "./Order.ts"
import type { PublicTrade } from "./Tape.ts"
import type { Trade, Trades } from "./Trades.ts"

const zero = format(0n)
const noList = -1
const preventionMode = "NONE"

export const ackView = (order: Order) => ({
  symbol: order.symbol.symbol,
  orderId: order.id,
  orderListId: noList,
  clientOrderId: order.clientOrderId,
  transactTime: order.updateTime
})

export const resultView = (order: Order) => ({
  ...ackView(order),
  price: format(order.price),
  origQty: format(order.quantity),
  executedQty: format(order.executed),
  origQuoteOrderQty: format(order.quoteQuantity),
  cummulativeQuoteQty: format(order.quoteExecuted),
  status: order.status,
  timeInForce: order.timeInForce,
  type: order.type,
  side: order.side,
  ...(order.icebergQuantity > 0n ? { icebergQty: format(order.icebergQuantity) } : {}),
  ...strategy(order),
  workingTime: order.time,
  selfTradePreventionMode: preventionMode,
  ...(order.expiryReason === "" ? {} : { expiryReason: order.expiryReason })
})

export const fullView = (order: Order, trades: Trades) => ({
  ...resultView(order),
  fills: order.trades.map((row) => {
    const trade = trades.at(row)
    return {
      price: format(trade.price),
      qty: format(trade.quantity),
      commission: format(trade.commission),
      commissionAsset: trade.isBuyer ? order.symbol.base : order.symbol.quote,
      tradeId: trade.id
    }
  })
})

export const orderView = (order: Order) => ({
  symbol: order.symbol.symbol,
  orderId: order.id,
  orderListId: noList,
  clientOrderId: order.clientOrderId,
  price: format(order.price),
  origQty: format(order.quantity),
  executedQty: format(order.executed),
  cummulativeQuoteQty: format(order.quoteExecuted),
  status: order.status,
  timeInForce: order.timeInForce,
  type: order.type,
  side: order.side,
  stopPrice: zero,
  icebergQty: format(order.icebergQuantity),
  time: order.time,
  updateTime: order.updateTime,
  isWorking: true,
  workingTime: order.time,
  origQuoteOrderQty: format(order.quoteQuantity),
  selfTradePreventionMode: preventionMode,
  ...strategy(order),
  ...(order.expiryReason === "" ? {} : { expiryReason: order.expiryReason })
})

export const cancelView = (order: Order, cancelId: string) => ({
  symbol: order.symbol.symbol,
  origClientOrderId: order.clientOrderId,
  orderId: order.id,
  orderListId: noList,
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
  ...(order.icebergQuantity > 0n ? { icebergQty: format(order.icebergQuantity) } : {}),
  ...strategy(order),
  selfTradePreventionMode: preventionMode
})

const strategy = ({ strategyId, strategyType }: Order) => ({
  ...(strategyId === undefined ? {} : { strategyId }),
  ...(strategyType === undefined ? {} : { strategyType })
})

export const myTradeView = (trade: Trade, symbol: SymbolInfo) => ({
  symbol: symbol.symbol,
  id: trade.id,
  orderId: trade.orderId,
  orderListId: noList,
  price: format(trade.price),
  qty: format(trade.quantity),
  quoteQty: format(trade.quote),
  commission: format(trade.commission),
  commissionAsset: trade.isBuyer ? symbol.base : symbol.quote,
  time: trade.time,
  isBuyer: trade.isBuyer,
  isMaker: trade.isMaker,
  isBestMatch: true
})

export const accountView = (balances: Iterable<Balance>, uid: number, updateTime: number, omitZero: boolean) => ({
  makerCommission: 10,
  takerCommission: 10,
  buyerCommission: 0,
  sellerCommission: 0,
  commissionRates: { maker: "0.00100000", taker: "0.00100000", buyer: zero, seller: zero },
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
  permissions: ["SPOT"],
  uid
})

export const publicTradeView = (trade: PublicTrade) => ({
  id: trade.id,
  price: format(trade.price),
  qty: format(trade.quantity),
  quoteQty: format(trade.quote),
  time: trade.time,
  isBuyerMaker: trade.isBuyerMaker,
  isBestMatch: true
})

export const depthView = (market: Market, limit: number) => ({
  lastUpdateId: market.book.updateId,
  bids: market.book.depth("BUY", limit).map(levelView),
  asks: market.book.depth("SELL", limit).map(levelView)
})

const levelView = ([price, quantity]: readonly [Amount, Amount]) => [format(price), format(quantity)]

export const symbolView = (info: SymbolInfo, withPermissionSets: boolean) => ({
  symbol: info.symbol,
  status: "TRADING",
  baseAsset: info.base,
  baseAssetPrecision: decimals,
  quoteAsset: info.quote,
  quotePrecision: decimals,
  quoteAssetPrecision: decimals,
  baseCommissionPrecision: decimals,
  quoteCommissionPrecision: decimals,
  orderTypes: ["LIMIT", "LIMIT_MAKER", "MARKET"],
  icebergAllowed: true,
  ocoAllowed: false,
  otoAllowed: false,
  opoAllowed: false,
  quoteOrderQtyMarketAllowed: true,
  allowTrailingStop: false,
  cancelReplaceAllowed: false,
  amendAllowed: false,
  pegInstructionsAllowed: false,
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  filters: info.filters.map(filterView),
  permissions: [],
  permissionSets: withPermissionSets ? [["SPOT"]] : [],
  defaultSelfTradePreventionMode: preventionMode,
  allowedSelfTradePreventionModes: [preventionMode]
})

/** Amounts as strings; counts and flags as they are. */
const filterView = (filter: Filter) =>
  Object.fromEntries(
    Object.entries(filter).map(([name, value]) => [name, typeof value === "bigint" ? format(value) : value])
  )

export const executionReport = (order: Order, execution: Execution, now: number) => {
  const { cancelId, trade } = execution
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
    P: zero,
    F: format(order.icebergQuantity),
    g: noList,
    C: cancelId === undefined ? "" : order.clientOrderId,
    x: execution.type,
    X: order.status,
    r: "NONE",
    ...(order.expiryReason === "" ? {} : { eR: order.expiryReason }),
    i: order.id,
    l: trade === undefined ? zero : format(trade.quantity),
    z: format(order.executed),
    L: trade === undefined ? zero : format(trade.price),
    n: trade === undefined ? "0" : format(trade.commission),
    N: trade === undefined ? null : trade.commissionAsset,
    T: execution.time,
    t: trade === undefined ? -1 : trade.id,
    I: execution.executionId,
    w: isOpen(order),
    m: trade?.isMaker ?? false,
    M: false,
    O: order.time,
    Z: format(order.quoteExecuted),
    Y: trade === undefined ? zero : format(times(trade.price, trade.quantity)),
    Q: format(order.quoteQuantity),
    W: order.time,
    V: preventionMode,
    ...(order.strategyId === undefined ? {} : { j: order.strategyId }),
    ...(order.strategyType === undefined ? {} : { J: order.strategyType })
  }
}

export const accountPosition = (balances: ReadonlyArray<Balance>, updateTime: number, now: number) => ({
  e: "outboundAccountPosition",
  E: now,
  u: updateTime,
  B: balances.map(({ asset, free, locked }) => ({ a: asset, f: format(free), l: format(locked) }))
})

export const tradeEvent = (symbol: string, trade: PublicTrade, now: number) => ({
  e: "trade",
  E: now,
  s: symbol,
  t: trade.id,
  p: format(trade.price),
  q: format(trade.quantity),
  T: trade.time,
  m: trade.isBuyerMaker,
  M: true
})
