/** When a topic knows more than the log, and when it only looks so. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beyond, compareRecords } from "../../src/engine/LostCommits.ts"
import type { HistoryRecord } from "../../src/kafka/TopicHistory.ts"
import { Generations } from "../../src/sql/Generations.ts"
import { Store } from "../../src/sql/Store.ts"

const store = { storeId: "7a3f3c1e-9a2b-4c1d-8e5f-0123456789ab", generation: 2 }
const heads = [
  { lane: 0, position: 10, hash: "a" },
  { lane: 1, position: 0, hash: "" }
]
const at = (lane: number, position: number, generation = 2, storeId = store.storeId) =>
  ({ lane, position, generation, source: `urn:nexus:store:${storeId}` }) as HistoryRecord

describe("a topic is ahead of the log", () => {
  it("where a lane of its generation goes on behind the log's end", () => {
    assert.deepStrictEqual(beyond([at(0, 9), at(0, 12), at(0, 11), at(1, 1)], store, heads), [
      { by: "Kafka", lane: 0, generation: 2, position: 12, head: 10 },
      { by: "Kafka", lane: 1, generation: 2, position: 1, head: 0 }
    ])
  })

  it("where it knows a generation that the store does not, whatever the position", () => {
    assert.deepStrictEqual(beyond([at(0, 3, 3), at(0, 12)], store, heads), [
      { by: "Kafka", lane: 0, generation: 3, position: 3, head: 10 }
    ])
  })

  it("but not by what is void since an earlier recovery, by what the log has, or by another store's records", () => {
    assert.deepStrictEqual(beyond([at(0, 99, 1), at(0, 10), at(0, 99, 2, "another")], store, heads), [])
  })
})

describe("a lane that went another way", () => {
  /** Of a log of generation 2, which begins at position 4, where some positions have other events. */
  const comparedWith = (other: ReadonlyArray<number>, records: ReadonlyArray<HistoryRecord>) =>
    compareRecords(records, heads).pipe(
      Effect.provideService(Generations, {
        compare: (_: unknown, places: ReadonlyArray<HistoryRecord>) =>
          Effect.succeed({ lost: places.filter(({ position }) => other.includes(position)) })
      } as unknown as typeof Generations.Service),
      Effect.provideService(Store, {
        ...store,
        originOf: () => ({ ...store, firstPosition: 4 })
      } as unknown as typeof Store.Service),
      Effect.map(([lane]) => lane!)
    )

  it.effect("is known by all of its records, and goes back to where one fits", () =>
    Effect.gen(function* () {
      const told = yield* comparedWith([8, 7], [at(0, 6), at(0, 8), at(0, 7), at(0, 7), at(0, 10)])

      assert.deepStrictEqual([told.differing, told.isConfirmed, told.hasGround], [[7, 8], false, true])
    })
  )

  it.effect("went another way before all that was read, where none fits", () =>
    Effect.gen(function* () {
      const told = yield* comparedWith([6, 8], [at(0, 6), at(0, 8), at(0, 9), at(0, 12), at(0, 3, 1), at(1, 0)])

      assert.deepStrictEqual([told.differing, told.hasGround], [[6, 8], false])
    })
  )

  it.effect("or where its generation begins", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* comparedWith([4, 5], [at(0, 4), at(0, 5)])).hasGround)
    })
  )

  it.effect("did not, where all fit or none is of its generation", () =>
    Effect.gen(function* () {
      const fits = yield* comparedWith([], [at(0, 9), at(0, 10)])
      const unknown = yield* comparedWith([9], [at(0, 9, 1), at(0, 11)])

      assert.deepInclude(fits, { isConfirmed: true, differing: [], hasGround: true })
      assert.deepInclude(unknown, { isConfirmed: false, differing: [], hasGround: true })
    })
  )
})
