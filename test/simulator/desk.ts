/**
 * The state machine behind its requests, without sockets: what a request answers, and the events it causes.
 *
 * The market stands still but for what a test does: prices are set by trades between the counterparties.
 */
import { amount } from "../../src/simulator/Amount.ts"
import { Exchange, type ExchangeOptions } from "../../src/simulator/Exchange.ts"
import { defaultBalances, type Filter, type SymbolInfo, symbolsOf } from "../../src/simulator/Market.ts"
import type { Market } from "../../src/simulator/Matching.ts"
import { orderEndpoints } from "../../src/simulator/orderEndpoints.ts"
import { Parameters } from "../../src/simulator/Parameters.ts"
import { type LimitTable, RateLimits } from "../../src/simulator/RateLimits.ts"
import { isRefusal } from "../../src/simulator/Refusal.ts"
import { accountPosition, executionReport, listStatus } from "../../src/simulator/userEvents.ts"
import { type Clock, startMillis } from "./exchangeForTests.ts"

// oxlint-disable-next-line typescript/no-explicit-any
type Json = any

export type Sent = Readonly<Record<string, string | number>>

export interface Answered {
  readonly status: number
  /** The answer, or code, message and data of the error. */
  readonly json: Json
}

export interface TestDesk {
  readonly exchange: Exchange
  readonly market: Market
  readonly clock: Clock
  readonly limits: RateLimits
  readonly events: Array<Json>
  readonly ask: (request: string, sent: Sent) => Answered
  /** Answers that must not be refusals. */
  readonly did: (request: string, sent: Sent) => Json
  /** Trades at these prices, one after the other. */
  readonly trade: (...prices: ReadonlyArray<string>) => void
  /** The events since the last call, in few words. */
  readonly heard: () => ReadonlyArray<string>
}

export interface DeskOptions extends Partial<Omit<ExchangeOptions, "symbols" | "clock">> {
  readonly limitTable?: Partial<LimitTable>
  /** Changes the symbols: other filters, other modes. */
  readonly symbols?: (info: SymbolInfo) => SymbolInfo
}

const byName = new Map(orderEndpoints.map((endpoint) => [endpoint.rest, endpoint]))

export const openDesk = (options: DeskOptions = {}): TestDesk => {
  const { limitTable, symbols: change = (info) => info, ...rest } = options
  const clock = { millis: startMillis }
  const exchange = new Exchange({
    seed: 7,
    balances: defaultBalances,
    ...rest,
    symbols: symbolsOf("off").map(change),
    clock: () => clock.millis
  })
  exchange.fund()
  exchange.open()
  const limits = new RateLimits(limitTable === undefined ? "off" : "real", limitTable)
  const events: Array<Json> = []
  exchange.listen({
    executed: (order, execution) => events.push(executionReport(order, execution, clock.millis)),
    listed: (list, market, type) => events.push(listStatus(list, market.info.symbol, type, clock.millis)),
    positions: (balances, time) => events.push(accountPosition(balances, time, clock.millis)),
    counted: (orders) => {
      for (let n = 0; n < orders; n++) limits.addOrder(clock.millis)
    },
    traded: () => {},
    quoted: () => {}
  })
  const desk = { exchange, limits, accountUid: 1, now: () => clock.millis }
  const market = exchange.matching.market("BTCUSDT")!

  const ask = (request: string, sent: Sent): Answered => {
    const endpoint = byName.get(request)
    if (endpoint === undefined) throw new Error(`no such request: ${request}`)
    const p = new Parameters(new Map(Object.entries(sent).map(([name, value]) => [name, String(value)])))
    const run = endpoint.read(p)
    const value = p.fault() ?? p.unread() ?? run(desk, { fillsFirst: undefined })
    // What a client would see, and nothing that changes later.
    if (!isRefusal(value)) return { status: 200, json: JSON.parse(JSON.stringify(value)) }
    const { code, data, message, status } = value
    return { status, json: JSON.parse(JSON.stringify({ code, msg: message, ...(data === undefined ? {} : { data }) })) }
  }

  let told = 0
  return {
    exchange,
    market,
    clock,
    limits,
    events,
    ask,
    did: (request, sent) => {
      const { json, status } = ask(request, sent)
      if (status !== 200) throw new Error(`${request} was refused: ${json.code} ${json.msg}`)
      return json
    },
    trade: (...prices) => {
      for (const price of prices) exchange.moveMarket(market, amount(price))
    },
    heard: () => {
      const news = events.slice(told)
      told = events.length
      return news.map(inWords)
    }
  }
}

const inWords = (event: Json): string => {
  if (event.e === "outboundAccountPosition") return "position"
  if (event.e === "listStatus") return `list ${event.g} ${event.l} ${event.L}`
  const reason = event.eR === undefined ? "" : ` ${event.eR}`
  return `${event.i} ${event.x} ${event.X}${reason}`
}

export const place = "POST /api/v3/order"
export const query = "GET /api/v3/order"

export const limitOrder = (side: "BUY" | "SELL", price: string, quantity: string, more: Sent = {}): Sent => ({
  symbol: "BTCUSDT",
  side,
  type: "LIMIT",
  timeInForce: "GTC",
  price,
  quantity,
  ...more
})

/** The same symbol, judged by these filters alone. */
export const withFilters =
  (...filters: ReadonlyArray<Filter>) =>
  (info: SymbolInfo): SymbolInfo => ({ ...info, filters })
