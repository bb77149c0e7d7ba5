/**
 * An event with all that is recorded about it, and the hash that chains it to its predecessor.
 *
 * The hash covers the canonical JSON (RFC 8785) of the whole envelope except lane, position,
 * recorded_at and itself: those are given under the lane's lock, and the batch hash covers them.
 * Holds INV-6 for streams.
 */
import { hash } from "node:crypto"
import * as Decimal from "./Decimal.ts"
import type { DomainEvent, EventType, OrderRequest } from "./Event.ts"
import { encode, schemaVersion } from "./Event.ts"
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

interface Envelope extends Provenance {
  readonly eventId: string
  readonly streamId: string
  readonly version: number
  readonly schemaVersion: number
  readonly occurredAt: EpochMillis
  /** Hex; empty for the first event of a stream. */
  readonly previousHash: string
  /** Hex of sha256. */
  readonly hash: string
}

/** What the writer decides, before the lane gives it a place. */
export interface SealedEvent extends Envelope {
  readonly type: EventType
  /** Canonical JSON: what is hashed is what is stored. */
  readonly dataText: string
}

/** An event as the log holds it. */
export interface StoredEvent extends Envelope {
  /** As stored: a newer release may have written a type that this one does not know. */
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
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
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  const record = value as Readonly<Record<string, unknown>>
  let text = ""
  for (const key of Object.keys(record).sort()) {
    const member = record[key]
    if (member === undefined) continue
    text += `${text === "" ? "" : ","}${quoted(key)}:${canonicalJson(member)}`
  }
  return `{${text}}`
}

/**
 * The hash of an envelope, from its fields alone: of its canonical JSON, whose members are written down here in
 * their order, since every event pays for it.
 */
export const hashOf = (event: Omit<Envelope, "hash"> & { readonly type: string; readonly dataText: string }): string =>
  sha256(
    `{"actor":${quoted(event.actor)},"causation_id":${quoted(event.causationId)}` +
      `,"command_id":${quoted(event.commandId)},"correlation_id":${quoted(event.correlationId)}` +
      `,"data":${event.dataText},"event_id":${quoted(event.eventId)},"occurred_at":${event.occurredAt}` +
      `,"previous_hash":${quoted(event.previousHash)},"schema_version":${event.schemaVersion}` +
      `,"stream_id":${quoted(event.streamId)},"trace_parent":${quoted(event.traceParent)}` +
      `,"type":${quoted(event.type)},"version":${event.version}}`
  )

/** Whether an event is what was sealed: an edit of any column but its place is found here, if the hash was left alone. */
export const isAsWritten = (event: StoredEvent): boolean =>
  hashOf({ ...event, dataText: canonicalJson(event.data) }) === event.hash

const quoted = (value: string | null): string => JSON.stringify(value)

const sha256 = (text: string): string => hash("sha256", text, "hex")

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
      type: event._tag,
      dataText: dataTextOf(event),
      eventId: eventIdOf(index),
      streamId: head.streamId,
      version: head.version + index + 1,
      schemaVersion,
      occurredAt,
      previousHash
    }
    previousHash = hashOf(open)
    return { ...open, hash: previousHash }
  })
}

/** The data of an event as canonical JSON; of the one that every order has, its members are written down here in their order. */
const dataTextOf = (event: DomainEvent): string =>
  event._tag === "OrderPlaced"
    ? `{"clientOrderId":${quoted(event.clientOrderId)},"instrumentVersion":${event.instrumentVersion}` +
      `,"request":${requestText(event.request)},"staleAt":${event.staleAt}}`
    : canonicalJson(encode(event).data)

/**
 * What "same body" means: equal after decoding and defaults. Stands on the stream head beside the events. Of the
 * canonical JSON of the request as the log has it.
 */
export const requestHashOf = (request: OrderRequest): string => sha256(requestText(request))

const requestText = (request: OrderRequest): string =>
  `{${given("icebergQuantity", request.icebergQuantity)}"price":${amount(request.price)}` +
  `,"quantity":${amount(request.quantity)},"quoteQuantity":${amount(request.quoteQuantity)},` +
  (request.selfTradePrevention === undefined ? "" : `"selfTradePrevention":${quoted(request.selfTradePrevention)},`) +
  `"side":${quoted(request.side)},${given("stopPrice", request.stopPrice)}` +
  `"symbol":${quoted(request.symbol)},"timeInForce":${quoted(request.timeInForce)}` +
  `,"type":${quoted(request.type)},"validUntil":${request.validUntil}}`

// A key that came later stands only where it is given, so that the hashes of older orders stay what they are.
const given = (name: string, value: Decimal.Decimal | undefined): string =>
  value === undefined ? "" : `"${name}":${amount(value)},`

const amount = (value: Decimal.Decimal | null): string => (value === null ? "null" : `"${Decimal.format(value)}"`)
