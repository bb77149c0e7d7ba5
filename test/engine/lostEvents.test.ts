/** What of a lost log comes back from the bus: exactly what continues it, and nothing behind a hole. */
import { assert, describe, it } from "@effect/vitest"
import { lostEvents } from "../../src/engine/lostEvents.ts"
import type { HistoryRecord } from "../../src/kafka/TopicHistory.ts"

const store = { storeId: "7a3f3c1e-9a2b-4c1d-8e5f-0123456789ab", generation: 2 }

const record = (position: number, over: Partial<HistoryRecord> = {}): HistoryRecord =>
  ({
    _tag: "Event",
    eventId: `command-${position}/0`,
    source: `urn:nexus:store:${store.storeId}`,
    type: "CancelRequested",
    schemaVersion: 1,
    streamId: `order-${position}`,
    version: 2,
    lane: 0,
    position,
    generation: 2,
    firstPosition: 1,
    occurredAt: 1_790_000_000_000,
    traceParent: null,
    data: { reason: "by the client" },
    ...over
  }) as HistoryRecord

const of = (records: ReadonlyArray<HistoryRecord>, head = 4) =>
  lostEvents(records, store, [{ lane: 0, position: head }])[0]!

describe("what was lost comes back", () => {
  it("comes back whole, also where a lane has lost more than a call takes arguments", () => {
    const many = Array.from({ length: 200_000 }, (_, index) => record(index + 1))

    const [loss] = lostEvents(many, store, [{ lane: 0, position: 0 }])

    assert.deepStrictEqual([loss?.count, loss?.stop], [200_000, null])
  })

  it("from the head on, in order, however the topic repeats it", () => {
    const loss = of([record(6), record(5), record(4), record(6), record(7)])

    assert.deepStrictEqual(
      loss.lost.map(({ commandId }) => commandId),
      ["command-5", "command-6", "command-7"]
    )
    assert.deepInclude(loss, { count: 3, stop: null })
  })

  it("with the events of one command together", () => {
    const loss = of([
      record(5, { eventId: "c/0", streamId: "a", version: 3 }),
      record(6, { eventId: "c/1", streamId: "a", version: 4 }),
      record(7, { eventId: "d/0", streamId: "a", version: 5 })
    ])

    assert.deepStrictEqual(
      loss.lost.map(({ commandId, events, version }) => [commandId, version, events.map(({ eventId }) => eventId)]),
      [
        ["c", 3, ["c/0", "c/1"]],
        ["d", 5, ["d/0"]]
      ]
    )
  })

  it("but nothing behind a position that is missing, was never sent, or cannot be read", () => {
    const stops = [
      [record(5), record(7)],
      [record(5), record(6, { _tag: "Marker", reason: "it has 2000000 bytes" } as never), record(7)],
      [record(5), record(6, { type: "FromTheFuture" }), record(7)]
    ].map((records) => of(records))

    assert.deepStrictEqual(
      stops.map(({ count, lost }) => [count, lost.length]),
      [
        [1, 1],
        [1, 1],
        [1, 1]
      ]
    )
    assert.match(stops[0]!.stop ?? "", /^position 6 is not on the topic any more/)
    assert.match(stops[1]!.stop ?? "", /^position 6 was never sent: it has 2000000 bytes/)
    assert.match(stops[2]!.stop ?? "", /^position 6 cannot be read by this release/)
  })

  it("and nothing of another store or generation", () => {
    const loss = of([record(5, { generation: 1 }), record(5, { source: "urn:nexus:store:another" })])

    assert.deepInclude(loss, { count: 0, stop: null })
  })
})
