/**
 * Settles attempts whose outcome nobody knows, by asking the exchange and never by guessing.
 *
 * A positive answer is adopted at once. A negative one counts only after timestamp + recvWindow + δ + T on
 * the exchange's clock, only if open orders, all orders and trades of the symbol, asked once per symbol, say the
 * same (domain/reconcile.ts decides), and only from an exchange that has not forgotten what it knew (Resets.ts).
 * Until then the order stays visibly UNKNOWN, with what was asked and answered so far (INV-3, INV-8).
 */
import { Clock, Context, Effect, Layer } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { surveyOf } from "../binance/survey.ts"
import { AppConfig } from "../config.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import type { Margins } from "../domain/reconcile.ts"
import { conclusiveAt, reconcile } from "../domain/reconcile.ts"
import type { Rejection } from "../domain/Rejection.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Findings } from "../sql/Findings.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { makeDoubtPlan } from "./DoubtPlan.ts"
import { Engine } from "./Engine.ts"
import { Resets } from "./Resets.ts"
import { Settlement } from "./Settlement.ts"

const pageSize = 500
const pages = 20
const concurrency = 4
// Half of what a list sees from its start: attempts further apart are surveyed apart.
const windowMillis = 12 * 3_600_000
// The exchange's nodes need not agree to the second.
const clockMarginMillis = 1_000

const noAnswer = "no answer of the exchange was written down"

type Failure = BinanceError | StoreUnavailable | Rejection

export class Doubts extends Context.Service<
  Doubts,
  {
    /**
     * One look at every attempt in doubt; how many there were. An answer that proves nothing is asked about at once,
     * an attempt without any answer only if it started before this moment: its sender may still be waiting.
     */
    readonly settle: (startedBefore: EpochMillis) => Effect.Effect<number, Failure>
  }
>()("nexus/engine/Doubts") {
  static readonly layer = Layer.effect(
    Doubts,
    Effect.gen(function* () {
      const { binance, margins } = yield* AppConfig
      const blotter = yield* Blotter
      const client = yield* BinanceClient
      const engine = yield* Engine
      const findings = yield* Findings
      const resets = yield* Resets
      const serverTime = yield* ServerTime
      const settlement = yield* Settlement
      const limits: Margins = { deltaMillis: margins.delta_ms, stalenessMillis: margins.staleness_ms }
      // When each order is asked about again, and what was answered; owned by the one caller of `settle`.
      const plan = makeDoubtPlan((attempt) => conclusiveAt(attempt, limits) + 2 * clockMarginMillis)

      const allInDoubt = Effect.fnUntraced(function* (startedBefore: EpochMillis) {
        const now = yield* Clock.currentTimeMillis
        const found: Array<BlotterRow> = []
        let after: string | null = null
        for (let page = 0; page < pages; page++) {
          const rows: ReadonlyArray<BlotterRow> = yield* blotter.inDoubt({ startedBefore: now, limit: pageSize, after })
          found.push(...rows.filter((row) => isAnswered(row) || (row.attempt?.startedAt ?? 0) <= startedBefore))
          if (rows.length < pageSize) break
          after = rows.at(-1)?.orderId ?? null
        }
        return found
      })

      // P3: the plain question. A failed one proves nothing and holds back nobody but its own order.
      const ask = (row: BlotterRow) =>
        client.queryOrder(row).pipe(
          Effect.flatMap((found) => settlement.adopt(row.orderId, found)),
          Effect.as("found" as const),
          Effect.catch((error) => {
            const reason = error._tag === "BinanceError" ? error.reason._tag : null
            if (reason === "OrderUnknown") return Effect.succeed("not found" as const)
            if (reason === "Archived") return Effect.as(endArchived(row), "found" as const)
            return Effect.as(
              Effect.logWarning(`an order in doubt could not be asked for: ${error.message}`, { orderId: row.orderId }),
              "failed" as const
            )
          }),
          Effect.tap((answer) => Effect.map(Clock.currentTimeMillis, (at) => plan.heard(row, "order", answer, at)))
        )

      const endArchived = (row: BlotterRow) =>
        Effect.catch(settlement.endArchived(row), (error) =>
          Effect.logWarning(`an archived order could not be ended: ${error.message}`, { orderId: row.orderId })
        )

      // Its sender may have waited with the journal for half of recvWindow, and for the answer after that.
      const isOrphaned = ({ attempt }: BlotterRow, now: EpochMillis) =>
        attempt !== null &&
        attempt.startedAt + attempt.recvWindowMillis / 2 + binance.testnet.timeout_ms + clockMarginMillis < now

      // Whoever sent it has died, or is past its time-out: whoever looks at the order is told that nobody knows.
      const say = ({ attempt, orderId }: BlotterRow) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) =>
          engine.tell(orderId, { _tag: "RecordDoubt", at, attempt: attempt?.number ?? 0, cause: noAnswer })
        ).pipe(
          Effect.catchTag("Rejection", ({ message }) =>
            Effect.logWarning(`a doubt could not be written down: ${message}`, { orderId })
          )
        )

      const settleSymbol = Effect.fnUntraced(function* (symbol: string, rows: ReadonlyArray<BlotterRow>) {
        // Before the first question, at the pessimistic end of our estimate.
        const askedAt = (yield* serverTime.pessimisticNow) - clockMarginMillis
        const answers = yield* Effect.forEach(rows, (row) => Effect.map(ask(row), (answer) => ({ row, answer })), {
          concurrency
        })
        const said = yield* Clock.currentTimeMillis
        yield* Effect.forEach(
          answers.filter(({ answer, row }) => answer !== "found" && !isAnswered(row) && isOrphaned(row, said)),
          ({ row }) => say(row),
          { discard: true }
        )
        const ripe = answers.flatMap(({ answer, row }) => {
          if (answer !== "not found" || row.attempt === null) return []
          const { startedAt, timestamp } = row.attempt
          const conclusive = conclusiveAt(row.attempt, limits)
          return askedAt > conclusive ? [{ row, timestamp, startedAt, conclusive }] : []
        })
        yield* Effect.forEach(windowsOf(ripe), (window) => prove(symbol, window, askedAt), { discard: true })
      })

      // P5: what the symbol's lists say.
      const prove = Effect.fnUntraced(function* (symbol: string, ripe: ReadonlyArray<Ripe>, askedAt: EpochMillis) {
        const { asked, found } = yield* surveyOf(client, symbol, {
          from: Math.min(...ripe.map(({ timestamp }) => timestamp)) - clockMarginMillis,
          until: Math.max(...ripe.map(({ conclusive }) => conclusive)) + clockMarginMillis
        })
        const now = yield* Clock.currentTimeMillis
        for (const { row } of ripe) plan.surveyed(row, asked, now)
        // Asked after the lists: an exchange that had forgotten by then has proven nothing with them.
        const remembers = yield* resets.intact
        const reset = (yield* resets.last) ?? 0
        const settleOne = Effect.fnUntraced(function* ({ row, startedAt }: Ripe) {
          const order = found.get(row.clientOrderId)
          if (order !== undefined) return yield* Effect.asVoid(settlement.adopt(row.orderId, order))
          if (!remembers || startedAt < reset) return
          const stream = yield* engine.read(row.orderId)
          if (stream === null) return
          const at = yield* Clock.currentTimeMillis
          const verdict = reconcile(stream.order, { _tag: "NotFound", askedAt, asked }, limits, at)
          if (verdict._tag === "Record") yield* engine.tell(row.orderId, verdict.command)
        })
        for (const one of ripe) {
          // One that a later release has written to holds back nobody but itself.
          yield* Effect.catchTag(settleOne(one), "Rejection", ({ message }) =>
            Effect.logWarning(`an order in doubt cannot be settled: ${message}`, { orderId: one.row.orderId })
          )
        }
      })

      const settle = Effect.fn("Doubts.settle")(function* (startedBefore: EpochMillis) {
        const rows = yield* allInDoubt(startedBefore)
        const due = plan.due(rows, yield* Clock.currentTimeMillis)
        yield* Effect.forEach(
          Map.groupBy(due, (row) => row.symbol),
          ([symbol, doubtful]) =>
            Effect.catch(settleSymbol(symbol, doubtful), (error: Failure) =>
              Effect.logWarning(`the doubts of ${symbol} could not be settled yet: ${error.message}`)
            ),
          { discard: true }
        )
        if (due.length > 0) yield* findings.saveDoubts(plan.findings(due))
        if (plan.forgot()) yield* findings.forgetSettled
        return rows.length
      })

      return Doubts.of({ settle })
    })
  )
}

interface Ripe {
  readonly row: BlotterRow
  readonly timestamp: EpochMillis
  readonly startedAt: EpochMillis
  readonly conclusive: EpochMillis
}

/** Groups attempts so that one survey, which sees 24 hours from its start, covers every attempt of a group. */
const windowsOf = (ripe: ReadonlyArray<Ripe>): ReadonlyArray<ReadonlyArray<Ripe>> => {
  const windows: Array<Array<Ripe>> = []
  for (const one of ripe.toSorted((a, b) => a.timestamp - b.timestamp)) {
    const window = windows.at(-1)
    if (window === undefined || one.timestamp - window[0]!.timestamp > windowMillis) windows.push([one])
    else window.push(one)
  }
  return windows
}

const isAnswered = ({ attempt }: BlotterRow): boolean => attempt?.state === "UNKNOWN"
