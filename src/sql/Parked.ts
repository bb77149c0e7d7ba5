/**
 * Records that could not be sent or handled, kept whole, so that their lane goes on and an operator can look.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { Int8 } from "./LogRows.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

/** More of one stream than anybody reads. */
const recordsOfOne = 100

const ParkedRecord = Schema.Struct({
  /** Who could not go on, e.g. `relay/events`. */
  consumer: Schema.String,
  lane: Schema.Int,
  position: Schema.Int,
  streamId: Schema.String,
  reason: Schema.String,
  /** As it stood. */
  record: Schema.String
})
export type ParkedRecord = typeof ParkedRecord.Type
const ParkedOrder = Schema.Struct({
  orderId: Schema.String,
  status: Schema.String,
  symbol: Schema.String,
  /** When it was parked, for what reason, and what could not be handled. */
  at: Int8,
  reason: Schema.String,
  record: Schema.String
})
export type ParkedOrder = typeof ParkedOrder.Type
const decodeOrders = Schema.decodeUnknownSync(Schema.Array(ParkedOrder))
const decodeRecords = Schema.decodeUnknownSync(Schema.Array(ParkedRecord))

export class Parked extends Context.Service<
  Parked,
  {
    /** Keeps the record. The same record of the same consumer is kept once. */
    readonly insert: (record: ParkedRecord) => Effect.Effect<void, StoreUnavailable>
    /** The newest first. */
    readonly list: (limit: number) => Effect.Effect<ReadonlyArray<ParkedRecord>, StoreUnavailable>
    /** Those of one stream, by position. */
    readonly of: (streamId: string) => Effect.Effect<ReadonlyArray<ParkedRecord>, StoreUnavailable>
    /** Null: no such order is parked now. */
    readonly order: (orderId: string) => Effect.Effect<ParkedOrder | null, StoreUnavailable>
    /** The orders that wait for an operator now, by id, behind `after`; null: from the front. */
    readonly orders: (page: {
      readonly after: string | null
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<ParkedOrder>, StoreUnavailable>
  }
>()("nexus/sql/Parked") {
  static readonly layer = Layer.effect(
    Parked,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient

      const insert = Effect.fn("Parked.insert")(function* (parked: ParkedRecord) {
        const { consumer, lane, position, reason, record, streamId } = parked
        yield* answerOf(sql`
          insert into parked (consumer, lane, position, stream_id, reason, record)
            values (${consumer}, ${lane}, ${position}, ${streamId}, ${reason}, ${record})
            on conflict do nothing`)
      })

      const list = Effect.fn("Parked.list")(function* (limit: number) {
        const rows = yield* answerOf(sql`
          select consumer, lane::int4, position::float8 as position, stream_id as "streamId", reason, record
            from parked order by parked_at desc, consumer, lane, position limit ${limit}`)
        return decodeRecords(rows)
      })

      const of = Effect.fn("Parked.of")(function* (streamId: string) {
        const rows = yield* answerOf(sql`
          select consumer, lane::int4, position::float8 as position, stream_id as "streamId", reason, record
            from parked where stream_id = ${streamId} order by lane, position, consumer limit ${recordsOfOne}`)
        return decodeRecords(rows)
      })

      const parkedNow = sql`
        select o.order_id as "orderId", o.status, o.symbol, e.recorded_at as at,
            e.data ->> 'reason' as reason, e.data ->> 'record' as record
          from orders o, lateral (
            select recorded_at, data from events
              where stream_id = o.order_id and type = 'OrderParked' order by version desc limit 1
          ) e
          where o.parked`

      const order = Effect.fn("Parked.order")(function* (orderId: string) {
        const rows = yield* answerOf(sql`${parkedNow} and o.order_id = ${orderId}`)
        return decodeOrders(rows)[0] ?? null
      })

      const orders = Effect.fn("Parked.orders")(function* (page: {
        readonly after: string | null
        readonly limit: number
      }) {
        const rows = yield* answerOf(
          sql`${parkedNow} and o.order_id > ${page.after ?? ""} order by o.order_id limit ${page.limit}`
        )
        return decodeOrders(rows)
      })

      return Parked.of({ insert, list, of, order, orders })
    })
  )
}
