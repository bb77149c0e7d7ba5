/**
 * The exchange's own clock: the host's, with an offset that can be set and stepped, and a drift.
 *
 * Whole milliseconds. Everything the exchange does by time reads this clock: timing checks, rate windows, stale reads,
 * archival. What it waits for (a late answer, a delayed event) is waited for in the host's time.
 */

const million = 1_000_000

export interface ClockView {
  readonly now: number
  /** How far it is ahead of the host's clock at this moment. */
  readonly offsetMillis: number
  readonly driftPpm: number
}

export class Clock {
  readonly #host: () => number
  /** Since when it has drifted, in the host's time, and its offset then. */
  #since: number
  #offset = 0
  #driftPpm = 0

  constructor(host: () => number = Date.now) {
    this.#host = host
    this.#since = host()
  }

  now(): number {
    // Every request asks; without drift and offset it is the host's clock and nothing else.
    const host = this.#host()
    if (this.#driftPpm === 0) return this.#offset === 0 ? host : Math.floor(host + this.#offset)
    return Math.floor(host + this.#offsetAt(host))
  }

  /** Puts it so far ahead of the host's clock; the drift goes on from there. */
  set(offsetMillis: number): void {
    this.#since = this.#host()
    this.#offset = offsetMillis
  }

  /** Moves it by so much at once. */
  step(millis: number): void {
    this.set(this.#offsetAt(this.#host()) + millis)
  }

  /** How much faster than the host's clock it runs from now on, in millionths. */
  drift(ppm: number): void {
    this.set(this.#offsetAt(this.#host()))
    this.#driftPpm = ppm
  }

  view(): ClockView {
    const host = this.#host()
    const offsetMillis = this.#offsetAt(host)
    return { now: Math.floor(host + offsetMillis), offsetMillis, driftPpm: this.#driftPpm }
  }

  #offsetAt(host: number): number {
    return this.#offset + ((host - this.#since) * this.#driftPpm) / million
  }
}
