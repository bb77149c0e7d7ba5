/**
 * The cancels that wait for delivery to the exchange: each order at most once, and one that could not be
 * delivered not before its pause is over. Only a hint, as the ready set is: the request stands in the log,
 * and the Reconciler's sweep brings back whatever is forgotten here.
 */
import { Clock, Context, Effect, Layer, Queue } from "effect"
import type { EpochMillis, OrderId } from "../domain/Ids.ts"

// What does not fit stays in the log, and the sweep brings it back.
const queueSize = 4_096
// Between two deliveries of one cancel, doubling: an exchange that is away, or does not know the order.
const firstPauseMillis = 1_000
const longestPauseMillis = 30_000

interface Pause {
  readonly notBefore: EpochMillis
  readonly millis: number
}

export class Cancels extends Context.Service<
  Cancels,
  {
    /** The order has a cancel to deliver; nothing happens if it stands in line already, or pauses. */
    readonly want: (orderId: OrderId) => Effect.Effect<void>
    /** From here to `release` nobody else takes it: two would ask the exchange twice for one cancel. */
    readonly take: Effect.Effect<OrderId>
    /** Whoever took it is through with it; it stands in line again if it was wanted meanwhile. */
    readonly release: (orderId: OrderId) => Effect.Effect<void>
    /** It was not delivered, or what became of it is not known yet. */
    readonly putOff: (orderId: OrderId) => Effect.Effect<void>
    /** There is nothing to deliver any more. */
    readonly done: (orderId: OrderId) => Effect.Effect<void>
  }
>()("nexus/engine/Cancels") {
  static readonly layer = Layer.effect(
    Cancels,
    Effect.gen(function* () {
      const queue = yield* Queue.dropping<OrderId>(queueSize)
      const inLine = new Set<OrderId>()
      // Of orders that are open and whose cancel failed; an entry goes with the order's end.
      const pauses = new Map<OrderId, Pause>()

      const taken = new Set<OrderId>()
      const wantedMeanwhile = new Set<OrderId>()

      const want = (orderId: OrderId) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (inLine.has(orderId) || (pauses.get(orderId)?.notBefore ?? 0) > now) return
          if (taken.has(orderId)) wantedMeanwhile.add(orderId)
          else if (Queue.offerUnsafe(queue, orderId)) inLine.add(orderId)
        })

      return Cancels.of({
        want,
        take: Effect.tap(Queue.take(queue), (orderId) =>
          Effect.sync(() => {
            inLine.delete(orderId)
            taken.add(orderId)
          })
        ),
        release: (orderId) =>
          Effect.suspend(() => {
            taken.delete(orderId)
            return wantedMeanwhile.delete(orderId) ? want(orderId) : Effect.void
          }),
        putOff: (orderId) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const millis = Math.min((pauses.get(orderId)?.millis ?? firstPauseMillis / 2) * 2, longestPauseMillis)
            pauses.set(orderId, { millis, notBefore: now + millis })
          }),
        done: (orderId) => Effect.sync(() => void pauses.delete(orderId))
      })
    })
  )
}
