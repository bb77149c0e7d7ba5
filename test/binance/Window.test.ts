/** One window's accounts, alone: requests over its ends, lost ones, and counts of processes that know the clock differently. */
import { assert, describe, it } from "vitest"
import type { ExchangeTime, Kind, Window } from "../../src/binance/Window.ts"
import * as Budget from "../../src/binance/Window.ts"
import * as Report from "../../src/binance/WindowReport.ts"
import { makeShareLedger } from "./ShareLedger.ts"

const tenSeconds = { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: 50 }
const oneDay = { rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: 200 }
const oneMinute = { rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: 600 }

const windowOf = (limit: typeof oneMinute, isShared = false): Window => Budget.windowOf(limit, isShared, true)[0]!

/** The exchange's clock, known to within so many milliseconds. */
const known = (at: number, error: number): ExchangeTime => ({ there: at - error, latest: at + error })

const nobody = {
  cost: { cancel: 0, query: 0, submit: 0, refresh: 0 },
  heaviest: { cancel: 0, query: 0, submit: 0, refresh: 0 }
}

describe("a request that is under way", () => {
  it("over two ends of windows may count in the third", () => {
    const window = windowOf(tenSeconds)
    const sent = known(9_980, 20).there
    Budget.roll(window, sent)
    Budget.permit(window, "submit", 1)
    Budget.roll(window, known(10_100, 20).there)
    // By our lowest estimate still in the second window, by the highest in the third.
    Budget.settle(window, 1, sent, known(20_005, 20), { _tag: "Told", count: 1 })
    assert.strictEqual(Budget.taken(window), 1)

    Budget.roll(window, known(20_030, 20).there)

    assert.strictEqual(Budget.taken(window), 1)
    Budget.hear(window, { count: 0, from: 20_100, at: 20_120 })
    assert.strictEqual(Budget.taken(window), 0)
  })
})

describe("orders whose answers were lost", () => {
  it("hold their place until a count that has them if they were taken, and not the whole day", () => {
    const day = 86_400_000
    const window = windowOf(oneDay)
    Budget.roll(window, day)
    for (let lost = 0; lost < 100; lost++) {
      Budget.permit(window, "submit", 1)
      Budget.settle(window, 1, day + 1_000, known(day + 9_000, 5), { _tag: "Lost" })
    }
    const hear = (at: number) => Budget.hear(window, { count: 101, from: at, at: at + 20 })

    hear(day + 30_000)
    assert.strictEqual(Budget.taken(window), 201)
    hear(day + 70_000)
    assert.strictEqual(Budget.taken(window), 101)
  })
})

describe("a count that one replica was told", () => {
  it("is not replaced by a lower one of another that was under way at the same time", () => {
    const ledger = makeShareLedger()
    const answered = (
      window: Window,
      from: ExchangeTime,
      at: ExchangeTime,
      kind: Kind,
      cost: number,
      count: number
    ) => {
      Budget.roll(window, from.there)
      Budget.permit(window, kind, cost)
      Budget.settle(window, cost, from.there, at, { _tag: "Told", count })
    }
    const report = (me: string, window: Window, there: number) =>
      ledger.take(me, 1, [Report.ask(window, nobody, there)!], there)[0]!.told!.count
    const [vague, exact] = [windowOf(oneMinute, true), windowOf(oneMinute, true)]

    answered(vague, known(70_060, 50), known(70_070, 50), "query", 80, 90)
    answered(exact, known(70_050, 5), known(70_080, 5), "query", 10, 10)

    assert.strictEqual(report("vague", vague, 70_075), 90)
    assert.strictEqual(report("exact", exact, 70_085), 90)
  })
})
