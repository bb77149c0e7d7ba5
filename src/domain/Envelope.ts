/**
 * An event with all that is recorded about it, and the hash that chains it to its predecessor.
 *
 * The hash covers the canonical JSON (RFC 8785) of the whole envelope except lane, position,
 * recorded_at and itself: those are given under the lane's lock, and the batch hash covers them.
 * Holds INV-6 for streams.
 */
import { createHash } from "node:crypto"
import { Schema } from "effect"
import type { DomainEvent, EventType } from "./Event.ts"
import { encode, OrderRequest, schemaVersion } from "./Event.ts"
import type { EpochMillis } from "./Ids.ts"

/** Who caused an event, and by what. The same for all events of one command. */
export interface Provenance {
  readonly commandId: string
  /** `client`, `engine`, or the name of an operator. */
  readonly actor: string
  readonly correlationId: string
  /** The event or command this followed from; null for a request from outside. */
  readonly causationId: string | null
  /** W3C trace context, or null. */
  readonly traceParent: string | null
}

/** What the writer decides, before the lane gives it a place. */
export interface SealedEvent extends Provenance {
  readonly eventId: string
  readonly streamId: string
  readonly version: number
  readonly type: EventType
  readonly schemaVersion: number
  readonly occurredAt: EpochMillis
  readonly data: Readonly<Record<string, unknown>>
  /** Hex; empty for the first event of a stream. */
  readonly previousHash: string
  /** Hex of sha256. */
  readonly hash: string
}

/** An event as the log holds it. */
export interface StoredEvent extends Omit<SealedEvent, "type"> {
  /** As stored: a newer release may have written a type that this one does not know. */
  readonly type: string
  readonly lane: number
  /** Dense per lane, from 1. */
  readonly position: number
  readonly recordedAt: EpochMillis
}

/**
 * JSON as RFC 8785 writes it: keys sorted by UTF-16 code units, no white space. Numbers here are
 * integers below 2^53 only, which JSON.stringify already writes in canonical form.
 */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  if (typeof value === "object" && value !== null) {
    const record = value as Readonly<Record<string, unknown>>
    const members = Object.keys(record)
      .filter((key) => record[key] !== undefined)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonicalJson(record[key])}`)
    return `{${members.join(",")}}`
  }
  return JSON.stringify(value)
}

/** The hash of an envelope, from its fields alone. */
export const hashOf = (event: Omit<SealedEvent, "hash" | "type"> & { readonly type: string }): string =>
  createHash("sha256")
    .update(
      canonicalJson({
        event_id: event.eventId,
        stream_id: event.streamId,
        version: event.version,
        type: event.type,
        schema_version: event.schemaVersion,
        occurred_at: event.occurredAt,
        actor: event.actor,
        correlation_id: event.correlationId,
        causation_id: event.causationId,
        command_id: event.commandId,
        trace_parent: event.traceParent,
        data: event.data,
        previous_hash: event.previousHash
      })
    )
    .digest("hex")

/** The place in a stream where the next event goes. */
export interface StreamHead {
  readonly streamId: string
  readonly version: number
  /** Hex; empty for a stream without events. */
  readonly hash: string
}

/** Seals what one command decided, as the versions after `head`. */
export const seal = (
  head: StreamHead,
  events: ReadonlyArray<DomainEvent>,
  provenance: Provenance,
  occurredAt: EpochMillis,
  eventIdOf: (index: number) => string
): ReadonlyArray<SealedEvent> => {
  let previousHash = head.hash
  return events.map((event, index) => {
    const open = {
      ...provenance,
      ...encode(event),
      eventId: eventIdOf(index),
      streamId: head.streamId,
      version: head.version + index + 1,
      schemaVersion,
      occurredAt,
      previousHash
    }
    const hash = hashOf(open)
    previousHash = hash
    return { ...open, hash }
  })
}

/** What "same body" means: equal after decoding and defaults. Stands on the stream head beside the events. */
export const requestHashOf = (request: OrderRequest): string =>
  createHash("sha256")
    .update(canonicalJson(encodeRequest(request)))
    .digest("hex")

const encodeRequest = Schema.encodeSync(OrderRequest)
