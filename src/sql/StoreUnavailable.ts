/**
 * PostgreSQL did not answer, or answered with something that is not about the data: a lost connection,
 * a time-out, a server that starts or is read-only. The same question is safe to ask again.
 *
 * Errors of the data itself (SQLSTATE class 22 and 23) are never mapped to this one.
 */
import { Effect, Schema } from "effect"
import { isSqlError } from "effect/sql/SqlError"

export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  /** What PostgreSQL or the connection said; empty when nothing is known. */
  detail: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `PostgreSQL is not available: ${this.detail}`
  }

  static readonly of = (cause: unknown): StoreUnavailable => new StoreUnavailable({ detail: detailOf(cause), cause })
}

/** The SQLSTATE of a failed statement; null when the server did not answer at all. */
export const sqlStateOf = (error: unknown): string | null => {
  const answered = isSqlError(error) ? error.reason.cause : error
  // Only an answer of the server has a severity; Node has codes of five letters too (EPIPE).
  return typeof answered === "object" &&
    answered !== null &&
    "severity" in answered &&
    "code" in answered &&
    typeof answered.code === "string"
    ? answered.code
    : null
}

/** What is wrong is the data of the statement, so the same statement fails for ever: class 22 (data) or 23 (constraint). */
export const isDataError = (sqlState: string | null): boolean =>
  sqlState !== null && (sqlState.startsWith("22") || sqlState.startsWith("23"))

export const detailOf = (error: unknown): string => {
  const answered = isSqlError(error) ? error.reason.cause : error
  const said = answered instanceof Error ? answered.message : ""
  const outer = error instanceof Error ? error.message : ""
  return said === "" || said === outer ? outer : `${outer}: ${said}`
}

// The server's own statement_timeout is shorter; this is for the answer that never comes.
const answerTimeout = "15 seconds"

/** The answer of a read, or that there was none in time. */
export const answerOf = <A>(statement: Effect.Effect<A, unknown>): Effect.Effect<A, StoreUnavailable> =>
  statement.pipe(
    Effect.mapError(StoreUnavailable.of),
    Effect.timeoutOrElse({
      duration: answerTimeout,
      orElse: () => Effect.fail(StoreUnavailable.of(new Error("no answer in time")))
    })
  )
