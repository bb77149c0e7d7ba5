/**
 * Finds out whether the log has lost commits: Kafka or the anchor know more of a lane than it has.
 *
 * A position that Kafka has in the log's own generation, beyond the lane's head, was committed once. What earlier
 * generations have there is void. A generation that the store does not know is one that it has lost.
 */
import { Context, Effect, Layer } from "effect"
import { aheadOf, type AnchorUnreadable, readAnchor } from "../audit/Anchors.ts"
import { AppConfig } from "../config.ts"
import type { BusUnavailable } from "../kafka/EventBus.ts"
import { type HistoryRecord, TopicHistory } from "../kafka/TopicHistory.ts"
import { Generations, type LaneHead } from "../sql/Generations.ts"
import { Store } from "../sql/Store.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"

/** What is ahead of the log, and where the log ends in that lane. */
export interface Ahead {
  readonly by: string
  readonly lane: number
  readonly generation: number
  readonly position: number
  readonly head: number
}

export class LostCommits extends Context.Service<
  LostCommits,
  {
    /** By the newest records of the topic. Empty: Kafka knows nothing that the log has not. */
    readonly byKafka: Effect.Effect<ReadonlyArray<Ahead>, BusUnavailable | StoreUnavailable>
    /** Empty also where there is no anchor. */
    readonly byAnchor: Effect.Effect<ReadonlyArray<Ahead>, AnchorUnreadable | StoreUnavailable>
  }
>()("nexus/engine/LostCommits") {
  static readonly layer = Layer.effect(
    LostCommits,
    Effect.gen(function* () {
      const { audit } = yield* AppConfig
      const generations = yield* Generations
      const history = yield* TopicHistory
      const store = yield* Store

      const byKafka = Effect.gen(function* () {
        // The topic first: what is committed meanwhile is in the log by the time it is asked.
        const newest = yield* history.newest
        return beyond(newest, store, yield* generations.heads)
      })

      const byAnchor = Effect.gen(function* () {
        if (audit.anchor_file === "") return []
        const anchor = yield* readAnchor(audit.anchor_file)
        if (anchor === null) return []
        const hashAt = new Map<number, string | null>()
        for (const { lane, position } of anchor.heads) hashAt.set(lane, yield* generations.batchAt(lane, position))
        const heads = yield* generations.heads
        return aheadOf(anchor, store, hashAt).map((ahead) => ({
          ...ahead,
          by: `the anchor ${audit.anchor_file}`,
          head: headOf(heads, ahead.lane)
        }))
      })

      return LostCommits.of({ byKafka, byAnchor })
    })
  )
}

const headOf = (heads: ReadonlyArray<LaneHead>, lane: number): number =>
  heads.find((head) => head.lane === lane)?.position ?? 0

/** The furthest record of each lane that the log should have and has not. */
export const beyond = (
  records: ReadonlyArray<HistoryRecord>,
  store: { readonly storeId: string; readonly generation: number },
  heads: ReadonlyArray<LaneHead>
): ReadonlyArray<Ahead> => {
  const furthest = new Map<number, HistoryRecord>()
  for (const record of records) {
    if (record.source !== `urn:nexus:store:${store.storeId}` || record.generation < store.generation) continue
    if (record.generation === store.generation && record.position <= headOf(heads, record.lane)) continue
    const known = furthest.get(record.lane)
    if (
      known === undefined ||
      record.generation > known.generation ||
      (record.generation === known.generation && record.position > known.position)
    ) {
      furthest.set(record.lane, record)
    }
  }
  return [...furthest.values()]
    .toSorted((one, other) => one.lane - other.lane)
    .map(({ generation, lane, position }) => ({ by: "Kafka", lane, generation, position, head: headOf(heads, lane) }))
}
