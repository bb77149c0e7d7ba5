/**
 * The verdict: what the exchange's own ledger holds of each order, against what Nexus says of it. The ledger keeps
 * every order that was ever accepted; nothing of ours goes into it.
 */
import { BigDecimal } from "effect"
import { pause } from "../programs.ts"
import type { LedgerEntry, Placed, Stage, View } from "./Stage.ts"

export interface Verdict {
  readonly faults: ReadonlyArray<string>
  /** Orders that executed more than once. */
  readonly twice: number
  readonly ends: ReadonlyMap<string, number>
  readonly unknown: number
}

const ended = new Set(["COMPLETED", "FAILED", "CANCELLED"])

/** Waits until every order has ended; resting ones are cancelled when they are known to rest. Gives those that have not. */
export const settle = async (
  stage: Stage,
  orders: ReadonlyArray<Placed>,
  millis: number
): Promise<ReadonlyArray<Placed>> => {
  const end = Date.now() + millis
  let open = orders
  const cancelled = new Set<string>()
  const handled = new Set<string>()
  while (open.length > 0 && Date.now() < end) {
    const left: Array<Placed> = []
    for (const order of open) {
      const view = await stage.view(order)
      if (view !== null && ended.has(view.status)) continue
      left.push(order)
      if (view === null || view.status !== "EXECUTING") continue
      if (order.trial.byHand === "cancelsIt" && !handled.has(order.id)) {
        handled.add(order.id)
        await stage.cancelByHand(order)
      } else if (view.certainty === "CONFIRMED" && !cancelled.has(order.id) && order.trial.byHand !== "cancelsIt") {
        cancelled.add(order.id)
        await stage.cancel(order)
      }
    }
    open = left
    if (open.length > 0) await pause(200)
  }
  return open
}

export const judge = async (stage: Stage, orders: ReadonlyArray<Placed>): Promise<Verdict> => {
  const { orders: entries } = await stage.ledger()
  const books = Map.groupBy(entries, ({ clientOrderId }) => clientOrderId)
  const faults: Array<string> = []
  const ends = new Map<string, number>()
  let twice = 0
  let unknown = 0
  for (const order of orders) {
    const view = await stage.view(order)
    const mine = books.get(order.clientOrderId) ?? []
    const about = `${order.id} (${order.trial.fault}, ${order.trial.manner})`
    if (view === null) {
      faults.push(`${about} is not in the log`)
      continue
    }
    ends.set(view.status, (ends.get(view.status) ?? 0) + 1)
    const executed = mine.filter((entry) => Number(entry.executedQty) > 0)
    if (executed.length > 1) twice += 1
    if (executed.length > 1) faults.push(`${about} executed ${executed.length} times`)
    else if (mine.length > 1) faults.push(`${about} was accepted ${mine.length} times`)
    if (!ended.has(view.status)) {
      unknown += 1
      const isTold = view.certainty === "UNKNOWN" && view.reason !== null
      if (!isTold || view.status !== "EXECUTING") {
        faults.push(`${about} has not ended and is not visibly in doubt: ${view.status}, ${view.certainty}`)
      }
      continue
    }
    faults.push(...contradictions(view, mine).map((what) => `${about} ${what}`))
  }
  const ours = new Set(orders.map(({ clientOrderId }) => clientOrderId))
  for (const id of books.keys())
    if (id.startsWith("nx") && !ours.has(id)) faults.push(`the ledger has ${id}, nobody placed it`)
  return { faults, twice, ends, unknown }
}

const contradictions = (view: View, entries: ReadonlyArray<LedgerEntry>): ReadonlyArray<string> => {
  const sum = entries.reduce(
    (total, { executedQty }) => BigDecimal.sum(total, BigDecimal.fromStringUnsafe(executedQty)),
    BigDecimal.fromStringUnsafe("0")
  )
  const said = BigDecimal.fromStringUnsafe(`${view.filled_quantity}`)
  const found: Array<string> = []
  if (!BigDecimal.equals(sum, said)) {
    found.push(`is ${view.status} with ${BigDecimal.format(said)} filled, the ledger says ${BigDecimal.format(sum)}`)
  }
  const statuses = entries.map(({ status }) => status).join(", ")
  if (view.status === "COMPLETED" && !entries.some(({ status }) => status === "FILLED"))
    found.push(`is COMPLETED, the ledger says ${statuses || "nothing"}`)
  if (view.status === "FAILED" && entries.some(({ executedQty }) => Number(executedQty) > 0))
    found.push("is FAILED, and executed")
  if (entries.some(({ status }) => status === "NEW" || status === "PARTIALLY_FILLED"))
    found.push(`is ${view.status}, and still open at the exchange`)
  return found
}
