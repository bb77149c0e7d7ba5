/**
 * How far the log goes, which generation it is of, and whether a recovery is under way: what a start, and a process that
 * runs, compare with what others have seen. Where commits are missing it opens a recovery; what `nexus recover` then
 * changes is in `Recoveries.ts`.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { EpochMillis } from "../domain/Ids.ts"
import { Database } from "./Database.ts"
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
