/**
 * What a frame of the user data stream says.
 *
 * Events come wrapped, with the number of their subscription. A report that cannot be read is taken for a gap and
 * never for nothing; an event that nobody knows shows only that the stream lives.
 */
import { Effect, Result, Schema } from "effect"
import type { Decimal } from "../domain/Decimal.ts"
import type { BinanceError } from "./BinanceError.ts"
import { classify } from "./classify.ts"
import { errorOf } from "./Gateway.ts"
import { waitHeader } from "./socketFrames.ts"
import { streamEndpoint } from "./StreamLink.ts"
import type { FoundOrder } from "./translate.ts"
import { positionsOf, streamReport } from "./translate.ts"
import { AccountPosition, clean, ExecutionReport, parseJson } from "./wire.ts"

export type UserEvent =
  /** Subscribed. What happened before may have been missed. */
  | { readonly _tag: "Connected" }
  /** No connection is left: what happens from here on is missed, until Connected. */
  | { readonly _tag: "Lost" }
  | ({ readonly _tag: "Report" } & FoundOrder)
  /** What the account now holds of some assets. */
  | {
      readonly _tag: "Positions"
      readonly positions: ReadonlyArray<{ readonly asset: string; readonly free: Decimal; readonly locked: Decimal }>
    }
  /** Something came in, went out or was locked, by an amount and not to a sum. */
  | { readonly _tag: "BalancesMoved" }
  /** Anything else that shows that the stream lives: pings, what nobody knows yet. */
  | { readonly _tag: "Other" }

/** The connection, or our subscription on it, is about to go. */
export interface Goodbye {
  readonly _tag: "Goodbye"
}

const Answer = Schema.Struct({
  id: Schema.NullOr(Schema.Union([Schema.Int, Schema.String])),
  status: Schema.Int,
  error: Schema.optionalKey(Schema.Unknown)
})
export type Answer = typeof Answer.Type
const decodeAnswer = Schema.decodeUnknownResult(Answer)

/** An answer to a request; undefined: it is something else. */
export const answerIn = (text: string): Answer | undefined =>
  Result.getOrUndefined(Result.flatMap(parseJson(text), decodeAnswer))

export const refusalOf = ({ error, status }: Answer): BinanceError =>
  errorOf(streamEndpoint, classify({ status, headers: waitHeader(error), body: JSON.stringify(error ?? null) }))

const Wrapped = Schema.Struct({ event: Schema.Struct({ e: Schema.String }) })
const decodeWrapped = Schema.decodeUnknownResult(Wrapped)
const decodeReport = Schema.decodeUnknownResult(Schema.Struct({ event: ExecutionReport }))
const decodePosition = Schema.decodeUnknownResult(Schema.Struct({ event: AccountPosition }))

const other: UserEvent = { _tag: "Other" }
const balancesMoved: UserEvent = { _tag: "BalancesMoved" }
const goodbye: Goodbye = { _tag: "Goodbye" }

export const newsOf = Effect.fnUntraced(function* (text: string): Effect.fn.Return<UserEvent | Goodbye, BinanceError> {
  const frame = Result.getOrUndefined(parseJson(text))
  const wrapped = decodeWrapped(frame)
  if (Result.isFailure(wrapped)) {
    const answer = Result.getOrUndefined(decodeAnswer(frame))
    // As when a key is revoked: the exchange answers a question that nobody asked.
    if (answer !== undefined && answer.status !== 200) return yield* refusalOf(answer)
    return other
  }
  switch (wrapped.success.event.e) {
    case "executionReport": {
      const report = decodeReport(frame)
      if (Result.isSuccess(report)) return { _tag: "Report", ...streamReport(report.success.event) }
      yield* Effect.logWarning("a report of the exchange could not be read; the orders are compared instead", {
        fault: clean(report.failure.message)
      })
      return { _tag: "Connected" }
    }
    case "outboundAccountPosition": {
      const position = decodePosition(frame)
      if (Result.isFailure(position)) return balancesMoved
      return { _tag: "Positions", positions: positionsOf(position.success.event) }
    }
    case "balanceUpdate":
    case "externalLockUpdate":
      return balancesMoved
    case "serverShutdown":
    case "eventStreamTerminated":
      return goodbye
    default:
      return other
  }
})
