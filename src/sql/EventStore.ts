/**
 * The log: events appended under compare-and-swap, and read back in order.
 *
 * One lane has one order of commits, so its positions are dense (INV-5): a reader needs one integer and
 * skips nothing. An append is durable when it succeeds (INV-1); the events, the stream head, the lane's batch
 * row and the blotter row stand in one transaction. What a conflict means for the command is the engine's.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Deferred, Effect, Latch, Layer, Result, Schema, Semaphore } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { SealedEvent, StoredEvent } from "../domain/Envelope.ts"
import { laneOf, OrderId } from "../domain/Ids.ts"
import type { Totals } from "../domain/invariants.ts"
import { densityFaults } from "../domain/invariants.ts"
import type { Order } from "../domain/Order.ts"
import { arrayOf, commandRow, eventRow, orderRow } from "./AppendRows.ts"
import type { DataRefused, Entry } from "./Batcher.ts"
import { makeBatcher } from "./Batcher.ts"
import { type BlotterRow, rowOf } from "./BlotterRow.ts"
import { makeCommitSignal } from "./CommitSignal.ts"
import {
  decodeAppended,
  decodeEvents,
  decodeHeads,
  decodeLaneHeads,
  decodeRequestHashes,
  decodeTotals,
  storedEventColumns
} from "./LogRows.ts"
import { Database } from "./Database.ts"
import { answerOf, detailOf, isDataError, sqlStateOf, StoreUnavailable } from "./StoreUnavailable.ts"

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

/** The queue of the lane is full: nothing was queued. */
export class LaneFull extends Schema.TaggedError<LaneFull>()("LaneFull", { lane: Schema.Int }) {}

type Refusal = VersionConflict | Unstorable

interface QueuedAppend extends Entry<AppendResult, Refusal> {
  readonly expected: number
  readonly count: number
  readonly command: string
  readonly events: string
  /** Null for the account. */
  readonly order: string | null
}

// A call that is stuck on a dead connection is given up and repeated. The server's own statement_timeout is
// shorter; this is for the answer that never comes.
const callTimeout = "15 seconds"

/** Longer than a restart of PostgreSQL takes; a lane that is without an answer for so long stores nothing. */
export const unansweredLimitMillis = 10_000

export class EventStore extends Context.Service<
  EventStore,
  {
    readonly lanes: number
    /**
     * Durable when it succeeds. Waits for its lane's batch, and for PostgreSQL as long as that takes; interrupting
     * the caller only ends its waiting.
     */
    readonly append: (entry: Append) => Effect.Effect<AppendResult, VersionConflict | Unstorable | LaneFull>
    /** One consistent read of a stream; no events: there is no such stream. */
    readonly load: (
      streamId: string
    ) => Effect.Effect<{ readonly events: ReadonlyArray<StoredEvent>; readonly requestHash: string }, StoreUnavailable>
    readonly head: (
      streamId: string
    ) => Effect.Effect<
      { readonly version: number; readonly hash: string; readonly requestHash: string } | null,
      StoreUnavailable
    >
    /** The lane's events after a position, dense; a hole is a defect. */
    readonly readLane: (
      lane: number,
      after: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** Last position of each lane; 0 for an empty one. */
    readonly laneHeads: Effect.Effect<
      ReadonlyArray<{ readonly lane: number; readonly position: number }>,
      StoreUnavailable
    >
    /** One read per lane, at its last batch; the same on every replica. */
    readonly totals: Effect.Effect<Totals, StoreUnavailable>
    /**
     * Completes once something was committed on the lane, by this process or another, since it last completed.
     * A wake-up, not a promise: keep a slow poll beside it.
     */
    readonly committed: (lane: number) => Effect.Effect<void>
    readonly stats: Effect.Effect<{
      readonly queued: number
      readonly appends: number
      readonly batches: number
      /**
       * Age of the oldest call that waits for an answer and has failed at least once, for whatever reason; 0: none.
       * Above `unansweredLimitMillis` commands cannot be stored, whatever a probe of the database says.
       */
      readonly unansweredMillis: number
    }>
  }
>()("nexus/sql/EventStore") {
  static readonly layer = (options: {
    readonly lanes: number
    /** This process, on its batches. */
    readonly node: string
    /** Appends that may wait for one lane, of the engine and of intake each. */
    readonly laneQueueSize: number
    /** Calls to PostgreSQL at a time, over all lanes. */
    readonly appendsInFlight: number
  }) =>
    Layer.effect(
      EventStore,
      Effect.gen(function* () {
        const { lanes, node } = options
        const sql = yield* PgClient.PgClient
        const { side } = yield* Database
        const wakeUps = Array.from({ length: lanes }, () => Latch.makeUnsafe())
        const wake = (lane: number): void => {
          wakeUps[lane]?.openUnsafe()
        }
        const signal = yield* makeCommitSignal({ lanes, onCommit: wake, sql: side })

        const calls = yield* Semaphore.make(options.appendsInFlight)
        const makeLane = Effect.fnUntraced(function* (lane: number) {
          const batcher = makeBatcher<AppendResult, Refusal, QueuedAppend>({
            name: `event-store/lane-${lane}`,
            size: options.laneQueueSize,
            calls,
            call: (batch) =>
              Effect.tap(store(sql, lane, node, batch), () =>
                Effect.sync(() => {
                  wake(lane)
                  signal.committed(lane)
                })
              ),
            refused: ({ streamId }, { detail, sqlState }) => new Unstorable({ streamId, sqlState, detail }),
            unanswered: (error) =>
              Effect.logWarning("an append got no answer and is repeated", { lane, detail: error.detail })
          })
          yield* Effect.forkScoped(batcher.run)
          return batcher
        })
        const batchers = yield* Effect.forEach(
          Array.from({ length: lanes }, (_, lane) => lane),
          makeLane
        )

        const append = (entry: Append): Effect.Effect<AppendResult, Refusal | LaneFull> =>
          Effect.suspend((): Effect.Effect<AppendResult, Refusal | LaneFull> => {
            const lane = laneOf(entry.streamId, lanes)
            const answer = Deferred.makeUnsafe<AppendResult, Refusal>()
            if (!batchers[lane]!.offer(queuedAs(entry, lane, answer), entry.priority))
              return Effect.fail(new LaneFull({ lane }))
            return Deferred.await(answer)
          })

        const load = Effect.fnUntraced(function* (streamId: string) {
          const rows = yield* answerOf(
            sql`select ${sql.literal(storedEventColumns)}, encode(s.request_hash, 'hex') as "requestHash"
              from streams s join events e on e.stream_id = s.stream_id
              where s.stream_id = ${streamId} order by e.version`
          )
          const [first] = decodeRequestHashes(rows.slice(0, 1))
          return { events: decodeEvents(rows), requestHash: first?.requestHash ?? "" }
        })

        const head = Effect.fnUntraced(function* (streamId: string) {
          const [row] = decodeHeads(
            yield* answerOf(
              sql`select version, encode(head_hash, 'hex') as hash, encode(request_hash, 'hex') as "requestHash"
                from streams where stream_id = ${streamId}`
            )
          )
          return row ?? null
        })

        const readLane = Effect.fnUntraced(function* (lane: number, after: number, limit: number) {
          const events = decodeEvents(
            yield* answerOf(
              sql`select ${sql.literal(storedEventColumns)} from events e
                where e.lane = ${lane} and e.position > ${after} order by e.position limit ${limit}`
            )
          )
          const faults = densityFaults(
            events.map((event) => event.position),
            after
          )
          if (faults.length > 0) return yield* Effect.die(new Error(`lane ${lane} has a hole: position ${faults[0]}`))
          return events
        })

        const laneHeads = Effect.map(
          answerOf(
            sql`select lane::int, coalesce((select last_position from batches where batches.lane = l.lane
                order by last_position desc limit 1), 0) as position
              from generate_series(0, ${lanes - 1}) as l(lane) order by lane`
          ),
          decodeLaneHeads
        )

        const totals = Effect.map(
          answerOf(
            sql`select coalesce(sum(b.orders_total), 0)::int8 as total,
                coalesce(sum(b.orders_processing), 0)::int8 as processing,
                coalesce(sum(b.orders_completed), 0)::int8 as completed,
                coalesce(sum(b.orders_failed), 0)::int8 as failed,
                coalesce(sum(b.orders_cancelled), 0)::int8 as cancelled
              from generate_series(0, ${lanes - 1}) as l(lane)
              cross join lateral (select * from batches where batches.lane = l.lane
                order by last_position desc limit 1) b`
          ),
          (rows) => decodeTotals(rows)[0]
        )

        const committed = (lane: number) =>
          Effect.andThen(
            wakeUps[lane]!.await,
            Effect.sync(() => void wakeUps[lane]!.closeUnsafe())
          )

        const stats = Effect.map(Clock.currentTimeMillis, (now) => {
          const sum = { queued: 0, appends: 0, batches: 0, unansweredMillis: 0 }
          for (const batcher of batchers) {
            const since = batcher.unansweredSince()
            if (since !== null) sum.unansweredMillis = Math.max(sum.unansweredMillis, now - since)
            const { appends, batches, queued } = batcher.stats()
            sum.queued += queued
            sum.appends += appends
            sum.batches += batches
          }
          return sum
        })

        return EventStore.of({ lanes, append, load, head, readLane, laneHeads, totals, committed, stats })
      })
    )
}

const store = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  lane: number,
  node: string,
  batch: ReadonlyArray<QueuedAppend>
) {
  const commands = arrayOf(batch.map(({ command }) => command))
  const events = arrayOf(batch.map((entry) => entry.events))
  const orders = arrayOf(batch.flatMap(({ order }) => order ?? []))
  const rows = yield* sql`select appended, others from append_rows(${lane}::int2, ${node},
      ${commands}::append_command[], ${events}::append_event[], ${orders}::append_order[])`.pipe(
    Effect.mapError(sortedOut),
    Effect.timeoutOrElse({
      duration: callTimeout,
      orElse: () => Effect.fail(StoreUnavailable.of(new Error("no answer in time")))
    })
  )
  const [{ appended, others }] = decodeAppended(rows)
  if (appended + others.length !== batch.length) {
    return yield* Effect.die(new Error(`append answered for ${appended + others.length} of ${batch.length} commands`))
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
})

const sortedOut = (error: SqlError): StoreUnavailable | DataRefused => {
  const sqlState = sqlStateOf(error)
  return sqlState !== null && isDataError(sqlState)
    ? { _tag: "DataRefused", sqlState, detail: detailOf(error) }
    : StoreUnavailable.of(error)
}

// Written out once, for a call may be repeated.
const queuedAs = (
  { events, expected, order, previousHash, requestHash, streamId }: Append,
  lane: number,
  answer: QueuedAppend["answer"]
): QueuedAppend => {
  const count = events.length
  const { after, before, row } = shown(streamId, lane, expected + count, order)
  const queued = {
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
