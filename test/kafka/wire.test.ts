import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { StoredEvent } from "../../src/domain/Envelope.ts"
import { fromRecord, toMarker, toRecord } from "../../src/kafka/wire.ts"

const origin = { storeId: "7a3f3c1e-9a2b-4c1d-8e5f-0123456789ab", generation: 2, firstPosition: 40 }

const event: StoredEvent = {
  eventId: "0198f0c4-0000-7000-8000-000000000001",
  streamId: "order-1",
  version: 3,
  lane: 1,
  position: 42,
  type: "OrderFilled",
  schemaVersion: 1,
  occurredAt: 1_790_000_000_123,
  recordedAt: 1_790_000_000_456,
  actor: "engine",
  commandId: "c-1",
  correlationId: "r-1",
  causationId: null,
  traceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  previousHash: "aa",
  hash: "bb",
  data: { tradeId: "9", price: "61234.10", quantity: "0.00100000", note: "ü \u2028" }
}

describe("an event on the wire", () => {
  it("is a CloudEvent in binary mode with the stream as its key and the data alone as its value", () => {
    const record = toRecord(event, origin)

    assert.strictEqual(record.key, "order-1")
    assert.deepStrictEqual(JSON.parse(record.value), event.data)
    assert.deepStrictEqual(record.headers, {
      "content-type": "application/json",
      ce_specversion: "1.0",
      ce_id: "0198f0c4-0000-7000-8000-000000000001",
      ce_source: "urn:nexus:store:7a3f3c1e-9a2b-4c1d-8e5f-0123456789ab",
      ce_type: "nexus.OrderFilled",
      ce_time: "2026-09-21T14:13:20.123Z",
      ce_subject: "order-1",
      ce_sequence: "3",
      ce_lane: "1",
      ce_position: "42",
      ce_generation: "2",
      ce_generationstart: "40",
      ce_dataschema: "urn:nexus:event:OrderFilled:1",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    })
  })

  it("comes back with everything that a consumer needs to dedupe, order and prove completeness", () => {
    assert.deepStrictEqual(Result.getOrThrow(fromRecord(toRecord(event, origin))), {
      _tag: "Event",
      eventId: event.eventId,
      source: "urn:nexus:store:7a3f3c1e-9a2b-4c1d-8e5f-0123456789ab",
      type: "OrderFilled",
      schemaVersion: 1,
      streamId: "order-1",
      version: 3,
      lane: 1,
      position: 42,
      generation: 2,
      firstPosition: 40,
      occurredAt: 1_790_000_000_123,
      traceParent: event.traceParent,
      data: event.data
    })
  })

  it("has no traceparent header when it was not traced", () => {
    const record = toRecord({ ...event, traceParent: null }, origin)

    assert.notProperty(record.headers, "traceparent")
    assert.isNull(Result.getOrThrow(fromRecord(record)).traceParent)
  })

  it("that cannot be sent leaves a small marker at its lane and position", () => {
    const huge = { ...event, data: { text: "x".repeat(2_000_000) } }

    const marker = toMarker(huge, origin, "it has 2000000 bytes")

    const read = Result.getOrThrow(fromRecord(marker))
    assert.strictEqual(marker.headers["ce_type"], "nexus.Skipped")
    assert.isBelow(marker.value.length, 2_000)
    assert.deepInclude(read, {
      _tag: "Marker",
      lane: 1,
      position: 42,
      type: "OrderFilled",
      reason: "it has 2000000 bytes"
    })
  })

  it("of a type that this release does not know still comes back", () => {
    const read = Result.getOrThrow(fromRecord(toRecord({ ...event, type: "FromTheFuture", schemaVersion: 9 }, origin)))

    assert.deepInclude(read, { _tag: "Event", type: "FromTheFuture", schemaVersion: 9 })
  })

  const damaged: ReadonlyArray<
    readonly [string, (headers: Record<string, string>) => Record<string, string> | string]
  > = [
    ["no headers", () => ({})],
    ["another specversion", (headers) => ({ ...headers, ce_specversion: "0.3" })],
    ["a position that is no number", (headers) => ({ ...headers, ce_position: "4x" })],
    ["an empty version", (headers) => ({ ...headers, ce_sequence: "" })],
    ["a foreign type", (headers) => ({ ...headers, ce_type: "com.example.thing" })],
    ["a value that is no JSON", () => "{"]
  ]
  it.each(damaged)("with %s is called unreadable, and never half read", (_, damage) => {
    const record = toRecord(event, origin)
    const damagedPart = damage({ ...record.headers })

    const read = fromRecord(
      typeof damagedPart === "string" ? { ...record, value: damagedPart } : { ...record, headers: damagedPart }
    )

    assert.isTrue(Result.isFailure(read))
  })
})
