/**
 * What goes wrong with the events of the user data stream on their way: lost, late, twice, or out of order.
 *
 * Single faults strike the next events that fit, in the order they were given; rates are drawn from the seed for each
 * event, by the order that it is about, so that another order of arrival changes nothing. All subscribers of the
 * account see the same. A held event waits in memory: at most as long as its fault says.
 */
import { Schema, Tuple } from "effect"
import { Counts } from "./Counts.ts"
import { drawn, Span, Times } from "./Faults.ts"
import { type Random, randomOf } from "./Random.ts"
import type { Timers } from "./Timers.ts"

const which = {
  /** `executionReport`, `outboundAccountPosition`, …; any when absent. */
  event: Schema.optionalKey(Schema.String),
  /** Of an executionReport: NEW, TRADE, CANCELED, … */
  execution: Schema.optionalKey(Schema.String),
  clientOrderId: Schema.optionalKey(Schema.String)
}

const Actions = Schema.Union([
  Schema.Struct({ action: Schema.Literal("drop") }),
  Schema.Struct({ action: Schema.Literal("duplicate") }),
  /** Arrives so much later; what happens meanwhile overtakes it. */
  Schema.Struct({ action: Schema.Literal("delay"), millis: Span }),
  /** Arrives after the next event, or after so long when none comes. */
  Schema.Struct({ action: Schema.Literal("reorder"), millis: Schema.optionalKey(Span) })
])

export const EventFault = Actions.mapMembers(
  Tuple.map(Schema.fieldsAssign({ ...which, times: Schema.optionalKey(Times) }))
)
export const EventRate = Actions.mapMembers(
  Tuple.map(
    Schema.fieldsAssign({
      ...which,
      probability: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    })
  )
)

type Action = typeof Actions.Type
export type EventFault = typeof EventFault.Type
export type EventRate = typeof EventRate.Type

/** What an event is, for those who choose among them. */
export interface UserEvent {
  readonly event: string
  readonly execution: string | undefined
  readonly ids: ReadonlyArray<string>
}

interface Armed {
  readonly fault: EventFault
  left: number
  struck: number
}

const longestReorder = 1_000

export class EventFaults {
  #seed: number
  readonly #timers: Timers
  #waiting: Array<Armed> = []
  #rates: ReadonlyArray<{ readonly rate: EventRate; struck: number }> = []
  readonly #seen = new Counts()
  /** Events that let one other go first. */
  #reordered: Array<() => void> = []
  #nth = 0

  constructor(seed: number, timers: Timers) {
    this.#seed = seed
    this.#timers = timers
  }

  next(fault: EventFault): void {
    const { times = 1 } = fault
    this.#waiting.push({ fault, left: times === "always" ? Infinity : times, struck: 0 })
  }

  rates(rates: ReadonlyArray<EventRate>, seed = this.#seed): void {
    this.#seed = seed
    this.#rates = rates.map((rate) => ({ rate, struck: 0 }))
    this.#seen.clear()
  }

  /** Nothing goes wrong any more; what is held comes when its time is up. */
  clear(): void {
    this.#waiting = []
    this.rates([])
  }

  list() {
    return {
      events: this.#waiting.map(({ fault, left, struck }) => ({
        fault,
        left: left === Infinity ? "always" : left,
        struck
      })),
      rates: this.#rates
    }
  }

  /** Delivers one event, when and as often as it shall be. */
  pass(event: UserEvent, deliver: () => void): void {
    const isQuiet = this.#waiting.length === 0 && this.#rates.length === 0
    const struck = isQuiet ? undefined : (this.#single(event) ?? this.#draw(event))
    if (struck === undefined) return this.#deliver(deliver)
    const { action, random } = struck
    switch (action.action) {
      case "drop":
        return
      case "duplicate":
        this.#deliver(deliver)
        return this.#deliver(deliver)
      case "delay":
        return this.#timers.after(drawn(action.millis, random), deliver)
      case "reorder":
        return this.#holdBack(deliver, drawn(action.millis ?? longestReorder, random))
    }
  }

  #deliver(deliver: () => void): void {
    deliver()
    if (this.#reordered.length === 0) return
    const held = this.#reordered
    this.#reordered = []
    for (const late of held) late()
  }

  #holdBack(deliver: () => void, millis: number): void {
    let isTold = false
    const once = (): void => {
      if (isTold) return
      isTold = true
      deliver()
    }
    this.#reordered.push(once)
    this.#timers.after(millis, once)
  }

  #single(event: UserEvent): { readonly action: Action; readonly random: Random } | undefined {
    const armed = this.#waiting.find(({ fault }) => fits(fault, event))
    if (armed === undefined) return undefined
    armed.struck++
    if (--armed.left === 0) this.#waiting = this.#waiting.filter((other) => other !== armed)
    const name = armed.fault.clientOrderId ?? String(this.#nth++)
    return { action: armed.fault, random: randomOf(this.#seed, `${armed.fault.action} ${name} ${armed.struck}`) }
  }

  #draw(event: UserEvent): { readonly action: Action; readonly random: Random } | undefined {
    if (this.#rates.length === 0) return undefined
    const name = `${event.event} ${event.execution ?? ""} ${event.ids[0] ?? ""}`
    const seen = this.#seen.next(name)
    for (const [at, counted] of this.#rates.entries()) {
      if (!fits(counted.rate, event)) continue
      const random = randomOf(this.#seed, `${at} ${name} ${seen}`)
      if (random.next() >= counted.rate.probability) continue
      counted.struck++
      return { action: counted.rate, random }
    }
    return undefined
  }
}

const fits = (wanted: EventFault | EventRate, { event, execution, ids }: UserEvent): boolean =>
  (wanted.event === undefined || wanted.event === event) &&
  (wanted.execution === undefined || wanted.execution === execution) &&
  (wanted.clientOrderId === undefined || ids.includes(wanted.clientOrderId))
