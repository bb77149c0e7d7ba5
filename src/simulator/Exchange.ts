/**
 * The exchange as a state machine: the door through which its one account trades.
 *
 * Synchronous and without sockets or files; the clock, the seed and the listener come from outside. Every command ends
 * in `#settled`, which gives the journal one entry with all that the command changed, before anybody is answered.
 */
import { accountCount, type Balance, fees, ours } from "./Accounts.ts"
import { type Amount, amount, one as oneUnit } from "./Amount.ts"
import { defaultClientIdRules, isTaken } from "./clientIds.ts"
import { type Commissions, defaultCommissions } from "./Commission.ts"
import { Counterparties } from "./Counterparties.ts"
import { type Entry, pastOf, readEntry, snapshotOf, writeEntry } from "./Entry.ts"
import {
  type AssetFilter,
  type AveragePrice,
  type ExchangeFilter,
  type Judged,
  judgeOrder,
  judgeStanding
} from "./filters.ts"
import { unsupportedAmend, unsupportedList, unsupportedOrder, unsupportedReplace } from "./features.ts"
import { foreseeQuote } from "./foresight.ts"
import { Ledger } from "./Ledger.ts"
import type { SymbolInfo } from "./Market.ts"
import { type Listener, type Market, Matching, type RejectReason } from "./Matching.ts"
import {
  copyOf,
  isMarketLike,
  isOpen,
  isWorking,
  newOrder,
  none,
  type Order,
  type OrderStatus,
  type PreventionMode,
  type TimeInForce
} from "./Order.ts"
import { openQuestions } from "./openQuestions.ts"
import { hasPair, type ListKind, type OrderList, paysOn, sizeOf } from "./OrderList.ts"
import { arePricesInOrder } from "./pairPrices.ts"
import { makeRandom, type Random } from "./Random.ts"
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
  restricted,
  tooLittleLiquidity,
  unknownOrder,
  worthNothing,
  wouldTake,
  wouldTrigger
} from "./Refusal.ts"
import { type Lag, type Reads, Staleness } from "./Staleness.ts"
import { standingOf } from "./standing.ts"

export interface NewOrder extends Judged {
  readonly timeInForce: TimeInForce
  readonly clientOrderId: string | undefined
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
  /** Undefined: what the symbol does by itself. */
  readonly preventionMode: PreventionMode | undefined
}

export interface NewList {
  readonly kind: ListKind
  readonly clientId: string | undefined
  /** In the order of their ids: the working order first, of a pair the stop loss first. */
  readonly orders: ReadonlyArray<NewOrder>
}

/** A list and its orders as they were when the request was done. */
export interface PlacedList {
  readonly list: OrderList
  readonly orders: ReadonlyArray<Order>
}

export interface Target {
  readonly orderId: number | undefined
  readonly clientOrderId: string | undefined
}

export interface ListTarget {
  readonly listId: number | undefined
  readonly clientId: string | undefined
}

/** What one cancel ended: an order, or all that was open of a list. */
export interface Canceled {
  readonly orders: ReadonlyArray<Order>
  readonly list: OrderList | undefined
  readonly cancelId: string
}

export interface Replacement {
  readonly target: Target
  readonly cancelId: string
  readonly restriction: CancelRestriction | undefined
  /** Whether a cancel that fails keeps the new order from being tried. */
  readonly stopsOnFailure: boolean
  readonly wanted: NewOrder
  /** The unfilled order count is used up: the new order is refused for that. */
  readonly overCount: Refusal | undefined
}

export interface Replaced {
  readonly cancel: Canceled | Refusal
  /** Undefined: not attempted. */
  readonly order: Order | Refusal | undefined
}

export interface Amended {
  readonly order: Order
  readonly formerClientId: string
  readonly executionId: number
  readonly list: OrderList | undefined
}

export type CancelRestriction = "ONLY_NEW" | "ONLY_PARTIALLY_FILLED"

export interface ExchangeListener extends Listener {
  /** The balances of the account that one command changed. */
  readonly positions: (balances: ReadonlyArray<Balance>, time: number) => void
  /** The quotes of a market may have changed. */
  readonly quoted: (market: Market) => void
  /** So many orders were placed, or count as if they had been. */
  readonly counted: (orders: number) => void
}

export interface ExchangeOptions {
  readonly symbols: ReadonlyArray<SymbolInfo>
  readonly seed: number
  readonly clock: () => number
  readonly balances: Readonly<Record<string, string>>
  /** What the account's trades cost; 0.1 % of what is received when absent. */
  readonly commissions?: Commissions | undefined
  readonly exchangeFilters?: ReadonlyArray<ExchangeFilter>
  readonly assetFilters?: ReadonlyArray<AssetFilter>
}

const restrictedTo: Readonly<Record<CancelRestriction, OrderStatus>> = {
  ONLY_NEW: "NEW",
  ONLY_PARTIALLY_FILLED: "PARTIALLY_FILLED"
}

/** What each counterparty begins with, of every asset; far more than the account can ever win. */
const counterpartyFunds = amount("100000000000")
/** Longest client order id that is drawn for an order without one. */
const drawnIdLength = 22
/** After this, an ended order without an execution is archived. */
const archivedAfterMillis = 90 * 24 * 60 * 60 * 1_000
const idAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

export class Exchange {
  readonly matching: Matching
  readonly counterparties: Counterparties
  readonly exchangeFilters: ReadonlyArray<ExchangeFilter>
  readonly assetFilters: ReadonlyArray<AssetFilter>
  readonly ledger = new Ledger()
  clientIdRules = defaultClientIdRules
  readonly #staleness = new Staleness()
  readonly #random: Random
  readonly #balances: Readonly<Record<string, string>>
  readonly #clock: () => number
  #listener: ExchangeListener | undefined
  #journal: ((entry: Entry) => void) | undefined
  /** Rows of the trade table that no entry has yet. */
  #writtenTrades = 0
  updateTime = 0

  constructor(options: ExchangeOptions) {
    this.matching = new Matching(options.symbols, options.clock, options.commissions ?? defaultCommissions)
    this.exchangeFilters = options.exchangeFilters ?? []
    this.assetFilters = options.assetFilters ?? []
    this.#random = makeRandom(options.seed)
    this.counterparties = new Counterparties(this.matching, makeRandom(options.seed + 1))
    this.#balances = options.balances
    this.#clock = options.clock
  }

  listen(listener: ExchangeListener): void {
    this.#listener = listener
    this.matching.listen(listener)
  }

  /** From now on every change goes there first. */
  journalTo(journal: (entry: Entry) => void): void {
    this.#journal = journal
  }

  /** Gives the accounts their first balances; not after a load. */
  fund(): void {
    this.matching.beginCommand()
    const { accounts, markets } = this.matching
    for (const [asset, free] of Object.entries(this.#balances)) accounts.set(ours, asset, amount(free), 0n)
    for (const asset of new Set(markets.flatMap(({ info }) => [info.base, info.quote]))) {
      for (let account = fees + 1; account < accountCount; account++)
        accounts.set(account, asset, counterpartyFunds, 0n)
    }
    this.updateTime = this.matching.now()
    // A journal gets these with its first snapshot, and a subscriber is told of what moves from here on.
    accounts.touched.clear()
  }

  /** Opens the market: the account's open orders stand first, then the quotes around them. */
  open(): void {
    this.matching.beginCommand()
    for (const market of this.matching.markets) {
      for (const order of market.orders.open.values()) this.matching.restore(market, order)
      this.counterparties.sweepTo(market, this.counterparties.fairPrice(market))
    }
    this.#settled(this.matching.markets)
  }

  /** What the API checks before the engine is asked. */
  check(market: Market, order: NewOrder): Refusal | undefined {
    const { info } = market
    const mode = order.preventionMode
    if (mode !== undefined && !info.allowedPreventionModes.includes(mode)) return preventionModeNotAllowed
    const refused = judgeOrder(info, order, this.#averageOf(market), this.assetFilters)
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

  place(market: Market, wanted: NewOrder): Order | Refusal {
    this.matching.beginCommand()
    const entered = this.#enter(market, wanted)
    if ("refusal" in entered) return entered.refusal
    return this.#concluded(market, entered.order)
  }

  placeList(market: Market, wanted: NewList): PlacedList | Refusal {
    this.matching.beginCommand()
    const { contingencies } = this.matching
    if (market.info.status !== "TRADING") return marketClosed
    const unsupported =
      unsupportedList(market.info, wanted.kind) ??
      wanted.orders.map((order) => unsupportedOrder(market.info, order)).find((refusal) => refusal !== undefined)
    if (unsupported !== undefined) return unsupported
    const ids = wanted.orders.map(({ clientOrderId }) => clientOrderId).filter((id) => id !== undefined)
    if (new Set(ids).size < ids.length || ids.some((id) => this.#isTaken(market, id))) return duplicateOrder
    if (wanted.clientId !== undefined && contingencies.lists.isOpenClientId(wanted.clientId)) return duplicateOrder
    const added = { orders: wanted.orders, lists: 1 } as const
    const refused = judgeStanding(market.info, added, standingOf(this.matching, market), this.exchangeFilters)
    if (refused !== undefined) return refused

    const id = contingencies.lists.nextId
    const orders = wanted.orders.map((order, at) => {
      const isPending = wanted.kind !== "OCO" && at > 0
      return this.#make(market, order, order.quantity, { at, listId: id, status: isPending ? "PENDING_NEW" : "NEW" })
    })
    const reason = this.#judgeList(market, wanted.kind, orders)
    if (reason !== undefined) return refusals[reason]

    market.nextOrderId += orders.length
    const time = this.matching.now()
    const list: OrderList = {
      id,
      market: market.index,
      kind: wanted.kind,
      clientId: wanted.clientId ?? this.drawId(id),
      time,
      updateTime: time,
      orderIds: orders.map((order) => order.id),
      clientOrderIds: orders.map((order) => order.clientOrderId),
      isDone: false,
      isPlaced: wanted.kind === "OCO"
    }
    contingencies.place(market, list, orders)
    const placed = { list: copyOfList(list), orders: orders.map(copyOf) }
    this.#listener?.counted(sizeOf(wanted.kind))
    this.#runAgenda(orders.some(({ executed }) => executed > 0n) ? [market] : [])
    this.#settled([market])
    return placed
  }

  /** Asks the engine, so the answer is never stale. */
  cancel(
    market: Market,
    target: Target,
    cancelId: string,
    restriction: CancelRestriction | undefined
  ): Canceled | Refusal {
    this.matching.beginCommand()
    const canceled = this.#cancel(market, target, cancelId, restriction)
    if (isRefusal(canceled)) return canceled
    this.counterparties.replenish(market)
    this.#settled([market])
    return canceled
  }

  cancelList(market: Market, { clientId, listId }: ListTarget, cancelId: string): Canceled | Refusal {
    this.matching.beginCommand()
    const { contingencies } = this.matching
    const list =
      listId === undefined ? contingencies.lists.byClientId(clientId ?? "") : contingencies.lists.byId(listId)
    if (list === undefined || list.isDone || list.market !== market.index) return unknownOrder
    if (clientId !== undefined && list.clientId !== clientId) return unknownOrder
    const orders = contingencies.cancel(market, list, cancelId)
    this.counterparties.replenish(market)
    this.#settled([market])
    return { orders, list, cancelId }
  }

  /** Everything on a symbol; single orders and lists in the order of their first order. */
  cancelAll(market: Market, drawId: () => string): Array<Canceled> {
    this.matching.beginCommand()
    const canceled: Array<Canceled> = []
    for (const order of market.orders.open.values()) {
      if (isOpen(order)) canceled.push(this.#cancelOne(market, order, drawId()))
    }
    this.counterparties.replenish(market)
    this.#settled([market])
    return canceled
  }

  /** Both halves in one moment. Filters are judged first: a refusal of them leaves everything as it was. */
  replace(
    market: Market,
    { cancelId, overCount, restriction, stopsOnFailure, target, wanted }: Replacement
  ): Replaced | Refusal {
    this.matching.beginCommand()
    const added = { orders: [wanted], lists: 0 } as const
    const refused =
      unsupportedReplace(market.info) ??
      judgeStanding(market.info, added, standingOf(this.matching, market), this.exchangeFilters)
    if (refused !== undefined && overCount === undefined) return refused
    const cancel = this.#cancel(market, target, cancelId, restriction)
    if (isRefusal(cancel) && stopsOnFailure) {
      // An order that was not even attempted counts all the same.
      if (overCount === undefined) this.#listener?.counted(1)
      return { cancel, order: undefined }
    }
    const entered = overCount === undefined ? this.#enter(market, wanted) : { refusal: overCount, reason: undefined }
    if ("order" in entered) return { cancel, order: this.#concluded(market, entered.order) }
    if (!isRefusal(cancel)) {
      if (overCount === undefined) this.#reportRejected(market, wanted, entered.reason)
      this.counterparties.replenish(market)
      this.#settled([market])
    }
    return { cancel, order: entered.refusal }
  }

  /** Lowers the quantity of an open order, which keeps its place; of a pair, both. */
  amend(market: Market, target: Target, quantity: Amount, clientOrderId: string | undefined): Amended | Refusal {
    this.matching.beginCommand()
    const order = this.#openTarget(market, target)
    if (order === undefined) return amendRefusal(unknownOrder.message)
    const refused = unsupportedAmend(market.info) ?? this.#judgeAmendment(market, order, quantity, clientOrderId)
    if (refused !== undefined) return refused
    const { contingencies } = this.matching
    const other = contingencies.sibling(market, order)
    const formerClientId = order.clientOrderId
    const executionId = this.matching.amend(market, order, quantity, clientOrderId ?? this.drawId(order.id))
    if (other !== undefined && isOpen(other)) {
      this.matching.amend(market, other, quantity, other.clientOrderId)
      contingencies.rehold(market, [order, other])
    }
    const list = contingencies.listOf(order)
    if (list !== undefined && order.clientOrderId !== formerClientId) contingencies.renamed(order)
    this.#settled([market])
    return { order, formerClientId, executionId, list }
  }

  get commissions(): Commissions {
    return this.matching.commissions
  }

  lookUp(market: Market, { clientOrderId, orderId }: Target): Order | undefined {
    if (orderId !== undefined) return market.orders.byId(orderId)
    return clientOrderId === undefined ? undefined : market.orders.byClientId(clientOrderId)
  }

  /** As `GET order` sees it: from a memory that may lag. */
  read(market: Market, target: Target): Order | undefined {
    const order = this.lookUp(market, target)
    return order === undefined ? undefined : this.seen(market, "orders", order)
  }

  /** The order as these reads see it; undefined while they do not know it yet. */
  seen(market: Market, reads: Reads, order: Order): Order | undefined {
    if (this.#staleness.isFresh) return order
    return market.orders.asOf(order, this.#staleness.seenUntil(reads, order.clientOrderId, this.#clock()))
  }

  /** Up to when the trades of an order are seen. */
  tradesSeenUntil(clientOrderId: string): number {
    return this.#staleness.seenUntil("histories", clientOrderId, this.#clock())
  }

  /** Ended long ago with nothing executed: the exchange only says that there was such an order. */
  isArchived(order: Order): boolean {
    return !isOpen(order) && order.executed === 0n && this.#clock() - order.updateTime > archivedAfterMillis
  }

  readOpen(market: Market): Array<Order> {
    const open = [...market.orders.open.values()]
    if (this.#staleness.isFresh) return open
    const changed = market.orders.changedSince(this.#clock() - this.#staleness.greatest)
    const candidates = new Map([...open, ...changed].map((order) => [order.id, order]))
    return [...candidates.values()]
      .map((order) => this.seen(market, "orders", order))
      .filter((order) => order !== undefined)
      .filter(isOpen)
      .sort((a, b) => a.id - b.id)
  }

  /** Rows of the trade table that belong to one order. */
  tradesOf(market: Market, orderId: number): ReadonlyArray<number> {
    return market.orders.byId(orderId)?.trades ?? []
  }

  get isStale(): boolean {
    return !this.#staleness.isFresh
  }

  get lags(): ReadonlyArray<Lag> {
    return this.#staleness.list()
  }

  /** How far some reads are behind from now on; undefined: none are. */
  staleReads(lag: Lag | undefined): void {
    if (lag === undefined) this.#staleness.clear()
    else this.#staleness.set(lag, this.#clock())
    const concerns = this.isStale ? (clientOrderId: string) => this.#staleness.concerns(clientOrderId) : undefined
    for (const { orders } of this.matching.markets) orders.keepFormers(concerns)
  }

  tick(): void {
    this.matching.beginCommand()
    for (const market of this.matching.markets) this.counterparties.tick(market)
    this.#runAgenda([])
    if (this.isStale) {
      const unseen = this.#clock() - this.#staleness.greatest
      for (const { orders } of this.matching.markets) orders.forgetFormers(unseen)
    }
    this.#settled(this.matching.markets)
  }

  moveMarket(market: Market, price: Amount): void {
    this.matching.beginCommand()
    this.counterparties.trade(market, price)
    this.#runAgenda([])
    this.#settled([market])
  }

  /** Trades one open order, whole or half of it, before anybody else is asked. */
  fill(market: Market, order: Order, share: "whole" | "part" = "whole"): void {
    if (!isWorking(order)) return
    this.matching.beginCommand()
    this.counterparties.fill(market, order, share)
    this.#runAgenda([])
    this.#settled([market])
  }

  /** Everything is forgotten but the keys and the account's number, as on the testnet about once a month. */
  reset(): void {
    this.ledger.end(this.matching)
    this.#empty()
    this.fund()
    // One entry, so that no crash can leave half a reset: of an exchange without orders there is only the last one.
    this.#journal?.(Object.assign({ reset: true }, ...snapshotOf(this.matching, this.counterparties, this.updateTime)))
    this.open()
  }

  /** An id of the exchange's own making. */
  drawId(id: number): string {
    let drawn = id.toString(36)
    while (drawn.length < drawnIdLength) drawn += idAlphabet[this.#random.below(idAlphabet.length)]!
    return drawn
  }

  /** The whole state as entries, for a journal that starts anew. */
  *snapshot(): Generator<Entry, void, void> {
    yield* pastOf(this.ledger)
    yield* snapshotOf(this.matching, this.counterparties, this.updateTime)
  }

  /** Takes one entry of an earlier life. Returns what is wrong with it, if anything. */
  load(entry: Entry): string | undefined {
    if (entry.reset === true) {
      this.ledger.end(this.matching)
      this.#empty()
    }
    if (entry.past !== undefined) this.ledger.restore(entry.life ?? 0, entry.past)
    const fault = readEntry(entry, this.matching, this.counterparties)
    this.updateTime = entry.updateTime ?? this.updateTime
    this.#writtenTrades = this.matching.trades.count
    this.matching.accounts.touched.clear()
    return fault
  }

  #empty(): void {
    for (const market of this.matching.markets) {
      market.book.clear()
      market.orders.clear()
      market.triggers.clear()
      market.prevented.clear()
      market.amendments.clear()
      market.nextOrderId = 1
      market.nextTradeId = 1
    }
    this.counterparties.forget()
    this.matching.contingencies.lists.clear()
    this.matching.trades.clear()
    this.matching.accounts.clear()
    this.#writtenTrades = 0
  }

  /** Judges an order as the engine does, and lets it in. */
  #enter(
    market: Market,
    wanted: NewOrder
  ): { readonly order: Order } | { readonly refusal: Refusal; readonly reason: RejectReason | undefined } {
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
    const refused = judgeStanding(market.info, added, standingOf(this.matching, market), this.exchangeFilters)
    if (refused !== undefined) return refuse(refused)
    const order = this.#make(market, wanted, quantity, { at: 0, listId: none, status: "NEW" })
    if (!isMarketLike(order.type) && order.price * order.quantity < oneUnit) return refuse(worthNothing)
    const reason = this.matching.judge(market, order, 0n)
    if (reason !== undefined) return { refusal: refusals[reason], reason }
    market.nextOrderId++
    this.matching.submit(market, order)
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
      clientOrderId: wanted.clientOrderId ?? this.drawId(id),
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
      time: this.matching.now()
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
      const reason = this.matching.judge(market, order, 0n)
      if (reason !== undefined) return reason
    }
    return undefined
  }

  #judgeAmendment(
    market: Market,
    order: Order,
    quantity: Amount,
    clientOrderId: string | undefined
  ): Refusal | undefined {
    const { info } = market
    const list = this.matching.contingencies.listOf(order)
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
    return judgeOrder(info, judged, this.#averageOf(market), this.assetFilters)
  }

  #isTaken(market: Market, clientOrderId: string): boolean {
    return isTaken(clientOrderId, market, this.matching.markets, this.clientIdRules)
  }

  #averageOf({ tape }: Market): AveragePrice {
    return (minutes) => (minutes === 0 ? tape.lastPrice : tape.average(this.#clock()))
  }

  /** What was just placed, as it is told, before what it set off goes on. */
  #concluded(market: Market, order: Order): Order {
    const answer = this.matching.isBusy ? copyOf(order) : order
    this.#listener?.counted(1)
    this.#runAgenda(order.executed > 0n || order.prevented > 0n ? [market] : [])
    this.#settled([market])
    return answer
  }

  #openTarget(market: Market, target: Target): Order | undefined {
    const order = this.lookUp(market, target)
    if (order === undefined || !market.orders.open.has(order.id)) return undefined
    const isOther = target.orderId !== undefined && target.clientOrderId !== undefined
    return isOther && order.clientOrderId !== target.clientOrderId ? undefined : order
  }

  #cancel(
    market: Market,
    target: Target,
    cancelId: string,
    restriction: CancelRestriction | undefined
  ): Canceled | Refusal {
    const order = this.#openTarget(market, target)
    if (order === undefined) return unknownOrder
    if (restriction !== undefined && order.status !== restrictedTo[restriction]) return restricted
    return this.#cancelOne(market, order, cancelId)
  }

  /** An order that belongs to a list takes all of it along. */
  #cancelOne(market: Market, order: Order, cancelId: string): Canceled {
    const { contingencies } = this.matching
    const list = contingencies.listOf(order)
    if (list !== undefined && !list.isDone) {
      return { orders: contingencies.cancel(market, list, cancelId), list, cancelId }
    }
    this.matching.cancel(market, order, cancelId)
    return { orders: [order], list: undefined, cancelId }
  }

  /** The new half of a cancel-replace that the engine would not have: it took a number, and is told of. */
  #reportRejected(market: Market, wanted: NewOrder, reason: RejectReason | undefined): void {
    const order = this.#make(market, wanted, wanted.quantity, { at: 0, listId: none, status: "NEW" })
    market.nextOrderId++
    order.status = "REJECTED"
    this.matching.report(order, { type: "REJECTED", ...(reason === undefined ? {} : { rejectReason: reason }) })
  }

  /** Lets go what trades set off, and quotes anew where there was trading. */
  #runAgenda(traded: ReadonlyArray<Market>): void {
    for (const market of traded) this.counterparties.replenish(market)
    if (!this.matching.isBusy) return
    this.matching.runAgenda()
    for (const market of this.matching.markets) this.counterparties.replenish(market)
  }

  // Trades among the counterparties alone are not worth an entry: their balances go along with the next one that
  // concerns the account. A crash in between takes back a trade that only they have seen.
  #settled(markets: ReadonlyArray<Market>): void {
    const changed: Array<readonly [number, ReadonlyArray<string>]> = []
    for (const market of markets) {
      const lines = market.orders.takeChanges()
      if (lines.length > 0) changed.push([market.index, lines])
      this.#listener?.quoted(market)
    }
    if (changed.length === 0) return
    const { accounts } = this.matching
    const touched = [...accounts.touched]
    accounts.touched.clear()
    this.updateTime = this.matching.now()
    this.#journal?.(
      writeEntry(this.matching, this.counterparties, {
        orders: changed,
        balances: touched,
        fromTrade: this.#writtenTrades,
        updateTime: this.updateTime
      })
    )
    this.#writtenTrades = this.matching.trades.count
    const moved = touched.filter(({ account }) => account === ours)
    if (moved.length > 0) this.#listener?.positions(moved, this.updateTime)
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

const copyOfList = (list: OrderList): OrderList => ({ ...list, clientOrderIds: [...list.clientOrderIds] })
