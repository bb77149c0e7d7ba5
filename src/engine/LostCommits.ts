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
        const compared = yield* compareRecords(newest, heads)
        return [...beyond(newest, store, heads), ...differing(compared, store)]
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

/** What the topic's records up to the end of a lane say about the log. */
export interface LaneComparison {
  readonly head: LaneHead
  /** At least one of them is there, and each is the event that the log has in its place. */
  readonly isConfirmed: boolean
  /** Where the log has another event, ascending. What was lost need not be last: more may have been written since. */
  readonly differing: ReadonlyArray<number>
  /** Before the first of those a record fits, or its generation begins there: that is where the log went another way. */
  readonly hasGround: boolean
}

// Places asked for at a time.
const comparedAtOnce = 5_000

/** All records of the log's own generation, against the events in their places. */
export const compareRecords = Effect.fnUntraced(function* (
  records: ReadonlyArray<HistoryRecord>,
  heads: ReadonlyArray<LaneHead>
) {
  const generations = yield* Generations
  const { generation, originOf, storeId } = yield* Store
  const ours = records.filter(
    (record) =>
      record.source === `urn:nexus:store:${storeId}` &&
      record.generation === generation &&
      record.position <= headOf(heads, record.lane)
  )
  const lost: Array<{ readonly lane: number; readonly position: number }> = []
  for (let from = 0; from < ours.length; from += comparedAtOnce) {
    lost.push(...(yield* generations.compare([], ours.slice(from, from + comparedAtOnce))).lost)
  }
  return heads.map((head): LaneComparison => {
    const { lane } = head
    const places = ours.filter((record) => record.lane === lane)
    const differing = [...new Set(lost.filter((one) => one.lane === lane).map(({ position }) => position))].toSorted(
      (one, other) => one - other
    )
    const [first] = differing
    const hasGround =
      first === undefined ||
      places.some(({ position }) => position < first) ||
      originOf({ lane, position: first }).firstPosition === first
    return { head, isConfirmed: places.length > 0 && first === undefined, differing, hasGround }
  })
})

/** The lanes that went another way than what Kafka has of them. */
export const differing = (
  lanes: ReadonlyArray<LaneComparison>,
  { generation }: { readonly generation: number }
): ReadonlyArray<Ahead> =>
  lanes.flatMap(({ differing, head: { lane, position: head } }) => {
    const position = differing.at(-1)
    return position === undefined ? [] : [{ by: "Kafka", lane, generation, position, head }]
  })
