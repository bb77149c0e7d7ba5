/**
 * The log: events appended under compare-and-swap, and read back in order.
 *
 * One lane has one order of commits, so its positions are dense (INV-5): a reader needs one integer and
 * skips nothing. An append is durable when it succeeds (INV-1); the events, the stream head, the lane's batch
 * row and the blotter row stand in one transaction. What a conflict means for the command is the engine's.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Deferred, Effect, Latch, Layer, Schema } from "effect"
import type { StoredEvent } from "../domain/Envelope.ts"
import { laneOf } from "../domain/Ids.ts"
import type { Totals } from "../domain/invariants.ts"
import { densityFaults } from "../domain/invariants.ts"
import type { Append, AppendResult, QueuedAppend, Refusal, VersionConflict } from "./Append.ts"
import { queuedAs, Unstorable } from "./Append.ts"
import { makeAppendCall } from "./AppendCall.ts"
import { makeBatcher } from "./Batcher.ts"
import { makeCommitSignal } from "./CommitSignal.ts"
import {
  decodeEvents,
  decodeHeads,
  decodeLaneHeads,
  decodeRequestHashes,
  decodeTotals,
  storedEventColumns
} from "./LogRows.ts"
import { Database } from "./Database.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

/** The queue of the lane is full: nothing was queued. */
export class LaneFull extends Schema.TaggedError<LaneFull>()("LaneFull", { lane: Schema.Int }) {}

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
      /** To PostgreSQL, each for all lanes that had something. */
      readonly calls: number
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

        const store = makeAppendCall(sql, node)
        const batcher = makeBatcher<AppendResult, Refusal, QueuedAppend>({
          lanes,
          size: options.laneQueueSize,
          callsInFlight: options.appendsInFlight,
          call: (commands) =>
            Effect.tap(store(commands), () =>
              Effect.sync(() => {
                let last = -1
                for (const { lane } of commands) {
                  if (lane === last) continue
                  wake(lane)
                  signal.committed(lane)
                  last = lane
                }
              })
            ),
          refused: ({ streamId }, { detail, sqlState }) => new Unstorable({ streamId, sqlState, detail }),
          unanswered: (error, lanes) =>
            Effect.logWarning("an append got no answer and is repeated", { lanes, detail: error.detail })
        })
        yield* Effect.forkScoped(batcher.run)

        const append = (entry: Append): Effect.Effect<AppendResult, Refusal | LaneFull> =>
          Effect.suspend((): Effect.Effect<AppendResult, Refusal | LaneFull> => {
            const lane = laneOf(entry.streamId, lanes)
            const answer = Deferred.makeUnsafe<AppendResult, Refusal>()
            if (!batcher.offer(queuedAs(entry, lane, answer), entry.priority))
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

        const stats = Effect.map(Clock.currentTimeMillis, (now) => ({
          ...batcher.stats(),
          unansweredMillis: now - (batcher.unansweredSince() ?? now)
        }))

        return EventStore.of({ lanes, append, load, head, readLane, laneHeads, totals, committed, stats })
      })
    )
}
