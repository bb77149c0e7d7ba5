/**
 * What can go wrong on purpose with one request, as data: the same words in a test's program and on the control port.
 *
 * A fault says which request it strikes, what the client gets to see, and, apart from that, when the request is done.
 */
import { Schema, Tuple } from "effect"
import type { Random } from "./Random.ts"

const longestMillis = 86_400_000
const greatestTimes = 1_000_000

const Millis = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: longestMillis }))
/** May lie before the deadline too. */
const Offset = Schema.Finite.check(Schema.isBetween({ minimum: -60_000, maximum: longestMillis }))
/** A number, or two of them: then drawn from the seed, evenly between the two. */
export const Span = Schema.Union([Millis, Schema.Tuple([Millis, Millis])])
const OffsetSpan = Schema.Union([Offset, Schema.Tuple([Offset, Offset])])

/** When the engine does the request. The deadline is its timestamp + recvWindow, on the exchange's clock. */
export const Done = Schema.Union([
  Schema.Literals(["now", "never"]),
  Schema.Struct({ afterMillis: Span }),
  Schema.Struct({ afterDeadlineMillis: OffsetSpan })
])

const whenDone = { done: Schema.optionalKey(Done) }

const FaultKinds = Schema.Union([
  /** The connection is cut instead of an answer; with `reset` by a TCP reset. */
  Schema.Struct({ kind: Schema.Literal("answerLost"), reset: Schema.optionalKey(Schema.Boolean), ...whenDone }),
  /** Cut before anything is done. */
  Schema.Struct({ kind: Schema.Literal("neverArrives") }),
  /** No answer, and the connection stays open. */
  Schema.Struct({ kind: Schema.Literal("hangs"), ...whenDone }),
  /** Done at once, answered after so long. */
  Schema.Struct({ kind: Schema.Literal("answerLate"), millis: Span }),
  /** The answer is cut in the middle. */
  Schema.Struct({ kind: Schema.Literal("answerCut"), ...whenDone }),
  /** A whole answer of status 200 that is no answer: half of the JSON, a page of HTML, nothing; or another Content-Type. */
  Schema.Struct({
    kind: Schema.Literal("answerGarbled"),
    how: Schema.Literals(["short", "html", "empty", "wrongType"]),
    ...whenDone
  }),
  /** Waits before a later check of its time: so long, or until so long after its deadline. */
  Schema.Struct({
    kind: Schema.Literal("held"),
    millis: Schema.optionalKey(Span),
    beyondDeadlineMillis: Schema.optionalKey(OffsetSpan),
    check: Schema.optionalKey(Schema.Literals(["second", "third"]))
  }),
  /** A page of HTML from a front end, 503 unless said otherwise. */
  Schema.Struct({
    kind: Schema.Literal("unavailable"),
    status: Schema.optionalKey(Schema.Literals([500, 502, 503, 504])),
    ...whenDone
  }),
  /** A code that says nothing of the outcome, -1007 unless said otherwise. */
  Schema.Struct({
    kind: Schema.Literal("timeout"),
    code: Schema.optionalKey(Schema.Literals([-1000, -1001, -1006, -1007, -1008, -1016])),
    ...whenDone
  }),
  /** 410 with a page of HTML, not done. */
  Schema.Struct({ kind: Schema.Literal("gone") }),
  /** 403 with a page of HTML, as a firewall answers; not done. */
  Schema.Struct({ kind: Schema.Literal("blocked") }),
  /** Not done, and refused with this answer. */
  Schema.Struct({
    kind: Schema.Literal("refused"),
    status: Schema.Int.check(Schema.isBetween({ minimum: 400, maximum: 599 })),
    code: Schema.Int,
    message: Schema.String,
    retryAfterSeconds: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300_000 })))
  }),
  /** A cancel whose order is filled just before it, wholly or in part. */
  Schema.Struct({
    kind: Schema.Literal("filledFirst"),
    share: Schema.optionalKey(Schema.Literals(["whole", "part"]))
  }),
  /** A cancel-replace whose cancel is done now and whose new order at another moment, if ever; no answer, the connection stays open. */
  Schema.Struct({ kind: Schema.Literal("halved"), placed: Schema.optionalKey(Done) }),
  /** The exchange's process is killed: before the request is done, or after it is written and before its answer. */
  Schema.Struct({ kind: Schema.Literal("crash"), when: Schema.Literals(["arrived", "written"]) })
])

/** Which request: `POST /api/v3/order` over REST, or `order.place` over the WebSocket API. */
const target = {
  on: Schema.String,
  /** Only requests that name this order, by its own id or as the one to be cancelled or read. */
  clientOrderId: Schema.optionalKey(Schema.String)
}

export const Times = Schema.Union([
  Schema.Literal("always"),
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: greatestTimes }))
])

const bounds = {
  /** How often it strikes; once unless said otherwise. */
  times: Schema.optionalKey(Times),
  /** How many matching requests pass before it does. */
  skip: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: greatestTimes })))
}

export const Fault = FaultKinds.mapMembers(Tuple.map(Schema.fieldsAssign({ ...target, ...bounds })))
/** Drawn from the seed for each matching request. */
export const Rate = FaultKinds.mapMembers(
  Tuple.map(
    Schema.fieldsAssign({
      ...target,
      probability: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    })
  )
)

export type FaultKind = typeof FaultKinds.Type
export type Fault = typeof Fault.Type
export type Rate = typeof Rate.Type
export type Done = typeof Done.Type
export type Span = typeof Span.Type

/** A fault that strikes now, with the chance that belongs to this one time. */
export interface Strike {
  readonly fault: FaultKind
  readonly random: Random
}

export const drawn = (span: Span, random: Random): number =>
  typeof span === "number" ? span : span[0] + random.next() * (span[1] - span[0])
