/**
 * Takes placed orders to the exchange: messages fill a bounded ready set, workers empty it, and a scan of
 * the log brings back whatever is due. PENDING in the log is the queue; a message is only a hint, so orders
 * flow, slower, while Kafka is away, and a full set or a lost message loses nothing.
 *
 * Per order one worker at a time. Cancels go past the ready set to fibers of their own (CancelDelivery.ts).
 */
import { Cause, Clock, Effect, Layer, Queue, Random } from "effect"
import { createHash } from "node:crypto"
import { AppConfig } from "../config.ts"
import { OrderId } from "../domain/Ids.ts"
import type { Delivered } from "../kafka/EventBus.ts"
import { EventBus } from "../kafka/EventBus.ts"
import { subjectOf, typeOf } from "../kafka/wire.ts"
import type { DueKey } from "../sql/Blotter.ts"
import { Blotter } from "../sql/Blotter.ts"
import { EventStore } from "../sql/EventStore.ts"
import { Replicas } from "../sql/Replicas.ts"
import { Attempt } from "./Attempt.ts"
import { Cancels } from "./Cancels.ts"
import { Engine } from "./Engine.ts"
import { ExchangeCheck } from "./ExchangeCheck.ts"
import { ExecutorLoad } from "./ExecutorLoad.ts"
import { Health } from "./Health.ts"
import { Ownership } from "./Ownership.ts"
import { Supervisor } from "./Supervisor.ts"

// Pages of one scan; the next scan goes on from the front.
const scanPages = 16
// How many lanes' messages are handled side by side; handling is a look into a set.
const messageConcurrency = 4

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { execution, kafka, leases } = yield* AppConfig
    const attempts = yield* Attempt
    const blotter = yield* Blotter
    const bus = yield* EventBus
    const cancels = yield* Cancels
    const check = yield* ExchangeCheck
    const engine = yield* Engine
    const health = yield* Health
    const load = yield* ExecutorLoad
    const { lanes } = yield* EventStore
    const ownership = yield* Ownership
    const replicas = yield* Replicas
    const supervisor = yield* Supervisor

    // Orders that wait for a worker or have one. Owned here.
    const ready = new Set<OrderId>()
    const queue = yield* Queue.unbounded<OrderId>()
    // False: the set is full, or the order stands in it already. Either way the log remembers.
    const makeReady = (orderId: OrderId): boolean => {
      if (ready.has(orderId) || ready.size >= execution.ready_set_size) return false
      ready.add(orderId)
      load.ready = ready.size
      return Queue.offerUnsafe(queue, orderId)
    }

    const onMessage = (record: Delivered) =>
      Effect.suspend(() => {
        const orderId = OrderId.make(subjectOf(record))
        if (typeOf(record) === "CancelRequested") return cancels.want(orderId)
        if (typeOf(record) === "OrderPlaced") makeReady(orderId)
        return supervisor.beat("executor/messages")
      })

    const onPoison = (record: Delivered, cause: Cause.Cause<never>) =>
      Effect.gen(function* () {
        yield* Effect.logError("a message could not be handled", { lane: record.lane, offset: record.offset }, cause)
        yield* Effect.catch(
          engine.tell(OrderId.make(subjectOf(record)), {
            _tag: "ParkOrder",
            at: yield* Clock.currentTimeMillis,
            reason: "its message could not be handled",
            record: JSON.stringify(record)
          }),
          (rejection) => Effect.logWarning("the order could not be parked", rejection)
        )
      })

    const work = (name: string) =>
      Effect.gen(function* () {
        yield* check.passed
        while (true) {
          const orderId = yield* Queue.take(queue)
          // From the signal to stop on nothing new is begun; the order stays PENDING for whoever comes next.
          if (yield* health.draining) return
          yield* Effect.ensuring(
            Effect.andThen(supervisor.beat(name), attempts.make(orderId)),
            Effect.sync(() => {
              ready.delete(orderId)
              load.ready = ready.size
            })
          )
        }
      })

    // Each executor scans only the lanes that hashing over the live executors gives it.
    const myLanes = Effect.gen(function* () {
      const live = yield* replicas.live("executor", leases.ttl_ms)
      const executors = Array.from(new Set([...live, ownership.me]))
      return Array.from({ length: lanes }, (_, lane) => lane).filter(
        (lane) => winnerOf(lane, executors) === ownership.me
      )
    })

    const scan = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const mine = yield* myLanes
      let after: DueKey | null = null
      for (let page = 0; page < scanPages; page++) {
        const { next, rows }: Due = yield* blotter.due({
          lanes: mine,
          now,
          pickupAfterMs: execution.pickup_after_ms,
          limit: execution.due_scan_batch,
          after
        })
        for (const { orderId, staleAt } of rows) {
          // Needs no permit: what is too old ends here also while the exchange is stopped and each worker waits for it.
          if (now >= staleAt) {
            yield* Effect.catch(engine.tell(orderId, { _tag: "ExpireStale", at: now }), (rejection) =>
              Effect.logWarning("a stale order could not be ended", rejection)
            )
          } else if (makeReady(orderId)) load.dueScanHits += 1
        }
        if (next === null) return
        after = next
      }
    })

    const dueScan = Effect.gen(function* () {
      while (true) {
        yield* supervisor.beat("executor/due-scan")
        yield* scan
        yield* Effect.sleep(execution.due_scan_interval_ms * (yield* Random.nextBetween(0.5, 1.5)))
      }
    })

    for (let index = 0; index < execution.workers; index++) {
      const name = `executor/worker-${index}`
      yield* supervisor.supervise(name, work(name))
    }
    yield* supervisor.supervise("executor/due-scan", dueScan)
    yield* supervisor.supervise(
      "executor/messages",
      bus.subscribe({
        topic: "orders",
        group: kafka.consumer_group,
        concurrency: messageConcurrency,
        handle: onMessage,
        onPoison
      })
    )
  })
)

type Due = Effect.Success<ReturnType<Blotter["Service"]["due"]>>

/** Rendezvous hashing: a lane moves only when its executor goes. */
const winnerOf = (lane: number, executors: ReadonlyArray<string>): string =>
  executors.reduce((best, one) => (weight(lane, one) > weight(lane, best) ? one : best))

const weight = (lane: number, executor: string): string =>
  createHash("sha256").update(`${lane}\n${executor}`).digest("hex")
