/** The state machine alone, with a clock that stands where it is put, and orders in few words. */
import { amount, format } from "../../src/simulator/Amount.ts"
import { ours } from "../../src/simulator/Accounts.ts"
import { Exchange } from "../../src/simulator/Exchange.ts"
import type { NewOrder } from "../../src/simulator/OrderRequests.ts"
import { defaultBalances, symbolsOf } from "../../src/simulator/Market.ts"
import type { Market } from "../../src/simulator/Matching.ts"
import { isMarketLike, isOpen, type Order, type PreventionMode, remaining } from "../../src/simulator/Order.ts"
import { isRefusal, type Refusal } from "../../src/simulator/Refusal.ts"

export const startMillis = 1_700_000_000_000

export interface Clock {
  millis: number
}

export const makeExchange = (options: { readonly seed?: number; readonly clock?: Clock } = {}): Exchange => {
  const clock = options.clock ?? { millis: startMillis }
  const exchange = new Exchange({
    symbols: symbolsOf("off"),
    seed: options.seed ?? 7,
    clock: () => clock.millis,
    balances: defaultBalances
  })
  exchange.fund()
  exchange.open()
  return exchange
}

export const marketOf = (exchange: Exchange, symbol = "BTCUSDT"): Market => exchange.matching.market(symbol)!

export interface Words {
  readonly side?: "BUY" | "SELL"
  readonly type?: NewOrder["type"]
  readonly tif?: NewOrder["timeInForce"]
  readonly price?: string
  readonly quantity?: string
  readonly quote?: string
  readonly iceberg?: string
  readonly stop?: string
  /** In basis points. */
  readonly trail?: number
  readonly stp?: PreventionMode
  readonly id?: string
  readonly symbol?: string
}

export const wantedOf = (words: Words): NewOrder => ({
  side: words.side ?? "BUY",
  type: words.type ?? (words.price === undefined ? "MARKET" : "LIMIT"),
  timeInForce: words.tif ?? "GTC",
  price: amount(words.price ?? "0"),
  quantity: amount(words.quantity ?? "0"),
  quoteQuantity: amount(words.quote ?? "0"),
  icebergQuantity: amount(words.iceberg ?? "0"),
  stopPrice: amount(words.stop ?? "0"),
  trailingDelta: words.trail ?? 0,
  preventionMode: words.stp,
  clientOrderId: words.id,
  strategyId: undefined,
  strategyType: undefined
})

export const tryPlace = (exchange: Exchange, words: Words): Order | Refusal =>
  exchange.place(marketOf(exchange, words.symbol), wantedOf(words))

export const place = (exchange: Exchange, words: Words): Order => {
  const order = tryPlace(exchange, words)
  if (isRefusal(order)) throw new Error(`refused: ${order.message}`)
  return order
}

export const balance = (exchange: Exchange, asset: string) => {
  const { free, locked } = exchange.matching.accounts.of(ours, asset)
  return { free: format(free), locked: format(locked) }
}

export const sums = (exchange: Exchange): Record<string, string> =>
  Object.fromEntries([...exchange.matching.accounts.sums()].map(([asset, sum]) => [asset, format(sum)]))

/** What must hold after every step of what is open; the first thing that does not, as a sentence. */
export const wrongNow = (exchange: Exchange): string | undefined => {
  const { accounts, markets } = exchange.matching
  const locked = new Map<string, bigint>()
  for (const { book, info, orders } of markets) {
    const [bid, ask] = [book.best("BUY")?.price, book.best("SELL")?.price]
    if (bid === undefined || ask === undefined) return `${info.symbol} has an empty side`
    if (bid >= ask) return `${info.symbol} is crossed`
    for (const order of orders.open.values()) {
      if (!isOpen(order)) return `order ${order.id} is in the wrong place`
      if (order.locked < 0n || order.prevented < 0n || remaining(order) < 0n) return `order ${order.id} is below zero`
      const asset = order.side === "BUY" ? info.quote : info.base
      locked.set(asset, (locked.get(asset) ?? 0n) + order.locked)
      if (order.listId >= 0 || isMarketLike(order.type)) continue
      const need = order.side === "BUY" ? (order.price * remaining(order)) / 100_000_000n : remaining(order)
      if (need !== order.locked) return `order ${order.id} holds ${order.locked} and needs ${need}`
    }
  }
  for (const { asset, free, locked: held } of accounts.balancesOf(ours)) {
    if (free < 0n) return `${asset} is overdrawn`
    if (held !== (locked.get(asset) ?? 0n)) return `${asset} locks ${held}, orders need ${locked.get(asset) ?? 0n}`
  }
  return undefined
}

/** The same, and what must hold of all that ever was. */
export const wrongWith = (exchange: Exchange): string | undefined => {
  const { markets, trades } = exchange.matching
  for (const { orders } of markets) {
    for (const order of orders.all()) {
      const traded = order.trades.reduce((sum, row) => sum + trades.at(row).quantity, 0n)
      if (traded !== order.executed) return `order ${order.id} executed ${order.executed} but traded ${traded}`
      if (order.status === "FILLED" && remaining(order) !== 0n) return `order ${order.id} is filled but not whole`
      if (isOpen(order) !== orders.open.has(order.id)) return `order ${order.id} is in the wrong place`
      if (!isOpen(order) && order.locked !== 0n) return `order ${order.id} has ended and holds ${order.locked}`
    }
  }
  return wrongNow(exchange)
}
