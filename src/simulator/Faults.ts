/**
 * What goes wrong on purpose, and when: single faults for the next requests, and rates drawn from a seed.
 *
 * A fault names the request it is for as `POST /api/v3/order`. Single faults come first, in the order they were given.
 */
import { makeRandom, type Random } from "./Random.ts"

export type FaultKind =
  /** Done, but the connection is cut instead of an answer. */
  | { readonly kind: "answerLost" }
  /** Done at once, answered after so long. */
  | { readonly kind: "answerLate"; readonly millis: number }
  /** Done, and the answer is cut in the middle. */
  | { readonly kind: "answerCut" }
  /** Cut before anything is done. */
  | { readonly kind: "neverArrives" }
  /** Waits so long before it is looked at; its timestamp may be too old by then. */
  | { readonly kind: "held"; readonly millis: number }
  /** 503 with a page of HTML, done or not. */
  | { readonly kind: "unavailable"; readonly isDone: boolean }
  /** -1007; the request is done after so long, or never. */
  | { readonly kind: "timeout"; readonly doneAfterMillis: number | "never" }
  /** Not done, and refused with this answer. */
  | {
      readonly kind: "refused"
      readonly status: number
      readonly code: number
      readonly message: string
      readonly retryAfterSeconds?: number
    }
  /** A cancel whose order is filled just before it. */
  | { readonly kind: "filledFirst" }

export type Fault = FaultKind & { readonly on: string }
export type Rate = Fault & { readonly probability: number }

export class FaultTable {
  readonly #random: Random
  #next: Array<Fault> = []
  #rates: ReadonlyArray<Rate> = []

  constructor(seed: number) {
    this.#random = makeRandom(seed)
  }

  next(fault: Fault): void {
    this.#next.push(fault)
  }

  /** Replaces the rates. For each request they are tried in order; at most one strikes. */
  rates(rates: ReadonlyArray<Rate>): void {
    this.#rates = rates
  }

  clear(): void {
    this.#next = []
    this.#rates = []
  }

  /** Single faults that have not struck yet. */
  get waiting(): number {
    return this.#next.length
  }

  take(on: string): FaultKind | undefined {
    if (this.#next.length > 0) {
      const at = this.#next.findIndex((fault) => fault.on === on)
      if (at >= 0) return this.#next.splice(at, 1)[0]
    }
    return this.#rates.find((rate) => rate.on === on && this.#random.next() < rate.probability)
  }
}
