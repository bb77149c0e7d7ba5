/**
 * Counts request weight, raw requests and connections per address, and unfilled orders per account, in windows aligned
 * to the clock.
 *
 * Always counted and shown; enforced only with real limits: first 429, and for who goes on regardless, 418 with bans
 * that grow.
 */
import type { Limits } from "./Market.ts"
import { openQuestions } from "./openQuestions.ts"
import { banned, type Refusal, tooManyConnections, tooManyOrders, tooManyRequests, tooMuchWeight } from "./Refusal.ts"

const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute

const tenSeconds = 10 * second
const fiveMinutes = 5 * minute

const firstBan = 2 * minute
const longestBan = 3 * day
/** What an order's first fill as taker gives back. */
const takerCredit = 1

/** How much is allowed; the exchange's own numbers unless a proof wants others. */
export interface LimitTable {
  readonly weightPerMinute: number
  readonly rawPerFiveMinutes: number
  readonly ordersPerTenSeconds: number
  readonly ordersPerDay: number
  readonly connectionsPerFiveMinutes: number
}

export const realLimits: LimitTable = {
  weightPerMinute: 6_000,
  rawPerFiveMinutes: 300_000,
  ordersPerTenSeconds: 100,
  ordersPerDay: 200_000,
  connectionsPerFiveMinutes: 300
}

/** What is published while nothing is enforced: so much that no honest client slows down for it. */
const lifted = 1_000_000_000

interface Window {
  start: number
  count: number
}

interface Address {
  readonly weight: Window
  readonly requests: Window
  readonly connections: Window
  /** Requests of the current minute that were refused. */
  readonly refusals: Window
  bannedUntil: number
  nextBan: number
}

export interface Limit {
  readonly rateLimitType: "REQUEST_WEIGHT" | "ORDERS" | "RAW_REQUESTS"
  readonly interval: "SECOND" | "MINUTE" | "DAY"
  readonly intervalNum: number
  readonly limit: number
}

export interface CountedLimit extends Limit {
  readonly count: number
}

export class RateLimits {
  readonly #enforced: boolean
  readonly #table: LimitTable
  readonly #addresses = new Map<string, Address>()
  readonly #tenSeconds: Window = emptyWindow()
  readonly #day: Window = emptyWindow()

  constructor(limits: Limits, table: Partial<LimitTable> = {}) {
    this.#enforced = limits === "real"
    this.#table = { ...realLimits, ...table }
  }

  get isEnforced(): boolean {
    return this.#enforced
  }

  published(): ReadonlyArray<Limit> {
    const { ordersPerDay, ordersPerTenSeconds, rawPerFiveMinutes, weightPerMinute } = this.#table
    const most = (limit: number) => (this.#enforced ? limit : lifted)
    return [
      { rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: most(weightPerMinute) },
      { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: most(ordersPerTenSeconds) },
      { rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: most(ordersPerDay) },
      { rateLimitType: "RAW_REQUESTS", interval: "MINUTE", intervalNum: 5, limit: most(rawPerFiveMinutes) }
    ]
  }

  /** Before a request is looked at: would its weight be too much, or has its address been banned? */
  admit(address: string, weight: number, now: number): Refusal | undefined {
    const known = this.#address(address)
    const requests = ++roll(known.requests, now, fiveMinutes).count
    if (!this.#enforced) return undefined
    if (now < known.bannedUntil) return banned(known.bannedUntil)
    const { rawPerFiveMinutes, weightPerMinute } = this.#table
    const isTooHeavy = roll(known.weight, now, minute).count + weight > weightPerMinute
    if (!isTooHeavy && requests <= rawPerFiveMinutes) return undefined
    if (++roll(known.refusals, now, minute).count > openQuestions.refusalsBeforeBan) return this.#ban(known, now)
    return isTooHeavy
      ? tooMuchWeight(weightPerMinute, nextWindow(now, minute))
      : tooManyRequests(nextWindow(now, fiveMinutes))
  }

  /** Before a WebSocket is opened; every attempt counts. */
  admitConnection(address: string, now: number): Refusal | undefined {
    const known = this.#address(address)
    const attempts = ++roll(known.connections, now, fiveMinutes).count
    if (!this.#enforced) return undefined
    if (now < known.bannedUntil) return banned(known.bannedUntil)
    const { connectionsPerFiveMinutes } = this.#table
    return attempts <= connectionsPerFiveMinutes
      ? undefined
      : tooManyConnections(connectionsPerFiveMinutes, nextWindow(now, fiveMinutes))
  }

  /** Before so many orders are placed. An exhausted day blocks though the ten seconds have room. */
  admitOrder(now: number, orders = 1): Refusal | undefined {
    if (!this.#enforced) return undefined
    const { ordersPerDay, ordersPerTenSeconds } = this.#table
    if (roll(this.#day, now, day).count + orders > ordersPerDay) {
      return tooManyOrders(ordersPerDay, "1 DAY", nextWindow(now, day))
    }
    return roll(this.#tenSeconds, now, tenSeconds).count + orders > ordersPerTenSeconds
      ? tooManyOrders(ordersPerTenSeconds, "10 SECOND", nextWindow(now, tenSeconds))
      : undefined
  }

  addWeight(address: string, weight: number, now: number): void {
    roll(this.#address(address).weight, now, minute).count += weight
  }

  /** Once the day is exceeded, the short window counts no further. */
  addOrder(now: number): void {
    if (++roll(this.#day, now, day).count <= this.#table.ordersPerDay) roll(this.#tenSeconds, now, tenSeconds).count++
  }

  /** At an order's first fill; the current windows get it, whenever the order was placed. */
  firstFill(isMaker: boolean, now: number): void {
    const credit = isMaker ? openQuestions.makerCredit : takerCredit
    for (const window of [roll(this.#day, now, day), roll(this.#tenSeconds, now, tenSeconds)]) {
      window.count = Math.max(0, window.count - credit)
    }
  }

  usedWeight(address: string, now: number): number {
    return roll(this.#address(address).weight, now, minute).count
  }

  orderCounts(now: number): readonly [tenSeconds: number, day: number] {
    return [roll(this.#tenSeconds, now, tenSeconds).count, roll(this.#day, now, day).count]
  }

  /** The limits of the account with what is used of them. */
  orderLimits(now: number): ReadonlyArray<CountedLimit> {
    const [ofTenSeconds, ofDay] = this.orderCounts(now)
    const [, tenSecondLimit, dayLimit] = this.published()
    return [
      { ...tenSecondLimit!, count: ofTenSeconds },
      { ...dayLimit!, count: ofDay }
    ]
  }

  /** The limit of an address with what is used of it. */
  weightLimit(address: string, now: number): CountedLimit {
    return { ...this.published()[0]!, count: this.usedWeight(address, now) }
  }

  #ban(known: Address, now: number): Refusal {
    known.bannedUntil = now + known.nextBan
    known.nextBan = Math.min(known.nextBan * openQuestions.banGrowth, longestBan)
    known.refusals.count = 0
    return banned(known.bannedUntil)
  }

  #address(address: string): Address {
    let known = this.#addresses.get(address)
    if (known === undefined) {
      known = {
        weight: emptyWindow(),
        requests: emptyWindow(),
        connections: emptyWindow(),
        refusals: emptyWindow(),
        bannedUntil: 0,
        nextBan: firstBan
      }
      // Bounded by the addresses of one machine: the simulator listens where it is told to, on loopback by default.
      this.#addresses.set(address, known)
    }
    return known
  }
}

const emptyWindow = (): Window => ({ start: 0, count: 0 })

const roll = (window: Window, now: number, length: number): Window => {
  const start = now - (now % length)
  if (window.start !== start) {
    window.start = start
    window.count = 0
  }
  return window
}

const nextWindow = (now: number, length: number): number => now - (now % length) + length
