/**
 * The exchange as a state machine: the door through which its one account trades.
 *
 * Synchronous and without sockets or files; the clock, the seed and the listener come from outside. Every command ends
 * in `#settled`, which gives the journal one entry with all that the command changed, before anybody is answered.
 */
import { Acceptance } from "./Acceptance.ts"
import { accountCount, type Balance, fees, ours } from "./Accounts.ts"
import { type Amount, amount } from "./Amount.ts"
import { defaultClientIdRules, isTaken } from "./clientIds.ts"
import { type Commissions, defaultCommissions } from "./Commission.ts"
import { Counterparties } from "./Counterparties.ts"
import { type Entry, pastOf, readEntry, snapshotOf, writeEntry } from "./Entry.ts"
import type { AssetFilter, ExchangeFilter } from "./filters.ts"
import { Ledger } from "./Ledger.ts"
import type { SymbolInfo } from "./Market.ts"
import { type Listener, type Market, Matching } from "./Matching.ts"
import { copyOf, isOpen, isWorking, type Order, type OrderStatus } from "./Order.ts"
import { type OrderList, sizeOf } from "./OrderList.ts"
import type {
  Amended,
  Canceled,
  CancelRestriction,
  ListTarget,
  NewList,
  NewOrder,
  PlacedList,
  Replaced,
  Replacement,
  Target
} from "./OrderRequests.ts"
import { assetsConcerned } from "./positions.ts"
import { makeRandom, type Random } from "./Random.ts"
import { amendRefusal, isRefusal, type Refusal, restricted, unknownOrder } from "./Refusal.ts"
import { type Lag, type Reads, Staleness } from "./Staleness.ts"

export interface ExchangeListener extends Listener {
  /** The balances of the account that one command changed, and those that it could have changed. */
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
  readonly #acceptance: Acceptance
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
    this.#acceptance = new Acceptance({
      matching: this.matching,
      clock: options.clock,
      exchangeFilters: this.exchangeFilters,
      assetFilters: this.assetFilters,
      drawId: (id) => this.drawId(id),
      isTaken: (market, id) => isTaken(id, market, this.matching.markets, this.clientIdRules)
    })
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
    return this.#acceptance.check(market, order)
  }

  checkList(market: Market, list: NewList): Refusal | undefined {
    return this.#acceptance.checkList(market, list)
  }

  place(market: Market, wanted: NewOrder): Order | Refusal {
    this.matching.beginCommand()
    const accepted = this.#acceptance.order(market, wanted)
    return "refusal" in accepted ? accepted.refusal : this.#submit(market, accepted.order)
  }

  placeList(market: Market, wanted: NewList): PlacedList | Refusal {
    this.matching.beginCommand()
    const { contingencies } = this.matching
    const accepted = this.#acceptance.list(market, wanted)
    if (isRefusal(accepted)) return accepted
    const { list, orders } = accepted
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
    { cancelId, overCount, putsOff, restriction, stopsOnFailure, target, wanted }: Replacement
  ): Replaced | Refusal {
    this.matching.beginCommand()
    const refused = this.#acceptance.judgeReplacement(market, wanted)
    if (refused !== undefined && overCount === undefined) return refused
    const cancel = this.#cancel(market, target, cancelId, restriction)
    if (isRefusal(cancel) && stopsOnFailure) {
      // An order that was not even attempted counts all the same.
      if (overCount === undefined) this.#listener?.counted(1)
      return { cancel, order: undefined }
    }
    if (putsOff !== undefined && overCount === undefined) {
      putsOff(() => void this.place(market, wanted))
      this.counterparties.replenish(market)
      this.#settled([market])
      return { cancel, order: undefined }
    }
    const accepted =
      overCount === undefined ? this.#acceptance.order(market, wanted) : { refusal: overCount, reason: undefined }
    if ("order" in accepted) return { cancel, order: this.#submit(market, accepted.order) }
    if (!isRefusal(cancel)) {
      if (overCount === undefined) this.#acceptance.reportRejected(market, wanted, accepted.reason)
      this.counterparties.replenish(market)
      this.#settled([market])
    }
    return { cancel, order: accepted.refusal }
  }

  /** Lowers the quantity of an open order, which keeps its place; of a pair, both. */
  amend(market: Market, target: Target, quantity: Amount, clientOrderId: string | undefined): Amended | Refusal {
    this.matching.beginCommand()
    const order = this.#openTarget(market, target)
    if (order === undefined) return amendRefusal(unknownOrder.message)
    const refused = this.#acceptance.judgeAmendment(market, order, quantity, clientOrderId)
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
      market.reference?.clear()
      market.nextOrderId = 1
      market.nextTradeId = 1
    }
    this.counterparties.forget()
    this.matching.contingencies.lists.clear()
    this.matching.trades.clear()
    this.matching.accounts.clear()
    this.#writtenTrades = 0
  }

  /** Gives back the order as it is told, before what it set off goes on. */
  #submit(market: Market, order: Order): Order {
    this.matching.submit(market, order)
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
    const moved = touched.filter(({ account }) => account === ours).map(({ asset }) => asset)
    if (moved.length === 0) return
    const symbols = changed.map(([index]) => this.matching.markets[index]!.info)
    const concerned = assetsConcerned(symbols, this.commissions.paysInBnb, moved)
    this.#listener?.positions(
      [...concerned].map((asset) => accounts.of(ours, asset)),
      this.updateTime
    )
  }
}

const copyOfList = (list: OrderList): OrderList => ({ ...list, clientOrderIds: [...list.clientOrderIds] })
