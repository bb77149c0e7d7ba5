/** The last price, the touch, and how the price changed over a day or another window. */
import { format } from "./Amount.ts"
import type { Endpoint, Run } from "./Endpoint.ts"
import { windowMillis, zoneOffset } from "./intervals.ts"
import { invalidTickerType } from "./marketRefusals.ts"
import { namedMarkets, namedSymbols, someMarkets } from "./marketSelection.ts"
import { dayView, touchView } from "./marketViews.ts"
import type { Market } from "./Matching.ts"
import type { Parameters } from "./Parameters.ts"
import { invalidValue } from "./Refusal.ts"
import { fullView, lastDay, miniView, rolling, tradingDay, type Window } from "./tickers.ts"

type Params = ReadonlyMap<string, string>

const oneOrAllWeight = (params: Params): number => (params.has("symbol") ? 2 : 4)

const dayWeight = (params: Params): number => {
  const named = namedSymbols(params)
  if (named === 0 || named > 100) return 80
  return named <= 20 ? 2 : 40
}

const weightOfEach = 4
const greatestWeight = 200

const windowWeight = (params: Params): number => Math.min(namedSymbols(params) * weightOfEach, greatestWeight)

/** One object for one symbol, an array for a list or for all. */
const shown = (markets: ReadonlyArray<Market>, isOne: boolean, view: (market: Market) => unknown): unknown => {
  const views = markets.map(view)
  return isOne ? views[0] : views
}

const price: Endpoint = {
  rest: "GET /api/v3/ticker/price",
  webSocket: "ticker.price",
  isSigned: false,
  weight: oneOrAllWeight,
  read: (p) =>
    someMarkets(p, (_, markets, isOne) =>
      shown(markets, isOne, ({ info, tape }) => ({ symbol: info.symbol, price: format(tape.lastPrice) }))
    )
}

const book: Endpoint = {
  rest: "GET /api/v3/ticker/bookTicker",
  webSocket: "ticker.book",
  isSigned: false,
  weight: oneOrAllWeight,
  read: (p) => someMarkets(p, (_, markets, isOne) => shown(markets, isOne, touchView))
}

const day: Endpoint = {
  rest: "GET /api/v3/ticker/24hr",
  webSocket: "ticker.24hr",
  isSigned: false,
  weight: dayWeight,
  read: (p) =>
    ofType(p, (isMini) =>
      someMarkets(p, (desk, markets, isOne) => {
        const now = desk.now()
        return shown(markets, isOne, (market) =>
          isMini ? miniView(market, lastDay(market, now)) : dayView(market, now)
        )
      })
    )
}

const window: Endpoint = {
  rest: "GET /api/v3/ticker",
  webSocket: "ticker",
  isSigned: false,
  weight: windowWeight,
  read: (p) => {
    const millis = windowMillis(p.text("windowSize") ?? "1d")
    const run = windowed(p, (market, now) => rolling(market, now, millis ?? 0))
    return millis === undefined ? () => invalidValue("windowSize") : run
  }
}

const today: Endpoint = {
  rest: "GET /api/v3/ticker/tradingDay",
  webSocket: "ticker.tradingDay",
  isSigned: false,
  weight: windowWeight,
  read: (p) => {
    const offset = zoneOffset(p.text("timeZone") ?? "0")
    const run = windowed(p, (market, now) => tradingDay(market, now, offset ?? 0))
    return offset === undefined ? () => invalidValue("timeZone") : run
  }
}

const windowed = (p: Parameters, windowOf: (market: Market, now: number) => Window): Run =>
  ofType(p, (isMini) =>
    namedMarkets(p, (desk, markets, isOne) => {
      const now = desk.now()
      const view = isMini ? miniView : fullView
      return shown(markets, isOne, (market) => view(market, windowOf(market, now)))
    })
  )

const ofType = (p: Parameters, read: (isMini: boolean) => Run): Run => {
  const type = p.text("type") ?? "FULL"
  const run = read(type === "MINI")
  return type === "FULL" || type === "MINI" ? run : () => invalidTickerType
}

export const tickerEndpoints: ReadonlyArray<Endpoint> = [price, book, day, window, today]
