/**
 * What the exchange said of its symbols and filters: a row per change, kept for ever, since events name the version
 * that their decision used. What is in a snapshot is not this file's business.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { EpochMillis } from "../domain/Ids.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

const Snapshot = Schema.Struct({
  version: Schema.Int,
  takenAt: EpochMillis,
  /** When the exchange last said the same. */
  checkedAt: EpochMillis,
  content: Schema.Unknown
})
export type StoredSnapshot = typeof Snapshot.Type
const decodeSnapshots = Schema.decodeUnknownSync(Schema.Array(Snapshot))
const decodeVersions = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ version: Schema.Int })))

// Two replicas that save at once may draw the same version; the loser looks again. More replicas than this do not
// fetch in the same moment.
const saveAttempts = 10

export class Instruments extends Context.Service<
  Instruments,
  {
    /** Stores a snapshot (JSON) and gives its version: a new one if it says something new, else the latest, checked again. */
    readonly save: (content: unknown, takenAt: EpochMillis) => Effect.Effect<number, StoreUnavailable>
    readonly latest: Effect.Effect<StoredSnapshot | null, StoreUnavailable>
  }
>()("nexus/sql/Instruments") {
  static readonly layer = Layer.effect(
    Instruments,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient

      // jsonb has one text per value, whatever order the keys came in, so its hash tells equal from changed.
      const trySave = (json: string, takenAt: EpochMillis) =>
        Effect.map(
          answerOf(sql`
            with new as materialized (
              select content, sha256(convert_to(content::text, 'UTF8')) as hash from (select ${json}::text::jsonb as content)
            ), last as materialized (
              select version, content_hash from instruments order by version desc limit 1
            ), same as (
              update instruments i set checked_at = greatest(i.checked_at, ${takenAt}::bigint)
                from last, new where i.version = last.version and last.content_hash = new.hash
                returning i.version
            ), added as (
              insert into instruments (version, taken_at, checked_at, content, content_hash)
                select coalesce((select version from last), 0) + 1, ${takenAt}::bigint, ${takenAt}::bigint, content, hash
                from new where not exists (select from last where last.content_hash = new.hash)
                on conflict do nothing
                returning version
            )
            select version from same union all select version from added`),
          (rows) => decodeVersions(rows)[0]?.version
        )

      const save = Effect.fn("Instruments.save")(function* (content: unknown, takenAt: EpochMillis) {
        const json = JSON.stringify(content)
        for (let attempt = 0; attempt < saveAttempts; attempt++) {
          const version = yield* trySave(json, takenAt)
          if (version !== undefined) return version
        }
        return yield* Effect.die(new Error(`a snapshot of the instruments lost ${saveAttempts} races`))
      })

      const latest = Effect.map(
        answerOf(sql`
          select version, taken_at::float8 as "takenAt", checked_at::float8 as "checkedAt", content
            from instruments order by version desc limit 1`),
        (rows) => decodeSnapshots(rows)[0] ?? null
      )

      return Instruments.of({ save, latest })
    })
  )
}
