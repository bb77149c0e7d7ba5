/**
 * One window of one of the exchange's limits, as this process sees it: pure accounting, owned by RateLimits.
 *
 * The exchange's own count, told by the headers of its answers, is the truth. Added to it are the requests that it
 * cannot have told of yet, and, where replicas share one budget, what the others hold. With a share, this process
 * spends only what was handed to it: what it is in doubt about belongs to its share until a count is sure to have it, or
 * the window ends. What may count in the next window is held against that one too.
 */
import type { Told } from "./BudgetShares.ts"
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

/**
 * A lost request may be on its way to the exchange for so long: after the longest recvWindow it is refused there, and
 * counts no more. https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security
 */
const longestWayMillis = 60_000

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
  /** When the last of them ended, at the latest. */
  untoldSince: number
  /** Ended when the exchange may have been in the next window already: it may count there as well as here. */
  crossed: number
  /** Pending when this window began, and still so. */
  carried: number
  /** Of windows before: may be in this one's count, and is in none that we were told. */
  unsure: number
  /** When the last of them ended, at the latest: a count whose request was permitted later has them all. */
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
      untoldSince: 0,
      crossed: 0,
      carried: 0,
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
  window.carried = window.pending
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
export const uncounted = ({ pending, unsure, untold }: Window): number => pending + untold + unsure

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

/** Of the share, what may still be spent; below 0: more ran over from the window before than the share has. */
export const unspent = (window: Window): number =>
  window.share === null ? Number.POSITIVE_INFINITY : window.share.own - window.share.spent - uncounted(window)

/** What may count in the next window, and will be known only then. */
export const owedNext = ({ crossed, pending }: Window): number => pending + crossed

/**
 * What all may have used together when a request of this kind is made at a moment of the window, from 0 to 1. One that
 * is heavier than what its kind may fill would never go: it may use the whole window.
 */
export const ceiling = (window: Window, kind: Kind, cost: number, elapsed: number): number => {
  const { first, last } = ceilingOf[kind]
  const part = window.type === "REQUEST_WEIGHT" ? first + (last - first) * elapsed : 1
  const most = Math.floor(window.limit * part)
  return cost > most ? Math.max(window.limit, cost) : most
}

export const elapsedOf = (window: Window, there: number): number => there / window.lengthMillis - window.id

export const verdict = (window: Window, kind: Kind, cost: number, now: ExchangeTime): Verdict => {
  const needed = cost + probeRoom(window, now.there)
  if (taken(window) + needed > ceiling(window, kind, cost, elapsedOf(window, now.there))) return "full"
  if (unspent(window) < needed) return "share"
  if (numberAt(window, now.latest) === window.id) return "fits"
  const { limit, share } = window
  if (share === null) return owedNext(window) + cost + probeCost > limit ? "full" : "fits"
  return share.next - owedNext(window) < cost ? "share" : "fits"
}

/** The lightest request that brings a count: an order, or one of weight 1. */
const probeCost = 1

/**
 * Only the answer to a request that is made later can tell where those count that ran over. Room is kept for it: else
 * they might hold their place until the window ends, though they have none.
 */
export const probeRoom = ({ carried, header, unsure, unsureSince }: Window, there: number): number =>
  header !== "" && (carried > 0 || (unsure > 0 && there <= unsureSince)) ? probeCost : 0

export const permit = (window: Window, kind: Kind, cost: number): void => {
  window.pending += cost
  if (window.share !== null) window.share.granted[kind] += cost
}

/** `from`: when the request was permitted. */
export const settle = (window: Window, cost: number, from: number, now: ExchangeTime, outcome: Outcome): void => {
  const isLate = numberAt(window, from) !== window.id
  window.pending = Math.max(0, window.pending - cost)
  if (isLate) window.carried = Math.max(0, window.carried - cost)
  if (outcome._tag === "NotSent") return
  // Orders are counted only where the exchange took them, and then it says so in the header.
  if (outcome._tag === "Answered" && window.type === "ORDERS") return
  const mayCountNext = numberAt(window, now.latest) !== window.id
  if (mayCountNext) window.crossed += cost
  if (isLate) {
    window.unsure += cost
    window.unsureSince = now.latest
  } else if (mayCountNext || outcome._tag !== "Told") {
    // Which window's count a header tells cannot be seen in it.
    window.untold += cost
    window.untoldSince = now.latest
    if (mayCountNext) window.unsureSince = now.latest
  } else {
    const heard = { count: outcome.count, from, at: now.latest }
    hear(window, heard)
    if (window.share === null) return
    window.share.spent += cost
    window.share.told = newer(window.share.told, heard)
  }
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
export const newer = (known: Told | null, heard: Told): Told =>
  known === null || heard.from > known.at || heard.count > known.count ? heard : known

/** Takes in a count that this process or another one was told. */
export const hear = (window: Window, heard: Told): void => {
  if (heard.from > window.unsureSince) window.unsure -= spend(window, window.unsure)
  if (heard.from > window.untoldSince + longestWayMillis) window.untold -= spend(window, window.untold)
  const best = newer({ count: window.counted, from: 0, at: window.countedAt }, heard)
  window.counted = best.count
  window.countedAt = best.at
}

/** What is in the exchange's count from now on, if it counts at all: of the share it is spent. */
const spend = ({ share }: Window, amount: number): number => {
  if (share !== null) share.spent += amount
  return amount
}
