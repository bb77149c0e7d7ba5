/**
 * Remembers that the exchange refuses our keys, so that a revoked key costs one order's attempt now and then
 * instead of the whole queue.
 *
 * Good: orders pass. Refused: none does, for a pause that grows with each refused probe. Pause over: one order goes
 * as a probe, for only an order tells whether orders are allowed, and its answer opens the way or begins the next
 * pause. Cancels and queries are never held; what they are answered counts as well.
 */
import { Clock, Effect } from "effect"
import type { Reason } from "./BinanceError.ts"
import { isCredentialRefusal, isPastTheKeys } from "./classify.ts"
import type { Kind } from "./RateLimits.ts"

/** A new key or permission takes a person, who should not have to wait long for the effect. */
const firstPauseMillis = 30_000
const longestPauseMillis = 300_000
/** A probe that nobody heard of for so long is taken for lost: longer than any request lasts. */
const probeMillis = 20_000

/** `probe`: this order alone may go. */
export type KeyAdmission = "pass" | "probe" | "refuse"

export interface Credentials {
  /** Null: nothing is known against our keys; else what the exchange said. */
  readonly refusal: () => string | null
  /** Asked before an order is made ready. A probe ends with `observe`, or with `leave` when it was not sent. */
  readonly admit: Effect.Effect<KeyAdmission>
  readonly leave: () => void
  /** Of every signed request; null: it succeeded. */
  readonly observe: (kind: Kind, reason: Reason | null) => Effect.Effect<void>
}

export const makeCredentials = (): Credentials => {
  let said: string | null = null
  // A key may read and not trade: then a question that is answered proves nothing.
  let isAboutTrading = false
  let refusedUntil = 0
  let pauseMillis = firstPauseMillis
  let probingUntil = 0

  const refuse = Effect.fnUntraced(function* (trades: boolean, what: string) {
    const now = yield* Clock.currentTimeMillis
    probingUntil = 0
    isAboutTrading ||= trades
    // Answers to what was under way when the pause began say nothing new.
    if (now < refusedUntil) return
    const isNew = said === null
    said = what
    refusedUntil = now + pauseMillis
    pauseMillis = Math.min(pauseMillis * 2, longestPauseMillis)
    if (isNew) yield* Effect.logError("the exchange refuses our keys: no order is sent until it takes them again", what)
  })

  const accept = Effect.suspend(() => {
    said = null
    isAboutTrading = false
    refusedUntil = 0
    pauseMillis = firstPauseMillis
    probingUntil = 0
    return Effect.logInfo("the exchange takes our keys again: orders are sent")
  })

  return {
    refusal: () => said,
    admit: Effect.map(Clock.currentTimeMillis, (now) => {
      if (said === null) return "pass"
      if (now < refusedUntil || now < probingUntil) return "refuse"
      probingUntil = now + probeMillis
      return "probe"
    }),
    leave: () => {
      probingUntil = 0
    },
    observe: (kind, reason) => {
      const trades = kind === "submit" || kind === "cancel"
      if (reason !== null && isCredentialRefusal(reason)) return refuse(trades, saidBy(reason))
      if (said === null) return Effect.void
      if (kind === "submit") probingUntil = 0
      const isTaken = reason === null || isPastTheKeys(reason)
      return isTaken && (trades || !isAboutTrading) ? accept : Effect.void
    }
  }
}

const saidBy = (reason: Reason): string =>
  reason._tag === "Refused" ? `${reason.code} ${reason.exchangeMessage}` : reason.message
