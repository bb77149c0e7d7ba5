/**
 * The other side of the market: two accounts that quote a ladder around a fair price, and one that takes.
 *
 * They trade through the same matching engine with real balances. The touch is quoted in small orders, so that most
 * takers meet several; a wall at the end keeps a MARKET order of ordinary size from running out of book. The fair
 * price walks from a seed, drawn back to where it began; where it passes an order of the account, the taker trades it.
 */
import { firstMaker, secondMaker, taker } from "./Accounts.ts"
import { type Amount, approximately, dividedBy, floorTo, min, one, times } from "./Amount.ts"
import { opposite } from "./Book.ts"
import type { Market, Matching } from "./Matching.ts"
import { isOpen, newOrder, none, type Order, type OrderSeed, remaining, type Side, type TimeInForce } from "./Order.ts"
import type { Random } from "./Random.ts"

const levels = 30
/** Distance between two levels, as a share of the price: 0.01 %. */
const gapShare = 10_000n
/** How much bigger each level is than the one before it. */
const growth = 1.35
/** Sizes of a level's orders, in quote, before growth. */
const smallest = 5
const greatest = 3_000
/** An order at the touch is a crumb this often: smaller than any order that NOTIONAL allows, so its taker meets another. */
const crumbChance = 0.35
const smallestCrumb = 0.7
const greatestCrumb = 4
/** The last order of a side, in quote: more than the whole account can trade at once. */
const wall = 20_000_000
const ordersAtTouch = 3
const ordersPerLevel = 2
/** One tick's move, as a share of the price; about 0.15 % in a minute of four ticks a second. */
const moveShare = 0.0002
/** How strongly the walk is drawn back to its start, per tick. */
const pullShare = 0.002
/** How many orders of the account one tick trades through at most; the rest waits for the next. */
const takesPerTick = 200
/** A sweep ends by itself; this only bounds a mistake. */
const takesPerSweep = 1_000_000
const noiseChance = 0.6

interface Slot {
  readonly side: Side
  readonly level: number
  readonly account: number
  order: Order | undefined
}

interface Quoting {
  fair: Amount
  readonly slots: ReadonlyArray<Slot>
}

export class Counterparties {
  readonly #matching: Matching
  readonly #random: Random
  readonly #quoting: ReadonlyArray<Quoting>

  constructor(matching: Matching, random: Random) {
    this.#matching = matching
    this.#random = random
    this.#quoting = matching.markets.map((market) => ({ fair: market.info.startPrice, slots: makeSlots() }))
  }

  fairPrice(market: Market): Amount {
    return this.#quoting[market.index]!.fair
  }

  /** Sets the price around which the next quotes stand; from the journal. */
  setFairPrice(market: Market, price: Amount): void {
    this.#quoting[market.index]!.fair = floorTo(price, market.info.tickSize)
  }

  /**
   * Fills the holes that takers left, and quotes anew what was only partly taken at the touch: a great rest would
   * stand in front for long, and all takers would meet it alone.
   */
  replenish(market: Market): void {
    for (const slot of this.#quoting[market.index]!.slots) {
      if (slot.order !== undefined && slot.level === 0 && slot.order.status === "PARTIALLY_FILLED") {
        this.#matching.cancel(market, slot.order, "")
      }
      if (slot.order === undefined || !isOpen(slot.order)) slot.order = this.#quote(market, slot)
    }
  }

  /** One step of the walk. */
  tick(market: Market): void {
    const quoting = this.#quoting[market.index]!
    const drift = (this.#random.next() + this.#random.next() - 1) * moveShare
    const pull = (Number(market.info.startPrice) / Number(quoting.fair) - 1) * pullShare
    this.#moveTo(market, approximately((Number(quoting.fair) / Number(one)) * (1 + drift + pull)), takesPerTick)
    this.replenish(market)
    // After the quotes stand again: against a book of the account's orders alone, noise would trade far from the price.
    if (this.#random.next() < noiseChance) this.#noise(market)
  }

  /** Moves the price and trades everything of the account that stands in the way. */
  sweepTo(market: Market, price: Amount): void {
    this.#moveTo(market, price, takesPerSweep)
    this.replenish(market)
  }

  /** The same, and lets the public see a trade at the new price: that is what stop orders wait for. */
  trade(market: Market, price: Amount): void {
    this.#moveTo(market, price, takesPerSweep)
    const { fair } = this.#quoting[market.index]!
    const { minQty } = market.info
    const offer = this.#send(market, firstMaker, "SELL", fair, minQty, "GTC")
    if (offer !== undefined && isOpen(offer)) {
      this.#send(market, taker, "BUY", fair, minQty, "IOC")
      if (isOpen(offer)) this.#matching.cancel(market, offer, "")
    }
    this.replenish(market)
  }

  /** Takes all that stands before one order, and that order whole or half. */
  fill(market: Market, order: Order, share: "whole" | "part" = "whole"): void {
    const queue = [...market.book.queue(order.side)]
    const place = queue.indexOf(order)
    // A stop that waits for its price, say, is not there to be filled.
    if (place < 0) return
    let quantity = queue.slice(0, place).reduce((sum, resting) => sum + remaining(resting), 0n)
    const half = floorTo(remaining(order) / 2n, market.info.stepSize)
    quantity += share === "part" && half > 0n ? half : remaining(order)
    this.#send(market, taker, opposite(order.side), order.price, quantity, "IOC")
    this.replenish(market)
  }

  /** Forgets its orders, when the book is cleared. */
  forget(): void {
    for (const { slots } of this.#quoting) for (const slot of slots) slot.order = undefined
  }

  #moveTo(market: Market, price: Amount, takes: number): void {
    const quoting = this.#quoting[market.index]!
    quoting.fair = floorTo(price, market.info.tickSize)
    for (const slot of quoting.slots) {
      if (slot.order !== undefined && isOpen(slot.order)) this.#matching.cancel(market, slot.order, "")
      slot.order = undefined
    }
    this.#trade(market, "SELL", takes)
    this.#trade(market, "BUY", takes)
  }

  // Only the account's own orders are on the book now: those that the fair price has passed are a gift, and are taken
  // piece by piece.
  #trade(market: Market, side: Side, takes: number): void {
    const { fair } = this.#quoting[market.index]!
    for (let take = 0; take < takes; take++) {
      const resting = market.book.first(opposite(side))
      if (resting === undefined) return
      if (side === "SELL" ? resting.price < fair : resting.price > fair) return
      const rest = remaining(resting)
      const piece = floorTo(times(rest, approximately(0.3 + this.#random.next())), market.info.stepSize)
      const quantity = piece === 0n ? rest : min(piece, rest)
      if (this.#send(market, taker, side, resting.price, quantity, "IOC") === undefined) return
    }
  }

  #noise(market: Market): void {
    const side = this.#random.next() < 0.5 ? "BUY" : "SELL"
    const touch = this.#matching.bestPrice(market, opposite(side))
    if (touch === undefined) return
    const reach = (touch / gapShare) * 3n
    const limit = floorTo(side === "BUY" ? touch + reach : touch - reach, market.info.tickSize)
    const quantity = this.#sizeOf(market, touch, this.#random.logUniform(10, 5_000))
    this.#send(market, taker, side, limit, quantity, "IOC")
  }

  #quote(market: Market, slot: Slot): Order | undefined {
    const { fair } = this.#quoting[market.index]!
    const { tickSize } = market.info
    const distance = (fair * BigInt(2 * slot.level + 1)) / (2n * gapShare)
    const wanted = floorTo(slot.side === "BUY" ? fair - distance : fair + distance, tickSize)
    // Never across an order of the account: a quote adds to the book, it does not take.
    const touch = this.#matching.bestPrice(market, opposite(slot.side))
    const price =
      touch === undefined
        ? wanted
        : slot.side === "BUY"
          ? min(wanted, touch - tickSize)
          : -min(-wanted, -(touch + tickSize))
    if (price <= 0n) return undefined
    return this.#send(market, slot.account, slot.side, price, this.#sizeOf(market, price, this.#worth(slot)), "GTC")
  }

  #worth({ level }: Slot): number {
    if (level === levels) return wall
    if (level === 0 && this.#random.next() < crumbChance) return this.#random.logUniform(smallestCrumb, greatestCrumb)
    const scale = growth ** level
    return this.#random.logUniform(smallest * scale, greatest * scale)
  }

  #sizeOf(market: Market, price: Amount, worth: number): Amount {
    const { stepSize } = market.info
    const size = floorTo(dividedBy(approximately(worth), price), stepSize)
    return size === 0n ? stepSize : size
  }

  #send(
    market: Market,
    account: number,
    side: Side,
    price: Amount,
    quantity: Amount,
    timeInForce: TimeInForce
  ): Order | undefined {
    const { base, quote } = market.info
    const isBuy = side === "BUY"
    const needed = isBuy ? times(price, quantity) : quantity
    if (quantity === 0n || this.#matching.accounts.of(account, isBuy ? quote : base).free < needed) return undefined
    const time = this.#matching.now()
    const seed: OrderSeed = {
      id: 0,
      account,
      symbol: market.info,
      clientOrderId: "",
      side,
      type: "LIMIT",
      timeInForce,
      price,
      quantity,
      quoteQuantity: 0n,
      icebergQuantity: 0n,
      stopPrice: 0n,
      trailingDelta: 0,
      strategyId: undefined,
      strategyType: undefined,
      preventionMode: "NONE",
      listId: none,
      time
    }
    const order = newOrder(seed, "NEW", noTrades)
    this.#matching.submit(market, order)
    return order
  }
}

/** Trades of counterparties are not kept; shared, never written. */
const noTrades: Array<number> = []

const makeSlots = (): Array<Slot> => {
  const slots: Array<Slot> = []
  for (let level = 0; level <= levels; level++) {
    const orders = level === 0 ? ordersAtTouch : level === levels ? 1 : ordersPerLevel
    for (let n = 0; n < orders; n++) {
      const account = (level + n) % 2 === 0 ? firstMaker : secondMaker
      slots.push({ side: "BUY", level, account, order: undefined }, { side: "SELL", level, account, order: undefined })
    }
  }
  return slots
}
