/**
 * What goes wrong, as RFC 9457 `application/problem+json`, beside the `error` string of the original API
 * and a stable `code`. Codes in capitals are about the order, in the words of the log and of the exchange;
 * codes in small letters are about the request or about us.
 *
 * No stack, no SQL and no path of ours ever stands in one.
 */
import { randomUUID } from "node:crypto"
import { STATUS_CODES } from "node:http"
import { Schema } from "effect"

/** One thing that is wrong with a request, and what would pass. */
export const Check = Schema.Struct({
  code: Schema.String,
  /** The field of the body, or the name of the query parameter; empty: the body itself. */
  field: Schema.String,
  limit: Schema.NullOr(Schema.String),
  actual: Schema.NullOr(Schema.String),
  hint: Schema.String
})
export type Check = typeof Check.Type

export const problemCodes = [
  "invalid_request",
  "invalid_parameter",
  "not_supported_yet",
  "filter_denied",
  "ORDER_NOT_FOUND",
  "ORDER_ID_TAKEN",
  "TOO_LATE",
  "NOT_DUE",
  "PARKED",
  "NOT_STUCK",
  "symbol_not_found",
  "not_found",
  "method_not_allowed",
  "body_too_large",
  "address_too_long",
  "unsupported_media_type",
  "foreign_host",
  "foreign_origin",
  "bad_http",
  "headers_too_large",
  "request_timeout",
  "overloaded",
  "unknown_outcome",
  "instruments_unknown",
  "log_broken",
  "exchange_away",
  "store_unavailable",
  "internal"
] as const

export const Problem = Schema.Struct({
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.String,
  /** The same as `detail`: what clients of the original API read. */
  error: Schema.String,
  code: Schema.Literals(problemCodes),
  checks: Schema.Array(Check),
  request_id: Schema.String
})
export type Problem = typeof Problem.Type
export type ProblemCode = Problem["code"]

/** An answer, ready to be written. */
export interface Answer {
  readonly status: number
  /** Names and values in turn, without those that every answer has. */
  readonly headers: ReadonlyArray<string>
  readonly body: string
}

const jsonHeaders = ["Content-Type", "application/json"]

export const json = (status: number, body: string, headers: ReadonlyArray<string> = []): Answer => ({
  status,
  headers: headers.length === 0 ? jsonHeaders : [...jsonHeaders, ...headers],
  body
})

export const problem = (
  status: number,
  code: ProblemCode,
  detail: string,
  extra: { readonly checks?: ReadonlyArray<Check>; readonly headers?: ReadonlyArray<string> } = {}
): Answer => {
  const requestId = randomUUID()
  const content: Problem = {
    type: `urn:nexus:problem:${code.toLowerCase()}`,
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail,
    error: detail,
    code,
    checks: extra.checks ?? [],
    request_id: requestId
  }
  return {
    status,
    headers: ["Content-Type", "application/problem+json", "X-Request-Id", requestId, ...(extra.headers ?? [])],
    body: JSON.stringify(content)
  }
}

/** By which the log tells the rest of the story. */
export const requestIdOf = ({ headers }: Answer): string | undefined => headers[headers.indexOf("X-Request-Id") + 1]

/** Seconds, spread so that clients that were turned away together do not come back together. */
const retryAfterSeconds = { minimum: 1, maximum: 3 }

/** A 503 that a client may repeat with the same id after a moment. */
export const tryAgain = (code: ProblemCode, detail: string): Answer => {
  const { maximum, minimum } = retryAfterSeconds
  const seconds = minimum + Math.floor(Math.random() * (maximum - minimum + 1))
  return problem(503, code, detail, { headers: ["Retry-After", `${seconds}`] })
}

export const invalid = (checks: ReadonlyArray<Check>): Answer =>
  problem(400, "invalid_request", describe(checks), { checks })

/** All checks in one sentence each, for people who read only `error`. */
export const describe = (checks: ReadonlyArray<Check>): string =>
  checks.map(({ field, hint }) => (field === "" ? hint : `${field}: ${hint}`)).join("; ")
