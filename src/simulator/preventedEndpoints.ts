/** The matches that self-trade prevention prevented, by their id or by one of their orders. */
import { type Endpoint, onMarket, rowsOf } from "./Endpoint.ts"
import { badCombination } from "./Refusal.ts"
import { preventedMatchView } from "./orderViews.ts"

const myPreventedMatches: Endpoint = {
  rest: "GET /api/v3/myPreventedMatches",
  webSocket: "myPreventedMatches",
  isSigned: true,
  weight: (params) => (params.has("orderId") ? 20 : 2),
  read: (p) => {
    const symbol = p.symbol()
    const id = p.whole("preventedMatchId")
    const orderId = p.whole("orderId")
    const fromId = p.whole("fromPreventedMatchId")
    const limit = p.whole("limit")
    return onMarket(symbol, (_, { prevented }) => {
      const isById = id !== undefined
      if (isById === (orderId !== undefined)) return badCombination
      if (isById && (fromId !== undefined || limit !== undefined)) return badCombination
      const one = isById ? prevented.byId(id) : undefined
      const found = isById ? (one === undefined ? [] : [one]) : prevented.of(orderId!, fromId ?? 0, rowsOf(limit))
      return found.map((match) => preventedMatchView(match, symbol))
    })
  }
}

export const preventedEndpoints: ReadonlyArray<Endpoint> = [myPreventedMatches]
