/**
 * When each order in doubt is asked about again, and what the exchange has answered so far. The pause doubles, for an
 * order that exists is usually visible at once, but nobody sleeps past the moment from which a no is conclusive.
 *
 * Pure state, owned by the one loop that settles doubts. It is lost with the process: the next owner asks at once.
 */
import type { EpochMillis, OrderId } from "../domain/Ids.ts"
import type { Question } from "../domain/reconcile.ts"
import { questions } from "../domain/reconcile.ts"
import type { Attempt } from "../domain/Order.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import type { DoubtAnswer, DoubtFinding } from "../sql/Findings.ts"

const firstPauseMillis = 1_000
const longestPauseMillis = 15_000

interface Entry {
  readonly attempt: number
  readonly pause: number
  readonly notBefore: EpochMillis
  asked: number
  lastAskedAt: EpochMillis
  readonly answers: Map<string, DoubtAnswer>
}

export const makeDoubtPlan = (ripeAt: (attempt: Attempt) => EpochMillis) => {
  let entries = new Map<OrderId, Entry>()
  // One: whatever an owner before this one has left is looked through once.
  let left = 1

  return {
    /** Those of them that are asked about now; the others wait. What is not among the rows is forgotten. */
    due: (rows: ReadonlyArray<BlotterRow>, now: EpochMillis): ReadonlyArray<BlotterRow> => {
      const next = new Map<OrderId, Entry>()
      const due = rows.filter((row) => {
        const known = entries.get(row.orderId)
        const before = known?.attempt === row.attempt?.number ? known : undefined
        if (before !== undefined && before.notBefore > now) {
          next.set(row.orderId, before)
          return false
        }
        const pause = Math.min((before?.pause ?? firstPauseMillis / 2) * 2, longestPauseMillis)
        const ripe = row.attempt === null ? 0 : ripeAt(row.attempt)
        next.set(row.orderId, {
          attempt: row.attempt?.number ?? 0,
          pause,
          notBefore: ripe > now ? Math.min(now + pause, ripe) : now + pause,
          asked: before?.asked ?? 0,
          lastAskedAt: before?.lastAskedAt ?? now,
          answers: before?.answers ?? new Map()
        })
        return true
      })
      for (const orderId of entries.keys()) if (!next.has(orderId)) left += 1
      entries = next
      return due
    },

    heard: (row: BlotterRow, question: Question, answer: string, at: EpochMillis): void => {
      const entry = entries.get(row.orderId)
      if (entry === undefined) return
      entry.asked += 1
      entry.lastAskedAt = at
      entry.answers.set(question, { question, answer, at })
    },

    /** The lists of its symbol were read: to their end, or only so far. */
    surveyed: (row: BlotterRow, asked: ReadonlyArray<Question>, at: EpochMillis): void => {
      const entry = entries.get(row.orderId)
      for (const question of questions) {
        if (question === "order") continue
        const answer = asked.includes(question) ? "not found" : "not read to its end"
        entry?.answers.set(question, { question, answer, at })
      }
    },

    findings: (rows: ReadonlyArray<BlotterRow>): ReadonlyArray<DoubtFinding> =>
      rows.flatMap(({ orderId }) => {
        const entry = entries.get(orderId)
        if (entry === undefined) return []
        const { answers, asked, attempt, lastAskedAt, notBefore: nextCheckAt } = entry
        return [{ orderId, attempt, asked, lastAskedAt, nextCheckAt, evidence: Array.from(answers.values()) }]
      }),

    /** Whether any was settled since this was last asked. */
    forgot: (): boolean => {
      const any = left > 0
      left = 0
      return any
    }
  }
}
