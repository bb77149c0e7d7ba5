/**
 * The second way of orders and cancels to the exchange: one long-lived connection to its WebSocket API.
 *
 * Connected when the first request asks for it and again after a loss, with a pause that grows while that fails.
 * Replaced, with an overlap, before the exchange cuts it after 24 hours and when it says goodbye: new requests go over
 * the new connection, and the old one closes after its last answer. Silence is probed, and then taken for death.
 */
import { Context, Effect, Fiber, Layer, Queue, Result, Schedule, Scope, Semaphore } from "effect"
import { NotSent, RateLimited } from "./BinanceError.ts"
import type { Restore } from "./RateLimits.ts"
import { RateLimits } from "./RateLimits.ts"
import { notOpen, openLink, type RequestLink } from "./RequestLink.ts"
import type { Line } from "./Transport.ts"

/** The exchange cuts a connection after 24 hours. */
const replaceAfterMillis = 23 * 3_600_000
/** A connection so long without a sign is asked for one; the server's own pings come every 20 s. */
const probeAfterMillis = 5_000
/** Without a sign for so many times that since it was asked, it is dead: no event loop or network holds one back longer. */
const deadAfterProbes = 3
const firstPauseMillis = 250
/** The exchange allows 300 attempts in 5 minutes from one address, for all processes there. */
const longestPauseMillis = 15_000
const connectWeight = 2

export interface OrderSocketOptions {
  readonly wsApiUrl: string
  /** Must be above the exchange's own 10 s, or each slow answer becomes doubt. */
  readonly timeoutMillis: number
  /** Requests in flight at a time; more wait. */
  readonly maxInFlight: number
  readonly replaceAfterMillis?: number
  readonly probeAfterMillis?: number
}

export class OrderSocket extends Context.Service<
  OrderSocket,
  {
    /** Waits for a free place, and for the connection. Called where nothing interrupts; only its waits are `interruptible`. */
    readonly reserve: (interruptible: Restore) => Effect.Effect<Line, NotSent>
  }
>()("nexus/binance/OrderSocket") {
  static readonly layer = (options: OrderSocketOptions): Layer.Layer<OrderSocket, never, RateLimits> =>
    Layer.effect(
      OrderSocket,
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const scope = yield* Scope.Scope
        const slots = Semaphore.makeUnsafe(options.maxInFlight)
        const connecting = Semaphore.makeUnsafe(1)
        // Connections to be replaced while they still work.
        const leaving = yield* Queue.unbounded<RequestLink>()
        const openedAt = new Map<RequestLink, number>()
        const probedAt = new WeakMap<RequestLink, number>()
        const maxAge = options.replaceAfterMillis ?? replaceAfterMillis
        const patience = options.probeAfterMillis ?? probeAfterMillis
        let current: RequestLink | null = null
        // Not tried again before; after a failure.
        let pausedUntil = 0
        let pauseMillis = firstPauseMillis
        let lastFailure: unknown = null
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const link of openedAt.keys()) link.terminate()
          })
        )

        const connect = Effect.gen(function* () {
          if (performance.now() < pausedUntil) return yield* new NotSent({ cause: lastFailure })
          yield* Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(limits.acquire("query", connectWeight, restore), (allowance) =>
              limits.observe(allowance, null)
            )
          )
          const opened = yield* openLink({
            url: options.wsApiUrl,
            timeoutMillis: options.timeoutMillis,
            onGoodbye: (link) => void Queue.offerUnsafe(leaving, link),
            onClosed: (link) => void openedAt.delete(link)
          }).pipe(Effect.result)
          if (Result.isFailure(opened)) {
            lastFailure = opened.failure.cause
            if (lastFailure instanceof RateLimited) yield* limits.obey(lastFailure)
            pausedUntil = performance.now() + pauseMillis
            pauseMillis = Math.min(pauseMillis * 2, longestPauseMillis)
            return yield* opened.failure
          }
          pauseMillis = firstPauseMillis
          // One that has closed by now is not heard of again.
          if (opened.success.isOpen()) openedAt.set(opened.success, performance.now())
          return opened.success
        })

        /** Made by one for all who need it, and for those who come when that one has left. */
        const connected = connecting
          .withPermit(
            Effect.suspend(() =>
              current?.isOpen() === true
                ? Effect.void
                : Effect.map(connect, (link) => {
                    current = link
                  })
            )
          )
          .pipe(Effect.forkIn(scope), Effect.flatMap(Fiber.join))

        const takeSlot = Effect.fnUntraced(function* (interruptible: Restore) {
          while (!(yield* slots.takeIfAvailable(1))) yield* interruptible(slots.withPermit(Effect.void))
        })

        const release = Effect.asVoid(slots.release(1))

        const line: Line = {
          // Whichever is open when it is time to send: the one that was reserved may have been replaced.
          send: (call) => Effect.suspend(() => (current?.isOpen() === true ? current.send(call) : notOpen)),
          release,
          isOpen: () => current?.isOpen() === true
        }

        const reserve = Effect.fnUntraced(function* (interruptible: Restore) {
          yield* takeSlot(interruptible)
          if (current?.isOpen() !== true) yield* Effect.onError(interruptible(connected), () => release)
          return line
        })

        /** The old one serves until the new one is open; when it is gone before, the next request connects. */
        const replace = (old: RequestLink) =>
          connecting
            .withPermit(
              Effect.gen(function* () {
                if (current !== old || !old.isOpen()) return
                current = yield* connect
                old.retire()
              })
            )
            .pipe(
              Effect.retry({ while: () => old.isOpen(), schedule: Schedule.spaced(firstPauseMillis) }),
              Effect.catch((error) => Effect.logWarning("the order connection was not replaced in time", error.message))
            )

        const watch = Effect.sync(() => {
          const now = performance.now()
          for (const [link, opened] of openedAt) {
            if (link === current && now - opened > maxAge) {
              openedAt.set(link, Infinity)
              Queue.offerUnsafe(leaving, link)
            }
            const silent = now - link.heardAt()
            const probed = probedAt.get(link)
            if (probed !== undefined && probed > link.heardAt()) {
              if (now - probed > deadAfterProbes * patience) link.terminate()
            } else if (silent > patience) {
              probedAt.set(link, now)
              link.ping()
            }
          }
        })

        yield* Queue.take(leaving).pipe(Effect.flatMap(replace), Effect.forever, Effect.forkScoped)
        yield* watch.pipe(Effect.andThen(Effect.sleep(Math.min(patience, maxAge))), Effect.forever, Effect.forkScoped)

        return OrderSocket.of({ reserve })
      })
    )
}
