/**
 * The connections to PostgreSQL that serve: a bounded pool for the work, and a few connections beside it.
 *
 * Every one of them runs as `nexus_app`, set in its start-up packet, with time-outs. PostgreSQL either applies
 * that or refuses the connection; a pooler in between may drop it silently. So the role is checked here at
 * start and by every readiness probe, and again by the append itself, on whatever connection it comes.
 * Owners of tables and superusers are only used by `Migrations`.
 */
import { Context, Deferred, Effect, Layer, Redacted, Result, Schema, Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { DatabaseTarget } from "../config.ts"
import { detailOf, sqlStateOf, StoreUnavailable } from "./StoreUnavailable.ts"

export const appRole = "nexus_app"

export type DatabaseAddress = { readonly url: Redacted.Redacted } | Omit<DatabaseTarget, "ssl_mode">

/** Named as in config.yaml, section `database`. */
export interface DatabaseLimits {
  readonly max_open_conns: number
  readonly max_idle_conns: number
  readonly statement_timeout_ms: number
  readonly lock_timeout_ms: number
  readonly idle_in_transaction_timeout_ms: number
}

export interface DatabaseOptions {
  /** How the connections name themselves to PostgreSQL; "nexus" when absent. */
  readonly name?: string
  readonly address: DatabaseAddress
  readonly limits: DatabaseLimits
}

/** PostgreSQL answers, and cannot be served from as it is. The message says what to do. */
export class DatabaseUnusable extends Schema.TaggedError<DatabaseUnusable>()("DatabaseUnusable", {
  message: Schema.String
}) {}

/** A probe that takes longer means "not ready". */
const readyTimeoutMs = 1_000
/** A probe that takes longer is on a connection that is dead without knowing it: the next one gets another. */
const probeLimitMs = 3_000
const connectTimeoutMs = 3_000
// A peer that vanished without a word is found after this and ten probes of a second each.
const keepAliveMs = 10_000
// How long a connection above `max_idle_conns` stays open without work.
const idleTimeoutMs = 10_000
// Two are for short statements (leases, shares of the exchange's budget), one may be held by a listener.
const sideConnections = 3

export class Database extends Context.Service<
  Database,
  {
    /**
     * Null while a command can be stored, else why not. Writes (and flushes) a few bytes to PostgreSQL's log, so a full
     * disk or a standby that must confirm and does not are seen too. Answers within a second.
     */
    readonly ready: Effect.Effect<string | null>
    /** A few connections apart from the pool, so that renewing a lease never waits behind the orders. */
    readonly side: PgClient.PgClient
  }
>()("nexus/sql/Database") {
  /** `PgClient` and `SqlClient` are the pool of the work: at most `max_open_conns`, of which `max_idle_conns` stay open. */
  static readonly layer = (
    options: DatabaseOptions
  ): Layer.Layer<Database | PgClient.PgClient | SqlClient.SqlClient, DatabaseUnusable | StoreUnavailable> =>
    Layer.effectContext(
      Effect.gen(function* () {
        const { limits, name = "nexus" } = options
        const pool = yield* serving(options, name, {
          maxConnections: limits.max_open_conns,
          minConnections: Math.min(limits.max_idle_conns, limits.max_open_conns)
        })
        const side = yield* serving(options, `${name} side`, { maxConnections: sideConnections, minConnections: 0 })
        yield* checkRole(pool)
        const ready = yield* makeReady(pool)
        return Context.make(Database, Database.of({ ready, side })).pipe(
          Context.add(PgClient.PgClient, pool),
          Context.add(SqlClient.SqlClient, pool)
        )
      })
    )
}

/** What the driver is told of where PostgreSQL is. TLS by `address.tls`, or by `sslmode` of the URL. */
export const connectTo = (address: DatabaseAddress): PgClient.PgPoolConfig =>
  "url" in address
    ? { url: address.url, connectTimeout: connectTimeoutMs, keepAlive: keepAliveMs }
    : {
        host: address.host,
        port: address.port,
        username: address.username,
        password: address.password,
        database: address.database,
        ssl: address.tls,
        connectTimeout: connectTimeoutMs,
        keepAlive: keepAliveMs
      }

const serving = (
  { address, limits }: DatabaseOptions,
  applicationName: string,
  size: { readonly maxConnections: number; readonly minConnections: number }
) =>
  PgClient.make({
    ...connectTo(address),
    ...size,
    applicationName,
    idleTimeout: idleTimeoutMs,
    startupOptions: `-c role=${appRole}`,
    startupParameters: {
      statement_timeout: `${limits.statement_timeout_ms}`,
      lock_timeout: `${limits.lock_timeout_ms}`,
      idle_in_transaction_session_timeout: `${limits.idle_in_transaction_timeout_ms}`
    }
  }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make), Effect.mapError(unusableOr))

const checkRole = Effect.fnUntraced(function* (sql: PgClient.PgClient) {
  const [row] = yield* Effect.mapError(sql`select current_user::text as role`, unusableOr)
  if (row?.role !== appRole) return yield* new DatabaseUnusable({ message: wrongRole(String(row?.role)) })
})

const wrongRole = (role: string) =>
  `Connections to PostgreSQL run as ${role} instead of ${appRole}: something in between (a pooler?) drops the start-up ` +
  `option "-c role=${appRole}"; connect directly, or with a user that is ${appRole} itself`

// What a connection that is refused says of the reason: repeating it would not help.
const unusable = new Map([
  ["22023", `The role ${appRole} does not exist in PostgreSQL yet: run "nexus migrate"`],
  [
    "42501",
    `The user of the database may not become ${appRole}: let an administrator run "GRANT ${appRole} TO <that user>;"`
  ],
  ["28P01", "PostgreSQL does not take the password: check DATABASE_URL, or database.username and database.password"],
  ["28000", "PostgreSQL does not let this user in: check DATABASE_URL, pg_hba.conf and database.ssl_mode"],
  ["3D000", "The database does not exist on this server: create it, or check DATABASE_URL"]
])

export const unusableOr = (error: SqlError): DatabaseUnusable | StoreUnavailable => {
  const message = unusable.get(sqlStateOf(error) ?? "")
  return message === undefined
    ? StoreUnavailable.of(error)
    : new DatabaseUnusable({ message: `${message} (${detailOf(error)})` })
}

const ProbeRow = Schema.Struct({ role: Schema.String, read_only: Schema.Boolean, migrated: Schema.Boolean })
const decodeProbe = Schema.decodeUnknownEffect(Schema.Tuple([ProbeRow]))

const makeReady = Effect.fnUntraced(function* (sql: PgClient.PgClient) {
  const scope = yield* Scope.Scope

  const probe = Effect.gen(function* () {
    // The message goes to the write-ahead log alone and is flushed by the commit; no table grows by it.
    const rows = yield* sql`
      select current_user::text as role, exists (select from store) as migrated,
        pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only,
        case when not pg_is_in_recovery() then pg_logical_emit_message(true, 'nexus', '')::text end as written`
    const [row] = yield* Effect.orDie(decodeProbe(rows))
    if (row.role !== appRole) return wrongRole(row.role)
    if (row.read_only) return "PostgreSQL takes no writes: it is read-only or a standby"
    return row.migrated ? null : `The database has no store yet: run "nexus migrate"`
  })

  // Cancelling a statement on a dead connection takes seconds, so a probe that is late goes on by itself, and as long
  // as it does no other is sent. Owned by the one below.
  let running: Deferred.Deferred<string | null> | undefined
  const start = Effect.gen(function* () {
    const answer = yield* Deferred.make<string | null>()
    running = answer
    yield* Effect.result(probe).pipe(
      Effect.map((result) => (Result.isSuccess(result) ? result.success : StoreUnavailable.of(result.failure).message)),
      Effect.timeoutOrElse({
        duration: probeLimitMs,
        orElse: () => Effect.succeed(`PostgreSQL did not take a write within ${probeLimitMs} ms`)
      }),
      Effect.onExit(() => Effect.sync(() => (running = undefined))),
      Deferred.into(answer),
      Effect.forkIn(scope)
    )
    return answer
  })
  return Effect.suspend(() => (running === undefined ? start : Effect.succeed(running))).pipe(
    Effect.flatMap(Deferred.await),
    Effect.timeoutOrElse({
      duration: readyTimeoutMs,
      orElse: () => Effect.succeed(`PostgreSQL did not take a write within ${readyTimeoutMs} ms`)
    })
  )
})
