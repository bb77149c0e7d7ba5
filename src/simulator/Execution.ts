/** One thing that happened to an order of the account: what the user data stream tells of. */
import type { Amount } from "./Amount.ts"

export type ExecutionType = "NEW" | "TRADE" | "CANCELED" | "REPLACED" | "REJECTED" | "EXPIRED" | "TRADE_PREVENTION"

/** Why the engine would not have an order; words of the user data stream. */
export type RejectReason =
  | "INSUFFICIENT_BALANCES"
  | "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY"
  | "WOULD_MATCH_IMMEDIATELY"
  | "OCO_BAD_PRICES"

/** One thing that happened to an order of the account. */
export interface Execution {
  readonly type: ExecutionType
  readonly executionId: number
  readonly time: number
  /** The cancel's own id; undefined in everything but a cancel. */
  readonly cancelId?: string
  /** What an amended order was called before. */
  readonly formerClientId?: string
  /** Of a REJECTED. */
  readonly rejectReason?: RejectReason
  /** Of a TRADE. */
  readonly trade?: TradeDetails
  /** Of a TRADE_PREVENTION. */
  readonly prevention?: PreventionDetails
}

export interface TradeDetails {
  readonly id: number
  readonly price: Amount
  readonly quantity: Amount
  readonly commission: Amount
  readonly commissionAsset: string
  readonly isMaker: boolean
}

export interface PreventionDetails {
  readonly counterOrderId: number
  readonly price: Amount
  /** What would have been traded. */
  readonly quantity: Amount
  /** What this order lost. */
  readonly lost: Amount
}
