/**
 * One call for several lanes on a real PostgreSQL: each lane keeps its own places, clock and totals whatever becomes
 * of the other lanes' commands, and a call that is wrong about lanes is refused as a whole.
 */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Result, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { describe, inject } from "vitest"
import type { Verify } from "../../src/audit/Verify.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { accountStream, laneOf } from "../../src/domain/Ids.ts"
import { emptyStream } from "../../src/domain/Order.ts"
import { type Append, queuedAs } from "../../src/sql/Append.ts"
import { arrayOf } from "../../src/sql/AppendRows.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { sqlStateOf } from "../../src/sql/StoreUnavailable.ts"
import { asAdministrator, freshDatabase, templateLanes } from "../harness/template.ts"
import { appendStep, audit, denied, idsIn, parked, place, step, storeOn } from "./storedOrders.ts"
import { until } from "./until.ts"

const onStore = <E>(
  test: (url: string) => Effect.Effect<void, E, EventStore | Verify | PgClient.PgClient | Scope.Scope>
) => Effect.scoped(Effect.flatMap(freshDatabase(inject("pgUrl")), (url) => Effect.provide(test(url), storeOn(url))))

const administer = (url: string, statement: string) => asAdministrator(url, (sql) => sql.unsafe(statement))

/** The commands of one tick, and what came of each. */
const appendAll = Effect.fnUntraced(function* (entries: ReadonlyArray<Append>) {
  const store = yield* EventStore
  return yield* Effect.forEach(entries, (entry) => Effect.result(store.append(entry)), { concurrency: "unbounded" })
})

/** A call of the function itself, with the lanes that the test says. */
const call = Effect.fnUntraced(function* (
  entries: ReadonlyArray<Append>,
  lanes: {
    readonly commands: ReadonlyArray<number | null>
    readonly events: ReadonlyArray<number | null>
    readonly orders: ReadonlyArray<number | null>
  }
) {
  const sql = yield* PgClient.PgClient
  const rows = entries.map((entry) => queuedAs(entry, laneOf(entry.streamId, templateLanes), Deferred.makeUnsafe()))
  const numbers = (of: ReadonlyArray<number | null>) => arrayOf(of.map((lane) => `${lane}`))
  return yield* sql`select appended, others from append_lanes('test',
    ${numbers(lanes.commands)}::int2[], ${arrayOf(rows.map(({ command }) => command))}::append_command[],
    ${numbers(lanes.events)}::int2[], ${arrayOf(rows.map(({ events }) => events))}::append_event[],
    ${numbers(lanes.orders)}::int2[], ${arrayOf(rows.flatMap(({ order }) => order ?? []))}::append_order[])`
})

const cancelled = {
  _tag: "OrderCancelled",
  reason: "by the client",
  executedQuantity: decimal("0"),
  source: "local"
} as const

describe("a call for several lanes", () => {
  it.live("writes nothing on a lane whose commands all lose, and counts on the others what was stored alone", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = place(idsIn(1, "z", 1)[0]!)
        const second = place(idsIn(2, "z", 1)[0]!)
        for (const { after, entry } of [first, second]) {
          yield* store.append(entry)
          yield* store.append(step(entry.streamId, after, [parked("one")]).entry)
        }
        const before = yield* store.stats
        // Another was there first; each would move the totals and the order's row.
        const late = [first, second].map(({ after, entry }) => step(entry.streamId, after, [cancelled]).entry)
        const ids = [...idsIn(2, "y", 3), ...idsIn(3, "y", 2)].toReversed()
        const fresh = ids.map((id, index) => (index === 0 ? step(id, emptyStream, [denied(id)]) : place(id)).entry)

        const results = yield* appendAll([late[0]!, fresh[0]!, late[1]!, ...fresh.slice(1)])

        assert.deepStrictEqual(
          results.map((result) => (Result.isSuccess(result) ? result.success.version : result.failure._tag)),
          ["VersionConflict", 1, "VersionConflict", 1, 1, 1, 1]
        )
        assert.strictEqual((yield* store.stats).calls - before.calls, 1)
        assert.deepStrictEqual(yield* store.laneHeads, [
          { lane: 0, position: 0 },
          { lane: 1, position: 2 },
          { lane: 2, position: 5 },
          { lane: 3, position: 2 }
        ])
        assert.deepStrictEqual(yield* store.totals, { total: 7, processing: 6, completed: 0, failed: 1, cancelled: 0 })
        const order = (yield* store.readLane(2, 2, 10)).map(({ streamId }) => streamId)
        assert.deepStrictEqual(
          order,
          ids.filter((id) => laneOf(id, templateLanes) === 2)
        )
        const batches = yield* asAdministrator(
          url,
          (sql) => sql`select lane, count(*)::int as batches from batches group by lane order by lane`
        )
        assert.deepStrictEqual(
          batches.map(({ batches }) => batches),
          [2, 3, 1]
        )
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )

  it.live("stores the account beside orders, and by itself", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const account = step(accountStream, emptyStream, [
          { _tag: "ExchangeReset", evidence: ["a new account"], openOrders: 0 }
        ])
        const again = step(accountStream, account.after, [
          { _tag: "ExchangeReset", evidence: ["another one"], openOrders: 0 }
        ])
        const orders = [0, 1, 2, 3].map((lane) => place(idsIn(lane, "o", 1)[0]!).entry)

        const together = yield* appendAll([orders[0]!, account.entry, ...orders.slice(1)])
        const alone = yield* store.append(again.entry)

        assert.isTrue(together.every(Result.isSuccess))
        assert.deepStrictEqual(alone, { version: 2, duplicate: false })
        assert.strictEqual((yield* store.stats).calls, 2)
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )

  it.live("is stored while another process holds as many other lanes as there are calls at a time", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const isHeld = yield* Deferred.make<void>()
        const holder = yield* Effect.forkScoped(
          asAdministrator(url, (sql) =>
            sql.withTransaction(
              sql`select pg_advisory_xact_lock(7301, lane) from generate_series(0, 1) lane`.pipe(
                Effect.andThen(Deferred.succeed(isHeld, undefined)),
                Effect.andThen(Effect.never)
              )
            )
          )
        )
        yield* Effect.raceFirst(Deferred.await(isHeld), Fiber.join(holder))
        const waiting = yield* Effect.forEach([0, 1], (lane) =>
          Effect.tap(Effect.forkChild(store.append(place(idsIn(lane, "w", 1)[0]!).entry)), () =>
            // Each in a call of its own.
            until(
              asAdministrator(
                url,
                (sql) => sql`select 1 from pg_locks where locktype = 'advisory' and objid = ${lane} and not granted
                  and database = (select oid from pg_database where datname = current_database())`
              ),
              (rows) => rows.length > 0
            )
          )
        )

        const others = yield* appendAll([2, 3, 2, 3].map((lane, n) => place(idsIn(lane, `o${n}`, 1)[0]!).entry))

        assert.isTrue(others.every(Result.isSuccess))
        assert.isTrue(waiting.every((fiber) => fiber.pollUnsafe() === undefined))
        yield* Fiber.interrupt(holder)
        yield* Effect.forEach(waiting, (fiber) => Fiber.join(fiber))
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )

  it.live("gives each lane an hour that is never before its last, though the clock goes back", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const [a, b] = [0, 1].map((lane) => idsIn(lane, "t", 2)) as [ReadonlyArray<string>, ReadonlyArray<string>]
        yield* appendAll([a[0]!, b[0]!].map((id) => place(id).entry))
        const hour = yield* Effect.map(store.readLane(0, 0, 1), ([event]) => event!.recordedAt)
        yield* administer(
          url,
          `create function public.clock_timestamp() returns timestamptz language sql
             return timestamptz '2020-01-01 00:00:00Z'`
        )
        yield* administer(url, "alter function append_lanes set search_path = public, pg_catalog, pg_temp")

        const results = yield* appendAll([a[1]!, b[1]!, ...idsIn(2, "t", 1)].map((id) => place(id).entry))

        assert.isTrue(results.every(Result.isSuccess))
        const hours = yield* Effect.forEach([0, 1, 2], (lane) =>
          Effect.map(store.readLane(lane, 0, 10), (events) => events.map(({ recordedAt }) => recordedAt))
        )
        assert.deepStrictEqual(hours, [[hour, hour], [hours[1]![0], hours[1]![0]], [Date.UTC(2020, 0, 1)]])
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )

  it.live("finds a stream of another lane in its way, new or grown, and stores nothing of it", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = place(idsIn(1, "o", 1)[0]!)
        yield* appendStep(first)
        const grown = step(first.entry.streamId, first.after, [parked("one")]).entry
        const anew = step(first.entry.streamId, emptyStream, [denied(first.entry.streamId)]).entry

        for (const entry of [grown, anew]) {
          const [answer] = yield* call([entry], { commands: [2], events: [2], orders: [2] })
          assert.deepStrictEqual(answer, { appended: 0, others: [{ i: 1, outcome: "conflict", version: 1 }] })
        }

        assert.deepStrictEqual((yield* store.laneHeads)[2], { lane: 2, position: 0 })
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )

  it.live("is refused as a whole when its lanes do not ascend, are missing or do not fit together", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const two = [1, 2].map((lane) => place(idsIn(lane, "o", 1)[0]!).entry)
        const fit = { commands: [1, 2], events: [1, 2], orders: [1, 2] }
        const wrong = [
          { ...fit, commands: [2, 1] },
          { ...fit, commands: [1] },
          { ...fit, events: [1] },
          { ...fit, orders: [1] },
          { ...fit, commands: [1, null] },
          { ...fit, commands: [null, 2] },
          { ...fit, events: [1, null] },
          // A lane of which no lock is held.
          { ...fit, events: [1, 3] },
          { ...fit, orders: [0, 2] }
        ]

        for (const lanes of wrong) {
          const error = yield* Effect.flip(call(two, lanes))
          assert.strictEqual(sqlStateOf(error), "22023", JSON.stringify(lanes))
        }
        assert.deepStrictEqual(
          (yield* store.laneHeads).map(({ position }) => position),
          [0, 0, 0, 0]
        )
        const [answer] = yield* call(two, fit)
        assert.deepStrictEqual(answer, { appended: 2, others: [] })
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )
})
