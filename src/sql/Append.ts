/**
 * What the log is asked to store, what may come of it, and how it waits in a lane's queue.
 */
import { Schema } from "effect"
import type { SealedEvent } from "../domain/Envelope.ts"
import { OrderId } from "../domain/Ids.ts"
import type { Order } from "../domain/Order.ts"
import { commandRow, eventRow, orderRow } from "./AppendRows.ts"
import type { Entry } from "./Batcher.ts"
import { type BlotterRow, rowOf } from "./BlotterRow.ts"

export interface Append {
  readonly streamId: string
  /** Version the stream has now; 0 for a new one. */
  readonly expected: number
  readonly commandId: string
  /** Non-empty, sealed by domain/Envelope.seal: versions `expected` + 1 and on, hashes chained. */
  readonly events: ReadonlyArray<SealedEvent>
  /** Hash on the stream head before the append, hex, "" for none: compared together with the version. */
  readonly previousHash: string
  /** Hex. Set with the first event of an order; null afterwards and for the account. */
  readonly requestHash: string | null
  /**
   * The order before and after, for totals and the blotter row; or the row itself, where the order moves between no
   * statuses and cannot be folded; null for the account, whose stream id is no order's.
   */
  readonly order: { readonly before: Order; readonly after: Order } | { readonly row: BlotterRow } | null
  /** The engine's own commands go ahead of new orders in the lane's queue. */
  readonly priority: "engine" | "intake"
}

export interface AppendResult {
  readonly version: number
  /** These very events stood in the log already. */
  readonly duplicate: boolean
}

/** Someone else appended first; nothing was stored. Reload and decide again, never repeat blindly. */
export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  streamId: Schema.String,
  expected: Schema.Int,
  /** Where the stream is; 0: it does not exist. */
  actual: Schema.Int
}) {}

/** This one command's data cannot be stored (SQLSTATE class 22 or 23), now or later; the others of its batch were. */
export class Unstorable extends Schema.TaggedError<Unstorable>()("Unstorable", {
  streamId: Schema.String,
  sqlState: Schema.String,
  detail: Schema.String
}) {}

/** What can come of one command of a call that was answered. */
export type Refusal = VersionConflict | Unstorable

/** The rows of one command, as a call sends them. */
export interface QueuedAppend extends Entry<AppendResult, Refusal> {
  readonly expected: number
  readonly count: number
  readonly command: string
  readonly events: string
  /** Null for the account. */
  readonly order: string | null
}

// Written out once, for a call may be repeated.
export const queuedAs = (
  { events, expected, order, previousHash, requestHash, streamId }: Append,
  lane: number,
  answer: QueuedAppend["answer"]
): QueuedAppend => {
  const count = events.length
  const { after, before, row } = shown(streamId, lane, expected + count, order)
  const queued = {
    lane,
    streamId,
    expected,
    count,
    answer,
    command: commandRow({
      streamId,
      expected,
      count,
      previousHash,
      headHash: events[count - 1]!.hash,
      requestHash,
      before,
      after
    }),
    events: events.map(eventRow).join(","),
    order: row === null ? null : orderRow(row)
  }
  return { ...queued, chars: queued.command.length + queued.events.length + (queued.order?.length ?? 0) }
}

/** The row of the order, and the status that it leaves and enters. */
const shown = (streamId: string, lane: number, version: number, order: Append["order"]) => {
  if (order === null) return { before: null, after: null, row: null }
  if ("row" in order) return { before: order.row.status, after: order.row.status, row: order.row }
  const { after, before } = order
  return { before: before.status, after: after.status, row: rowOf(OrderId.make(streamId), lane, version, after) }
}
