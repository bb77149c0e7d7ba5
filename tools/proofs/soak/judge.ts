/**
 * The verdict over all orders at once: what Nexus says of each, against the ledger that the exchange keeps for itself
 * of everything it ever accepted.
 */
import { BigDecimal } from "effect"
import { type Intent, symbols } from "./Traffic.ts"

/** Amounts as text: no double comes between. */
export interface View {
  readonly id: string
  readonly status: "PENDING" | "EXECUTING" | "COMPLETED" | "FAILED" | "CANCELLED"
  readonly certainty: "CONFIRMED" | "UNCONFIRMED" | "UNKNOWN"
  readonly client_order_id: string
  readonly filled_quantity: string
  readonly reason: { readonly code: string; readonly message: string } | null
  readonly fills: ReadonlyArray<{ readonly trade_id: string; readonly quantity: string }>
}

export interface Entry {
  readonly clientOrderId: string
  readonly status: string
  readonly executedQty: string
  readonly trades: ReadonlyArray<{ readonly id: number; readonly qty: string }>
}

export interface Verdict {
  /** Acknowledged, and not in the log. */
  readonly lost: ReadonlyArray<string>
  /** In the log, and nobody asked for them. */
  readonly unasked: ReadonlyArray<string>
  readonly acceptedTwice: ReadonlyArray<string>
  readonly executedTwice: ReadonlyArray<string>
  readonly differs: ReadonlyArray<string>
  /** Ours on the ledger, and not in the log. */
  readonly orphans: ReadonlyArray<string>
  readonly stuck: ReadonlyArray<string>
  readonly unknown: ReadonlyArray<string>
  readonly resting: number
  readonly executed: number
  readonly trades: number
  readonly ends: ReadonlyMap<string, number>
}

const pageSize = 500
const zero = BigDecimal.fromStringUnsafe("0")

const exact = (text: string): unknown =>
  JSON.parse(text, (_, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" ? (context?.source ?? String(value)) : value
  )

export const judge = async (
  api: string,
  control: string,
  acknowledged: ReadonlyMap<string, Intent>
): Promise<Verdict> => {
  const views = await everyOrder(api)
  const entries: Array<Entry> = []
  for (const symbol of symbols) {
    const { orders } = (await (await fetch(`${control}/ledger?symbol=${symbol}`)).json()) as {
      readonly orders: ReadonlyArray<Entry>
    }
    for (const entry of orders) entries.push(entry)
  }
  return verdictOf(views, entries, acknowledged)
}

export const verdictOf = (
  views: ReadonlyMap<string, View>,
  ledger: ReadonlyArray<Entry>,
  acknowledged: ReadonlyMap<string, Intent>
): Verdict => {
  const books = Map.groupBy(ledger, ({ clientOrderId }) => clientOrderId)
  const ends = new Map<string, number>()
  const acceptedTwice: Array<string> = []
  const executedTwice: Array<string> = []
  const differs: Array<string> = []
  const stuck: Array<string> = []
  const unknown: Array<string> = []
  let [resting, executed, trades] = [0, 0, 0]
  for (const view of views.values()) {
    const entries = books.get(view.client_order_id) ?? []
    books.delete(view.client_order_id)
    const end = view.status === "FAILED" ? `FAILED ${view.reason?.code ?? ""}` : view.status
    ends.set(end, (ends.get(end) ?? 0) + 1)
    if (entries.length > 1) acceptedTwice.push(view.id)
    const withTrades = entries.filter(({ executedQty }) => Number(executedQty) > 0)
    if (withTrades.length > 1) executedTwice.push(view.id)
    if (withTrades.length > 0) executed += 1
    trades += view.fills.length
    if (isOpen(view)) {
      if (view.certainty !== "CONFIRMED") unknown.push(`${view.id} is ${view.status}, ${view.certainty}`)
      if (entries.some(isLive) && acknowledged.get(view.id)?.stays === true) resting += 1
      else stuck.push(`${view.id} is ${view.status}, on the ledger ${wordsOf(entries)}`)
    }
    differs.push(...differences(view, entries).map((what) => `${view.id} ${what}`))
  }
  return {
    lost: [...acknowledged.keys()].filter((id) => !views.has(id)),
    unasked: [...views.keys()].filter((id) => !acknowledged.has(id)),
    acceptedTwice,
    executedTwice,
    differs,
    orphans: [...books.keys()].filter((id) => id.startsWith("nx")),
    stuck,
    unknown,
    resting,
    executed,
    trades,
    ends
  }
}

const isOpen = ({ status }: View): boolean => status === "PENDING" || status === "EXECUTING"
const isLive = ({ status }: Entry): boolean => status === "NEW" || status === "PARTIALLY_FILLED"

const everyOrder = async (api: string): Promise<Map<string, View>> => {
  const views = new Map<string, View>()
  for (let cursor: string | null = ""; cursor !== null;) {
    const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`
    const response = await fetch(`${api}/api/v1/orders?status=all&order=asc&limit=${pageSize}${after}`)
    const text = await response.text()
    if (!response.ok) throw new Error(`list of orders: ${response.status} ${text}`)
    for (const view of exact(text) as ReadonlyArray<View>) views.set(view.id, view)
    cursor = response.headers.get("x-next-cursor")
  }
  return views
}

const wordsOf = (entries: ReadonlyArray<Entry>): string =>
  entries.map(({ executedQty, status }) => `${status} ${executedQty}`).join(", ") || "nothing"

const differences = (view: View, entries: ReadonlyArray<Entry>): ReadonlyArray<string> => {
  const found: Array<string> = []
  const sum = BigDecimal.sumAll(entries.map(({ executedQty }) => BigDecimal.fromStringUnsafe(executedQty)))
  if (!BigDecimal.equals(sum, BigDecimal.fromStringUnsafe(view.filled_quantity)))
    found.push(`is ${view.status} with ${view.filled_quantity} filled, the ledger says ${wordsOf(entries)}`)
  const theirs = entries.flatMap(({ trades }) => trades.map(({ id, qty }) => `${id} ${canonical(qty)}`))
  const ours = view.fills.map(({ quantity, trade_id }) => `${trade_id} ${canonical(quantity)}`)
  if (theirs.toSorted().join() !== ours.toSorted().join())
    found.push(`has the trades ${ours.join(", ")}, the ledger has ${theirs.join(", ")}`)
  const isFilled = entries.some(({ status }) => status === "FILLED")
  const contradicts =
    (view.status === "COMPLETED" && !isFilled) ||
    (view.status === "CANCELLED" && isFilled) ||
    (view.status === "FAILED" && BigDecimal.isGreaterThan(sum, zero)) ||
    (!isOpen(view) && entries.some(isLive))
  if (contradicts) found.push(`is ${view.status}, the ledger says ${wordsOf(entries)}`)
  return found
}

const canonical = (amount: string): string =>
  BigDecimal.format(BigDecimal.normalize(BigDecimal.fromStringUnsafe(amount)))
