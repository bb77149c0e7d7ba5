/**
 * The auditor against a forger who is superuser and has taken the triggers away: every single column, and every way
 * of taking rows out, putting rows in or moving them.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import type { PgClient } from "@effect/sql-pg"
import { afterAll, beforeAll, describe, inject } from "vitest"
import { reportText, Verify, type VerifyReport } from "../../src/audit/Verify.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { canonicalJson, hashOf } from "../../src/domain/Envelope.ts"
import { accountStream } from "../../src/domain/Ids.ts"
import { emptyStream } from "../../src/domain/Order.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { asAdministrator, freshDatabase } from "../harness/template.ts"
import { rivalWriter } from "../sql/rivalWriters.ts"
import {
  accepted,
  audit,
  completed,
  denied,
  filled,
  idsIn,
  parked,
  place,
  placed,
  someRequest,
  started,
  step,
  storeOn
} from "../sql/storedOrders.ts"

const at = 1_795_612_667_397

/** A few whole lives in lane 1, so that rows stand before and behind the forged one, and some elsewhere. */
const writeLog = Effect.gen(function* () {
  const store = yield* EventStore
  for (const id of [...idsIn(1, "v", 4), ...idsIn(0, "w", 2)]) {
    const first = step(id, emptyStream, [placed(id, { ...someRequest, quantity: decimal("0.5") })], { at })
    yield* store.append(first.entry)
    const second = step(id, first.after, [started(id, 1, at), accepted(1, at), filled("t1", "0.2", at)], { at })
    yield* store.append(second.entry)
    const third = step(id, second.after, [filled("t2", "0.3", at), completed("0.5", "30615.125")], { at })
    yield* store.append(third.entry)
  }
  const [refused] = idsIn(1, "denied", 1)
  yield* store.append(step(refused!, emptyStream, [denied(refused!)], { at }).entry)
  yield* store.append(
    step(accountStream, emptyStream, [{ _tag: "ExchangeReset", evidence: ["new account"], openOrders: 0 }], { at })
      .entry
  )
})

interface Written {
  readonly scope: Scope.Closeable
  readonly url: string
  readonly audit: Effect.Effect<VerifyReport>
}

const write = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const url = yield* Scope.provide(freshDatabase(inject("pgUrl")), scope)
  const services = yield* Layer.buildWithScope(storeOn(url), scope)
  yield* Effect.provide(writeLog, services)
  const { verify } = Context.get(services, Verify)
  const written: Written = { scope, url, audit: Effect.orDie(verify) }
  return written
})

let log: Written
beforeAll(async () => {
  log = await Effect.runPromise(write)
})
afterAll(() => Effect.runPromise(Scope.close(log.scope, Exit.void)))

const tables = ["events", "batches", "streams", "orders"] as const

const forge = (sql: PgClient.PgClient, statements: ReadonlyArray<string>) =>
  Effect.forEach(statements, (text) => sql.unsafe(text), { discard: true })

/** Audits with the forgery in place, and undoes it. */
const auditForged = (statements: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    yield* asAdministrator(log.url, (sql) =>
      forge(sql, [
        ...["events", "batches", "streams"].map((table) => `alter table ${table} disable trigger append_only`),
        ...tables.map((table) => `create table kept_${table} as table ${table}`),
        ...statements
      ])
    )
    const report = yield* log.audit
    yield* asAdministrator(log.url, (sql) =>
      forge(
        sql,
        tables.flatMap((table) => [
          `delete from ${table}`,
          `insert into ${table} table kept_${table}`,
          `drop table kept_${table}`
        ])
      )
    )
    return report
  })

// A row with others before and behind it.
const target = {
  events: "lane = 1 and position = 7",
  batches:
    "lane = 1 and last_position = (select last_position from batches where lane = 1 and last_position >= 7 limit 1)",
  streams: "stream_id = (select stream_id from events where lane = 1 and position = 7)",
  orders: "order_id = (select stream_id from events where lane = 1 and position = 7)"
}

const editOf: Readonly<Record<string, (column: string) => string>> = {
  smallint: (column) => `${column} + 100`,
  integer: (column) => `coalesce(${column}, 0) + 1000`,
  bigint: (column) => `coalesce(${column}, 0) + 1000`,
  numeric: (column) => `coalesce(${column}, 0) + 0.00000001`,
  boolean: (column) => `not ${column}`,
  text: (column) => `coalesce(${column}, '') || 'x'`,
  bytea: (column) => `${column} || '\\x00'::bytea`,
  jsonb: (column) => `case jsonb_typeof(${column}) when 'array' then '[]' else ${column} || '{"added": 1}' end`
}

describe("an audit", () => {
  it.live("of a log that nobody touched finds nothing, and says how much it has seen", () =>
    Effect.gen(function* () {
      const report = yield* log.audit

      assert.deepStrictEqual(report.findings, [])
      assert.deepInclude(report, { ok: true, lanes: 4, events: 38, streams: 8, batches: 20 })
      assert.include(reportText(report), "verified")
    })
  )

  for (const table of tables) {
    it.live(
      `finds an edit of each single column of ${table}, and names the table`,
      () =>
        Effect.gen(function* () {
          const columns = yield* asAdministrator(
            log.url,
            (sql) =>
              sql<{ name: string; type: string }>`select column_name::text as name, data_type::text as type
            from information_schema.columns where table_name = ${table} and table_schema = 'public'
            order by ordinal_position`
          )
          assert.isAtLeast(columns.length, 5)

          for (const { name, type } of columns) {
            const value = name === "status" ? "'FAILED'" : editOf[type]!(name)
            const report = yield* auditForged([`update ${table} set ${name} = ${value} where ${target[table]}`])

            assert.isFalse(report.ok, `${table}.${name}`)
            const named = report.findings.filter((finding) => finding.table === table)
            assert.isNotEmpty(named, `${table}.${name}: ${reportText(report)}`)
            assert.include(reportText(report), "NOT verified")
          }
          // And nothing of it is left behind.
          assert.deepStrictEqual((yield* log.audit).findings, [])
        }),
      60_000
    )
  }

  const forgeries: ReadonlyArray<readonly [name: string, statements: ReadonlyArray<string>, finding: RegExp]> = [
    [
      "an event taken out",
      ["delete from events where lane = 1 and position = 7"],
      /events, lane 1 position 8: position is 8, expected 7/
    ],
    [
      "an event put in",
      [
        `insert into events select lane, 1000, stream_id, version + 100, event_id, type, schema_version, occurred_at,
          recorded_at, actor, correlation_id, causation_id, command_id, trace_parent, data, previous_hash, hash
          from events where lane = 1 and position = 7`
      ],
      /events, lane 1 position 1000: position is no batch/
    ],
    [
      "two events whose places were exchanged",
      [
        "update events set position = 1000 where lane = 1 and position = 2",
        "update events set position = 2 where lane = 1 and position = 3",
        "update events set position = 3 where lane = 1 and position = 1000"
      ],
      /batches, lane 1 last_position \d+: hash/
    ],
    [
      "an event moved to another lane",
      ["update events set lane = 2, position = 1000 where lane = 1 and position = 7"],
      /events, lane 2 position 1000: lane is 2, expected 1/
    ],
    [
      "a lane whose last batch was cut off with its events",
      [
        `delete from events where lane = 1 and position >=
          (select first_position from batches where lane = 1 order by last_position desc limit 1)`,
        "delete from batches where lane = 1 and last_position = (select max(last_position) from batches where lane = 1)"
      ],
      /streams, stream_id @account: version is no event/
    ],
    [
      "a batch taken out",
      ["delete from batches where lane = 1 and last_position = 4"],
      /batches, lane 1 last_position \d+: first_position is 5, expected 2/
    ],
    [
      "a whole stream taken out, but for its events",
      ["delete from streams where stream_id = (select stream_id from events where lane = 1 and position = 7)"],
      /streams, stream_id v-\d+: stream_id is no row, expected a row/
    ],
    [
      "a stream put in that has no event",
      ["insert into streams values ('nobody', 1, 1, '\\x00', '\\x00')"],
      /streams, stream_id nobody: version is no event/
    ],
    [
      "an order taken out of the blotter",
      ["delete from orders where order_id = (select stream_id from events where lane = 1 and position = 7)"],
      /orders, order_id v-\d+: order_id is no row/
    ],
    [
      "a number rewritten as its equal",
      [
        `update events set data = jsonb_set(data, '{instrumentVersion}', '1.0')
          where lane = 1 and position = 1`
      ],
      /events, lane 1 position 1: data is a number of another kind/
    ],
    [
      "an event whose hash was made to fit its new content",
      [
        `update events set data = data || '{"added": 1}',
          hash = sha256('whatever') where lane = 1 and position = 7`
      ],
      /events, lane 1 position 7: hash/
    ],
    [
      "a cursor that is ahead of the log",
      ["update cursors set position = 1000 where lane = 1"],
      /cursors, lane 1: position/
    ]
  ]
  for (const [name, statements, finding] of forgeries) {
    it.live(`finds ${name}`, () =>
      Effect.gen(function* () {
        const report = yield* auditForged(statements)
        yield* asAdministrator(log.url, (sql) => sql`update cursors set position = 0`)

        assert.match(reportText(report), finding)
      })
    )
  }

  it.live(
    "names a life that could not have happened, and an event of a later release, in a log whose hashes are right",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const url = yield* freshDatabase(inject("pgUrl"))
          yield* Effect.gen(function* () {
            const store = yield* EventStore
            yield* store.append(step("never-sent", emptyStream, [placed("never-sent"), completed("1", "1")]).entry)
            const first = place("later")
            yield* store.append(first.entry)
            const { entry } = step("later", first.after, [parked("x")])
            const [event] = entry.events
            const dataText = canonicalJson({ ...JSON.parse(event!.dataText), shape: "new" })
            const later = { ...event!, schemaVersion: 2, dataText }
            const hash = hashOf(later)
            yield* store.append({ ...entry, events: [{ ...later, hash }] })

            const report = yield* audit

            const text = reportText(report)
            assert.include(text, "OrderCompleted is not legal in phase PENDING")
            assert.include(text, "events, stream later version 2: type, schema_version, data is unknown schema version")
            assert.isTrue(
              report.findings.every(({ column }) => column !== "hash" && column !== "previous_hash"),
              text
            )
          }).pipe(Effect.provide(storeOn(url)))
        })
      )
  )

  it.live("finds nothing in a log that is written to all the while", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const url = yield* freshDatabase(inject("pgUrl"))
        yield* Effect.gen(function* () {
          let done = false
          const writers = yield* Effect.forkChild(
            Effect.forEach([1, 2, 3], () => rivalWriter(["a", "b", "c", "d", "e"], 60), {
              concurrency: "unbounded"
            }).pipe(Effect.ensuring(Effect.sync(() => (done = true))))
          )

          let audits = 0
          while (!done) {
            const report = yield* audit
            assert.isTrue(report.ok, reportText(report))
            audits += 1
          }
          yield* Fiber.join(writers)

          assert.isAbove(audits, 1)
        }).pipe(Effect.provide(storeOn(url)))
      })
    )
  )
})
