/**
 * A release later than this one, made from this one: a copy of its files with one migration more, and with one more
 * type of event, which it writes beside the placing of each order that has a `valid_until`. Nothing is built, so a
 * copy with a few lines more is a whole release.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../..")

/** The type of event that only the later release knows. */
export const laterType = "OrderNoted"
export const laterFile = "9000_later.sql"

/** What a release may bring: a table, columns that may be null, an index, a function beside an older one. */
const expansion = `create table notes (order_id text primary key, note text not null);
grant select, insert on notes to nexus_app;
alter table orders add column note text;
alter table store add column note text;
create index orders_noted on orders (order_id) where note is not null;
create function append_rows(p_lane smallint, p_note text) returns text language sql as 'select p_note';
`

interface Change {
  readonly file: string
  /** Stands there once; the release's own tests would find a release that has moved on. */
  readonly find: string
  readonly put: string
}

const changes: ReadonlyArray<Change> = [
  {
    file: "src/domain/Event.ts",
    find: "  OrderParked: {",
    put: `  ${laterType}: { note: Schema.String },\n  OrderParked: {`
  },
  {
    file: "src/domain/Order.ts",
    find: `    case "OrderParked":\n`,
    put: `    case "${laterType}":\n      return order\n    case "OrderParked":\n`
  },
  {
    file: "src/domain/invariants.ts",
    find: `= ["OrderParked", "OrderUnparked"]`,
    put: `= ["OrderParked", "OrderUnparked", "${laterType}"]`
  },
  {
    file: "src/domain/decide.ts",
    find: `    case "PlaceOrder":\n      return place(order, command)\n`,
    put:
      `    case "PlaceOrder":\n` +
      `      return Result.map(place(order, command), (events) =>\n` +
      `        events.length === 0 || command.request.validUntil === null\n` +
      `          ? events\n` +
      `          : [...events, cases.${laterType}.make({ note: "valid for a while" })]\n` +
      `      )\n`
  }
]

/** Writes the one later than `from` to a folder; what stands in `src/cli.ts` there is its program. */
export const makeLaterRelease = (folder: string, from = root): void => {
  mkdirSync(folder, { recursive: true })
  for (const each of ["src", "schema", "config.yaml", "package.json"])
    cpSync(join(from, each), join(folder, each), { recursive: true })
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  writeFileSync(join(folder, "schema", laterFile), expansion)
  for (const { file, find, put } of changes) {
    const text = readFileSync(join(folder, file), "utf8")
    if (text.split(find).length !== 2) throw new Error(`${file} does not have the line ${JSON.stringify(find)} once`)
    writeFileSync(join(folder, file), text.replace(find, put))
  }
}
