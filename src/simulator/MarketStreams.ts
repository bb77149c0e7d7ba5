/**
 * The public streams: who listens to which, and what they are told.
 *
 * A stream that nobody listens to costs one look into an array. An event is written down while it happens, and told
 * when the command that caused it is safe; that is News's part.
 */
import { format } from "./Amount.ts"
import type { Market } from "./Matching.ts"
import { type PeriodicStream, periodicStream } from "./periodicStreams.ts"
import { aggregateEvent, tradeEvent } from "./streamEvents.ts"
import { type StreamKind, streamOf } from "./streamNames.ts"
import type { PublicTrade } from "./Tape.ts"
import { eventInMicros } from "./timeUnit.ts"

export interface StreamListener {
  readonly inMicros: boolean
  readonly tell: (stream: string, event: string) => void
}

interface Channel {
  readonly name: string
  readonly listeners: Set<StreamListener>
  readonly periodic: PeriodicStream | undefined
}

type RealTime = "trade" | "aggTrade" | "bookTicker"

const isRealTime = (wanted: StreamKind): wanted is StreamKind & { readonly kind: RealTime } =>
  wanted.kind === "trade" || wanted.kind === "aggTrade" || wanted.kind === "bookTicker"

export class MarketStreams {
  readonly #markets: ReadonlyArray<Market>
  readonly #now: () => number
  readonly #publish: (deliver: () => void) => void
  readonly #channels = new Map<string, Channel>()
  /** By place of the market. */
  readonly #realTime: Readonly<Record<RealTime, Array<Channel | undefined>>>
  readonly #quotes: Array<string | undefined> = []
  /** Per market, the first aggregate that nobody was told of. */
  readonly #nextAggregate: Array<number> = []
  #beats = 0
  #periodicCount = 0

  constructor(markets: ReadonlyArray<Market>, now: () => number, publish: (deliver: () => void) => void) {
    this.#markets = markets
    this.#now = now
    this.#publish = publish
    const none = () => markets.map(() => undefined)
    this.#realTime = { trade: none(), aggTrade: none(), bookTicker: none() }
  }

  /** Returns how to end it. A name that is no stream is heard like one that never speaks, as on the exchange. */
  subscribe(name: string, listener: StreamListener): () => void {
    const channel = this.#channels.get(name) ?? this.#open(name)
    channel.listeners.add(listener)
    return () => {
      channel.listeners.delete(listener)
      if (channel.listeners.size === 0) this.#close(channel)
    }
  }

  traded(market: Market, trade: PublicTrade): void {
    const channel = this.#realTime.trade[market.index]
    if (channel !== undefined) this.#tell(channel, tradeEvent(market, trade, this.#now()))
  }

  /** A command is over: its aggregates are complete and its quotes stand. */
  quoted(market: Market): void {
    const aggregates = this.#realTime.aggTrade[market.index]
    if (aggregates !== undefined) this.#tellAggregates(market, aggregates)
    const quotes = this.#realTime.bookTicker[market.index]
    if (quotes !== undefined) this.#tellQuote(market, quotes)
  }

  /** One beat of the streams that have a pace. */
  beat(): void {
    this.#beats++
    if (this.#periodicCount === 0) return
    const now = this.#now()
    for (const channel of this.#channels.values()) {
      const { periodic } = channel
      if (periodic === undefined || this.#beats % periodic.every !== 0) continue
      for (const event of periodic.news(now)) this.#tell(channel, event)
    }
  }

  #open(name: string): Channel {
    const wanted = streamOf(name, (symbol) => this.#markets.find(({ info }) => info.symbol === symbol))
    const periodic = wanted === undefined ? undefined : periodicStream(wanted, this.#markets, this.#now())
    const channel: Channel = { name, listeners: new Set(), periodic }
    this.#channels.set(name, channel)
    if (periodic !== undefined) this.#periodicCount++
    if (wanted !== undefined && isRealTime(wanted)) {
      const { kind, market } = wanted
      this.#realTime[kind][market.index] = channel
      if (kind === "aggTrade") this.#nextAggregate[market.index] = market.tape.aggregates.nextId
      if (kind === "bookTicker") this.#quotes[market.index] = undefined
    }
    return channel
  }

  #close(channel: Channel): void {
    if (!this.#channels.delete(channel.name)) return
    if (channel.periodic !== undefined) this.#periodicCount--
    channel.periodic?.end?.()
    for (const channels of Object.values(this.#realTime)) {
      const at = channels.indexOf(channel)
      if (at >= 0) channels[at] = undefined
    }
  }

  #tellAggregates(market: Market, channel: Channel): void {
    const { aggregates } = market.tape
    const from = this.#nextAggregate[market.index] ?? 0
    // Where the count began anew, all of it is news.
    for (const row of aggregates.from(from <= aggregates.nextId ? from : 0, Number.POSITIVE_INFINITY)) {
      this.#tell(channel, aggregateEvent(market, row, this.#now()))
    }
    this.#nextAggregate[market.index] = aggregates.nextId
  }

  #tellQuote(market: Market, channel: Channel): void {
    const { book, info } = market
    const [bidPrice, bidQuantity] = book.depth("BUY", 1)[0] ?? nothing
    const [askPrice, askQuantity] = book.depth("SELL", 1)[0] ?? nothing
    const quote = `${bidPrice} ${bidQuantity} ${askPrice} ${askQuantity}`
    if (this.#quotes[market.index] === quote) return
    this.#quotes[market.index] = quote
    const u = book.updateId
    const shown = { b: format(bidPrice), B: format(bidQuantity), a: format(askPrice), A: format(askQuantity) }
    this.#tell(channel, { u, s: info.symbol, ...shown })
  }

  #tell({ listeners, name }: Channel, event: unknown): void {
    const text = JSON.stringify(event)
    this.#publish(() => {
      for (const { tell, inMicros } of listeners) tell(name, inMicros ? eventInMicros(text) : text)
    })
  }
}

const nothing = [0n, 0n] as const
