/** Which markets a public request is about: one, a list, or all, and of them those with the wanted status. */
import type { Desk, Run } from "./Endpoint.ts"
import type { SymbolStatus } from "./Market.ts"
import { duplicateSymbols, invalidSymbolStatus, otherStatus } from "./marketRefusals.ts"
import type { Market } from "./Matching.ts"
import type { Parameters } from "./Parameters.ts"
import { badCombination, invalidSymbol, invalidValue, isRefusal, mandatoryEither, type Refusal } from "./Refusal.ts"

/** What has no answer for all symbols takes a list of this many at most. */
const mostSymbols = 100
const statuses: ReadonlyArray<string> = ["TRADING", "HALT", "BREAK"] satisfies ReadonlyArray<SymbolStatus>

/** Reads `symbol` and `symbolStatus`; a market of another status is refused. */
export const oneMarket = (p: Parameters, run: (desk: Desk, market: Market) => unknown): Run => {
  const symbol = p.symbol()
  const status = p.text("symbolStatus")
  return (desk) => {
    const market = desk.exchange.matching.market(symbol)
    if (market === undefined) return invalidSymbol
    return faultOfStatus(market, status) ?? run(desk, market)
  }
}

type Several = (desk: Desk, markets: ReadonlyArray<Market>, isOne: boolean) => unknown

/** Reads `symbol`, `symbols` and `symbolStatus`; without the first two it is about all symbols. */
export const someMarkets = (p: Parameters, run: Several): Run => select(p, run, undefined)

/** The same where a symbol or a list of them must be sent. */
export const namedMarkets = (p: Parameters, run: Several): Run => select(p, run, mandatoryEither("symbol", "symbols"))

const select = (p: Parameters, run: Several, withoutNames: Refusal | undefined): Run => {
  const symbol = p.symbolIfSent()
  const list = p.text("symbols")
  const status = p.text("symbolStatus")
  return (desk) => {
    if (symbol !== undefined && list !== undefined) return badCombination
    if (status !== undefined && !statuses.includes(status)) return invalidSymbolStatus
    const all = desk.exchange.matching.markets
    if (symbol === undefined && list === undefined) {
      return withoutNames ?? run(desk, all.filter(hasStatus(status)), false)
    }
    const markets = symbol === undefined ? listed(desk, list ?? "") : listed(desk, `["${symbol}"]`)
    if (isRefusal(markets)) return markets
    if (symbol === undefined) return run(desk, markets.filter(hasStatus(status)), false)
    const [market] = markets
    return market === undefined ? invalidSymbol : (faultOfStatus(market, status) ?? run(desk, [market], true))
  }
}

/** The markets of a list as JSON text. */
export const listed = (desk: Desk, list: string): ReadonlyArray<Market> | Refusal => {
  const names = namesIn(list)
  if (names === undefined || names.length > mostSymbols) return invalidValue("symbols")
  if (new Set(names).size < names.length) return duplicateSymbols
  const markets = names.map((name) => desk.exchange.matching.market(name)).filter((market) => market !== undefined)
  return markets.length < names.length ? invalidSymbol : markets
}

/** The texts of a JSON array that holds nothing but texts, and at least one. */
export const namesIn = (list: string): ReadonlyArray<string> | undefined =>
  /^\["[^"]+"(,\s*"[^"]+")*\]$/.test(list) ? list.slice(2, -2).split(/",\s*"/) : undefined

export const hasStatus =
  (status: string | undefined) =>
  ({ info }: Market): boolean =>
    status === undefined || info.status === status

export const faultOfStatus = (market: Market, status: string | undefined): Refusal | undefined => {
  if (status === undefined || hasStatus(status)(market)) return undefined
  return statuses.includes(status) ? otherStatus : invalidSymbolStatus
}

/** How many symbols a request names; 0 when it names none. */
export const namedSymbols = (params: ReadonlyMap<string, string>): number =>
  params.has("symbol") ? 1 : (namesIn(params.get("symbols") ?? "")?.length ?? 0)
