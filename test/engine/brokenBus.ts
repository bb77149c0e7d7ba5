/** The embedded bus with faults that its tests switch: messages that nobody gets, and a bus that is not there. */
import { Effect, Layer } from "effect"
import * as EmbeddedBus from "../../src/kafka/EmbeddedBus.ts"
import type { BusRecord, Topic } from "../../src/kafka/EventBus.ts"
import { BusUnavailable, EventBus, RecordRefused } from "../../src/kafka/EventBus.ts"

export interface BusFaults {
  /** Messages of this topic are taken and never delivered. */
  loses: Topic | null
  isAway: boolean
  /** A record that this bus will never take. */
  refuses: (topic: Topic, record: BusRecord) => boolean
  /** What was acknowledged, in order. */
  readonly published: Array<{ readonly topic: Topic; readonly lane: number; readonly record: BusRecord }>
}

export const makeBusFaults = (): BusFaults => ({ loses: null, isAway: false, refuses: () => false, published: [] })

export const brokenBus = (faults: BusFaults): Layer.Layer<EventBus> =>
  Layer.effect(
    EventBus,
    Effect.map(EventBus, (bus) =>
      EventBus.of({
        ...bus,
        publish: (topic, lane, records) =>
          Effect.suspend((): ReturnType<typeof bus.publish> => {
            if (faults.isAway) return Effect.fail(new BusUnavailable({ topic, lane, cause: new Error("away") }))
            const index = records.findIndex((record) => faults.refuses(topic, record))
            if (index >= 0) return Effect.fail(new RecordRefused({ topic, lane, index, reason: "too large" }))
            const told = Effect.sync(() => {
              for (const record of records) faults.published.push({ topic, lane, record })
            })
            return faults.loses === topic ? told : Effect.andThen(bus.publish(topic, lane, records), told)
          }),
        health: Effect.sync(() => (faults.isAway ? "away" : null)),
        sending: Effect.sync(() => (faults.isAway ? "away" : null))
      })
    )
  ).pipe(Layer.provide(EmbeddedBus.layer))
