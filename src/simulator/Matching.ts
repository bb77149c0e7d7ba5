/**
 * The matching engine: orders meet in price-time order and their accounts settle at once.
 *
 * Synchronous, and the owner of all trading state. It knows accounts by number and treats them alike, but that only
 * the account under test pays a commission, is reported on, and has its orders remembered. What a trade sets off
 * (stops, pending orders of lists) waits on an agenda until the order that traded is done.
 */
import { Accounts, ours } from "./Accounts.ts"
import { type Amount, min, times } from "./Amount.ts"
import { Amendments } from "./Amendments.ts"
import { Book, opposite, quantityAt, reaches } from "./Book.ts"
import type { Commissions } from "./Commission.ts"
import { Contingencies } from "./Contingencies.ts"
import type { Execution, RejectReason } from "./Execution.ts"
import { foresee } from "./foresight.ts"
import { Funds, needOf } from "./Funds.ts"
import type { SymbolInfo } from "./Market.ts"
import {
  type ExpiryReason,
  isContingent,
  isMarketLike,
  isOpen,
  isWorking,
  none,
  type Order,
  type OrderStatus,
  remaining,
  shown,
  type Side
} from "./Order.ts"
import { OrderArchive } from "./OrderArchive.ts"
import type { ListStatusType, OrderList } from "./OrderList.ts"
import { modeOf, type PreventedMatch, PreventedMatches } from "./prevention.ts"
import { isWithin, limitsOf, type PriceLimits } from "./priceRange.ts"
import { ReferencePrice } from "./ReferencePrice.ts"
import { type Deal, Settlement } from "./Settlement.ts"
import { type PublicTrade, Tape } from "./Tape.ts"
import { Trades } from "./Trades.ts"
import { meets, Triggers } from "./Triggers.ts"

/** One symbol's market. */
export interface Market {
  readonly info: SymbolInfo
  /** Place in the list of symbols. */
  readonly index: number
  readonly book: Book
  readonly orders: OrderArchive
  readonly tape: Tape
  readonly triggers: Triggers
  readonly prevented: PreventedMatches
  readonly amendments: Amendments
  readonly reference: ReferencePrice | undefined
  nextOrderId: number
  nextTradeId: number
}

/** Told as things happen, while the order has just the state that the news is about. */
export interface Listener {
  readonly executed: (order: Order, execution: Execution) => void
  readonly traded: (market: Market, trade: PublicTrade) => void
  readonly listed: (list: OrderList, market: Market, type: ListStatusType) => void
}

export class Matching {
  readonly accounts = new Accounts()
  readonly funds = new Funds(this.accounts)
  readonly trades = new Trades()
  readonly markets: ReadonlyArray<Market>
  readonly contingencies: Contingencies
  readonly commissions: Commissions
  readonly #settlement: Settlement
  readonly #bySymbol: ReadonlyMap<string, Market>
  readonly #clock: () => number
  #time = 0
  #listener: Listener | undefined
  /** Stops that went off and lists whose pending orders are due, in the order in which that happened. */
  #agenda: Array<() => void> = []
  executionId = 0

  constructor(symbols: ReadonlyArray<SymbolInfo>, clock: () => number, commissions: Commissions) {
    this.#clock = clock
    this.commissions = commissions
    this.markets = symbols.map((info, index) => ({
      info,
      index,
      book: new Book(),
      orders: new OrderArchive((name) => (name === info.symbol ? info : undefined)),
      tape: new Tape(info.startPrice),
      triggers: new Triggers(),
      prevented: new PreventedMatches(),
      amendments: new Amendments(),
      reference: info.referencePrice === undefined ? undefined : new ReferencePrice(info.referencePrice),
      nextOrderId: 1,
      nextTradeId: 1
    }))
    this.#bySymbol = new Map(this.markets.map((market) => [market.info.symbol, market]))
    this.contingencies = new Contingencies(this)
    this.#settlement = new Settlement(this)
  }

  listen(listener: Listener): void {
    this.#listener = listener
  }

  /** Reads the clock: all that one command does happens in one moment, as its events show. */
  beginCommand(): void {
    this.#time = this.#clock()
  }

  /** The moment of the command that runs. */
  now(): number {
    return this.#time
  }

  market(symbol: string): Market | undefined {
    return this.#bySymbol.get(symbol)
  }

  /** Takes an order that its account can pay for: holds, trades, and rests, waits or ends. */
  submit(market: Market, order: Order): void {
    if (order.account === ours) market.orders.add(order)
    this.funds.hold(order, needOf(order, market.tape.lastPrice))
    this.begin(market, order)
  }

  /** Begins an order that holds what it needs: on the book, or among the stops. */
  begin(market: Market, order: Order): void {
    this.aboutToChange(market, order)
    order.status = "NEW"
    if (!isContingent(order.type)) {
      this.start(market, order)
      return this.proceed(market, order)
    }
    this.changed(market, order)
    this.report(order, { type: "NEW" })
    market.triggers.add(order)
  }

  /** From here on the order works: the first half of beginning. */
  start(market: Market, order: Order): void {
    order.workingTime = this.now()
    this.changed(market, order)
    this.report(order, { type: "NEW" })
  }

  /** It trades what it can, and rests or ends. */
  proceed(market: Market, order: Order): void {
    const limits = this.#limitsFor(market, order)
    if (order.timeInForce !== "FOK" || this.#fillsWhole(market, order, limits)) this.#match(market, order, limits)
    if (!isOpen(order)) return
    const reason = leftoverReason(order)
    if (reason !== "") return this.expire(market, order, reason)
    order.visible = min(order.icebergQuantity, remaining(order))
    market.book.add(order)
  }

  /** Why the engine would not begin it now; the funds that others hold for it count as its own. */
  judge(market: Market, order: Order, held: Amount): RejectReason | undefined {
    if (isContingent(order.type) && order.stopPrice > 0n && meets(order, market.tape.lastPrice)) {
      return "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY"
    }
    if (order.type === "LIMIT_MAKER") {
      const touch = this.bestPrice(market, opposite(order.side))
      if (touch !== undefined && reaches(order.side, order.price, touch)) return "WOULD_MATCH_IMMEDIATELY"
    }
    return this.#costOf(market, order) > this.funds.free(order) + held ? "INSUFFICIENT_BALANCES" : undefined
  }

  cancel(market: Market, order: Order, cancelId: string): void {
    this.aboutToChange(market, order)
    this.#withdraw(market, order)
    order.status = "CANCELED"
    order.updateTime = this.now()
    this.changed(market, order)
    this.report(order, { type: "CANCELED", cancelId })
  }

  /** Ends an order for a reason of the exchange's own. */
  expire(market: Market, order: Order, reason: ExpiryReason): void {
    this.#end(market, order, "EXPIRED", reason)
    this.report(order, { type: "EXPIRED" })
    this.contingencies.ended(market, order)
  }

  /** Lowers an order's quantity where it stands; one that has nothing left to do expires. */
  amend(market: Market, order: Order, quantity: Amount, clientOrderId: string): number {
    this.aboutToChange(market, order)
    const formerClientId = order.clientOrderId
    const formerQuantity = order.quantity
    const used = order.executed + order.prevented
    order.quantity = quantity > used ? quantity : used
    order.clientOrderId = clientOrderId
    order.updateTime = this.now()
    order.amendments++
    if (order.icebergQuantity > 0n) order.visible = min(order.visible, remaining(order))
    market.orders.renamed(order, formerClientId)
    if (this.contingencies.sibling(market, order) === undefined) this.trim(market, order)
    market.book.changed(order)
    this.changed(market, order)
    const executionId = this.report(order, { type: "REPLACED", formerClientId })
    market.amendments.add({
      orderId: order.id,
      executionId,
      formerClientId,
      clientOrderId,
      formerQuantity,
      quantity: order.quantity,
      time: this.now()
    })
    if (remaining(order) === 0n) this.expire(market, order, "NONE")
    return executionId
  }

  /** Puts an open order of an earlier life back where it was; what it holds is held already. */
  restore(market: Market, order: Order): void {
    if (order.status === "PENDING_NEW") return
    if (isWorking(order)) market.book.add(order)
    else market.triggers.add(order)
  }

  /** To be done when the order that trades is done. */
  later(task: () => void): void {
    this.#agenda.push(task)
  }

  get isBusy(): boolean {
    return this.#agenda.length > 0
  }

  /** Does what trades have set off, and what that sets off: each stop and each list comes up once. */
  runAgenda(): void {
    while (this.#agenda.length > 0) {
      const tasks = this.#agenda
      this.#agenda = []
      for (const task of tasks) task()
    }
  }

  bestPrice(market: Market, side: Side): Amount | undefined {
    return market.book.best(side)?.price
  }

  shown(market: Market, side: Side): readonly [Amount, Amount] {
    const level = market.book.best(side)
    return level === undefined ? [0n, 0n] : [level.price, quantityAt(level)]
  }

  /** What it costs to begin the order now: what it will hold, or what it will pay at once. */
  #costOf(market: Market, order: Order): Amount {
    if (!isMarketLike(order.type) || (isContingent(order.type) && !isWorking(order))) {
      return needOf(order, market.tape.lastPrice)
    }
    const rest = remaining(order)
    return order.side === "BUY" ? foresee(market.book, order, rest, undefined).quote : rest
  }

  // The counterparties' takers are the market itself moving: no rule stops that.
  #limitsFor(market: Market, { account, side }: Order): PriceLimits {
    const range = account === ours ? market.info.priceRange : undefined
    return limitsOf(range, side, range === undefined ? undefined : market.reference?.at(this.now()))
  }

  #fillsWhole(market: Market, order: Order, limits: PriceLimits): boolean {
    const bound = order.side === "BUY" ? limits.high : limits.low
    const limit = bound === undefined || reaches(order.side, bound, order.price) ? order.price : bound
    return foresee(market.book, order, order.quantity, limit).quantity >= order.quantity
  }

  #match(market: Market, taking: Order, limits: PriceLimits): void {
    const side = opposite(taking.side)
    const hasLimit = !isMarketLike(taking.type)
    while (remaining(taking) > 0n) {
      const maker = market.book.first(side)
      if (maker === undefined) return
      if (hasLimit && !reaches(taking.side, taking.price, maker.price)) return
      if (!isWithin(maker.price, limits)) {
        return this.expire(market, taking, "EXECUTION_RULE_PRICE_RANGE_EXCEEDED")
      }
      const mode = maker.account === taking.account ? modeOf(taking, maker) : "NONE"
      if (mode === "NONE") this.#trade(market, taking, maker)
      else this.#prevent(market, taking, maker, mode)
    }
  }

  #trade(market: Market, taking: Order, maker: Order): void {
    const time = this.now()
    const price = maker.price
    const quantity = min(remaining(taking), shown(maker))
    const quote = times(price, quantity)
    const id = market.nextTradeId++
    if (maker.listId !== none) this.contingencies.claim(market, maker)
    for (const order of [maker, taking]) {
      this.aboutToChange(market, order)
      order.executed += quantity
      order.quoteExecuted += quote
      order.status = remaining(order) === 0n ? "FILLED" : "PARTIALLY_FILLED"
      order.updateTime = time
    }
    this.#showNext(market, maker, quantity)
    this.#book(market, maker, { id, price, quantity, quote, time, isMaker: true })
    this.#book(market, taking, { id, price, quantity, quote, time, isMaker: false })
    const told: PublicTrade = { id, price, quantity, quote, time, isBuyerMaker: maker.side === "BUY" }
    market.tape.add(told, taking)
    market.reference?.add(price, time)
    this.#listener?.traded(market, told)
    if (maker.listId !== none) this.contingencies.traded(market, maker)
    if (taking.listId !== none) this.contingencies.traded(market, taking)
    if (market.triggers.size > 0) this.#trigger(market, price)
  }

  /** Takes a traded quantity off what the maker shows; an iceberg shows its next slice behind the others. */
  #showNext(market: Market, maker: Order, quantity: Amount): void {
    if (maker.status === "FILLED") return market.book.remove(maker)
    if (maker.icebergQuantity > 0n) {
      maker.visible -= quantity
      if (maker.visible === 0n) {
        maker.visible = min(maker.icebergQuantity, remaining(maker))
        return market.book.requeue(maker)
      }
    }
    market.book.changed(maker)
  }

  #trigger(market: Market, price: Amount): void {
    const fired = market.triggers.trade(price, this.now(), (order) => {
      this.aboutToChange(market, order)
      this.changed(market, order)
    })
    for (const order of fired) this.later(() => this.#fire(market, order))
  }

  #fire(market: Market, order: Order): void {
    if (!isOpen(order)) return
    this.contingencies.claim(market, order)
    this.contingencies.started(market, order)
    this.aboutToChange(market, order)
    order.workingTime = this.now()
    order.updateTime = this.now()
    this.trim(market, order)
    if (isMarketLike(order.type) && this.#costOf(market, order) > this.funds.free(order)) {
      order.workingTime = none
      return this.expire(market, order, "REJECTED")
    }
    this.start(market, order)
    this.proceed(market, order)
  }

  #prevent(market: Market, taking: Order, maker: Order, mode: PreventedMatch["mode"]): void {
    const quantity = min(remaining(taking), shown(maker))
    const losesAll = mode === "EXPIRE_TAKER" || mode === "EXPIRE_MAKER" || mode === "EXPIRE_BOTH"
    const lost = (order: Order, isSpared: boolean) => (isSpared ? 0n : losesAll ? remaining(order) : quantity)
    const match: PreventedMatch = {
      id: market.prevented.nextId,
      takerOrderId: taking.id,
      makerOrderId: maker.id,
      mode,
      price: maker.price,
      takerQuantity: lost(taking, mode === "EXPIRE_MAKER"),
      makerQuantity: lost(maker, mode === "EXPIRE_TAKER"),
      time: this.now()
    }
    market.prevented.add(match)
    if (match.makerQuantity > 0n) this.#lose(market, maker, match, quantity)
    if (match.takerQuantity > 0n) this.#lose(market, taking, match, quantity)
  }

  #lose(market: Market, order: Order, match: PreventedMatch, quantity: Amount): void {
    const isTaker = order.id === match.takerOrderId
    const lost = isTaker ? match.takerQuantity : match.makerQuantity
    this.aboutToChange(market, order)
    order.prevented += lost
    order.preventedMatchId = match.id
    order.updateTime = this.now()
    if (remaining(order) === 0n) this.#end(market, order, "EXPIRED_IN_MATCH", "")
    else {
      if (!isTaker) this.#showNext(market, order, lost)
      if (this.contingencies.sibling(market, order) === undefined) this.trim(market, order)
      this.changed(market, order)
    }
    this.report(order, {
      type: "TRADE_PREVENTION",
      prevention: {
        counterOrderId: isTaker ? match.makerOrderId : match.takerOrderId,
        price: match.price,
        quantity,
        lost
      }
    })
    if (!isOpen(order)) this.contingencies.ended(market, order)
  }

  /** One side of a trade: its account settles, and if it is the account under test, the trade is remembered and told. */
  #book(market: Market, order: Order, deal: Deal): void {
    const paid = this.#settlement.settle(market, order, deal)
    if (paid === undefined) {
      this.executionId++
      return
    }
    const { commission, commissionAsset } = paid
    if (order.listId !== none) this.contingencies.received(market, order, deal.quantity, commission, commissionAsset)
    this.changed(market, order)
    this.report(order, { type: "TRADE", trade: { ...deal, commission, commissionAsset } })
  }

  #end(market: Market, order: Order, status: OrderStatus, reason: ExpiryReason): void {
    this.aboutToChange(market, order)
    this.#withdraw(market, order)
    order.status = status
    order.expiryReason = reason
    order.updateTime = this.now()
    this.changed(market, order)
  }

  /** Off the book or from among the stops, with all that it holds. */
  #withdraw(market: Market, order: Order): void {
    if (isWorking(order)) market.book.remove(order)
    else market.triggers.remove(order)
    this.funds.release(order)
  }

  /** Gives back what the order no longer needs. */
  trim(market: Market, order: Order): void {
    const need = needOf(order, market.tape.lastPrice)
    if (need < order.locked) this.funds.holdExactly(order, need)
  }

  aboutToChange(market: Market, order: Order): void {
    if (order.account === ours) market.orders.aboutToChange(order, this.now())
  }

  changed(market: Market, order: Order): void {
    if (order.account === ours) market.orders.changed(order)
  }

  /** Numbers what happened, and tells of it when it is the account's. */
  report(order: Order, execution: Omit<Execution, "executionId" | "time">): number {
    const executionId = ++this.executionId
    if (order.account === ours) this.#listener?.executed(order, { ...execution, executionId, time: this.now() })
    return executionId
  }

  listed(list: OrderList, type: ListStatusType): void {
    this.#listener?.listed(list, this.markets[list.market]!, type)
  }
}

const leftoverReason = (order: Order): ExpiryReason => {
  if (isMarketLike(order.type)) return "INSUFFICIENT_LIQUIDITY"
  if (order.timeInForce === "IOC") return "UNFILLED_IOC_QUANTITY_EXPIRED"
  return order.timeInForce === "FOK" ? "UNFILLED_FOK_ORDER_EXPIRED" : ""
}
