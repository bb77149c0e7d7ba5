/** How often each name came, of the newest million names: more than the orders of any run, and bounded all the same. */

const greatestNames = 1_000_000

export class Counts {
  readonly #counts = new Map<string, number>()

  /** Counts the name once more, and gives how often it came by now. */
  next(name: string): number {
    const count = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, count)
    if (this.#counts.size > greatestNames) {
      for (const oldest of this.#counts.keys()) {
        this.#counts.delete(oldest)
        break
      }
    }
    return count
  }

  clear(): void {
    this.#counts.clear()
  }
}
