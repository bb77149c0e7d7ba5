/**
 * The exchange's request budget, spent before the exchange has to say no.
 *
 * Windows are aligned to the exchange's clock. What is used comes from the headers of each answer; what is in
 * flight is counted here. Cancels may use all of a window, new orders and refreshes leave some to those above
 * them. Retry-After is obeyed: by new orders alone when only they are too many, else by all traffic.
 * Limits are learnt from the exchange; until then the smallest documented ones hold.
 */
import { Clock, Context, Effect, identity, Layer } from "effect"
import type { RateLimited } from "./BinanceError.ts"
import type { Answer } from "./classify.ts"
import { stopsOrdersOnly } from "./classify.ts"
import type { RateLimit } from "./wire.ts"

/** In order of precedence. */
export type Kind = "cancel" | "query" | "submit" | "refresh"

/** How much of a weight window each kind may fill. */
const shareOf: Readonly<Record<Kind, number>> = { cancel: 1, query: 0.95, submit: 0.8, refresh: 0.6 }

/** How often a waiter looks again; those who look oftener come first when a window opens. */
const lookAgainMillis: Readonly<Record<Kind, number>> = { cancel: 20, query: 50, submit: 100, refresh: 250 }

/** A window of ours begins this much later than the exchange's, for the error of the clock estimate. */
const windowMarginMillis = 100
/** This long into a window an answer may still tell of the one before. */
const oldAnswersMillis = 2_000

const intervalMillis: Readonly<Record<string, number>> = {
  SECOND: 1_000,
  MINUTE: 60_000,
  HOUR: 3_600_000,
  DAY: 86_400_000
}

const documented: ReadonlyArray<RateLimit> = [
  { rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: 6_000 },
  { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: 50 },
  { rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: 160_000 },
  { rateLimitType: "RAW_REQUESTS", interval: "MINUTE", intervalNum: 5, limit: 300_000 }
]

/** One request's place in the budget. Ends with `observe` or `giveBack`, once. */
export interface Allowance {
  readonly kind: Kind
  readonly weight: number
  ended: boolean
}

/** What `Effect.uninterruptibleMask` gives. */
export type Restore = <A, E, R>(wait: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Window {
  readonly type: string
  readonly header: string
  readonly lengthMillis: number
  readonly limit: number
  /** Number of the window since 1970. */
  id: number
  used: number
  /** Granted and not yet answered. */
  pending: number
}

export class RateLimits extends Context.Service<
  RateLimits,
  {
    /**
     * Waits until the request fits, without end: the bound is the caller's. Whoever must not lose the allowance calls
     * it where nothing interrupts, and gives what makes the wait alone interruptible.
     */
    readonly acquire: (kind: Kind, weight: number, interruptible?: Restore) => Effect.Effect<Allowance>
    /** For a request that was not sent. */
    readonly giveBack: (allowance: Allowance) => Effect.Effect<void>
    /** For a request that may have been sent; null: without an answer. */
    readonly observe: (allowance: Allowance, answer: Answer | null) => Effect.Effect<void>
    /** The exchange, or another replica that shares its address, said to stop. */
    readonly obey: (limit: RateLimited) => Effect.Effect<void>
    /** How long a request of this kind and weight would wait now. */
    readonly waitMillis: (kind: Kind, weight: number) => Effect.Effect<number>
    readonly learn: (limits: ReadonlyArray<RateLimit>) => Effect.Effect<void>
    readonly isLearnt: Effect.Effect<boolean>
    /** The exchange's clock less ours, as ServerTime measured it. */
    readonly align: (offsetMillis: number) => Effect.Effect<void>
  }
>()("nexus/binance/RateLimits") {
  static readonly layer = Layer.effect(
    RateLimits,
    Effect.sync(() => {
      let windows = documented.flatMap(windowOf)
      let learnt = false
      let offset = 0
      let blockedUntil = 0
      let ordersBlockedUntil = 0

      /** Milliseconds; 0: the request fits now. */
      const waitAt = (kind: Kind, weight: number, now: number): number => {
        const blocked = kind === "submit" ? Math.max(blockedUntil, ordersBlockedUntil) : blockedUntil
        let wait = Math.max(0, blocked - now)
        const there = now + offset - windowMarginMillis
        for (const window of windows) {
          const cost = costIn(window, kind, weight)
          if (cost === 0) continue
          roll(window, there)
          const taken = window.used + window.pending
          const share = window.type === "REQUEST_WEIGHT" ? shareOf[kind] : 1
          // A window that nobody uses takes any request: else one heavier than its share could never go.
          if (taken + cost <= window.limit * share || taken === 0) continue
          wait = Math.max(wait, (window.id + 1) * window.lengthMillis - there)
        }
        return wait
      }

      const tryAcquire = (kind: Kind, weight: number, now: number): Allowance | null => {
        if (waitAt(kind, weight, now) > 0) return null
        for (const window of windows) window.pending += costIn(window, kind, weight)
        return { kind, weight, ended: false }
      }

      const acquire = Effect.fnUntraced(function* (kind: Kind, weight: number, interruptible: Restore = identity) {
        for (;;) {
          const now = yield* Clock.currentTimeMillis
          const allowance = tryAcquire(kind, weight, now)
          if (allowance !== null) return allowance
          yield* interruptible(Effect.sleep(Math.min(waitAt(kind, weight, now), lookAgainMillis[kind])))
        }
      })

      const end = (allowance: Allowance): boolean => {
        if (allowance.ended) return false
        allowance.ended = true
        for (const window of windows) {
          window.pending = Math.max(0, window.pending - costIn(window, allowance.kind, allowance.weight))
        }
        return true
      }

      const observe = (allowance: Allowance, answer: Answer | null) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (!end(allowance)) return
          const there = now + offset - windowMarginMillis
          for (const window of windows) {
            roll(window, there)
            const header = answer?.headers[window.header]
            if (typeof header === "string" && /^\d{1,12}$/.test(header)) told(window, Number(header), there)
            // Orders are counted only where the exchange took them, and it says so in the header.
            else if (window.type !== "ORDERS" || answer === null) {
              window.used += costIn(window, allowance.kind, allowance.weight)
            }
          }
        })

      return RateLimits.of({
        acquire,
        giveBack: (allowance) => Effect.sync(() => void end(allowance)),
        observe,
        obey: (limit) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const until = now + limit.retryAfterMillis
            if (stopsOrdersOnly(limit)) ordersBlockedUntil = Math.max(ordersBlockedUntil, until)
            else blockedUntil = Math.max(blockedUntil, until)
          }),
        waitMillis: (kind, weight) => Effect.map(Clock.currentTimeMillis, (now) => waitAt(kind, weight, now)),
        learn: (limits) =>
          Effect.sync(() => {
            const fresh = limits.flatMap(windowOf)
            // A limit that stays keeps its count.
            windows = fresh.map((window) => {
              const known = windows.find((one) => one.type === window.type && one.lengthMillis === window.lengthMillis)
              return known === undefined ? window : { ...known, limit: window.limit }
            })
            learnt = true
          }),
        isLearnt: Effect.sync(() => learnt),
        align: (offsetMillis) =>
          Effect.sync(() => {
            offset = offsetMillis
          })
      })
    })
  )
}

const windowOf = (limit: RateLimit): ReadonlyArray<Window> => {
  const unit = intervalMillis[limit.interval]
  if (unit === undefined) return []
  const suffix = `${limit.intervalNum}${limit.interval[0]!.toLowerCase()}`
  const header =
    limit.rateLimitType === "REQUEST_WEIGHT"
      ? `x-mbx-used-weight-${suffix}`
      : limit.rateLimitType === "ORDERS"
        ? `x-mbx-order-count-${suffix}`
        : ""
  const lengthMillis = unit * limit.intervalNum
  return [{ type: limit.rateLimitType, header, lengthMillis, limit: limit.limit, id: 0, used: 0, pending: 0 }]
}

const costIn = (window: Window, kind: Kind, weight: number): number => {
  switch (window.type) {
    case "REQUEST_WEIGHT":
      return weight
    case "ORDERS":
      return kind === "submit" ? 1 : 0
    case "RAW_REQUESTS":
      return 1
    default:
      return 0
  }
}

const roll = (window: Window, there: number): void => {
  const id = Math.floor(there / window.lengthMillis)
  if (id === window.id) return
  window.id = id
  window.used = 0
}

/** Weight only grows within a window, and answers overtake each other; the count of unfilled orders also falls. */
const told = (window: Window, count: number, there: number): void => {
  const isNew = there - window.id * window.lengthMillis < oldAnswersMillis
  window.used = window.type === "ORDERS" || isNew ? count : Math.max(window.used, count)
}
