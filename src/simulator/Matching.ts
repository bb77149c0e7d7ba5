/**
 * The matching engine: orders meet in price-time order and their accounts settle at once.
 *
 * Synchronous, and the owner of all trading state. It knows accounts by number and treats them alike, but that only
 * the account under test pays a commission, is reported on, and has its orders remembered.
 */
import { Accounts, fees, ours } from "./Accounts.ts"
import { type Amount, dividedBy, floorTo, min, times } from "./Amount.ts"
import { Book, opposite, quantityAt, reaches } from "./Book.ts"
import { type ExpiryReason, isOpen, type Order, remaining, type Side } from "./Order.ts"
import type { SymbolInfo } from "./Market.ts"
import { OrderArchive } from "./OrderArchive.ts"
import { type PublicTrade, Tape } from "./Tape.ts"
import { Trades } from "./Trades.ts"

/** 0.1 %, taken from what is received and rounded down to 10^-8. */
const commissionOf = (received: Amount): Amount => received / 1000n

/** One symbol's market. */
export interface Market {
  readonly info: SymbolInfo
  /** Place in the list of symbols. */
  readonly index: number
  readonly book: Book
  readonly orders: OrderArchive
  readonly tape: Tape
  nextOrderId: number
  nextTradeId: number
}

export type ExecutionType = "NEW" | "TRADE" | "CANCELED" | "EXPIRED"

/** One thing that happened to an order of the account. */
export interface Execution {
  readonly type: ExecutionType
  readonly executionId: number
  readonly time: number
  /** The cancel's own id; undefined in everything but a cancel. */
  readonly cancelId?: string
  /** Of a TRADE. */
  readonly trade?: TradeDetails
}

export interface TradeDetails {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly commission: Amount
  readonly commissionAsset: string
  readonly isMaker: boolean
}

/** Told as things happen, while the order has just the state that the news is about. */
export interface Listener {
  readonly executed: (order: Order, execution: Execution) => void
  readonly traded: (market: Market, trade: PublicTrade) => void
}

export class Matching {
  readonly accounts = new Accounts()
  readonly trades = new Trades()
  readonly markets: ReadonlyArray<Market>
  readonly #bySymbol: ReadonlyMap<string, Market>
  readonly #clock: () => number
  #time = 0
  #listener: Listener | undefined
  executionId = 0

  constructor(symbols: ReadonlyArray<SymbolInfo>, clock: () => number) {
    this.#clock = clock
    this.markets = symbols.map((info, index) => ({
      info,
      index,
      book: new Book(),
      orders: new OrderArchive((name) => (name === info.symbol ? info : undefined)),
      tape: new Tape(info.startPrice),
      nextOrderId: 1,
      nextTradeId: 1
    }))
    this.#bySymbol = new Map(this.markets.map((market) => [market.info.symbol, market]))
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

  /** Takes an order that its account can pay for: locks, trades, and rests or ends. */
  submit(market: Market, order: Order): void {
    this.#remember(market, order)
    this.#report(order, { type: "NEW", executionId: ++this.executionId, time: order.updateTime })
    if (order.type !== "MARKET") this.#lock(order)
    if (order.timeInForce !== "FOK" || this.available(market, order.side, order.price) >= order.quantity) {
      this.#match(market, order)
    }
    if (!isOpen(order)) return
    const reason = leftoverReason(order)
    if (reason === "") market.book.add(order)
    else this.#end(market, order, reason)
  }

  cancel(market: Market, order: Order, cancelId: string): void {
    const time = this.now()
    this.#aboutToChange(market, order, time)
    market.book.remove(order)
    this.#unlockRest(order)
    order.status = "CANCELED"
    order.updateTime = time
    this.#changed(market, order)
    this.#report(order, { type: "CANCELED", executionId: ++this.executionId, time: order.updateTime, cancelId })
  }

  /** Puts an open order of an earlier life back on the book; its money is locked already. */
  restore(market: Market, order: Order): void {
    market.book.add(order)
  }

  /** How much a taker of `side` could trade up to this price. */
  available(market: Market, side: Side, limit: Amount): Amount {
    let total = 0n
    for (const maker of market.book.queue(opposite(side))) {
      if (!reaches(side, limit, maker.price)) break
      total += remaining(maker)
    }
    return total
  }

  /** What a MARKET order would do to the book as it stands: quantity, and the quote it would move. */
  plan(market: Market, side: Side, quantity: Amount, quoteQuantity: Amount): MarketPlan {
    let wanted = quantity
    let quoteLeft = quoteQuantity
    const plan = { quantity: 0n, quote: 0n, isShort: false }
    for (const maker of market.book.queue(opposite(side))) {
      const affordable = quoteQuantity > 0n ? floorTo(dividedBy(quoteLeft, maker.price), market.info.stepSize) : wanted
      if (affordable === 0n) return plan
      const taken = min(affordable, remaining(maker))
      const quote = times(maker.price, taken)
      plan.quantity += taken
      plan.quote += quote
      wanted -= taken
      quoteLeft -= quote
      if (taken === affordable) return plan
    }
    plan.isShort = true
    return plan
  }

  bestPrice(market: Market, side: Side): Amount | undefined {
    return market.book.best(side)?.price
  }

  shown(market: Market, side: Side): readonly [Amount, Amount] {
    const level = market.book.best(side)
    return level === undefined ? [0n, 0n] : [level.price, quantityAt(level)]
  }

  #match(market: Market, taking: Order): void {
    const side = opposite(taking.side)
    while (remaining(taking) > 0n) {
      const maker = market.book.first(side)
      if (maker === undefined) return
      if (taking.type !== "MARKET" && !reaches(taking.side, taking.price, maker.price)) return
      this.#trade(market, taking, maker)
    }
  }

  #trade(market: Market, taking: Order, maker: Order): void {
    const time = this.now()
    const price = maker.price
    const quantity = min(remaining(taking), remaining(maker))
    const quote = times(price, quantity)
    const id = market.nextTradeId++
    for (const order of [maker, taking]) {
      this.#aboutToChange(market, order, time)
      order.executed += quantity
      order.quoteExecuted += quote
      order.status = order.executed === order.quantity ? "FILLED" : "PARTIALLY_FILLED"
      order.updateTime = time
    }
    if (maker.status === "FILLED") market.book.remove(maker)
    else market.book.updateId++
    this.#settle(market, maker, { id, price, quantity, quote, time, isMaker: true })
    this.#settle(market, taking, { id, price, quantity, quote, time, isMaker: false })
    const shown: PublicTrade = { id, price, quantity, quote, time, isBuyerMaker: maker.side === "BUY" }
    market.tape.add(shown)
    this.#listener?.traded(market, shown)
  }

  #settle(market: Market, order: Order, deal: Deal): void {
    const { accounts } = this
    const { base, quote } = market.info
    const { account } = order
    const isBuyer = order.side === "BUY"
    // What an order of a fixed price had locked for this quantity; the better price leaves a rest that is free again.
    if (order.type === "MARKET") {
      accounts.give(account, isBuyer ? quote : base, isBuyer ? -deal.quote : -deal.quantity)
    } else if (isBuyer) {
      const locked = times(order.price, deal.quantity)
      accounts.spendLocked(account, quote, locked)
      accounts.give(account, quote, locked - deal.quote)
    } else {
      accounts.spendLocked(account, base, deal.quantity)
    }
    const received = isBuyer ? deal.quantity : deal.quote
    const receivedAsset = isBuyer ? base : quote
    const commission = account === ours ? commissionOf(received) : 0n
    accounts.give(account, receivedAsset, received - commission)
    const executionId = ++this.executionId
    if (account !== ours) return
    accounts.give(fees, receivedAsset, commission)
    order.trades.push(this.trades.add({ ...deal, orderId: order.id, symbol: market.index, commission, isBuyer }))
    this.#changed(market, order)
    this.#report(order, {
      type: "TRADE",
      executionId,
      time: deal.time,
      trade: { ...deal, commission, commissionAsset: receivedAsset }
    })
  }

  #end(market: Market, order: Order, reason: ExpiryReason): void {
    this.#aboutToChange(market, order, order.updateTime)
    this.#unlockRest(order)
    order.status = "EXPIRED"
    order.expiryReason = reason
    this.#changed(market, order)
    this.#report(order, { type: "EXPIRED", executionId: ++this.executionId, time: order.updateTime })
  }

  #lock(order: Order): void {
    const { account, side, symbol } = order
    if (side === "BUY") this.accounts.lock(account, symbol.quote, times(order.price, order.quantity))
    else this.accounts.lock(account, symbol.base, order.quantity)
  }

  #unlockRest(order: Order): void {
    if (order.type === "MARKET") return
    const { account, side, symbol } = order
    const rest = remaining(order)
    if (side === "BUY") this.accounts.unlock(account, symbol.quote, times(order.price, rest))
    else this.accounts.unlock(account, symbol.base, rest)
  }

  #remember(market: Market, order: Order): void {
    if (order.account === ours) market.orders.add(order)
  }

  #aboutToChange(market: Market, order: Order, time: number): void {
    if (order.account === ours) market.orders.aboutToChange(order, time)
  }

  #changed(market: Market, order: Order): void {
    if (order.account === ours) market.orders.changed(order)
  }

  #report(order: Order, execution: Execution): void {
    if (order.account === ours) this.#listener?.executed(order, execution)
  }
}

export interface MarketPlan {
  readonly quantity: Amount
  readonly quote: Amount
  /** The book ended before the order did. */
  readonly isShort: boolean
}

interface Deal {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly quote: Amount
  readonly time: number
  readonly isMaker: boolean
}

const leftoverReason = (order: Order): ExpiryReason => {
  if (order.type === "MARKET") return "INSUFFICIENT_LIQUIDITY"
  if (order.timeInForce === "IOC") return "UNFILLED_IOC_QUANTITY_EXPIRED"
  return order.timeInForce === "FOK" ? "UNFILLED_FOK_ORDER_EXPIRED" : ""
}
