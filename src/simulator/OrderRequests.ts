/** What the account asks of its orders, and what it gets back: the words between the requests and the exchange. */
import type { Judged } from "./filters.ts"
import type { Order, PreventionMode, TimeInForce } from "./Order.ts"
import type { ListKind, OrderList } from "./OrderList.ts"
import type { Refusal } from "./Refusal.ts"

export interface NewOrder extends Judged {
  readonly timeInForce: TimeInForce
  readonly clientOrderId: string | undefined
  readonly strategyId: number | undefined
  readonly strategyType: number | undefined
  /** Undefined: what the symbol does by itself. */
  readonly preventionMode: PreventionMode | undefined
}

export interface NewList {
  readonly kind: ListKind
  readonly clientId: string | undefined
  /** In the order of their ids: the working order first, of a pair the stop loss first. */
  readonly orders: ReadonlyArray<NewOrder>
}

/** A list and its orders as they were when the request was done. */
export interface PlacedList {
  readonly list: OrderList
  readonly orders: ReadonlyArray<Order>
}

export interface Target {
  readonly orderId: number | undefined
  readonly clientOrderId: string | undefined
}

export interface ListTarget {
  readonly listId: number | undefined
  readonly clientId: string | undefined
}

/** What one cancel ended: an order, or all that was open of a list. */
export interface Canceled {
  readonly orders: ReadonlyArray<Order>
  readonly list: OrderList | undefined
  readonly cancelId: string
}

export interface Replacement {
  readonly target: Target
  readonly cancelId: string
  readonly restriction: CancelRestriction | undefined
  /** Whether a cancel that fails keeps the new order from being tried. */
  readonly stopsOnFailure: boolean
  readonly wanted: NewOrder
  /** The unfilled order count is used up: the new order is refused for that. */
  readonly overCount: Refusal | undefined
  /** Takes the new order away, to be placed at another moment. */
  readonly putsOff: ((place: () => void) => void) | undefined
}

export interface Replaced {
  readonly cancel: Canceled | Refusal
  /** Undefined: not attempted. */
  readonly order: Order | Refusal | undefined
}

export interface Amended {
  readonly order: Order
  readonly formerClientId: string
  readonly executionId: number
  readonly list: OrderList | undefined
}

export type CancelRestriction = "ONLY_NEW" | "ONLY_PARTIALLY_FILLED"
