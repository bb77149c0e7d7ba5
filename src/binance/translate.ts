/**
 * From the exchange's words to ours; pure.
 *
 * An answer and an event are both a statement about the cumulative state of one order, with the trades that
 * came along. Whose order it is, is checked by the caller. Words are cleaned and cut here, for they end in the log.
 */
import { Result, Schema } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { Decimal } from "../domain/Decimal.ts"
import { equals, format, isLess, isPositive, zero } from "../domain/Decimal.ts"
import type { Fill, OrderRequest } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { Filter, type Instrument } from "../domain/Instrument.ts"
import type { Parameters } from "./sign.ts"
import type {
  AccountPosition,
  CancelledOrder,
  ExecutionReport,
  PlacedOrder,
  QueriedOrder,
  SymbolInfo,
  Trade
} from "./wire.ts"
import { word } from "./wire.ts"

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
  /** News that it was amended: it may have another client order id than this one from now on. */
  readonly isAmended?: true
  /** When the exchange made it, where it says so. */
  readonly createdAt?: EpochMillis
  /** The rest of what was asked for, where the exchange says it; zero and empty for none. */
  readonly terms?: {
    readonly timeInForce: string
    readonly stopPrice: Decimal
    readonly icebergQuantity: Decimal
    readonly quoteQuantity: Decimal
  }
  readonly report: ExchangeReport
}

export type ExchangeTrade = Fill & { readonly exchangeOrderId: string }

const noReason = "NONE"
/** Of a fee of nothing: the exchange names none then. */
const noAsset = ""

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
  if (request.stopPrice !== undefined) parameters.push(["stopPrice", format(request.stopPrice)])
  if (request.icebergQuantity !== undefined) parameters.push(["icebergQty", format(request.icebergQuantity)])
  if (request.selfTradePrevention !== undefined) {
    parameters.push(["selfTradePreventionMode", request.selfTradePrevention])
  }
  return parameters
}

export const placedReport = (order: typeof PlacedOrder.Type): ExchangeReport => ({
  exchangeOrderId: order.orderId,
  exchangeStatus: word(order.status),
  expiryReason: word(order.expiryReason ?? noReason),
  executedQuantity: order.executedQty,
  executedQuote: quoteOf(order.cummulativeQuoteQty),
  transactTime: order.transactTime,
  // The answer gives its trades no time of their own: they happened in this transaction.
  fills: (order.fills ?? []).map((fill) => ({
    tradeId: fill.tradeId,
    price: fill.price,
    quantity: fill.qty,
    fee: fill.commission,
    feeAsset: word(fill.commissionAsset ?? noAsset),
    at: order.transactTime
  })),
  source: "answer"
})

export const cancelledReport = (order: typeof CancelledOrder.Type): ExchangeReport => ({
  exchangeOrderId: order.orderId,
  exchangeStatus: word(order.status),
  expiryReason: word(order.expiryReason ?? noReason),
  executedQuantity: order.executedQty,
  executedQuote: quoteOf(order.cummulativeQuoteQty),
  transactTime: order.transactTime,
  fills: [],
  source: "answer"
})

export const foundOrder = (order: typeof QueriedOrder.Type): FoundOrder => ({
  clientOrderId: word(order.clientOrderId),
  symbol: word(order.symbol),
  side: word(order.side),
  type: word(order.type),
  price: order.price,
  quantity: order.origQty,
  ...(order.time === undefined ? {} : { createdAt: order.time }),
  terms: {
    timeInForce: word(order.timeInForce ?? ""),
    stopPrice: order.stopPrice ?? zero,
    icebergQuantity: order.icebergQty ?? zero,
    quoteQuantity: order.origQuoteOrderQty ?? zero
  },
  report: {
    exchangeOrderId: order.orderId,
    exchangeStatus: word(order.status),
    expiryReason: word(order.expiryReason ?? noReason),
    executedQuantity: order.executedQty,
    executedQuote: quoteOf(order.cummulativeQuoteQty),
    transactTime: order.updateTime,
    fills: [],
    source: "query"
  }
})

/**
 * Whether an order that was found is the one that this request asked for. `known`: the exchange's id of ours, where we
 * have it; under that one an order may have become smaller by an amendment made elsewhere.
 */
export const isTheOneWeSent = (request: OrderRequest, found: FoundOrder, known: string | null = null): boolean =>
  request.symbol === found.symbol &&
  request.side === found.side &&
  request.type === found.type &&
  (request.quantity === null ||
    equals(request.quantity, found.quantity) ||
    (known === found.report.exchangeOrderId && isLess(found.quantity, request.quantity))) &&
  (request.price === null || equals(request.price, found.price))

export const tradeOf = (trade: typeof Trade.Type): ExchangeTrade => ({
  tradeId: trade.id,
  price: trade.price,
  quantity: trade.qty,
  fee: trade.commission,
  feeAsset: word(trade.commissionAsset ?? noAsset),
  at: trade.time,
  exchangeOrderId: trade.orderId
})

/** `C` is the order's own id where `c` is another one: a cancel's, or the new one after an amendment. */
export const streamReport = (event: typeof ExecutionReport.Type): FoundOrder => ({
  clientOrderId: word(event.C === "" ? event.c : event.C),
  symbol: word(event.s),
  side: word(event.S),
  type: word(event.o),
  price: event.p,
  quantity: event.q,
  ...(event.x === "REPLACED" ? { isAmended: true } : {}),
  ...(event.O === undefined ? {} : { createdAt: event.O }),
  report: {
    exchangeOrderId: event.i,
    exchangeStatus: word(event.X),
    expiryReason: word(event.eR ?? noReason),
    executedQuantity: event.z,
    executedQuote: quoteOf(event.Z),
    transactTime: event.T,
    fills:
      event.x === "TRADE"
        ? [
            {
              tradeId: event.t,
              price: event.L,
              quantity: event.l,
              fee: event.n,
              feeAsset: word(event.N ?? noAsset),
              at: event.T
            }
          ]
        : [],
    source: "stream"
  }
})

export const positionsOf = ({ B }: typeof AccountPosition.Type) =>
  B.map(({ a, f, l }) => ({ asset: word(a), free: f, locked: l }))

export const instrumentOf = (symbol: typeof SymbolInfo.Type): Instrument => ({
  symbol: word(symbol.symbol),
  status: word(symbol.status),
  baseAsset: word(symbol.baseAsset),
  quoteAsset: word(symbol.quoteAsset),
  baseAssetPrecision: symbol.baseAssetPrecision,
  quoteAssetPrecision: symbol.quoteAssetPrecision,
  orderTypes: symbol.orderTypes.map(word),
  icebergAllowed: symbol.icebergAllowed,
  quoteOrderQtyMarketAllowed: symbol.quoteOrderQtyMarketAllowed,
  ...(symbol.allowedSelfTradePreventionModes === undefined
    ? {}
    : { selfTradePreventions: symbol.allowedSelfTradePreventionModes.map(word) }),
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

/** One that nobody knows is kept by its name. */
export const filterOf = (filter: Readonly<Record<string, unknown>>): Filter => {
  const name = word(String(filter["filterType"]))
  const limit = limitNames[name]
  const known = decodeFilter({ ...filter, type: name, ...(limit === undefined ? {} : { limit: filter[limit] }) })
  return Result.getOrElse(known, () => ({ type: "OTHER" as const, name }))
}
