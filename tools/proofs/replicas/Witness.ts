/**
 * What PostgreSQL saw, beside Nexus: triggers of the proof note each change of a lease and each write of a cursor with
 * its moment, so that takeovers are measured to the millisecond and no stale write can hide between two looks.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Redacted, Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { pause } from "../programs.ts"

const backTries = 50
const backPauseMillis = 100

export const setUp: ReadonlyArray<string> = [
  `create schema proof`,
  `create table proof.lease_moves (role text, owner text, epoch bigint, at timestamptz)`,
  `create table proof.cursor_moves (lane int, was bigint, position bigint, epoch bigint, lease_epoch bigint, at timestamptz)`,
  `create function proof.note_lease() returns trigger language plpgsql security definer as $$ begin
     insert into proof.lease_moves values (new.role, new.owner, new.epoch, clock_timestamp()); return null; end $$`,
  `create function proof.note_cursor() returns trigger language plpgsql security definer as $$ begin
     insert into proof.cursor_moves select new.lane, old.position, new.position, new.epoch, l.epoch, clock_timestamp()
       from leases l where l.role = 'relay/' || new.lane; return null; end $$`,
  `create trigger proof_lease after update on leases for each row
     when (old.epoch <> new.epoch or old.owner is distinct from new.owner) execute function proof.note_lease()`,
  `create trigger proof_cursor after update on cursors for each row execute function proof.note_cursor()`
]

export interface LeaseRow {
  readonly role: string
  readonly owner: string | null
  readonly epoch: number
  readonly isLive: boolean
}

export interface Move {
  readonly role: string
  readonly owner: string | null
  readonly epoch: number
  /** Milliseconds since 1970. */
  readonly at: number
}

type Row = Readonly<Record<string, unknown>>

export class Witness {
  readonly #scope: Scope.Closeable
  readonly #sql: PgClient.PgClient

  private constructor(scope: Scope.Closeable, sql: PgClient.PgClient) {
    this.#scope = scope
    this.#sql = sql
  }

  static async open(url: string): Promise<Witness> {
    const scope = Scope.makeUnsafe()
    const sql = await Effect.runPromise(
      PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(
        Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make),
        Scope.provide(scope)
      )
    )
    return new Witness(scope, sql)
  }

  close(): Promise<void> {
    return Effect.runPromise(Scope.close(this.#scope, Exit.void))
  }

  /** For what a proof wants to know besides. One connection: a transaction that is begun stays open until it is ended. */
  ask(statement: string): Promise<ReadonlyArray<Row>> {
    return Effect.runPromise(this.#sql.unsafe<Record<string, unknown>>(statement))
  }

  async leases(): Promise<ReadonlyArray<LeaseRow>> {
    const rows = await this.ask(
      `select role, owner, epoch::float8 as epoch, expires_at > clock_timestamp() as live from leases order by role`
    )
    return rows.map(({ epoch, live, owner, role }) => ({
      role: String(role),
      owner: typeof owner === "string" ? owner : null,
      epoch: Number(epoch),
      isLive: live === true
    }))
  }

  async moves(since: number): Promise<ReadonlyArray<Move>> {
    const rows = await this.ask(
      `select role, owner, epoch::float8 as epoch, extract(epoch from at)::float8 * 1000 as at from proof.lease_moves
         where at >= to_timestamp(${since / 1_000}) order by at`
    )
    return rows.map(({ at, epoch, owner, role }) => ({
      role: String(role),
      owner: typeof owner === "string" ? owner : null,
      epoch: Number(epoch),
      at: Number(at)
    }))
  }

  /** First write of a lane's cursor under an epoch above the one given; null: none. */
  async firstWrite(lane: number, aboveEpoch: number): Promise<number | null> {
    const [row] = await this.ask(
      `select extract(epoch from min(at))::float8 * 1000 as at from proof.cursor_moves
         where lane = ${lane} and epoch > ${aboveEpoch}`
    )
    return row?.["at"] === null || row === undefined ? null : Number(row["at"])
  }

  /** Of each lane whose cursor was written since then, when that was for the first time, and under which epoch. */
  async firstWrites(since: number): Promise<ReadonlyMap<number, { readonly at: number; readonly epoch: number }>> {
    const rows = await this.ask(
      `select distinct on (lane) lane, epoch::float8 as epoch, extract(epoch from at)::float8 * 1000 as at
         from proof.cursor_moves where at >= to_timestamp(${since / 1_000}) order by lane, at`
    )
    return new Map(rows.map(({ at, epoch, lane }) => [Number(lane), { at: Number(at), epoch: Number(epoch) }]))
  }

  /** After PostgreSQL was away: a connection that it took along fails once more. */
  async comesBack(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.ask("select 1")
        return
      } catch (error) {
        if (tries === backTries) throw error
        await pause(backPauseMillis)
      }
    }
  }

  /** Cursor writes, those under an epoch that was over, and those that went back or left a hole. */
  async cursorWrites(): Promise<{ readonly all: number; readonly stale: number; readonly astray: number }> {
    const [row] = await this.ask(
      `select count(*)::float8 as "all", count(*) filter (where epoch <> lease_epoch)::float8 as stale,
         count(*) filter (where position <= was or was <> before)::float8 as astray
       from (select *, lag(position, 1, was) over (partition by lane order by at, position) as before from proof.cursor_moves) moves`
    )
    return { all: Number(row?.["all"]), stale: Number(row?.["stale"]), astray: Number(row?.["astray"]) }
  }

  /** Of each order whose id begins so, when it was written down and when it was COMPLETED; null: it is not. */
  async lives(
    prefix: string
  ): Promise<ReadonlyArray<{ readonly id: string; readonly placedAt: number; readonly completedAt: number | null }>> {
    const rows = await this.ask(
      `select stream_id as id, min(recorded_at) filter (where type = 'OrderPlaced')::float8 as placed,
         min(recorded_at) filter (where type = 'OrderCompleted')::float8 as completed
       from events where starts_with(stream_id, '${prefix}') group by stream_id`
    )
    return rows.map(({ completed, id, placed }) => ({
      id: String(id),
      placedAt: Number(placed),
      completedAt: completed === null ? null : Number(completed)
    }))
  }

  /** By which the client order ids are known beforehand. */
  async storeId(): Promise<string> {
    const [row] = await this.ask(`select store_id as id from store`)
    return String(row?.["id"])
  }

  /** Of each lane, the last position in the log. */
  async heads(): Promise<ReadonlyArray<{ readonly lane: number; readonly head: number }>> {
    const rows = await this.ask(
      `select lane::int, max(position)::float8 as head from events group by lane order by lane`
    )
    return rows.map(({ head, lane }) => ({ lane: Number(lane), head: Number(head) }))
  }
}
