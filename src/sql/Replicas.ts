/**
 * Which replicas live and what they run, as their lease ticks have said.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Database } from "./Database.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

const ReplicaState = Schema.Struct({
  id: Schema.String,
  roles: Schema.Array(Schema.String),
  /** Since its last sign of life. */
  silentMillis: Schema.Number
})
export type ReplicaState = typeof ReplicaState.Type
const decodeStates = Schema.decodeUnknownSync(Schema.Array(ReplicaState))
const decodeIds = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ id: Schema.String })))

export class Replicas extends Context.Service<
  Replicas,
  {
    /**
     * Names of the replicas that run a role and were seen within `ttlMs`, in order. A kind finds its members:
     * "relay" finds who runs "relay/0".
     */
    readonly live: (role: string, ttlMs: number) => Effect.Effect<ReadonlyArray<string>, StoreUnavailable>
    /** All that were seen within the hour and did not leave, the ones seen last first. */
    readonly list: Effect.Effect<ReadonlyArray<ReplicaState>, StoreUnavailable>
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

      const list = Effect.map(
        answerOf(sql`
          select id, roles, (extract(epoch from clock_timestamp() - seen_at) * 1000)::float8 as "silentMillis"
            from replicas order by seen_at desc, id`),
        decodeStates
      )

      return Replicas.of({ live, list })
    })
  )
}
