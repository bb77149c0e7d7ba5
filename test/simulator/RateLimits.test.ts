import { assert, describe, it } from "@effect/vitest"
import { RateLimits } from "../../src/simulator/RateLimits.ts"

const midnight = Date.UTC(2026, 10, 25)

describe("the unfilled order count", () => {
  const counting = () => {
    const limits = new RateLimits("real")
    let now = midnight
    return {
      place: () => limits.addOrder(now),
      taker: () => limits.firstFill(false, now),
      maker: () => limits.firstFill(true, now),
      nextDay: () => (now += 86_400_000),
      count: () => limits.orderCounts(now)[1]
    }
  }

  it("a first fill as taker gives one back", () => {
    const { count, place, taker } = counting()
    place()
    place()
    taker()
    place()
    place()
    taker()

    assert.strictEqual(count(), 2)
  })

  it("a first fill as maker gives five back, and never more than there is", () => {
    const { count, maker, place } = counting()
    for (let n = 0; n < 5; n++) place()
    maker()
    const empty = count()
    place()
    place()
    maker()

    assert.strictEqual(empty, 0)
    assert.strictEqual(count(), 0)
  })

  it("fills of yesterday's orders give back of today's count", () => {
    const { count, nextDay, place, taker } = counting()
    for (let n = 0; n < 5; n++) place()
    nextDay()
    const fresh = count()
    for (let n = 0; n < 10; n++) place()
    for (let n = 0; n < 5; n++) taker()

    assert.strictEqual(fresh, 0)
    assert.strictEqual(count(), 5)
  })
})

describe("request weight", () => {
  it("is counted in minutes of the clock, not in sliding ones", () => {
    const limits = new RateLimits("off")
    limits.addWeight("a", 5, midnight + 59_000)

    assert.strictEqual(limits.usedWeight("a", midnight + 59_999), 5)
    assert.strictEqual(limits.usedWeight("a", midnight + 60_000), 0)
    assert.strictEqual(limits.usedWeight("b", midnight + 59_999), 0)
  })

  it("refuses with 429 when used up, then with 418 who goes on, and lets in again after the ban", () => {
    const limits = new RateLimits("real")
    const now = midnight + 1_000
    limits.addWeight("a", 6_000, now)

    const statuses = Array.from({ length: 12 }, () => limits.admit("a", now)?.status)

    assert.deepStrictEqual(
      statuses.slice(0, 10),
      Array.from({ length: 10 }, () => 429)
    )
    assert.deepStrictEqual(statuses.slice(10), [418, 418])
    assert.strictEqual(limits.admit("b", now), undefined)
    assert.strictEqual(limits.admit("a", now + 119_000)?.status, 418)
    assert.strictEqual(limits.admit("a", now + 120_000), undefined)
  })

  it("is never refused with limits off", () => {
    const limits = new RateLimits("off")
    limits.addWeight("a", 1_000_000, midnight)

    assert.strictEqual(limits.admit("a", midnight), undefined)
  })

  it("the hundred and first unfilled order of ten seconds is refused, the next window takes it", () => {
    const limits = new RateLimits("real")
    for (let n = 0; n < 100; n++) limits.addOrder(midnight)

    assert.deepInclude(limits.admitOrder(midnight + 9_999), { status: 429, code: -1015 })
    assert.strictEqual(limits.admitOrder(midnight + 10_000), undefined)
  })
})
