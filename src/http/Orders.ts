/**
 * What the order paths do: read a request, ask the engine or the blotter, answer. Nothing is decided here,
 * and no error is left to the server but a defect.
 *
 * Commands go through the engine alone; reads never do, so that they cost the order's path nothing.
 */
import { randomUUID } from "node:crypto"
import { Clock, Effect, Result, Schema } from "effect"
import { requestHashOf, type StoredEvent } from "../domain/Envelope.ts"
import type { OrderRequest } from "../domain/Event.ts"
import { OrderId } from "../domain/Ids.ts"
import type { Rejection, RejectionCode } from "../domain/Rejection.ts"
import type { LogBroken } from "../engine/Backlog.ts"
import type { Busy, FilterDenied, InstrumentsUnknown, NotConfirmed } from "../engine/Engine.ts"
import { AppConfig } from "../config.ts"
import { DoubtStories } from "../engine/DoubtStories.ts"
import { Engine } from "../engine/Engine.ts"
import { Health } from "../engine/Health.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import { EventStore } from "../sql/EventStore.ts"
import { Parked } from "../sql/Parked.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { makeCancelAll, readScope } from "./CancelAll.ts"
import { withDoubt } from "./DoubtView.ts"
import { withParked } from "./ParkedView.ts"
import { read } from "./OrderBody.ts"
import { cursorText, readQuery } from "./OrderList.ts"
import { disconnected, ofRow, ofStream, time } from "./OrderView.ts"
import type { Answer, Check } from "./Problem.ts"
import { describe, invalid, json, problem, tryAgain } from "./Problem.ts"
import { parse } from "./StrictJson.ts"

/** What of a request's headers matters to an order. */
export interface OrderHeaders {
  readonly idempotencyKey: string | undefined
  readonly traceParent: string | undefined
  readonly ifNoneMatch: string | undefined
}

const ordersPath = "/api/v1/orders"
const isOrderId = Schema.is(OrderId)

/** Longer than a healthy read ever takes, shorter than a caller's patience. */
const readDeadlineMillis = 5_000

/** https://www.w3.org/TR/trace-context/#traceparent-header, version 00 */
const traceParentShape = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

const traceParentOf = ({ traceParent }: OrderHeaders): string | null =>
  traceParent !== undefined && traceParentShape.test(traceParent) ? traceParent : null

export const makeOrders = Effect.gen(function* () {
  const engine = yield* Engine
  const blotter = yield* Blotter
  const parked = yield* Parked
  const store = yield* EventStore
  const stories = yield* DoubtStories
  const health = yield* Health
  const cancelEach = yield* makeCancelAll
  const { timeout_ms: answerMillis } = (yield* AppConfig).binance.testnet

  // An order that this release cannot read is the answer to its own request all the same.
  const sameParked = Effect.fnUntraced(function* (orderId: OrderId, request: OrderRequest, failure: Failure) {
    if (failure._tag !== "Rejection" || failure.code !== "PARKED") return yield* Effect.fail(failure)
    const head = yield* store.head(orderId)
    const row = head?.requestHash === requestHashOf(request) ? yield* blotter.find(orderId) : null
    if (row === null) return yield* failure
    const location = ["Location", `${ordersPath}/${orderId}`, "ETag", etag(row.version)]
    return json(200, yield* shown(row), ["Idempotency-Replayed", "true", ...location])
  })

  const shown = Effect.fnUntraced(function* (row: BlotterRow) {
    // It may have been taken up again since its row was read; the next look says so.
    const why = row.parked ? yield* parked.order(row.orderId) : null
    return why === null ? ofRow(row) : withParked(ofRow(row), why)
  })

  const place = Effect.fnUntraced(function* (bytes: Buffer, headers: OrderHeaders) {
    const body = read(parse(bytes), yield* Clock.currentTimeMillis)
    if (body._tag === "Faulty") return refusedBody(body.status, body.checks)
    const orderId = identify(body.wanted.orderId, headers.idempotencyKey)
    if (typeof orderId !== "string") return invalid([orderId])
    const { request } = body.wanted
    const placed = yield* Effect.result(engine.place({ orderId, request, traceParent: traceParentOf(headers) }))
    if (Result.isFailure(placed)) return yield* sameParked(orderId, request, placed.failure)
    const { order, replayed } = placed.success
    const location = ["Location", `${ordersPath}/${orderId}`, "ETag", etag(order.version)]
    return replayed
      ? json(200, ofStream(orderId, order), ["Idempotency-Replayed", "true", ...location])
      : json(202, ofStream(orderId, order), location)
  }, Effect.catch(answerTo))

  const cancel = Effect.fnUntraced(function* (text: string, headers: OrderHeaders) {
    const orderId = orderIdOf(text)
    if (orderId === null) return invalid([badOrderId(text)])
    const { order, outcome } = yield* engine.cancel({ orderId, traceParent: traceParentOf(headers) })
    const status = outcome === "requested" ? 202 : 200
    return json(status, ofStream(orderId, order), ["ETag", etag(order.version)])
  }, Effect.catch(answerTo))

  const cancelAll = Effect.fnUntraced(function* (query: URLSearchParams, headers: OrderHeaders) {
    const faults: Array<Check> = []
    const symbol = readScope(query, faults)
    return faults.length > 0 ? badParameters(faults) : yield* cancelEach(symbol, traceParentOf(headers))
  }, Effect.catch(answerTo))

  const find = Effect.fnUntraced(function* (text: string, headers: OrderHeaders) {
    const orderId = orderIdOf(text)
    if (orderId === null) return invalid([badOrderId(text)])
    const stored = yield* blotter.find(engine.streamOf(orderId))
    if (stored === null) return noOrder(orderId)
    // Whoever placed it knows it by this id, whatever it is called in the log.
    const row = { ...stored, orderId }
    const story = isInDoubt(row, (yield* Clock.currentTimeMillis) - answerMillis)
      ? yield* stories.of(stored.orderId)
      : null
    const isAway = isOpen(row) && (yield* health.disconnected)
    // The story goes on, and the connection comes and goes, without the order changing: neither has a tag.
    const tag = story === null && !isAway ? etag(row.version) : null
    if (tag !== null && headers.ifNoneMatch === tag) return { status: 304, headers: ["ETag", tag], body: "" }
    const known = yield* shown(row)
    const order = isAway ? disconnected(known) : known
    return json(200, story === null ? order : withDoubt(order, story), tag === null ? [] : ["ETag", tag])
  }, bounded)

  const list = Effect.fnUntraced(function* (query: URLSearchParams) {
    const faults: Array<Check> = []
    const { cursor, limit, order, statuses, symbol } = readQuery(query, faults)
    if (faults.length > 0) return badParameters(faults)
    const rows = yield* blotter.list({
      statuses,
      order,
      // One more than is shown tells whether there is a next page.
      limit: limit + 1,
      ...(symbol === null ? {} : { symbol }),
      ...(cursor === null ? {} : { before: cursor })
    })
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    const headers = rows.length > limit && last !== undefined ? nextPage(query, cursorText(last)) : []
    const isAway = yield* health.disconnected
    const views = page.map((row) => (isAway && isOpen(row) ? disconnected(ofRow(row)) : ofRow(row)))
    return json(200, `[${views.join(",")}]`, headers)
  }, bounded)

  const events = Effect.fnUntraced(function* (text: string) {
    const orderId = orderIdOf(text)
    if (orderId === null) return invalid([badOrderId(text)])
    const { events } = yield* store.load(engine.streamOf(orderId))
    const last = events.at(-1)
    if (last === undefined) return noOrder(orderId)
    return json(200, `[${events.map(eventView).join(",")}]`, ["ETag", etag(last.version)])
  }, bounded)

  return { place, cancel, cancelAll, find, list, events }
})

const isOpen = ({ status }: BlotterRow): boolean => status === "PENDING" || status === "EXECUTING"

/** An attempt without an answer is in doubt once nobody waits for that answer any more. */
const isInDoubt = ({ attempt, status }: BlotterRow, answeredBy: number): boolean =>
  status === "EXECUTING" &&
  (attempt?.state === "UNKNOWN" || (attempt?.state === "STARTED" && attempt.startedAt < answeredBy))

/** Reads are given up when the store does not answer; commands have the engine's own deadline. */
const bounded = <E extends StoreUnavailable>(effect: Effect.Effect<Answer, E>): Effect.Effect<Answer> =>
  effect.pipe(
    Effect.catch(answerTo),
    Effect.timeoutOrElse({ duration: readDeadlineMillis, orElse: () => Effect.sync(storeAway) })
  )

type Failure = Busy | NotConfirmed | InstrumentsUnknown | LogBroken | FilterDenied | Rejection | StoreUnavailable

function answerTo(failure: Failure): Effect.Effect<Answer> {
  return Effect.sync(() => answerOf(failure))
}

const answerOf = (failure: Failure): Answer => {
  switch (failure._tag) {
    case "Busy":
      return tryAgain("overloaded", "too many commands are waiting; nothing was recorded, try again in a moment")
    case "NotConfirmed":
      return tryAgain(
        "unknown_outcome",
        "the store did not answer in time and the command may yet be recorded; the same request with the same id gives the final answer"
      )
    case "InstrumentsUnknown":
      return tryAgain("instruments_unknown", "the exchange's symbols are not known yet; nothing was recorded")
    case "LogBroken":
      return tryAgain("log_broken", "the log is not as it was written, so no new order is taken; cancels are")
    case "FilterDenied": {
      const checks = failure.violations.map(({ actual, code, field, hint, limit }) => ({
        code,
        field,
        limit,
        actual,
        hint
      }))
      return problem(422, "filter_denied", describeDenial(checks), { checks })
    }
    case "Rejection":
      return problem(rejectionStatus[failure.code], failure.code, failure.message)
    case "StoreUnavailable":
      return storeAway()
  }
}

const describeDenial = (checks: ReadonlyArray<Check>): string =>
  checks.map(({ actual, code, hint, limit }) => `${code} wants ${limit}, found ${actual}; ${hint}`).join(". ")

const rejectionStatus: { readonly [C in RejectionCode]: number } = {
  ORDER_NOT_FOUND: 404,
  ORDER_ID_TAKEN: 409,
  TOO_LATE: 409,
  NOT_DUE: 409,
  PARKED: 409,
  NOT_STUCK: 409
}

const storeAway = () =>
  tryAgain("store_unavailable", "the store does not answer; orders in flight are not lost by that")

const noOrder = (orderId: OrderId) => problem(404, "ORDER_NOT_FOUND", `no order has the id ${orderId}`)

/** The body's id counts; the Idempotency-Key header stands in for it, and must not say something else. */
const identify = (bodyId: OrderId | null, key: string | undefined): OrderId | Check => {
  if (key === undefined) return bodyId ?? OrderId.make(randomUUID())
  if (!isOrderId(key)) return { ...badOrderId(key), field: "Idempotency-Key" }
  if (bodyId === null || bodyId === key) return key
  return {
    code: "not_with",
    field: "Idempotency-Key",
    limit: bodyId,
    actual: key,
    hint: "must equal the id of the body, or be left out"
  }
}

const orderIdOf = (text: string): OrderId | null => (isOrderId(text) ? text : null)

const badOrderId = (text: string): Check => {
  const limit = "1 to 64 of the characters A-Z a-z 0-9 . _ : -"
  return { code: "not_allowed", field: "id", limit, actual: text.slice(0, 80).toWellFormed(), hint: `must be ${limit}` }
}

const refusedBody = (status: 400 | 422, checks: ReadonlyArray<Check>): Answer => {
  const code =
    status === 422 && checks.every((check) => check.code === "not_supported_yet")
      ? "not_supported_yet"
      : "invalid_request"
  return problem(status, code, describe(checks), { checks })
}

export const badParameters = (checks: ReadonlyArray<Check>): Answer =>
  problem(400, "invalid_parameter", describe(checks), { checks })

const etag = (version: number): string => `"${version}"`

const nextPage = (query: URLSearchParams, cursor: string): ReadonlyArray<string> => {
  const next = new URLSearchParams(query)
  next.set("cursor", cursor)
  return ["X-Next-Cursor", cursor, "Link", `<${ordersPath}?${next.toString()}>; rel="next"`]
}

const eventView = (event: StoredEvent): string =>
  JSON.stringify({
    event_id: event.eventId,
    order_id: event.streamId,
    version: event.version,
    lane: event.lane,
    position: event.position,
    type: event.type,
    schema_version: event.schemaVersion,
    occurred_at: time(event.occurredAt),
    recorded_at: time(event.recordedAt),
    actor: event.actor,
    correlation_id: event.correlationId,
    causation_id: event.causationId,
    command_id: event.commandId,
    trace_parent: event.traceParent,
    previous_hash: event.previousHash,
    hash: event.hash,
    data: event.data
  })
