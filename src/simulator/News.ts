/**
 * What the exchange says unasked: the user data stream and the public market streams.
 *
 * Events are written down as text while they happen, for the order goes on to change, and delivered together when the
 * command that caused them is safe. Nobody subscribed, nothing written.
 */
import type { Balance } from "./Accounts.ts"
import { format } from "./Amount.ts"
import { quantityAt } from "./Book.ts"
import type { EventFaults, UserEvent } from "./EventFaults.ts"
import type { Execution, Market } from "./Matching.ts"
import type { Order } from "./Order.ts"
import type { PublicTrade } from "./Tape.ts"
import { accountPosition, executionReport, tradeEvent } from "./views.ts"

interface Item {
  /** The market stream, or what the event of the user data stream is. */
  readonly on: string | UserEvent
  readonly text: string
}

export class News {
  readonly #now: () => number
  readonly #faults: EventFaults
  /** Wraps an event for one user data subscription. */
  readonly #users = new Set<(event: string) => void>()
  readonly #streams = new Map<string, Set<(stream: string, event: string) => void>>()
  readonly #quotes = new Map<string, string>()
  #pending: Array<Item> = []

  constructor(now: () => number, faults: EventFaults) {
    this.#now = now
    this.#faults = faults
  }

  subscribeUser(tell: (event: string) => void): () => void {
    this.#users.add(tell)
    return () => this.#users.delete(tell)
  }

  subscribeStream(stream: string, tell: (stream: string, event: string) => void): () => void {
    let subscribers = this.#streams.get(stream)
    if (subscribers === undefined) this.#streams.set(stream, (subscribers = new Set()))
    subscribers.add(tell)
    return () => {
      subscribers.delete(tell)
      if (subscribers.size === 0) this.#streams.delete(stream)
    }
  }

  executed(order: Order, execution: Execution): void {
    if (this.#users.size === 0) return
    const ids = [order.clientOrderId, ...(execution.cancelId === undefined ? [] : [execution.cancelId])]
    this.#pending.push({
      on: { event: "executionReport", execution: execution.type, ids },
      text: JSON.stringify(executionReport(order, execution, this.#now()))
    })
  }

  positions(balances: ReadonlyArray<Balance>, time: number): void {
    if (this.#users.size === 0) return
    this.#pending.push({
      on: { event: "outboundAccountPosition", execution: undefined, ids: [] },
      text: JSON.stringify(accountPosition(balances, time, this.#now()))
    })
  }

  traded(market: Market, trade: PublicTrade): void {
    const stream = `${market.info.symbol.toLowerCase()}@trade`
    if (!this.#streams.has(stream)) return
    this.#pending.push({ on: stream, text: JSON.stringify(tradeEvent(market.info.symbol, trade, this.#now())) })
  }

  quoted(market: Market): void {
    const stream = `${market.info.symbol.toLowerCase()}@bookTicker`
    if (!this.#streams.has(stream)) return
    const [bid, ask] = [market.book.best("BUY"), market.book.best("SELL")]
    const quote = {
      s: market.info.symbol,
      b: format(bid?.price ?? 0n),
      B: format(bid === undefined ? 0n : quantityAt(bid)),
      a: format(ask?.price ?? 0n),
      A: format(ask === undefined ? 0n : quantityAt(ask))
    }
    const shown = JSON.stringify(quote)
    if (this.#quotes.get(stream) === shown) return
    this.#quotes.set(stream, shown)
    this.#pending.push({ on: stream, text: JSON.stringify({ u: market.book.updateId, ...quote }) })
  }

  take(): ReadonlyArray<Item> {
    const taken = this.#pending
    if (taken.length > 0) this.#pending = []
    return taken
  }

  deliver(items: ReadonlyArray<Item>): void {
    for (const { on, text } of items) {
      if (typeof on === "string") for (const tell of this.#streams.get(on) ?? []) tell(on, text)
      else this.#faults.pass(on, () => this.#tellUsers(text))
    }
  }

  #tellUsers(text: string): void {
    for (const tell of this.#users) tell(text)
  }
}
