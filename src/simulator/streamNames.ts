/** What the name of a public stream asks for. Symbols are in lower case; a name that says nothing known is no stream. */
import { type Interval, isInterval, windowMillis, zoneOffset } from "./intervals.ts"
import type { Market } from "./Matching.ts"

export type StreamKind =
  | { readonly kind: "trade" | "aggTrade" | "bookTicker"; readonly market: Market }
  | { readonly kind: "ticker" | "miniTicker" | "avgPrice" | "referencePrice"; readonly market: Market }
  | { readonly kind: "depth"; readonly market: Market; readonly isFast: boolean }
  | { readonly kind: "topDepth"; readonly market: Market; readonly levels: number; readonly isFast: boolean }
  | { readonly kind: "kline"; readonly market: Market; readonly interval: Interval; readonly offset: number }
  | { readonly kind: "windowTicker"; readonly market: Market; readonly size: string; readonly millis: number }
  | { readonly kind: "allMiniTickers" }
  | { readonly kind: "allWindowTickers"; readonly size: string; readonly millis: number }

const depthForm = /^depth(5|10|20)?(@100ms|@1000ms)?$/
const klineForm = /^kline_(\d+[smhdwM])(?:@([+-]\d{1,2}:\d{2}))?$/
const windowForm = /^ticker_(1h|4h|1d)$/
const allWindowsForm = /^!ticker_(1h|4h|1d)@arr$/

export const streamOf = (name: string, market: (symbol: string) => Market | undefined): StreamKind | undefined => {
  if (name === "!miniTicker@arr") return { kind: "allMiniTickers" }
  const [, ofAll] = allWindowsForm.exec(name) ?? []
  if (ofAll !== undefined) return { kind: "allWindowTickers", size: ofAll, millis: windowMillis(ofAll) ?? 0 }
  const cut = name.indexOf("@")
  const symbol = name.slice(0, Math.max(cut, 0))
  const known = symbol === symbol.toLowerCase() ? market(symbol.toUpperCase()) : undefined
  return known === undefined ? undefined : ofMarket(known, name.slice(cut + 1))
}

const ofMarket = (market: Market, name: string): StreamKind | undefined => {
  switch (name) {
    case "trade":
    case "aggTrade":
    case "bookTicker":
    case "ticker":
    case "miniTicker":
    case "avgPrice":
    case "referencePrice":
      return { kind: name, market }
  }
  const depth = depthForm.exec(name)
  if (depth !== null) {
    const [, levels, speed] = depth
    const isFast = speed === "@100ms"
    return levels === undefined
      ? { kind: "depth", market, isFast }
      : { kind: "topDepth", market, levels: Number(levels), isFast }
  }
  const [, size] = windowForm.exec(name) ?? []
  if (size !== undefined) return { kind: "windowTicker", market, size, millis: windowMillis(size) ?? 0 }
  const [, interval = "", zone = "0"] = klineForm.exec(name) ?? []
  const offset = zoneOffset(zone)
  return isInterval(interval) && offset !== undefined ? { kind: "kline", market, interval, offset } : undefined
}
