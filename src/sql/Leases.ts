/**
 * Who owns the work that must be single: a lease per role, renewed and placed by one statement.
 *
 * Each tick is a sign of life, renews what this replica holds, takes what is free up to its fair share and names
 * what it has too much of. Only PostgreSQL's clock is read. A lease protects nothing by itself: what counts is
 * written under (owner, epoch), and refused there once another owner has come (see `Cursors.advance`).
 *
 * The share is counted per kind of role (`relay/0` is of the kind `relay`), among the replicas that run that kind:
 * over several kinds at once a replica could be full with work that others can do, and refuse what only it can.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Database } from "./Database.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

export interface Lease {
  readonly role: string
  /** Grows by one with each new owner. */
  readonly epoch: number
  /** Unique per process start: after a failover an epoch may come back, this name does not. */
  readonly owner: string
}

const HeldLease = Schema.Struct({ role: Schema.String, epoch: Schema.Int, surplus: Schema.Boolean })
/** `surplus`: another replica has too few of the kind; stop this role, then release it. */
export type HeldLease = typeof HeldLease.Type
const decodeHeld = Schema.decodeUnknownSync(Schema.Array(HeldLease))

const LeaseState = Schema.Struct({
  role: Schema.String,
  /** Null: nobody's. */
  owner: Schema.NullOr(Schema.String),
  epoch: Schema.Int,
  /** Until others may take it; below zero: they may. Null: it was given back, or never taken. */
  remainingMillis: Schema.NullOr(Schema.Number)
})
export type LeaseState = typeof LeaseState.Type
const decodeStates = Schema.decodeUnknownSync(Schema.Array(LeaseState))

// A replica that was not seen for this long will not come back under its name.
const forgetReplicas = "1 hour"

export class Leases extends Context.Service<
  Leases,
  {
    /**
     * What this replica holds now. `roles` is all it runs: names of leases, and names without one ("executor"), which
     * others only see. Ask again well within `ttlMs`; count trust from before the question.
     */
    readonly tick: (asked: {
      readonly me: string
      readonly roles: ReadonlyArray<string>
      readonly ttlMs: number
      /**
       * Of the store, as this process opened it: on another one, or under a recovery, nothing is held or taken. Who asks is
       * seen to live all the same, and a recovery waits for it.
       */
      readonly generation: number
    }) => Effect.Effect<ReadonlyArray<HeldLease>, StoreUnavailable>
    /** Gives a role back at once, if it still is the owner's. Its work must have stopped before. */
    readonly release: (lease: {
      readonly owner: string
      readonly role: string
    }) => Effect.Effect<void, StoreUnavailable>
    /** Every lease as it stands, by role. */
    readonly list: Effect.Effect<ReadonlyArray<LeaseState>, StoreUnavailable>
    /** The replica leaves: gives back all its roles and is not counted any more. */
    readonly leave: (me: string) => Effect.Effect<void, StoreUnavailable>
  }
>()("nexus/sql/Leases") {
  static readonly layer = Layer.effect(
    Leases,
    Effect.gen(function* () {
      const sql = (yield* Database).side

      const tick = Effect.fnUntraced(function* (asked: {
        readonly me: string
        readonly roles: ReadonlyArray<string>
        readonly ttlMs: number
        readonly generation: number
      }) {
        const { generation, me, roles, ttlMs } = asked
        const rows = yield* answerOf(sql`
          with t as materialized (
            select clock_timestamp() as now, ${ttlMs}::float8 * interval '1 millisecond' as life,
                generation = ${generation} and not exists (select from recoveries where finished_at is null) as may_hold
              from store
          ), beat as (
            -- Alive all the same; but nobody shares with one that may hold nothing, or leaves work to it.
            insert into replicas (id, roles, seen_at)
              select ${me}, case when may_hold then ${roles}::text[] else '{}' end, now from t
              on conflict (id) do update set roles = excluded.roles, seen_at = excluded.seen_at
          ), forgotten as (
            delete from replicas where id in (
              select r.id from replicas r, t where r.id <> ${me} and r.seen_at < t.now - ${forgetReplicas}::interval
                for update of r skip locked)
          ), work as (
            select role, split_part(role, '/', 1) as kind, owner, expires_at from leases where role = any(${roles}::text[])
          ), others as (
            select r.id, w.kind, count(*) filter (where w.owner = r.id and w.expires_at > t.now) as held
              from t, replicas r, work w
              where r.id <> ${me} and r.seen_at > t.now - t.life
                and exists (select from unnest(r.roles) as o where split_part(o, '/', 1) = w.kind)
              group by r.id, w.kind
          ), share as (
            select kind, count(*)::numeric / (1 + (select count(*) from others o where o.kind = work.kind)) as n
              from work group by kind
          ), needy as (
            select kind, n, exists (select from others o where o.kind = share.kind and o.held < floor(n)) as poorer_lives
              from share
          ), kept as (
            update leases set expires_at = t.now + t.life from t
              where t.may_hold and owner = ${me} and role = any(${roles}::text[]) returning role, epoch
          ), held as (
            select kind, count(kept.role) as held, max(kept.role) as last
              from work left join kept using (role) group by kind
          ), candidates as (
            select role, kind, row_number() over (partition by kind order by random()) as nth
              from work, t where t.may_hold and owner is distinct from ${me} and expires_at < t.now
          ), free as (
            -- What is left over beyond equal shares goes to whoever comes first, once nobody has less than its share.
            select l.role from leases l, candidates c, needy n, held h, t
              where l.role = c.role and n.kind = c.kind and h.kind = c.kind
                and c.nth <= (case when n.poorer_lives then floor(n.n) else ceil(n.n) end) - h.held
                and l.owner is distinct from ${me} and l.expires_at < t.now
              for update of l skip locked
          ), taken as (
            update leases l set owner = ${me}, epoch = l.epoch + 1, expires_at = t.now + t.life
              from free, t where l.role = free.role returning l.role, l.epoch
          )
          select kept.role, kept.epoch::float8 as epoch,
              kept.role = held.last and held.held > floor(needy.n) and needy.poorer_lives as surplus
            from kept join work using (role) join held using (kind) join needy using (kind)
          union all select role, epoch::float8, false from taken
          order by role`)
        return decodeHeld(rows)
      })

      const release = Effect.fnUntraced(function* (lease: { readonly owner: string; readonly role: string }) {
        yield* answerOf(sql`
          update leases set owner = null, expires_at = '-infinity'
            where role = ${lease.role} and owner = ${lease.owner}`)
      })

      const list = Effect.map(
        answerOf(sql`
          select role, owner, epoch::float8 as epoch,
              case when isfinite(expires_at)
                then (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 end as "remainingMillis"
            from leases order by role`),
        decodeStates
      )

      const leave = Effect.fnUntraced(function* (me: string) {
        yield* answerOf(sql`
          with gone as (delete from replicas where id = ${me})
          update leases set owner = null, expires_at = '-infinity' where owner = ${me}`)
      })

      return Leases.of({ tick, release, list, leave })
    })
  )
}
