/**
 * What `nexus recover` writes about itself: that it was begun, which generation it raised the store to, and that it is
 * finished. As the owner, under one advisory lock for as long as it lives: of two recoveries at once the second is refused.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import type { EpochMillis } from "../domain/Ids.ts"
import { connectTo, type DatabaseAddress } from "./Database.ts"
import { Int8 } from "./LogRows.ts"
import { answerOf, StoreUnavailable } from "./StoreUnavailable.ts"

const decodePositions = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ position: Int8 })))
const decodeThere = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ there: Schema.Boolean })]))

/** Another recovery of this store is under way. */
export class RecoveryUnderWay extends Schema.TaggedError<RecoveryUnderWay>()("RecoveryUnderWay", {}) {
  override get message() {
    return "another `nexus recover` is at work on this database: let it finish"
  }
}

/** This user may not change what a recovery changes. */
export class RecoveryNotAllowed extends Schema.TaggedError<RecoveryNotAllowed>()("RecoveryNotAllowed", {
  user: Schema.String
}) {
  override get message() {
    return `the user ${this.user} may not recover the store: give the URL of its owner as NEXUS_DATABASE_MIGRATE_URL`
  }
}

const decodeRights = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ me: Schema.String, may: Schema.Boolean })]))

const RecoveryRow = Schema.Struct({
  number: Schema.Int,
  by: Schema.String,
  reason: Schema.String,
  heads: Schema.Array(Schema.Finite),
  logEndedAt: Schema.Finite,
  known: Schema.NullOr(Schema.Array(Schema.Finite)),
  generation: Schema.NullOr(Schema.Int),
  /** What the process missed that opened it; null: an operator began it. */
  found: Schema.NullOr(Schema.String)
})
export type Recovery = typeof RecoveryRow.Type
const decodeRecoveries = Schema.decodeUnknownSync(Schema.Array(RecoveryRow))

const columns = `number, begun_by as by, reason, heads::float8[] as heads, log_ended_at::float8 as "logEndedAt",
  known::float8[] as known, generation, to_jsonb(recoveries) ->> 'found' as found`

// Number of the advisory lock of recoveries; that of migrations is 7300, the lanes' locks have two keys.
const recoveryLock = 7_302

export class Recoveries extends Context.Service<
  Recoveries,
  {
    /**
     * From here on nothing serves the store. One that was interrupted goes on, under its first name and reason. One that a
     * process opened, which found commits missing, goes on under this name and reason, and looks as far back as that one said.
     */
    readonly begin: (fact: {
      readonly by: string
      readonly reason: string
      readonly heads: ReadonlyArray<number>
      readonly logEndedAt: EpochMillis
    }) => Effect.Effect<Recovery, StoreUnavailable>
    /** From its first position on each lane belongs to this generation. */
    readonly raise: (raised: {
      readonly number: number
      readonly generation: number
      /** By lane. */
      readonly firstPositions: ReadonlyArray<number>
      readonly known: ReadonlyArray<number>
    }) => Effect.Effect<void, StoreUnavailable>
    /** By lane, where a generation begins. */
    readonly firstPositions: (generation: number) => Effect.Effect<ReadonlyArray<number>, StoreUnavailable>
    /** The store may be served again. */
    readonly finish: (number: number, imported: object) => Effect.Effect<void, StoreUnavailable>
  }
>()("nexus/sql/Recoveries") {
  static readonly layer = (options: {
    /** The owner's, as for migrations. */
    readonly address: DatabaseAddress
  }): Layer.Layer<Recoveries, StoreUnavailable | RecoveryUnderWay | RecoveryNotAllowed> =>
    Layer.effect(
      Recoveries,
      Effect.gen(function* () {
        // One connection, which is never closed before the end: the lock lives with it.
        const sql = yield* PgClient.make({
          ...connectTo(options.address),
          maxConnections: 1,
          minConnections: 1,
          applicationName: "nexus recover"
        }).pipe(
          Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make),
          Effect.mapError(StoreUnavailable.of)
        )
        const [{ may, me }] = decodeRights(
          yield* answerOf(sql`
            select current_user::text as me, has_table_privilege('recoveries', 'INSERT')
              and has_table_privilege('recoveries', 'UPDATE') and has_table_privilege('generations', 'INSERT')
              and has_table_privilege('store', 'UPDATE') and has_table_privilege('leases', 'UPDATE')
              and has_table_privilege('cursors', 'UPDATE') as may`)
        )
        if (!may) return yield* new RecoveryNotAllowed({ user: me })
        const locked = yield* answerOf(sql`select pg_try_advisory_lock(${recoveryLock}::bigint) as there`)
        if (!decodeThere(locked)[0].there) return yield* new RecoveryUnderWay({})

        const begin: Recoveries["Service"]["begin"] = Effect.fnUntraced(function* ({ by, heads, logEndedAt, reason }) {
          yield* answerOf(sql`
            insert into recoveries (number, begun_by, reason, heads, log_ended_at)
              select coalesce(max(number), 0) + 1, ${by}, ${reason}, ${[...heads]}::bigint[], ${logEndedAt}::bigint
                from recoveries having count(*) filter (where finished_at is null) = 0
              on conflict do nothing`)
          yield* answerOf(sql`
            update recoveries set begun_by = ${by}, reason = ${reason}, heads = ${[...heads]}::bigint[]
              where finished_at is null and to_jsonb(recoveries) ->> 'found_by' = begun_by`)
          const [recovery] = decodeRecoveries(
            yield* answerOf(sql`select ${sql.literal(columns)} from recoveries where finished_at is null`)
          )
          return recovery ?? (yield* Effect.die(new Error("a recovery that was begun is not there")))
        })

        const raise: Recoveries["Service"]["raise"] = ({ firstPositions, generation, known, number }) =>
          Effect.asVoid(
            answerOf(
              sql.withTransaction(
                Effect.andThen(
                  sql`insert into generations (generation, lane, first_position)
                    select ${generation}, f.ordinality - 1, f.position
                      from unnest(${[...firstPositions]}::bigint[]) with ordinality as f(position)`,
                  Effect.andThen(
                    sql`update store set generation = ${generation}`,
                    Effect.andThen(
                      // Whoever slept through all this and wakes up writes under an epoch that is over.
                      sql`update leases set owner = null, epoch = epoch + 1, expires_at = '-infinity'`,
                      Effect.andThen(
                        // What was sent from there on was sent under the old generation, and is void.
                        sql`update cursors set position = least(cursors.position, f.position - 1)
                          from unnest(${[...firstPositions]}::bigint[]) with ordinality as f(position)
                          where cursors.lane = f.ordinality - 1`,
                        sql`update recoveries set generation = ${generation}, known = ${[...known]}::bigint[] where number = ${number}`
                      )
                    )
                  )
                )
              )
            )
          )

        const firstPositions = Effect.fnUntraced(function* (generation: number) {
          const rows = yield* answerOf(sql`
            select first_position as position from generations where generation = ${generation} order by lane`)
          return decodePositions(rows).map(({ position }) => position)
        })

        const finish: Recoveries["Service"]["finish"] = (number, imported) =>
          Effect.asVoid(
            answerOf(sql`
              update recoveries set finished_at = clock_timestamp(), imported = ${JSON.stringify(imported)}::text::jsonb
                where number = ${number}`)
          )

        return Recoveries.of({ begin, raise, firstPositions, finish })
      })
    )
}
