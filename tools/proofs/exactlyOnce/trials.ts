/**
 * The faults of an exchange and of the way to it, each as trials with chance in them: one trial is one order, with
 * what goes wrong for it alone. All of them run side by side.
 */

/** A seeded chance: the same seed makes the same trials. */
export class Chance {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1
  }
  /** From 0 up to 1. */
  next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return this.#state / 2 ** 32
  }
  whole(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }
  one<T>(of: ReadonlyArray<T>): T {
    return of[Math.floor(this.next() * of.length)]!
  }
}

/** How an order meets the book: taken at any price, at a price that is there, not soon, never, at once or never, or in part. */
export type Manner = "market" | "crossing" | "resting" | "far" | "immediate" | "partly"

/** A request to the simulator's control port; `CLIENT` stands for the order's client order id. */
export interface Control {
  readonly path: "/faults" | "/reads" | "/stream"
  readonly body: Readonly<Record<string, unknown>>
}

export interface Trial {
  readonly fault: string
  /** How the order is placed; a resting one is cancelled once it is known to rest. */
  readonly manner: Manner
  readonly controls: ReadonlyArray<Control>
  /** Something done to the exchange beside it, by another hand. */
  readonly byHand?: "placesItFirst" | "cancelsIt"
}

interface Fault {
  readonly name: string
  readonly manners: ReadonlyArray<Manner>
  readonly controls: (chance: Chance) => ReadonlyArray<Control>
  readonly byHand?: Trial["byHand"]
}

const place = "POST /api/v3/order"
const cancel = "DELETE /api/v3/order"
const all: ReadonlyArray<Manner> = ["market", "crossing", "resting", "immediate"]
const trading: ReadonlyArray<Manner> = ["market", "crossing"]
/** Of the simulator's margins: δ is 1,000 ms, and the exchange needs some of it to do what it does. */
const lateMillis = 850
const staleMillis = 850

const fault = (kind: string, more: Readonly<Record<string, unknown>> = {}, on = place): Control => ({
  path: "/faults",
  body: { on, kind, clientOrderId: "CLIENT", ...more }
})
const reads = (of: Readonly<Record<string, unknown>>): Control => ({
  path: "/reads",
  body: { clientOrderId: "CLIENT", ...of }
})
const events = (action: string, more: Readonly<Record<string, unknown>> = {}): Control => ({
  path: "/stream",
  body: { action, clientOrderId: "CLIENT", times: "always", ...more }
})
const late = (chance: Chance) => ({ afterDeadlineMillis: chance.whole(-2_000, lateMillis) })
const soon = (chance: Chance) => ({ afterMillis: chance.whole(0, 3_000) })

/** The faults that strike one order and nobody else. */
export const faults: ReadonlyArray<Fault> = [
  { name: "accepted, no answer", manners: all, controls: () => [fault("answerLost")] },
  { name: "accepted, connection reset", manners: all, controls: () => [fault("answerLost", { reset: true })] },
  { name: "never arrives", manners: all, controls: () => [fault("neverArrives")] },
  { name: "-1007, accepted later", manners: all, controls: (c) => [fault("timeout", { done: soon(c) })] },
  {
    name: "-1007, accepted at the last moment",
    manners: trading,
    controls: (c) => [fault("timeout", { done: late(c) })]
  },
  { name: "-1007, never accepted", manners: all, controls: () => [fault("timeout", { done: "never" })] },
  {
    name: "another code that tells nothing",
    manners: all,
    controls: (c) => [
      fault("timeout", { code: c.one([-1000, -1001, -1006, -1008, -1016]), done: c.one(["now", "never"]) })
    ]
  },
  {
    name: "503 in HTML, accepted later",
    manners: all,
    controls: (c) => [fault("unavailable", { status: c.one([500, 502, 503, 504]), done: late(c) })]
  },
  {
    name: "504 in HTML, never accepted",
    manners: all,
    controls: () => [fault("unavailable", { status: 504, done: "never" })]
  },
  { name: "no answer at all, accepted late", manners: trading, controls: (c) => [fault("hangs", { done: late(c) })] },
  { name: "answered late", manners: all, controls: (c) => [fault("answerLate", { millis: c.whole(500, 9_000) })] },
  {
    name: "held past its time, second check",
    manners: all,
    controls: (c) => [fault("held", { beyondDeadlineMillis: c.whole(1, 500), check: "second" })]
  },
  {
    name: "held past its time, third check",
    manners: all,
    controls: (c) => [fault("held", { beyondDeadlineMillis: c.whole(1, 500), check: "third" })]
  },
  {
    name: "answer lost, GET order never shows it",
    manners: all,
    controls: () => [fault("answerLost"), reads({ orders: "forever" })]
  },
  {
    name: "answer lost, every list lags",
    manners: all,
    controls: (c) => [fault("answerLost"), reads({ orders: "forever" }), reads({ histories: c.whole(1, staleMillis) })]
  },
  {
    name: "accepted at the last moment, and every read lags",
    manners: trading,
    controls: (c) => [
      fault("timeout", { done: { afterDeadlineMillis: c.whole(0, lateMillis) } }),
      reads({ orders: "forever" }),
      reads({ histories: c.whole(1, staleMillis) })
    ]
  },
  {
    name: "filled, and still open by its reads",
    manners: trading,
    controls: (c) => [reads({ orders: c.whole(500, 6_000) })]
  },
  { name: "its events are lost", manners: all, controls: () => [events("drop")] },
  { name: "its events come twice", manners: all, controls: () => [events("duplicate")] },
  { name: "its events come late", manners: all, controls: (c) => [events("delay", { millis: c.whole(100, 4_000) })] },
  { name: "its events change places", manners: all, controls: () => [events("reorder")] },
  {
    name: "filled before its cancel",
    manners: ["resting"],
    controls: () => [fault("filledFirst", { share: "whole" }, cancel)]
  },
  {
    name: "filled in part before its cancel",
    manners: ["resting"],
    controls: () => [fault("filledFirst", { share: "part" }, cancel)]
  },
  { name: "the cancel's answer is lost", manners: ["resting"], controls: () => [fault("answerLost", {}, cancel)] },
  // Were it filled meanwhile, its id would be free, and the exchange right to take another order by it.
  { name: "its id rests already", manners: ["far"], controls: () => [], byHand: "placesItFirst" },
  { name: "answer lost, filled", manners: ["market"], controls: () => [fault("answerLost")] },
  { name: "answer lost, expired", manners: ["immediate"], controls: () => [fault("answerLost")] },
  {
    name: "answer lost, cancelled by another hand",
    manners: ["resting"],
    controls: () => [fault("answerLost")],
    byHand: "cancelsIt"
  },
  { name: "the answer is cut", manners: all, controls: () => [fault("answerCut")] },
  {
    name: "the answer is no JSON",
    manners: all,
    controls: (c) => [fault("answerGarbled", { how: c.one(["short", "html", "empty", "wrongType"]) })]
  },
  { name: "410, a page of HTML", manners: all, controls: () => [fault("gone")] },
  { name: "403 of a firewall", manners: all, controls: () => [fault("blocked")] }
]

/** `count` trials of each fault. */
export const trialsOf = (chance: Chance, count: number): ReadonlyArray<Trial> =>
  faults.flatMap(({ byHand, controls, manners, name }) =>
    Array.from({ length: count }, (): Trial => {
      const trial = { fault: name, manner: chance.one(manners), controls: controls(chance) }
      return byHand === undefined ? trial : { ...trial, byHand }
    })
  )

export const plain = (fault: string, manner: Manner): Trial => ({ fault, manner, controls: [] })
