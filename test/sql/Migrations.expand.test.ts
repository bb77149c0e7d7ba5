/**
 * The files of the schema only expand, so that a rolling upgrade has two releases on one schema and the way back is open;
 * what goes, goes in a release after the last one that used it.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { expansionFaults, type Removal } from "./expansion.ts"

const schemaFolder = join(import.meta.dirname, "../../schema")
const files = readdirSync(schemaFolder)
  .filter((name) => /^\d{4}_.*\.sql$/.test(name))
  .sort()

const removals: ReadonlyArray<Removal> = [
  // A table that stood there for what was to come, and that nothing had written to.
  { file: "0003_limits.sql", begins: "drop table limits", lastUsedIn: null, removedIn: "0.1.0" }
]

const parts = (version: string) => version.split(".").map(Number)
const isLater = (version: string, than: string): boolean => {
  const [a, b] = [parts(version), parts(than)]
  const at = a.findIndex((part, index) => part !== b[index])
  return at >= 0 && a[at]! > b[at]!
}

describe("the schema", () => {
  it.each(files)("%s only expands", (file) => {
    assert.deepStrictEqual(expansionFaults(file, readFileSync(join(schemaFolder, file), "utf8"), removals), [])
  })

  it.each(removals)("$file takes away what no release before $removedIn uses: $begins", (removal) => {
    const { begins, file, lastUsedIn, removedIn } = removal
    const others = removals.filter((one) => one !== removal)

    assert.isTrue(lastUsedIn === null || isLater(removedIn, lastUsedIn))
    assert.lengthOf(
      expansionFaults(file, readFileSync(join(schemaFolder, file), "utf8"), others),
      1,
      `${begins} is not there (any more): it needs no leave`
    )
  })
})

describe("an expansion is not", () => {
  it.each([
    ["drop table orders"],
    ["drop function append(smallint, text, jsonb)"],
    ["alter table orders drop column price"],
    ["alter table orders rename column price to limit_price"],
    ["alter table orders rename to blotter"],
    ["alter table orders alter column price type text"],
    ["alter table orders alter column price set data type text"],
    ["alter table orders alter column price set not null"],
    ["alter table orders alter column parked drop default"],
    ["alter table orders add column note text not null"],
    ["alter table orders add column note text unique"],
    ["alter table orders add column note text, drop column price"],
    ["alter table orders add constraint positive check (quantity > 0)"],
    ["alter table orders set schema old"],
    ["alter table events disable trigger append_only"],
    ["ALTER TABLE orders -- add column\n DROP COLUMN price"],
    ["alter type append_order add attribute note text"],
    ["create or replace function append(a smallint) returns int language sql as 'select 1'"],
    ["create unique index one_per_symbol on orders (symbol)"],
    ["create trigger no_more before insert on events for each row execute function refuse_change()"],
    ["revoke select on orders from nexus_app"],
    ["truncate anchors"],
    ["update orders set price = null"],
    ["delete from parked"],
    ["alter index orders_due rename to due"],
    ["lock table orders"]
  ])("%s", (statement) => {
    assert.lengthOf(expansionFaults("9000_test.sql", statement, removals), 1)
  })
})

describe("an expansion is", () => {
  it.each([
    ["create table notes (order_id text primary key, note text not null check (note <> ''))"],
    ["alter table orders add column note text, add column size numeric(20, 8) not null default 0"],
    ["create index orders_noted on orders (order_id) where note is not null"],
    ["create table notes (id text); create unique index notes_by_id on notes (id); alter table notes drop column id"],
    [
      "create function f() returns int language sql as $$ select 1; drop table x $$; revoke all on function f() from public"
    ],
    ["comment on table orders is 'drop table orders; it''s a word'"],
    ["grant select on orders to nexus_app"]
  ])("%s", (statements) => {
    assert.deepStrictEqual(expansionFaults("9000_test.sql", statements, removals), [])
  })
})
