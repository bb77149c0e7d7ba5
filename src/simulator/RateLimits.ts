/**
 * Counts request weight per address and unfilled orders per account, in windows aligned to the clock.
 *
 * Always counted and shown; enforced only with real limits: first 429, and for who goes on regardless, 418.
 */
import type { Limits } from "./Market.ts"
import { banned, type Refusal, tooManyOrders, tooManyRequests } from "./Refusal.ts"

const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute

/** Refused requests within one minute after which an address is banned. */
const patience = 10
const firstBan = 2 * minute
const longestBan = 3 * day
/** What a first fill gives back; as a maker more, after the exchange's own example. */
const takerCredit = 1
const makerCredit = 5

interface Window {
  start: number
  count: number
}

interface Address {
  readonly weight: Window
  readonly requests: Window
  refusals: number
  bannedUntil: number
  nextBan: number
}

export interface Limit {
  readonly rateLimitType: "REQUEST_WEIGHT" | "ORDERS" | "RAW_REQUESTS"
  readonly interval: "SECOND" | "MINUTE" | "DAY"
  readonly intervalNum: number
  readonly limit: number
}

const weightLimit = 6_000
const ordersPerTenSeconds = 100
const ordersPerDay = 200_000
const rawLimit = 300_000
/** What is published while nothing is enforced: so much that no honest client slows down for it. */
const lifted = 1_000_000_000

export class RateLimits {
  readonly #enforced: boolean
  readonly #addresses = new Map<string, Address>()
  readonly #tenSeconds: Window = { start: 0, count: 0 }
  readonly #day: Window = { start: 0, count: 0 }

  constructor(limits: Limits) {
    this.#enforced = limits === "real"
  }

  published(): ReadonlyArray<Limit> {
    const most = (limit: number) => (this.#enforced ? limit : lifted)
    return [
      { rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: most(weightLimit) },
      { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: most(ordersPerTenSeconds) },
      { rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: most(ordersPerDay) },
      { rateLimitType: "RAW_REQUESTS", interval: "MINUTE", intervalNum: 5, limit: most(rawLimit) }
    ]
  }

  /** Before a request is looked at. */
  admit(address: string, now: number): Refusal | undefined {
    const known = this.#address(address)
    roll(known.requests, now, 5 * minute).count++
    if (roll(known.weight, now, minute).count === 0) known.refusals = 0
    if (!this.#enforced) return undefined
    if (now < known.bannedUntil) return banned(known.bannedUntil)
    if (known.weight.count < weightLimit && known.requests.count <= rawLimit) return undefined
    if (++known.refusals <= patience) return tooManyRequests(weightLimit)
    known.bannedUntil = now + known.nextBan
    known.nextBan = Math.min(known.nextBan * 2, longestBan)
    return banned(known.bannedUntil)
  }

  /** Before an order is placed. */
  admitOrder(now: number): Refusal | undefined {
    if (!this.#enforced) return undefined
    if (roll(this.#day, now, day).count >= ordersPerDay) return tooManyOrders(ordersPerDay, "DAY")
    return roll(this.#tenSeconds, now, 10 * second).count >= ordersPerTenSeconds
      ? tooManyOrders(ordersPerTenSeconds, "10 SECOND")
      : undefined
  }

  addWeight(address: string, weight: number, now: number): void {
    roll(this.#address(address).weight, now, minute).count += weight
  }

  /** Once the day is used up, the short window counts no further. */
  addOrder(now: number): void {
    if (++roll(this.#day, now, day).count <= ordersPerDay) roll(this.#tenSeconds, now, 10 * second).count++
  }

  /** At an order's first fill; the current windows get it, whenever the order was placed. */
  firstFill(isMaker: boolean, now: number): void {
    const credit = isMaker ? makerCredit : takerCredit
    for (const window of [roll(this.#day, now, day), roll(this.#tenSeconds, now, 10 * second)]) {
      window.count = Math.max(0, window.count - credit)
    }
  }

  usedWeight(address: string, now: number): number {
    return roll(this.#address(address).weight, now, minute).count
  }

  orderCounts(now: number): readonly [tenSeconds: number, day: number] {
    return [roll(this.#tenSeconds, now, 10 * second).count, roll(this.#day, now, day).count]
  }

  /** When the address may ask again, or the account place again; epoch milliseconds. */
  retryAt(address: string, refusal: Refusal, now: number): number {
    const { bannedUntil } = this.#address(address)
    if (refusal.status === 418) return bannedUntil
    if (refusal.code === tooManyRequests(0).code) return nextWindow(now, minute)
    return nextWindow(now, this.#day.count >= ordersPerDay ? day : 10 * second)
  }

  #address(address: string): Address {
    let known = this.#addresses.get(address)
    if (known === undefined) {
      known = {
        weight: { start: 0, count: 0 },
        requests: { start: 0, count: 0 },
        refusals: 0,
        bannedUntil: 0,
        nextBan: firstBan
      }
      // Bounded by the addresses of one machine: the simulator listens where it is told to, on loopback by default.
      this.#addresses.set(address, known)
    }
    return known
  }
}

const roll = (window: Window, now: number, length: number): Window => {
  const start = now - (now % length)
  if (window.start !== start) {
    window.start = start
    window.count = 0
  }
  return window
}

const nextWindow = (now: number, length: number): number => now - (now % length) + length
