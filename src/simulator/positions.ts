/**
 * Which balances `outboundAccountPosition` tells: not only those that moved but all that could have, as the exchange
 * does. For an order these are both assets of its symbol, and BNB where commissions are paid in it.
 */
import { discountAsset } from "./Commission.ts"
import type { SymbolInfo } from "./Market.ts"

export const assetsConcerned = (
  symbols: ReadonlyArray<Pick<SymbolInfo, "base" | "quote">>,
  paysInBnb: boolean,
  moved: ReadonlyArray<string>
): ReadonlySet<string> =>
  new Set([
    ...symbols.map(({ base }) => base),
    ...(paysInBnb && symbols.length > 0 ? [discountAsset] : []),
    ...symbols.map(({ quote }) => quote),
    ...moved
  ])
