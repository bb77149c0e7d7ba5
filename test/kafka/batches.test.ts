/** What is done with a batch that kafkajs hands us, and with one that is taken away while we have it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Delivered } from "../../src/kafka/EventBus.ts"
import { makeBatches } from "../../src/kafka/batches.ts"
import { SubscriptionStatus } from "../../src/kafka/SubscriptionStatus.ts"
import { handedBatch, refusal } from "./handedBatch.ts"

/** Handles each record by telling of it. */
const working = (during: (offset: string) => Effect.Effect<void> = () => Effect.void) => {
  const seen: Array<string> = []
  const status = new SubscriptionStatus("orders for group g")
  const deliver = ({ offset }: Delivered) =>
    Effect.suspend(() => {
      seen.push(offset)
      return during(offset)
    })
  return { seen, status, ...makeBatches({ deliver, status }) }
}

describe("a batch in hand", () => {
  it.effect("is handled in order, and committed once, after its last record", () =>
    Effect.gen(function* () {
      const { handle, seen, status } = working()
      const batch = handedBatch(["5", "6", "7"])

      yield* handle(batch.payload)

      assert.deepStrictEqual(seen, ["5", "6", "7"])
      assert.deepStrictEqual(batch.resolved, ["5", "6", "7"])
      assert.deepStrictEqual(batch.committed, ["8"])
      assert.strictEqual(status.inHand.size, 0)
    })
  )

  for (const [what, end] of [
    ["went to another member", "isStale"],
    ["belongs to a consumer that stops", "isRunning"]
  ] as const) {
    it.effect(`that ${what} is left at the next record, and what was handled is committed`, () =>
      Effect.gen(function* () {
        const batch = handedBatch(["5", "6", "7", "8"])
        const { handle, seen } = working((offset) =>
          Effect.sync(() => {
            if (offset === "6") batch.is[end] = end === "isStale"
          })
        )

        yield* handle(batch.payload)

        assert.deepStrictEqual(seen, ["5", "6"])
        assert.deepStrictEqual(batch.committed, ["7"])
      })
    )

    it.effect(`that ${what} before its first record is neither handled nor committed`, () =>
      Effect.gen(function* () {
        const batch = handedBatch(["5"])
        batch.is[end] = end === "isStale"
        const { handle, seen } = working()

        yield* handle(batch.payload)

        assert.deepStrictEqual([seen, batch.committed], [[], []])
      })
    )
  }

  for (const type of ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS"]) {
    it.effect(`whose commit is refused with ${type} gives kafkajs its very own error back`, () =>
      Effect.gen(function* () {
        const refused = refusal(type)
        const batch = handedBatch(["5", "6"], { commit: () => Promise.reject(refused) })
        const { handle, seen, status } = working()

        const error = yield* Effect.flip(handle(batch.payload))

        assert.strictEqual(error.cause, refused)
        assert.deepStrictEqual(seen, ["5", "6"])
        assert.strictEqual(status.inHand.size, 0)
      })
    )
  }

  it.effect("is left when a heartbeat says that the group moves, with what that heartbeat was answered", () =>
    Effect.gen(function* () {
      const refused = refusal("REBALANCE_IN_PROGRESS")
      const batch = handedBatch(["5", "6", "7"], { heartbeat: () => Promise.reject(refused) })
      const { beat, handle, seen } = working((offset) => (offset === "6" ? Effect.suspend(() => beat) : Effect.void))

      const error = yield* Effect.flip(handle(batch.payload))

      assert.strictEqual(error.cause, refused)
      assert.deepStrictEqual(seen, ["5", "6"])
      assert.deepStrictEqual(batch.committed, ["7"])
    })
  )
})
