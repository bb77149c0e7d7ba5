/**
 * What can come of a request to the exchange besides its answer, sorted by what the caller may do next.
 *
 * Refused and RateLimited: nothing happened there. NotSent: nothing can have happened. OutcomeUnknown: it may
 * have happened, so ask and never send again. The other three are answers about an order. Which answer is which
 * is decided in classify.ts alone.
 */
import { Schema } from "effect"

/** The exchange refused and nothing changed there. Final for this request unless `repeatable`. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  /** The exchange's negative code as text, such as "-2010". */
  code: Schema.String,
  exchangeMessage: Schema.String,
  /** The same intent may be sent anew, later and with a new timestamp. */
  repeatable: Schema.Boolean
}) {
  override get message() {
    return `the exchange refused: ${this.code} ${this.exchangeMessage}`
  }
}

/** A limit or a ban of the exchange, or our own budget for it. Nothing was done; safe again after the wait. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  code: Schema.String,
  retryAfterMillis: Schema.Int,
  exchangeMessage: Schema.String,
  /** Our address is banned: whoever goes on regardless is banned for longer. */
  banned: Schema.optionalKey(Schema.Literal(true))
}) {
  override get message() {
    return `the exchange's limits: ${this.code} ${this.exchangeMessage}, again in ${this.retryAfterMillis} ms`
  }
}

/** No byte of the request left: no connection, a failed handshake, an open circuit. Safe to send. */
export class NotSent extends Schema.TaggedError<NotSent>()("NotSent", { cause: Schema.Defect() }) {
  override get message() {
    return `nothing was sent to the exchange: ${reasonOf(this.cause)}`
  }
}

/** The request may have been carried out. Ask by client order id; never send it again. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  cause: Schema.Defect()
}) {
  override get message() {
    return `whether the exchange did it is unknown: ${reasonOf(this.cause)}`
  }
}

/** A query found no such order, or a cancel found none open. Inconclusive by itself: reads lag, and it may be filled. */
export class OrderUnknown extends Schema.TaggedError<OrderUnknown>()("OrderUnknown", { code: Schema.String }) {
  override get message() {
    return `the exchange finds no such order (${this.code})`
  }
}

/** An order with our id is open already: an earlier attempt arrived. Find it. */
export class DuplicateOrder extends Schema.TaggedError<DuplicateOrder>()("DuplicateOrder", {}) {
  override get message() {
    return "an order with this id is open at the exchange"
  }
}

/** It was accepted, executed nothing, ended, and is older than 90 days. Conclusive. */
export class Archived extends Schema.TaggedError<Archived>()("Archived", {}) {
  override get message() {
    return "the exchange has archived the order"
  }
}

export const Reason = Schema.Union([
  Refused,
  RateLimited,
  NotSent,
  OutcomeUnknown,
  OrderUnknown,
  DuplicateOrder,
  Archived
])
export type Reason = typeof Reason.Type

export class BinanceError extends Schema.TaggedError<BinanceError>()("BinanceError", {
  /** Method and path, such as `POST /api/v3/order`. Never the query: it carries the signature. */
  endpoint: Schema.String,
  reason: Reason
}) {
  override get message() {
    return `${this.endpoint}: ${this.reason.message}`
  }
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
