/**
 * Every order that the exchange ever accepted, as a judge counts them: also those that a reset has taken from the API.
 *
 * A life is the time between two resets; order ids begin again in each. What earlier lives leave behind is text-sized
 * and kept by the journal over restarts.
 */
import { format } from "./Amount.ts"
import type { Market, Matching } from "./Matching.ts"
import type { Order, OrderStatus } from "./Order.ts"

export interface LedgerTrade {
  readonly id: number
  readonly price: string
  readonly qty: string
  readonly time: number
  readonly isMaker: boolean
}

/** One order as a judge sees it. */
export interface LedgerOrder {
  /** How many resets came before it. */
  readonly life: number
  readonly symbol: string
  readonly orderId: number
  readonly clientOrderId: string
  /** Under which it went before it was amended, oldest first. */
  readonly formerClientOrderIds: ReadonlyArray<string>
  readonly side: string
  readonly type: string
  readonly timeInForce: string
  readonly status: OrderStatus
  readonly price: string
  readonly origQty: string
  readonly executedQty: string
  /** When the engine took it, on the exchange's clock. */
  readonly acceptedAt: number
  /** When it last changed; once it has ended, when it did. */
  readonly updatedAt: number
  readonly trades: ReadonlyArray<LedgerTrade>
}

export const ordersOf = ({ markets, trades }: Matching, life: number): ReadonlyArray<LedgerOrder> =>
  markets.flatMap((market) =>
    [...market.orders.all()].map((order) => ({
      life,
      symbol: market.info.symbol,
      orderId: order.id,
      clientOrderId: order.clientOrderId,
      formerClientOrderIds: order.amendments === 0 ? [] : formerIds(market, order),
      side: order.side,
      type: order.type,
      timeInForce: order.timeInForce,
      status: order.status,
      price: format(order.price),
      origQty: format(order.quantity),
      executedQty: format(order.executed),
      acceptedAt: order.time,
      updatedAt: order.updateTime,
      trades: order.trades.map((row) => {
        const { id, isMaker, price, quantity, time } = trades.at(row)
        return { id, price: format(price), qty: format(quantity), time, isMaker }
      })
    }))
  )

const formerIds = ({ amendments }: Market, { clientOrderId, id }: Order): ReadonlyArray<string> => {
  const ids = new Set(amendments.of(id, 0, Infinity).map(({ formerClientId }) => formerClientId))
  ids.delete(clientOrderId)
  return Array.from(ids)
}

/** What earlier lives have left. */
export class Ledger {
  #life = 0
  #past: Array<LedgerOrder> = []

  /** Takes the orders of a life that a reset ends. */
  end(matching: Matching): void {
    this.#past.push(...ordersOf(matching, this.#life))
    this.#life++
  }

  /** From the journal. */
  restore(life: number, past: ReadonlyArray<LedgerOrder>): void {
    this.#life = life
    this.#past.push(...past)
  }

  get life(): number {
    return this.#life
  }

  get past(): ReadonlyArray<LedgerOrder> {
    return this.#past
  }

  /** Every order, oldest first per life and symbol. */
  all(matching: Matching): ReadonlyArray<LedgerOrder> {
    return [...this.#past, ...ordersOf(matching, this.#life)]
  }
}
