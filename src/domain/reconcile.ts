/**
 * What the exchange's answer means for an order whose newest attempt is in doubt.
 *
 * A positive answer always wins. A negative one counts only when it was asked after the attempt's
 * window, the engine delay δ and the read staleness T have all passed on the exchange's clock, and
 * only when open orders, all orders and trades of the symbol say the same. Rests on Assumption A:
 * the exchange accepts nothing later than timestamp + recvWindow + δ, and shows what it accepted within T.
 */
import type { Command, ExchangeReport } from "./Command.ts"
import * as Decimal from "./Decimal.ts"
import type { EpochMillis } from "./Ids.ts"
import type { Attempt, Order } from "./Order.ts"
import { isInDoubt } from "./Order.ts"

/** How long a negative answer of the exchange proves nothing: engine delay δ and read staleness T. */
export interface Margins {
  readonly deltaMillis: number
  readonly stalenessMillis: number
}

/** The moment, on the exchange's clock, after which a query that finds nothing is conclusive. */
export const conclusiveAt = (attempt: Pick<Attempt, "timestamp" | "recvWindowMillis">, margins: Margins): EpochMillis =>
  attempt.timestamp + attempt.recvWindowMillis + margins.deltaMillis + margins.stalenessMillis

export type Evidence =
  | { readonly _tag: "Found"; readonly report: ExchangeReport }
  | {
      readonly _tag: "NotFound"
      /** The exchange's clock, at its pessimistic end, when the first of the questions was asked. */
      readonly askedAt: EpochMillis
      /** The questions that were answered with no; all four kinds are needed. */
      readonly asked: ReadonlyArray<Question>
    }

export const questions = ["order", "openOrders", "allOrders", "myTrades"] as const
export type Question = (typeof questions)[number]

export type Verdict =
  /** Nothing is in doubt. */
  | { readonly _tag: "Settled" }
  | { readonly _tag: "Record"; readonly command: Command }
  /** Ask again, not before this moment on the exchange's clock. */
  | { readonly _tag: "AskAgain"; readonly notBefore: EpochMillis }

export const reconcile = (order: Order, evidence: Evidence, margins: Margins, at: EpochMillis): Verdict => {
  if (evidence._tag === "Found") {
    return { _tag: "Record", command: { _tag: "RecordReport", at, report: evidence.report } }
  }
  const { attempt } = order
  if (attempt === null || !isInDoubt(order)) return { _tag: "Settled" }
  if (!provesAbsence(attempt, evidence, margins)) {
    return { _tag: "AskAgain", notBefore: conclusiveAt(attempt, margins) }
  }
  return {
    _tag: "Record",
    command: {
      _tag: "RecordAbsence",
      at,
      attempt: attempt.number,
      askedAt: evidence.askedAt,
      evidence: evidence.asked,
      nextAttemptAt: at
    }
  }
}

/** Whether what was not found was never accepted, and will not be. */
export const provesAbsence = (
  attempt: Pick<Attempt, "timestamp" | "recvWindowMillis">,
  { asked, askedAt }: Omit<Extract<Evidence, { readonly _tag: "NotFound" }>, "_tag">,
  margins: Margins
): boolean => askedAt > conclusiveAt(attempt, margins) && questions.every((question) => asked.includes(question))

/** Words of the exchange for an order that will not execute any more. */
export const ends: ReadonlySet<string> = new Set(["FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"])

/** Two pieces of news of one exchange order as one: the further state, and the trades of both. */
export const mergeReports = (one: ExchangeReport, other: ExchangeReport): ExchangeReport => {
  const further =
    Decimal.isGreater(other.executedQuantity, one.executedQuantity) ||
    (Decimal.equals(other.executedQuantity, one.executedQuantity) && !ends.has(one.exchangeStatus))
      ? other
      : one
  return { ...further, fills: [...one.fills, ...other.fills] }
}
