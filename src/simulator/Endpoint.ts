/**
 * What one request is to the exchange, over REST and over the WebSocket API alike.
 *
 * An endpoint reads its parameters first and gives back what is to be done; between the two stand the checks that are
 * the same for all. Doing it is synchronous and answers a value or a Refusal.
 */
import type { Exchange } from "./Exchange.ts"
import type { Market } from "./Matching.ts"
import type { Parameters } from "./Parameters.ts"
import type { RateLimits } from "./RateLimits.ts"
import { invalidSymbol, type Refusal, tooLongInterval } from "./Refusal.ts"

export interface Desk {
  readonly exchange: Exchange
  readonly limits: RateLimits
  readonly accountUid: number
  readonly now: () => number
}

/** What a fault asks of the request that it strikes. */
export interface Twist {
  /** Fill the order of a cancel just before it. */
  readonly fillsFirst: "whole" | "part" | undefined
  /** Gets the new order of a cancel-replace, which it places when it likes, if ever. */
  readonly putsOff?: (place: () => void) => void
}

export type Run = (desk: Desk, twist: Twist) => unknown

export interface Endpoint {
  readonly rest: string
  readonly webSocket: string
  readonly isSigned: boolean
  readonly weight: (params: ReadonlyMap<string, string>) => number
  /** Orders and cancels cost nothing when they succeed. */
  readonly isFreeOnSuccess?: boolean
  /** Adds to the unfilled order count. */
  readonly isOrder?: boolean
  /** How many orders it places at most; 1 unless it places a list. */
  readonly orders?: number
  /** Asks `desk.limits.admitOrder` itself, for it has something to do even when the count is used up. */
  readonly judgesOrderCount?: boolean
  readonly read: (p: Parameters) => Run
}

const dayMillis = 86_400_000
const defaultRows = 500
const greatestRows = 1_000

/** Does something on one symbol, if there is such a one. */
export const onMarket =
  (symbol: string, run: (desk: Desk, market: Market, twist: Twist) => unknown): Run =>
  (desk, twist) => {
    const market = desk.exchange.matching.market(symbol)
    return market === undefined ? invalidSymbol : run(desk, market, twist)
  }

export const rowsOf = (limit: number | undefined): number => Math.min(limit ?? defaultRows, greatestRows)

export const always = (weight: number) => (): number => weight

export const readPeriod = (p: Parameters) => ({ startTime: p.moment("startTime"), endTime: p.moment("endTime") })

export const faultOfPeriod = ({ endTime, startTime }: ReturnType<typeof readPeriod>): Refusal | undefined =>
  startTime !== undefined && endTime !== undefined && endTime - startTime > dayMillis ? tooLongInterval(24) : undefined
