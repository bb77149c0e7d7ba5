/**
 * How the log and the exchange agree, as any replica can tell: the last comparison, the orders made elsewhere under
 * our keys, the attempts whose outcome is not known yet with what was asked about them, and the last reset.
 * Reads only what the reconciler, wherever it runs, has written down.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import type { EpochMillis, OrderId } from "../domain/Ids.ts"
import { conclusiveAt } from "../domain/reconcile.ts"
import { Blotter } from "../sql/Blotter.ts"
import type { DoubtAnswer, ReconciliationReport } from "../sql/Findings.ts"
import { Findings } from "../sql/Findings.ts"
import type { ForeignOrder } from "../sql/ForeignOrders.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { ForeignOrders } from "./ForeignOrders.ts"

// Rows of one answer; the number of all of them is told beside it.
const listedDoubts = 500

export interface Doubt {
  readonly orderId: OrderId
  readonly symbol: string
  readonly attempt: number
  /** When the attempt started. */
  readonly since: EpochMillis
  readonly asked: number
  /** The newest answer to each question. */
  readonly evidence: ReadonlyArray<DoubtAnswer>
  /** Null: not looked at yet. */
  readonly nextCheckAt: EpochMillis | null
  /** On the exchange's clock: asked after this, it proves the order absent if it does not know it. */
  readonly conclusiveAt: EpochMillis
}

export interface ReconciliationState {
  /** Null: nothing was compared yet. */
  readonly report: ReconciliationReport | null
  readonly foreign: ReadonlyArray<ForeignOrder>
  readonly doubts: ReadonlyArray<Doubt>
  readonly doubtCount: number
  readonly lastResetAt: EpochMillis | null
}

export class Reconciliation extends Context.Service<
  Reconciliation,
  { readonly read: Effect.Effect<ReconciliationState, StoreUnavailable> }
>()("nexus/engine/Reconciliation") {
  static readonly layer = Layer.effect(
    Reconciliation,
    Effect.gen(function* () {
      const { margins } = yield* AppConfig
      const blotter = yield* Blotter
      const findings = yield* Findings
      const foreign = yield* ForeignOrders
      const limits = { deltaMillis: margins.delta_ms, stalenessMillis: margins.staleness_ms }

      const doubts = Effect.gen(function* () {
        const startedBefore = yield* Clock.currentTimeMillis
        const rows = yield* blotter.inDoubt({ startedBefore, limit: listedDoubts, after: null })
        const found = yield* findings.doubts(rows.map(({ orderId }) => orderId))
        const known = new Map(found.map((one) => [`${one.orderId} ${one.attempt}`, one]))
        return rows.flatMap(({ attempt, orderId, symbol }): ReadonlyArray<Doubt> => {
          if (attempt === null) return []
          const one = known.get(`${orderId} ${attempt.number}`)
          return [
            {
              orderId,
              symbol,
              attempt: attempt.number,
              since: attempt.startedAt,
              asked: one?.asked ?? 0,
              evidence: one?.evidence ?? [],
              nextCheckAt: one?.nextCheckAt ?? null,
              conclusiveAt: conclusiveAt(attempt, limits)
            }
          ]
        })
      })

      return Reconciliation.of({
        read: Effect.gen(function* () {
          const [report, made, open, { count }, lastResetAt] = yield* Effect.all(
            [findings.lastReport, foreign.read, doubts, blotter.doubtCounts, findings.lastReset],
            { concurrency: "unbounded" }
          )
          return { report, foreign: made, doubts: open, doubtCount: count, lastResetAt }
        })
      })
    })
  )
}
