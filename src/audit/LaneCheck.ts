/**
 * One lane from its first position to its last: positions are dense, each event's hash is the hash of its
 * columns, batches join without gap, and each batch's hash is the hash of what it says and holds, chained
 * to the one before (INV-5, INV-6). Memory is bounded by two pages.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { canonicalJson, hashOf } from "../domain/Envelope.ts"
import { laneOf } from "../domain/Ids.ts"
import { totalsFaults } from "../domain/invariants.ts"
import type { ScannedBatch, ScannedEvent, Snapshot } from "../sql/LogScan.ts"
import type { Findings } from "./Findings.ts"
import { makePager } from "./Pager.ts"

export interface LaneSeen {
  readonly batches: number
  readonly events: number
  readonly head: ScannedBatch | null
}

const eventPage = 1_000
const batchPage = 500

export const checkLane = Effect.fnUntraced(function* (snapshot: Snapshot, lane: number, findings: Findings) {
  const events = makePager<ScannedEvent, number>({
    start: 0,
    fetch: (after) => snapshot.eventsOfLane(lane, after, eventPage),
    keyOf: (event) => event.position,
    size: eventPage
  })
  const batches = makePager<ScannedBatch, number>({
    start: 0,
    fetch: (after) => snapshot.batches(lane, after, batchPage),
    keyOf: (batch) => batch.lastPosition,
    size: batchPage
  })
  if (lane < 0 || lane >= snapshot.lanes) {
    findings.add({
      table: "events",
      key: `lane ${lane}`,
      column: "lane",
      expected: `0 to ${snapshot.lanes - 1}`,
      found: `${lane}`
    })
  }
  let previous: ScannedBatch | null = null
  let position = 0
  const seen = { batches: 0, events: 0 }

  const checkEvent = (event: ScannedEvent) => {
    const key = `lane ${lane} position ${event.position}`
    seen.events += 1
    findings.expect("events", key, "position", position + 1, event.position)
    position = event.position
    findings.expect("events", key, "lane", laneOf(event.streamId, snapshot.lanes), event.lane)
    findings.expect("events", key, "hash", hashOfScanned(event), event.hash)
    if (hasOtherNumbers(event.dataText)) {
      findings.add({
        table: "events",
        key,
        column: "data",
        expected: "integers of at most 15 digits, decimals as text",
        found: "a number of another kind"
      })
    }
  }

  while (true) {
    const batch = yield* batches.next
    if (batch === null) break
    seen.batches += 1
    const key = `lane ${lane} last_position ${batch.lastPosition}`
    findings.expect("batches", key, "first_position", (previous?.lastPosition ?? 0) + 1, batch.firstPosition)
    findings.expect("batches", key, "previous_hash", previous?.hash ?? "", batch.previousHash)
    if (previous !== null && batch.recordedAt < previous.recordedAt) {
      findings.add({
        table: "batches",
        key,
        column: "recorded_at",
        expected: `at least ${previous.recordedAt}`,
        found: `${batch.recordedAt}`
      })
    }
    for (const fault of totalsFaults(batch)) {
      findings.add({ table: "batches", key, column: "orders_total", expected: "the sum of its parts", found: fault })
    }
    const hash = startBatchHash(batch)
    while (true) {
      const event = yield* events.peek
      if (event === null || event.position > batch.lastPosition) break
      yield* events.next
      checkEvent(event)
      findings.expect(
        "events",
        `lane ${lane} position ${event.position}`,
        "recorded_at",
        batch.recordedAt,
        event.recordedAt
      )
      hash.update(Buffer.from(event.hash, "hex"))
    }
    if (position !== batch.lastPosition) {
      findings.add({
        table: "batches",
        key,
        column: "last_position",
        expected: `${position}, where the lane's events stop`,
        found: `${batch.lastPosition}`
      })
    }
    findings.expect("batches", key, "hash", hash.digest("hex"), batch.hash)
    previous = batch
  }
  while (true) {
    const event = yield* events.next
    if (event === null) break
    checkEvent(event)
    findings.add({
      table: "events",
      key: `lane ${lane} position ${event.position}`,
      column: "position",
      expected: "a batch that holds it",
      found: "no batch"
    })
  }
  const result: LaneSeen = { ...seen, head: previous }
  return result
})

const hashOfScanned = (event: ScannedEvent): string => {
  const { data, ...rest } = event
  // An edited row may hold anything; what is no object hashes to something else than any event does.
  return hashOf({ ...rest, dataText: canonicalJson(isRecord(data) ? data : { "": data }) })
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const texts = /"(?:[^"\\]|\\.)*"/g

// JavaScript reads 1 and 1.0 as one number, and integers beyond 53 bits as their neighbours, so the hash
// over the parsed data would not tell such an edit. The log holds neither.
const hasOtherNumbers = (dataText: string): boolean => /\.|\d{16}/.test(dataText.replace(texts, ""))

/** As `batch_hash` of schema/0002_log.sql lays it out; the hashes of the events follow. */
const startBatchHash = (batch: ScannedBatch) => {
  const node = Buffer.from(batch.node, "utf8")
  const lane = Buffer.alloc(4)
  lane.writeInt32BE(batch.lane)
  const nodeLength = Buffer.alloc(4)
  nodeLength.writeInt32BE(node.length)
  return createHash("sha256")
    .update(Buffer.from(batch.previousHash, "hex"))
    .update(lane)
    .update(int8s(batch.firstPosition, batch.lastPosition, batch.recordedAt))
    .update(nodeLength)
    .update(node)
    .update(int8s(batch.total, batch.processing, batch.completed, batch.failed, batch.cancelled))
}

const int8s = (...values: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(8 * values.length)
  values.forEach((value, index) => bytes.writeBigInt64BE(BigInt(value), 8 * index))
  return bytes
}
