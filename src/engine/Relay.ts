/**
 * Log to bus, lane by lane in position order, at least once: the log is the outbox, and one cursor per
 * lane says how far the bus has it.
 *
 * Every event goes to the events topic, and what asks for work (OrderPlaced, CancelRequested) at the same time to the
 * orders topic, so that neither waits for the other; meanwhile what comes next is read. Woken by commits of this
 * process; `outbox.poll_interval_ms` is the safety net. The cursor is fenced by the lane lease's epoch. An event that is
 * not what was written never goes out: the lane waits before it until somebody has put it right.
 */
import { Effect, Layer, Random } from "effect"
import { AppConfig } from "../config.ts"
import { isAsWritten, type StoredEvent } from "../domain/Envelope.ts"
import { accountStream, OrderId } from "../domain/Ids.ts"
import type { Topic } from "../kafka/EventBus.ts"
import { EventBus } from "../kafka/EventBus.ts"
import { toMarker, toRecord } from "../kafka/wire.ts"
import { Cursors } from "../sql/Cursors.ts"
import { EventStore } from "../sql/EventStore.ts"
import type { Lease } from "../sql/Leases.ts"
import { Parked } from "../sql/Parked.ts"
import { Store } from "../sql/Store.ts"
import { LogBroken } from "./Backlog.ts"
import { Engine } from "./Engine.ts"
import { Ownership } from "./Ownership.ts"
import { Supervisor } from "./Supervisor.ts"

/** What asks for work goes to the orders topic besides. */
export const asksForWork = ({ type }: StoredEvent): boolean => type === "OrderPlaced" || type === "CancelRequested"
const publishPauseMillis = 100
const publishPauseMaxMillis = 5_000

export const relayRole = (lane: number) => `relay/${lane}`

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { outbox } = yield* AppConfig
    const bus = yield* EventBus
    const cursors = yield* Cursors
    const engine = yield* Engine
    const ownership = yield* Ownership
    const parked = yield* Parked
    const events = yield* EventStore
    const supervisor = yield* Supervisor
    const store = yield* Store

    // Repeats until the bus has them; a record that can never be sent parks its order, and a marker
    // takes its place, so that readers can still prove that they missed nothing.
    const publish = Effect.fnUntraced(function* (
      name: string,
      topic: Topic,
      lane: number,
      batch: ReadonlyArray<StoredEvent>
    ) {
      const records = batch.map((event) => toRecord(event, store.originOf(event)))
      for (let pause = publishPauseMillis; records.length > 0;) {
        const failure = yield* bus.publish(topic, lane, records).pipe(
          Effect.as(null),
          Effect.catch((error) => Effect.succeed(error))
        )
        if (failure === null) return
        if (failure._tag === "RecordRefused") {
          const event = batch[failure.index]!
          yield* Effect.logError(`an event cannot be sent: ${failure.reason}`, {
            lane,
            position: event.position,
            streamId: event.streamId
          })
          yield* park(topic, event, failure.reason)
          records[failure.index] = toMarker(event, store.originOf(event), failure.reason)
          continue
        }
        yield* supervisor.beat(name)
        yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1)))
        pause = Math.min(pause * 2, publishPauseMaxMillis)
      }
    })

    const park = Effect.fnUntraced(function* (topic: Topic, event: StoredEvent, reason: string) {
      const record = JSON.stringify(event)
      yield* parked.insert({
        consumer: `relay/${topic}`,
        lane: event.lane,
        streamId: event.streamId,
        position: event.position,
        reason,
        record
      })
      if (event.streamId === accountStream) return
      yield* Effect.catch(
        engine.tell(OrderId.make(event.streamId), {
          _tag: "ParkOrder",
          at: event.recordedAt,
          reason,
          record: event.eventId
        }),
        (rejection) => Effect.logWarning("the order could not be parked", rejection)
      )
    })

    const readAfter = (lane: number, position: number) => events.readLane(lane, position, outbox.batch_size)

    const relay = (lane: number) => (lease: Lease) =>
      Effect.gen(function* () {
        const name = relayRole(lane)
        let position = yield* cursors.position(lane)
        let read = yield* readAfter(lane, position)
        while (true) {
          yield* supervisor.beat(name)
          const broken = read.find((event) => !isAsWritten(event))
          const batch = broken === undefined ? read : read.slice(0, read.indexOf(broken))
          const last = batch.at(-1)
          // What was committed since the read has left its signal, so a batch that is not full was all there was.
          const isFull = batch.length === outbox.batch_size
          let ahead: typeof read | null = null
          if (last !== undefined) {
            const sent = Effect.all(
              [publish(name, "orders", lane, batch.filter(asksForWork)), publish(name, "events", lane, batch)],
              { concurrency: "unbounded", discard: true }
            )
            const next = isFull ? readAfter(lane, last.position) : Effect.succeed(null)
            ;[, ahead] = yield* Effect.all([sent, next], { concurrency: "unbounded" })
            yield* cursors.advance(lease, lane, position, last)
            position = last.position
          }
          if (broken !== undefined) return yield* new LogBroken({ lane, position: broken.position })
          if (ahead === null) yield* Effect.timeoutOption(events.committed(lane), outbox.poll_interval_ms)
          read = ahead ?? (yield* readAfter(lane, position))
        }
      }).pipe(
        // Somebody else owns the lane: this run is over, and what comes next comes under another lease.
        Effect.catchTag("LostLease", (lost) => Effect.logInfo(lost.message))
      )

    yield* Effect.forEach(
      Array.from({ length: events.lanes }, (_, lane) => lane),
      (lane) => ownership.own(relayRole(lane), relay(lane), bus.sending),
      { discard: true }
    )
  })
)
