/**
 * How the log and the exchange agree, as the API shows it: `GET /api/v1/reconciliation`.
 * Amounts are plain JSON numbers with exact digits, as everywhere in the API.
 */
import { Effect, Schema } from "effect"
import { OrderId } from "../domain/Ids.ts"
import type { ForeignOrder } from "../engine/ForeignOrders.ts"
import type { ReconciliationState } from "../engine/Reconciliation.ts"
import { Reconciliation } from "../engine/Reconciliation.ts"
import { time } from "./OrderView.ts"
import { json, tryAgain } from "./Problem.ts"

const Time = Schema.String.annotate({ format: "date-time" })

export const ReconciliationView = Schema.Struct({
  report: Schema.NullOr(
    Schema.Struct({
      at: Time,
      listed: Schema.Int.annotateKey({ description: "Orders that the exchange lists as open." }),
      compared: Schema.Int.annotateKey({ description: "Orders that are open in the log." }),
      adopted: Schema.Int.annotateKey({ description: "Orders of ours that were open there and not here." }),
      repaired: Schema.Int.annotateKey({ description: "Orders whose fills or end came only by the comparison." }),
      foreign: Schema.Int,
      missing: Schema.Int.annotateKey({ description: "Open here, and unknown to the exchange." }),
      failed: Schema.Int.annotateKey({ description: "Questions without an answer: the comparison is not complete." }),
      differences: Schema.Array(Schema.Struct({ order_id: Schema.String, what: Schema.String })).annotateKey({
        description: "What stays wrong; the first of them."
      })
    })
  ).annotateKey({ description: "The last comparison; null: there was none yet." }),
  foreign: Schema.Array(
    Schema.Struct({
      id: Schema.String.annotateKey({ description: "The exchange's id of the order, as text: it may exceed 2^53." }),
      client_order_id: Schema.String,
      symbol: Schema.String,
      side: Schema.String,
      type: Schema.String,
      quantity: Schema.Finite,
      executed: Schema.Finite,
      status: Schema.String.annotateKey({
        description: "The exchange's word. UNKNOWN: it was open and is listed no more."
      }),
      since: Time.annotateKey({ description: "When it was first seen." })
    })
  ).annotateKey({ description: "Orders under our keys that this store never sent: listed, never touched." }),
  doubts: Schema.Array(
    Schema.Struct({
      order_id: OrderId,
      symbol: Schema.String,
      attempt: Schema.Int,
      since: Time,
      asked: Schema.Int,
      evidence: Schema.Array(Schema.Struct({ question: Schema.String, answer: Schema.String, at: Time })),
      next_check_at: Schema.NullOr(Time),
      conclusive_at: Time
    })
  ),
  doubt_count: Schema.Int,
  last_reset_at: Schema.NullOr(Time)
})

export const makeReconciliation = Effect.map(Reconciliation, ({ read }) =>
  read.pipe(
    Effect.map((state) => json(200, viewOf(state))),
    Effect.catch(() => Effect.sync(() => tryAgain("store_unavailable", "the store did not answer")))
  )
)

const viewOf = ({ doubtCount, doubts, foreign, lastResetAt, report }: ReconciliationState): string => {
  const shown = {
    doubts: doubts.map(({ attempt, asked, conclusiveAt, evidence, nextCheckAt, orderId, since, symbol }) => ({
      order_id: orderId,
      symbol,
      attempt,
      since: time(since),
      asked,
      evidence: evidence.map((one) => ({ ...one, at: time(one.at) })),
      next_check_at: nextCheckAt === null ? null : time(nextCheckAt),
      conclusive_at: time(conclusiveAt)
    })),
    doubt_count: doubtCount,
    last_reset_at: lastResetAt === null ? null : time(lastResetAt),
    report: report && {
      ...report,
      at: time(report.at),
      differences: report.differences.map(({ orderId, what }) => ({ order_id: orderId, what }))
    }
  }
  return `{"foreign":[${foreign.map(foreignView).join(",")}],${JSON.stringify(shown).slice(1)}`
}

const foreignView = ({ clientOrderId, executed, id, quantity, side, since, status, symbol, type }: ForeignOrder) => {
  const words = { id, client_order_id: clientOrderId, symbol, side, type, status, since: time(since) }
  return `{"quantity":${quantity},"executed":${executed},${JSON.stringify(words).slice(1)}`
}
