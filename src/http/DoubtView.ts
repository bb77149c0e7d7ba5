/**
 * The doubt about an order as the API shows it: evidence so far, next check, deadline. Only where one order is
 * read, and only while its newest attempt has no clear outcome.
 */
import { Schema } from "effect"
import type { EpochMillis } from "../domain/Ids.ts"
import type { AttemptStory, DoubtStory } from "../engine/DoubtStories.ts"
import { OrderView, time } from "./OrderView.ts"
import { ParkedView } from "./ParkedView.ts"

const Time = Schema.String.annotate({ format: "date-time" })

export const DoubtView = Schema.Struct({
  unknown_since: Time,
  attempts: Schema.Array(
    Schema.Struct({
      attempt: Schema.Int,
      started_at: Time,
      timestamp: Time.annotateKey({ description: "What was sent, on the exchange's clock." }),
      recv_window_ms: Schema.Int,
      outcome: Schema.Literals(["NONE", "UNKNOWN", "ACCEPTED", "REFUSED", "ABSENT"]).annotateKey({
        description: "NONE: no answer, or none that was written down before its process ended."
      }),
      detail: Schema.NullOr(Schema.String)
    })
  ),
  asked: Schema.Int.annotateKey({ description: "How often the exchange was asked for the order." }),
  evidence: Schema.Array(Schema.Struct({ question: Schema.String, answer: Schema.String, at: Time })).annotateKey({
    description: "The newest answer of the exchange to each question."
  }),
  next_check_at: Schema.NullOr(Time),
  conclusive_at: Time.annotateKey({
    description: "If the exchange, asked after this, does not know the order, it was not accepted and never will be."
  })
})

/** One order, read alone. */
export const OrderDetail = Schema.Struct({
  ...OrderView.fields,
  doubt: Schema.optionalKey(DoubtView).annotateKey({ description: "Only while the newest attempt is in doubt." }),
  parked: Schema.optionalKey(ParkedView).annotateKey({ description: "Only while the order waits for an operator." })
})

/** The order's JSON with the doubt as its last member. */
export const withDoubt = (order: string, story: DoubtStory): string =>
  `${order.slice(0, -1)},"doubt":${JSON.stringify({
    unknown_since: time(story.since),
    attempts: story.attempts.map(attempt),
    asked: story.asked,
    evidence: story.answers.map(({ answer, at, question }) => ({ question, answer, at: time(at) })),
    next_check_at: timeOrNull(story.nextCheckAt),
    conclusive_at: time(story.conclusiveAt)
  })}}`

const attempt = ({ detail, number, outcome, recvWindowMillis, startedAt, timestamp }: AttemptStory) => ({
  attempt: number,
  started_at: time(startedAt),
  timestamp: time(timestamp),
  recv_window_ms: recvWindowMillis,
  outcome,
  detail
})

const timeOrNull = (at: EpochMillis | null): string | null => (at === null ? null : time(at))
