/**
 * Brings a database to the schema of this program: the numbered files of `schema/`, each applied once, in order.
 *
 * All that is pending goes into one transaction under one advisory lock, so that processes that start together
 * migrate once, and a migration that dies leaves nothing behind. Files only expand, and a release brings one at most:
 * so a release serves on its own schema, on the one before, and on the one after, which is what a rolling upgrade and
 * its way back need. A file that changed after it was applied, or that comes before one that was applied, is an
 * error that names it. Runs as the given user, who owns what it creates; `nexus_app`, which serves, is created here.
 */
import { Effect, Schema } from "effect"
import { PgClient } from "@effect/sql-pg"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { appRole, connectTo, type DatabaseAddress, unusableOr } from "./Database.ts"
import { statementsOf } from "./statements.ts"
import { detailOf, sqlStateOf, StoreUnavailable } from "./StoreUnavailable.ts"

export interface MigrationOptions {
  readonly address: DatabaseAddress
  /** L: written into the store by the first migration; afterwards it must be the same. */
  readonly lanes: number
  /** Where the files are; this program's own when absent. */
  readonly directory?: string
}

/** The database cannot be migrated, or is not migrated. The message says what to do. */
export class MigrationRefused extends Schema.TaggedError<MigrationRefused>()("MigrationRefused", {
  message: Schema.String
}) {}

/** How the database stands to this release. Both empty: exactly its own schema. */
export interface SchemaState {
  /** What this release would add: at most one file while it serves, or the database was refused. */
  readonly lacking: ReadonlyArray<string>
  /** What a later release has added: at most one file. */
  readonly later: ReadonlyArray<string>
}

interface SchemaFile {
  readonly file: string
  readonly text: string
  /** sha256 of the text, hex. */
  readonly checksum: string
}

const ownFiles = fileURLToPath(new URL("../../schema/", import.meta.url))
// Number of the advisory lock of migrations; the lanes' locks have two keys and cannot meet it.
const migrationLock = 7_300
// Another process may be in the middle of its migration.
const lockTimeoutMs = 60_000
// An index over a large log takes its time; a statement that hangs is still found.
const statementTimeoutMs = 600_000
/**
 * How far the schema may be from this release's own, in files, to either side. Beyond it nothing is tried: the release
 * one further may have removed what this one needs, or the database may lack what it cannot do without.
 */
const reach = 1
// Roles belong to the whole server: two databases that are migrated at once may meet over them.
const roleAttempts = 5

/** Applies what is pending and gives the names of the files applied; none when the schema is up to date. */
export const migrate = (
  options: MigrationOptions
): Effect.Effect<ReadonlyArray<string>, MigrationRefused | StoreUnavailable> =>
  withConnection(options, (sql) =>
    Effect.gen(function* () {
      const files = yield* readFiles(options.directory)
      yield* Effect.retry(prepareRole(sql), { times: roleAttempts, while: isRoleRace })
      return yield* sql.withTransaction(applyPending(sql, files, options.lanes))
    })
  )

/**
 * For a process that leaves migrating to `nexus migrate`: fails unless it can serve on the schema as it is, which may
 * be one file behind this release or one ahead of it.
 */
export const verifySchema = (
  options: MigrationOptions
): Effect.Effect<SchemaState, MigrationRefused | StoreUnavailable> =>
  withConnection(options, (sql) =>
    Effect.gen(function* () {
      const files = yield* readFiles(options.directory)
      const [table] = yield* sql`select to_regclass('public.schema_migrations') is not null as there`
      const { later, pending } = table?.there === true ? yield* compareFiles(sql, files) : { later: [], pending: files }
      const lacking = pending.map(({ file }) => file)
      if (lacking.length > reach || lacking.length === files.length) {
        return yield* new MigrationRefused({ message: `The database lacks ${lacking.join(", ")}: run "nexus migrate"` })
      }
      yield* compareLanes(sql, options.lanes)
      return { lacking, later }
    })
  )

const withConnection = <A, E>({ address }: MigrationOptions, use: (sql: PgClient.PgClient) => Effect.Effect<A, E>) =>
  Effect.scoped(
    PgClient.make({
      ...connectTo(address),
      maxConnections: 1,
      minConnections: 0,
      applicationName: "nexus migrate",
      startupParameters: {
        statement_timeout: `${statementTimeoutMs}`,
        lock_timeout: `${lockTimeoutMs}`,
        idle_in_transaction_session_timeout: `${statementTimeoutMs}`
      }
    }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make), Effect.flatMap(use))
  ).pipe(
    Effect.mapError((error): Exclude<E, { readonly _tag: "SqlError" }> | MigrationRefused | StoreUnavailable => {
      if (!isSqlError(error)) return error as Exclude<E, { readonly _tag: "SqlError" }>
      const mapped = unusableOr(error)
      return mapped._tag === "StoreUnavailable" ? mapped : new MigrationRefused({ message: mapped.message })
    })
  )

const readFiles = (directory = ownFiles) =>
  Effect.tryPromise({
    try: async (): Promise<ReadonlyArray<SchemaFile>> => {
      const names = (await readdir(directory)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).sort()
      return Promise.all(
        names.map(async (file) => {
          const text = await readFile(join(directory, file), "utf8")
          return { file, text, checksum: createHash("sha256").update(text).digest("hex") }
        })
      )
    },
    catch: (cause) => new MigrationRefused({ message: `The files of the schema cannot be read: ${String(cause)}` })
  })

const RoleRow = Schema.Struct({
  me: Schema.String,
  there: Schema.Boolean,
  superuser: Schema.Boolean,
  member: Schema.Boolean
})
const decodeRole = Schema.decodeUnknownEffect(Schema.Tuple([RoleRow]))

const prepareRole = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [{ me, member, superuser, there }] = yield* Effect.orDie(
    decodeRole(
      yield* sql`
        select current_user::text as me, r.oid is not null as there, u.rolsuper as superuser,
          case when r.oid is null then false
            when current_setting('server_version_num')::int >= 160000 then pg_has_role(u.oid, r.oid, 'SET')
            else pg_has_role(u.oid, r.oid, 'MEMBER') end as member
        from pg_roles u left join pg_roles r on r.rolname = ${appRole} where u.rolname = current_user`
    )
  )
  if (me === appRole) {
    return yield* new MigrationRefused({
      message:
        `${appRole} serves and must not own the tables: give the URL of their owner as NEXUS_DATABASE_MIGRATE_URL ` +
        `(or run "nexus migrate" with it)`
    })
  }
  const mayNot = (cause: SqlError) =>
    sqlStateOf(cause) === "42501"
      ? new MigrationRefused({
          message:
            `The user ${me} may not create roles; let an administrator run once: ` +
            `${there ? "" : `CREATE ROLE ${appRole}; `}GRANT ${appRole} TO ${quoted(me)};`
        })
      : cause
  if (!there) yield* Effect.mapError(sql.unsafe(`create role ${appRole} nologin`), mayNot)
  if (!member && !superuser) yield* Effect.mapError(sql.unsafe(`grant ${appRole} to ${quoted(me)}`), mayNot)
})

const quoted = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)

// "already exists", its older sister "duplicate key", and "tuple concurrently updated".
const isRoleRace = (error: unknown) => ["42710", "23505", "XX000"].includes(sqlStateOf(error) ?? "")

const Rights = Schema.Struct({ me: Schema.String, database: Schema.String, mayCreate: Schema.Boolean })
const decodeRights = Schema.decodeUnknownEffect(Schema.Tuple([Rights]))

const applyPending = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  files: ReadonlyArray<SchemaFile>,
  lanes: number
) {
  yield* sql`select pg_advisory_xact_lock(${migrationLock}::bigint)`
  const [{ database, mayCreate, me }] = yield* Effect.orDie(
    decodeRights(
      yield* sql`
        select has_schema_privilege('public', 'CREATE') as "mayCreate", current_user::text as me,
          current_database()::text as database`
    )
  )
  if (!mayCreate) {
    return yield* new MigrationRefused({
      message:
        `The user ${me} may not create tables in ${database}; let an administrator run once: ` +
        `GRANT CREATE ON SCHEMA public TO ${quoted(me)};`
    })
  }
  yield* sql`
    create table if not exists schema_migrations (
      file text collate "C" primary key,
      checksum text not null,
      applied_at timestamptz not null default clock_timestamp()
    )`
  const { pending } = yield* compareFiles(sql, files)
  for (const { checksum, file, text } of pending) {
    for (const statement of statementsOf(text)) {
      yield* Effect.mapError(sql.unsafe(statement).unprepared, (cause) => refusedBy(file, statement, cause))
    }
    yield* sql`insert into schema_migrations (file, checksum) values (${file}, ${checksum})`
  }
  yield* seedLanes(sql, lanes)
  yield* compareLanes(sql, lanes)
  return pending.map(({ file }) => file)
})

const refusedBy = (file: string, statement: string, cause: SqlError) =>
  sqlStateOf(cause) === null
    ? StoreUnavailable.of(cause)
    : new MigrationRefused({
        message: `${file} fails at "${statement.split("\n", 1)[0]}": ${detailOf(cause)}; nothing was changed`
      })

const Applied = Schema.Array(Schema.Struct({ file: Schema.String, checksum: Schema.String }))
const decodeApplied = Schema.decodeUnknownEffect(Applied)

const compareFiles = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, files: ReadonlyArray<SchemaFile>) {
  const applied = yield* Effect.orDie(
    decodeApplied(yield* sql`select file, checksum from schema_migrations order by file`)
  )
  const known = new Map(files.map((each) => [each.file, each]))
  const newest = files.at(-1)?.file ?? ""
  const later: Array<string> = []
  for (const { checksum, file } of applied) {
    const ours = known.get(file)
    if (ours === undefined && file < newest) {
      return yield* new MigrationRefused({
        message:
          `The database has ${file}, which stands before ${newest} and is not this program's: another line of ` +
          `development migrated it; run "nexus serve" of that one`
      })
    }
    if (ours === undefined) later.push(file)
    else if (ours.checksum !== checksum) {
      return yield* new MigrationRefused({
        message: `${file} was changed after it was applied: put it back as it was, and add a new file for the change`
      })
    }
  }
  if (later.length > reach) {
    return yield* new MigrationRefused({
      message:
        `The database has ${later.join(", ")}, and this release knows ${newest} and runs on one schema later at most: ` +
        `run "nexus serve" of the release that brought ${later.at(-1)}, or of the one before it`
    })
  }
  const last = applied.at(-1)?.file ?? ""
  const done = new Set(applied.map(({ file }) => file))
  const pending = files.filter(({ file }) => !done.has(file))
  const early = pending.find(({ file }) => file < last)
  if (early !== undefined) {
    return yield* new MigrationRefused({
      message: `${early.file} comes before ${last}, which is applied already: give it the next free number`
    })
  }
  return { later, pending }
})

/** The rows that there are one of per lane, and the single roles. Only the first migration finds them missing. */
const seedLanes = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, lanes: number) {
  const stored = yield* sql`select from store`
  if (stored.length > 0) return
  yield* sql`insert into store (lanes) values (${lanes}::smallint)`
  yield* sql`insert into cursors (lane) select generate_series(0, ${lanes}::integer - 1)`
  yield* sql`
    insert into leases (role)
      select 'relay/' || lane from generate_series(0, ${lanes}::integer - 1) as lane
      union all values ('user-stream'), ('reconciler'), ('auditor')`
})

const decodeLanes = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ lanes: Schema.Int })]))

const compareLanes = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, asked: number) {
  const [{ lanes }] = yield* Effect.orDie(decodeLanes(yield* sql`select lanes::integer as lanes from store`))
  if (lanes === asked) return
  return yield* new MigrationRefused({
    message: `The store has ${lanes} lanes for ever, and database.lanes says ${asked}: set it to ${lanes}`
  })
})
