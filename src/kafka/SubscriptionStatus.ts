/**
 * What people want to know of one running subscription: has it joined, why not, is it stuck.
 *
 * Written by its consumer alone, read by health and by the consumer's watchdog. In real time: it
 * watches sockets.
 */

/** A handler that takes longer than this is said to hold its lane up. It is not cut: it may wait for PostgreSQL. */
const slowHandleMillis = 10_000
/** More ends than this within the window are no failover any more. */
const tolerableEnds = 5
const endsWindowMillis = 600_000

export interface InHand {
  readonly offset: string
  readonly since: number
}

export class SubscriptionStatus {
  readonly label: string
  joined = false
  /** The consumer has let go of its connection, asked or not. */
  stopped = false
  /** The last time the consumer showed that it turns: a join, a heartbeat, a fetch. */
  lastSignAt = Date.now()
  /** By lane. */
  readonly inHand = new Map<number, InHand>()
  private lastReason = "it connects"
  private endsAt: ReadonlyArray<number> = []

  constructor(label: string) {
    this.label = label
  }

  starts(): void {
    this.joined = false
    this.stopped = false
    this.sign()
  }

  sign(): void {
    this.lastSignAt = Date.now()
  }

  joins(): void {
    this.joined = true
    this.sign()
  }

  stops(): void {
    this.stopped = true
  }

  ends(reason: string): void {
    this.joined = false
    this.lastReason = reason
    const since = Date.now() - endsWindowMillis
    this.endsAt = [...this.endsAt.filter((at) => at > since), Date.now()].slice(-2 * tolerableEnds)
  }

  /** Null when records flow, or could. */
  problem(): string | null {
    if (!this.joined) return `${this.label}: not consuming, ${this.lastReason}`
    const now = Date.now()
    const ends = this.endsAt.filter((at) => at > now - endsWindowMillis).length
    if (ends > tolerableEnds) {
      return `${this.label}: its consumer ended ${ends} times in ${endsWindowMillis / 60_000} minutes, last: ${this.lastReason}`
    }
    for (const [lane, { offset, since }] of this.inHand) {
      const age = now - since
      if (age > slowHandleMillis) {
        return `${this.label}: lane ${lane} has had the record at offset ${offset} in hand for ${Math.round(age / 1_000)} s`
      }
    }
    return null
  }
}
