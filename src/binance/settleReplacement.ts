/**
 * What became of both orders of a replacement whose answer nobody has: asked of the exchange, never guessed.
 *
 * A replacement has two effects, and each is settled under its own id from what was written down before it was sent. What
 * is there, or has ended, is believed at once. That the new order was never placed, or that the old one stands, counts
 * only when the question was asked after timestamp + recvWindow + δ + T on the exchange's clock, for either half
 * may come so late and be shown so late, and only when the symbol's lists say the same. Sends nothing that changes
 * anything, so it may be repeated for ever. Where the exchange's own id of the old order was not written down, an old
 * order that no read shows keeps both in doubt.
 */
import { Effect } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { conclusiveAt, ends, type Margins, mergeReports, provesAbsence, type Question } from "../domain/reconcile.ts"
import type { FoundOrder } from "./BinanceClient.ts"
import { BinanceClient } from "./BinanceClient.ts"
import type { BinanceError } from "./BinanceError.ts"
import type { Replacement } from "./OrderChanges.ts"
import { ServerTime } from "./ServerTime.ts"
import { surveyOf } from "./survey.ts"
import { isTheOneWeSent } from "./translate.ts"

/** The exchange's nodes need not agree to the second. */
const clockMarginMillis = 1_000

interface InDoubt {
  readonly _tag: "InDoubt"
  /** Asked again from this moment on the exchange's clock, there is an answer unless its reads contradict each other. */
  readonly notBefore: EpochMillis
}

/** It was accepted, executed nothing and ended, longer ago than the exchange shows. */
interface Archived {
  readonly _tag: "Archived"
}

/** The exchange knows neither order: it was reset, or the old one was never there. Nothing of them is open. */
interface Forgotten {
  readonly _tag: "Forgotten"
}

export type OldOrder =
  /** Cancelled, or ended before the cancel came: `exchangeStatus` tells which, `executedQuantity` what it filled. */
  | { readonly _tag: "Ended"; readonly report: ExchangeReport }
  /** The cancel was not carried out and will not be. What it has filled is the word of a moment. */
  | { readonly _tag: "Stands"; readonly report: ExchangeReport }
  | Archived
  | Forgotten
  | InDoubt

export type NewOrder =
  | { readonly _tag: "Placed"; readonly report: ExchangeReport }
  /** Proven: it was not accepted and will not be. */
  | { readonly _tag: "NeverPlaced" }
  /** An order under its id that is not the one that was sent: the id was used before, or by somebody else. */
  | { readonly _tag: "Another"; readonly order: FoundOrder }
  | Archived
  | Forgotten
  | InDoubt

export interface SettledReplacement {
  readonly old: OldOrder
  readonly next: NewOrder
}

/** What the exchange shows of one id of ours. */
type Sight = FoundOrder | "Archived" | null

/** The old order as its symbol's history shows it, which lags by T at most where other reads may lag for longer. */
type History = FoundOrder | "absent" | "unasked"

export const isSettled = ({ next, old }: SettledReplacement): boolean =>
  old._tag !== "InDoubt" && next._tag !== "InDoubt"

/** `replacement` as it was written down before it was sent. Fails when the exchange does not answer the questions. */
export const settleReplacement = Effect.fnUntraced(function* (
  replacement: Replacement,
  margins: Margins
): Effect.fn.Return<SettledReplacement, BinanceError, BinanceClient | ServerTime> {
  const client = yield* BinanceClient
  const serverTime = yield* ServerTime
  const { cancel, submission } = replacement
  const { symbol } = submission.request
  const conclusive = conclusiveAt(submission, margins)
  yield* serverTime.ensure
  const askedAt = (yield* serverTime.pessimisticNow) - clockMarginMillis
  const isLate = askedAt > conclusive

  let next = yield* sightOf(client, symbol, submission.clientOrderId)
  let asked: ReadonlyArray<Question> = ["order"]
  let known: ReadonlyMap<string, FoundOrder> = new Map()
  if (next === null && isLate) {
    const survey = yield* surveyOf(client, symbol, {
      from: submission.timestamp - clockMarginMillis,
      until: conclusive + clockMarginMillis
    })
    asked = survey.asked
    known = survey.found
    next = known.get(submission.clientOrderId) ?? null
  }
  // After the lists: whoever still shows the old order had not forgotten the new one when it did not show it.
  const old = mergeSights(yield* sightOf(client, symbol, cancel.clientOrderId), known.get(cancel.clientOrderId) ?? null)
  const history =
    isLate && old !== "Archived" && !hasEnded(old) ? yield* historyOf(client, replacement, old) : "unasked"

  const seen = history === "unasked" || history === "absent" ? old : mergeSights(old, history)
  const evidence = { askedAt, asked }
  return judge(replacement, { old: seen, history, next, evidence }, margins)
})

interface Sights {
  readonly old: Sight
  readonly history: History
  readonly next: Sight
  readonly evidence: { readonly askedAt: EpochMillis; readonly asked: ReadonlyArray<Question> }
}

const judge = (
  { mode, submission }: Replacement,
  { evidence, history, next, old }: Sights,
  margins: Margins
): SettledReplacement => {
  const conclusive = conclusiveAt(submission, margins)
  const inDoubt: InDoubt = { _tag: "InDoubt", notBefore: conclusive + 2 * clockMarginMillis }
  const isLate = evidence.askedAt > conclusive

  const judgeNew = (): NewOrder => {
    if (next === "Archived") return { _tag: "Archived" }
    if (next !== null) {
      return isTheOneWeSent(submission.request, next)
        ? { _tag: "Placed", report: next.report }
        : { _tag: "Another", order: next }
    }
    if (!provesAbsence(submission, evidence, margins)) return inDoubt
    if (old !== null) return { _tag: "NeverPlaced" }
    // An exchange that does not remember the one proves nothing of the other.
    return history === "absent" ? { _tag: "Forgotten" } : inDoubt
  }

  const judgeOld = (tried: NewOrder): OldOrder => {
    if (old === "Archived") return { _tag: "Archived" }
    if (old === null) return tried._tag === "Forgotten" ? { _tag: "Forgotten" } : inDoubt
    if (hasEnded(old)) return { _tag: "Ended", report: old.report }
    // The new order tells that the cancel was done; its own reads are behind.
    const isContradicted = mode === "STOP_ON_FAILURE" && (tried._tag === "Placed" || tried._tag === "Archived")
    const isShown = history !== "absent" && history !== "unasked"
    return isLate && isShown && !isContradicted ? { _tag: "Stands", report: old.report } : inDoubt
  }

  const placed = judgeNew()
  return { old: judgeOld(placed), next: placed }
}

const hasEnded = (sight: FoundOrder | null): boolean => sight !== null && ends.has(sight.report.exchangeStatus)

const mergeSights = (one: Sight, other: FoundOrder | null): Sight => {
  if (one === "Archived" || other === null) return one
  return one === null ? other : { ...one, report: mergeReports(one.report, other.report) }
}

type Client = BinanceClient["Service"]

const sightOf = (client: Client, symbol: string, clientOrderId: string): Effect.Effect<Sight, BinanceError> =>
  Effect.catch(client.queryOrder({ symbol, clientOrderId }), (error) => {
    switch (error.reason._tag) {
      case "OrderUnknown":
        return Effect.succeed(null)
      case "Archived":
        return Effect.succeed("Archived" as const)
      default:
        return Effect.fail(error)
    }
  })

/** Listed under the exchange's own id; unasked where nobody knows that. */
const historyOf = Effect.fnUntraced(function* (
  client: Client,
  { cancel }: Replacement,
  old: FoundOrder | null
): Effect.fn.Return<History, BinanceError> {
  const orderId = cancel.exchangeOrderId ?? old?.report.exchangeOrderId
  if (orderId === undefined) return "unasked"
  const [row] = yield* client.allOrders({ symbol: cancel.symbol, orderId, limit: 1 })
  return row?.clientOrderId === cancel.clientOrderId ? row : "absent"
})
