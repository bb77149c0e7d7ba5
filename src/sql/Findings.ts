/**
 * What the reconciler has found out, kept where every replica can read it: the last comparison of open orders
 * with the exchange, how far each attempt in doubt has been asked about, and the last reset of the exchange.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { accountStream, EpochMillis, OrderId } from "../domain/Ids.ts"
import { Int8 } from "./LogRows.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

const Difference = Schema.Struct({ orderId: Schema.String, what: Schema.String })
export type Difference = typeof Difference.Type

const Report = Schema.Struct({
  at: EpochMillis,
  /** Orders that the exchange lists as open. */
  listed: Schema.Int,
  /** Orders that are open in the log. */
  compared: Schema.Int,
  /** Orders of ours that were open there and not here. */
  adopted: Schema.Int,
  /** Orders whose fills or end came only by the comparison. */
  repaired: Schema.Int,
  foreign: Schema.Int,
  /** Open here, and the exchange knows them by no question. */
  missing: Schema.Int,
  /** Questions that failed: the comparison is not complete. */
  failed: Schema.Int,
  /** What stays wrong; the first of them. */
  differences: Schema.Array(Difference)
})
export type ReconciliationReport = typeof Report.Type

const Answer = Schema.Struct({ question: Schema.String, answer: Schema.String, at: EpochMillis })
export type DoubtAnswer = typeof Answer.Type

const Doubt = Schema.Struct({
  orderId: OrderId,
  attempt: Schema.Int,
  asked: Schema.Int,
  lastAskedAt: Int8,
  nextCheckAt: Int8,
  evidence: Schema.Array(Answer)
})
export type DoubtFinding = typeof Doubt.Type

const decodeReports = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ content: Report })))
const decodeDoubts = Schema.decodeUnknownSync(Schema.Array(Doubt))
const decodeResets = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ at: Int8 })))

export class Findings extends Context.Service<
  Findings,
  {
    readonly saveReport: (report: ReconciliationReport) => Effect.Effect<void, StoreUnavailable>
    /** Null: nothing was compared yet. */
    readonly lastReport: Effect.Effect<ReconciliationReport | null, StoreUnavailable>
    readonly saveDoubts: (doubts: ReadonlyArray<DoubtFinding>) => Effect.Effect<void, StoreUnavailable>
    /** Of these orders; an attempt that was not asked about yet has none. */
    readonly doubts: (orderIds: ReadonlyArray<OrderId>) => Effect.Effect<ReadonlyArray<DoubtFinding>, StoreUnavailable>
    /** Forgets what was found of orders that are in doubt no more. */
    readonly forgetSettled: Effect.Effect<void, StoreUnavailable>
    /** When the exchange was last seen to have forgotten everything; null: never. */
    readonly lastReset: Effect.Effect<EpochMillis | null, StoreUnavailable>
  }
>()("nexus/sql/Findings") {
  static readonly layer = Layer.effect(
    Findings,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient

      const saveReport = Effect.fn("Findings.saveReport")(function* (report: ReconciliationReport) {
        yield* answerOf(sql`
          insert into reconciliation as r (reported_at, content)
            values (${report.at}::int8, ${JSON.stringify(report)}::text::jsonb)
            on conflict (only_row) do update set reported_at = excluded.reported_at, content = excluded.content
              where r.reported_at <= excluded.reported_at`)
      })

      const saveDoubts = Effect.fn("Findings.saveDoubts")(function* (doubts: ReadonlyArray<DoubtFinding>) {
        if (doubts.length === 0) return
        yield* answerOf(sql`
          insert into doubts (order_id, attempt, asked, last_asked_at, next_check_at, evidence)
            select "orderId", attempt, asked, "lastAskedAt", "nextCheckAt", evidence
              from jsonb_to_recordset(${JSON.stringify(doubts)}::text::jsonb) as d("orderId" text, attempt int4,
                asked int4, "lastAskedAt" int8, "nextCheckAt" int8, evidence jsonb)
              order by "orderId"
            on conflict (order_id) do update set attempt = excluded.attempt, asked = excluded.asked,
              last_asked_at = excluded.last_asked_at, next_check_at = excluded.next_check_at, evidence = excluded.evidence`)
      })

      const doubts = Effect.fn("Findings.doubts")(function* (orderIds: ReadonlyArray<OrderId>) {
        return decodeDoubts(
          yield* answerOf(sql`select order_id as "orderId", attempt, asked, last_asked_at as "lastAskedAt",
              next_check_at as "nextCheckAt", evidence
            from doubts where order_id = any(${[...orderIds]}::text[]) order by order_id`)
        )
      })

      return Findings.of({
        saveReport,
        lastReport: Effect.map(answerOf(sql`select content from reconciliation`), (rows) => {
          const [row] = decodeReports(rows)
          return row?.content ?? null
        }),
        saveDoubts,
        doubts,
        forgetSettled: Effect.asVoid(
          answerOf(sql`delete from doubts d where not exists (
            select from orders o where o.order_id = d.order_id and o.status = 'EXECUTING'
              and o.attempt_state in ('STARTED', 'UNKNOWN'))`)
        ),
        lastReset: Effect.map(
          answerOf(sql`select occurred_at as at from events
            where stream_id = ${accountStream} and type = 'ExchangeReset' order by version desc limit 1`),
          (rows) => decodeResets(rows)[0]?.at ?? null
        )
      })
    })
  )
}
