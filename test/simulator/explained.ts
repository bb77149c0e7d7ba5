/**
 * Where the simulator differs from what is known of the exchange, and why that is right.
 *
 * Each line must be needed: the test fails when one explains nothing any more.
 */
import type { Difference, What } from "../../tools/recordings/compare.ts"

interface Explanation {
  readonly kinds: RegExp
  readonly paths: RegExp
  readonly what: What
  readonly why: string
}

const docs = "https://github.com/binance/binance-spot-api-docs/blob/master"
const conditional = `Only where it applies: ${docs}/rest-api.md, conditional fields in order responses.`
const conditionalInReports = `Only where it applies: ${docs}/user-data-stream.md, conditional fields in execution report.`

export const explanations: ReadonlyArray<Explanation> = [
  {
    kinds: /^((ws\.)?allOrders|order\.|cancelOpenOrders)/,
    paths: /(expiryReason|icebergQty|prevented(MatchId|Quantity)|trailing(Delta|Time)|strategy(Id|Type))$/,
    what: "unknown",
    why: conditional
  },
  { kinds: /^ws\.order\.cancel\.trailing$/, paths: /\.trailingTime$/, what: "unknown", why: conditional },
  {
    kinds: /^ws\.(order\.status|allOrders)$/,
    paths: /\.prevented(MatchId|Quantity)$/,
    what: "missing",
    why: conditional
  },
  {
    kinds: /^ws\.allOrders$/,
    paths: /\.workingTime$/,
    what: "other format",
    why: `-1 of an order that never worked, of which none was recorded: ${docs}/rest-api.md, working time.`
  },
  {
    kinds: /account\.commission$/,
    paths: /discount\.discountAsset$/,
    what: "other format",
    why: `Recorded where nothing is discounted; here BNB pays: ${docs}/rest-api.md, query commission rates.`
  },
  {
    kinds: /executionReport/,
    paths: /^(event\.)?(d|D|j|J|eR|A|B|u|U|Cs|pl|pL|pY)$/,
    what: "unknown",
    why: conditionalInReports
  },
  {
    kinds: /executionReport/,
    paths: /^(event\.)?(v|W)$/,
    what: "missing",
    why: `The id of a prevented match and the time on the book, of orders that have one. ${conditionalInReports}`
  },
  {
    kinds: /^((ws\.)?exchangeInfo|myFilters)$/,
    paths: /ilters\[(PERCENT_PRICE|MIN_NOTIONAL|MAX_POSITION|EXCHANGE_MAX_NUM_ORDERS|MAX_ASSET)\]$/,
    what: "missing",
    why: `No symbol has every filter: PERCENT_PRICE_BY_SIDE and NOTIONAL took the place of two. ${docs}/filters.md`
  },
  {
    kinds: /^exchangeInfo$/,
    paths: /\.permissions\[\]$/,
    what: "missing",
    why: `Always empty since permissionSets tell it: ${docs}/CHANGELOG.md`
  },
  {
    kinds: /^(ws\.)?exchangeInfo$/,
    paths: /^(result\.)?sors$/,
    what: "missing",
    why: `Only where there is smart order routing: ${docs}/rest-api.md, exchange information.`
  },
  {
    kinds: /^stream\.trade$/,
    paths: /^[ab]$/,
    what: "missing",
    why: `The ids of buyer's and seller's orders are told no more: ${docs}/web-socket-streams.md, trade streams.`
  },
  {
    kinds: /^ws\.order\.cancelReplace$/,
    paths: /^result\.newOrderResponse\.(workingTime|fills)$/,
    what: "unknown",
    why: `The sample is older than the fields; REST answers the same with both: ${docs}/rest-api.md, cancelReplace.`
  },
  {
    kinds: /^ws\.orderList\.place\.oco$/,
    paths: /^result\.orderReports\[\]\.(stopPrice|workingTime)$/,
    what: "missing",
    why: "The recording ends after the stop leg; the limit leg has no such price."
  },
  {
    kinds: /^ws\.orderList\.place\.oco$/,
    paths: /^result\.orderReports\[\]\.workingTime$/,
    what: "other format",
    why: "The recording ends after the stop leg, which does not work yet; the limit leg works at once."
  }
]

export const isExplained = (difference: Difference): boolean => explanations.some((one) => explains(one, difference))

export const explains = ({ kinds, paths, what }: Explanation, difference: Difference): boolean =>
  what === difference.what && kinds.test(difference.kind) && paths.test(difference.path)

/** Kinds that are recorded and that the simulator has no occasion for. */
export const neverHeard: Readonly<Record<string, string>> = {
  "user.balanceUpdate": "Nothing is deposited, withdrawn or transferred here: trades move balances alone."
}
