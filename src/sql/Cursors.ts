/**
 * How far the bus has each lane: with the log, the whole outbox.
 *
 * A cursor moves only under the lease of its lane, only from where its owner believes it to be, and only to an event that
 * the log has there: after a failover the log may lack what was just sent. All is checked by the statement that moves it,
 * so an owner that slept through its lease changes nothing.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import type { Lease } from "./Leases.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

/**
 * Another replica owns the lane now, the cursor stands elsewhere, or the log has not what was sent. Nothing was written;
 * begin again from the lease.
 */
export class LostLease extends Schema.TaggedError<LostLease>()("LostLease", {
  role: Schema.String,
  epoch: Schema.Int
}) {
  override get message() {
    return `the lease of ${this.role} (epoch ${this.epoch}) is no longer ours, or the log has not what was sent`
  }
}

const CursorRow = Schema.Struct({ lane: Schema.Int, position: Schema.Int })
export type Cursor = typeof CursorRow.Type
const decodeCursors = Schema.decodeUnknownSync(Schema.Array(CursorRow))

export class Cursors extends Context.Service<
  Cursors,
  {
    /** Position of the last event of the lane that the bus has; 0 for none. */
    readonly position: (lane: number) => Effect.Effect<number, StoreUnavailable>
    readonly positions: Effect.Effect<ReadonlyArray<Cursor>, StoreUnavailable>
    readonly advance: (
      lease: Lease,
      lane: number,
      from: number,
      to: { readonly position: number; readonly eventId: string }
    ) => Effect.Effect<void, LostLease | StoreUnavailable>
  }
>()("nexus/sql/Cursors") {
  static readonly layer = Layer.effect(
    Cursors,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient

      const positions = Effect.map(
        answerOf(sql`select lane::int4, position::float8 as position from cursors order by lane`),
        decodeCursors
      )

      const position = Effect.fnUntraced(function* (lane: number) {
        const rows = yield* answerOf(
          sql`select lane::int4, position::float8 as position from cursors where lane = ${lane}`
        )
        const [cursor] = decodeCursors(rows)
        return cursor === undefined ? yield* Effect.die(new Error(`lane ${lane} has no cursor`)) : cursor.position
      })

      // A cursor that a crash sets back only repeats messages, so its commit does not wait for the disk. The lease is
      // locked against its next owner for the length of the statement.
      const advance = Effect.fnUntraced(function* (
        lease: Lease,
        lane: number,
        from: number,
        to: { readonly position: number; readonly eventId: string }
      ) {
        const moved = yield* answerOf(sql`
          with quick as materialized (select set_config('synchronous_commit', 'off', true)),
            fence as (
              select from leases, quick
                where role = ${lease.role} and owner = ${lease.owner} and epoch = ${lease.epoch}::bigint
                for share of leases
            )
          update cursors set position = ${to.position}::bigint, epoch = ${lease.epoch}::bigint
            from fence where lane = ${lane} and position = ${from}::bigint
              and (select event_id from events e where e.lane = ${lane} and e.position = ${to.position}::bigint) = ${to.eventId}
            returning 1 as moved`)
        if (moved.length === 0) return yield* new LostLease({ role: lease.role, epoch: lease.epoch })
      })

      return Cursors.of({ position, positions, advance })
    })
  )
}
