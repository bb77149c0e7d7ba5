/** Which markets a public request is about: one, a list, or all, and of them those with the wanted status. */
import type { Desk, Run } from "./Endpoint.ts"
import type { SymbolStatus } from "./Market.ts"
import { duplicateSymbols, invalidSymbolStatus, otherStatus } from "./marketRefusals.ts"
import type { Market } from "./Matching.ts"
import type { Parameters } from "./Parameters.ts"
import {
  badCombination,
  illegalCharacters,
  invalidSymbol,
  invalidValue,
  isRefusal,
  mandatoryEither,
  type Refusal
} from "./Refusal.ts"

/** What has no answer for all symbols takes a list of this many at most. */
const mostSymbols = 100
/** What the exchange calls the form of a list: without blanks, and without small letters. */
const listForm = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
// As with single symbols, the testnet has one outside ASCII.
const list = /^\[("[A-Z0-9\-_.\u0080-\uffff]{1,20}"(,"[A-Z0-9\-_.\u0080-\uffff]{1,20}")*)?\]$/
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
export const someMarkets = (p: Parameters, run: Several): Run => select(p, run, {})

/** The same where no two of the three may stand together. */
export const marketsByOne = (p: Parameters, run: Several): Run => select(p, run, { isByOne: true })

/** The same where a symbol or a list of them must be sent. */
export const namedMarkets = (p: Parameters, run: Several): Run =>
  select(p, run, { withoutNames: mandatoryEither("symbol", "symbols") })

interface Rules {
  readonly withoutNames?: Refusal
  readonly isByOne?: boolean
}

const select = (p: Parameters, run: Several, { isByOne = false, withoutNames }: Rules): Run => {
  const symbol = p.symbolIfSent()
  const names = p.text("symbols")
  const status = p.text("symbolStatus")
  return (desk) => {
    const hasNames = symbol !== undefined || names !== undefined
    if ((symbol !== undefined && names !== undefined) || (isByOne && hasNames && status !== undefined)) {
      return badCombination
    }
    if (!isStatus(status)) return invalidSymbolStatus
    const all = desk.exchange.matching.markets
    if (!hasNames) {
      return withoutNames ?? run(desk, all.filter(hasStatus(status)), false)
    }
    const markets = symbol === undefined ? listed(desk, names ?? "") : listed(desk, `["${symbol}"]`)
    if (isRefusal(markets)) return markets
    if (symbol === undefined) return run(desk, markets.filter(hasStatus(status)), false)
    const [market] = markets
    return market === undefined ? invalidSymbol : (faultOfStatus(market, status) ?? run(desk, [market], true))
  }
}

/** The markets of a list as JSON text. */
export const listed = (desk: Desk, text: string): ReadonlyArray<Market> | Refusal => {
  if (!list.test(text)) return illegalCharacters("symbols", listForm)
  const names = namesIn(text)
  if (names === undefined || names.length > mostSymbols) return invalidValue("symbols")
  if (new Set(names).size < names.length) return duplicateSymbols
  const markets = names.map((name) => desk.exchange.matching.market(name)).filter((market) => market !== undefined)
  return markets.length < names.length ? invalidSymbol : markets
}

/** The texts of a JSON array that holds nothing but texts, and at least one. */
export const namesIn = (text: string): ReadonlyArray<string> | undefined =>
  /^\["[^"]+"(,\s*"[^"]+")*\]$/.test(text) ? text.slice(2, -2).split(/",\s*"/) : undefined

export const isStatus = (status: string | undefined): boolean => status === undefined || statuses.includes(status)

export const hasStatus =
  (status: string | undefined) =>
  ({ info }: Market): boolean =>
    status === undefined || info.status === status

export const faultOfStatus = (market: Market, status: string | undefined): Refusal | undefined => {
  if (status === undefined || hasStatus(status)(market)) return undefined
  return isStatus(status) ? otherStatus : invalidSymbolStatus
}

/** How many symbols a request names; 0 when it names none. */
export const namedSymbols = (params: ReadonlyMap<string, string>): number =>
  params.has("symbol") ? 1 : (namesIn(params.get("symbols") ?? "")?.length ?? 0)
