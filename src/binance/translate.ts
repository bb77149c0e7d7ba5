/**
 * From the exchange's words to ours; pure.
 *
 * An answer and an event are both a statement about the cumulative state of one order, with the trades that
 * came along. Whose order it is, is checked by the caller.
 */
import { Result, Schema } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { Decimal } from "../domain/Decimal.ts"
import { format, isPositive, zero } from "../domain/Decimal.ts"
import type { Fill, OrderRequest } from "../domain/Event.ts"
import { Filter, type Instrument } from "../domain/Instrument.ts"
import type { Parameters } from "./sign.ts"
import type { CancelledOrder, ExecutionReport, PlacedOrder, QueriedOrder, SymbolInfo, Trade } from "./wire.ts"

/** An order as the exchange lists it. */
export interface FoundOrder {
  readonly clientOrderId: string
  readonly symbol: string
  /** Open enums. */
  readonly side: string
  readonly type: string
  /** Zero for a MARKET order. */
  readonly price: Decimal
  readonly quantity: Decimal
  readonly report: ExchangeReport
}

export type ExchangeTrade = Fill & { readonly exchangeOrderId: string }

const noReason = "NONE"

/** Old orders have a negative one, which means "not available". */
const quoteOf = (executedQuote: Decimal): Decimal => (isPositive(executedQuote) ? executedQuote : zero)

export const parametersOf = (request: OrderRequest): Parameters => {
  const parameters: Array<readonly [string, string]> = [
    ["symbol", request.symbol],
    ["side", request.side],
    ["type", request.type]
  ]
  if (request.timeInForce !== null) parameters.push(["timeInForce", request.timeInForce])
  if (request.quantity !== null) parameters.push(["quantity", format(request.quantity)])
  if (request.quoteQuantity !== null) parameters.push(["quoteOrderQty", format(request.quoteQuantity)])
  if (request.price !== null) parameters.push(["price", format(request.price)])
  return parameters
}

export const placedReport = (order: typeof PlacedOrder.Type): ExchangeReport => ({
  exchangeOrderId: order.orderId,
  exchangeStatus: order.status,
  expiryReason: order.expiryReason ?? noReason,
  executedQuantity: order.executedQty,
  executedQuote: quoteOf(order.cummulativeQuoteQty),
  transactTime: order.transactTime,
  // The answer gives its trades no time of their own: they happened in this transaction.
  fills: (order.fills ?? []).map((fill) => ({
    tradeId: fill.tradeId,
    price: fill.price,
    quantity: fill.qty,
    fee: fill.commission,
    feeAsset: fill.commissionAsset ?? "",
    at: order.transactTime
  })),
  source: "answer"
})

export const cancelledReport = (order: typeof CancelledOrder.Type): ExchangeReport => ({
  exchangeOrderId: order.orderId,
  exchangeStatus: order.status,
  expiryReason: order.expiryReason ?? noReason,
  executedQuantity: order.executedQty,
  executedQuote: quoteOf(order.cummulativeQuoteQty),
  transactTime: order.transactTime,
  fills: [],
  source: "answer"
})

export const foundOrder = (order: typeof QueriedOrder.Type): FoundOrder => ({
  clientOrderId: order.clientOrderId,
  symbol: order.symbol,
  side: order.side,
  type: order.type,
  price: order.price,
  quantity: order.origQty,
  report: {
    exchangeOrderId: order.orderId,
    exchangeStatus: order.status,
    expiryReason: order.expiryReason ?? noReason,
    executedQuantity: order.executedQty,
    executedQuote: quoteOf(order.cummulativeQuoteQty),
    transactTime: order.updateTime,
    fills: [],
    source: "query"
  }
})

export const tradeOf = (trade: typeof Trade.Type): ExchangeTrade => ({
  tradeId: trade.id,
  price: trade.price,
  quantity: trade.qty,
  fee: trade.commission,
  feeAsset: trade.commissionAsset ?? "",
  at: trade.time,
  exchangeOrderId: trade.orderId
})

/** `C` is the order's own id where `c` is another one: a cancel's, or the new one after an amendment. */
export const streamReport = (event: typeof ExecutionReport.Type) => ({
  clientOrderId: event.C === "" ? event.c : event.C,
  symbol: event.s,
  report: {
    exchangeOrderId: event.i,
    exchangeStatus: event.X,
    expiryReason: event.eR ?? noReason,
    executedQuantity: event.z,
    executedQuote: quoteOf(event.Z),
    transactTime: event.T,
    fills:
      event.x === "TRADE"
        ? [{ tradeId: event.t, price: event.L, quantity: event.l, fee: event.n, feeAsset: event.N ?? "", at: event.T }]
        : [],
    source: "stream"
  } satisfies ExchangeReport
})

export const instrumentOf = (symbol: typeof SymbolInfo.Type): Instrument => ({
  symbol: symbol.symbol,
  status: symbol.status,
  baseAsset: symbol.baseAsset,
  quoteAsset: symbol.quoteAsset,
  baseAssetPrecision: symbol.baseAssetPrecision,
  quoteAssetPrecision: symbol.quoteAssetPrecision,
  orderTypes: symbol.orderTypes,
  icebergAllowed: symbol.icebergAllowed,
  quoteOrderQtyMarketAllowed: symbol.quoteOrderQtyMarketAllowed,
  filters: symbol.filters.map(filterOf)
})

const decodeFilter = Schema.decodeUnknownResult(Filter)

/** Filters whose only limit has a name of its own at the exchange. */
const limitNames: Readonly<Record<string, string>> = {
  MAX_NUM_ORDERS: "maxNumOrders",
  MAX_NUM_ALGO_ORDERS: "maxNumAlgoOrders",
  MAX_NUM_ICEBERG_ORDERS: "maxNumIcebergOrders",
  ICEBERG_PARTS: "limit"
}

const filterOf = (filter: Readonly<Record<string, unknown>>): Filter => {
  const name = String(filter["filterType"])
  const limit = limitNames[name]
  const known = decodeFilter({ ...filter, type: name, ...(limit === undefined ? {} : { limit: filter[limit] }) })
  return Result.getOrElse(known, () => ({ type: "OTHER" as const, name }))
}
