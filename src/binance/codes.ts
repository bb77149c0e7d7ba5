/**
 * The exchange's codes and the words of its matching engine, with what each means for a request of ours: two tables,
 * from Binance's list of errors. A code that stands in neither is unknown, and so is what came of the request.
 */

export type CodeGroup =
  /** It may have been carried out. */
  | "unknown"
  /** Nothing happened; the same again once clock or connections are mended. */
  | "mend"
  /** Nothing happened; the same again after a wait. */
  | "limit"
  /** Nothing happened; our key, its signature or its rights are refused, whatever the request. */
  | "keys"
  /** Nothing happened; the request is wrong. */
  | "request"
  /** Refused by the matching engine, whose message says more. */
  | "engine"
  /** A cancel was refused: its message says more. */
  | "cancel"
  /** No order under these ids, as far as a read knows. */
  | "absent"
  | "archived"
  /** One half was done, or neither: the body has both. */
  | "parts"

type Codes = number | readonly [from: number, to: number]

export const codeGroups: Readonly<Record<CodeGroup, ReadonlyArray<Codes>>> = {
  unknown: [-1000, -1001, -1006, -1007, -1008, -1016],
  mend: [-1021, -1034],
  limit: [-1003, -1015],
  keys: [-1002, -1022, -2014, -2015],
  // Parameters, lists and sides, pegs, status of the symbol, pending orders; of streams and of market data.
  request: [
    -1013,
    -1014,
    -1020,
    [-1100, -1199],
    -1210,
    -1211,
    -1220,
    [-1222, -1225],
    -2016,
    -2035,
    -2036,
    -2042,
    -2043
  ],
  engine: [-1010, -2010, -2038],
  cancel: [-2011],
  absent: [-2013, -2039],
  archived: [-2026],
  parts: [-2021, -2022]
}

const groupOfCode: ReadonlyMap<number, CodeGroup> = new Map(
  Object.entries(codeGroups).flatMap(([group, codes]) =>
    codes.flatMap((entry) => {
      const [from, to] = typeof entry === "number" ? [entry, entry] : entry
      return Array.from({ length: from - to + 1 }, (_, at) => [from - at, group as CodeGroup] as const)
    })
  )
)

/** Undefined: nobody listed it. */
export const groupOf = (code: number): CodeGroup | undefined => groupOfCode.get(code)

export type EngineGroup =
  /** An order under our id is open: no failure. */
  | "duplicate"
  /** Not open: ended, or never there. */
  | "notOpen"
  /** The order stands, in another state than the request wanted. */
  | "stands"
  /** Again when the symbol trades. */
  | "closed"
  /** Our way in is shut for everybody here, whatever the order. */
  | "access"
  | "balance"
  | "price"
  /** A book too thin. */
  | "liquidity"
  /** Needs a person: what the account may do. */
  | "account"
  /** Not offered by this symbol. */
  | "offer"
  /** A fault of the request. */
  | "request"

/** By exact text: the engine has no codes. */
export const engineMessages: ReadonlyMap<string, EngineGroup> = new Map<string, EngineGroup>([
  ["Duplicate order sent.", "duplicate"],
  ["Unknown order sent.", "notOpen"],
  ["Order was not canceled due to cancel restrictions.", "stands"],
  ["Order amend (quantity increase) is not supported.", "stands"],
  ["The requested action would change no state; rejecting", "stands"],
  ["Market is closed.", "closed"],
  ["Rest API trading is not enabled.", "access"],
  ["WebSocket API trading is not enabled.", "access"],
  ["Account has insufficient balance for requested action.", "balance"],
  ["Order would immediately match and take.", "price"],
  ["Order would trigger immediately.", "price"],
  ["The relationship of the prices for the orders is not correct.", "price"],
  ["Order book liquidity is less than `LOT_SIZE` filter minimum quantity.", "liquidity"],
  ["Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.", "liquidity"],
  ["Order book liquidity is less than symbol minimum quantity.", "liquidity"],
  ["Order book liquidity is too low for this pegged order.", "liquidity"],
  ["This action is disabled on this account.", "account"],
  ["This account may not place or cancel orders.", "account"],
  ["This symbol is not permitted for this account.", "account"],
  ["This symbol is restricted for this account.", "account"],
  ["Market orders are not supported for this symbol.", "offer"],
  ["Iceberg orders are not supported for this symbol.", "offer"],
  ["Stop loss orders are not supported for this symbol.", "offer"],
  ["Stop loss limit orders are not supported for this symbol.", "offer"],
  ["Take profit orders are not supported for this symbol.", "offer"],
  ["Take profit limit orders are not supported for this symbol.", "offer"],
  ["Trailing stop orders are not supported for this symbol.", "offer"],
  ["OCO orders are not supported for this symbol", "offer"],
  ["OPO orders are not supported for this symbol", "offer"],
  ["Pegged orders are not supported for this symbol", "offer"],
  ["Quote order qty market orders are not support for this symbol.", "offer"],
  ["Order cancel-replace is not supported for this symbol.", "offer"],
  ["Order amend is not supported for this symbol.", "offer"],
  ["Price * QTY is zero or less.", "request"],
  ["IcebergQty exceeds QTY.", "request"],
  ["Unsupported order combination", "request"],
  ["Cancel order is invalid. Check origClOrdId and orderId.", "request"]
])
