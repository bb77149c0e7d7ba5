/** What a recovery writes down: where it began, and from where on positions belong to which generation. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { PgClient } from "@effect/sql-pg"
import { inject } from "vitest"
import { StoreId } from "../../src/domain/Ids.ts"
import { Database } from "../../src/sql/Database.ts"
import { Generations, Recoveries } from "../../src/sql/Generations.ts"
import { Store } from "../../src/sql/Store.ts"
import { asAdministrator, freshDatabase, limitsForTests } from "../harness/template.ts"

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
          assert.deepInclude(second, { number: 1, ...found, generation: null, known: null })
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
          generations.declareLoss({ node: "host-1", found: "lane 0", since: never, batches: [], events: [], ...loss })

        const nothing = yield* declare({})
        const recoveredSince = yield* declare({ since: { ...never, recoveries: 1 }, events: [missed] })
        const otherGeneration = yield* declare({ since: { ...never, generation: 2 }, events: [missed] })
        const before = yield* generations.standing
        const declared = yield* declare({ events: [missed] })
        const again = yield* declare({ node: "host-2", batches: [{ lane: 1, position: 2, hash: "aa" }] })
        const { open } = yield* generations.standing

        assert.deepStrictEqual([nothing, recoveredSince, otherGeneration], [false, false, false])
        assert.deepStrictEqual(before, never)
        // The second one comes to a store that is under recovery.
        assert.deepStrictEqual([declared, again], [true, false])
        assert.deepStrictEqual(open, { by: "host-1", reason: "lane 0", isFound: true })
        const names: Array<unknown> = []
        for (const by of ["ann", "bob"]) {
          const { heads, reason } = yield* asRecovery(url, (one) => one.begin({ ...found, by, reason: `${by}'s` }))
          names.push([heads, reason, (yield* generations.standing).open])
        }
        const anns = [[0, 0, 0, 0], "ann's", { by: "ann", reason: "ann's", isFound: false }]
        assert.deepStrictEqual(names, [anns, anns])
      })
    )
  )

  it.live("is opened for a batch whose end is not there, too", () =>
    onDatabase(() =>
      Effect.gen(function* () {
        const generations = yield* Generations
        const batches = [{ lane: 1, position: 2, hash: "aa" }]

        const declared = yield* generations.declareLoss({ node: "a", found: "b", since: never, batches, events: [] })

        assert.isTrue(declared)
        assert.isTrue((yield* generations.standing).open?.isFound)
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
          `grant select, insert, update on recoveries, generations, store to ${user.username}`,
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
