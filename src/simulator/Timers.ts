/** Timers with an owner: all of them end when the simulator does. */

export class Timers {
  readonly #timers = new Set<NodeJS.Timeout>()
  #isClosed = false

  after(millis: number, then: () => void): void {
    if (this.#isClosed) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      then()
    }, millis)
    this.#timers.add(timer)
  }

  every(millis: number, then: () => void): void {
    if (!this.#isClosed) this.#timers.add(setInterval(then, millis))
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}
