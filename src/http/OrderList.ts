/**
 * The query of `GET /api/v1/orders` and its pages.
 *
 * Pages follow a key, not a number of rows, so that new orders move nothing: the cursor names the last
 * order of a page, and the next page begins after it.
 */
import { Schema } from "effect"
import type { Status } from "../domain/Order.ts"
import { statuses } from "../domain/Order.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { OrderId } from "../domain/Ids.ts"
import { Symbol } from "./OrderBody.ts"
import type { Check } from "./Problem.ts"

export const defaultLimit = 50
export const maxLimit = 500

export interface Cursor {
  readonly placedAt: EpochMillis
  readonly orderId: OrderId
}

export interface ListQuery {
  /** Null: all. */
  readonly statuses: ReadonlyArray<Status> | null
  readonly symbol: string | null
  readonly limit: number
  readonly order: "asc" | "desc"
  readonly cursor: Cursor | null
}

const groups: Readonly<Record<string, ReadonlyArray<Status>>> = {
  open: ["PENDING", "EXECUTING"],
  closed: ["COMPLETED", "FAILED", "CANCELLED"],
  all: statuses
}
const parameters = ["status", "limit", "cursor", "symbol", "order"]

const isSymbol = Schema.is(Symbol)
const isOrderId = Schema.is(OrderId)
const isStatus = Schema.is(Schema.Literals(statuses))

/** Reads the query; what is wrong goes to `faults`, all at once. */
export const readQuery = (query: URLSearchParams, faults: Array<Check>): ListQuery => {
  const fault = (field: string, limit: string, actual: string) =>
    faults.push({ code: "not_allowed", field, limit, actual: actual.slice(0, 80), hint: `must be ${limit}` })
  for (const name of new Set(query.keys())) {
    if (!parameters.includes(name)) {
      const hint = `no such parameter; the parameters are ${parameters.join(", ")}`
      faults.push({ code: "unknown_parameter", field: name.slice(0, 64), limit: null, actual: null, hint })
    } else if (query.getAll(name).length > 1) {
      faults.push({ code: "duplicate_parameter", field: name, limit: null, actual: null, hint: "must stand once" })
    }
  }

  const wanted = query.get("status")
  const chosen = wanted === null ? null : new Set<Status>()
  for (const word of wanted?.split(",") ?? []) {
    const group = Object.hasOwn(groups, word) ? groups[word] : undefined
    if (group !== undefined) for (const status of group) chosen?.add(status)
    else if (isStatus(word)) chosen?.add(word)
    else fault("status", `${statuses.join(", ")}, open, closed, all, or several with commas`, word)
  }

  const limitText = query.get("limit")
  const limit = limitText === null ? defaultLimit : /^\d{1,3}$/.test(limitText) ? Number(limitText) : 0
  if (limit < 1 || limit > maxLimit) fault("limit", `a whole number from 1 to ${maxLimit}`, limitText ?? "")

  const symbol = query.get("symbol")
  if (symbol !== null && !isSymbol(symbol)) fault("symbol", "an exchange symbol in capitals, such as BTCUSDT", symbol)

  const order = query.get("order") ?? "desc"
  if (order !== "asc" && order !== "desc") fault("order", "asc or desc", order)

  const cursorText = query.get("cursor")
  const cursor = cursorText === null ? null : readCursor(cursorText)
  if (cursor === undefined) fault("cursor", "the X-Next-Cursor of an earlier answer", cursorText ?? "")

  return {
    statuses: chosen === null || chosen.size === statuses.length ? null : [...chosen],
    symbol,
    limit,
    order: order === "asc" ? "asc" : "desc",
    cursor: cursor ?? null
  }
}

const readCursor = (text: string): Cursor | undefined => {
  const match = /^(\d{1,15})\.(.+)$/.exec(Buffer.from(text, "base64url").toString("latin1"))
  const orderId = match?.[2]
  return match === null || !isOrderId(orderId) ? undefined : { placedAt: Number(match[1]), orderId }
}

export const cursorText = ({ orderId, placedAt }: Cursor): string =>
  Buffer.from(`${placedAt}.${orderId}`, "latin1").toString("base64url")
