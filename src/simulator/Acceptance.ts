/**
 * What the exchange says to a new order, a list or an amendment, before anything changes.
 *
 * First what the API checks by itself (modes, filters of the order), then what the engine does: the symbol's status
 * and features, client ids, filters that count, the prices of a pair, funds. What is accepted has its number.
 */
import { ours } from "./Accounts.ts"
import { type Amount, one as oneUnit } from "./Amount.ts"
import { unsupportedAmend, unsupportedList, unsupportedOrder, unsupportedReplace } from "./features.ts"
import { type AssetFilter, type ExchangeFilter, judgeOrder, judgeStanding } from "./filters.ts"
import { foreseeQuote } from "./foresight.ts"
import type { SymbolInfo } from "./Market.ts"
import type { RejectReason } from "./Execution.ts"
import type { Market, Matching } from "./Matching.ts"
import { isMarketLike, newOrder, none, type Order } from "./Order.ts"
import { hasPair, type ListKind, type OrderList, paysOn } from "./OrderList.ts"
import type { NewList, NewOrder, PlacedList } from "./OrderRequests.ts"
import { openQuestions } from "./openQuestions.ts"
import { arePricesInOrder } from "./pairPrices.ts"
import { averageOf } from "./ReferencePrice.ts"
import {
  amendChangesNothing,
  amendFilterFailure,
  amendIncreases,
  amendOfPendingPaidOrder,
  amendRefusal,
  badPrices,
  duplicateOrder,
  icebergExceedsQuantity,
  insufficientBalance,
  invalidQuantity,
  isRefusal,
  marketClosed,
  preventionModeNotAllowed,
  type Refusal,
  tooLittleLiquidity,
  worthNothing,
  wouldTake,
  wouldTrigger
} from "./Refusal.ts"
import { standingOf } from "./standing.ts"

export interface Accepted {
  readonly order: Order
}

export interface NotAccepted {
  readonly refusal: Refusal
  /** Where the engine has a word for it. */
  readonly reason: RejectReason | undefined
}

export interface AcceptanceRules {
  readonly matching: Matching
  readonly clock: () => number
  readonly exchangeFilters: ReadonlyArray<ExchangeFilter>
  readonly assetFilters: ReadonlyArray<AssetFilter>
  /** Makes a client id for an order that came without one. */
  readonly drawId: (id: number) => string
  readonly isTaken: (market: Market, clientOrderId: string) => boolean
}

export class Acceptance {
  readonly #matching: Matching
  readonly #clock: () => number
  readonly #exchangeFilters: ReadonlyArray<ExchangeFilter>
  readonly #assetFilters: ReadonlyArray<AssetFilter>
  readonly #drawId: (id: number) => string
  readonly #isTaken: (market: Market, clientOrderId: string) => boolean

  constructor({ assetFilters, clock, drawId, exchangeFilters, isTaken, matching }: AcceptanceRules) {
    this.#matching = matching
    this.#clock = clock
    this.#exchangeFilters = exchangeFilters
    this.#assetFilters = assetFilters
    this.#drawId = drawId
    this.#isTaken = isTaken
  }

  /** What the API checks before the engine is asked. */
  check(market: Market, order: NewOrder): Refusal | undefined {
    const { info } = market
    const mode = order.preventionMode
    if (mode !== undefined && !info.allowedPreventionModes.includes(mode)) return preventionModeNotAllowed
    const refused = judgeOrder(info, order, averageOf(market, this.#clock()), this.#assetFilters)
    return refused ?? (order.icebergQuantity > order.quantity ? icebergExceedsQuantity : undefined)
  }

  /** The same for each order of a list; what a pending order is paid with is judged once it is known. */
  checkList(market: Market, { kind, orders }: NewList): Refusal | undefined {
    for (const [at, order] of orders.entries()) {
      const isUnknown = at > 0 && (kind === "OPO" || kind === "OPOCO")
      const judged = isUnknown ? { ...market, info: { ...market.info, filters: priceFilters(market.info) } } : market
      const refused = this.check(judged, isUnknown ? { ...order, icebergQuantity: 0n } : order)
      if (refused !== undefined) return refused
    }
    return undefined
  }

  /** The same for a list: all of it is accepted, or nothing. */
  list(market: Market, wanted: NewList): PlacedList | Refusal {
    if (market.info.status !== "TRADING") return marketClosed
    const unsupported =
      unsupportedList(market.info, wanted.kind) ??
      wanted.orders.map((order) => unsupportedOrder(market.info, order)).find((refusal) => refusal !== undefined)
    if (unsupported !== undefined) return unsupported
    const ids = wanted.orders.map(({ clientOrderId }) => clientOrderId).filter((id) => id !== undefined)
    if (new Set(ids).size < ids.length || ids.some((id) => this.#isTaken(market, id))) return duplicateOrder
    if (wanted.clientId !== undefined && this.#matching.contingencies.lists.isOpenClientId(wanted.clientId))
      return duplicateOrder
    const added = { orders: wanted.orders, lists: 1 } as const
    const refused = judgeStanding(market.info, added, standingOf(this.#matching, market), this.#exchangeFilters)
    if (refused !== undefined) return refused

    const id = this.#matching.contingencies.lists.nextId
    const orders = wanted.orders.map((order, at) => {
      const isPending = wanted.kind !== "OCO" && at > 0
      return this.#make(market, order, order.quantity, { at, listId: id, status: isPending ? "PENDING_NEW" : "NEW" })
    })
    const reason = this.#judgeList(market, wanted.kind, orders)
    if (reason !== undefined) return refusals[reason]

    market.nextOrderId += orders.length
    const time = this.#matching.now()
    const list: OrderList = {
      id,
      market: market.index,
      kind: wanted.kind,
      clientId: wanted.clientId ?? this.#drawId(id),
      time,
      updateTime: time,
      orderIds: orders.map((order) => order.id),
      clientOrderIds: orders.map((order) => order.clientOrderId),
      isDone: false,
      isPlaced: wanted.kind === "OCO"
    }
    return { list, orders }
  }

  /** Before anything is cancelled: a refusal of the new order by filters leaves the old one as it was. */
  judgeReplacement(market: Market, wanted: NewOrder): Refusal | undefined {
    const added = { orders: [wanted], lists: 0 } as const
    return (
      unsupportedReplace(market.info) ??
      judgeStanding(market.info, added, standingOf(this.#matching, market), this.#exchangeFilters)
    )
  }

  /** Judges an order as the engine does; one that it accepts has its number. */
  order(market: Market, wanted: NewOrder): Accepted | NotAccepted {
    const refuse = (refusal: Refusal) => ({ refusal, reason: undefined })
    if (market.info.status !== "TRADING") return refuse(marketClosed)
    const unsupported = unsupportedOrder(market.info, wanted)
    if (unsupported !== undefined) return refuse(unsupported)
    if (wanted.clientOrderId !== undefined && this.#isTaken(market, wanted.clientOrderId)) {
      return refuse(duplicateOrder)
    }
    const quantity = wanted.quoteQuantity > 0n ? this.#quantityFor(market, wanted) : wanted.quantity
    if (isRefusal(quantity)) return refuse(quantity)
    const added = { orders: [{ ...wanted, quantity }], lists: 0 } as const
    const refused = judgeStanding(market.info, added, standingOf(this.#matching, market), this.#exchangeFilters)
    if (refused !== undefined) return refuse(refused)
    const order = this.#make(market, wanted, quantity, { at: 0, listId: none, status: "NEW" })
    if (!isMarketLike(order.type) && order.price * order.quantity < oneUnit) return refuse(worthNothing)
    const reason = this.#matching.judge(market, order, 0n)
    if (reason !== undefined) return { refusal: refusals[reason], reason }
    market.nextOrderId++
    return { order }
  }

  /** The base that an amount of quote will move. */
  #quantityFor(market: Market, wanted: NewOrder): Amount | Refusal {
    const { book, info } = market
    if (book.best(wanted.side === "BUY" ? "SELL" : "BUY") === undefined) return tooLittleLiquidity("symbol")
    const taking = { account: ours, side: wanted.side, preventionMode: "NONE" } as const
    const plan = foreseeQuote(book, taking, wanted.quoteQuantity, info.stepSize)
    for (const filter of info.filters) {
      if (filter.filterType !== "LOT_SIZE" && filter.filterType !== "MARKET_LOT_SIZE") continue
      if (plan.quantity === 0n || plan.quantity < filter.minQty) return tooLittleLiquidity(filter.filterType)
    }
    // One step more than the book can give, so that the rest is seen to expire.
    return plan.isShort ? plan.quantity + info.stepSize : plan.quantity
  }

  #make(
    market: Market,
    wanted: NewOrder,
    quantity: Amount,
    { at, listId, status }: { readonly at: number; readonly listId: number; readonly status: "NEW" | "PENDING_NEW" }
  ): Order {
    const id = market.nextOrderId + at
    const seed = {
      id,
      account: ours,
      symbol: market.info,
      clientOrderId: wanted.clientOrderId ?? this.#drawId(id),
      side: wanted.side,
      type: wanted.type,
      timeInForce: wanted.timeInForce,
      price: wanted.price,
      quantity,
      quoteQuantity: wanted.quoteQuantity,
      icebergQuantity: wanted.icebergQuantity,
      stopPrice: wanted.stopPrice,
      trailingDelta: wanted.trailingDelta,
      strategyId: wanted.strategyId,
      strategyType: wanted.strategyType,
      preventionMode: wanted.preventionMode ?? market.info.defaultPreventionMode,
      listId,
      time: this.#matching.now()
    }
    return newOrder(seed, status, [])
  }

  #judgeList(market: Market, kind: ListKind, orders: ReadonlyArray<Order>): RejectReason | undefined {
    const pair = hasPair({ kind }) ? orders.slice(-2) : undefined
    if (pair !== undefined && !arePricesInOrder(pair, kind === "OCO" ? market.tape.lastPrice : undefined)) {
      return "OCO_BAD_PRICES"
    }
    const atOnce = kind === "OCO" ? orders : orders.slice(0, 1)
    for (const order of atOnce) {
      const reason = this.#matching.judge(market, order, 0n)
      if (reason !== undefined) return reason
    }
    return undefined
  }

  judgeAmendment(
    market: Market,
    order: Order,
    quantity: Amount,
    clientOrderId: string | undefined
  ): Refusal | undefined {
    const { info } = market
    const unsupported = unsupportedAmend(info)
    if (unsupported !== undefined) return unsupported
    const list = this.#matching.contingencies.listOf(order)
    if (list !== undefined && paysOn(list) && order.status === "PENDING_NEW") return amendOfPendingPaidOrder
    if (quantity > order.quantity) return amendIncreases
    if (quantity === order.quantity) return amendChangesNothing
    if (openQuestions.amendToNothing === "refused" && quantity <= order.executed + order.prevented)
      return invalidQuantity
    for (const filter of info.filters) {
      if (filter.filterType === "MAX_NUM_ORDER_AMENDS" && order.amendments >= filter.maxNumOrderAmends) {
        return amendFilterFailure(filter.filterType)
      }
    }
    const isOther = clientOrderId !== undefined && clientOrderId !== order.clientOrderId
    if (isOther && this.#isTaken(market, clientOrderId)) return amendRefusal(duplicateOrder.message)
    const judged = { ...order, quantity, quoteQuantity: 0n }
    return judgeOrder(info, judged, averageOf(market, this.#clock()), this.#assetFilters)
  }

  /** The new half of a cancel-replace that the engine would not have: it took a number, and is told of. */
  reportRejected(market: Market, wanted: NewOrder, reason: RejectReason | undefined): void {
    const order = this.#make(market, wanted, wanted.quantity, { at: 0, listId: none, status: "NEW" })
    market.nextOrderId++
    order.status = "REJECTED"
    this.#matching.report(order, { type: "REJECTED", ...(reason === undefined ? {} : { rejectReason: reason }) })
  }
}

const refusals: Readonly<Record<RejectReason, Refusal>> = {
  INSUFFICIENT_BALANCES: insufficientBalance,
  STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY: wouldTrigger,
  WOULD_MATCH_IMMEDIATELY: wouldTake,
  OCO_BAD_PRICES: badPrices
}

/** Those that do not look at a quantity. */
const priceFilters = ({ filters }: SymbolInfo) =>
  filters.filter(
    ({ filterType }) =>
      filterType.startsWith("PRICE_") || filterType.startsWith("PERCENT_") || filterType === "TRAILING_DELTA"
  )
