/**
 * The faults that wait, the rates at which others are drawn, and how often each has struck.
 *
 * Single faults come first, in the order they were given. What a rate draws for a request depends on the seed, on the
 * client order id that the request names, and on how often it was asked before: trials that run side by side do not
 * disturb each other. Changed by requests and by the control port; nothing here is kept over a restart.
 */
import { Counts } from "./Counts.ts"
import type { Fault, Rate, Strike } from "./Faults.ts"
import { randomOf } from "./Random.ts"

/** Used-up faults that are still listed. */
const remembered = 10_000

interface Armed {
  readonly id: number
  readonly fault: Fault
  left: number
  skip: number
  struck: number
}

export interface ArmedView {
  readonly id: number
  readonly fault: Fault
  /** How often it will strike yet. */
  readonly left: number | "always"
  readonly struck: number
}

export class FaultTable {
  #seed: number
  #nextId = 1
  #waiting: Array<Armed> = []
  #spent: Array<Armed> = []
  #rates: ReadonlyArray<{ readonly rate: Rate; struck: number }> = []
  /** How often each request was asked for, while there are rates. */
  readonly #asked = new Counts()
  readonly #struckByKind = new Map<string, number>()

  constructor(seed: number) {
    this.#seed = seed
  }

  /** Returns the number under which it is listed. */
  next(fault: Fault): number {
    const { skip = 0, times = 1 } = fault
    const id = this.#nextId++
    this.#waiting.push({ id, fault, left: times === "always" ? Infinity : times, skip, struck: 0 })
    return id
  }

  /** Replaces the rates. For each request they are tried in order; at most one strikes. */
  rates(rates: ReadonlyArray<Rate>, seed = this.#seed): void {
    this.#seed = seed
    this.#rates = rates.map((rate) => ({ rate, struck: 0 }))
    this.#asked.clear()
  }

  /** All single faults and rates, or only the single faults of one order. */
  clear(clientOrderId?: string): void {
    if (clientOrderId !== undefined) {
      this.#waiting = this.#waiting.filter(({ fault }) => fault.clientOrderId !== clientOrderId)
      return
    }
    this.#waiting = []
    this.#spent = []
    this.rates([])
    this.#struckByKind.clear()
  }

  /** How often single faults will strike yet; those that always do count once. */
  get waiting(): number {
    return this.#waiting.reduce((sum, { left }) => sum + (left === Infinity ? 1 : left), 0)
  }

  get isQuiet(): boolean {
    return this.#waiting.length === 0 && this.#rates.length === 0
  }

  /** The fault of this request, if any; `ids` are the client order ids that it names. */
  take(on: string, ids: ReadonlyArray<string> = []): Strike | undefined {
    const concerns = (one: Fault | Rate): boolean =>
      one.on === on && (one.clientOrderId === undefined || ids.includes(one.clientOrderId))
    for (const armed of this.#waiting) {
      if (!concerns(armed.fault)) continue
      if (armed.skip > 0) armed.skip--
      else return this.#strike(armed)
    }
    return this.#rates.length === 0 ? undefined : this.#draw(on, ids[0] ?? "", concerns)
  }

  /** What waits and what has struck, oldest first; of one order alone when it is given. */
  list(clientOrderId?: string): ReadonlyArray<ArmedView> {
    return [...this.#spent, ...this.#waiting]
      .filter(({ fault }) => clientOrderId === undefined || fault.clientOrderId === clientOrderId)
      .sort((a, b) => a.id - b.id)
      .map(({ fault, id, left, struck }) => ({ id, fault, left: left === Infinity ? "always" : left, struck }))
  }

  listRates(): ReadonlyArray<{ readonly rate: Rate; readonly struck: number }> {
    return this.#rates
  }

  get struckByKind(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#struckByKind)
  }

  get seed(): number {
    return this.#seed
  }

  #strike(armed: Armed): Strike {
    const { fault } = armed
    armed.struck++
    if (--armed.left === 0) {
      this.#waiting = this.#waiting.filter((other) => other !== armed)
      this.#spent.push(armed)
      if (this.#spent.length > remembered) this.#spent.shift()
    }
    this.#count(fault.kind)
    const name = fault.clientOrderId ?? String(armed.id)
    return { fault, random: randomOf(this.#seed, `${fault.kind} ${name} ${armed.struck}`) }
  }

  #draw(on: string, id: string, concerns: (rate: Rate) => boolean): Strike | undefined {
    const request = `${on} ${id}`
    const asked = this.#asked.next(request)
    for (const [at, counted] of this.#rates.entries()) {
      if (!concerns(counted.rate)) continue
      const random = randomOf(this.#seed, `${at} ${request} ${asked}`)
      if (random.next() >= counted.rate.probability) continue
      counted.struck++
      this.#count(counted.rate.kind)
      return { fault: counted.rate, random }
    }
    return undefined
  }

  #count(kind: string): void {
    this.#struckByKind.set(kind, (this.#struckByKind.get(kind) ?? 0) + 1)
  }
}
