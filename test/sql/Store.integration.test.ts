/**
 * What stands beside the log: whose store it is, the exchange's instruments, and what was parked.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { describe, inject } from "vitest"
import { StoreId } from "../../src/domain/Ids.ts"
import { Database } from "../../src/sql/Database.ts"
import { Instruments } from "../../src/sql/Instruments.ts"
import { Parked } from "../../src/sql/Parked.ts"
import { type Exchange, Store } from "../../src/sql/Store.ts"
import { freshDatabase, limitsForTests } from "../harness/template.ts"

const idOf = (n: number) => StoreId.make(`00000000-0000-4000-8000-00000000000${n}`)

const onDatabase = <A, E>(
  test: Effect.Effect<A, E, Instruments | Parked | PgClient.PgClient | Database | Scope.Scope>
) =>
  Effect.scoped(
    Effect.flatMap(freshDatabase(inject("pgUrl")), (url) =>
      Effect.provide(
        test,
        Layer.mergeAll(Instruments.layer, Parked.layer).pipe(
          Layer.provideMerge(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests }))
        )
      )
    )
  )

const open = (exchange: Exchange, n: number) =>
  Effect.flatMap(Store, Effect.succeed).pipe(
    Effect.provide(Store.layer({ exchange, storeId: idOf(n) }), { local: true })
  )

describe("a store", () => {
  it.live("keeps the id of its first opening", () =>
    onDatabase(
      Effect.gen(function* () {
        const first = yield* open("SIMULATOR", 1)

        const second = yield* open("SIMULATOR", 2)

        assert.deepStrictEqual(
          [first, second].map(({ exchange, generation, lanes, storeId }) => ({ exchange, generation, lanes, storeId })),
          [1, 1].map((n) => ({ exchange: "SIMULATOR" as const, generation: 1, lanes: 4, storeId: idOf(n) }))
        )
      })
    )
  )

  it.live("is opened once by processes that come together", () =>
    onDatabase(
      Effect.gen(function* () {
        const opened = yield* Effect.all(
          [1, 2, 3, 4, 5, 6].map((n) => open("TESTNET", n)),
          { concurrency: "unbounded" }
        )

        assert.lengthOf(new Set(opened.map(({ storeId }) => storeId)), 1)
      })
    )
  )

  it.live("refuses another exchange with a sentence that names both", () =>
    onDatabase(
      Effect.gen(function* () {
        yield* open("SIMULATOR", 1)

        const error = yield* Effect.flip(open("TESTNET", 1))

        assert.match(error.message, /holds the orders of the SIMULATOR, and this process was started for the TESTNET/)
      })
    )
  )

  it.live("is bound to the first account that is seen, and refuses another with a sentence that names both", () =>
    onDatabase(
      Effect.gen(function* () {
        const store = yield* open("TESTNET", 1)
        assert.isNull(yield* store.accountUid)

        yield* store.bindAccount("354937868")
        yield* store.bindAccount("354937868")
        const error = yield* Effect.flip(store.bindAccount("11"))

        assert.strictEqual(yield* store.accountUid, "354937868")
        assert.strictEqual(error._tag, "StoreBelongsElsewhere")
        assert.match(error.message, /orders of account 354937868 of the TESTNET, .*for account 11 of the TESTNET/)
      })
    )
  )
})

describe("a snapshot of the instruments", () => {
  it.live("gets a new version when it says something new, and only a new check when it does not", () =>
    onDatabase(
      Effect.gen(function* () {
        const instruments = yield* Instruments
        assert.isNull(yield* instruments.latest)

        const versions = [
          yield* instruments.save([{ symbol: "BTCUSDT", tick: "0.01000000" }], 1_000),
          yield* instruments.save([{ tick: "0.01000000", symbol: "BTCUSDT" }], 2_000),
          yield* instruments.save([{ symbol: "BTCUSDT", tick: "0.01" }], 3_000),
          yield* instruments.save([{ symbol: "BTCUSDT", tick: "0.01000000" }], 4_000)
        ]

        assert.deepStrictEqual(versions, [1, 1, 2, 3])
        assert.deepStrictEqual(yield* instruments.latest, {
          version: 3,
          takenAt: 4_000,
          checkedAt: 4_000,
          content: [{ symbol: "BTCUSDT", tick: "0.01000000" }]
        })
        const [first] = yield* (yield* PgClient.PgClient)`
          select taken_at::int4 as taken, checked_at::int4 as checked from instruments where version = 1`
        assert.deepStrictEqual(first, { taken: 1_000, checked: 2_000 })
      })
    )
  )

  it.live("that replicas save at once is stored once, and different ones each get a version", () =>
    onDatabase(
      Effect.gen(function* () {
        const { save } = yield* Instruments
        const contents = ["a", "a", "a", "a", "b", "b", "b"]

        yield* Effect.all(
          contents.map((content) => save(content, 1)),
          { concurrency: "unbounded" }
        )

        const rows = yield* (yield* PgClient.PgClient)`select version from instruments order by version`
        assert.deepStrictEqual(
          rows,
          rows.map((_, index) => ({ version: index + 1 }))
        )
        assert.isAtLeast(rows.length, 2)
        assert.isAtMost(rows.length, contents.length)
      })
    )
  )
})

describe("a parked record", () => {
  it.live("is kept whole and once", () =>
    onDatabase(
      Effect.gen(function* () {
        const parked = yield* Parked
        const record = {
          consumer: "relay/events",
          lane: 3,
          position: 9_007_199_254_740_991,
          streamId: "order-1",
          reason: "too large",
          record: `{"half":"\\ud800","text":"as it stood"`
        }

        yield* parked.insert(record)
        yield* parked.insert(record)

        assert.deepStrictEqual(yield* parked.list(10), [record])
      })
    )
  )
})
