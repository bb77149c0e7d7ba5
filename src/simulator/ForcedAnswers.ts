/**
 * Limits at a test's word: for a time, on the exchange's clock, everybody is refused as if a limit were used up.
 *
 * 429 with -1003 for all requests or with -1015 for those that place orders, 418 for a ban, 403 as a firewall answers.
 */
import { Schema } from "effect"
import type { Strike } from "./Faults.ts"
import { makeRandom } from "./Random.ts"
import { banned, blockedByFirewall, type Refusal, tooManyOrders, tooManyRequests } from "./Refusal.ts"

const longestMillis = 3 * 86_400_000

export const ForcedAnswer = Schema.Struct({
  status: Schema.Literals([429, 418, 403]),
  millis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: longestMillis })),
  /** Other than the time that is left, in whole seconds and rounded up. */
  retryAfterSeconds: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300_000 }))),
  /** `orders`: only requests that place an order, with -1015; of 429 alone. */
  of: Schema.optionalKey(Schema.Literals(["all", "orders"]))
})
export type ForcedAnswer = typeof ForcedAnswer.Type

interface Forced {
  readonly answer: ForcedAnswer
  readonly until: number
  struck: number
}

const places =
  /^POST \/api\/v3\/(order$|order\/cancelReplace|orderList\/|sor\/order$)|^(order|orderList|sor\.order)\.place|^order\.cancelReplace$/
/** Nothing about a forced answer is left to chance. */
const noChance = makeRandom(0)

export class ForcedAnswers {
  #forced: Array<Forced> = []

  add(answer: ForcedAnswer, now: number): void {
    this.#forced.push({ answer, until: now + answer.millis, struck: 0 })
  }

  clear(): void {
    this.#forced = []
  }

  list(now: number): ReadonlyArray<Forced> {
    return this.#forced.filter(({ until }) => now < until)
  }

  /** What a request of this name meets now, if anything. */
  of(name: string, now: number): Strike | undefined {
    const found = this.#find(name, now)
    if (found === undefined) return undefined
    const { answer, until } = found
    if (answer.status === 403) return { fault: { kind: "blocked" }, random: noChance }
    const { code, message, status } = refusalOf(found)
    const retryAfterSeconds = answer.retryAfterSeconds ?? Math.ceil((until - now) / 1_000)
    return { fault: { kind: "refused", status, code, message, retryAfterSeconds }, random: noChance }
  }

  /** What somebody meets who wants to open a WebSocket connection. */
  ofConnection(now: number): Refusal | undefined {
    const found = this.#find("", now)
    return found === undefined ? undefined : refusalOf(found)
  }

  #find(name: string, now: number): Forced | undefined {
    if (this.#forced.length === 0) return undefined
    const found = this.#forced.find(({ answer, until }) => now < until && (answer.of !== "orders" || places.test(name)))
    if (found !== undefined) found.struck++
    return found
  }
}

const refusalOf = ({ answer, until }: Forced): Refusal => {
  switch (answer.status) {
    case 403:
      return blockedByFirewall
    case 418:
      return banned(until)
    case 429:
      return answer.of === "orders" ? tooManyOrders(100, "10 SECOND", until) : tooManyRequests(until)
  }
}
