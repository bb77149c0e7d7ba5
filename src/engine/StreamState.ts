/**
 * Whether the user stream that this process follows is connected, for readiness and metrics: written by
 * ExecutionReports alone, and null in a process that follows none.
 */
import { Context, Layer } from "effect"
import type { EpochMillis } from "../domain/Ids.ts"

/** A connection that is replaced or comes back at once is no news to anybody. */
export const streamAwayMillis = 2_000

export class StreamState extends Context.Service<
  StreamState,
  {
    /** Since when no news can come; null: it can, or this process does not follow the stream. */
    awaySince: EpochMillis | null
  }
>()("nexus/engine/StreamState") {
  static readonly layer = Layer.sync(StreamState, () => ({ awaySince: null }))
}
