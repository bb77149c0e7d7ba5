/** When a topic knows more than the log, and when it only looks so. */
import { assert, describe, it } from "@effect/vitest"
import { beyond } from "../../src/engine/LostCommits.ts"
import type { HistoryRecord } from "../../src/kafka/TopicHistory.ts"

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
