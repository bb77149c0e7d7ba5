import { assert, describe, it } from "@effect/vitest"
import { type LimitTable, RateLimits } from "../../src/simulator/RateLimits.ts"

const midnight = Date.UTC(2026, 10, 25)
const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute

describe("the unfilled order count, after the tables of Binance's FAQ", () => {
  type Event = "new" | "taker" | "maker" | "cancel" | "further fill" | "expiry"
  type Row = readonly [at: number, what: Event, count: number]

  const tables: ReadonlyArray<readonly [name: string, rows: ReadonlyArray<Row>]> = [
    [
      "orders that fill as taker give one back, at their first fill alone",
      [
        [1, "new", 1],
        [2, "new", 2],
        [2, "taker", 1],
        [3, "new", 2],
        [4, "further fill", 2],
        [4, "further fill", 2],
        [5, "new", 3],
        [5, "taker", 2]
      ]
    ],
    [
      "orders that fill as maker give five back, and never more than there is",
      [
        [1, "new", 1],
        [1, "new", 2],
        [2, "new", 3],
        [2, "new", 4],
        [2, "new", 5],
        [3, "maker", 0],
        [4, "new", 1],
        [4, "new", 2],
        [5, "further fill", 2],
        [5, "further fill", 2],
        [5, "maker", 0],
        [6, "new", 1]
      ]
    ],
    [
      "cancelled and expired orders give nothing back",
      [
        [1, "new", 1],
        [2, "cancel", 1],
        [3, "new", 2],
        [4, "new", 3],
        [4, "taker", 2],
        [5, "new", 3],
        [6, "new", 4],
        [6, "expiry", 4],
        [7, "cancel", 4],
        [8, "new", 5]
      ]
    ]
  ]

  const happen = (limits: RateLimits, what: Event, now: number): void => {
    if (what === "new") limits.addOrder(now)
    if (what === "taker") limits.firstFill(false, now)
    if (what === "maker") limits.firstFill(true, now)
  }

  it.each(tables)("%s", (_, rows) => {
    const limits = new RateLimits("real")
    for (const [at, what, count] of rows) {
      const now = midnight + at * second
      happen(limits, what, now)

      assert.deepStrictEqual(limits.orderCounts(now), [count, count], `${what} at ${at} s`)
    }
  })

  it("fills of yesterday's orders give back of today's count", () => {
    const limits = new RateLimits("real")
    let now = midnight + 23 * 60 * minute
    const counts: Array<number> = []
    const times = (n: number, what: Event) => {
      for (let left = n; left > 0; left--) happen(limits, what, now)
      counts.push(limits.orderCounts(now)[1])
    }

    times(5, "new")
    now = midnight + day
    times(0, "new")
    times(10, "new")
    times(5, "taker")
    times(5, "taker")
    times(2, "new")
    times(5, "taker")

    assert.deepStrictEqual(counts, [5, 0, 10, 5, 0, 2, 0])
  })
})

describe("the limit on orders", () => {
  it("the hundred and first unfilled order of ten seconds is refused until the window's end", () => {
    const limits = new RateLimits("real")
    for (let n = 0; n < 100; n++) limits.addOrder(midnight)

    assert.deepInclude(limits.admitOrder(midnight + 9_999), {
      status: 429,
      code: -1015,
      message: "Too many new orders; current limit is 100 orders per 10 SECOND.",
      retryAt: midnight + 10_000
    })
    assert.isUndefined(limits.admitOrder(midnight + 10_000))
  })

  it("an exhausted day blocks though the ten seconds have room, and stops their count", () => {
    const limits = new RateLimits("real", { ordersPerDay: 3 })
    for (let n = 0; n < 4; n++) limits.addOrder(midnight + n)

    assert.deepStrictEqual(limits.orderCounts(midnight + 5), [3, 4])
    assert.deepInclude(limits.admitOrder(midnight + minute), { code: -1015, retryAt: midnight + day })
  })

  it("a list needs room for all its orders", () => {
    const limits = new RateLimits("real", { ordersPerTenSeconds: 4 })
    limits.addOrder(midnight)
    limits.addOrder(midnight)

    assert.isUndefined(limits.admitOrder(midnight, 2))
    assert.strictEqual(limits.admitOrder(midnight, 3)?.code, -1015)
  })
})

describe("request weight", () => {
  it("is counted in minutes of the clock, not in sliding ones, and per address", () => {
    const limits = new RateLimits("off")
    limits.addWeight("a", 5, midnight + 59_000)

    assert.strictEqual(limits.usedWeight("a", midnight + 59_999), 5)
    assert.strictEqual(limits.usedWeight("a", midnight + minute), 0)
    assert.strictEqual(limits.usedWeight("b", midnight + 59_999), 0)
  })

  it("is spent to the last, and not beyond", () => {
    const limits = new RateLimits("real")
    limits.addWeight("a", 5_980, midnight)

    assert.isUndefined(limits.admit("a", 20, midnight))
    assert.deepInclude(limits.admit("a", 21, midnight + 1), { status: 429, code: -1003, retryAt: midnight + minute })
    assert.isUndefined(limits.admit("a", 20, midnight + 2))
  })

  it("refuses with 429 when used up, then with 418 who goes on, and lets in again after the ban", () => {
    const limits = new RateLimits("real")
    const now = midnight + 1_000
    limits.addWeight("a", 6_000, now)

    const statuses = Array.from({ length: 12 }, () => limits.admit("a", 1, now)?.status)

    assert.deepStrictEqual(
      statuses.slice(0, 10),
      Array.from({ length: 10 }, () => 429)
    )
    assert.deepStrictEqual(statuses.slice(10), [418, 418])
    assert.isUndefined(limits.admit("b", 1, now))
    assert.strictEqual(limits.admit("a", 1, now + 119_000)?.status, 418)
    assert.isUndefined(limits.admit("a", 1, now + 120_000))
  })

  it("bans grow from 2 minutes to 3 days", () => {
    const limits = new RateLimits("real", { weightPerMinute: 0 })
    const lengths: Array<number> = []
    let now = midnight
    for (let n = 0; n < 13; n++) {
      let refusal = limits.admit("a", 1, now)
      while (refusal?.status !== 418) refusal = limits.admit("a", 1, now)
      const until = refusal.retryAt ?? now
      lengths.push((until - now) / minute)
      now = until
    }

    assert.deepStrictEqual(lengths, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 4_320])
  })

  it("429s of different minutes do not add up to a ban", () => {
    const limits = new RateLimits("real", { weightPerMinute: 0 })
    const statuses = Array.from({ length: 60 }, (_, n) => limits.admit("a", 1, midnight + n * 10 * second)?.status)

    assert.deepStrictEqual(new Set(statuses), new Set([429]))
  })
})

describe("raw requests and connections", () => {
  const small: Partial<LimitTable> = { rawPerFiveMinutes: 3, connectionsPerFiveMinutes: 2 }

  it("the requests of five minutes are limited whatever they weigh", () => {
    const limits = new RateLimits("real", small)
    const admitted = Array.from({ length: 4 }, () => limits.admit("a", 0, midnight)?.code)

    assert.deepStrictEqual(admitted, [undefined, undefined, undefined, -1003])
    assert.isUndefined(limits.admit("a", 0, midnight + 5 * minute))
  })

  it("the connections of five minutes are limited, also the attempts that failed", () => {
    const limits = new RateLimits("real", small)
    const admitted = Array.from({ length: 4 }, () => limits.admitConnection("a", midnight)?.code)

    assert.deepStrictEqual(admitted, [undefined, undefined, -1034, -1034])
    assert.isUndefined(limits.admitConnection("b", midnight))
    assert.isUndefined(limits.admitConnection("a", midnight + 5 * minute))
  })

  it("nothing is refused with limits off, and the published limits are beyond reach", () => {
    const limits = new RateLimits("off", small)
    limits.addWeight("a", 1_000_000, midnight)
    for (let n = 0; n < 10; n++) limits.admit("a", 1, midnight)

    assert.isUndefined(limits.admit("a", 1, midnight))
    assert.isUndefined(limits.admitConnection("a", midnight))
    assert.isUndefined(limits.admitOrder(midnight, 1_000))
    assert.isTrue(limits.published().every(({ limit }) => limit === 1_000_000_000))
  })
})
