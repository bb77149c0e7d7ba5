/**
 * Events as CloudEvents 1.0 in binary mode: the envelope in headers, the event's data as the JSON value.
 *
 * A reader of the events topic dedupes and proves completeness with one integer per lane: positions
 * (`ce_position`) are dense from where their generation begins in the lane (`ce_generationstart`; 1 where it is absent),
 * and what earlier generations have from there on is void. A position that cannot be sent leaves a marker in its place.
 * What a later release adds as headers is ignored here; what is missing makes a record unreadable.
 */
import { Result, Schema } from "effect"
import type { StoredEvent } from "../domain/Envelope.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import type { BusRecord } from "./EventBus.ts"

/** The store that an event comes from. */
export interface Origin {
  readonly storeId: string
  /** Raised when a restore lost events: positions are issued again, and mean other events. */
  readonly generation: number
  /** Of the generation in the event's lane; 1 unless given. What earlier ones have from there on is void. */
  readonly firstPosition?: number
}

/** What a consumer of the bus knows of an event. The hash chain stays in the log. */
export interface EventRecord {
  readonly _tag: "Event"
  readonly eventId: string
  /** Of the store, as a URI. */
  readonly source: string
  readonly type: string
  readonly schemaVersion: number
  readonly streamId: string
  readonly version: number
  readonly lane: number
  readonly position: number
  readonly generation: number
  /** Where the generation begins in the lane. */
  readonly firstPosition: number
  readonly occurredAt: EpochMillis
  readonly traceParent: string | null
  readonly data: unknown
}

/** Stands where an event could not be sent: nothing is missing here, look into the log. */
export interface MarkerRecord extends Omit<EventRecord, "_tag" | "data"> {
  readonly _tag: "Marker"
  readonly reason: string
}

/** Not a record of ours, or one whose envelope is damaged. */
export class UnreadableRecord extends Schema.TaggedError<UnreadableRecord>()("UnreadableRecord", {
  detail: Schema.String
}) {
  override get message(): string {
    return `a record on the bus is not one of ours: ${this.detail}`
  }
}

const typePrefix = "nexus."
const skipped = "Skipped"

export const toRecord = (event: StoredEvent, origin: Origin): BusRecord => ({
  key: event.streamId,
  value: JSON.stringify(event.data),
  headers: headersOf(event, origin, event.type)
})

/** For an event that the bus will never take. Small, whatever the event was. */
export const toMarker = (event: StoredEvent, origin: Origin, reason: string): BusRecord => ({
  key: event.streamId,
  value: JSON.stringify({ type: event.type, reason: reason.slice(0, longestReason) }),
  headers: headersOf(event, origin, skipped)
})

const longestReason = 1_000

const headersOf = (event: StoredEvent, origin: Origin, type: string): Readonly<Record<string, string>> => {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    ce_specversion: "1.0",
    ce_id: event.eventId,
    ce_source: `urn:nexus:store:${origin.storeId}`,
    ce_type: typePrefix + type,
    ce_time: new Date(event.occurredAt).toISOString(),
    ce_subject: event.streamId,
    ce_sequence: String(event.version),
    ce_lane: String(event.lane),
    ce_position: String(event.position),
    ce_generation: String(origin.generation),
    ce_dataschema: `urn:nexus:event:${event.type}:${event.schemaVersion}`
  }
  if (origin.firstPosition !== undefined && origin.firstPosition > 1) {
    headers["ce_generationstart"] = String(origin.firstPosition)
  }
  if (event.traceParent !== null) headers["traceparent"] = event.traceParent
  return headers
}

const Count = Schema.String.check(Schema.isPattern(/^\d{1,15}$/u)).pipe(Schema.decodeTo(Schema.FiniteFromString))

// The patterns have the flag u: without it they do not come into the published schema.
/** Of every record. Published for readers, beside the schemas of the events. */
export const Headers = Schema.Struct({
  ce_specversion: Schema.Literal("1.0"),
  ce_id: Schema.NonEmptyString,
  ce_source: Schema.NonEmptyString,
  ce_type: Schema.String.check(Schema.isPattern(/^nexus\.\w+$/u)),
  ce_time: Schema.String.check(Schema.isPattern(/^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u)),
  ce_subject: Schema.NonEmptyString,
  ce_sequence: Count,
  ce_lane: Count,
  ce_position: Count,
  ce_generation: Count,
  ce_generationstart: Schema.optionalKey(Count),
  ce_dataschema: Schema.String.check(Schema.isPattern(/^urn:nexus:event:\w+:\d{1,9}$/u)),
  traceparent: Schema.optionalKey(Schema.String)
})

/** The value of a marker: the type of the event that is not here, and why. */
export const MarkerData = Schema.Struct({ type: Schema.String, reason: Schema.String })

const decodeHeaders = Schema.decodeUnknownResult(Headers)
const decodeJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Unknown))
const decodeMarker = Schema.decodeUnknownResult(MarkerData)

/** The way back. Total: whatever stands on the topic gives a record or says what is wrong with it. */
export const fromRecord = (record: BusRecord): Result.Result<EventRecord | MarkerRecord, UnreadableRecord> =>
  Result.mapError(
    Result.gen(function* () {
      const headers = yield* decodeHeaders(record.headers)
      const value = yield* decodeJson(record.value)
      const envelope = {
        eventId: headers.ce_id,
        source: headers.ce_source,
        schemaVersion: Number(headers.ce_dataschema.slice(headers.ce_dataschema.lastIndexOf(":") + 1)),
        streamId: headers.ce_subject,
        version: headers.ce_sequence,
        lane: headers.ce_lane,
        position: headers.ce_position,
        generation: headers.ce_generation,
        firstPosition: headers.ce_generationstart ?? 1,
        occurredAt: Date.parse(headers.ce_time),
        traceParent: headers.traceparent ?? null
      }
      const type = headers.ce_type.slice(typePrefix.length)
      if (type !== skipped) return { ...envelope, _tag: "Event" as const, type, data: value }
      return { ...envelope, _tag: "Marker" as const, ...(yield* decodeMarker(value)) }
    }),
    (error) => new UnreadableRecord({ detail: error.message })
  )

/** The event's name without reading further, for who only dispatches; empty when it is not one of ours. */
export const typeOf = (record: BusRecord): string => {
  const type = record.headers["ce_type"] ?? ""
  return type.startsWith(typePrefix) ? type.slice(typePrefix.length) : ""
}

/** The stream that the record speaks of. */
export const subjectOf = (record: BusRecord): string => record.headers["ce_subject"] ?? record.key
