/** What is remembered of many orders, and for how long. */
import { assert, it } from "@effect/vitest"
import { describe } from "vitest"
import { makeBoundedMap } from "../../src/engine/BoundedMap.ts"

const keysOf = (map: { readonly get: (key: number) => unknown }, count: number) =>
  Array.from({ length: count }, (_, key) => key).filter((key) => map.get(key) !== undefined)

describe("a bounded map", () => {
  it("forgets the oldest, whether set again or touched since counts", () => {
    const map = makeBoundedMap<number, string>(3)
    for (const key of [0, 1, 2]) map.set(key, `v${key}`)
    map.touch(0)
    map.set(1, "again")

    map.set(3, "v3")
    assert.deepStrictEqual(keysOf(map, 10), [0, 1, 3])
    map.set(4, "v4")
    assert.deepStrictEqual(keysOf(map, 10), [1, 3, 4])
    assert.strictEqual(map.get(1), "again")
  })

  it("keeps what may not go, beyond its limit, and lets it go later", () => {
    const busy = new Set([0, 1, 2, 3])
    const map = makeBoundedMap<number, number>(2, (value) => !busy.has(value))
    for (const key of [0, 1, 2, 3, 4]) map.set(key, key)
    assert.deepStrictEqual(keysOf(map, 10), [0, 1, 2, 3, 4])

    busy.clear()
    map.set(5, 5)
    assert.deepStrictEqual(keysOf(map, 10), [4, 5])
  })

  it("never forgets the entry that has just come, though nothing else may go", () => {
    const map = makeBoundedMap<number, { readonly mayGo: boolean }>(2, ({ mayGo }) => mayGo)
    for (const key of [0, 1]) map.set(key, { mayGo: false })

    map.set(2, { mayGo: true })
    map.touch(2)

    assert.deepStrictEqual(keysOf(map, 10), [0, 1, 2])
  })

  it("is as a list that is searched from its beginning each time, over any history", () => {
    const map = makeBoundedMap<number, number>(50, (value) => value % 7 !== 0)
    let model: Array<number> = []
    let seed = 42
    for (let step = 0; step < 20_000; step++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      const key = seed % 200
      const known = model.includes(key)
      model = model.filter((each) => each !== key)
      if (seed % 3 === 0) {
        map.touch(key)
        if (known) model.push(key)
        continue
      }
      map.set(key, key)
      while (!known && model.length >= 50 && model.some((each) => each % 7 !== 0)) {
        model.splice(
          model.findIndex((each) => each % 7 !== 0),
          1
        )
      }
      model.push(key)
    }
    assert.deepStrictEqual(
      keysOf(map, 200),
      model.toSorted((a, b) => a - b)
    )
  })
})
