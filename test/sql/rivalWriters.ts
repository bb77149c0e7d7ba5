/**
 * Writers that fight over a few streams: each loads a stream, appends one event, and goes on to another. What each
 * was told is counted, so that a test can compare it with what the log holds.
 */
import { Effect, Random, Result } from "effect"
import { decode, isOrderEvent } from "../../src/domain/Event.ts"
import { emptyStream, evolve, type OrderStream } from "../../src/domain/Order.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { parked, placed, step, unparked } from "./storedOrders.ts"

export interface Told {
  readonly appended: number
  readonly duplicates: number
  readonly conflicts: number
}

export const rivalWriter = Effect.fnUntraced(function* (streams: ReadonlyArray<string>, rounds: number) {
  const store = yield* EventStore
  const told = { appended: 0, duplicates: 0, conflicts: 0 }
  for (let round = 0; round < rounds; round++) {
    const orderId = streams[yield* Random.nextIntBetween(0, streams.length - 1)]!
    const stream = yield* current(orderId)
    const next = step(orderId, stream, [
      stream.version === 0 ? placed(orderId) : stream.order.parked ? unparked : parked(`round ${round}`)
    ])
    const outcome = yield* Effect.result(store.append(next.entry))
    if (Result.isSuccess(outcome)) {
      told.appended += 1
      if (outcome.success.duplicate) told.duplicates += 1
    } else if (outcome.failure._tag === "VersionConflict") told.conflicts += 1
    else return yield* Effect.die(outcome.failure)
  }
  const result: Told = told
  return result
})

/** The stream as the log has it, waiting for a store that is away. */
export const current = Effect.fnUntraced(function* (orderId: string) {
  const store = yield* EventStore
  const { events, requestHash } = yield* store.load(orderId).pipe(
    Effect.tapError(() => Effect.sleep(10)),
    Effect.eventually
  )
  let stream: OrderStream = emptyStream
  for (const stored of events) {
    const event = Result.getOrThrow(decode(stored.type, stored.schemaVersion, stored.data))
    stream = {
      ...stream,
      order: isOrderEvent(event) ? evolve(stream.order, event, stored.occurredAt) : stream.order,
      version: stored.version,
      headHash: stored.hash,
      requestHash
    }
  }
  return stream
})

/**
 * Reads every lane from its start, as a relay does, until `done` and nothing is left: positions must be last + 1 (the
 * store dies otherwise) and versions of each stream too. Returns how many events it saw.
 */
export const follow = Effect.fnUntraced(function* (done: () => boolean) {
  const store = yield* EventStore
  const positions = Array.from({ length: store.lanes }, () => 0)
  const versions = new Map<string, number>()
  let seen = 0
  while (true) {
    const wasDone = done()
    let found = 0
    for (let lane = 0; lane < store.lanes; lane++) {
      const events = yield* store.readLane(lane, positions[lane]!, 100).pipe(
        Effect.tapError(() => Effect.sleep(10)),
        Effect.eventually
      )
      for (const event of events) {
        const last = versions.get(event.streamId) ?? 0
        if (event.version !== last + 1) {
          return yield* Effect.die(new Error(`${event.streamId}: version ${event.version} follows ${last}`))
        }
        versions.set(event.streamId, event.version)
        positions[lane] = event.position
      }
      found += events.length
    }
    seen += found
    if (wasDone && found === 0) return seen
  }
})
