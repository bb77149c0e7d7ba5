/**
 * A small exchange that always tells the truth, for properties over the life of one order.
 *
 * It holds at most one order (a packet that was refused or lost never becomes one), executes it in pieces,
 * and remembers every state that it ever showed: news of any of them, with any of its trades, may be delivered
 * late, twice and out of order. Mutable, owned by one run of one sequence.
 */
import type { ExchangeReport } from "../../src/domain/Command.ts"
import type { Decimal } from "../../src/domain/Decimal.ts"
import { decimal, divide, equals, isGreater, multiply, subtract, sum, zero } from "../../src/domain/Decimal.ts"
import type { Fill, OrderRequest, Source } from "../../src/domain/Event.ts"
import { now } from "./story.ts"

interface Snapshot {
  readonly exchangeStatus: string
  readonly expiryReason: string
  readonly trades: ReadonlyArray<Fill>
}

/** What became of the packet of an attempt: only a flying one can still arrive. */
export type Packet = "none" | "flying" | "arrived" | "dead"

const ends = new Set(["FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"])
const sources: ReadonlyArray<Source> = ["answer", "query", "stream"]
const price = decimal("100.5")

/** What a quote quantity buys at the one price of this exchange. */
const quantityOf = (request: OrderRequest): Decimal =>
  request.quantity ?? divide(request.quoteQuantity ?? zero, price, 8)

export class TruthfulExchange {
  packet: Packet = "none"
  readonly #history: Array<Snapshot> = []
  #quantity: Decimal = zero

  get #latest(): Snapshot | undefined {
    return this.#history.at(-1)
  }

  get knowsOrder(): boolean {
    return this.#history.length > 0
  }

  get isResting(): boolean {
    return this.#latest !== undefined && !ends.has(this.#latest.exchangeStatus)
  }

  get tradeIds(): ReadonlyArray<string> {
    return this.#latest?.trades.map(({ tradeId }) => tradeId) ?? []
  }

  send(): void {
    // A new attempt is made only when the earlier one is settled; a packet that arrived stays the exchange's.
    if (this.packet !== "arrived") this.packet = "flying"
  }

  /** The packet can never arrive any more: refused, or its window has passed. */
  drop(): void {
    if (this.packet === "flying") this.packet = "dead"
  }

  arrive(request: OrderRequest): void {
    if (this.packet !== "flying") return
    this.packet = "arrived"
    this.#quantity = quantityOf(request)
    this.#history.push({ exchangeStatus: "NEW", expiryReason: "NONE", trades: [] })
  }

  /** Executes a piece, a half of what is open, or all of it. */
  match(all: boolean): void {
    const latest = this.#latest
    if (latest === undefined || !this.isResting) return
    const open = subtract(this.#quantity, sum(latest.trades.map((one) => one.quantity)))
    const half = divide(open, decimal("2"), 8)
    const quantity = all || !isGreater(half, zero) || latest.trades.length >= 6 ? open : half
    const index = latest.trades.length + 1
    const trade = {
      tradeId: `${index}`,
      price,
      quantity,
      fee: multiply(quantity, decimal("0.001")),
      feeAsset: index % 2 === 0 ? "BNB" : "BTC",
      at: now + index
    }
    this.#history.push({
      exchangeStatus: equals(open, quantity) ? "FILLED" : "PARTIALLY_FILLED",
      expiryReason: "NONE",
      trades: [...latest.trades, trade]
    })
  }

  end(exchangeStatus: "CANCELED" | "EXPIRED" | "EXPIRED_IN_MATCH", expiryReason: string): void {
    const latest = this.#latest
    if (latest !== undefined && this.isResting) this.#history.push({ ...latest, exchangeStatus, expiryReason })
  }

  /** All there is to know now. */
  query(): ExchangeReport {
    return this.#report(this.#history.length - 1, (trades) => trades, "query")
  }

  /** Any state that was ever shown, with none, the last, all, or all of its trades twice and backwards. */
  rumour(pick: number): ExchangeReport {
    const index = pick % this.#history.length
    const told = [
      () => [],
      (trades: ReadonlyArray<Fill>) => trades.slice(-1),
      (trades: ReadonlyArray<Fill>) => trades,
      (trades: ReadonlyArray<Fill>) => [...trades, ...trades].toReversed()
    ][Math.trunc(pick / 7) % 4]!
    return this.#report(index, told, sources[pick % 3]!)
  }

  #report(index: number, told: (trades: ReadonlyArray<Fill>) => ReadonlyArray<Fill>, source: Source): ExchangeReport {
    const { exchangeStatus, expiryReason, trades } = this.#history[index]!
    return {
      exchangeOrderId: "42",
      exchangeStatus,
      expiryReason,
      executedQuantity: sum(trades.map((one) => one.quantity)),
      executedQuote: sum(trades.map((one) => multiply(one.price, one.quantity))),
      transactTime: now + index,
      fills: told(trades),
      source
    }
  }
}
