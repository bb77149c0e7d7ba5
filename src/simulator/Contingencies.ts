/**
 * What the orders of a list do to each other.
 *
 * Of a pair, one that starts working or trades expires the other; until then one of them holds the funds of both. Once
 * the working order of a list is filled whole, the pending ones are placed, or expire when the engine would refuse
 * them; if it ends otherwise, they end with it. A list is done when none of its orders is open.
 */
import { ours } from "./Accounts.ts"
import { type Amount, floorTo, min } from "./Amount.ts"
import { judgeOrder } from "./filters.ts"
import { needOf } from "./Funds.ts"
import type { Filter } from "./Market.ts"
import type { RejectReason } from "./Execution.ts"
import type { Market, Matching } from "./Matching.ts"
import { isMarketLike, isOpen, none, type Order } from "./Order.ts"
import { hasPair, hasWorking, type OrderList, paysOn } from "./OrderList.ts"
import { OrderLists } from "./OrderLists.ts"
import { averageOf } from "./ReferencePrice.ts"

export class Contingencies {
  readonly lists = new OrderLists()
  readonly #matching: Matching

  constructor(matching: Matching) {
    this.#matching = matching
  }

  /** The list of an open order. */
  listOf(order: Order): OrderList | undefined {
    return order.listId === none ? undefined : this.lists.byId(order.listId)
  }

  /** Orders of the list that are open, as they are now. */
  openOf(market: Market, list: OrderList): Array<Order> {
    return list.orderIds
      .map((id) => market.orders.open.get(id))
      .filter((order) => order !== undefined && isOpen(order))
      .map((order) => order!)
  }

  /** The other of a pair, while both are open. */
  sibling(market: Market, order: Order): Order | undefined {
    const list = this.listOf(order)
    if (list === undefined || !hasPair(list)) return undefined
    const pair = list.orderIds.slice(-2)
    if (!pair.includes(order.id)) return undefined
    const other = market.orders.open.get(pair[0] === order.id ? pair[1]! : pair[0]!)
    return other !== undefined && isOpen(other) ? other : undefined
  }

  /** Places a list whose orders the account can pay for. */
  place(market: Market, list: OrderList, orders: ReadonlyArray<Order>): void {
    const { funds } = this.#matching
    for (const order of orders) market.orders.add(order)
    this.lists.add(list)
    if (!hasWorking(list)) {
      this.#begin(market, orders)
      return this.#matching.listed(list, "EXEC_STARTED")
    }
    const [working, ...pending] = orders
    funds.hold(working!, needOf(working!, market.tape.lastPrice))
    this.#matching.start(market, working!)
    for (const order of pending) this.#matching.report(order, { type: "NEW" })
    this.#matching.listed(list, "EXEC_STARTED")
    this.#matching.proceed(market, working!)
  }

  /** Before one of a pair trades or starts to work: what the other holds for both becomes its own. */
  claim(market: Market, order: Order): void {
    const other = this.sibling(market, order)
    if (other === undefined) return
    this.#matching.aboutToChange(market, other)
    this.#matching.funds.hand(other, order)
    this.#matching.changed(market, other)
  }

  /** One of a pair begins to work: the other is no longer wanted. */
  started(market: Market, order: Order): void {
    const other = this.sibling(market, order)
    if (other === undefined) return
    this.#matching.expire(market, other, "OCO_TRIGGER")
    if (isOpen(order)) this.#matching.trim(market, order)
  }

  /** After a trade of an order that belongs to a list. */
  traded(market: Market, order: Order): void {
    this.started(market, order)
    const list = this.listOf(order)
    if (list === undefined || list.isDone) return
    if (order.status !== "FILLED") return
    if (hasWorking(list) && list.orderIds[0] === order.id) {
      if (!list.isPlaced) this.#matching.later(() => this.#placePending(market, list))
    } else this.#closeWhenDone(market, list)
  }

  /** After an order expired, for whatever reason. */
  ended(market: Market, order: Order): void {
    const list = this.listOf(order)
    if (list === undefined || list.isDone) return
    const isWorking = hasWorking(list) && list.orderIds[0] === order.id
    // One that went because of another takes nobody along.
    const isFollowing = order.expiryReason === "OCO_TRIGGER" || order.expiryReason === "OTO_PHASE_ONE_EXPIRED"
    for (const other of isFollowing ? [] : this.openOf(market, list)) {
      if (isOpen(other)) this.#matching.expire(market, other, isWorking ? "OTO_PHASE_ONE_EXPIRED" : "OCO_TRIGGER")
    }
    this.#closeWhenDone(market, list)
  }

  /** Cancels all that is open of a list, under one id. */
  cancel(market: Market, list: OrderList, cancelId: string): Array<Order> {
    const open = this.openOf(market, list)
    for (const order of open) this.#matching.cancel(market, order, cancelId)
    this.#closeWhenDone(market, list)
    return open
  }

  /** Both of a pair were amended: one of them goes on holding what the greater needs. */
  rehold(market: Market, pair: ReadonlyArray<Order>): void {
    const lead = pair.find(({ locked }) => locked > 0n)
    const needs = pair.map((order) => needOf(order, market.tape.lastPrice))
    if (lead !== undefined) this.#matching.funds.holdExactly(lead, greatest(needs))
  }

  /** An order was renamed; its list names it too. */
  renamed(order: Order): void {
    const list = this.listOf(order)
    if (list === undefined) return
    list.clientOrderIds[list.orderIds.indexOf(order.id)] = order.clientOrderId
    list.updateTime = this.#matching.now()
    this.lists.changed(list)
    this.#matching.listed(list, "UPDATED")
  }

  /** Sets aside what the working order of a list that pays on has bought. */
  received(market: Market, order: Order, received: Amount, commission: Amount, commissionAsset: string): void {
    const list = this.listOf(order)
    if (list === undefined || !paysOn(list) || list.orderIds[0] !== order.id) return
    const pending = market.orders.open.get(list.orderIds[1]!)
    if (pending === undefined || !isOpen(pending)) return
    // The commission was taken from the free balance; only what that leaves can be set aside.
    const { base } = market.info
    const isFromReceived = commissionAsset === base
    const { free } = this.#matching.accounts.of(ours, base)
    const isPaidFromFree = !isFromReceived || (base !== "BNB" && free >= received)
    this.#matching.aboutToChange(market, pending)
    this.#matching.funds.hold(pending, isPaidFromFree ? received : received - commission)
    this.#matching.changed(market, pending)
  }

  #placePending(market: Market, list: OrderList): void {
    const pending = this.openOf(market, list).filter(({ status }) => status === "PENDING_NEW")
    if (list.isDone || pending.length === 0) return
    list.isPlaced = true
    list.updateTime = this.#matching.now()
    this.lists.changed(list)
    if (paysOn(list)) this.#fixQuantities(market, pending)
    const held = pending.reduce((sum, order) => sum + order.locked, 0n)
    const refused = pending.find((order) => this.#refuses(market, list, order, held) !== undefined)
    // The rest of the list goes with it.
    if (refused !== undefined) return this.#matching.expire(market, refused, "REJECTED")
    this.#matching.listed(list, "EXEC_STARTED")
    this.#begin(market, pending)
  }

  #refuses(market: Market, list: OrderList, order: Order, held: Amount): RejectReason | "FILTER" | undefined {
    if (paysOn(list)) {
      const average = averageOf(market, this.#matching.now())
      if (order.quantity === 0n || judgeOrder(market.info, order, average) !== undefined) return "FILTER"
    }
    return this.#matching.judge(market, order, held)
  }

  /** What was bought, as far as it makes whole lots; the rest is free again. */
  #fixQuantities(market: Market, pending: ReadonlyArray<Order>): void {
    const bought = pending.reduce((sum, order) => sum + order.locked, 0n)
    for (const order of pending) {
      this.#matching.aboutToChange(market, order)
      order.quantity = wholeLots(market.info.filters, bought, isMarketLike(order.type))
      this.#matching.changed(market, order)
    }
    const [lead, ...others] = pending
    for (const order of others) this.#matching.funds.hand(order, lead!)
    if (lead!.quantity < lead!.locked) this.#matching.funds.holdExactly(lead!, lead!.quantity)
  }

  /** Begins one order, or a pair of which the first holds what the greater needs. */
  #begin(market: Market, orders: ReadonlyArray<Order>): void {
    const { funds } = this.#matching
    const needs = orders.map((order) => needOf(order, market.tape.lastPrice))
    const [lead, ...others] = orders
    for (const order of others) funds.hand(order, lead!)
    funds.holdExactly(lead!, greatest(needs))
    for (const order of orders) {
      if (!isOpen(order)) continue
      order.updateTime = this.#matching.now()
      this.#matching.begin(market, order)
    }
  }

  #closeWhenDone(market: Market, list: OrderList): void {
    if (list.isDone || this.openOf(market, list).length > 0) return
    list.isDone = true
    list.updateTime = this.#matching.now()
    this.lists.changed(list)
    this.#matching.listed(list, "ALL_DONE")
  }
}

const greatest = (values: ReadonlyArray<Amount>): Amount =>
  values.reduce((most, value) => (value > most ? value : most))

/** The greatest quantity up to `wanted` that the lot filters allow; not looking at their minimum. */
const wholeLots = (filters: ReadonlyArray<Filter>, wanted: Amount, isMarket: boolean): Amount => {
  let quantity = wanted
  for (const filter of filters) {
    if (filter.filterType === "LOT_SIZE" || (isMarket && filter.filterType === "MARKET_LOT_SIZE")) {
      quantity = floorTo(min(quantity, filter.maxQty), filter.stepSize)
    }
  }
  return quantity
}
