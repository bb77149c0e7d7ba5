/** What a recovery writes down: where it began, and from where on positions belong to which generation. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { PgClient } from "@effect/sql-pg"
import { inject } from "vitest"
import { StoreId } from "../../src/domain/Ids.ts"
import { Database } from "../../src/sql/Database.ts"
import { Generations } from "../../src/sql/Generations.ts"
import { Recoveries } from "../../src/sql/Recoveries.ts"
import { Store } from "../../src/sql/Store.ts"
import { asAdministrator, freshDatabase, limitsForTests } from "../harness/template.ts"
import { until } from "./until.ts"

const storeId = StoreId.make("00000000-0000-4000-8000-000000000001")
const storeNow = Effect.flatMap(Store, Effect.succeed).pipe(
  Effect.provide(Store.layer({ exchange: "SIMULATOR", storeId }), { local: true })
)

const onDatabase = <A, E>(
  test: (url: string) => Effect.Effect<A, E, Generations | PgClient.PgClient | Database>
): Effect.Effect<A, unknown> =>
  Effect.scoped(
    Effect.flatMap(freshDatabase(inject("pgUrl")), (url) =>
      Effect.provide(
        test(url),
        Generations.layer.pipe(
          Layer.provideMerge(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests }))
        )
      )
    )
  )

/** One run of a recovery, from its lock to its end or death. */
const asRecovery = <A, E, R>(url: string, use: (recoveries: typeof Recoveries.Service) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Recoveries, use).pipe(
    Effect.provide(Recoveries.layer({ address: { url: Redacted.make(url) } }), { local: true })
  )

const found = { by: "ann", reason: "restored", heads: [5, 0, 7, 1], logEndedAt: 1_790_000_000_000 }

const never = { generation: 1, recoveries: 0, open: null }
const missed = { lane: 0, position: 3, eventId: "0198b3d0-0000-7000-8000-000000000000" }

describe("a recovery", () => {
  it.live(
    "that goes on after a killed one goes on from what that one found, and the store is not served till it ends",
    () =>
      onDatabase((url) =>
        Effect.gen(function* () {
          const generations = yield* Generations
          const first = yield* asRecovery(url, (one) => one.begin(found))
          const between = yield* generations.standing

          const second = yield* asRecovery(url, (one) =>
            Effect.tap(
              one.begin({ by: "bob", reason: "again", heads: [9, 9, 9, 9], logEndedAt: 1_790_000_999_999 }),
              (it) => one.finish(it.number, { orders: [] })
            )
          )

          assert.deepStrictEqual(between.open, { by: "ann", reason: "restored", isFound: false })
          assert.deepStrictEqual(second, first)
          assert.deepInclude(second, { number: 1, ...found, generation: null, known: null, found: null })
          assert.deepStrictEqual(yield* generations.standing, { generation: 1, recoveries: 1, open: null })
          const third = yield* asRecovery(url, (one) => one.begin(found))
          assert.strictEqual(third.number, 2)
        })
      )
  )

  it.live("that a process opened, which missed something, goes on under the name of who takes it on first", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        const generations = yield* Generations
        const declare = (loss: object) =>
          generations.declareLoss({
            node: "host-1",
            found: "lane 0",
            since: never,
            seenAt: found.logEndedAt,
            batches: [],
            events: [],
            ...loss
          })

        const nothing = yield* declare({})
        const before = yield* generations.standing
        const declared = yield* declare({ events: [missed] })
        const later = yield* declare({ node: "host-2", events: [missed] })
        const { open } = yield* generations.standing

        assert.isFalse(nothing)
        assert.deepStrictEqual(before, never)
        assert.isTrue(declared)
        // Whoever comes later sees the recovery itself.
        assert.isFalse(later)
        assert.deepStrictEqual(open, { by: "host-1", reason: "lane 0", isFound: true })
        const names: Array<unknown> = []
        for (const by of ["ann", "bob"]) {
          const begun = yield* asRecovery(url, (one) => one.begin({ ...found, by, reason: `${by}'s` }))
          names.push([begun.heads, begun.reason, begun.found, (yield* generations.standing).open])
        }
        const anns = [found.heads, "ann's", "lane 0", { by: "ann", reason: "ann's", isFound: false }]
        assert.deepStrictEqual(names, [anns, anns])
      })
    )
  )

  it.live("is opened once by two that find the loss at once", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        const generations = yield* Generations
        const loss = { node: "second", found: "lane 0", since: never, seenAt: 1, batches: [], events: [missed] }
        const isHeld = asAdministrator(
          url,
          (sql) => sql`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%declare_loss%'
            and datname = current_database()`
        )

        // The second has counted the recoveries and waits to look at the log; meanwhile the first is through.
        const second = yield* asAdministrator(url, (sql) =>
          sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`lock table events in access exclusive mode`
              const waiting = yield* Effect.forkChild(generations.declareLoss(loss))
              yield* until(isHeld, (rows) => rows.length > 0)
              yield* sql`
                select declare_loss('first', 'lane 0', 1, 0, 1, '{}', '{}', '{}', '{0}', '{3}', '{lost}')`
              return waiting
            })
          )
        ).pipe(Effect.flatMap(Fiber.join))

        assert.isTrue(second)
        assert.deepStrictEqual(yield* generations.standing, {
          generation: 1,
          recoveries: 1,
          open: { by: "first", reason: "lane 0", isFound: true }
        })
      })
    )
  )

  it.live("is opened for a batch whose end is not there, a recovery that is gone, a generation that is gone", () =>
    Effect.forEach(
      [
        { batches: [{ lane: 1, position: 2, hash: "aa" }] },
        { since: { ...never, recoveries: 1 } },
        { since: { ...never, generation: 2 } }
      ],
      (loss) =>
        onDatabase(() =>
          Effect.gen(function* () {
            const generations = yield* Generations
            const all = { node: "a", found: "b", since: never, seenAt: 1, batches: [], events: [] }

            const declared = yield* generations.declareLoss({ ...all, ...loss })

            assert.isTrue(declared)
            assert.isTrue((yield* generations.standing).open?.isFound)
          })
        )
    )
  )

  it.live("goes back to what was written before the loss, however far the log has grown since", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        const generations = yield* Generations
        yield* asAdministrator(
          url,
          (sql) => sql`
            insert into batches (lane, first_position, last_position, recorded_at, node, orders_total, orders_processing,
              orders_completed, orders_failed, orders_cancelled, previous_hash, hash)
            select lane, position, position, recorded_at, 'a', 0, 0, 0, 0, 0, '', ''
              from (values (0, 1, 1000), (0, 2, 5000), (2, 1, 3000), (2, 2, 9000), (3, 1, 8000))
                as b(lane, position, recorded_at)`
        )

        yield* generations.declareLoss({
          node: "a",
          found: `${"x".repeat(300)}\n`,
          since: never,
          seenAt: 4_000,
          batches: [],
          events: [missed]
        })

        const [row] = yield* asAdministrator(url, (sql) => sql`select heads::float8[] as heads from recoveries`)
        const { found: words, heads, logEndedAt } = yield* asRecovery(url, (one) => one.begin(found))
        assert.deepStrictEqual(row, { heads: [2, 0, 2, 1] })
        // Whoever takes it on says how far the log is by then.
        assert.deepStrictEqual([heads, logEndedAt, words], [found.heads, 3_000, "x".repeat(200)])
      })
    )
  )

  it.live("sets the cursors back to before the generation that it begins", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        yield* asAdministrator(url, (sql) => sql`update cursors set position = 7`)

        yield* asRecovery(url, (one) =>
          Effect.flatMap(one.begin(found), ({ number }) =>
            one.raise({ number, generation: 2, firstPositions: [8, 3, 1, 12], known: [9, 9, 9, 12] })
          )
        )

        const positions = yield* asAdministrator(
          url,
          (sql) => sql<{ position: number }>`select position::float8 as position from cursors order by lane`
        )
        assert.deepStrictEqual(
          positions.map(({ position }) => position),
          [7, 2, 0, 7]
        )
      })
    )
  )

  it.live("gives each position the generation that begins last before it, in its own lane", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        yield* asRecovery(url, (one) =>
          Effect.gen(function* () {
            const { number } = yield* one.begin(found)
            yield* one.raise({ number, generation: 2, firstPositions: [6, 1, 8, 2], known: [9, 0, 7, 1] })
            assert.deepStrictEqual(yield* one.firstPositions(2), [6, 1, 8, 2])
            yield* one.finish(number, {})
            const next = yield* one.begin(found)
            yield* one.raise({
              number: next.number,
              generation: 4,
              firstPositions: [20, 1, 8, 30],
              known: [0, 0, 0, 0]
            })
          })
        )
        const { generation, originOf } = yield* storeNow

        const origins = [
          [0, 5],
          [0, 6],
          [0, 19],
          [0, 20],
          [1, 1],
          [3, 1],
          [3, 2]
        ].map(([lane = 0, position = 0]) => originOf({ lane, position }))

        assert.strictEqual(generation, 4)
        assert.deepStrictEqual(
          origins.map((origin) => [origin.generation, origin.firstPosition]),
          [
            [1, 1],
            [2, 6],
            [2, 6],
            [4, 20],
            [4, 1],
            [1, 1],
            [2, 2]
          ]
        )
      })
    )
  )

  it.live("is one at a time, and the owner's alone", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        const second = yield* asRecovery(url, () => Effect.flip(asRecovery(url, () => Effect.void)))
        const serving = new URL(url)
        serving.username = `serving_${process.pid}`
        yield* asAdministrator(url, (sql) =>
          Effect.forEach(
            [`drop role if exists ${serving.username}`, `create role ${serving.username} login in role nexus_app`],
            (statement) => sql.unsafe(statement)
          )
        )

        const refused = yield* Effect.flip(asRecovery(serving.href, () => Effect.void))

        yield* asAdministrator(url, (sql) => sql.unsafe(`drop role ${serving.username}`))
        assert.strictEqual(second._tag, "RecoveryUnderWay")
        assert.match(refused.message, /^the user serving_\d+ may not recover the store: .*NEXUS_DATABASE_MIGRATE_URL/)
      })
    )
  )

  it.live("is refused beforehand to whoever could not end the leases with it", () =>
    onDatabase((url) =>
      Effect.gen(function* () {
        const user = new URL(url)
        user.username = `almost_${process.pid}`
        const asOwner = (...statements: ReadonlyArray<string>) =>
          asAdministrator(url, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement)))
        yield* asOwner(
          `create role ${user.username} login`,
          `grant select, insert, update on recoveries, generations, store, cursors to ${user.username}`,
          `grant usage on schema public to ${user.username}`,
          `grant select on leases to ${user.username}`
        )
        yield* Effect.addFinalizer(() =>
          Effect.orDie(asOwner(`drop owned by ${user.username}`, `drop role ${user.username}`))
        )

        const before = yield* Effect.result(asRecovery(user.href, () => Effect.void))
        yield* asOwner(`grant update on leases to ${user.username}`)
        const after = yield* Effect.result(asRecovery(user.href, () => Effect.void))

        assert.strictEqual(before._tag === "Failure" && before.failure._tag, "RecoveryNotAllowed")
        assert.strictEqual(after._tag, "Success")
      }).pipe(Effect.scoped)
    )
  )
})
