/**
 * Decides what an answer of the exchange that is no success means. Unlisted means unknown.
 *
 * By code first, then by HTTP class: the status that comes with the codes of an unknown outcome is not documented.
 */
import { Option, Result, Schema } from "effect"
import type { Reason } from "./BinanceError.ts"
import { Archived, DuplicateOrder, OrderUnknown, OutcomeUnknown, RateLimited, Refused } from "./BinanceError.ts"
import { type CodeGroup, type EngineGroup, engineMessages, groupOf } from "./codes.ts"
import { clean, ErrorBody, parseJson } from "./wire.ts"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: string
}

const filterPrefix = "Filter failure: "
const invalidTimestamp = -1021
const tooManyOrders = -1015
const tooManyStatus = 429
const bannedStatus = 418

/** Waits where the exchange names none: a weight window, an order window, the shortest ban, a firewall's patience. */
const defaultWaitMillis = { weight: 60_000, orders: 10_000, ban: 120_000, firewall: 60_000 } as const

const decodeError = Schema.decodeUnknownOption(ErrorBody)
const hasOrder = Schema.is(Schema.Struct({ orderId: Schema.Unknown }))

/** `answer` is not 2XX. */
export const classify = (answer: Answer): Reason => {
  const body = Result.getOrUndefined(parseJson(answer.body))
  const error = Option.getOrUndefined(decodeError(body))
  const { status } = answer
  const group = error === undefined ? undefined : groupOf(error.code)
  if (group === "unknown" || status < 400 || status >= 500 || hasOrder(body)) return unknown(answer, error)
  if (error !== undefined) {
    if (group === "parts") return inParts(error, body)
    if (group === "limit") return limited(answer, error)
    const byCode = classifyCode(error.code, error.msg)
    if (byCode !== null) return byCode
  }
  if (status === tooManyStatus || status === bannedStatus || status === 403) return limited(answer, error)
  return unknown(answer, error)
}

/** Null: the code does not decide. */
const classifyCode = (code: number, message: string): Reason | null => {
  const refused = (repeatable: boolean) => new Refused({ code: `${code}`, exchangeMessage: clean(message), repeatable })
  // Filters that the engine counts come back under other codes than those of the API.
  if (message.startsWith(filterPrefix)) return refused(false)
  const group = groupOf(code)
  const said = engineMessages.get(message)
  switch (group) {
    case "absent":
      return new OrderUnknown({ code: `${code}` })
    case "archived":
      return new Archived({})
    // Nothing is wrong with the order itself.
    case "mend":
    case "keys":
      return refused(true)
    case "cancel":
      return said === "notOpen" ? new OrderUnknown({ code: `${code}` }) : refused(isOfTheMoment(said))
    case "engine":
      if (said === "duplicate") return new DuplicateOrder({})
      // Of an amendment: its order is not open.
      return said === "notOpen" ? new OrderUnknown({ code: `${code}` }) : refused(isOfTheMoment(said))
    case "request":
      return refused(isOfTheMoment(said))
    default:
      return null
  }
}

// A book too thin for a quote quantity might be another one later too, but the trader asked for this market, and
// decides anew about another one.
const isOfTheMoment = (said: EngineGroup | undefined): boolean => said === "closed" || said === "access"

/** A cancel and an order in one request, of which not both were done; what came of each stands in the answer. */
export class InParts extends Error {
  readonly code: number
  /** As the exchange sent it. */
  readonly body: unknown
  constructor(error: ErrorOf, body: unknown) {
    super(`done in parts: ${error.code} ${clean(error.msg)}`)
    this.code = error.code
    this.body = body
  }
}

export const isInParts = (reason: Reason): boolean =>
  reason._tag === "OutcomeUnknown" && reason.cause instanceof InParts

// For whoever did not ask for two things, that is no answer.
const inParts = (error: ErrorOf, body: unknown): Reason => new OutcomeUnknown({ cause: new InParts(error, body) })

/**
 * The limit that an answer tells of, to be obeyed. One in parts may have it in its status alone: then an order among the
 * parts was one too many.
 */
export const limitOf = (answer: Answer, reason: Reason): RateLimited | null => {
  if (reason._tag === "RateLimited") return reason
  if (!isInParts(reason) || answer.status !== tooManyStatus) return null
  return limited(answer, { code: tooManyOrders, msg: "too many new orders" })
}

const limited = (answer: Answer, error: ErrorOf | undefined): RateLimited => {
  const code = error === undefined ? `HTTP_${answer.status}` : `${error.code}`
  const exchangeMessage = error === undefined ? "refused at the exchange's edge" : clean(error.msg)
  return new RateLimited({
    code,
    exchangeMessage,
    retryAfterMillis: retryAfterMillis(answer) ?? defaultWait(answer, error),
    ...(answer.status === bannedStatus ? { banned: true as const } : {})
  })
}

const defaultWait = (answer: Answer, error: ErrorOf | undefined): number => {
  if (answer.status === bannedStatus) return defaultWaitMillis.ban
  if (answer.status === 403) return defaultWaitMillis.firewall
  return error?.code === tooManyOrders ? defaultWaitMillis.orders : defaultWaitMillis.weight
}

/** The header is in seconds. A wait above the longest ban is a fault of somebody's, and cut. */
const longestWaitMillis = 3 * 86_400_000

export const retryAfterMillis = (answer: Pick<Answer, "headers">): number | null => {
  const header = answer.headers["retry-after"]
  return typeof header === "string" && /^\d{1,9}$/.test(header)
    ? Math.min(Number(header) * 1_000, longestWaitMillis)
    : null
}

/** True when only new orders are stopped; cancels and queries go on. */
export const stopsOrdersOnly = (reason: RateLimited): boolean => reason.code === `${tooManyOrders}`

/** True when the request's timestamp was refused: our estimate of the exchange's clock is wrong, or the way was long. */
export const isClockRefusal = (reason: Reason): boolean =>
  reason._tag === "Refused" && reason.code === `${invalidTimestamp}`

/** True when not this request but our keys were refused: no other one will do better. */
export const isCredentialRefusal = (reason: Reason): boolean =>
  reason._tag === "Refused"
    ? groupOf(Number(reason.code)) === "keys" || engineMessages.get(reason.exchangeMessage) === "access"
    : reason._tag === "OutcomeUnknown" && reason.cause instanceof Unauthorized

const pastTheKeys: ReadonlySet<CodeGroup | undefined> = new Set(["engine", "cancel"])

/** True when the exchange looked at the order itself, so that it had taken our keys. */
export const isPastTheKeys = (reason: Reason): boolean => {
  switch (reason._tag) {
    case "OrderUnknown":
    case "DuplicateOrder":
    case "Archived":
      return true
    case "Refused":
      return pastTheKeys.has(groupOf(Number(reason.code)))
    default:
      return false
  }
}

type ErrorOf = typeof ErrorBody.Type

/** HTTP 401 without a code that is known: no statement about the order, but one about our keys. */
class Unauthorized extends Error {}

const unknown = (answer: Answer, error: ErrorOf | undefined): Reason => {
  const what =
    error === undefined
      ? `HTTP ${answer.status} without an error that is known`
      : `HTTP ${answer.status}, ${error.code} ${clean(error.msg)}`
  return new OutcomeUnknown({ cause: answer.status === 401 ? new Unauthorized(what) : new Error(what) })
}
