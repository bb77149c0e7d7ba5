/**
 * One window of one of the exchange's limits, as this process sees it: pure accounting, owned by RateLimits.
 *
 * The exchange's own count, told by the headers of its answers, is the truth. Added to it are the requests that it
 * cannot have told of yet, and, where replicas share one budget, what the others hold. With a share, this process
 * spends only what was handed to it: what it is in doubt about belongs to its share until the window ends.
 */
import type { Ask, Granted } from "./BudgetShares.ts"
import type { RateLimit } from "./wire.ts"

/** In order of precedence. */
export const kinds = ["cancel", "query", "submit", "refresh"] as const
export type Kind = (typeof kinds)[number]

/**
 * How much of a weight window each kind may fill: a fifth is kept from new orders for cancels and for what
 * reconciliation asks, and more from refreshes. What is kept is kept for the rest of the window, so it shrinks with it:
 * else the budget would be lost that nobody came for. A hundredth or so stays for cancels until the last moment.
 */
const ceilingOf: Readonly<Record<Kind, { readonly first: number; readonly last: number }>> = {
  cancel: { first: 1, last: 1 },
  query: { first: 0.95, last: 0.99 },
  submit: { first: 0.8, last: 0.985 },
  refresh: { first: 0.6, last: 0.975 }
}

/** One replica takes no more than this part of a limit at a time, so that several take turns. */
const biteShare = 0.1
/**
 * Kept in hand while little happens, as a part of the limit and of the window's rest: so that the first request waits
 * for nobody, and little is left over at the end.
 */
const standingShare = 0.02
/** Taken in advance: what this many seconds like the last ones need. */
const horizonSeconds = 1

const intervalMillis: Readonly<Record<string, number>> = {
  SECOND: 1_000,
  MINUTE: 60_000,
  HOUR: 3_600_000,
  DAY: 86_400_000
}

export interface Window {
  /** Such as "REQUEST_WEIGHT/60000". */
  readonly name: string
  readonly type: string
  /** Of the answers' header that tells the count; "": none does. */
  readonly header: string
  readonly lengthMillis: number
  limit: number
  /** From the exchange, by this process or by another; else it is the documented one. */
  isLearnt: boolean
  /** Number of the window since 1970, on the exchange's clock. */
  id: number
  /** The exchange's own count as told last, and when that answer came. */
  counted: number
  countedAt: number
  /** Permitted and not yet answered. */
  pending: number
  /** Sent, and in no count that we were told: the answer was lost, or the exchange tells none. */
  untold: number
  /** Permitted in this window, and ended when the exchange may have been in the next one: it may count there. */
  crossed: number
  /** The same of the window before: in this one's count or in that one's, till a count tells that is sure to have it. */
  unsure: number
  /** A count whose request was permitted later than this has it. */
  unsureSince: number
  readonly share: Share | null
}

/** Our estimate of the exchange's clock: as it is at the earliest, by which our windows go, and at the latest. */
export interface ExchangeTime {
  readonly there: number
  readonly latest: number
}

export interface Share {
  /** Handed to this process for this window, in doubt or not yet reported as spent included. */
  own: number
  /** Of it: answered since the last report, so that the exchange's count has it. */
  spent: number
  /** What the other replicas hold. */
  others: number
  /** Handed to this process for the window after this one. */
  next: number
  /** The header of the newest answer since the last report. */
  told: Told | null
  /** Cost granted since the last report, and the smoothed demand per second, by kind. */
  readonly granted: Record<Kind, number>
  readonly demand: Record<Kind, number>
}

/** A count of the exchange; `from` and `at`: when its request was permitted, and when it came. Exchange's clock. */
export interface Told {
  readonly count: number
  readonly from: number
  readonly at: number
}

export type Verdict =
  | "fits"
  /** The share is too small; more may be had at once. */
  | "share"
  /** Nothing is left for this kind, for a while or until the window ends. */
  | "full"

const perKind = (): Record<Kind, number> => ({ cancel: 0, query: 0, submit: 0, refresh: 0 })

export const windowOf = (limit: RateLimit, isShared: boolean, isLearnt: boolean): ReadonlyArray<Window> => {
  const unit = intervalMillis[limit.interval]
  if (unit === undefined || limit.limit <= 0) return []
  const suffix = `${limit.intervalNum}${limit.interval[0]!.toLowerCase()}`
  const header =
    limit.rateLimitType === "REQUEST_WEIGHT"
      ? `x-mbx-used-weight-${suffix}`
      : limit.rateLimitType === "ORDERS"
        ? `x-mbx-order-count-${suffix}`
        : ""
  const lengthMillis = unit * limit.intervalNum
  return [
    {
      name: `${limit.rateLimitType}/${lengthMillis}`,
      type: limit.rateLimitType,
      header,
      lengthMillis,
      limit: limit.limit,
      isLearnt,
      id: 0,
      counted: 0,
      countedAt: Number.NEGATIVE_INFINITY,
      pending: 0,
      untold: 0,
      crossed: 0,
      unsure: 0,
      unsureSince: 0,
      share: isShared
        ? { own: 0, spent: 0, others: 0, next: 0, told: null, granted: perKind(), demand: perKind() }
        : null
    }
  ]
}

export const costIn = (window: Window, kind: Kind, weight: number): number => {
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

/** Moves on to the window of this moment of the exchange's clock. What is in flight then may count in the new one. */
export const roll = (window: Window, there: number): void => {
  const id = numberAt(window, there)
  if (id === window.id) return
  const { share } = window
  window.unsure = id === window.id + 1 ? window.crossed : 0
  window.crossed = 0
  if (share !== null) {
    share.own = id === window.id + 1 ? share.next : 0
    share.next = 0
    share.spent = 0
    share.others = 0
    share.told = null
  }
  window.id = id
  window.counted = 0
  window.countedAt = Number.NEGATIVE_INFINITY
  window.untold = 0
}

const numberAt = ({ lengthMillis }: Window, moment: number): number => Math.floor(moment / lengthMillis)

/** What is used or may be, this process's own included; without what it holds and has not spent. */
export const taken = (window: Window): number => window.counted + (window.share?.others ?? 0) + uncounted(window)

/** Of this process, and in no count that we were told. */
const uncounted = ({ pending, unsure, untold }: Window): number => pending + untold + unsure

/**
 * How long a request waits behind others that cost `before`; 0: it fits now. They fill what is kept less and less of
 * this window, and then whole windows after it.
 */
export const waitIn = (window: Window, kind: Kind, cost: number, before: number, there: number): number => {
  const needed = taken(window) + before + cost
  const elapsed = elapsedOf(window, there)
  if (needed <= ceiling(window, kind, cost, elapsed)) return 0
  const most = ceiling(window, kind, cost, 1)
  const { first, last } = ceilingOf[kind]
  const opensAt =
    needed <= most
      ? window.id + (needed / window.limit - first) / (last - first)
      : window.id + Math.ceil((before + cost - Math.max(0, most - taken(window))) / most)
  return Math.max(1, opensAt * window.lengthMillis - there)
}

/** Of the share, what may still be spent; below 0: what ran over from the window before has not been covered yet. */
const unspent = (window: Window): number =>
  window.share === null ? Number.POSITIVE_INFINITY : window.share.own - window.share.spent - uncounted(window)

/**
 * What all may have used together when a request of this kind is made at a moment of the window, from 0 to 1. One that
 * is heavier than what its kind may fill would never go: it may use the whole window.
 */
const ceiling = (window: Window, kind: Kind, cost: number, elapsed: number): number => {
  const { first, last } = ceilingOf[kind]
  const part = window.type === "REQUEST_WEIGHT" ? first + (last - first) * elapsed : 1
  const most = Math.floor(window.limit * part)
  return cost > most ? Math.max(window.limit, cost) : most
}

const elapsedOf = (window: Window, there: number): number => there / window.lengthMillis - window.id

export const verdict = (window: Window, kind: Kind, cost: number, there: number): Verdict => {
  if (taken(window) + cost > ceiling(window, kind, cost, elapsedOf(window, there))) return "full"
  return unspent(window) < cost ? "share" : "fits"
}

export const permit = (window: Window, kind: Kind, cost: number): void => {
  window.pending += cost
  if (window.share !== null) window.share.granted[kind] += cost
}

/** `from`: when the request was permitted. */
export const settle = (window: Window, cost: number, from: number, now: ExchangeTime, outcome: Outcome): void => {
  window.pending = Math.max(0, window.pending - cost)
  if (outcome._tag === "NotSent") return
  // Orders are counted only where the exchange took them, and then it says so in the header.
  if (outcome._tag === "Answered" && window.type === "ORDERS") return
  const isLate = numberAt(window, from) !== window.id
  if (isLate || numberAt(window, now.latest) !== window.id) {
    // Whether a header tells the count of this window or of the other one cannot be seen in it.
    if (isLate) window.unsure += cost
    else {
      window.untold += cost
      window.crossed += cost
    }
    window.unsureSince = now.latest
  } else if (outcome._tag === "Told") {
    const heard = { count: outcome.count, from, at: now.there }
    told(window, heard)
    if (window.share === null) return
    window.share.spent += cost
    window.share.told = newer(window.share.told, heard)
  } else window.untold += cost
}

export type Outcome =
  | { readonly _tag: "Told"; readonly count: number }
  | { readonly _tag: "Answered" }
  | { readonly _tag: "Lost" }
  | { readonly _tag: "NotSent" }

/**
 * Answers overtake each other, and the count of unfilled orders also falls. So a count replaces another only when its
 * request was made after that one's answer; of two that were under way together the greater holds.
 */
const newer = (known: Told | null, heard: Told): Told =>
  known === null || heard.from > known.at || heard.count > known.count ? heard : known

const told = (window: Window, heard: Told): void => {
  if (window.unsure > 0 && heard.from > window.unsureSince) {
    // In the count if it belongs there at all: so the share that covered it is spent.
    if (window.share !== null) window.share.spent += window.unsure
    window.unsure = 0
  }
  const best = newer({ count: window.counted, from: 0, at: window.countedAt }, heard)
  window.counted = best.count
  window.countedAt = best.at
}

/** What those who wait need in a window, by kind: all together, and the most that one of them needs. */
export interface Waiting {
  readonly cost: Readonly<Record<Kind, number>>
  readonly heaviest: Readonly<Record<Kind, number>>
}

/** Smooths the demand over about the horizon; called once per report, before `ask`. */
export const measure = ({ share }: Window, elapsedMillis: number): void => {
  if (share === null) return
  const seconds = Math.max(elapsedMillis, 1) / 1_000
  const weight = 1 - Math.exp(-seconds / horizonSeconds)
  for (const kind of kinds) {
    share.demand[kind] += (share.granted[kind] / seconds - share.demand[kind]) * weight
    share.granted[kind] = 0
  }
}

/** Asks for the share of this window, and gives back what is not needed: from here on it is not spent. */
export const ask = (window: Window, waiting: Waiting, there: number): Ask | null => {
  const { share } = window
  if (share === null) return null
  const wants = wantsOf(window, share, waiting, elapsedOf(window, there))
  const needed = wants.reduce((sum, { amount }) => sum + amount, 0)
  const left = unspent(window)
  const free = Math.max(0, left)
  const keep = Math.max(0, Math.min(share.own - share.spent, uncounted(window) + Math.min(free, needed)))
  share.own = keep
  share.spent = 0
  const heard = share.told
  share.told = null
  return {
    name: window.name,
    window: window.id,
    allowed: allowed(window),
    told: heard,
    keep,
    wants: withDebt(beyond(wants, free), Math.max(0, -left))
  }
}

/** What this window owes for the one before comes first: others must not be handed it. */
const withDebt = (wants: ReadonlyArray<Want>, debt: number): ReadonlyArray<Want> =>
  wants.map((want, index) => (index === 0 ? { ...want, amount: want.amount + debt } : want))

/** The same for the window after this one, whose share is untouched so far. */
export const askNext = (window: Window, waiting: Waiting): Ask | null => {
  const { share } = window
  if (share === null) return null
  const wants = wantsOf(window, share, waiting, 0)
  const needed = wants.reduce((sum, { amount }) => sum + amount, 0)
  share.next = Math.min(share.next, needed)
  return {
    name: window.name,
    window: window.id + 1,
    allowed: allowed(window),
    told: null,
    keep: share.next,
    wants: beyond(wants, share.next)
  }
}

const allowed = ({ isLearnt, limit }: Window): number | null => (isLearnt ? limit : null)

/** The highest precedence first; together no more than one bite, unless one request alone is greater. */
const wantsOf = (window: Window, share: Share, waiting: Waiting, elapsed: number): ReadonlyArray<Want> => {
  const least = (kind: Kind) => (kind === "submit" ? Math.ceil(window.limit * standingShare * (1 - elapsed)) : 0)
  let left = Math.max(Math.ceil(window.limit * biteShare), ...kinds.map((kind) => waiting.heaviest[kind]))
  return kinds.map((kind) => {
    const wanted = Math.max(waiting.cost[kind] + Math.ceil(share.demand[kind] * horizonSeconds), least(kind))
    const amount = Math.min(left, wanted)
    left -= amount
    return { ceiling: ceiling(window, kind, waiting.heaviest[kind], elapsed), amount }
  })
}

type Want = Ask["wants"][number]

const beyond = (wants: ReadonlyArray<Want>, have: number): ReadonlyArray<Want> => {
  let left = have
  return wants.map(({ amount, ceiling }) => {
    const covered = Math.min(left, amount)
    left -= covered
    return { ceiling, amount: amount - covered }
  })
}

/** What was handed out upon a report. A window that has ended meanwhile needs none. */
export const receive = (window: Window, granted: Granted): void => {
  const { share } = window
  if (share === null) return
  // Who has just started may be told by those who were here before; what they hold would look like too much else.
  if (!window.isLearnt && granted.allowed !== null) {
    window.limit = granted.allowed
    window.isLearnt = true
  }
  if (granted.window === window.id + 1) share.next += granted.granted
  if (granted.window !== window.id) return
  share.own += granted.granted
  share.others = granted.others
  if (granted.told !== null) told(window, granted.told)
}
