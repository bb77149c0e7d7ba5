/**
 * All that is known of an order whose outcome is not: its attempts, what the exchange was asked and said, when it
 * is asked next, and the moment from which its no is final. For the trader who waits, for the operator who may
 * have to decide, and for the record of that decision.
 *
 * Attempts come from the log; questions from what the reconciler has found, in whichever process that runs.
 */
import { Context, DateTime, Effect, Layer, Result } from "effect"
import { AppConfig } from "../config.ts"
import type { StoredEvent } from "../domain/Envelope.ts"
import type { OrderEvent } from "../domain/Event.ts"
import { decode, isOrderEvent } from "../domain/Event.ts"
import type { EpochMillis, OrderId } from "../domain/Ids.ts"
import { conclusiveAt } from "../domain/reconcile.ts"
import { EventStore } from "../sql/EventStore.ts"
import { Findings } from "../sql/Findings.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"

export interface AttemptStory {
  readonly number: number
  readonly startedAt: EpochMillis
  /** What was sent, on the exchange's clock. */
  readonly timestamp: EpochMillis
  readonly recvWindowMillis: number
  /** NONE: no answer, or none that was written down before its process died. */
  readonly outcome: "NONE" | "UNKNOWN" | "ACCEPTED" | "REFUSED" | "ABSENT"
  readonly detail: string | null
}

export interface DoubtStory {
  /** When the newest attempt started. */
  readonly since: EpochMillis
  readonly attempts: ReadonlyArray<AttemptStory>
  /** How often the exchange was asked for the order, and its newest answer to each question. */
  readonly asked: number
  readonly answers: ReadonlyArray<{ readonly question: string; readonly answer: string; readonly at: EpochMillis }>
  /** Null: not planned yet, for the reconciler has not looked at it. */
  readonly nextCheckAt: EpochMillis | null
  /** On the exchange's clock: asked after this, it proves the order absent if it does not know it. */
  readonly conclusiveAt: EpochMillis
}

export class DoubtStories extends Context.Service<
  DoubtStories,
  {
    /** Null: the order was never attempted. */
    readonly of: (orderId: OrderId) => Effect.Effect<DoubtStory | null, StoreUnavailable>
  }
>()("nexus/engine/DoubtStories") {
  static readonly layer = Layer.effect(
    DoubtStories,
    Effect.gen(function* () {
      const { margins } = yield* AppConfig
      const findings = yield* Findings
      const store = yield* EventStore

      return DoubtStories.of({
        of: Effect.fnUntraced(function* (orderId: OrderId) {
          const [{ events }, found] = yield* Effect.all([store.load(orderId), findings.doubts([orderId])])
          const attempts = attemptsOf(events)
          const newest = attempts.at(-1)
          if (newest === undefined) return null
          const [finding] = found.filter(({ attempt }) => attempt === newest.number)
          return {
            since: newest.startedAt,
            attempts,
            asked: finding?.asked ?? 0,
            answers: finding?.evidence ?? [],
            nextCheckAt: finding?.nextCheckAt ?? null,
            conclusiveAt: conclusiveAt(newest, {
              deltaMillis: margins.delta_ms,
              stalenessMillis: margins.staleness_ms
            })
          }
        })
      })
    })
  )
}

/** The attempts of an order, oldest first, and what is written down of each. */
export const attemptsOf = (stored: ReadonlyArray<StoredEvent>): ReadonlyArray<AttemptStory> => {
  const attempts: Array<AttemptStory> = []
  for (const { data, occurredAt, schemaVersion, type } of stored) {
    const event = Result.getOrUndefined(decode(type, schemaVersion, data))
    if (event === undefined || !isOrderEvent(event)) continue
    if (event._tag === "SubmissionStarted") {
      const { attempt: number, recvWindowMillis, timestamp } = event
      attempts.push({ number, startedAt: occurredAt, timestamp, recvWindowMillis, outcome: "NONE", detail: null })
      continue
    }
    const outcome = outcomeOf(event)
    const last = attempts.pop()
    if (last !== undefined) attempts.push(outcome === null ? last : { ...last, ...outcome })
  }
  return attempts
}

const outcomeOf = (event: OrderEvent): Pick<AttemptStory, "outcome" | "detail"> | null => {
  switch (event._tag) {
    case "SubmissionUnknown":
      return { outcome: "UNKNOWN", detail: event.cause }
    case "SubmissionAccepted":
      return { outcome: "ACCEPTED", detail: `the exchange's order ${event.exchangeOrderId}, ${event.exchangeStatus}` }
    case "SubmissionRefused":
      return { outcome: "REFUSED", detail: `${event.code} ${event.message}` }
    case "SubmissionProvenAbsent":
      return { outcome: "ABSENT", detail: `asked: ${event.evidence.join(", ")}` }
    default:
      return null
  }
}

/** The same as lines, for a terminal and for the record of a decision. */
export const evidenceOf = ({ answers, asked, attempts }: DoubtStory): ReadonlyArray<string> => [
  ...attempts.map(
    ({ detail, number, outcome, recvWindowMillis, timestamp }) =>
      `attempt ${number}, sent as of ${iso(timestamp)} for ${recvWindowMillis} ms: ` +
      `${outcome === "NONE" ? "no answer" : outcome}${detail === null ? "" : ` (${detail})`}`
  ),
  ...(asked === 0 ? ["the exchange was not asked yet"] : [`the exchange was asked ${asked} times`]),
  ...answers.map(({ answer, at, question }) => `${question}, at ${iso(at)}: ${answer}`)
]

const iso = (at: EpochMillis): string => DateTime.formatIso(DateTime.makeUnsafe(at))
