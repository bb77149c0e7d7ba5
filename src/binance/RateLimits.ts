/**
 * The exchange's request budget, spent before the exchange has to say no.
 *
 * Windows are aligned to the exchange's clock. What is used comes from the headers of each answer; what is in
 * flight is counted here. Who waits is served in order of precedence, then of arrival; a fifth of each window is kept
 * for cancels and reconciliation. Retry-After is obeyed: by new orders alone when only they are too many, else by all
 * traffic. Limits are learnt from the exchange; until then the smallest documented ones hold.
 *
 * Alone, a process spends the whole budget. Sharing it, it spends shares that it takes in advance through the port
 * `BudgetShares`, so that no request waits for a database, and stops while the port has not answered for long.
 */
import { Cause, Clock, Context, Deferred, Effect, identity, Latch, Layer } from "effect"
import type { RateLimited } from "./BinanceError.ts"
import type { Ask, Stops } from "./BudgetShares.ts"
import { BudgetShares } from "./BudgetShares.ts"
import type { Answer } from "./classify.ts"
import { stopsOrdersOnly } from "./classify.ts"
import type { ExchangeTime, Kind, Outcome, Verdict, Window } from "./Window.ts"
import * as Budget from "./Window.ts"
import { kinds } from "./Window.ts"
import type { Waiting } from "./WindowReport.ts"
import * as Report from "./WindowReport.ts"
import type { RateLimit } from "./wire.ts"

export type { Kind } from "./Window.ts"

/** A waiter is woken as soon as something changes; this long it waits at most before it looks again by itself. */
const lookAgainMillis = 250
/** A window of ours begins this much later than the exchange's until its clock was measured, then by the error bound. */
const unmeasuredMarginMillis = 100
/** An error bound beyond this says that the clock was not measured for long: a window is not moved further. */
const maxMarginMillis = 1_000

/** A share is asked for, and stops of others are heard of, at least so often. */
const exchangeMillis = 250
/** Who lacks a share asks at once, but not oftener than this. */
const hungryMillis = 20
/** When all is handed out, shares given back by others are looked for so often. */
const exhaustedMillis = 100
/** Nothing has changed: no report, but for this sign of life. */
const idleMillis = 2_000
/** The share of the window to come is taken so long before it begins. */
const aheadMillis = 500
/** No answer of the port for so long: nothing of the share is spent any more, as it may have been handed to others. */
const trustMillis = 5_000
const portTimeoutMillis = 2_000
/** Bans whose ends are no further apart are one: Retry-After is in whole seconds. */
const sameBanMillis = 2_000

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
  /** On the exchange's clock. */
  readonly permittedAt: number
  ended: boolean
}

/** What `Effect.uninterruptibleMask` gives. */
export type Restore = <A, E, R>(wait: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Waiter {
  readonly kind: Kind
  readonly weight: number
  readonly granted: Deferred.Deferred<Allowance>
  allowance: Allowance | null
}

/** One limit of the exchange, as it stands. */
export interface LimitState {
  /** Such as "ORDERS/10000": what is limited, and the window's length in milliseconds. */
  readonly name: string
  readonly limit: number
  /** Used, in flight, or held by other replicas. */
  readonly taken: number
  readonly endsInMillis: number
}

export interface Forecast {
  /** How long the next request of each kind, of weight 1, would wait. */
  readonly waitMillis: Readonly<Record<Kind, number>>
  /** The exchange wants to hear nothing of us for so long. */
  readonly stoppedMillis: number
  /** The same for new orders alone. */
  readonly ordersStoppedMillis: number
  readonly limits: ReadonlyArray<LimitState>
  /** Since a share was had last; null: this process has the budget for itself. */
  readonly shareAgeMillis: number | null
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
    /** The exchange said to stop. Told to the other replicas at once. */
    readonly obey: (limit: RateLimited) => Effect.Effect<void>
    /** How long the exchange wants no request of this kind, however much budget is left; 0: it may go. */
    readonly stoppedMillis: (kind: Kind) => Effect.Effect<number>
    /** How long a request of this kind and weight would wait now, behind those who wait already. */
    readonly waitMillis: (kind: Kind, weight: number) => Effect.Effect<number>
    readonly forecast: Effect.Effect<Forecast>
    readonly learn: (limits: ReadonlyArray<RateLimit>) => Effect.Effect<void>
    readonly isLearnt: Effect.Effect<boolean>
    /** The exchange's clock now, how wrong that may be, and how fast it becomes wronger, as ServerTime measured it. */
    readonly align: (measured: {
      readonly now: number
      readonly errorMillis: number
      readonly driftPerMilli: number
    }) => Effect.Effect<void>
  }
>()("nexus/binance/RateLimits") {
  /** The whole budget is this process's own. */
  static readonly layer = Layer.effect(
    RateLimits,
    Effect.map(make(false), ({ service }) => service)
  )

  /** The budget is shared through the port; at the end the share is given back. */
  static readonly sharedLayer = Layer.effect(
    RateLimits,
    Effect.gen(function* () {
      const { keepShares, service } = yield* make(true)
      yield* keepShares(yield* BudgetShares)
      return service
    })
  )
}

function make(isShared: boolean) {
  return Effect.sync(() => {
    // All of this is owned here; no step below is interrupted between its reads and writes.
    let windows = documented.flatMap((limit) => Budget.windowOf(limit, isShared, false))
    let learnt = false
    // Null: not measured, our own clock counts.
    let clock: Aligned | null = null
    let lastThere = Number.NEGATIVE_INFINITY
    let stoppedUntil = 0
    let ordersStoppedUntil = 0
    // Not yet told to the other replicas.
    let news = false
    let sharedAt = Number.NEGATIVE_INFINITY
    // Somebody could be served if only our share were greater.
    let lacksShare = false
    const hungry = Latch.makeUnsafe()
    const queues: Readonly<Record<Kind, Set<Waiter>>> = {
      cancel: new Set(),
      query: new Set(),
      submit: new Set(),
      refresh: new Set()
    }

    const moment = Effect.clockWith((own) =>
      Effect.sync((): Moment => {
        const here = Number(own.monotonicTimeNanosUnsafe()) / 1e6
        const margin =
          clock === null
            ? unmeasuredMarginMillis
            : Math.min(clock.errorMillis + (here - clock.at) * clock.driftPerMilli, maxMarginMillis)
        const middle = clock === null ? own.currentTimeMillisUnsafe() : here + clock.ahead
        // A new measurement may be worse than the last one, whose bound holds as well: no window comes back for that.
        const isSetBack = lastThere - (middle - margin) >= 2 * maxMarginMillis
        lastThere = isSetBack ? middle - margin : Math.max(lastThere, middle - margin)
        return { here, there: lastThere, latest: middle + margin }
      })
    )

    const stopFor = (kind: Kind, here: number): number =>
      Math.max(0, (kind === "submit" ? Math.max(stoppedUntil, ordersStoppedUntil) : stoppedUntil) - here)

    const rollAll = ({ there }: Moment) => {
      for (const window of windows) Budget.roll(window, there)
    }

    /** What holds a request back that is next in line. Windows have been rolled. */
    const obstacleFor = (kind: Kind, weight: number, now: Moment): Obstacle | null => {
      const { here } = now
      let found: Obstacle | null = null
      if (stopFor(kind, here) > 0) found = { verdict: "full", ordersOnly: here >= stoppedUntil }
      const isStale = isShared && here - sharedAt > trustMillis
      for (const window of windows) {
        const cost = Budget.costIn(window, kind, weight)
        if (cost === 0) continue
        const verdict: Verdict = isStale ? "share" : Budget.verdict(window, kind, cost, now)
        if (verdict === "fits") continue
        const ordersOnly = window.type === "ORDERS" && !isStale && (found?.ordersOnly ?? true)
        found = { verdict: found?.verdict === "full" ? "full" : verdict, ordersOnly }
      }
      if (found?.verdict === "share") lacksShare = true
      return found
    }

    const permit = (kind: Kind, weight: number, { there }: Moment): Allowance => {
      for (const window of windows) Budget.permit(window, kind, Budget.costIn(window, kind, weight))
      return { kind, weight, permittedAt: there, ended: false }
    }

    /** Takes out of the queues whoever can be served: one that is held back holds back all below, but for orders' own limit. */
    const serve = (now: Moment): ReadonlyArray<Waiter> => {
      const served: Array<Waiter> = []
      for (const kind of kinds) {
        for (const waiter of queues[kind]) {
          const obstacle = obstacleFor(kind, waiter.weight, now)
          if (obstacle !== null) {
            if (!obstacle.ordersOnly) return served
            break
          }
          queues[kind].delete(waiter)
          waiter.allowance = permit(kind, waiter.weight, now)
          served.push(waiter)
        }
      }
      return served
    }

    // Whoever is woken goes on at once, and may come here again: so only when all is settled.
    const dispatch = (now: Moment): void => {
      rollAll(now)
      for (const { allowance, granted } of serve(now)) Deferred.doneUnsafe(granted, Effect.succeed(allowance!))
      if (lacksShare) hungry.openUnsafe()
    }

    /** Until a window opens or a stop ends; at most until it is time to look again anyway. */
    const untilChange = (kind: Kind, { here, there }: Moment): number => {
      const stopped = stopFor(kind, here)
      const opens = windows.map((window) => (window.id + 1) * window.lengthMillis - there)
      return Math.max(1, Math.min(lookAgainMillis, ...opens, ...(stopped > 0 ? [stopped] : [])))
    }

    const isFirst = (kind: Kind): boolean => {
      for (const above of kinds) {
        if (queues[above].size > 0) return false
        if (above === kind) return true
      }
      return true
    }

    const waitFor = Effect.fnUntraced(function* (waiter: Waiter) {
      for (;;) {
        const now = yield* moment
        dispatch(now)
        if (waiter.allowance !== null) return waiter.allowance
        yield* Effect.timeoutOption(Deferred.await(waiter.granted), untilChange(waiter.kind, now))
      }
    })

    const acquire = Effect.fnUntraced(function* (kind: Kind, weight: number, interruptible: Restore = identity) {
      const now = yield* moment
      rollAll(now)
      if (isFirst(kind) && obstacleFor(kind, weight, now) === null) return permit(kind, weight, now)
      const waiter: Waiter = { kind, weight, allowance: null, granted: Deferred.makeUnsafe() }
      queues[kind].add(waiter)
      return yield* Effect.onInterrupt(interruptible(waitFor(waiter)), () =>
        Effect.suspend(() => {
          queues[kind].delete(waiter)
          return waiter.allowance === null ? Effect.void : giveBack(waiter.allowance)
        })
      )
    })

    const end = Effect.fnUntraced(function* (allowance: Allowance, outcomeIn: (window: Window) => Outcome) {
      if (allowance.ended) return
      allowance.ended = true
      const now = yield* moment
      rollAll(now)
      for (const window of windows) {
        const cost = Budget.costIn(window, allowance.kind, allowance.weight)
        if (cost > 0) Budget.settle(window, cost, allowance.permittedAt, now, outcomeIn(window))
      }
      if (kinds.some((kind) => queues[kind].size > 0)) dispatch(now)
    })

    const giveBack = (allowance: Allowance) => end(allowance, () => notSent)

    const observe = (allowance: Allowance, answer: Answer | null) =>
      end(allowance, (window) => {
        if (answer === null) return lost
        const header = window.header === "" ? undefined : answer.headers[window.header]
        return typeof header === "string" && /^\d{1,12}$/.test(header)
          ? { _tag: "Told", count: Number(header) }
          : answered
      })

    /** Costs of all who come before a new request of this kind. */
    const aheadOf = (window: Window, kind: Kind): number => {
      let sum = 0
      for (const above of kinds) {
        for (const waiter of queues[above]) sum += Budget.costIn(window, above, waiter.weight)
        if (above === kind) break
      }
      return sum
    }

    const waitAt = (kind: Kind, weight: number, { here, there }: Moment): number => {
      let wait = stopFor(kind, here)
      for (const window of windows) {
        const cost = Budget.costIn(window, kind, weight)
        if (cost === 0) continue
        wait = Math.max(wait, Budget.waitIn(window, kind, cost, aheadOf(window, kind), there))
      }
      return wait
    }

    const stop = (kind: "all" | "orders", until: number) => {
      if (kind === "all") stoppedUntil = Math.max(stoppedUntil, until)
      else ordersStoppedUntil = Math.max(ordersStoppedUntil, until)
    }

    const waiting = (window: Window): Waiting => {
      const cost = { cancel: 0, query: 0, submit: 0, refresh: 0 }
      const heaviest = { cancel: 0, query: 0, submit: 0, refresh: 0 }
      for (const kind of kinds) {
        for (const waiter of queues[kind]) {
          const one = Budget.costIn(window, kind, waiter.weight)
          cost[kind] += one
          heaviest[kind] = Math.max(heaviest[kind], one)
        }
      }
      return { cost, heaviest }
    }

    let reportedAt = Number.NEGATIVE_INFINITY
    let reported = ""

    /** What to ask the port for; nothing when nothing has changed since the last report. */
    const asksAt = (now: Moment): ReadonlyArray<Ask> => {
      rollAll(now)
      const { here, latest, there } = now
      const isDue = (window: Window) => (window.id + 1) * window.lengthMillis - latest < aheadMillis
      const state = windows.map((window) => `${window.id}${isDue(window) ? "+" : ""}`).join(" ")
      const isIdle =
        kinds.every((kind) => queues[kind].size === 0) &&
        windows.every(
          ({ pending, share }) => pending === 0 && (share === null || (share.spent === 0 && share.told === null))
        )
      if (isIdle && state === reported && here - reportedAt < idleMillis) return []
      const elapsed = here - reportedAt
      reported = state
      reportedAt = here
      return windows.flatMap((window) => {
        Report.measure(window, Math.min(elapsed, idleMillis))
        const wanted = waiting(window)
        const asks = [Report.ask(window, wanted, there), isDue(window) ? Report.askNext(window, wanted) : null]
        return asks.filter((ask) => ask !== null)
      })
    }

    const windowNamed = (name: string) => windows.find((window) => window.name === name)

    /** How long the exchange wants to hear nothing, if that is news to the other replicas. */
    const takeNews = ({ here }: Moment): Stops => {
      const isNews = news
      news = false
      return {
        allMillis: isNews ? Math.max(0, stoppedUntil - here) : 0,
        ordersMillis: isNews ? Math.max(0, ordersStoppedUntil - here) : 0
      }
    }

    /** One exchange with the port; true when somebody waits for a share that is to be had. */
    const exchangeShares = Effect.fnUntraced(function* (port: BudgetShares["Service"]) {
      const before = yield* moment
      hungry.closeUnsafe()
      lacksShare = false
      const asks = asksAt(before)
      const stops = takeNews(before)
      const answer = yield* port.exchange(asks, stops).pipe(
        Effect.timeout(portTimeoutMillis),
        // Also when this process ends meanwhile: its last report is still to come.
        Effect.onError(() =>
          Effect.sync(() => {
            news ||= stops.allMillis > 0 || stops.ordersMillis > 0
            for (const ask of asks) {
              const window = windowNamed(ask.name)
              if (window !== undefined) Report.tellAgain(window, ask)
            }
          })
        )
      )
      const after = yield* moment
      if (answer.stops.allMillis > 0) stop("all", after.here + answer.stops.allMillis)
      if (answer.stops.ordersMillis > 0) stop("orders", after.here + answer.stops.ordersMillis)
      rollAll(after)
      for (const granted of answer.granted) {
        const window = windowNamed(granted.name)
        if (window !== undefined) Report.receive(window, granted)
      }
      // Counted from before the question: others may be handed our share only so long after it.
      sharedAt = before.here
      dispatch(after)
      const wanted = asks.reduce((sum, { wants }) => sum + wants.reduce((all, { amount }) => all + amount, 0), 0)
      return wanted <= answer.granted.reduce((sum, { granted }) => sum + granted, 0)
    })

    const keepShares = Effect.fnUntraced(function* (port: BudgetShares["Service"]) {
      const loop = Effect.gen(function* () {
        for (;;) {
          const isEnough = yield* exchangeShares(port).pipe(
            Effect.catch((error) => Effect.as(Effect.logDebug("no share of the exchange's budget", error), false)),
            Effect.catchCause((cause) =>
              Cause.hasDies(cause)
                ? Effect.as(Effect.logError("sharing the exchange's budget failed with a defect", cause), false)
                : Effect.failCause(cause)
            )
          )
          yield* Effect.sleep(isEnough ? hungryMillis : exhaustedMillis)
          yield* Effect.timeoutOption(hungry.await, exchangeMillis)
        }
      })
      const last = Effect.flatMap(moment, (now) => {
        rollAll(now)
        return port.exchange(windows.flatMap(Report.askLast), takeNews(now))
      })
      yield* Effect.addFinalizer(() =>
        Effect.catch(Effect.timeout(last, portTimeoutMillis), (error) =>
          Effect.logDebug("the share of the exchange's budget is left to its window's end", error)
        )
      )
      yield* Effect.forkScoped(loop)
    })

    const service = RateLimits.of({
      acquire,
      giveBack,
      observe,
      obey: (limit) =>
        Effect.flatMap(moment, ({ here }) => {
          const until = here + limit.retryAfterMillis
          // Requests that were under way together are told the same.
          const isNew = until > stoppedUntil + sameBanMillis
          stop(stopsOrdersOnly(limit) ? "orders" : "all", until)
          news = true
          hungry.openUnsafe()
          return limit.banned === true && isNew
            ? Effect.logError(
                `the exchange has banned this address for ${Math.ceil(limit.retryAfterMillis / 1_000)} s: all traffic to it stops`,
                limit.exchangeMessage
              )
            : Effect.void
        }),
      stoppedMillis: (kind) => Effect.map(moment, ({ here }) => stopFor(kind, here)),
      waitMillis: (kind, weight) =>
        Effect.map(moment, (now) => {
          rollAll(now)
          return waitAt(kind, weight, now)
        }),
      forecast: Effect.map(moment, (now) => {
        rollAll(now)
        const wait = (kind: Kind) => waitAt(kind, 1, now)
        return {
          waitMillis: {
            cancel: wait("cancel"),
            query: wait("query"),
            submit: wait("submit"),
            refresh: wait("refresh")
          },
          stoppedMillis: Math.max(0, stoppedUntil - now.here),
          ordersStoppedMillis: Math.max(0, ordersStoppedUntil - now.here),
          limits: windows.map((window) => ({
            name: window.name,
            limit: window.limit,
            taken: Budget.taken(window),
            endsInMillis: (window.id + 1) * window.lengthMillis - now.there
          })),
          shareAgeMillis: isShared ? now.here - sharedAt : null
        }
      }),
      learn: (limits) =>
        Effect.sync(() => {
          // A limit that stays keeps its count.
          windows = limits
            .flatMap((limit) => Budget.windowOf(limit, isShared, true))
            .map((window) => {
              const known = windows.find(({ name }) => name === window.name)
              return known === undefined ? window : { ...known, limit: window.limit, isLearnt: true }
            })
          learnt = true
        }),
      isLearnt: Effect.sync(() => learnt),
      align: ({ driftPerMilli, errorMillis, now }) =>
        Effect.map(Clock.monotonicTimeNanos, (nanos) => {
          const at = Number(nanos) / 1e6
          clock = { at, ahead: now - at, errorMillis, driftPerMilli }
        })
    })
    return { service, keepShares }
  })
}

/** `here` is on our monotonic clock. */
interface Moment extends ExchangeTime {
  readonly here: number
}

interface Aligned {
  /** On our monotonic clock. */
  readonly at: number
  /** The exchange's clock less our monotonic one. */
  readonly ahead: number
  readonly errorMillis: number
  readonly driftPerMilli: number
}

interface Obstacle {
  readonly verdict: "share" | "full"
  /** Only new orders are held back by it. */
  readonly ordersOnly: boolean
}

const notSent: Outcome = { _tag: "NotSent" }
const lost: Outcome = { _tag: "Lost" }
const answered: Outcome = { _tag: "Answered" }
