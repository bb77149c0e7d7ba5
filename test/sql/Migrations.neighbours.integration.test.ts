/**
 * This release on the schemas of its neighbours: the one before it, which has not been migrated yet, and the one
 * after it, which a later release has. Orders live their whole lives on both, and the log verifies.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, inject } from "vitest"
import { migrate, verifySchema } from "../../src/sql/Migrations.ts"
import { emptyDatabase } from "../harness/template.ts"
import { filled, limit, market, rests, ScriptedExchange, TestNexus } from "../layers.ts"

const schemaFolder = join(import.meta.dirname, "../../schema")
const files = readdirSync(schemaFolder)
  .filter((name) => /^\d{4}_/.test(name))
  .sort()
const newest = files.at(-1)!

/** What a release may bring: a table, a column that may be null, an index, a function beside an older one. */
const expansion = `
create table wishes (order_id text primary key, wish text not null);
grant select, insert on wishes to nexus_app;
alter table orders add column note text;
alter table store add column note text;
create index orders_noted on orders (order_id) where note is not null;
create function append_rows(p_lane smallint, p_note text) returns text language sql as 'select p_note';
`

/** A database that was migrated with other files than this release's. */
const migratedWith = (change: (folder: string) => void) =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const folder = mkdtempSync(join(tmpdir(), "nexus-schema-"))
        cpSync(schemaFolder, folder, { recursive: true })
        change(folder)
        return folder
      }),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    )
    const url = yield* emptyDatabase(inject("pgUrl"))
    yield* migrate({ address: { url: Redacted.make(url) }, lanes: 4, directory })
    return url
  })

const stateOf = (url: string) => verifySchema({ address: { url: Redacted.make(url) }, lanes: 4 })

/** One order to its fill and one to its cancel, and then the whole log. */
const ordersLiveOn = (databaseUrl: string) =>
  Effect.gen(function* () {
    const nexus = yield* TestNexus
    yield* nexus.place("filled", market("BUY", "0.01"))
    yield* nexus.until("filled", ({ status }) => status === "COMPLETED")
    yield* nexus.place("withdrawn", limit("BUY", "0.01", "30000"))
    yield* nexus.until("withdrawn", ({ exchangeOrderId }) => exchangeOrderId !== null)
    yield* nexus.cancel("withdrawn")
    yield* nexus.until("withdrawn", ({ cancelRequested }) => cancelRequested)

    assert.deepStrictEqual((yield* nexus.verify).findings, [])
  }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([filled, rests]), { databaseUrl })))

describe("this release", () => {
  it.live("serves before its own migration has run", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const url = yield* migratedWith((folder) => rmSync(join(folder, newest)))

        assert.deepStrictEqual(yield* stateOf(url), { lacking: [newest], later: [] })
        yield* ordersLiveOn(url)
      })
    )
  )

  it.live("serves on what a later release has added", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const url = yield* migratedWith((folder) => writeFileSync(join(folder, "9000_later.sql"), expansion))

        assert.deepStrictEqual(yield* stateOf(url), { lacking: [], later: ["9000_later.sql"] })
        yield* ordersLiveOn(url)
        assert.deepStrictEqual(yield* migrate({ address: { url: Redacted.make(url) }, lanes: 4 }), [])
      })
    )
  )
})
