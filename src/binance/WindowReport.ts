/**
 * What a process reports of a window and asks for, where replicas share the budget: pure accounting, owned by RateLimits.
 *
 * A report says in absolute numbers what is held: what may still be spent, and all that is in no count yet. So one that
 * is late or repeated does no harm, and the count that a lost one told is told again.
 */
import type { Ask, Granted } from "./BudgetShares.ts"
import type { Kind, Share, Window } from "./Window.ts"
import { ceiling, elapsedOf, hear, kinds, newer, owedNext, probeRoom, uncounted, unspent } from "./Window.ts"

/** One replica takes no more than this part of a limit at a time, so that several take turns. */
const biteShare = 0.1
/**
 * Kept in hand while little happens, as a part of the limit and of the window's rest: so that the first request waits
 * for nobody, and little is left over at the end.
 */
const standingShare = 0.02
/** Taken in advance: what this many seconds like the last ones need. */
const horizonSeconds = 1

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
  const wants = wantsOf(window, share, waiting, elapsedOf(window, there), probeRoom(window, there))
  const free = Math.max(0, unspent(window))
  // What ran over from the window before is held whether or not it was handed out.
  const keep = uncounted(window) + Math.min(free, sumOf(wants))
  const heard = share.told
  share.own = keep
  share.spent = 0
  share.told = null
  return { ...named(window, window.id), told: heard, keep, wants: beyond(wants, free) }
}

/** The same for the window after this one. */
export const askNext = (window: Window, waiting: Waiting): Ask | null => {
  const { share } = window
  if (share === null) return null
  const wants = wantsOf(window, share, waiting, 0, 0)
  const owed = owedNext(window)
  const free = Math.max(0, share.next - owed)
  share.next = owed + Math.min(free, sumOf(wants))
  return { ...named(window, window.id + 1), told: null, keep: share.next, wants: beyond(wants, free) }
}

/** The last reports of a process that ends: it holds only what may yet be counted. */
export const askLast = (window: Window): ReadonlyArray<Ask> =>
  window.share === null
    ? []
    : [
        { ...named(window, window.id), told: window.share.told, keep: uncounted(window), wants: [] },
        { ...named(window, window.id + 1), told: null, keep: owedNext(window), wants: [] }
      ]

/** A report that may not have arrived: what it told is told again. */
export const tellAgain = (window: Window, { told, window: id }: Ask): void => {
  if (window.share === null || told === null || id !== window.id) return
  window.share.told = window.share.told === null ? told : newer(told, window.share.told)
}

const named = (window: Window, id: number) => ({
  name: window.name,
  window: id,
  allowed: window.isLearnt ? window.limit : null
})

const sumOf = (wants: ReadonlyArray<Want>): number => wants.reduce((sum, { amount }) => sum + amount, 0)

/**
 * The highest precedence first; together no more than one bite, unless one request alone is greater. Who waits needs the
 * room for a probe besides.
 */
const wantsOf = (
  window: Window,
  share: Share,
  waiting: Waiting,
  elapsed: number,
  room: number
): ReadonlyArray<Want> => {
  const least = (kind: Kind) => (kind === "submit" ? Math.ceil(window.limit * standingShare * (1 - elapsed)) : 0)
  let left = Math.max(Math.ceil(window.limit * biteShare), ...kinds.map((kind) => waiting.heaviest[kind] + room))
  return kinds.map((kind) => {
    const waited = waiting.cost[kind] === 0 ? 0 : waiting.cost[kind] + room
    const amount = Math.min(left, Math.max(waited + Math.ceil(share.demand[kind] * horizonSeconds), least(kind)))
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
  if (granted.told !== null) hear(window, granted.told)
}
