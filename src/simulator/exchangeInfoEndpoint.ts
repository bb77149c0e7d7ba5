/** `exchangeInfo`: the rules of the exchange, for all symbols or for those that are asked for by one thing. */
import { always, type Desk, type Endpoint } from "./Endpoint.ts"
import { invalidSymbolStatus } from "./marketRefusals.ts"
import { hasStatus, isStatus, listed, namesIn } from "./marketSelection.ts"
import type { Market } from "./Matching.ts"
import { badCombination, invalidSymbol, isRefusal, type Refusal } from "./Refusal.ts"
import { filterView, symbolView } from "./symbolViews.ts"

/** What every symbol here permits. */
const permission = "SPOT"

export const exchangeInfo: Endpoint = {
  rest: "GET /api/v3/exchangeInfo",
  webSocket: "exchangeInfo",
  isSigned: false,
  weight: always(20),
  read: (p) => {
    const withSets = p.text("showPermissionSets") !== "false"
    const wanted: Wanted = {
      symbol: p.symbolIfSent(),
      symbols: p.text("symbols"),
      permissions: p.text("permissions"),
      symbolStatus: p.text("symbolStatus")
    }
    return (desk) => {
      const markets = marketsOf(desk, wanted)
      if (isRefusal(markets)) return markets
      return {
        timezone: "UTC",
        serverTime: desk.now(),
        rateLimits: desk.limits.published(),
        exchangeFilters: desk.exchange.exchangeFilters.map(filterView),
        symbols: markets.map(({ info }) => symbolView(info, withSets))
      }
    }
  }
}

interface Wanted {
  readonly symbol: string | undefined
  readonly symbols: string | undefined
  readonly permissions: string | undefined
  readonly symbolStatus: string | undefined
}

const marketsOf = (desk: Desk, wanted: Wanted): ReadonlyArray<Market> | Refusal => {
  const { permissions, symbol, symbols, symbolStatus } = wanted
  const ways = [symbol, symbols, permissions ?? symbolStatus].filter((value) => value !== undefined)
  if (ways.length > 1) return badCombination
  if (!isStatus(symbolStatus)) return invalidSymbolStatus
  if (symbols !== undefined) return listed(desk, symbols)
  if (symbol !== undefined) {
    const market = desk.exchange.matching.market(symbol)
    return market === undefined ? invalidSymbol : [market]
  }
  const permitted = permissions === undefined || (namesIn(permissions) ?? [permissions]).includes(permission)
  return permitted ? desk.exchange.matching.markets.filter(hasStatus(symbolStatus)) : []
}
