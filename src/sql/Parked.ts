/**
 * Records that could not be sent or handled, kept whole, so that their lane goes on and an operator can look.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

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
const decodeRecords = Schema.decodeUnknownSync(Schema.Array(ParkedRecord))

export class Parked extends Context.Service<
  Parked,
  {
    /** Keeps the record. The same record of the same consumer is kept once. */
    readonly insert: (record: ParkedRecord) => Effect.Effect<void, StoreUnavailable>
    /** The newest first. */
    readonly list: (limit: number) => Effect.Effect<ReadonlyArray<ParkedRecord>, StoreUnavailable>
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

      return Parked.of({ insert, list })
    })
  )
}
