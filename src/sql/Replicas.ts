/**
 * Which replicas live and what they run, as their lease ticks have said.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Database } from "./Database.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

const decodeIds = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ id: Schema.String })))

export class Replicas extends Context.Service<
  Replicas,
  {
    /**
     * Names of the replicas that run a role and were seen within `ttlMs`, in order. A kind finds its members:
     * "relay" finds who runs "relay/0".
     */
    readonly live: (role: string, ttlMs: number) => Effect.Effect<ReadonlyArray<string>, StoreUnavailable>
  }
>()("nexus/sql/Replicas") {
  static readonly layer = Layer.effect(
    Replicas,
    Effect.gen(function* () {
      const sql = (yield* Database).side

      const live = Effect.fnUntraced(function* (role: string, ttlMs: number) {
        const rows = yield* answerOf(sql`
          select id from replicas
            where seen_at > clock_timestamp() - ${ttlMs}::float8 * interval '1 millisecond'
              and exists (select from unnest(roles) as r where r = ${role} or split_part(r, '/', 1) = ${role})
            order by id`)
        return decodeIds(rows).map(({ id }) => id)
      })

      return Replicas.of({ live })
    })
  )
}
