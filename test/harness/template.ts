/**
 * Databases for tests: one that is migrated once per run, and clones of it, one per file or test.
 *
 * A clone takes about 50 ms, a migration several times that.
 */
import { Effect, Redacted, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { Reactivity } from "effect/reactivity"
import type { DatabaseLimits } from "../../src/sql/Database.ts"
import { migrate } from "../../src/sql/Migrations.ts"

export const templateName = "nexus_template"
export const templateLanes = 4

/** As in config.yaml, but for a pool that leaves room for other files on the same server. */
export const limitsForTests: DatabaseLimits = {
  max_open_conns: 8,
  max_idle_conns: 1,
  statement_timeout_ms: 5_000,
  lock_timeout_ms: 2_000,
  idle_in_transaction_timeout_ms: 2_000
}

/** The URL of another database on the server of this URL. */
export const databaseUrl = (pgUrl: string, name: string): string => {
  const url = new URL(pgUrl)
  url.pathname = `/${name}`
  return url.href
}

/** Makes the template; called once per run, with a superuser's URL. */
export const prepareTemplate = (pgUrl: string): Promise<void> =>
  Effect.gen(function* () {
    yield* asAdministrator(pgUrl, (sql) => sql.unsafe(`create database ${templateName}`))
    yield* migrate({ address: { url: Redacted.make(databaseUrl(pgUrl, templateName)) }, lanes: templateLanes })
  }).pipe(Effect.runPromise)

let count = 0

const named = (pgUrl: string, from: string): Effect.Effect<string, never, Scope.Scope> => {
  const name = `t_${process.pid}_${(count += 1)}`
  return Effect.acquireRelease(
    Effect.as(
      asAdministrator(pgUrl, (sql) => sql.unsafe(`create database ${name} template ${from}`)),
      databaseUrl(pgUrl, name)
    ),
    () => asAdministrator(pgUrl, (sql) => sql.unsafe(`drop database ${name} with (force)`))
  )
}

/** The superuser's URL of a migrated database of one's own; dropped with the scope. */
export const freshDatabase = (pgUrl: string): Effect.Effect<string, never, Scope.Scope> => named(pgUrl, templateName)

/** The same without any schema. */
export const emptyDatabase = (pgUrl: string): Effect.Effect<string, never, Scope.Scope> => named(pgUrl, "template0")

/** Runs statements of a test as the user of this URL, on a connection of its own. */
export const asAdministrator = <A, E, R>(
  url: string,
  use: (sql: PgClient.PgClient) => Effect.Effect<A, E, R>
): Effect.Effect<A, never, Exclude<R, Scope.Scope>> =>
  Effect.scoped(
    PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(
      Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make),
      Effect.flatMap(use)
    )
  ).pipe(Effect.orDie)
