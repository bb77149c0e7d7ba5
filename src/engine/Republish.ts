/**
 * Sends the log's records of some positions again, for a topic that has lost them: an acknowledgement of Kafka is no
 * promise of its disks, and the log has everything.
 *
 * Works beside the relay that owns the lane. Only what the relay has sent already may be sent again: what comes after
 * the cursor is the relay's to send first, or readers would see an order's later versions before its earlier ones.
 * For readers these are repeats, with the same ids, positions and bodies. An event that the bus refuses leaves its
 * marker again; it was parked when the relay met it.
 */
import { Duration, Effect, Schedule, Schema } from "effect"
import { AppConfig } from "../config.ts"
import type { StoredEvent } from "../domain/Envelope.ts"
import type { Topic } from "../kafka/EventBus.ts"
import { EventBus } from "../kafka/EventBus.ts"
import { toMarker, toRecord } from "../kafka/wire.ts"
import { Cursors } from "../sql/Cursors.ts"
import { EventStore } from "../sql/EventStore.ts"
import { Store } from "../sql/Store.ts"
import { asksForWork } from "./Relay.ts"

/** These positions cannot be sent again. The message says which can. */
export class CannotRepublish extends Schema.TaggedError<CannotRepublish>()("CannotRepublish", {
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** How long one batch may find no Kafka before the command gives up; what it has sent stays sent. */
const patience = Duration.seconds(60)
const pause = Duration.millis(500)

export interface Republished {
  readonly events: number
  readonly orders: number
}

/** Both ends are sent. */
export const republish = Effect.fn("Republish.republish")(function* (range: {
  readonly lane: number
  readonly from: number
  readonly to: number
}) {
  const { from, lane, to } = range
  const { outbox } = yield* AppConfig
  const bus = yield* EventBus
  const events = yield* EventStore
  const store = yield* Store
  if (lane >= events.lanes) {
    return yield* new CannotRepublish({
      detail: `there is no lane ${lane}: this store has lanes 0 to ${events.lanes - 1}`
    })
  }
  if (from > to) return yield* new CannotRepublish({ detail: `position ${from} comes after position ${to}` })
  const sent = yield* (yield* Cursors).position(lane)
  if (to > sent) {
    const detail =
      sent === 0
        ? `nothing of lane ${lane} was sent yet, so nothing of it can be sent again`
        : `lane ${lane} was sent up to position ${sent}: what comes after it the relay sends by itself`
    return yield* new CannotRepublish({ detail })
  }

  const publish = Effect.fnUntraced(function* (topic: Topic, batch: ReadonlyArray<StoredEvent>) {
    const records = batch.map((event) => toRecord(event, store.originOf(event)))
    const attempt: Effect.Effect<void, CannotRepublish> = Effect.suspend(() => bus.publish(topic, lane, records)).pipe(
      Effect.retry({ while: ({ _tag }) => _tag !== "RecordRefused", schedule: backOff }),
      Effect.catchTags({
        RecordRefused: ({ index, reason }) =>
          Effect.suspend(() => {
            records[index] = toMarker(batch[index]!, store.originOf(batch[index]!), reason)
            return attempt
          }),
        BusUnavailable: ({ message }) => stopped(batch, message),
        NoSubscribers: ({ message }) => stopped(batch, message)
      })
    )
    yield* attempt
  })

  let orders = 0
  for (let position = from - 1; position < to;) {
    const batch = yield* events.readLane(lane, position, Math.min(outbox.batch_size, to - position))
    const asking = batch.filter(asksForWork)
    yield* publish("orders", asking)
    yield* publish("events", batch)
    orders += asking.length
    position = batch.at(-1)?.position ?? to
  }
  const report: Republished = { events: to - from + 1, orders }
  return report
})

const backOff = Schedule.spaced(pause).pipe(Schedule.upTo({ duration: patience }))

const stopped = (batch: ReadonlyArray<StoredEvent>, detail: string) =>
  new CannotRepublish({
    detail: `Kafka took nothing from position ${batch[0]?.position ?? 0} on (${detail}): the same command with --from ${batch[0]?.position ?? 0} goes on there`
  })
