/**
 * The bus within one process, for a machine without Kafka. Keeps nothing: the log is the queue.
 *
 * A publish succeeds when every group has handled each record, in order per topic and lane. "orders"
 * asks for work, so it needs a listener; "events" only tells. A subscriber that leaves while it
 * holds a record has not handled it: its publisher is told, and never waits for somebody gone.
 */
import { Effect, Exit, Fiber, FiberSet, Layer, Semaphore } from "effect"
import { deliver } from "./deliver.ts"
import type { BusRecord, Delivered, SubscribeOptions } from "./EventBus.ts"
import { EventBus, NoSubscribers, type Topic } from "./EventBus.ts"

interface Subscriber {
  readonly group: string
  /** Runs the handler in the subscriber's own scope: it ends with the subscriber, not with a publisher. */
  readonly run: (record: Delivered) => Fiber.Fiber<void>
}

interface Lane {
  readonly turn: Semaphore.Semaphore
  offset: bigint
}

export const layer: Layer.Layer<EventBus> = Layer.effect(
  EventBus,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const subscribers: Record<Topic, Set<Subscriber>> = { orders: new Set(), events: new Set() }
    // One entry per topic and lane in use; owned by publish.
    const lanes = new Map<string, Lane>()

    const laneOf = (topic: Topic, lane: number): Lane => {
      const name = `${topic}/${lane}`
      let found = lanes.get(name)
      if (found === undefined) lanes.set(name, (found = { turn: Semaphore.makeUnsafe(1), offset: 0n }))
      return found
    }

    const memberOf = (topic: Topic, group: string, lane: number): Subscriber | undefined => {
      const members = [...subscribers[topic]].filter((one) => one.group === group)
      return members[lane % members.length]
    }

    /** False when the group has lost its last member before the record was handled. */
    const giveToGroup = Effect.fnUntraced(function* (topic: Topic, group: string, record: Delivered) {
      // Ends: each round either delivers or has seen one more member leave.
      for (;;) {
        const member = memberOf(topic, group, record.lane)
        if (member === undefined) return false
        const exit = yield* Fiber.await(member.run(record))
        if (Exit.isSuccess(exit)) return true
        if (subscribers[topic].has(member)) return yield* exit
      }
    })

    const deliverAll = Effect.fnUntraced(function* (
      topic: Topic,
      lane: number,
      records: ReadonlyArray<BusRecord>,
      state: Lane,
      abandoned: () => boolean
    ) {
      for (const record of records) {
        if (abandoned()) return
        const groups = new Set([...subscribers[topic]].map((one) => one.group))
        if (groups.size === 0) {
          if (topic === "orders") return yield* new NoSubscribers({ topic, lane })
          continue
        }
        const delivered: Delivered = { ...record, lane, offset: String(state.offset++) }
        const handled = yield* Effect.forEach(groups, (group) => giveToGroup(topic, group, delivered), {
          concurrency: "unbounded"
        })
        if (topic === "orders" && handled.includes(false)) return yield* new NoSubscribers({ topic, lane })
      }
    })

    const publish = Effect.fnUntraced(function* (topic: Topic, lane: number, records: ReadonlyArray<BusRecord>) {
      const state = laneOf(topic, lane)
      let abandoned = false
      // In a fiber of the bus: a publisher that is interrupted leaves at once, while the lane stays
      // taken until the record in hand is handled, so that the next batch cannot overtake it.
      const work = yield* Effect.forkIn(
        Semaphore.withPermit(
          state.turn,
          deliverAll(topic, lane, records, state, () => abandoned)
        ),
        scope
      )
      yield* Fiber.join(work).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            abandoned = true
          })
        )
      )
    })

    const subscribe = (options: SubscribeOptions): Effect.Effect<never> =>
      Effect.gen(function* () {
        const places = yield* Semaphore.make(options.concurrency)
        const handle = deliver(options)
        const run = yield* FiberSet.makeRuntime()
        const subscriber: Subscriber = {
          group: options.group,
          run: (record) => run(Semaphore.withPermit(places, handle(record)))
        }
        yield* Effect.acquireRelease(
          Effect.sync(() => subscribers[options.topic].add(subscriber)),
          () => Effect.sync(() => subscribers[options.topic].delete(subscriber))
        )
        return yield* Effect.never
      }).pipe(Effect.scoped)

    return EventBus.of({
      kind: "embedded",
      publish,
      subscribe,
      health: Effect.succeed(null),
      sending: Effect.succeed(null)
    })
  })
)
