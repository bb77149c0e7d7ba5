/**
 * What a scripted exchange knows: its orders with every state they ever had, so that a read can lag behind.
 *
 * Pure state, owned by one ScriptedExchange. It keeps the real exchange's rule that a client order id is exclusive
 * among open orders only: nothing here stops a second execution under one id, which is what a judge counts.
 */
import type { FoundOrder } from "../src/binance/BinanceClient.ts"
import type { ExchangeReport } from "../src/domain/Command.ts"
import * as Decimal from "../src/domain/Decimal.ts"
import type { Fill, OrderRequest } from "../src/domain/Event.ts"
import type { EpochMillis } from "../src/domain/Ids.ts"

export type Trade = Fill & { readonly exchangeOrderId: string }

interface State {
  readonly at: EpochMillis
  readonly status: string
  readonly expiryReason: string
  readonly executedQuantity: Decimal.Decimal
  readonly executedQuote: Decimal.Decimal
}

/** One order of the exchange. */
export interface Entry {
  readonly exchangeOrderId: string
  readonly clientOrderId: string
  readonly request: OrderRequest
  readonly quantity: Decimal.Decimal
  readonly price: Decimal.Decimal
  /** Oldest first; the first is its acceptance, which may lie ahead. */
  readonly states: Array<State>
  readonly trades: Array<Trade>
}

/** As a judge sees it. */
export interface LedgerOrder {
  readonly exchangeOrderId: string
  readonly clientOrderId: string
  readonly symbol: string
  readonly status: string
  readonly executedQuantity: string
}

const marketPrice = Decimal.decimal("60000")
const feePerTrade = Decimal.decimal("0.00001")
const ended = new Set(["FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"])

export const makeLedger = () => {
  const entries: Array<Entry> = []
  let lastOrder = 1_000
  let lastTrade = 5_000

  const stateOf = (entry: Entry, at: EpochMillis): State | undefined => entry.states.findLast((one) => one.at <= at)

  const accept = (clientOrderId: string, request: OrderRequest, at: EpochMillis): Entry => {
    const price = request.price ?? marketPrice
    const entry: Entry = {
      exchangeOrderId: `${(lastOrder += 1)}`,
      clientOrderId,
      request,
      price,
      quantity: request.quantity ?? Decimal.divide(request.quoteQuantity ?? Decimal.zero, price, 8),
      states: [
        { at, status: "NEW", expiryReason: "NONE", executedQuantity: Decimal.zero, executedQuote: Decimal.zero }
      ],
      trades: []
    }
    entries.push(entry)
    return entry
  }

  /** Trades so much of it; null: all that is left. */
  const fill = (entry: Entry, quantity: Decimal.Decimal | null, at: EpochMillis): Trade => {
    const last = entry.states.at(-1)!
    const left = Decimal.subtract(entry.quantity, last.executedQuantity)
    const traded = quantity ?? left
    const executedQuantity = Decimal.add(last.executedQuantity, traded)
    const trade: Trade = {
      exchangeOrderId: entry.exchangeOrderId,
      tradeId: `${(lastTrade += 1)}`,
      price: entry.price,
      quantity: traded,
      fee: feePerTrade,
      feeAsset: "BNB",
      at: Math.max(at, last.at)
    }
    entry.trades.push(trade)
    entry.states.push({
      at: trade.at,
      status: Decimal.equals(executedQuantity, entry.quantity) ? "FILLED" : "PARTIALLY_FILLED",
      expiryReason: "NONE",
      executedQuantity,
      executedQuote: Decimal.add(last.executedQuote, Decimal.multiply(entry.price, traded))
    })
    return trade
  }

  const end = (entry: Entry, status: "CANCELED" | "EXPIRED", expiryReason: string, at: EpochMillis): void => {
    const last = entry.states.at(-1)!
    entry.states.push({ ...last, at: Math.max(at, last.at), status, expiryReason })
  }

  const reportOf = (
    entry: Entry,
    at: EpochMillis,
    source: ExchangeReport["source"],
    fills: ReadonlyArray<Fill>
  ): ExchangeReport | null => {
    const state = stateOf(entry, at)
    if (state === undefined) return null
    return {
      exchangeOrderId: entry.exchangeOrderId,
      exchangeStatus: state.status,
      expiryReason: state.expiryReason,
      executedQuantity: state.executedQuantity,
      executedQuote: state.executedQuote,
      transactTime: state.at,
      fills: fills.map(({ at: tradedAt, fee, feeAsset, price, quantity, tradeId }) => ({
        tradeId,
        price,
        quantity,
        fee,
        feeAsset,
        at: tradedAt
      })),
      source
    }
  }

  const found = (entry: Entry, at: EpochMillis): ReadonlyArray<FoundOrder> => {
    const report = reportOf(entry, at, "query", [])
    if (report === null) return []
    const { price, side, symbol, type } = entry.request
    const { clientOrderId, quantity } = entry
    return [{ clientOrderId, symbol, side, type, price: price ?? Decimal.zero, quantity, report }]
  }

  const isOpenAt = (entry: Entry, at: EpochMillis): boolean => {
    const state = stateOf(entry, at)
    return state !== undefined && !ended.has(state.status)
  }

  /** Forgets everything, and gives its ids anew, as the testnet does about monthly. */
  const reset = (): void => {
    entries.length = 0
    lastOrder = 0
    lastTrade = 0
  }

  return {
    entries,
    reset,
    accept,
    fill,
    end,
    reportOf,
    found,
    isOpenAt,
    /** The newest under this id that was there by then. */
    newest: (clientOrderId: string, at: EpochMillis): Entry | undefined =>
      entries.findLast((entry) => entry.clientOrderId === clientOrderId && stateOf(entry, at) !== undefined),
    orders: (at: EpochMillis): ReadonlyArray<LedgerOrder> =>
      entries.flatMap((entry) => {
        const state = stateOf(entry, at)
        if (state === undefined) return []
        return [
          {
            exchangeOrderId: entry.exchangeOrderId,
            clientOrderId: entry.clientOrderId,
            symbol: entry.request.symbol,
            status: state.status,
            executedQuantity: Decimal.format(state.executedQuantity)
          }
        ]
      })
  }
}
