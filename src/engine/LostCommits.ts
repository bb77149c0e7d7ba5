/**
 * Finds out whether the log has lost commits: Kafka or the anchor know more of a lane than it has.
 *
 * A position that Kafka has in the log's own generation, beyond the lane's head, was committed once. What earlier
 * generations have there is void. A generation that the store does not know is one that it has lost. A log that was set
 * back and has grown since may have as many positions as Kafka, and other events there.
 */
import { Context, Effect, Layer } from "effect"
import { aheadOf, type AnchorUnreadable, readAnchor } from "../audit/Anchors.ts"
import { AppConfig } from "../config.ts"
import type { BusUnavailable } from "../kafka/EventBus.ts"
import { type HistoryRecord, TopicHistory } from "../kafka/TopicHistory.ts"
import { Generations, type LaneHead } from "../sql/Generations.ts"
import { Store } from "../sql/Store.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"

/** What is ahead of the log, or differs from it up to its end, and where the log ends in that lane. */
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
    /** By the newest records of the topic. Empty: Kafka knows nothing that the log has not, and the same where both know. */
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

      const context = yield* Effect.context<Generations | Store>()
      const byKafka = Effect.gen(function* () {
        // The topic first: what is committed meanwhile is in the log by the time it is asked.
        const newest = yield* history.newest
        const heads = yield* generations.heads
        return [...beyond(newest, store, heads), ...(yield* differing(newest, heads))]
      }).pipe(Effect.provideContext(context))

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

/** The newest record of the log's own generation that stands at or before the end of the log's lane. */
const lastWithin = (
  records: ReadonlyArray<HistoryRecord>,
  store: { readonly storeId: string; readonly generation: number },
  head: LaneHead
): HistoryRecord | undefined => {
  let last: HistoryRecord | undefined
  for (const record of records) {
    const isOurs = record.source === `urn:nexus:store:${store.storeId}` && record.generation === store.generation
    if (!isOurs || record.lane !== head.lane || record.position > head.position) continue
    if (last === undefined || record.position > last.position) last = record
  }
  return last
}

/** Whether the topic's last record up to the end of a lane is the event that the log has there. */
export const agreement = Effect.fnUntraced(function* (records: ReadonlyArray<HistoryRecord>, head: LaneHead) {
  const generations = yield* Generations
  const last = lastWithin(records, yield* Store, head)
  if (last === undefined) return { verdict: "unknown" } as const
  const isSame = (yield* generations.eventAt(head.lane, last.position)) === last.eventId
  return { verdict: isSame ? "same" : "differs", position: last.position } as const
})

/** The lanes that went another way than what Kafka has of them. */
export const differing = Effect.fnUntraced(function* (
  records: ReadonlyArray<HistoryRecord>,
  heads: ReadonlyArray<LaneHead>
) {
  const { generation } = yield* Store
  const found: Array<Ahead> = []
  for (const head of heads) {
    const { position, verdict } = yield* agreement(records, head)
    if (verdict === "differs") found.push({ by: "Kafka", lane: head.lane, generation, position, head: head.position })
  }
  return found
})
