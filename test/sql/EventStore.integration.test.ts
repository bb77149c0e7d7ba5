/**
 * The log on a real PostgreSQL: what an append promises, to whom it is refused, and what waits for what.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Fiber, Layer, Queue, Result, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { describe, inject } from "vitest"
import type { Verify } from "../../src/audit/Verify.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { canonicalJson, isAsWritten } from "../../src/domain/Envelope.ts"
import { accountStream, laneOf } from "../../src/domain/Ids.ts"
import { emptyStream } from "../../src/domain/Order.ts"
import type { Blotter } from "../../src/sql/Blotter.ts"
import type { Database } from "../../src/sql/Database.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { detailOf } from "../../src/sql/StoreUnavailable.ts"
import { asAdministrator, freshDatabase, templateLanes } from "../harness/template.ts"
import {
  accepted,
  appendStep,
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
} from "./storedOrders.ts"
import { until } from "./until.ts"

const onStore = <E>(
  test: (
    url: string
  ) => Effect.Effect<void, E, EventStore | Blotter | Verify | Database | PgClient.PgClient | Scope.Scope>,
  options: { readonly laneQueueSize?: number } = {}
) =>
  Effect.scoped(
    Effect.flatMap(freshDatabase(inject("pgUrl")), (url) => Effect.provide(test(url), storeOn(url, options)))
  )

/** Runs a statement in a transaction of its own that stays open until the scope closes or the fiber is interrupted. */
const holdOpen = (url: string, statement: string) =>
  Effect.gen(function* () {
    const reached = yield* Deferred.make<void>()
    const held = yield* Effect.forkScoped(
      asAdministrator(url, (sql) =>
        sql.withTransaction(
          sql.unsafe(statement).pipe(Effect.andThen(Deferred.succeed(reached, undefined)), Effect.andThen(Effect.never))
        )
      )
    )
    yield* Effect.raceFirst(Deferred.await(reached), Fiber.join(held))
    return held
  })

/** Holds the lane's lock as an append of another process would. */
const holdLane = (url: string, lane: number) => holdOpen(url, `select pg_advisory_xact_lock(7301, ${lane})`)

describe("an append", () => {
  it.live("is read back as it was sealed, to the last field", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = step("o-1", emptyStream, [placed("o-1")], { at: 1_795_612_667_397 })
        const second = step("o-1", first.after, [started("o-1", 1, 5), accepted(1, 6)], { at: 1_795_612_667_398 })

        yield* store.append(first.entry)
        const result = yield* store.append(second.entry)

        assert.deepStrictEqual(result, { version: 3, duplicate: false })
        const { events, requestHash } = yield* store.load("o-1")
        assert.strictEqual(requestHash, first.entry.requestHash)
        const sealed = [...first.entry.events, ...second.entry.events]
        events.forEach((event, index) => {
          const { data, lane, position, recordedAt, ...rest } = event
          assert.deepStrictEqual<unknown>({ ...rest, dataText: canonicalJson(data) }, sealed[index])
          assert.isTrue(isAsWritten(event))
          assert.strictEqual(lane, laneOf("o-1", templateLanes))
          assert.strictEqual(position, index + 1)
          assert.isAtLeast(recordedAt, 1_600_000_000_000)
        })
        assert.deepStrictEqual(yield* store.head("o-1"), {
          version: 3,
          hash: sealed[2]!.hash,
          requestHash
        })
      })
    )
  )

  it.live("loses to the one that was there first, and stores nothing", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = place("o-1")
        yield* store.append(first.entry)
        yield* store.append(step("o-1", first.after, [parked("one")]).entry)

        const error = yield* Effect.flip(store.append(step("o-1", first.after, [parked("two")]).entry))

        assert.deepInclude(error, { _tag: "VersionConflict", streamId: "o-1", expected: 1, actual: 2 })
        assert.lengthOf((yield* store.load("o-1")).events, 2)
      })
    )
  )

  it.live("on the right version but another history loses as well", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* store.append(place("o-1").entry)
        const imagined = step("o-1", emptyStream, [placed("o-1")], { at: 1 })

        const error = yield* Effect.flip(store.append(step("o-1", imagined.after, [parked("one")]).entry))

        assert.strictEqual(error._tag, "VersionConflict")
      })
    )
  )

  it.live("for a stream that does not exist yet says that it is at version 0", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore

        const error = yield* Effect.flip(store.append(step("o-1", place("o-1").after, [parked("one")]).entry))

        assert.deepInclude(error, { _tag: "VersionConflict", actual: 0 })
        assert.isNull(yield* store.head("o-1"))
        assert.deepStrictEqual(yield* store.load("o-1"), { events: [], requestHash: "" })
      })
    )
  )

  it.live("that is repeated is known again, also when the stream has moved on, and stores nothing twice", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = place("o-1")
        yield* store.append(first.entry)
        yield* store.append(step("o-1", first.after, [parked("one")]).entry)

        const again = yield* store.append(first.entry)

        assert.deepStrictEqual(again, { version: 1, duplicate: true })
        assert.lengthOf((yield* store.load("o-1")).events, 2)
      })
    )
  )

  it.live("of one tick's 256 commands with one that cannot be stored fails that one alone", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const ids = idsIn(1, "b", 256)
        const entries = ids.map((id, index) =>
          index === 100
            ? step(id, emptyStream, [placed(id, { ...someRequest, symbol: "BTC\u0000USDT" })]).entry
            : index === 200
              ? // The client order id of another order: a constraint refuses it.
                step(id, emptyStream, [placed(ids[0]!)]).entry
              : place(id).entry
        )

        const results = yield* Effect.forEach(entries, (entry) => Effect.result(store.append(entry)), {
          concurrency: "unbounded"
        })

        const failed = results.flatMap((result, index) =>
          Result.isFailure(result) ? [{ index, error: result.failure }] : []
        )
        assert.deepStrictEqual(
          failed.map(({ index }) => index),
          [100, 200]
        )
        assert.deepStrictEqual(
          failed.map(({ error }) => (error._tag === "Unstorable" ? error.sqlState : error._tag)),
          ["22P05", "23505"]
        )
        assert.deepStrictEqual((yield* store.laneHeads)[1], { lane: 1, position: 254 })
        // They did travel together: halving 256 down to two bad ones takes far fewer calls than commands.
        assert.isBelow((yield* store.stats).calls, 32)
        assert.isTrue((yield* audit).ok)
      })
    )
  )

  it.live(
    "of one tick's commands on all lanes is one call, in which each lane has its own places and each command its own fate",
    () =>
      onStore(() =>
        Effect.gen(function* () {
          const store = yield* EventStore
          const first = place(idsIn(1, "z", 1)[0]!)
          yield* store.append(first.entry)
          yield* store.append(step(first.entry.streamId, first.after, [parked("one")]).entry)
          const before = yield* store.stats
          const fresh = [3, 0, 2, 1].flatMap((lane) => idsIn(lane, "y", 5)).map((id) => place(id).entry)
          // Another was there first.
          const late = step(first.entry.streamId, first.after, [parked("two")]).entry

          const results = yield* Effect.forEach(
            [late, first.entry, ...fresh],
            (entry) => Effect.result(store.append(entry)),
            { concurrency: "unbounded" }
          )

          assert.deepInclude(Result.isFailure(results[0]!) ? results[0].failure : {}, {
            _tag: "VersionConflict",
            actual: 2
          })
          assert.deepStrictEqual(results[1], Result.succeed({ version: 1, duplicate: true }))
          assert.isTrue(results.slice(2).every((result) => Result.isSuccess(result) && !result.success.duplicate))
          // The two of one stream cannot travel together.
          assert.strictEqual((yield* store.stats).calls - before.calls, 2)
          assert.deepStrictEqual(yield* store.laneHeads, [
            { lane: 0, position: 5 },
            { lane: 1, position: 7 },
            { lane: 2, position: 5 },
            { lane: 3, position: 5 }
          ])
          assert.isTrue((yield* audit).ok)
        })
      )
  )

  it.live("of two commands for one stream in one tick is decided one after the other", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = place("o-1")
        const second = step("o-1", first.after, [parked("one")])

        const results = yield* Effect.all([store.append(first.entry), store.append(second.entry)], {
          concurrency: "unbounded"
        })

        assert.deepStrictEqual(
          results.map(({ version }) => version),
          [1, 2]
        )
      })
    )
  )

  it.live("is stored although its caller has stopped waiting", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const lane = laneOf("o-1", templateLanes)
        const held = yield* holdLane(url, lane)
        const caller = yield* Effect.forkChild(store.append(place("o-1").entry))
        yield* until(store.stats, ({ queued }) => queued === 1)

        yield* Fiber.interrupt(caller)
        yield* Fiber.interrupt(held)

        yield* until(store.head("o-1"), (head) => head?.version === 1)
      })
    )
  )

  it.live(
    "meets a full lane with a refusal at once, and the engine's own commands still get in, ahead of the rest",
    () =>
      onStore(
        (url) =>
          Effect.gen(function* () {
            const store = yield* EventStore
            const [a, b, c, d, mine] = idsIn(2, "q", 5) as [string, string, string, string, string]
            const held = yield* holdLane(url, 2)
            const first = yield* Effect.forkChild(store.append(place(a).entry))
            // Nothing else is in the way of the first call once it waits for the lock.
            yield* until(
              asAdministrator(
                url,
                (sql) => sql`select 1 from pg_locks where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())`
              ),
              (rows) => rows.length > 0
            )
            const waiting = yield* Effect.forEach([b, c], (id) => Effect.forkChild(store.append(place(id).entry)))
            yield* until(store.stats, ({ queued }) => queued === 3)

            const refused = yield* Effect.flip(store.append(place(d).entry))
            const engine = yield* Effect.forkChild(
              store.append(step(mine, emptyStream, [placed(mine)], { priority: "engine" }).entry)
            )
            yield* until(store.stats, ({ queued }) => queued === 4)
            yield* Fiber.interrupt(held)
            yield* Fiber.join(first)
            yield* Fiber.join(engine)
            yield* Effect.forEach(waiting, (fiber) => Fiber.join(fiber))

            assert.deepInclude(refused, { _tag: "LaneFull", lane: 2 })
            const order = (yield* store.readLane(2, 0, 10)).map(({ streamId }) => streamId)
            assert.deepStrictEqual(order, [a, mine, b, c])
          }),
        { laneQueueSize: 2 }
      )
  )

  it.live("wakes whoever follows its lane, in this process and in another", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const here = yield* EventStore
        const there = Context.get(yield* Layer.build(storeOn(url, { node: "other" })), EventStore)
        // Each knows of the other once a signal has crossed; until then a commit here may go unheard there.
        const lane = laneOf("o-1", templateLanes)
        let stream = emptyStream
        let wakeUps = 0
        const listening = yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              there.committed(lane),
              Effect.sync(() => void (wakeUps += 1))
            )
          )
        )
        yield* until(
          Effect.gen(function* () {
            const next = step("o-1", stream, [stream.version === 0 ? placed("o-1") : parked("again")])
            const own = yield* Effect.forkChild(here.committed(lane))
            yield* here.append(next.entry)
            yield* Fiber.join(own)
            stream = next.after
            return wakeUps
          }),
          // The first may come from listening itself, which wakes everybody once.
          (count) => count > 3
        )
        yield* Fiber.interrupt(listening)
      })
    )
  )

  it.live("by the only process on a store sends no signal to anybody", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const heard: Array<string> = []
        const listening = yield* Deferred.make<void>()
        yield* Effect.forkScoped(
          asAdministrator(url, (sql) =>
            Effect.gen(function* () {
              const queue = yield* sql.listen("nexus_commits")
              yield* Deferred.succeed(listening, undefined)
              while (true) heard.push((yield* Queue.take(queue)).payload)
            })
          )
        )
        yield* Deferred.await(listening)

        for (let n = 0; n < 20; n++) yield* store.append(place(`o-${n}`).entry)
        yield* asAdministrator(url, (sql) => sql`select pg_notify('nexus_commits', 'nobody end')`)
        yield* until(
          Effect.sync(() => heard),
          (payloads) => payloads.includes("nobody end")
        )

        assert.deepStrictEqual(
          heard.filter((payload) => payload.includes("commit")),
          []
        )
      })
    )
  )
})

describe("the log", () => {
  it.live("counts every order once, by the status it has now", () =>
    onStore(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const at = 1_795_612_667_397
        const filling = step("o-1", emptyStream, [
          placed("o-1", { ...someRequest, quantity: decimal("0.5") }),
          started("o-1", 1, at),
          accepted(1, at),
          filled("t1", "0.5", at),
          completed("0.5", "30615.125")
        ])
        yield* store.append(filling.entry)
        yield* store.append(step("o-2", emptyStream, [denied("o-2")]).entry)
        const open = place("o-3")
        yield* store.append(open.entry)
        yield* store.append(step("o-3", open.after, [started("o-3", 1, at)]).entry)
        const cancelled = place("o-4")
        yield* store.append(cancelled.entry)
        yield* store.append(
          step("o-4", cancelled.after, [
            { _tag: "OrderCancelled", reason: "by the client", executedQuantity: decimal("0"), source: "local" }
          ]).entry
        )
        yield* store.append(
          step(accountStream, emptyStream, [{ _tag: "ExchangeReset", evidence: ["a new account"], openOrders: 0 }])
            .entry
        )
        // Neither a repetition nor a late fill moves a counter.
        yield* store.append(filling.entry)
        yield* store.append(step("o-1", filling.after, [parked("looked at")]).entry)

        assert.deepStrictEqual(yield* store.totals, { total: 4, processing: 1, completed: 1, failed: 1, cancelled: 1 })
        assert.deepStrictEqual((yield* audit).findings, [])
      })
    )
  )

  it.live("is appended to by nexus_app, which can change and remove nothing", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* appendStep(place("o-1"))
        const tries = [
          "insert into events select * from events",
          "insert into batches select * from batches",
          "insert into streams select * from streams",
          "insert into orders select * from orders",
          ...["events", "batches", "streams", "orders"].flatMap((table) => [
            `update ${table} set lane = lane`,
            `delete from ${table}`,
            `truncate ${table}`,
            `alter table ${table} disable trigger all`,
            `drop table ${table}`
          ]),
          "set session_replication_role = replica",
          "create or replace function refuse_change() returns trigger language plpgsql as 'begin return null; end'"
        ]

        const role = yield* sql`select current_user::text as role`
        const outcomes = yield* Effect.forEach(tries, (text) => Effect.result(sql.unsafe(text)))

        assert.deepStrictEqual(role, [{ role: "nexus_app" }])
        tries.forEach((text, index) => {
          const outcome = outcomes[index]!
          assert.isTrue(Result.isFailure(outcome) && /denied|must be owner/.test(detailOf(outcome.failure)), text)
        })
        // Nor the superuser, by an ordinary statement, even where ordinary triggers are off.
        const asOwner = yield* asAdministrator(url, (admin) =>
          Effect.forEach(
            ["events", "batches", "streams"].flatMap((table) => [
              ...(table === "streams" ? [] : [`update ${table} set lane = lane`]),
              `delete from ${table}`,
              `truncate ${table}`
            ]),
            (text) =>
              Effect.result(
                admin.withTransaction(
                  Effect.andThen(admin`set local session_replication_role = replica`, admin.unsafe(text))
                )
              )
          )
        )
        assert.isTrue(asOwner.every(Result.isFailure))
        assert.lengthOf(asOwner, 8)
      })
    )
  )

  it.live("takes an append from no other role, whatever a pooler makes of the connection", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const result = yield* asAdministrator(url, (admin) =>
          Effect.result(admin`select append_lanes('x', '{}', '{}', '{}', '{}', '{}', '{}')`)
        )

        assert.match(Result.isFailure(result) ? detailOf(result.failure) : "", /for connections of the role nexus_app/)
      })
    )
  )

  it.live("flows on, and is read to its end, while foreign transactions stay open for the whole time", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* holdOpen(
          url,
          "insert into parked (consumer, lane, position, stream_id, reason, record) values ('x', 0, 1, 's', 'r', '{}')"
        )
        yield* holdOpen(inject("pgUrl"), "select pg_current_xact_id()::text")

        const ids = Array.from({ length: 300 }, (_, n) => `o-${n}`)
        yield* Effect.forEach(ids, (id) => store.append(place(id).entry), { concurrency: 32 })

        const seen = yield* Effect.forEach([0, 1, 2, 3], (lane) => store.readLane(lane, 0, 1_000))
        assert.sameMembers(
          seen.flat().map(({ streamId }) => streamId),
          ids
        )
      })
    )
  )

  it.live("owes the bus, in its outbox, exactly what lies behind the cursor of each lane", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* PgClient.PgClient
        yield* Effect.forEach([...idsIn(0, "a", 3), ...idsIn(2, "b", 2)], (id) => store.append(place(id).entry))
        yield* asAdministrator(url, (admin) => admin`update cursors set position = 2 where lane = 0`)

        const owed = yield* sql`select lane, position from outbox order by lane, position`

        assert.deepStrictEqual(owed, [
          { lane: 0, position: 3n },
          { lane: 2, position: 1n },
          { lane: 2, position: 2n }
        ])
      })
    )
  )

  it.live("dies rather than skip a position that is missing", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* Effect.forEach(idsIn(0, "h", 5), (id) => store.append(place(id).entry))
        yield* asAdministrator(url, (sql) =>
          Effect.andThen(
            sql`alter table events disable trigger append_only`,
            sql`delete from events where lane = 0 and position = 3`
          )
        )

        const defect = yield* Effect.flip(Effect.sandbox(store.readLane(0, 0, 10)))

        assert.include(Cause.pretty(defect), "4 follows 2")
      })
    )
  )
})
