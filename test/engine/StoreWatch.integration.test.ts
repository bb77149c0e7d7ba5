/** The store under a process that runs: set back, written anew, recovered, or simply growing. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Latch, Layer, Option } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LostCommits } from "../../src/engine/LostCommits.ts"
import { Ownership } from "../../src/engine/Ownership.ts"
import { StoreWatch } from "../../src/engine/StoreWatch.ts"
import { type HistoryRecord, TopicHistory } from "../../src/kafka/TopicHistory.ts"
import { EventBus } from "../../src/kafka/EventBus.ts"
import { toRecord } from "../../src/kafka/wire.ts"
import { AppConfig } from "../../src/config.ts"
import * as AnchorKeeper from "../../src/engine/AnchorKeeper.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Generations } from "../../src/sql/Generations.ts"
import { Store } from "../../src/sql/Store.ts"
import { asAdministrator } from "../harness/template.ts"
import { limit, ScriptedExchange, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"

const watch = StoreWatch.layer({ node: "host-1" })

const placed = Effect.flatMap(TestNexus, ({ place }) =>
  Effect.forEach(["a", "b", "c"], (id) => place(id, limit("BUY", "0.01", "50000")), { discard: true })
)

/** With the rights of whoever restores a database, and its guards out of the way. */
const change = (statement: string) =>
  Effect.flatMap(TestNexus, ({ databaseUrl }) =>
    asAdministrator(databaseUrl, (sql) =>
      sql.withTransaction(
        Effect.andThen(sql`alter table batches disable trigger append_only`, sql.unsafe<object>(statement))
      )
    )
  )

const watched = <A, E, R>(test: Effect.Effect<A, E, R>, watching = watch) =>
  Effect.gen(function* () {
    yield* placed
    return yield* test.pipe(Effect.provide(watching))
  }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]))))

/** Generations, of which some answers are others than the store's. */
const answering = (change: (generations: typeof Generations.Service) => Partial<typeof Generations.Service>) =>
  Layer.effect(
    Generations,
    Effect.map(Generations, (generations) => Generations.of({ ...generations, ...change(generations) }))
  )

/** Sees the ends of the lanes, and never that anything is missing. */
const blind = answering((generations) => ({ compare: () => generations.compare([], []) }))

/** While it is closed no look comes to its end. */
const looks = Latch.makeUnsafe(true)
const patient = answering(({ compare }) => ({
  compare: (seen, events) => Effect.andThen(looks.await, compare(seen, events))
}))

const refusal = Effect.flatMap(StoreWatch, ({ refused }) => Effect.flip(refused))

/** Why the process was ended before this came true; none: it was not. */
const endedWithin = (isOver: () => boolean) =>
  Effect.flatMap(StoreWatch, ({ refused }) =>
    Effect.raceFirst(
      Effect.asSome(Effect.flip(refused)),
      Effect.as(
        until(Effect.sync(isOver), (over) => over),
        Option.none()
      )
    )
  )

describe("a process that runs ends when its store", () => {
  it.live("has lost what this process has seen", () =>
    watched(
      Effect.gen(function* () {
        yield* change("delete from batches")

        const error = yield* refusal

        assert.strictEqual(error._tag, "CommitsLost")
        assert.match(
          error.message,
          /^this process has lane \d+ up to position \d+ of generation 1, and the log of this database ends at 0.*run "nexus recover"$/
        )
      })
    )
  )

  it.live("has something else in its place, however far it has grown since", () =>
    watched(
      Effect.gen(function* () {
        yield* change("update batches set hash = sha256(hash)")

        const error = yield* refusal

        assert.strictEqual(error._tag, "CommitsLost")
        assert.match(error.message, /^this process has another event than the log .+"nexus recover"$/)
      })
    )
  )

  it.live("was recovered meanwhile, and holds nothing any more", () =>
    watched(
      Effect.gen(function* () {
        const ownership = yield* Ownership
        yield* until(ownership.held, (held) => held.length > 0)
        yield* change("update store set generation = 2")

        const error = yield* refusal

        assert.strictEqual(
          error.message,
          "this database was recovered to generation 2 while this process ran on generation 1: start it again"
        )
        yield* until(ownership.held, (held) => held.length === 0)
      })
    )
  )

  it.live("is being recovered", () =>
    watched(
      Effect.gen(function* () {
        yield* change(
          "insert into recoveries (number, begun_by, reason, heads, log_ended_at) values (1, 'ann', 'a test', '{}', 0)"
        )

        assert.match(
          (yield* refusal).message,
          /^a recovery of this database was begun by ann \(a test\) and is not finished/
        )
      })
    )
  )

  it.live("was recovered meanwhile, though nothing that readers know was lost", () =>
    watched(
      Effect.gen(function* () {
        yield* change(
          "insert into recoveries (number, begun_by, reason, heads, log_ended_at, finished_at) values (1, 'ann', 'a test', '{}', 0, now())"
        )

        assert.strictEqual(
          (yield* refusal).message,
          "this database was recovered while this process ran: start it again"
        )
      })
    )
  )

  it.live("and not when only one look says so", () =>
    Effect.gen(function* () {
      let looks = 0
      let missed = 0
      // The answers of two servers, amid a failover: every second look fits, and none is missing twice. Nor at the start.
      const unsteady = answering((generations) => ({
        compare: (seen, events) =>
          Effect.map(generations.compare(seen, events), (told) => {
            looks++
            if (looks % 2 === 1) return told
            const missing = seen.filter(({ position }) => position > 0)
            missed += missing.length
            return { ...told, missing }
          })
      }))
      yield* placed
      const ended = yield* endedWithin(() => looks >= 5).pipe(Effect.provide(watch.pipe(Layer.provide(unsteady))))

      assert.isAbove(missed, 0)
      assert.isTrue(Option.isNone(ended))
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]))))
  )

  it.live("and not when the server that takes what is written has it all", () =>
    Effect.gen(function* () {
      let looks = 0
      // A server that is behind answers two looks in a row, and then no more.
      const behind = Layer.effect(
        Generations,
        Effect.map(Generations, (generations) =>
          Generations.of({
            ...generations,
            compare: (seen, events) =>
              Effect.map(generations.compare(seen, events), (told) => {
                looks++
                return looks === 3 || looks === 4
                  ? { ...told, missing: seen.filter((head) => head.position > 0) }
                  : told
              })
          })
        )
      )
      yield* placed
      const ended = yield* endedWithin(() => looks >= 6).pipe(Effect.provide(watch.pipe(Layer.provide(behind))))

      assert.isTrue(Option.isNone(ended))
      assert.isNull((yield* Effect.flatMap(Generations, ({ standing }) => standing)).open)
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]))))
  )

  it.live("and not when one answer comes from a server that is of another generation", () =>
    Effect.gen(function* () {
      let asked = 0
      const stale = answering(({ standing }) => ({
        standing: Effect.map(standing, (told) => (asked++ % 2 === 0 ? { ...told, generation: 9 } : told))
      }))
      yield* placed
      const ended = yield* endedWithin(() => asked >= 6).pipe(Effect.provide(watch.pipe(Layer.provide(stale))))

      assert.isTrue(Option.isNone(ended))
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]))))
  )

  it.live("has lost something by every look, and a server that has it all takes the others' warning", () =>
    Effect.gen(function* () {
      let asked = 0
      const behind = answering((generations) => ({
        compare: (seen, events) =>
          Effect.map(generations.compare(seen, events), (told) =>
            asked++ === 0 ? told : { ...told, missing: told.heads.filter(({ position }) => position > 0) }
          )
      }))
      yield* placed

      const error = yield* Effect.flip(Effect.scoped(Layer.build(watch.pipe(Layer.provide(behind)))))

      assert.strictEqual(error._tag, "CommitsLost")
      // Twice two questions: nothing was opened, and nobody waits for that.
      assert.strictEqual(asked, 4)
      assert.isNull((yield* Effect.flatMap(Generations, ({ standing }) => standing)).open)
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] })))
  )

  it.live("has forgotten a recovery that this process knows of", () =>
    Effect.gen(function* () {
      const recoveredOnce = Layer.effect(
        Store,
        Effect.map(Store, (store) => Store.of({ ...store, recoveries: 1 }))
      )

      const error = yield* Effect.flip(Effect.scoped(Layer.build(watch.pipe(Layer.provide(recoveredOnce)))))

      assert.strictEqual(error._tag, "RecoveryLost")
      assert.isTrue((yield* Effect.flatMap(Generations, ({ standing }) => standing)).open?.isFound)
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] })))
  )

  it.live("has lost commits, also where the schema has no way to tell the others", () =>
    watched(
      Effect.gen(function* () {
        yield* change(
          "drop function declare_loss(text, text, integer, integer, bigint, smallint[], bigint[], bytea[], smallint[], bigint[], text[])"
        )
        yield* change("delete from batches")

        assert.strictEqual((yield* refusal)._tag, "CommitsLost")
        assert.isNull((yield* Effect.flatMap(Generations, ({ standing }) => standing)).open)
      })
    )
  )

  it.live("has lost something, also after a server that was behind has answered one look", () =>
    Effect.gen(function* () {
      let asked = 0
      // Of a pool whose connections lead to two servers, every second answer is the older one's: it ends before what was seen.
      const mixed = Layer.effect(
        Generations,
        Effect.map(Generations, (generations) =>
          Generations.of({
            ...generations,
            compare: (seen, events) =>
              Effect.map(generations.compare(seen, events), (told) =>
                asked++ % 2 === 0
                  ? told
                  : {
                      ...told,
                      heads: told.heads.map((head) => ({ ...head, position: 0, hash: "" })),
                      missing: seen.filter(({ position }) => position > 0)
                    }
              )
          })
        )
      )
      yield* placed
      const error = yield* Effect.gen(function* () {
        yield* until(
          Effect.sync(() => asked),
          (count) => count >= 5
        )
        yield* change("delete from batches")
        return yield* refusal
      }).pipe(Effect.provide(watch.pipe(Layer.provide(mixed))), Effect.timeoutOption("20 seconds"))

      assert.strictEqual(Option.getOrUndefined(error)?._tag, "CommitsLost")
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]))))
  )

  it.live("is being recovered already when it starts: then it does not begin to serve", () =>
    Effect.gen(function* () {
      yield* change(
        "insert into recoveries (number, begun_by, reason, heads, log_ended_at) values (1, 'ann', 'a test', '{}', 0)"
      )

      const error = yield* Effect.flip(Effect.scoped(Layer.build(watch)))

      assert.strictEqual(error._tag, "RecoveryUnfinished")
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] })))
  )

  it.live("has lost what was given to the bus after the last look", () =>
    watched(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const generations = yield* Generations
        const events = yield* EventStore
        const { originOf } = yield* Store
        // Another process, which sees nothing of what is lost.
        const other = Context.get(
          yield* Layer.build(Layer.fresh(StoreWatch.layer({ node: "host-2" })).pipe(Layer.provide(blind))),
          StoreWatch
        )
        const bus = yield* EventBus
        looks.closeUnsafe()
        const before = yield* generations.heads
        yield* nexus.place("after", limit("BUY", "0.01", "50000"))
        const lane = (yield* generations.heads).findIndex(({ position }, at) => position > (before[at]?.position ?? 0))
        const [event] = yield* events.readLane(lane, before[lane]?.position ?? 0, 1)

        // All that was seen at the last look is there still, and something else takes the place of what was lost.
        yield* change("alter table events disable trigger all")
        yield* change(
          `update events set event_id = gen_random_uuid() where lane = ${lane} and position = ${event!.position}`
        )
        yield* change(`delete from batches where lane = ${lane} and last_position >= ${event!.position}`)
        yield* bus.publish("events", lane, [toRecord(event!, originOf(event!))])
        looks.openUnsafe()

        const error = yield* refusal
        assert.strictEqual(error._tag, "CommitsLost")
        assert.include(error.message, `position ${event!.position} of generation 1`)
        const told = yield* Effect.flip(other.refused)
        assert.strictEqual(
          told.message,
          `commits of this database are lost, as the process on host-1 found (what lane ${lane} had at position ` +
            `${event!.position} is gone): keep every process stopped and run "nexus recover"`
        )
        // Nothing more goes to the readers, while the process ends.
        const unsent = yield* Effect.flip(bus.publish("events", lane, [toRecord(event!, originOf(event!))]))
        assert.include(unsent.message, "commits of the database are missing")
        // And whoever comes later.
        const later = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(StoreWatch.layer({ node: "host-3" })))))
        assert.strictEqual(later.message, told.message)
      }).pipe(Effect.provide(StoreWatch.watchedBus), Effect.scoped),
      watch.pipe(Layer.provide(patient))
    )
  )

  it.live("has lost commits, and the anchor keeps what it knew of them", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "nexus-anchor-"))),
        (made) => Effect.sync(() => rmSync(made, { recursive: true }))
      )
      const config = yield* AppConfig
      const file = join(folder, "anchor.json")
      const withAnchor = Layer.succeed(AppConfig, {
        ...config,
        audit: { ...config.audit, anchor_file: file, anchor_interval_ms: 100 }
      })
      yield* placed
      const { error, kept, set } = yield* Effect.gen(function* () {
        const anchor = Effect.sync(() => (existsSync(file) ? readFileSync(file, "utf8") : ""))
        const set = yield* until(anchor, (text) => text !== "")
        yield* change("delete from batches")
        // A look takes a second, in which the keeper came by ten times.
        const error = yield* refusal
        return { kept: yield* anchor, set, error }
      }).pipe(Effect.provide(AnchorKeeper.layer.pipe(Layer.provide(withAnchor), Layer.provideMerge(watch))))

      assert.strictEqual(error._tag, "CommitsLost")
      assert.deepStrictEqual(JSON.parse(kept).heads, JSON.parse(set).heads)
    }).pipe(Effect.scoped, Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] })))
  )

  it.live("and not while it only grows", () =>
    watched(
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { refused } = yield* StoreWatch
        const busy = Effect.forEach(
          Array.from({ length: 200 }, (_, n) => `more-${n}`),
          (id) => Effect.andThen(nexus.place(id, limit("BUY", "0.01", "50000")), Effect.sleep(10)),
          { discard: true }
        )

        const [ended] = yield* Effect.all([Effect.timeoutOption(Effect.flip(refused), "2500 millis"), busy], {
          concurrency: 2
        })

        assert.isTrue(Option.isNone(ended))
      })
    )
  )
})

describe("a log that was set back, and has grown past what Kafka has since,", () => {
  const eventAt = (lane: number, position: number) =>
    Effect.flatMap(EventStore, ({ readLane }) =>
      Effect.map(readLane(lane, position - 1, 1), ([event]) => event!.eventId)
    )

  /** What the topic has of every lane: its last event, or one that the log knows nothing of. */
  const compared = (isOurs: boolean, hasGoneOn = false) =>
    Effect.gen(function* () {
      yield* placed
      const generations = yield* Generations
      const { generation, storeId } = yield* Store
      const records: Array<HistoryRecord> = []
      for (const { lane, position } of (yield* generations.heads).filter((head) => head.position > 0)) {
        const eventId = isOurs ? yield* eventAt(lane, position) : "0198b3d0-0000-7000-8000-000000000000"
        const source = `urn:nexus:store:${storeId}`
        records.push({ eventId, lane, position, generation, source } as HistoryRecord)
      }
      yield* Effect.forEach(["d", "e", "f", "g"], (id) =>
        Effect.flatMap(TestNexus, ({ place }) => place(id, limit("BUY", "0.01", "50000")))
      )
      // What was written since went to the topic too: its last record is the log's.
      if (hasGoneOn) {
        for (const { lane, position } of yield* generations.heads) {
          if (position === 0) continue
          const eventId = yield* eventAt(lane, position)
          records.push({ eventId, lane, position, generation, source: `urn:nexus:store:${storeId}` } as HistoryRecord)
        }
      }
      const history = Layer.succeed(TopicHistory, {
        newest: Effect.succeed(records),
        since: () => Effect.succeed(records)
      })
      const ahead = yield* Effect.flatMap(LostCommits, ({ byKafka }) => byKafka).pipe(
        Effect.provide(LostCommits.layer.pipe(Layer.provide(history)))
      )
      return { ahead, records }
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] })))

  it.live("is known by another event in the place of Kafka's last one", () =>
    Effect.gen(function* () {
      const { ahead, records } = yield* compared(false)

      assert.isAbove(records.length, 0)
      assert.sameMembers(
        ahead.map(({ lane }) => lane),
        records.map(({ lane }) => lane)
      )
      for (const { head, position } of ahead) assert.isAtLeast(head, position)
    })
  )

  it.live("also when what was written since is on the topic behind it", () =>
    Effect.gen(function* () {
      const { ahead, records } = yield* compared(false, true)
      const lost = records.filter(({ eventId }) => eventId === "0198b3d0-0000-7000-8000-000000000000")

      assert.isAbove(lost.length, 0)
      assert.sameDeepMembers(
        ahead.map(({ lane, position }) => ({ lane, position })),
        lost.map(({ lane, position }) => ({ lane, position }))
      )
    })
  )

  it.live("and one that Kafka agrees with is not taken for it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* compared(true)).ahead, [])
    })
  )
})
