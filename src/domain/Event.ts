/**
 * Everything that can ever be said about an order or about the account, in the past tense.
 *
 * The log stores these and nothing else; every other view is derived. Shapes only grow:
 * a changed shape gets a new schema version, the old one is upcast here when it is read
 * and stays as a fixture in the tests. Decimals are text, integers are below 2^53.
 */
import { BigDecimal, Result, Schema, SchemaIssue } from "effect"
import { DecimalText, format } from "./Decimal.ts"
import { ClientOrderId, EpochMillis, StoreId } from "./Ids.ts"

export const Side = Schema.Literals(["BUY", "SELL"])
export const OrderType = Schema.Literals(["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"])
export const TimeInForce = Schema.Literals(["GTC", "IOC", "FOK"])
/** What becomes of an order that meets another one of the same account; the taker's word counts. */
export const SelfTradePrevention = Schema.Literals([
  "NONE",
  "EXPIRE_TAKER",
  "EXPIRE_MAKER",
  "EXPIRE_BOTH",
  "DECREMENT",
  "TRANSFER"
])
export type Side = typeof Side.Type
export type OrderType = typeof OrderType.Type
export type TimeInForce = typeof TimeInForce.Type
export type SelfTradePrevention = typeof SelfTradePrevention.Type

/**
 * What the client asked for, after defaults. `null` means: not part of this order; so does the absence of the keys
 * that came later, which older logs do not have.
 */
export const OrderRequest = Schema.Struct({
  symbol: Schema.String,
  side: Side,
  type: OrderType,
  /** Of orders that become or are LIMIT; GTC unless the client said otherwise. */
  timeInForce: Schema.NullOr(TimeInForce),
  /** In the base asset. Null exactly for a MARKET order by `quoteQuantity`. */
  quantity: Schema.NullOr(DecimalText),
  /** MARKET only: how much of the quote asset to spend or to receive. */
  quoteQuantity: Schema.NullOr(DecimalText),
  price: Schema.NullOr(DecimalText),
  /** Past this moment nothing is sent to the exchange any more. */
  validUntil: Schema.NullOr(EpochMillis),
  /** STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT: the last price that brings the order into the book. */
  stopPrice: Schema.optionalKey(DecimalText),
  /** How much of the order the book shows at a time. */
  icebergQuantity: Schema.optionalKey(DecimalText),
  /** Absent: as the symbol has it. */
  selfTradePrevention: Schema.optionalKey(SelfTradePrevention)
})
export type OrderRequest = typeof OrderRequest.Type

/** One trade of the exchange. */
export const Fill = Schema.Struct({
  tradeId: Schema.String,
  price: DecimalText,
  quantity: DecimalText,
  fee: DecimalText,
  feeAsset: Schema.String,
  at: EpochMillis
})
export type Fill = typeof Fill.Type

/** An operator's word on a parked order: its work is taken up again, or what could not be handled is left out. */
export const UnparkAct = Schema.Literals(["retry", "skip"])
export type UnparkAct = typeof UnparkAct.Type

/** How we came to know: the answer to our own request, a query, or the user data stream. */
export const Source = Schema.Literals(["answer", "query", "stream"])
export type Source = typeof Source.Type

export const OrderEvent = Schema.TaggedUnion({
  OrderPlaced: {
    clientOrderId: ClientOrderId,
    request: OrderRequest,
    /** Which instrument snapshot the static filters were asked of. */
    instrumentVersion: Schema.Int,
    /** Past this moment, if nothing was sent yet, the order is STALE. */
    staleAt: EpochMillis
  },
  /** The risk gate said no. The order ends here, as failed. */
  OrderDenied: { clientOrderId: ClientOrderId, request: OrderRequest, code: Schema.String, message: Schema.String },
  SubmissionStarted: {
    attempt: Schema.Int,
    clientOrderId: ClientOrderId,
    /** What is sent, on the exchange's clock: a late packet is refused by the exchange itself. */
    timestamp: EpochMillis,
    recvWindowMillis: Schema.Int
  },
  SubmissionAccepted: {
    attempt: Schema.Int,
    exchangeOrderId: Schema.String,
    exchangeStatus: Schema.String,
    transactTime: EpochMillis,
    source: Source
  },
  SubmissionRefused: {
    attempt: Schema.Int,
    /** The exchange's negative code, an HTTP status, or NOT_SENT. */
    code: Schema.String,
    message: Schema.String,
    /** When another attempt may be made; null: this refusal is final. */
    nextAttemptAt: Schema.NullOr(EpochMillis)
  },
  SubmissionUnknown: { attempt: Schema.Int, cause: Schema.String },
  SubmissionProvenAbsent: {
    attempt: Schema.Int,
    /** The exchange's clock when the conclusive query started, and what was asked. */
    askedAt: EpochMillis,
    evidence: Schema.Array(Schema.String),
    nextAttemptAt: EpochMillis
  },
  OrderFilled: { ...Fill.fields, source: Source },
  OrderCompleted: { executedQuantity: DecimalText, executedQuote: DecimalText, source: Source },
  CancelRequested: { reason: Schema.String },
  /** The exchange will not cancel this order; it stands, or ended in another way. */
  CancelRefused: { code: Schema.String, message: Schema.String },
  OrderCancelled: {
    reason: Schema.String,
    executedQuantity: DecimalText,
    source: Schema.Literals(["local", "answer", "query", "stream"])
  },
  /** The exchange ended the order by itself. Failed if nothing was executed, else cancelled. */
  OrderExpired: { exchangeStatus: Schema.String, reason: Schema.String, executedQuantity: DecimalText, source: Source },
  OrderFailed: { code: Schema.String, message: Schema.String },
  OrderParked: { reason: Schema.String, record: Schema.String },
  /** `act` is absent in older logs, where it always meant "retry". */
  OrderUnparked: { by: Schema.String, reason: Schema.String, act: Schema.optionalKey(UnparkAct) },
  OperatorResolved: {
    as: Schema.Literals(["COMPLETED", "FAILED", "CANCELLED"]),
    by: Schema.String,
    reason: Schema.String,
    /** What was known of the order when the operator decided. */
    evidence: Schema.optionalKey(Schema.Array(Schema.String))
  }
})
export type OrderEvent = typeof OrderEvent.Type

export const AccountEvent = Schema.TaggedUnion({
  StoreOpened: { storeId: StoreId, exchange: Schema.Literals(["SIMULATOR", "TESTNET"]), accountUid: Schema.String },
  ReconciliationReported: {
    openOrders: Schema.Int,
    adopted: Schema.Int,
    foreign: Schema.Int,
    doubts: Schema.Int,
    fillsBooked: Schema.Int
  },
  ExchangeReset: { evidence: Schema.Array(Schema.String), openOrders: Schema.Int },
  /** The store had lost commits and was recovered. Positions from here on belong to another generation. */
  GenerationRaised: {
    generation: Schema.Int,
    by: Schema.String,
    reason: Schema.String,
    /** By lane: where the generation begins. What earlier ones have from there on is void. */
    firstPositions: Schema.Array(Schema.Int),
    /** By lane: how far Kafka or an anchor had seen the log before. */
    knownPositions: Schema.Array(Schema.Int)
  }
})
export type AccountEvent = typeof AccountEvent.Type

export type DomainEvent = OrderEvent | AccountEvent
export type EventType = DomainEvent["_tag"]

const DomainEvent = Schema.Union([OrderEvent, AccountEvent])

/** The schema version in which each type is written today. */
export const schemaVersion = 1

const decodeEvent = Schema.decodeUnknownResult(DomainEvent)

/** The event as the log stores it: type and JSON data apart. */
export const encode = (
  event: DomainEvent
): { readonly type: EventType; readonly data: Readonly<Record<string, unknown>> } => {
  const { _tag, ...fields } = event
  const data: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) data[name] = asStored(field)
  return { type: _tag, data }
}

// What the schemas' encoders do, without them: events are made by us from checked values, every order pays for
// this, and a decimal is all that is stored in another form.
const asStored = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (BigDecimal.isBigDecimal(value)) return format(value)
  if (Array.isArray(value)) return value.map(asStored)
  const stored: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) stored[name] = asStored(field)
  return stored
}

/** An event that this release does not know, or that its schema does not allow. */
export class UnreadableEvent extends Schema.TaggedError<UnreadableEvent>()("UnreadableEvent", {
  type: Schema.String,
  schemaVersion: Schema.Int,
  detail: Schema.String
}) {}

/** Reads a stored event of any schema version that this release knows. */
export const decode = (type: string, version: number, data: unknown): Result.Result<DomainEvent, UnreadableEvent> => {
  if (!(type in OrderEvent.cases) && !(type in AccountEvent.cases)) {
    return Result.fail(new UnreadableEvent({ type, schemaVersion: version, detail: "unknown type" }))
  }
  if (version !== schemaVersion || typeof data !== "object" || data === null) {
    return Result.fail(new UnreadableEvent({ type, schemaVersion: version, detail: "unknown schema version" }))
  }
  return Result.mapError(
    decodeEvent({ ...data, _tag: type }),
    (error) => new UnreadableEvent({ type, schemaVersion: version, detail: describe(error.issue) })
  )
}

const describe = (issue: SchemaIssue.Issue): string =>
  SchemaIssue.makeFormatterStandardSchemaV1()(issue)
    .issues.map((one) => one.message)
    .join("; ")

export const isOrderEvent = (event: DomainEvent): event is OrderEvent =>
  event._tag !== "StoreOpened" &&
  event._tag !== "ReconciliationReported" &&
  event._tag !== "ExchangeReset" &&
  event._tag !== "GenerationRaised"
