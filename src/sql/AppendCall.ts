/** One call of the append function: rows go in, and what came of each command comes out. */
import type { PgClient } from "@effect/sql-pg"
import { Effect, Result } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { AppendResult, QueuedAppend, Refusal } from "./Append.ts"
import { VersionConflict } from "./Append.ts"
import { arrayOf } from "./AppendRows.ts"
import type { Call, DataRefused } from "./Batcher.ts"
import { decodeAppended } from "./LogRows.ts"
import { detailOf, isDataError, sqlStateOf, StoreUnavailable } from "./StoreUnavailable.ts"

// A call that is stuck on a dead connection is given up and repeated. The server's own statement_timeout is
// shorter; this is for the answer that never comes.
const callTimeout = "15 seconds"

/** `node` is this process, on its batches. */
export const makeAppendCall = (sql: PgClient.PgClient, node: string): Call<AppendResult, Refusal, QueuedAppend> =>
  Effect.fnUntraced(function* (batch) {
    const lanes: Array<string> = []
    const commands: Array<string> = []
    const eventLanes: Array<string> = []
    const events: Array<string> = []
    const orderLanes: Array<string> = []
    const orders: Array<string> = []
    for (const entry of batch) {
      const lane = `${entry.lane}`
      lanes.push(lane)
      commands.push(entry.command)
      for (let n = 0; n < entry.count; n++) eventLanes.push(lane)
      events.push(entry.events)
      if (entry.order === null) continue
      orderLanes.push(lane)
      orders.push(entry.order)
    }
    const rows = yield* answered(
      sql`select appended, others from append_lanes(${node},
      ${arrayOf(lanes)}::int2[], ${arrayOf(commands)}::append_command[],
      ${arrayOf(eventLanes)}::int2[], ${arrayOf(events)}::append_event[],
      ${arrayOf(orderLanes)}::int2[], ${arrayOf(orders)}::append_order[])`
    )
    return resultsOf(batch, rows)
  })

const resultsOf = (
  batch: ReadonlyArray<QueuedAppend>,
  rows: ReadonlyArray<unknown>
): ReadonlyArray<Result.Result<AppendResult, Refusal>> => {
  const [{ appended, others }] = decodeAppended(rows)
  if (appended + others.length !== batch.length) {
    throw new Error(`append answered for ${appended + others.length} of ${batch.length} commands`)
  }
  const results = batch.map(({ count, expected }): Result.Result<AppendResult, Refusal> =>
    Result.succeed({ version: expected + count, duplicate: false })
  )
  for (const { i, outcome, version } of others) {
    const { expected, streamId } = batch[i - 1]!
    results[i - 1] =
      outcome === "duplicate"
        ? Result.succeed({ version, duplicate: true })
        : Result.fail(new VersionConflict({ streamId, expected, actual: version }))
  }
  return results
}

const answered = <A>(query: Effect.Effect<A, SqlError>): Effect.Effect<A, StoreUnavailable | DataRefused> =>
  query.pipe(
    Effect.mapError(sortedOut),
    Effect.timeoutOrElse({
      duration: callTimeout,
      orElse: () => Effect.fail(StoreUnavailable.of(new Error("no answer in time")))
    })
  )

const sortedOut = (error: SqlError): StoreUnavailable | DataRefused => {
  const sqlState = sqlStateOf(error)
  return sqlState !== null && isDataError(sqlState)
    ? { _tag: "DataRefused", sqlState, detail: detailOf(error) }
    : StoreUnavailable.of(error)
}
