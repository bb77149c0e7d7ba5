/**
 * The body of `POST /api/v1/orders`: what a client may write, and the order request it means.
 *
 * Each field's schema is the one that the OpenAPI document shows and the one that validates here. Reading
 * collects all faults, field by field and then between fields, so that one answer tells everything.
 */
import { Schema, SchemaTransformation } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderRequest } from "../domain/Event.ts"
import { OrderType, SelfTradePrevention, Side, TimeInForce } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { OrderId } from "../domain/Ids.ts"
import type { Check } from "./Problem.ts"
import type { Json, JsonObject, Parsed } from "./StrictJson.ts"
import { JsonNumber } from "./StrictJson.ts"

/** A number by its source text. In documents and in clients it is a JSON number. */
const NumberSource = Schema.declare((value: unknown): value is JsonNumber => value instanceof JsonNumber, {
  expected: "a JSON number",
  toCodecJson: () =>
    Schema.link<JsonNumber>()(
      Schema.Finite,
      SchemaTransformation.transform({
        decode: (number) => new JsonNumber(`${number}`),
        encode: ({ text }) => Number(text)
      })
    )
})

const Amount = Schema.Union([
  NumberSource,
  Schema.String.check(Schema.isPattern(/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/u))
]).annotate({
  description: "An exact decimal, as a JSON number or as text; up to 20 digits before the point and 18 after it."
})

/** RFC 3339 with an offset, to the millisecond. */
const Instant = Schema.String.check(
  Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/u)
).annotate({ format: "date-time" })

/** Patterns carry `u`, for only then do they stand in the OpenAPI document. */
export const Symbol = Schema.String.check(Schema.isPattern(/^[A-Z0-9_.-]{1,30}$/u))

const fields = {
  id: Schema.optionalKey(
    OrderId.annotateKey({ description: "Yours, to repeat the request safely; drawn when absent." })
  ),
  symbol: Symbol,
  side: Side,
  type: OrderType,
  time_in_force: Schema.optionalKey(
    TimeInForce.annotateKey({ description: "LIMIT, STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT; GTC when absent." })
  ),
  quantity: Schema.optionalKey(Amount.annotateKey({ description: "In the base asset." })),
  quote_quantity: Schema.optionalKey(Amount.annotateKey({ description: "MARKET only, instead of quantity." })),
  price: Schema.optionalKey(Amount.annotateKey({ description: "Of all but MARKET, where 0 means absent." })),
  stop_price: Schema.optionalKey(
    Amount.annotateKey({
      description: "STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT: the last price that brings the order into the book."
    })
  ),
  iceberg_quantity: Schema.optionalKey(
    Amount.annotateKey({
      description: "How much of the quantity the book shows at a time; not of MARKET, and with GTC only."
    })
  ),
  self_trade_prevention: Schema.optionalKey(
    SelfTradePrevention.annotateKey({ description: "As the symbol has it when absent." })
  ),
  valid_until: Schema.optionalKey(
    Instant.annotateKey({ description: "Past this moment nothing is sent to the exchange any more." })
  )
} as const

export const OrderBody = Schema.Struct(fields).annotate({ identifier: "OrderRequest" })

export interface Wanted {
  readonly orderId: OrderId | null
  readonly request: OrderRequest
}

export type Read =
  | { readonly _tag: "Wanted"; readonly wanted: Wanted }
  /** 422: nothing is malformed, but the order asks for what is not there yet or for a time that has passed. */
  | { readonly _tag: "Faulty"; readonly status: 400 | 422; readonly checks: ReadonlyArray<Check> }

type Field = keyof typeof fields

const amountRule = "a number above 0, up to 20 digits before the point and 18 after it"

/** What would pass, in words; shown as `limit` and as the hint. */
const rules: { readonly [F in Field]: string } = {
  id: "1 to 64 of the characters A-Z a-z 0-9 . _ : -",
  symbol: "an exchange symbol in capitals, such as BTCUSDT",
  side: "BUY or SELL",
  type: "LIMIT, LIMIT_MAKER, MARKET, STOP_LOSS_LIMIT or TAKE_PROFIT_LIMIT",
  time_in_force: "GTC, IOC or FOK",
  quantity: amountRule,
  quote_quantity: amountRule,
  price: amountRule,
  stop_price: amountRule,
  iceberg_quantity: amountRule,
  self_trade_prevention: "NONE, EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH, DECREMENT or TRANSFER",
  valid_until: "a time of RFC 3339 with its offset, such as 2030-01-15T10:30:00Z"
}

/** Types of the exchange that are not there yet. */
const laterTypes = new Set(["STOP_LOSS", "TAKE_PROFIT"])

const isOrderId = Schema.is(OrderId)
const isSymbol = Schema.is(Symbol)
const isSide = Schema.is(Side)
const isOrderType = Schema.is(OrderType)
const isTimeInForce = Schema.is(TimeInForce)
const isSelfTradePrevention = Schema.is(SelfTradePrevention)
const isAmount = Schema.is(Amount)
const isInstant = Schema.is(Instant)

const maxShown = 80

const shown = (value: Json): string => {
  if (value instanceof JsonNumber) return cut(value.text)
  if (typeof value === "string") return cut(value)
  if (Array.isArray(value)) return "an array"
  return typeof value === "object" && value !== null ? "an object" : `${value}`
}
const cut = (text: string): string =>
  (text.length <= maxShown ? text : `${text.slice(0, maxShown - 1)}…`).toWellFormed()

/** Reads what StrictJson found; `now` is the moment that `valid_until` must lie after. */
export const read = (parsed: Parsed, now: EpochMillis): Read => {
  const reader = new BodyReader(now)
  for (const { code, detail, field } of parsed.faults) reader.malformed(code, field, null, null, detail)
  const body = parsed.value
  if (body === undefined) return reader.faulty()
  if (!isObject(body)) {
    reader.malformed("wrong_type", "", "a JSON object", shown(body), "the body must be a JSON object")
    return reader.faulty()
  }
  const wanted = reader.order(body)
  return wanted === null || reader.checks.length > 0 ? reader.faulty() : { _tag: "Wanted", wanted }
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)

class BodyReader {
  readonly now: EpochMillis
  readonly checks: Array<Check> = []
  status: 400 | 422 = 422

  constructor(now: EpochMillis) {
    this.now = now
  }

  order(body: JsonObject): Wanted | null {
    this.strangers(body)
    const id = body.id === undefined ? null : this.field(body, "id", isOrderId)
    const symbol = this.field(body, "symbol", isSymbol)
    const side = this.field(body, "side", isSide)
    const type = this.orderType(body)
    const timeInForce = body.time_in_force === undefined ? null : this.field(body, "time_in_force", isTimeInForce)
    const quantity = this.amount(body, "quantity")
    const quoteQuantity = this.amount(body, "quote_quantity")
    const price = this.amount(body, "price")
    const validUntil = this.validUntil(body)
    const later = this.later(body)
    if (type !== null) this.together(type, body)
    if (symbol === null || side === null || type === null) return null
    return {
      orderId: id,
      request: {
        symbol,
        side,
        type,
        timeInForce: type === "MARKET" || type === "LIMIT_MAKER" ? null : (timeInForce ?? "GTC"),
        quantity,
        quoteQuantity,
        price: type === "MARKET" ? null : price,
        validUntil,
        ...later
      }
    }
  }

  /** The fields that most orders lack: keys of a request that are absent, not null. */
  later(body: JsonObject): Partial<OrderRequest> | undefined {
    if (
      body.stop_price === undefined &&
      body.iceberg_quantity === undefined &&
      body.self_trade_prevention === undefined
    ) {
      return undefined
    }
    const stopPrice = this.amount(body, "stop_price")
    const icebergQuantity = this.amount(body, "iceberg_quantity")
    const mode =
      body.self_trade_prevention === undefined ? null : this.field(body, "self_trade_prevention", isSelfTradePrevention)
    return {
      ...(stopPrice === null ? {} : { stopPrice }),
      ...(icebergQuantity === null ? {} : { icebergQuantity }),
      ...(mode === null ? {} : { selfTradePrevention: mode })
    }
  }

  /** A field that nobody reads is a typing error: `tif` must not become GTC in silence. */
  strangers(body: JsonObject): void {
    for (const key in body) {
      if (Object.hasOwn(fields, key)) continue
      const hint = `no such field; the fields are ${Object.keys(fields).join(", ")}`
      this.malformed("unknown_field", cut(key), null, null, hint)
    }
  }

  field<A>(body: JsonObject, name: Field, accepts: (value: unknown) => value is A): A | null {
    const value = body[name]
    if (value !== undefined && accepts(value)) return value
    const limit = rules[name]
    if (value === undefined) this.malformed("missing", name, limit, null, `needed: ${limit}`)
    else {
      const code = typeof value === "string" ? "not_allowed" : "wrong_type"
      this.malformed(code, name, limit, shown(value), `must be ${limit}`)
    }
    return null
  }

  orderType(body: JsonObject): OrderType | null {
    const { type } = body
    if (typeof type === "string" && laterTypes.has(type)) {
      this.unfit("not_supported_yet", "type", type, `${type} is not supported yet; ${rules.type} would pass`)
      return null
    }
    return this.field(body, "type", isOrderType)
  }

  amount(
    body: JsonObject,
    name: "quantity" | "quote_quantity" | "price" | "stop_price" | "iceberg_quantity"
  ): Decimal.Decimal | null {
    const value = body[name]
    if (value === undefined) return null
    if (!isAmount(value)) {
      const code = typeof value === "string" ? "not_a_number" : "wrong_type"
      this.malformed(code, name, rules[name], shown(value), `must be ${rules[name]}`)
      return null
    }
    const amount = Decimal.fromText(typeof value === "string" ? value : value.text)
    if (amount._tag === "None") {
      this.malformed("out_of_range", name, rules[name], shown(value), `must be ${rules[name]}`)
      return null
    }
    // As in the original API, a MARKET order may say "price": 0.
    if (name === "price" && body.type === "MARKET" && Decimal.isZero(amount.value)) return null
    if (!Decimal.isPositive(amount.value)) {
      this.malformed("not_positive", name, rules[name], shown(value), `must be ${rules[name]}`)
      return null
    }
    return amount.value
  }

  validUntil(body: JsonObject): EpochMillis | null {
    if (body.valid_until === undefined) return null
    const text = this.field(body, "valid_until", isInstant)
    if (text === null) return null
    const at = Date.parse(text)
    if (Number.isNaN(at) || !isDayOfCalendar(text)) {
      this.malformed("not_allowed", "valid_until", rules.valid_until, text, `must be ${rules.valid_until}`)
      return null
    }
    if (at <= this.now) {
      const limit = `after ${new Date(this.now).toISOString()}`
      this.unfit("in_the_past", "valid_until", text, `must be ${limit}`, limit)
      return null
    }
    return at
  }

  /** What each order type needs and what it cannot have. Fields that are there but faulty have been told already. */
  together(type: OrderType, body: JsonObject): void {
    const has = (name: Field) => body[name] !== undefined
    if (type === "MARKET") {
      if (!has("quantity") && !has("quote_quantity")) {
        this.malformed("missing", "quantity", rules.quantity, null, "a MARKET order needs quantity or quote_quantity")
      }
      if (has("quantity") && has("quote_quantity")) {
        const hint = "a MARKET order has quantity or quote_quantity, not both"
        this.malformed("not_with", "quote_quantity", null, shown(body.quote_quantity!), hint)
      }
      if (has("price") && !isZeroAmount(body.price!)) {
        this.malformed("not_with", "price", "0 or absent", shown(body.price!), "a MARKET order has no price; use LIMIT")
      }
    } else {
      if (!has("quantity"))
        this.malformed("missing", "quantity", rules.quantity, null, `a ${type} order needs a quantity`)
      if (!has("price")) this.malformed("missing", "price", rules.price, null, `a ${type} order needs a price`)
      if (has("quote_quantity")) {
        const hint = `a ${type} order has quantity; quote_quantity is for MARKET orders`
        this.malformed("not_with", "quote_quantity", null, shown(body.quote_quantity!), hint)
      }
    }
    if ((type === "MARKET" || type === "LIMIT_MAKER") && has("time_in_force")) {
      const hint = `a ${type} order has no time_in_force; leave it out`
      this.malformed("not_with", "time_in_force", null, shown(body.time_in_force!), hint)
    }
    if (type === "STOP_LOSS_LIMIT" || type === "TAKE_PROFIT_LIMIT") {
      if (!has("stop_price")) {
        this.malformed("missing", "stop_price", rules.stop_price, null, `a ${type} order needs a stop_price`)
      }
    } else if (has("stop_price")) {
      const hint = `a ${type} order has no stop_price; leave it out, or use STOP_LOSS_LIMIT or TAKE_PROFIT_LIMIT`
      this.malformed("not_with", "stop_price", null, shown(body.stop_price!), hint)
    }
    if (has("iceberg_quantity")) this.iceberg(type, body)
  }

  iceberg(type: OrderType, body: JsonObject): void {
    const actual = shown(body.iceberg_quantity!)
    const { time_in_force: tif } = body
    if (type === "MARKET") {
      const hint = "a MARKET order is never in the book; leave iceberg_quantity out"
      this.malformed("not_with", "iceberg_quantity", null, actual, hint)
    } else if (tif !== undefined && tif !== "GTC") {
      const hint = "an order with iceberg_quantity must be good till cancelled: time_in_force GTC would pass"
      this.malformed("not_with", "iceberg_quantity", "time_in_force GTC", actual, hint)
    }
  }

  malformed(code: string, field: string, limit: string | null, actual: string | null, hint: string): void {
    this.status = 400
    this.add({ code, field, limit, actual, hint })
  }

  /** Well-formed, and still nothing that can be done. */
  unfit(code: string, field: string, actual: string, hint: string, limit: string | null = null): void {
    this.add({ code, field, limit, actual, hint })
  }

  add(check: Check): void {
    // One fault per field and kind: a price that is no number needs no second word about MARKET orders.
    if (!this.checks.some(({ code, field }) => field === check.field && (field !== "" || code === check.code))) {
      this.checks.push(check)
    }
  }

  faulty(): Read {
    return { _tag: "Faulty", status: this.status, checks: this.checks }
  }
}

/** Date.parse takes the 30th of February for the 2nd of March. */
const isDayOfCalendar = (instant: string): boolean => {
  const day = instant.slice(0, 10)
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day)
}

const isZeroAmount = (value: Json): boolean => {
  if (!isAmount(value)) return false
  const amount = Decimal.fromText(typeof value === "string" ? value : value.text)
  return amount._tag === "Some" && Decimal.isZero(amount.value)
}
