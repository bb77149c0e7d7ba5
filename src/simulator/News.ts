/**
 * What the exchange says unasked: the user data stream and the public market streams.
 *
 * Events are written down as text while they happen, for the order goes on to change, and delivered together when the
 * command that caused them is safe. Nobody subscribed, nothing written.
 */
import type { Balance } from "./Accounts.ts"
import type { EventFaults, UserEvent } from "./EventFaults.ts"
import { MarketStreams } from "./MarketStreams.ts"
import type { Execution } from "./Execution.ts"
import type { Market } from "./Matching.ts"
import type { Order } from "./Order.ts"
import type { ListStatusType, OrderList } from "./OrderList.ts"
import { accountPosition, executionReport, listStatus } from "./userEvents.ts"

/** Delivers one event. */
type Item = () => void

export class News {
  readonly markets: MarketStreams
  readonly #now: () => number
  readonly #faults: EventFaults
  /** Wraps an event for one user data subscription. */
  readonly #users = new Set<(event: string) => void>()
  #pending: Array<Item> = []

  constructor(now: () => number, faults: EventFaults, markets: ReadonlyArray<Market>) {
    this.#now = now
    this.#faults = faults
    this.markets = new MarketStreams(markets, now, (deliver) => this.#pending.push(deliver))
  }

  subscribeUser(tell: (event: string) => void): () => void {
    this.#users.add(tell)
    return () => this.#users.delete(tell)
  }

  executed(order: Order, execution: Execution): void {
    if (this.#users.size === 0) return
    const ids = [order.clientOrderId, ...(execution.cancelId === undefined ? [] : [execution.cancelId])]
    this.#tellUsers(
      { event: "executionReport", execution: execution.type, ids },
      executionReport(order, execution, this.#now())
    )
  }

  listed(list: OrderList, market: Market, type: ListStatusType): void {
    if (this.#users.size === 0) return
    const event = listStatus(list, market.info.symbol, type, this.#now())
    this.#tellUsers({ event: "listStatus", execution: undefined, ids: [] }, event)
  }

  positions(balances: ReadonlyArray<Balance>, time: number): void {
    if (this.#users.size === 0) return
    this.#tellUsers(
      { event: "outboundAccountPosition", execution: undefined, ids: [] },
      accountPosition(balances, time, this.#now())
    )
  }

  take(): ReadonlyArray<Item> {
    const taken = this.#pending
    if (taken.length > 0) this.#pending = []
    return taken
  }

  deliver(items: ReadonlyArray<Item>): void {
    for (const deliver of items) deliver()
  }

  #tellUsers(on: UserEvent, event: unknown): void {
    const text = JSON.stringify(event)
    this.#pending.push(() =>
      this.#faults.pass(on, () => {
        for (const tell of this.#users) tell(text)
      })
    )
  }
}
