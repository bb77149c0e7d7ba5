/** Why a command was not carried out. Nothing was recorded; `code` is stable and public. */
import { Schema } from "effect"

export const RejectionCode = Schema.Literals([
  /** No order has this id. */
  "ORDER_NOT_FOUND",
  /** The id belongs to an order with another body. */
  "ORDER_ID_TAKEN",
  /** The order has ended; there is nothing to cancel any more. */
  "TOO_LATE",
  /** An attempt is live, the order has ended, or its time has not come: nothing may be sent now. */
  "NOT_DUE",
  /** The order is parked; an operator must look at it first. */
  "PARKED",
  /** The order goes on by itself, or can be cancelled: nothing for an operator to decide. */
  "NOT_STUCK"
])
export type RejectionCode = typeof RejectionCode.Type

export class Rejection extends Schema.TaggedError<Rejection>()("Rejection", {
  code: RejectionCode,
  message: Schema.String
}) {}
