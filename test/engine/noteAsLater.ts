/** An event of a type that no release of today knows, behind whatever an order has. */
import { Effect } from "effect"
import { hashOf, type SealedEvent } from "../../src/domain/Envelope.ts"
import type { OrderId } from "../../src/domain/Ids.ts"
import { Blotter } from "../../src/sql/Blotter.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { laterType } from "../../tools/proofs/upgrade/laterRelease.ts"

/** What a later release would have appended behind the order's last event, its row included. */
export const noteAsLater = Effect.fnUntraced(function* (orderId: OrderId) {
  const store = yield* EventStore
  const { events } = yield* store.load(orderId)
  const last = events.at(-1)!
  const row = (yield* (yield* Blotter).find(orderId))!
  const open = {
    eventId: `${orderId}/noted`,
    streamId: orderId,
    version: last.version + 1,
    type: laterType,
    schemaVersion: 1,
    occurredAt: last.occurredAt,
    actor: "client",
    correlationId: last.correlationId,
    causationId: null,
    commandId: `${orderId}/noted`,
    traceParent: null,
    dataText: '{"note":"written by a later release"}',
    previousHash: last.hash
  }
  // Its type is none of ours: that is the point.
  const noted = { ...open, hash: hashOf(open) } as unknown as SealedEvent
  yield* store.append({
    streamId: orderId,
    expected: last.version,
    commandId: open.commandId,
    events: [noted],
    previousHash: last.hash,
    requestHash: null,
    order: { row: { ...row, version: open.version } },
    priority: "engine"
  })
})
