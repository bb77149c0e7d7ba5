/**
 * `DELETE /api/v1/orders?symbol=` and `?confirm=all`: cancels what is open, page by page, and says of each order
 * what came of it. Nothing here is a transaction: each cancel is the same as if it were asked for alone, so the
 * request may be repeated, and goes on where it ended when `complete` is false. Orders that are placed meanwhile
 * are left alone.
 */
import { Clock, Effect, Result, Schema } from "effect"
import type { OrderId } from "../domain/Ids.ts"
import { statuses } from "../domain/Order.ts"
import { Engine } from "../engine/Engine.ts"
import { Instruments } from "../engine/Instruments.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Symbol } from "./OrderBody.ts"
import type { Check } from "./Problem.ts"
import { json, problem } from "./Problem.ts"

const outcomes = ["cancelled", "requested", "too_late", "not_done", "unknown"] as const
type Outcome = (typeof outcomes)[number]

export const CancelAllView = Schema.Struct({
  results: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      outcome: Schema.Literals(outcomes).annotateKey({
        description:
          "requested: durable, the exchange decides. too_late: it ended first. not_done: nothing was recorded. unknown: it may yet be recorded."
      }),
      status: Schema.Literals(statuses),
      reason: Schema.NullOr(Schema.String)
    })
  ),
  complete: Schema.Boolean.annotateKey({
    description: "False: there were more than one request takes; the same request goes on."
  })
})

interface ResultRow {
  readonly id: OrderId
  readonly outcome: Outcome
  readonly status: string
  readonly reason: string | null
}

const open = ["PENDING", "EXECUTING"] as const
const pageSize = 250
/** Of one request: 5,000 orders, and a time that clients wait for. */
const pages = 20
const timeMillis = 20_000
/** Enough to fill the store's batches, few beside the orders that come in. */
const concurrency = 32

const isSymbol: (text: string) => boolean = Schema.is(Symbol)
const symbolRule = "an exchange symbol in capitals, such as BTCUSDT"

/** Null: of all symbols. What is wrong goes to `faults`, all at once. */
export const readScope = (query: URLSearchParams, faults: Array<Check>): string | null => {
  for (const name of new Set(query.keys())) {
    if (name !== "symbol" && name !== "confirm") {
      const hint = "no such parameter; the parameters are symbol, confirm"
      faults.push({ code: "unknown_parameter", field: name.slice(0, 64), limit: null, actual: null, hint })
    } else if (query.getAll(name).length > 1) {
      faults.push({ code: "duplicate_parameter", field: name, limit: null, actual: null, hint: "must stand once" })
    }
  }
  const symbol = query.get("symbol")
  const confirm = query.get("confirm")
  if (symbol === null && confirm === null) {
    const hint = "give the symbol whose orders are cancelled, or confirm=all for those of all symbols"
    faults.push({ code: "missing", field: "symbol", limit: symbolRule, actual: null, hint })
  }
  if (symbol !== null && !isSymbol(symbol)) {
    const actual = symbol.slice(0, 80).toWellFormed()
    faults.push({ code: "not_allowed", field: "symbol", limit: symbolRule, actual, hint: `must be ${symbolRule}` })
  }
  if (confirm !== null && confirm !== "all") {
    const actual = confirm.slice(0, 80).toWellFormed()
    faults.push({ code: "not_allowed", field: "confirm", limit: "all", actual, hint: "must be all" })
  } else if (confirm !== null && symbol !== null) {
    const hint = "symbol and confirm=all say different things; leave one out"
    faults.push({ code: "not_with", field: "confirm", limit: null, actual: confirm, hint })
  }
  return symbol
}

export const makeCancelAll = Effect.gen(function* () {
  const blotter = yield* Blotter
  const engine = yield* Engine
  const instruments = yield* Instruments

  const cancelOne = ({ orderId, status }: BlotterRow, traceParent: string | null): Effect.Effect<ResultRow> =>
    Effect.map(Effect.result(engine.cancel({ orderId, traceParent })), (told) => {
      if (Result.isSuccess(told)) {
        const { order, outcome } = told.success
        const after = order.order.status ?? status
        return { id: orderId, outcome: outcome === "requested" ? outcome : "cancelled", status: after, reason: null }
      }
      switch (told.failure._tag) {
        case "Busy":
          return { id: orderId, outcome: "not_done", status, reason: "too many commands are waiting; try again" }
        case "NotConfirmed":
          return { id: orderId, outcome: "unknown", status, reason: "the store did not answer in time; try again" }
        case "Rejection": {
          const outcome = told.failure.code === "TOO_LATE" ? "too_late" : "not_done"
          return { id: orderId, outcome, status, reason: told.failure.message }
        }
      }
    })

  /** An order that was too late is shown as it ended. */
  const asItEnded = (row: ResultRow): Effect.Effect<ResultRow> =>
    row.outcome !== "too_late"
      ? Effect.succeed(row)
      : Effect.map(Effect.result(blotter.find(row.id)), (found) =>
          Result.isSuccess(found) && found.success !== null ? { ...row, status: found.success.status } : row
        )

  return Effect.fnUntraced(function* (symbol: string | null, traceParent: string | null) {
    const begun = yield* Clock.currentTimeMillis
    const results: Array<ResultRow> = []
    let last: BlotterRow | undefined
    let complete = false
    for (let page = 0; page < pages && !complete; page++) {
      if ((yield* Clock.currentTimeMillis) - begun > timeMillis) break
      const read = yield* Effect.result(
        blotter.list({
          statuses: open,
          order: "asc",
          limit: pageSize,
          ...(symbol === null ? {} : { symbol }),
          ...(last === undefined ? {} : { before: { placedAt: last.placedAt, orderId: last.orderId } })
        })
      )
      if (Result.isFailure(read)) {
        // What was done is told; the rest is for the same request again.
        if (page === 0) return yield* read.failure
        break
      }
      const rows = read.success.filter(({ placedAt }) => placedAt <= begun)
      results.push(
        ...(yield* Effect.forEach(rows, (row) => Effect.flatMap(cancelOne(row, traceParent), asItEnded), {
          concurrency
        }))
      )
      last = rows.at(-1)
      complete = rows.length < pageSize
    }
    if (symbol !== null && results.length === 0) {
      const snapshot = yield* instruments.current
      // A misspelt symbol must not look like a book that is empty now.
      if (snapshot !== null && !snapshot.bySymbol.has(symbol)) {
        return problem(404, "symbol_not_found", `the exchange has no symbol ${symbol}, and no open order has it`)
      }
    }
    return json(200, JSON.stringify({ results, complete }))
  })
})
