/**
 * Settles one side of a trade: what it pays, what it receives, and the commission of the account under test.
 *
 * Nothing is made or burnt: what one account gives another one gets, and the commission goes to the fees.
 */
import { fees, ours } from "./Accounts.ts"
import { type Amount, one as oneUnit, times } from "./Amount.ts"
import { commissionInBnb, commissionOn, discountAsset } from "./Commission.ts"
import type { Market, Matching } from "./Matching.ts"
import { isMarketLike, type Order, type Side } from "./Order.ts"

export interface Deal {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly quote: Amount
  readonly time: number
  readonly isMaker: boolean
}

/** What a trade cost. */
export interface Charge {
  readonly commission: Amount
  readonly commissionAsset: string
}

export class Settlement {
  readonly #matching: Matching

  constructor(matching: Matching) {
    this.#matching = matching
  }

  /** What the account under test paid for it; undefined for the others, who pay nothing. */
  settle(market: Market, order: Order, deal: Deal): Charge | undefined {
    const { accounts, funds } = this.#matching
    const { account } = order
    const isBuyer = order.side === "BUY"
    const { base, quote } = market.info
    const paid = isBuyer ? deal.quote : deal.quantity
    if (isMarketLike(order.type)) accounts.give(account, isBuyer ? quote : base, -paid)
    // An order of a fixed price reckoned with that; a better price leaves a rest that is free again.
    else funds.pay(order, isBuyer ? times(order.price, deal.quantity) : paid, paid)
    if (order.status === "FILLED" && order.locked > 0n) funds.release(order)
    const received = isBuyer ? deal.quantity : deal.quote
    const receivedAsset = isBuyer ? base : quote
    accounts.give(account, receivedAsset, received)
    if (account !== ours) return undefined
    const { commission, commissionAsset } = this.#charge(market, order, deal, received, receivedAsset)
    order.trades.push(
      this.#matching.trades.add({
        ...deal,
        orderId: order.id,
        symbol: market.index,
        commission,
        isInBnb: commissionAsset === discountAsset && receivedAsset !== discountAsset,
        isBuyer
      })
    )
    return { commission, commissionAsset }
  }

  /** Takes the commission from the account and gives it to the fees. */
  #charge(market: Market, order: Order, deal: Deal, received: Amount, receivedAsset: string): Charge {
    const { accounts, commissions, funds } = this.#matching
    const { side } = order
    let commission = commissionOn(commissions, received, side, deal.isMaker)
    let commissionAsset = receivedAsset
    // What an order at any price still has to pay stands in the free balance, and is not for its own commission.
    const spendsBnb = isMarketLike(order.type) && funds.assetOf(order) === discountAsset
    if (commissions.paysInBnb && !spendsBnb) {
      const inBnb = this.#inBnb(market, deal, received, receivedAsset, side)
      if (inBnb !== undefined && inBnb <= accounts.of(ours, discountAsset).free) {
        commission = inBnb
        commissionAsset = discountAsset
      }
    }
    accounts.give(ours, commissionAsset, -commission)
    accounts.give(fees, commissionAsset, commission)
    return { commission, commissionAsset }
  }

  /** Undefined when nothing says what BNB is worth. */
  #inBnb(market: Market, deal: Deal, received: Amount, receivedAsset: string, side: Side): Amount | undefined {
    if (receivedAsset === discountAsset) {
      return commissionInBnb(this.#matching.commissions, received, oneUnit, side, deal.isMaker)
    }
    const { quote } = market.info
    if (quote === discountAsset)
      return commissionInBnb(this.#matching.commissions, deal.quote, oneUnit, side, deal.isMaker)
    const price = this.#matching.market(discountAsset + quote)?.tape.lastPrice
    return price === undefined
      ? undefined
      : commissionInBnb(this.#matching.commissions, deal.quote, price, side, deal.isMaker)
  }
}
