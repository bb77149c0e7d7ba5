/**
 * How far the log goes, where its generations begin, and whether a recovery is under way: what a start compares with
 * Kafka and the anchor, and what `nexus recover` changes.
 *
 * `Generations` reads on a serving connection, and opens a recovery where commits are missing. `Recoveries` writes as the owner, and holds one advisory lock for as
 * long as it lives: of two recoveries at once the second is refused.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import type { EpochMillis } from "../domain/Ids.ts"
import { connectTo, Database, type DatabaseAddress } from "./Database.ts"
import { Int8 } from "./LogRows.ts"
import { answerOf, StoreUnavailable } from "./StoreUnavailable.ts"

export interface LaneHead {
  readonly lane: number
  /** 0 for an empty lane. */
  readonly position: number
  /** Chained hash of the lane's last batch, hex; empty for none. */
  readonly hash: string
}

/** How the store stands to recoveries. */
export interface Standing {
  readonly generation: number
  /** Of all times, finished or not. */
  readonly recoveries: number
  /** The one that was begun and is not finished; null: none. */
  readonly open: OpenRecovery | null
}

export interface OpenRecovery {
  readonly by: string
  readonly reason: string
  /** A process that found commits missing opened it, and nobody has taken it on yet. */
  readonly isFound: boolean
}

/** Where an event stands, or stood. */
export interface EventPlace {
  readonly lane: number
  readonly position: number
  readonly eventId: string
}

const decodeHeads = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ lane: Schema.Int, position: Int8, hash: Schema.String }))
)
const decodeCompared = Schema.decodeUnknownSync(
  Schema.Array(
    Schema.Struct({
      lane: Schema.Int,
      position: Int8,
      hash: Schema.String,
      hasSeen: Schema.Boolean,
      lost: Schema.Array(Schema.Finite),
      at: Int8
    })
  )
)
const decodeFound = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ found: Schema.NullOr(Schema.String) })]))
const decodeStanding = Schema.decodeUnknownSync(
  Schema.Tuple([
    Schema.Struct({
      generation: Schema.Int,
      recoveries: Schema.Int,
      by: Schema.NullOr(Schema.String),
      reason: Schema.NullOr(Schema.String),
      isFound: Schema.Boolean
    })
  ])
)
const decodeMoment = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ at: Int8 })]))
const decodeSymbols = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ symbol: Schema.String })))
const decodeThere = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ there: Schema.Boolean })]))

export class Generations extends Context.Service<
  Generations,
  {
    /** Of every lane, in order. */
    readonly heads: Effect.Effect<ReadonlyArray<LaneHead>, StoreUnavailable>
    /** Hash of the batch that ends at a position of a lane; null: none ends there. */
    readonly batchAt: (lane: number, position: number) => Effect.Effect<string | null, StoreUnavailable>
    /** Id of the event at a position of a lane; null: there is none. */
    readonly eventAt: (lane: number, position: number) => Effect.Effect<string | null, StoreUnavailable>
    /** The generation and the recoveries as they stand now. */
    readonly standing: Effect.Effect<Standing, StoreUnavailable>
    /**
     * The ends of all lanes; of those seen before the ones that the log does not have any more; and of these events the ones
     * that do not stand where they stood. All are one server's word at one moment: amid a failover two questions may go to two
     * servers, and ends of the one prove nothing of the other.
     */
    readonly compare: (
      seen: ReadonlyArray<LaneHead>,
      events: ReadonlyArray<EventPlace>
    ) => Effect.Effect<
      {
        readonly heads: ReadonlyArray<LaneHead>
        readonly missing: ReadonlyArray<LaneHead>
        readonly lost: ReadonlyArray<{ readonly lane: number; readonly position: number }>
        /** By the server's clock. */
        readonly at: EpochMillis
      },
      StoreUnavailable
    >
    /** When the log was last written, by PostgreSQL's clock; before the first event, when the store was opened. */
    readonly lastWritten: Effect.Effect<EpochMillis, StoreUnavailable>
    /**
     * Tells every process on this store that commits are missing: opens a recovery, if this server says so too. False: it has
     * all of it, or a recovery was begun or finished meanwhile. Fails on a schema that does not have this yet.
     */
    readonly declareLoss: (loss: {
      readonly node: string
      /** In words, for whoever is to recover it. */
      readonly found: string
      /** As it was known when nothing was missing, and when that was, by the server's clock. */
      readonly since: Pick<Standing, "generation" | "recoveries">
      readonly seenAt: EpochMillis
      readonly batches: ReadonlyArray<LaneHead>
      readonly events: ReadonlyArray<EventPlace>
    }) => Effect.Effect<boolean, StoreUnavailable>
    /** Of all orders, in order. */
    readonly symbols: Effect.Effect<ReadonlyArray<string>, StoreUnavailable>
  }
>()("nexus/sql/Generations") {
  static readonly layer = Layer.effect(
    Generations,
    Effect.gen(function* () {
      // What watches the store must not wait behind its work.
      const sql = (yield* Database).side

      // A standby that is still behind has lost nothing. Each answer says whether it is one's, for no two need come from the
      // same server.
      const settled = (statement: Effect.Effect<ReadonlyArray<object>, unknown>) =>
        Effect.flatMap(answerOf(statement), (rows) =>
          rows.some((row) => "replaying" in row && row.replaying === true)
            ? Effect.fail(StoreUnavailable.of(new Error("this server still replays what another one has written")))
            : Effect.succeed(rows)
        )

      const batchAt = Effect.fnUntraced(function* (lane: number, position: number) {
        const rows = yield* settled(sql`
          select pg_is_in_recovery() as replaying, (select encode(hash, 'hex') from batches
            where lane = ${lane} and last_position = ${position}::bigint) as found`)
        return decodeFound(rows)[0].found
      })

      const eventAt = Effect.fnUntraced(function* (lane: number, position: number) {
        const rows = yield* settled(sql`
          select pg_is_in_recovery() as replaying,
            (select event_id from events where lane = ${lane} and position = ${position}::bigint) as found`)
        return decodeFound(rows)[0].found
      })

      // `found_by` came with the schema's last file, and may not be there yet.
      const standing = Effect.map(
        settled(sql`
          select pg_is_in_recovery() as replaying, s.generation, (select count(*)::int4 from recoveries) as recoveries,
              o.begun_by as by, o.reason, coalesce(to_jsonb(o) ->> 'found_by' = o.begun_by, false) as "isFound"
            from store s left join recoveries o on o.finished_at is null`),
        (rows): Standing => {
          const [{ by, generation, isFound, reason, recoveries }] = decodeStanding(rows)
          return { generation, recoveries, open: by === null || reason === null ? null : { by, reason, isFound } }
        }
      )

      const declareLoss: Generations["Service"]["declareLoss"] = ({ batches, events, found, node, seenAt, since }) =>
        Effect.map(
          answerOf(
            sql`
              select declare_loss(${node}, ${found}, ${since.generation}, ${since.recoveries}, ${seenAt}::bigint,
                ${batches.map(({ lane }) => lane)}::smallint[], ${batches.map(({ position }) => position)}::bigint[],
                array(select decode(hash, 'hex') from unnest(${batches.map(({ hash }) => hash)}::text[]) with ordinality
                  as h(hash, nth) order by nth),
                ${events.map(({ lane }) => lane)}::smallint[], ${events.map(({ position }) => position)}::bigint[],
                ${events.map(({ eventId }) => eventId)}::text[]) as there`.unprepared
          ),
          (rows) => decodeThere(rows)[0].there
        )

      const compare = Effect.fnUntraced(function* (seen: ReadonlyArray<LaneHead>, events: ReadonlyArray<EventPlace>) {
        // Each hash is chained to all before it, so it stands for its lane up to there.
        const written = seen.filter(({ position }) => position > 0)
        // Planned for each question: a plan from a young log would walk through a whole lane later, and one event at a
        // time is asked for whatever the planner thinks of their number.
        const asked = sql`
          with given as materialized (
            select * from unnest(${events.map(({ lane }) => lane)}::int[], ${events.map(({ position }) => position)}::bigint[],
              ${events.map(({ eventId }) => eventId)}::text[]) as g(lane, position, id)
          ), lost as materialized (
            select lane, position::float8 as position from given
              where (select e.event_id from events e where e.lane = given.lane and e.position = given.position)
                is distinct from given.id
          )
          select pg_is_in_recovery() as replaying, l.lane::int4, coalesce(b.last_position, 0) as position,
              coalesce(encode(b.hash, 'hex'), '') as hash,
              exists (select from batches old where old.lane = l.lane and old.last_position = seen.position
                and encode(old.hash, 'hex') = seen.hash) as "hasSeen",
              array(select lost.position from lost where lost.lane = l.lane) as lost,
              (extract(epoch from clock_timestamp()) * 1000)::bigint as at
            from generate_series(0, (select lanes - 1 from store)) as l(lane)
            left join lateral (select last_position, hash from batches where batches.lane = l.lane
              order by last_position desc limit 1) b on true
            left join unnest(${written.map(({ lane }) => lane)}::int[],
              ${written.map(({ position }) => position)}::bigint[], ${written.map(({ hash }) => hash)}::text[])
              as seen(lane, position, hash) on seen.lane = l.lane
            order by l.lane`
        const rows = yield* settled(asked.unprepared)
        const compared = decodeCompared(rows)
        const there = new Set(compared.filter(({ hasSeen }) => hasSeen).map(({ lane }) => lane))
        return {
          heads: compared.map(({ hash, lane, position }) => ({ lane, position, hash })),
          missing: written.filter(({ lane }) => !there.has(lane)),
          lost: compared.flatMap(({ lane, lost }) => lost.map((position) => ({ lane, position }))),
          at: compared[0]?.at ?? 0
        }
      })

      const lastWritten = Effect.map(
        answerOf(sql`
          select coalesce(max(b.recorded_at),
              (select (extract(epoch from coalesce(opened_at, clock_timestamp())) * 1000)::bigint from store)) as at
            from generate_series(0, (select lanes - 1 from store)) as l(lane)
            cross join lateral (select recorded_at from batches where batches.lane = l.lane
              order by last_position desc limit 1) b`),
        (rows) => decodeMoment(rows)[0].at
      )

      return Generations.of({
        heads: Effect.map(compare([], []), ({ heads }) => heads),
        batchAt,
        eventAt,
        standing,
        compare,
        declareLoss,
        lastWritten,
        symbols: Effect.map(answerOf(sql`select distinct symbol from orders order by symbol`), (rows) =>
          decodeSymbols(rows).map(({ symbol }) => symbol)
        )
      })
    })
  )
}

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
>()("nexus/sql/Generations/Recoveries") {
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
            select lane::int4, first_position as position, '' as hash from generations
              where generation = ${generation} order by lane`)
          return decodeHeads(rows).map(({ position }) => position)
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
