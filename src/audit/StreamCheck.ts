/**
 * Every stream from its first version to its last: versions are dense, hashes chain, the life is a legal one,
 * and the stream's head and the order's row in the blotter are what the events fold to (INV-5 to INV-8, INV-11);
 * heads and rows that no event stands for are found as well. Three sorted sequences are merged, so memory is
 * bounded by a page of each and by one order.
 */
import { Effect, Result } from "effect"
import { canonicalJson, requestHashOf } from "../domain/Envelope.ts"
import type { OrderEvent } from "../domain/Event.ts"
import { decode, isOrderEvent } from "../domain/Event.ts"
import { accountStream, type EpochMillis, OrderId } from "../domain/Ids.ts"
import { lifeFaults, type Totals } from "../domain/invariants.ts"
import type { Order } from "../domain/Order.ts"
import { evolve, unplaced } from "../domain/Order.ts"
import { columnsOf, rowOf } from "../sql/BlotterRow.ts"
import type { ScannedEvent, ScannedOrder, ScannedStream, Snapshot } from "../sql/LogScan.ts"
import type { Findings } from "./Findings.ts"
import { makePager } from "./Pager.ts"

export interface StreamsSeen {
  readonly streams: number
  /** What the last batch of each lane must say. */
  readonly totals: ReadonlyMap<number, Totals>
}

const pageSize = 1_000

interface Fold {
  readonly streamId: string
  readonly last: ScannedEvent
  readonly order: Order
  /** Empty when an event could not be read. */
  readonly life: ReadonlyArray<{ readonly event: OrderEvent; readonly at: EpochMillis }>
  readonly readable: boolean
  readonly requestHash: string
}

export const checkStreams = Effect.fnUntraced(function* (snapshot: Snapshot, findings: Findings) {
  const events = makePager<ScannedEvent, readonly [string, number]>({
    start: ["", 0],
    fetch: (after) => snapshot.eventsByStream(after, pageSize),
    keyOf: (event) => [event.streamId, event.version],
    size: pageSize
  })
  const heads = makePager<ScannedStream, string>({
    start: "",
    fetch: (after) => snapshot.streams(after, pageSize),
    keyOf: (stream) => stream.streamId,
    size: pageSize
  })
  const rows = makePager<ScannedOrder, string>({
    start: "",
    fetch: (after) => snapshot.orders(after, pageSize),
    keyOf: (row) => row.orderId,
    size: pageSize
  })
  const totals = new Map<number, Totals>()
  let streams = 0

  const foldNext = Effect.fnUntraced(function* (first: ScannedEvent) {
    const { streamId } = first
    const life: Array<{ event: OrderEvent; at: EpochMillis }> = []
    let order = unplaced
    let readable = true
    let requestHash = ""
    let last: ScannedEvent | null = null
    while (true) {
      const event: ScannedEvent | null = yield* events.peek
      if (event === null || event.streamId !== streamId) break
      yield* events.next
      const key = `stream ${streamId} version ${event.version}`
      findings.expect("events", key, "version", (last?.version ?? 0) + 1, event.version)
      findings.expect("events", key, "previous_hash", last?.hash ?? "", event.previousHash)
      findings.expect("events", key, "lane", first.lane, event.lane)
      const decoded = decode(event.type, event.schemaVersion, event.data)
      if (Result.isFailure(decoded)) {
        readable = false
        findings.add({
          table: "events",
          key,
          column: "type, schema_version, data",
          expected: "an event that this release knows",
          found: decoded.failure.detail
        })
      } else if (isOrderEvent(decoded.success)) {
        const told = decoded.success
        if (told._tag === "OrderPlaced" || told._tag === "OrderDenied") requestHash = requestHashOf(told.request)
        life.push({ event: told, at: event.occurredAt })
        order = evolve(order, told, event.occurredAt)
      }
      last = event
    }
    const fold: Fold = { streamId, last: last ?? first, order, life, readable, requestHash }
    return fold
  })

  while (true) {
    const event = yield* events.peek
    const head = yield* heads.peek
    const row = yield* rows.peek
    const ids = [event?.streamId, head?.streamId, row?.orderId].filter((id) => id !== undefined)
    if (ids.length === 0) break
    const streamId = ids.reduce((least, id) => (inTableOrder(id, least) < 0 ? id : least))
    const fold = event?.streamId === streamId ? yield* foldNext(event) : null
    if (head?.streamId === streamId) {
      yield* heads.next
      if (fold === null) noEvents(findings, "streams", `stream_id ${streamId}`)
      else checkHead(findings, fold, head)
    } else if (fold !== null) {
      findings.add({
        table: "streams",
        key: `stream_id ${streamId}`,
        column: "stream_id",
        expected: "a row",
        found: "no row"
      })
    }
    if (row?.orderId === streamId) {
      yield* rows.next
      if (fold === null) noEvents(findings, "orders", `order_id ${streamId}`)
      else if (fold.readable) checkRow(findings, fold, row)
    } else if (fold !== null && fold.readable && fold.order.status !== null) {
      findings.add({
        table: "orders",
        key: `order_id ${streamId}`,
        column: "order_id",
        expected: "a row",
        found: "no row"
      })
    }
    if (fold !== null) {
      streams += 1
      if (fold.readable && streamId !== accountStream) {
        for (const fault of lifeFaults(fold.life)) {
          findings.add({
            table: "events",
            key: `stream ${streamId}`,
            column: "type",
            expected: "a legal life",
            found: fault
          })
        }
      }
      count(totals, fold)
    }
  }
  const result: StreamsSeen = { streams, totals }
  return result
})

// The tables sort by bytes, JavaScript by UTF-16 units; they differ beyond the basic plane.
const inTableOrder = (a: string, b: string): number => (a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b)))

const noEvents = (findings: Findings, table: "streams" | "orders", key: string) =>
  findings.add({ table, key, column: "version", expected: "events that make it", found: "no event" })

const checkHead = (findings: Findings, { last, requestHash, streamId }: Fold, head: ScannedStream) => {
  const key = `stream_id ${streamId}`
  findings.expect("streams", key, "lane", last.lane, head.lane)
  findings.expect("streams", key, "version", last.version, head.version)
  findings.expect("streams", key, "head_hash", last.hash, head.headHash)
  findings.expect("streams", key, "request_hash", requestHash, head.requestHash)
}

const checkRow = (findings: Findings, { last, order, streamId }: Fold, row: ScannedOrder) => {
  const wanted = rowOf(OrderId.make(streamId), last.lane, last.version, order)
  if (wanted === null) return noEvents(findings, "orders", `order_id ${streamId}`)
  for (const [column, value] of Object.entries(columnsOf(wanted))) {
    findings.expect(
      "orders",
      `order_id ${streamId}`,
      column,
      canonicalJson(value ?? null),
      canonicalJson(row.columns[column] ?? null)
    )
  }
}

const count = (totals: Map<number, Totals>, { last, order }: Fold) => {
  const { cancelled, completed, failed, processing, total } = totals.get(last.lane) ?? nothing
  if (order.status === null) return
  totals.set(last.lane, {
    total: total + 1,
    processing: processing + (order.status === "PENDING" || order.status === "EXECUTING" ? 1 : 0),
    completed: completed + (order.status === "COMPLETED" ? 1 : 0),
    failed: failed + (order.status === "FAILED" ? 1 : 0),
    cancelled: cancelled + (order.status === "CANCELLED" ? 1 : 0)
  })
}

export const nothing: Totals = { total: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 }
