/**
 * Migrations on real databases: once, whoever comes and however many; and every refusal in one sentence.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import { execFile } from "node:child_process"
import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, inject } from "vitest"
import { migrate, verifySchema } from "../../src/sql/Migrations.ts"
import { asAdministrator, emptyDatabase } from "../harness/template.ts"

const schemaFolder = join(import.meta.dirname, "../../schema")
const files = readdirSync(schemaFolder)
  .filter((name) => /^\d{4}_/.test(name))
  .sort()

const optionsOf = (url: string, more: { readonly lanes?: number; readonly directory?: string } = {}) => ({
  address: { url: Redacted.make(url) },
  lanes: 4,
  ...more
})

const onEmpty = <E>(test: (url: string) => Effect.Effect<void, E, Scope.Scope>) =>
  Effect.scoped(Effect.flatMap(emptyDatabase(inject("pgUrl")), test))

/** The program's files in a folder where they can be changed. */
const copyOfSchema = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "nexus-schema-"))
    cpSync(schemaFolder, folder, { recursive: true })
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const eitherWay = [migrate, (options: Parameters<typeof verifySchema>[0]) => Effect.as(verifySchema(options), files)]

const messageOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

/** A user who owns the database and may do nothing else; gone with the scope. */
const ordinaryUser = Effect.fnUntraced(function* (url: string) {
  const target = new URL(url)
  const database = target.pathname.slice(1)
  const user = `u_${database}`
  yield* Effect.acquireRelease(
    asAdministrator(url, (sql) =>
      Effect.andThen(
        sql.unsafe(`create role ${user} login nosuperuser nocreaterole`),
        sql.unsafe(`alter database ${database} owner to ${user}`)
      )
    ),
    () =>
      asAdministrator(url, (sql) =>
        Effect.all([
          sql.unsafe(`alter database ${database} owner to current_user`),
          sql.unsafe(`drop owned by ${user} cascade`),
          sql.unsafe(`drop role ${user}`)
        ])
      )
  )
  target.username = user
  return { user, url: target.href }
})

describe("a migration", () => {
  it.live("applies all files to an empty database, and nothing the second time", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* migrate(optionsOf(url)), files)
        assert.deepStrictEqual(yield* migrate(optionsOf(url)), [])
        assert.deepStrictEqual(yield* verifySchema(optionsOf(url)), { lacking: [], later: [] })
      })
    )
  )

  it.live("happens once when three processes start together", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const run = Effect.promise(() =>
          promisify(execFile)(process.execPath, [join(import.meta.dirname, "migrateProcess.ts"), url])
        )

        const told = yield* Effect.all([run, run, run], { concurrency: 3 })

        assert.deepStrictEqual(
          told.flatMap(({ stdout }) => JSON.parse(stdout)),
          files
        )
      })
    )
  )

  it.live("makes one cursor and one relay lease per lane, and one lease per single role", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        yield* migrate(optionsOf(url, { lanes: 2 }))

        const made = yield* asAdministrator(url, (sql) =>
          Effect.all([
            sql`select lane::int4, position::int4 from cursors order by lane`,
            sql`select role from leases order by role`,
            sql`select lanes::int4, generation, store_id from store`
          ])
        )

        assert.deepStrictEqual(made, [
          [
            { lane: 0, position: 0 },
            { lane: 1, position: 0 }
          ],
          ["auditor", "reconciler", "relay/0", "relay/1", "user-stream"].map((role) => ({ role })),
          [{ lanes: 2, generation: 1, store_id: null }]
        ])
      })
    )
  )

  it.live("by an ordinary user, who owns the database and belongs to nexus_app, needs no administrator", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const ordinary = yield* ordinaryUser(url)
        yield* asAdministrator(url, (sql) => sql.unsafe(`grant nexus_app to ${ordinary.user}`))

        assert.deepStrictEqual(yield* migrate(optionsOf(ordinary.url)), files)
      })
    )
  )

  it.live("that fails in the middle changes nothing", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const directory = yield* copyOfSchema
        writeFileSync(join(directory, "9000_bad.sql"), "create table half (n int);\nselect no_such_function();")

        const message = yield* messageOf(migrate(optionsOf(url, { directory })))

        assert.include(message, `9000_bad.sql fails at "select no_such_function()"`)
        const tables = yield* asAdministrator(url, (sql) => sql`select from pg_tables where schemaname = 'public'`)
        assert.lengthOf(tables, 0)
      })
    )
  )
})

describe("a migration is refused in one sentence", () => {
  it.live("when a file was changed after it was applied", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const directory = yield* copyOfSchema
        yield* migrate(optionsOf(url))
        appendFileSync(join(directory, files[0]!), "-- a word more\n")

        for (const run of eitherWay) {
          assert.include(
            yield* messageOf(run(optionsOf(url, { directory }))),
            `${files[0]} was changed after it was applied`
          )
        }
      })
    )
  )

  it.live("when a file comes before one that is applied", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const directory = yield* copyOfSchema
        yield* migrate(optionsOf(url))
        writeFileSync(join(directory, "0000_late.sql"), "select 1;")

        const message = yield* messageOf(migrate(optionsOf(url, { directory })))

        assert.include(message, `0000_late.sql comes before ${files.at(-1)}`)
      })
    )
  )

  it.live("when releases were here that are more than one step later", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const directory = yield* copyOfSchema
        writeFileSync(join(directory, "9000_later.sql"), "select 1;")
        writeFileSync(join(directory, "9001_latest.sql"), "select 1;")
        yield* migrate(optionsOf(url, { directory }))

        for (const run of eitherWay) {
          assert.strictEqual(
            yield* messageOf(run(optionsOf(url))),
            `The database has 9000_later.sql, 9001_latest.sql, and this release knows ${files.at(-1)} and runs on one ` +
              `schema later at most: run "nexus serve" of the release that brought 9001_latest.sql, or of the one before it`
          )
        }
      })
    )
  )

  it.live("when the database is more than one step behind and the process may not migrate", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const directory = yield* copyOfSchema
        const newest = files.slice(-2)
        for (const file of newest) rmSync(join(directory, file))
        yield* migrate(optionsOf(url, { directory }))

        assert.strictEqual(
          yield* messageOf(verifySchema(optionsOf(url))),
          `The database lacks ${newest.join(", ")}: run "nexus migrate"`
        )
      })
    )
  )

  it.live("when another line of development was here", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const directory = yield* copyOfSchema
        writeFileSync(join(directory, "0000_elsewhere.sql"), "select 1;")
        yield* migrate(optionsOf(url, { directory }))

        for (const run of eitherWay) {
          assert.include(
            yield* messageOf(run(optionsOf(url))),
            `The database has 0000_elsewhere.sql, which stands before ${files.at(-1)} and is not this program's`
          )
        }
      })
    )
  )

  it.live("when the number of lanes is another one", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        yield* migrate(optionsOf(url))

        for (const run of eitherWay) {
          assert.strictEqual(
            yield* messageOf(run(optionsOf(url, { lanes: 8 }))),
            "The store has 4 lanes for ever, and database.lanes says 8: set it to 4"
          )
        }
      })
    )
  )

  it.live("when the user may not become nexus_app, with what to grant", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const ordinary = yield* ordinaryUser(url)

        assert.strictEqual(
          yield* messageOf(migrate(optionsOf(ordinary.url))),
          `The user ${ordinary.user} may not create roles; let an administrator run once: GRANT nexus_app TO ${ordinary.user};`
        )
      })
    )
  )

  it.live("when the user may not create tables", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        const ordinary = yield* ordinaryUser(url)
        yield* asAdministrator(url, (sql) =>
          Effect.all([
            sql.unsafe(`grant nexus_app to ${ordinary.user}`),
            sql.unsafe(`alter database ${new URL(url).pathname.slice(1)} owner to current_user`)
          ])
        )

        assert.match(
          yield* messageOf(migrate(optionsOf(ordinary.url))),
          /may not create tables in .*GRANT CREATE ON SCHEMA public TO/
        )
      })
    )
  )

  it.live("when there is nothing yet and the process may not migrate", () =>
    onEmpty((url) =>
      Effect.gen(function* () {
        assert.strictEqual(
          yield* messageOf(verifySchema(optionsOf(url))),
          `The database lacks ${files.join(", ")}: run "nexus migrate"`
        )
      })
    )
  )

  it.live("when the server is away, as something to be tried again", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(migrate(optionsOf("postgres://nobody@127.0.0.1:1/none")))

      assert.strictEqual(error._tag, "StoreUnavailable")
    })
  )
})
