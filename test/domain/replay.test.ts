/** A stream read back: the same as it was decided, or the first event that this release cannot read. */
import { Result } from "effect"
import { assert, describe, it } from "vitest"
import { seal, type StoredEvent } from "../../src/domain/Envelope.ts"
import type { OrderEvent } from "../../src/domain/Event.ts"
import { emptyStream, evolve } from "../../src/domain/Order.ts"
import { replay } from "../../src/domain/replay.ts"
import { filled, now, placed, started } from "./story.ts"

const provenance = {
  commandId: "command",
  actor: "client",
  correlationId: "command",
  causationId: null,
  traceParent: null
}

const stored = (events: ReadonlyArray<OrderEvent>): ReadonlyArray<StoredEvent> =>
  seal({ streamId: "order-1", version: 0, hash: "" }, events, provenance, now, (index) => `event-${index}`).map(
    ({ dataText, ...event }, index) => ({
      ...event,
      data: JSON.parse(dataText) as Record<string, unknown>,
      lane: 0,
      position: index + 1,
      recordedAt: now
    })
  )

describe("a stream that is read back", () => {
  it("is the order as its events left it, with its head and its commands", () => {
    const events = [placed, started(), filled("1", "1")]
    const log = stored(events)

    const stream = Result.getOrThrow(replay({ events: log, requestHash: "ab" }))

    assert.deepStrictEqual(
      stream.order,
      events.reduce((order, event) => evolve(order, event, now), emptyStream.order)
    )
    assert.strictEqual(stream.version, 3)
    assert.strictEqual(stream.headHash, log[2]!.hash)
    assert.strictEqual(stream.requestHash, "ab")
    assert.deepStrictEqual([...stream.commandIds], ["command"])
  })

  it("names the first event that this release cannot read, and what to do", () => {
    const [first, second, third] = stored([placed, started(), filled("1", "1")])
    const later = { ...second!, type: "OrderAmended" }

    const unread = Result.getOrThrow(Result.flip(replay({ events: [first!, later, third!], requestHash: "" })))

    assert.strictEqual(unread.event, later)
    assert.match(
      unread.why,
      /OrderAmended of schema version 1, version 2 of the order \(unknown type\): run the release/
    )
  })
})
