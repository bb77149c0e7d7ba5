/**
 * What of a lost log can be brought back from the bus, exactly: the records of each lane from its head on, one after
 * the other, until the first that is missing or cannot be read. Pure.
 *
 * Records of one command stand together, as they were appended together.
 */
import { Result } from "effect"
import { decode } from "../domain/Event.ts"
import type { HistoryRecord } from "../kafka/TopicHistory.ts"
import type { Lost } from "./Engine.ts"

export interface LaneLoss {
  readonly lane: number
  /** Commands in their order. */
  readonly lost: ReadonlyArray<Lost>
  /** How many events those are. */
  readonly count: number
  /** Why it ends before the furthest record; null: it does not. */
  readonly stop: string | null
}

export const lostEvents = (
  records: ReadonlyArray<HistoryRecord>,
  store: { readonly storeId: string; readonly generation: number },
  heads: ReadonlyArray<{ readonly lane: number; readonly position: number }>
): ReadonlyArray<LaneLoss> => {
  const ours = records.filter(
    ({ generation, source }) => source === `urn:nexus:store:${store.storeId}` && generation === store.generation
  )
  const byLane = Map.groupBy(ours, ({ lane }) => lane)
  return heads.map(({ lane, position }) => {
    const found = new Map((byLane.get(lane) ?? []).map((record) => [record.position, record]))
    return laneLoss(lane, position, found)
  })
}

const laneLoss = (lane: number, head: number, found: ReadonlyMap<number, HistoryRecord>): LaneLoss => {
  let furthest = head
  for (const position of found.keys()) furthest = Math.max(furthest, position)
  const lost: Array<Lost> = []
  for (let position = head + 1; position <= furthest; position++) {
    const stop = (why: string): LaneLoss => ({
      lane,
      lost,
      count: position - head - 1,
      stop: `position ${position} ${why}`
    })
    const record = found.get(position)
    if (record === undefined) return stop("is not on the topic any more")
    if (record._tag === "Marker") return stop(`was never sent: ${record.reason}`)
    const event = decode(record.type, record.schemaVersion, record.data)
    if (Result.isFailure(event)) return stop(`cannot be read by this release: ${event.failure.detail}`)
    const { eventId, occurredAt, streamId, traceParent, version } = record
    // An event's id is that of its command and its place in it.
    const commandId = eventId.slice(0, Math.max(eventId.lastIndexOf("/"), 0)) || eventId
    const last = lost.at(-1)
    const isSameCommand = last?.commandId === commandId && last.streamId === streamId
    const read = { eventId, event: event.success }
    if (isSameCommand) lost[lost.length - 1] = { ...last, events: [...last.events, read] }
    else lost.push({ streamId, version, commandId, occurredAt, traceParent, events: [read] })
  }
  return { lane, lost, count: furthest - head, stop: null }
}
