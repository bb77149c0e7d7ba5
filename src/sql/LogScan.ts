/**
 * Reads the whole log in bounded pages, all on one snapshot: what the auditor compares belongs together,
 * however much is written meanwhile. Appends are never in its way; the snapshot only holds back vacuum.
 *
 * Rows come as they are stored, not as they should be: finding the difference is the auditor's business.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { BeginTransaction } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Int8, StoredEventRow, storedEventColumns } from "./LogRows.ts"
import { StoreUnavailable } from "./StoreUnavailable.ts"

const ScannedEvent = Schema.Struct({
  ...StoredEventRow.fields,
  data: Schema.Unknown,
  /** As PostgreSQL writes it: numbers with the digits that are stored. */
  dataText: Schema.String
})
export type ScannedEvent = typeof ScannedEvent.Type

const ScannedBatch = Schema.Struct({
  lane: Schema.Int,
  firstPosition: Int8,
  lastPosition: Int8,
  recordedAt: Int8,
  node: Schema.String,
  total: Int8,
  processing: Int8,
  completed: Int8,
  failed: Int8,
  cancelled: Int8,
  previousHash: Schema.String,
  hash: Schema.String
})
export type ScannedBatch = typeof ScannedBatch.Type

const ScannedStream = Schema.Struct({
  streamId: Schema.String,
  lane: Schema.Int,
  version: Schema.Int,
  headHash: Schema.String,
  requestHash: Schema.String
})
export type ScannedStream = typeof ScannedStream.Type

export interface ScannedOrder {
  readonly orderId: string
  /** The whole row of the blotter, by the names of its columns. */
  readonly columns: Readonly<Record<string, unknown>>
}

const ScannedCursor = Schema.Struct({ lane: Schema.Int, position: Int8 })

type Page<A> = Effect.Effect<ReadonlyArray<A>, StoreUnavailable>

/** Pages of one snapshot, each in ascending order of its key, after the given key. */
export interface Snapshot {
  /** L, as the store was made with. */
  readonly lanes: number
  /** Lanes that have any row, whether they are among the L or not. */
  readonly usedLanes: Page<number>
  readonly batches: (lane: number, after: number, limit: number) => Page<ScannedBatch>
  readonly eventsOfLane: (lane: number, after: number, limit: number) => Page<ScannedEvent>
  readonly eventsByStream: (after: readonly [streamId: string, version: number], limit: number) => Page<ScannedEvent>
  readonly streams: (after: string, limit: number) => Page<ScannedStream>
  readonly orders: (after: string, limit: number) => Page<ScannedOrder>
  readonly cursors: Page<typeof ScannedCursor.Type>
}

export class LogScan extends Context.Service<
  LogScan,
  {
    readonly onSnapshot: <A, E, R>(
      use: (snapshot: Snapshot) => Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | StoreUnavailable, R>
  }
>()("nexus/sql/LogScan") {
  static readonly layer = Layer.effect(
    LogScan,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const eventColumns = sql.literal(`${storedEventColumns}, e.data::text as "dataText"`)

      const page = <A>(statement: Effect.Effect<ReadonlyArray<unknown>, SqlError>, decode: (rows: unknown) => A) =>
        Effect.map(Effect.mapError(statement, StoreUnavailable.of), decode)

      const snapshot = (lanes: number): Snapshot => ({
        lanes,
        // Jumps from lane to lane on the primary keys instead of reading the tables.
        usedLanes: page(
          sql`with recursive used(lane) as (
              (select least((select min(lane) from events), (select min(lane) from batches)))
              union all
              select least((select min(lane) from events where lane > used.lane),
                (select min(lane) from batches where lane > used.lane))
              from used where used.lane is not null
            ) select lane from used where lane is not null order by lane`,
          (rows) => decodeLanes(rows).map((row) => row.lane)
        ),
        batches: (lane, after, limit) =>
          page(
            sql`select lane, first_position as "firstPosition", last_position as "lastPosition",
                recorded_at as "recordedAt", node, orders_total as total, orders_processing as processing,
                orders_completed as completed, orders_failed as failed, orders_cancelled as cancelled,
                encode(previous_hash, 'hex') as "previousHash", encode(hash, 'hex') as hash
              from batches where lane = ${lane} and last_position > ${after}::int8 order by last_position limit ${limit}`,
            decodeBatches
          ),
        eventsOfLane: (lane, after, limit) =>
          page(
            sql`select ${eventColumns} from events e where lane = ${lane} and position > ${after}::int8
              order by position limit ${limit}`,
            decodeEvents
          ),
        eventsByStream: ([streamId, version], limit) =>
          page(
            sql`select ${eventColumns} from events e where (stream_id, version) > (${streamId}, ${version}::int4)
              order by stream_id, version limit ${limit}`,
            decodeEvents
          ),
        streams: (after, limit) =>
          page(
            sql`select stream_id as "streamId", lane, version, encode(head_hash, 'hex') as "headHash",
                encode(request_hash, 'hex') as "requestHash"
              from streams where stream_id > ${after} order by stream_id limit ${limit}`,
            decodeStreams
          ),
        orders: (after, limit) =>
          page(sql`select * from orders where order_id > ${after} order by order_id limit ${limit}`, (rows) =>
            decodeOrders(rows).map(scannedOrder)
          ),
        cursors: page(sql`select lane, position from cursors order by lane`, decodeCursors)
      })

      const onSnapshot = <A, E, R>(use: (snapshot: Snapshot) => Effect.Effect<A, E, R>) =>
        sql
          .withTransaction(
            Effect.gen(function* () {
              const [store] = decodeStore(yield* Effect.mapError(sql`select lanes from store`, StoreUnavailable.of))
              return yield* use(snapshot(store.lanes))
            })
          )
          .pipe(
            Effect.catchTag("SqlError", (error) => Effect.fail(StoreUnavailable.of(error))),
            Effect.provideService(BeginTransaction, "begin isolation level repeatable read read only")
          )

      return LogScan.of({ onSnapshot })
    })
  )
}

const decodeEvents = Schema.decodeUnknownSync(Schema.Array(ScannedEvent))
const decodeBatches = Schema.decodeUnknownSync(Schema.Array(ScannedBatch))
const decodeStreams = Schema.decodeUnknownSync(Schema.Array(ScannedStream))
const decodeCursors = Schema.decodeUnknownSync(Schema.Array(ScannedCursor))
const decodeLanes = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ lane: Schema.Int })))
const decodeStore = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ lanes: Schema.Int })]))
const decodeOrders = Schema.decodeUnknownSync(Schema.Array(Schema.Record(Schema.String, Schema.Unknown)))

const scannedOrder = (row: Readonly<Record<string, unknown>>): ScannedOrder => ({
  orderId: String(row.order_id),
  columns: Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === "bigint" ? Number(value) : value])
  )
})
