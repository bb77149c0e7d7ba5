/**
 * The exchange's JSON as it is on the wire: parsed without losing a digit, and decoded by shape.
 *
 * Ids are integers there that may exceed 2^53, so they become text here; decimals are strings and become exact
 * decimals. Enums stay open: a word that we do not know is kept as it is.
 */
import { Result, Schema, SchemaGetter } from "effect"
import { type Decimal, DecimalText, isLess, zero } from "../domain/Decimal.ts"

/** Sixteen digits or more may be above 2^53. A hit inside a string costs only the slower parse. */
const bigInteger = /\d{16}/

interface SourceContext {
  readonly source?: string
}

const keepDigits = (_key: string, value: unknown, context: SourceContext): unknown =>
  typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source ?? "")
    ? context.source
    : value

/** Fails with what JSON.parse says. Integers above 2^53 come back as text. */
export const parseJson = (text: string): Result.Result<unknown, Error> =>
  Result.try({
    try: () =>
      (bigInteger.test(text)
        ? JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown)
        : JSON.parse(text)) as unknown,
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })

/** The longest message of the exchange that is kept, and the longest word: its longest today has 40 characters. */
const messageLength = 500
const wordLength = 100

const cleanTo = (length: number, text: string): string => text.slice(0, length).replaceAll("\u0000", " ").toWellFormed()

/** Text from outside, as PostgreSQL and a log line can hold it. */
export const clean = (text: string): string => cleanTo(messageLength, text)

/** A status, reason, asset or name: what the exchange says can always be stored. Enums stay open. */
export const word = (text: string): string => cleanTo(wordLength, text)

/** An id of the exchange: a JSON integer of any size, kept as text. */
export const Id = Schema.Union([Schema.String.check(Schema.isPattern(/^-?\d{1,20}$/)), Schema.Int]).pipe(
  Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transform(String),
    encode: SchemaGetter.transform((id: string) => id)
  })
)

/** Never below nothing: a negative one says that we read something else than we think. */
export const Amount = DecimalText.check(
  Schema.makeFilter((value: Decimal) => !isLess(value, zero), { expected: "an amount that is not negative" })
)

/** In ms, up to the year 9999: what a date can be made of. */
export const Time = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 253_402_300_799_999 }))

export const ErrorBody = Schema.Struct({ code: Schema.Int, msg: Schema.String })

export const ServerTimeBody = Schema.Struct({ serverTime: Time })

const AnswerFill = Schema.Struct({
  price: Amount,
  qty: Amount,
  commission: DecimalText,
  commissionAsset: Schema.NullOr(Schema.String),
  tradeId: Id
})

/** `POST /api/v3/order` with newOrderRespType=FULL. */
export const PlacedOrder = Schema.Struct({
  symbol: Schema.String,
  orderId: Id,
  clientOrderId: Schema.String,
  transactTime: Time,
  status: Schema.String,
  executedQty: Amount,
  cummulativeQuoteQty: DecimalText,
  expiryReason: Schema.optionalKey(Schema.String),
  fills: Schema.optionalKey(Schema.Array(AnswerFill))
})

/** `DELETE /api/v3/order`: `clientOrderId` names the cancel here. */
export const CancelledOrder = Schema.Struct({
  symbol: Schema.String,
  orderId: Id,
  origClientOrderId: Schema.String,
  transactTime: Time,
  status: Schema.String,
  executedQty: Amount,
  cummulativeQuoteQty: DecimalText,
  expiryReason: Schema.optionalKey(Schema.String)
})

/** An order of `GET /api/v3/order`, openOrders and allOrders. */
export const QueriedOrder = Schema.Struct({
  symbol: Schema.String,
  orderId: Id,
  clientOrderId: Schema.String,
  price: Amount,
  origQty: Amount,
  executedQty: Amount,
  cummulativeQuoteQty: DecimalText,
  status: Schema.String,
  type: Schema.String,
  side: Schema.String,
  /** When it was made. */
  time: Schema.optionalKey(Time),
  updateTime: Time,
  timeInForce: Schema.optionalKey(Schema.String),
  stopPrice: Schema.optionalKey(Amount),
  icebergQty: Schema.optionalKey(Amount),
  origQuoteOrderQty: Schema.optionalKey(Amount),
  expiryReason: Schema.optionalKey(Schema.String)
})

export const Trade = Schema.Struct({
  symbol: Schema.String,
  id: Id,
  orderId: Id,
  price: Amount,
  qty: Amount,
  commission: DecimalText,
  commissionAsset: Schema.NullOr(Schema.String),
  time: Time
})

export const AccountBody = Schema.Struct({
  uid: Id,
  canTrade: Schema.Boolean,
  balances: Schema.Array(Schema.Struct({ asset: Schema.String, free: Amount, locked: Amount }))
})

export const TickerPrice = Schema.Struct({ price: Amount })

export const BookTicker = Schema.Struct({
  bidPrice: Amount,
  bidQty: Amount,
  askPrice: Amount,
  askQty: Amount
})

export const RateLimit = Schema.Struct({
  rateLimitType: Schema.String,
  interval: Schema.String,
  intervalNum: Schema.Int,
  limit: Schema.Int
})
export type RateLimit = typeof RateLimit.Type

/** Symbols are read one by one: there are thousands. */
export const ExchangeInfo = Schema.Struct({
  rateLimits: Schema.Array(RateLimit),
  symbols: Schema.Array(Schema.Unknown)
})

/** Filters are read one by one in translate.ts: one that nobody knows must not hide the others. */
export const SymbolInfo = Schema.Struct({
  symbol: Schema.String,
  status: Schema.String,
  baseAsset: Schema.String,
  baseAssetPrecision: Schema.Int,
  quoteAsset: Schema.String,
  quoteAssetPrecision: Schema.Int,
  orderTypes: Schema.Array(Schema.String),
  icebergAllowed: Schema.Boolean,
  quoteOrderQtyMarketAllowed: Schema.Boolean,
  allowedSelfTradePreventionModes: Schema.optionalKey(Schema.Array(Schema.String)),
  filters: Schema.Array(Schema.Record(Schema.String, Schema.Unknown))
})

/** The event `executionReport` of the user data stream. */
export const ExecutionReport = Schema.Struct({
  e: Schema.Literal("executionReport"),
  s: Schema.String,
  c: Schema.String,
  C: Schema.String,
  S: Schema.String,
  o: Schema.String,
  q: Amount,
  p: Amount,
  x: Schema.String,
  X: Schema.String,
  i: Id,
  l: Amount,
  z: Amount,
  L: Amount,
  Z: DecimalText,
  n: DecimalText,
  N: Schema.NullOr(Schema.String),
  t: Id,
  T: Time,
  O: Schema.optionalKey(Time),
  eR: Schema.optionalKey(Schema.String)
})

/** The event `outboundAccountPosition`: only assets that may have changed. */
export const AccountPosition = Schema.Struct({
  B: Schema.Array(Schema.Struct({ a: Schema.String, f: Amount, l: Amount }))
})
