/**
 * What can be asked of one order. Imperative: a command may be rejected; `Record…` is news
 * from outside, which is never rejected, only found to be nothing new.
 *
 * Time and ids arrive inside, so that a replay decides the same way again.
 */
import type { Decimal } from "./Decimal.ts"
import type { Fill, OrderRequest, Source, UnparkAct } from "./Event.ts"
import type { ClientOrderId, EpochMillis } from "./Ids.ts"
import type { Reason } from "./Order.ts"
import type { Margins } from "./reconcile.ts"

/** The cumulative state of an order as the exchange tells it. */
export interface ExchangeReport {
  readonly exchangeOrderId: string
  /** NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, … An unknown word is taken as not ended. */
  readonly exchangeStatus: string
  /** Why the exchange ended it, or "NONE". */
  readonly expiryReason: string
  readonly executedQuantity: Decimal
  readonly executedQuote: Decimal
  readonly transactTime: EpochMillis
  /** The trades that came with this news; not necessarily all. */
  readonly fills: ReadonlyArray<Fill>
  readonly source: Source
}

export type Command =
  | {
      readonly _tag: "PlaceOrder"
      readonly at: EpochMillis
      readonly request: OrderRequest
      readonly clientOrderId: ClientOrderId
      readonly instrumentVersion: number
      readonly staleAt: EpochMillis
      /** The risk gate's no; null: it has no objection. */
      readonly denial: Reason | null
    }
  | { readonly _tag: "CancelOrder"; readonly at: EpochMillis; readonly reason: string }
  | {
      readonly _tag: "StartSubmission"
      readonly at: EpochMillis
      readonly timestamp: EpochMillis
      readonly recvWindowMillis: number
    }
  | { readonly _tag: "ExpireStale"; readonly at: EpochMillis }
  | {
      readonly _tag: "RecordReport"
      readonly at: EpochMillis
      readonly report: ExchangeReport
      /** Of which attempt this is the answer; absent: it came by a question or by the stream. */
      readonly attempt?: number
    }
  /** An order of ours that only the exchange still knows, with all that it says of it. Placed and accepted at once. */
  | {
      readonly _tag: "ImportOrder"
      readonly at: EpochMillis
      readonly request: OrderRequest
      readonly clientOrderId: ClientOrderId
      readonly report: ExchangeReport
    }
  | {
      readonly _tag: "RecordRefusal"
      readonly at: EpochMillis
      readonly attempt: number
      readonly code: string
      readonly message: string
      /** Null: final. */
      readonly nextAttemptAt: EpochMillis | null
    }
  | { readonly _tag: "RecordDoubt"; readonly at: EpochMillis; readonly attempt: number; readonly cause: string }
  | {
      readonly _tag: "RecordAbsence"
      readonly at: EpochMillis
      readonly attempt: number
      readonly askedAt: EpochMillis
      readonly evidence: ReadonlyArray<string>
      readonly nextAttemptAt: EpochMillis
    }
  /** The exchange has forgotten all that it had before, this attempt of the order among it. */
  | { readonly _tag: "RecordReset"; readonly at: EpochMillis; readonly attempt: number }
  | { readonly _tag: "RecordCancelRefusal"; readonly at: EpochMillis; readonly code: string; readonly message: string }
  | { readonly _tag: "ParkOrder"; readonly at: EpochMillis; readonly reason: string; readonly record: string }
  | {
      readonly _tag: "UnparkOrder"
      readonly at: EpochMillis
      /** Whether what could not be handled is to be taken up again, or left out for good. */
      readonly act: UnparkAct
      readonly by: string
      readonly reason: string
    }
  | {
      readonly _tag: "ResolveOrder"
      readonly at: EpochMillis
      readonly as: "COMPLETED" | "FAILED" | "CANCELLED"
      readonly by: string
      readonly reason: string
      /** What was known of the order when the operator decided. */
      readonly evidence: ReadonlyArray<string>
      readonly margins: Margins
    }
