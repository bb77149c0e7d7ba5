/**
 * Frames of the exchange's WebSocket API, and answers among them in the form that REST gives them.
 *
 * What REST says in headers, used weight and how long to wait, stands in the frame there; it is put back into headers,
 * so that one budget and one classification serve both ways. Anything that nobody knows is no answer.
 */
import { Option, Result, Schema } from "effect"
import type { Answer } from "./classify.ts"
import { parseJson } from "./wire.ts"

export type SocketFrame =
  | { readonly _tag: "Answer"; readonly id: string; readonly answer: Answer }
  /** The exchange is about to close this connection. */
  | { readonly _tag: "Goodbye" }
  | { readonly _tag: "Other" }

const Envelope = Schema.Struct({
  id: Schema.String,
  status: Schema.Int,
  result: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(Schema.Unknown),
  rateLimits: Schema.optionalKey(Schema.Array(Schema.Unknown))
})
const Goodbye = Schema.Struct({ event: Schema.Struct({ e: Schema.Literal("serverShutdown") }) })
const Count = Schema.Struct({
  rateLimitType: Schema.String,
  interval: Schema.String,
  intervalNum: Schema.Int,
  count: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999_999_999_999 }))
})
/** Absolute times in ms, both on the exchange's clock. */
const Wait = Schema.Struct({ data: Schema.Struct({ serverTime: Schema.Int, retryAfter: Schema.Int }) })

const decodeEnvelope = Schema.decodeUnknownOption(Envelope)
const isGoodbye = Schema.is(Goodbye)
const decodeCount = Schema.decodeUnknownOption(Count)
const decodeWait = Schema.decodeUnknownOption(Wait)

export const readFrame = (text: string): SocketFrame => {
  const frame = Result.getOrUndefined(parseJson(text))
  const envelope = Option.getOrUndefined(decodeEnvelope(frame))
  if (envelope === undefined) return isGoodbye(frame) ? { _tag: "Goodbye" } : { _tag: "Other" }
  const { error, id, rateLimits, result, status } = envelope
  const headers = { ...usedHeaders(rateLimits), ...waitHeader(error) }
  const body = JSON.stringify((status >= 200 && status < 300 ? result : error) ?? null)
  return { _tag: "Answer", id, answer: { status, headers, body } }
}

const headerOf: Readonly<Record<string, string>> = {
  REQUEST_WEIGHT: "x-mbx-used-weight",
  ORDERS: "x-mbx-order-count"
}

const usedHeaders = (rateLimits: ReadonlyArray<unknown> = []): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (const each of rateLimits) {
    const limit = Option.getOrUndefined(decodeCount(each))
    const name = limit === undefined ? undefined : headerOf[limit.rateLimitType]
    if (limit === undefined || name === undefined) continue
    headers[`${name}-${limit.intervalNum}${limit.interval.slice(0, 1).toLowerCase()}`] = `${limit.count}`
  }
  return headers
}

/** How long an error says to wait, as the header that REST has for it. */
export const waitHeader = (error: unknown): Record<string, string> =>
  Option.match(decodeWait(error), {
    onNone: () => ({}),
    onSome: ({ data }) => ({ "retry-after": `${Math.max(0, Math.ceil((data.retryAfter - data.serverTime) / 1_000))}` })
  })
