/** Rows as text and back: what PostgreSQL reads is what was written, whatever stands in it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe, inject } from "vitest"
import { arrayOf, eventRow } from "../../src/sql/AppendRows.ts"
import { asAdministrator, databaseUrl, templateName } from "../harness/template.ts"
import { place } from "./storedOrders.ts"

const hard: ReadonlyArray<string> = [
  "",
  " ",
  "null",
  "NULL",
  `"`,
  `""`,
  "\\",
  `\\"`,
  `"\\`,
  "a,b",
  "(a)",
  "{a}",
  "{}",
  `\\x00`,
  `$1 $& $$`,
  "line\nand\ttab\r",
  "\u0001\u007f",
  "这是测试币456",
  "🙂",
  `{"a":"\\u0041\\n"}`,
  `","(`
]

describe("an event as a row", () => {
  it.live("comes back with every text as it was, alone and in company", () =>
    asAdministrator(databaseUrl(inject("pgUrl"), templateName), (sql) =>
      Effect.gen(function* () {
        const [sealed] = place("o-1").entry.events
        const dataOf = (text: string) => ({ plain: text, [text]: [text, 1, null] })
        const events = hard.map((text) => ({
          ...sealed!,
          actor: text,
          causationId: text,
          traceParent: null,
          dataText: JSON.stringify(dataOf(text))
        }))

        const rows = yield* sql`select (e).actor, (e).causation_id as "causationId", (e).trace_parent as "traceParent",
            (e).data, encode((e).hash, 'hex') as hash, encode((e).previous_hash, 'hex') as "previousHash",
            (e).stream_id as "streamId", (e).occurred_at::float8 as "occurredAt"
          from unnest(${arrayOf(events.map(eventRow))}::append_event[]) e`

        assert.deepStrictEqual(
          rows.map((row) => ({ ...row })),
          events.map(({ actor, causationId, dataText, hash, occurredAt, previousHash, streamId, traceParent }) => ({
            actor,
            causationId,
            traceParent,
            data: JSON.parse(dataText),
            hash,
            previousHash,
            streamId,
            occurredAt
          }))
        )
      })
    )
  )
})
