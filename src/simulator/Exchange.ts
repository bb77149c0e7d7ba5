/**
 * The exchange as a state machine: the door through which its one account trades.
 *
 * Synchronous and without sockets or files; the clock, the seed and the listener come from outside. Every command ends
 * in `#settled`, which gives the journal one entry with all that the command changed, before anybody is answered.
 */
import { accountCount, type Balance, fees, ours } from "./Accounts.ts"
import { type Amount, amount, times } from "./Amount.ts"
import { opposite, reaches } from "./Book.ts"
import { Counterparties } from "./Counterparties.ts"
import { type Entry, pastOf, readEntry, snapshotOf, writeEntry } from "./Entry.ts"
import { type Judged, judgeOrder, judgeStanding } from "./filters.ts"
import { Ledger } from "./Ledger.ts"
import type { SymbolInfo } from "./Market.ts"
import { type Listener, type Market, Matching } from "./Matching.ts"
import { isOpen, type Order, remaining, type TimeInForce } from "./Order.ts"
import { makeRandom, type Random } from "./Random.ts"
import {
  duplicateOrder,
  icebergExceedsQuantity,
  insufficientBalance,
  type Refusal,
  restricted,
  tooLittleLiquidity,
  unknownOrder,
  wouldTake
} from "./Refusal.ts"
import { type Lag, type Reads, Staleness } from "./Staleness.ts"

export interface NewOrder extends Judged {
  readonly timeInForce: TimeInForce
  readonly clientOrderId: string | undefined
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
}

export interface Target {
  readonly orderId: number | undefined
  readonly clientOrderId: string | undefined
}

export type CancelRestriction = "ONLY_NEW" | "ONLY_PARTIALLY_FILLED"

export interface ExchangeListener extends Listener {
  /** The balances of the account that one command changed. */
  readonly positions: (balances: ReadonlyArray<Balance>, time: number) => void
  /** The quotes of a market may have changed. */
  readonly quoted: (market: Market) => void
}

export interface ExchangeOptions {
  readonly symbols: ReadonlyArray<SymbolInfo>
  readonly seed: number
  readonly clock: () => number
  readonly balances: Readonly<Record<string, string>>
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
  readonly ledger = new Ledger()
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
    this.matching = new Matching(options.symbols, options.clock)
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
    return (
      judgeOrder(market.info, order, () => market.tape.average(this.#clock())) ??
      (order.icebergQuantity > order.quantity ? icebergExceedsQuantity : undefined)
    )
  }

  place(market: Market, wanted: NewOrder): Order | Refusal {
    this.matching.beginCommand()
    const { accounts } = this.matching
    const { base, quote } = market.info
    const { orders } = market
    if (wanted.clientOrderId !== undefined && orders.isOpenClientId(wanted.clientOrderId)) return duplicateOrder
    let { quantity } = wanted
    const free = accounts.of(ours, wanted.side === "BUY" ? quote : base).free
    let needed = wanted.side === "BUY" ? times(wanted.price, quantity) : quantity
    if (wanted.type === "MARKET") {
      const plan = this.matching.plan(market, wanted.side, quantity, wanted.quoteQuantity)
      if (wanted.quoteQuantity > 0n) {
        if (plan.quantity === 0n) return tooLittleLiquidity
        // One step more than the book can give, so that the rest is seen to expire.
        quantity = plan.isShort ? plan.quantity + market.info.stepSize : plan.quantity
      }
      needed = wanted.side === "BUY" ? plan.quote : quantity
    }
    const refused = judgeStanding(market.info, wanted, quantity, standingOf(this.matching, market))
    if (refused !== undefined) return refused
    if (wanted.type === "LIMIT_MAKER") {
      const touch = this.matching.bestPrice(market, opposite(wanted.side))
      if (touch !== undefined && reaches(wanted.side, wanted.price, touch)) return wouldTake
    }
    if (needed > free) return insufficientBalance

    const time = this.matching.now()
    const id = market.nextOrderId++
    const order: Order = {
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
      strategyId: wanted.strategyId,
      strategyType: wanted.strategyType,
      time,
      executed: 0n,
      quoteExecuted: 0n,
      status: "NEW",
      expiryReason: "",
      updateTime: time,
      trades: []
    }
    this.matching.submit(market, order)
    if (order.executed > 0n) this.counterparties.replenish(market)
    this.#settled([market])
    return order
  }

  /** Asks the engine, so the answer is never stale. */
  cancel(
    market: Market,
    target: Target,
    cancelId: string,
    restriction: CancelRestriction | undefined
  ): Order | Refusal {
    this.matching.beginCommand()
    const order = this.lookUp(market, target)
    if (order === undefined || !market.orders.open.has(order.id)) return unknownOrder
    if (target.orderId !== undefined && target.clientOrderId !== undefined) {
      if (order.clientOrderId !== target.clientOrderId) return unknownOrder
    }
    if (restriction === "ONLY_NEW" && order.status !== "NEW") return restricted
    if (restriction === "ONLY_PARTIALLY_FILLED" && order.status !== "PARTIALLY_FILLED") return restricted
    this.matching.cancel(market, order, cancelId)
    this.counterparties.replenish(market)
    this.#settled([market])
    return order
  }

  cancelAll(market: Market, drawId: () => string): Array<readonly [Order, string]> {
    this.matching.beginCommand()
    const canceled = [...market.orders.open.values()].map((order) => {
      const cancelId = drawId()
      this.matching.cancel(market, order, cancelId)
      return [order, cancelId] as const
    })
    this.counterparties.replenish(market)
    this.#settled([market])
    return canceled
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
    const lag = this.#staleness.isFresh ? 0 : this.#staleness.of(reads, order.clientOrderId)
    return lag === 0 ? order : market.orders.asOf(order, this.#clock() - lag)
  }

  /** Up to when the trades of an order are seen. */
  tradesSeenUntil(clientOrderId: string): number {
    return this.#clock() - this.#staleness.of("histories", clientOrderId)
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
    else this.#staleness.set(lag)
    for (const { orders } of this.matching.markets) orders.keepFormers(this.isStale)
  }

  tick(): void {
    this.matching.beginCommand()
    for (const market of this.matching.markets) this.counterparties.tick(market)
    if (this.isStale) {
      const unseen = this.#clock() - this.#staleness.greatest
      for (const { orders } of this.matching.markets) orders.forgetFormers(unseen)
    }
    this.#settled(this.matching.markets)
  }

  moveMarket(market: Market, price: Amount): void {
    this.matching.beginCommand()
    this.counterparties.sweepTo(market, price)
    this.#settled([market])
  }

  /** Trades one open order, whole or half of it, before anybody else is asked. */
  fill(market: Market, order: Order, share: "whole" | "part" = "whole"): void {
    this.matching.beginCommand()
    this.counterparties.fill(market, order, share)
    this.#settled([market])
  }

  /** Everything is forgotten but the keys and the account's number, as on the testnet about once a month. */
  reset(): void {
    this.ledger.end(this.matching)
    this.#empty()
    this.fund()
    this.#journal?.({ reset: true })
    for (const entry of snapshotOf(this.matching, this.counterparties, this.updateTime)) this.#journal?.(entry)
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
      market.nextOrderId = 1
      market.nextTradeId = 1
    }
    this.counterparties.forget()
    this.matching.trades.clear()
    this.matching.accounts.clear()
    this.#writtenTrades = 0
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

const standingOf = ({ accounts }: Matching, market: Market) => ({
  openOrders: market.orders.open.size,
  openIcebergs: () => [...market.orders.open.values()].filter((order) => order.icebergQuantity > 0n).length,
  position: () => {
    const { free, locked } = accounts.of(ours, market.info.base)
    const buying = [...market.orders.open.values()].filter(({ side }) => side === "BUY")
    return buying.reduce((sum, order) => sum + remaining(order), free + locked)
  }
})
