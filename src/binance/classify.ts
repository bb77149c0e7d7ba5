/**
 * Decides what an answer of the exchange that is no success means. Unlisted means unknown.
 *
 * By code first, then by HTTP class: the status that comes with the codes of an unknown outcome is not documented.
 */
import { Option, Result, Schema } from "effect"
import type { Reason } from "./BinanceError.ts"
import { Archived, DuplicateOrder, OrderUnknown, OutcomeUnknown, RateLimited, Refused } from "./BinanceError.ts"
import { clean, ErrorBody, parseJson } from "./wire.ts"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: string
}

/** UNKNOWN, DISCONNECTED, UNEXPECTED_RESP, TIMEOUT, SERVER_BUSY, SERVICE_SHUTTING_DOWN. */
const unknownCodes: ReadonlySet<number> = new Set([-1000, -1001, -1006, -1007, -1008, -1016])

/** Beside -11xx: refusals that are made before anything happens. */
const definiteCodes: ReadonlySet<number> = new Set([
  -1002, -1010, -1013, -1014, -1020, -1021, -1022, -1034, -2010, -2014, -2015
])

/** UNAUTHORIZED, INVALID_SIGNATURE, BAD_API_KEY_FMT, REJECTED_MBX_KEY: our keys are refused, whatever the order. */
const credentialCodes: ReadonlySet<number> = new Set([-1002, -1022, -2014, -2015])

/** INVALID_TIMESTAMP, TOO_MANY_CONNECTIONS and refused keys: nothing is wrong with the order itself. */
const repeatableCodes: ReadonlySet<number> = new Set([-1021, -1034, ...credentialCodes])

// The other message that a later try might survive, a book too thin for a quote quantity, is final here: the
// trader asked for this market, and decides anew about another one.
const repeatableMessages: ReadonlySet<string> = new Set(["Market is closed."])

const duplicateMessage = "Duplicate order sent."
const bannedStatus = 418
const unknownOrderMessage = "Unknown order sent."
const filterPrefix = "Filter failure: "

const invalidTimestamp = -1021
const tooManyRequests = -1003
const tooManyOrders = -1015
const newOrderRejected = -2010
const cancelRejected = -2011
const noSuchOrder = -2013
const archived = -2026
const idsDiffer = -2039

/** Waits where the exchange names none: a weight window, an order window, the shortest ban, a firewall's patience. */
const defaultWaitMillis = { weight: 60_000, orders: 10_000, ban: 120_000, firewall: 60_000 } as const

export const isUnknownCode = (code: number): boolean => unknownCodes.has(code)

const decodeError = Schema.decodeUnknownOption(ErrorBody)
const hasOrder = Schema.is(Schema.Struct({ orderId: Schema.Unknown }))

/** `answer` is not 2XX. */
export const classify = (answer: Answer): Reason => {
  const body = Result.getOrUndefined(parseJson(answer.body))
  const error = Option.getOrUndefined(decodeError(body))
  const { status } = answer
  if (error !== undefined && unknownCodes.has(error.code)) return unknown(answer, error)
  if (status < 400 || status >= 500 || hasOrder(body)) return unknown(answer, error)
  if (error !== undefined) {
    if (error.code === tooManyRequests || error.code === tooManyOrders) return limited(answer, error)
    const byCode = classifyCode(error.code, error.msg)
    if (byCode !== null) return byCode
  }
  if (status === 429 || status === bannedStatus || status === 403) return limited(answer, error)
  return unknown(answer, error)
}

/** Null: the code alone does not decide. */
const classifyCode = (code: number, message: string): Reason | null => {
  const refused = (repeatable: boolean) => new Refused({ code: `${code}`, exchangeMessage: clean(message), repeatable })
  if (code === noSuchOrder || code === idsDiffer) return new OrderUnknown({ code: `${code}` })
  if (code === archived) return new Archived({})
  if (code === newOrderRejected && message === duplicateMessage) return new DuplicateOrder({})
  if (code === cancelRejected) {
    return message === unknownOrderMessage
      ? new OrderUnknown({ code: `${code}` })
      : refused(repeatableMessages.has(message))
  }
  // Filters that the engine counts come back under other codes than those of the API.
  if (message.startsWith(filterPrefix)) return refused(false)
  if (definiteCodes.has(code) || (code <= -1100 && code > -1200)) {
    return refused(repeatableCodes.has(code) || repeatableMessages.has(message))
  }
  return null
}

const limited = (answer: Answer, error: ErrorOf | undefined): Reason => {
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
    ? credentialCodes.has(Number(reason.code))
    : reason._tag === "OutcomeUnknown" && reason.cause instanceof Unauthorized

/** True when the exchange looked at the order itself, so that it had taken our keys. */
export const isPastTheKeys = (reason: Reason): boolean => {
  switch (reason._tag) {
    case "OrderUnknown":
    case "DuplicateOrder":
    case "Archived":
      return true
    case "Refused":
      return reason.code === `${newOrderRejected}` || reason.code === `${cancelRejected}`
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
