/** The file beside the database: read back as it was written, and what it says about a log that was set back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Anchor, aheadOf, readAnchor, writeAnchor } from "../../src/audit/Anchors.ts"

const anchor: Anchor = {
  storeId: "7a3f3c1e-9a2b-4c1d-8e5f-0123456789ab",
  generation: 2,
  at: 1_790_000_000_000,
  heads: [
    { lane: 0, position: 10, hash: "aa" },
    { lane: 1, position: 4, hash: "bb" },
    { lane: 2, position: 0, hash: "" }
  ]
}
const store = { storeId: anchor.storeId, generation: 2 }
const same = new Map([
  [0, "aa"],
  [1, "bb"],
  [2, null]
])

describe("the anchor", () => {
  it.effect("comes back as it was written, over the one before, and is nobody's where there is none", () =>
    Effect.gen(function* () {
      const folder = mkdtempSync(join(tmpdir(), "nexus-anchor-"))
      const path = join(folder, "deeper", "anchor.json")

      const none = yield* readAnchor(path)
      yield* writeAnchor(path, { ...anchor, generation: 1 })
      yield* writeAnchor(path, anchor)
      const found = yield* readAnchor(path)
      writeFileSync(path, "{")
      const broken = yield* Effect.flip(readAnchor(path))
      rmSync(folder, { recursive: true })

      assert.isNull(none)
      assert.deepStrictEqual(found, anchor)
      assert.include(broken.message, `the anchor ${path} cannot be read`)
    })
  )

  it("finds a lane that ends earlier, one that went another way, and a generation that was lost", () => {
    assert.deepStrictEqual(aheadOf(anchor, store, same), [])
    assert.deepStrictEqual(aheadOf(anchor, store, new Map([...same, [0, null]])), [
      { lane: 0, position: 10, generation: 2 }
    ])
    assert.deepStrictEqual(aheadOf(anchor, store, new Map([...same, [1, "cc"]])), [
      { lane: 1, position: 4, generation: 2 }
    ])
    assert.lengthOf(aheadOf(anchor, { ...store, generation: 1 }, same), 2)
  })

  it("says nothing about another store, nor about one that was recovered since", () => {
    const gone = new Map([[0, null]])

    assert.deepStrictEqual(aheadOf(anchor, { ...store, storeId: "another" }, gone), [])
    assert.deepStrictEqual(aheadOf(anchor, { ...store, generation: 3 }, gone), [])
  })
})
