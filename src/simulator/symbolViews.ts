/** The JSON of a symbol's rules: what it allows, and its filters. */
import { type Amount, decimals, format, plain } from "./Amount.ts"
import type { AssetFilter, ExchangeFilter } from "./filters.ts"
import type { Filter, SymbolInfo } from "./Market.ts"

export const spotPermissions = ["SPOT"]

export const symbolView = (info: SymbolInfo, withPermissionSets: boolean) => ({
  symbol: info.symbol,
  status: info.status,
  baseAsset: info.base,
  baseAssetPrecision: decimals,
  quoteAsset: info.quote,
  quotePrecision: decimals,
  quoteAssetPrecision: decimals,
  baseCommissionPrecision: decimals,
  quoteCommissionPrecision: decimals,
  orderTypes: info.features.orderTypes,
  icebergAllowed: info.features.iceberg,
  ocoAllowed: info.features.oco,
  otoAllowed: info.features.oto,
  opoAllowed: info.features.opo,
  quoteOrderQtyMarketAllowed: info.features.quoteQuantity,
  allowTrailingStop: info.features.trailingStop,
  cancelReplaceAllowed: info.features.cancelReplace,
  amendAllowed: info.features.amend,
  pegInstructionsAllowed: false,
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  filters: info.filters.map(filterView),
  permissions: [],
  permissionSets: withPermissionSets ? [spotPermissions] : [],
  defaultSelfTradePreventionMode: info.defaultPreventionMode,
  allowedSelfTradePreventionModes: info.allowedPreventionModes
})

const factor = /multiplier/i
const written = (name: string, value: Amount): string => (factor.test(name) ? plain(value) : format(value))

/** Amounts as strings; counts and flags as they are. */
export const filterView = (filter: Filter | ExchangeFilter | AssetFilter) =>
  Object.fromEntries(
    Object.entries(filter).map(([name, value]) => [name, typeof value === "bigint" ? written(name, value) : value])
  )
