/** The request budget: aligned windows, headers, precedence and bans, under a clock that the test moves. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RateLimited } from "../../src/binance/BinanceError.ts"
import { type Kind, RateLimits } from "../../src/binance/RateLimits.ts"

const perMinute = { rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: 100 }
const perTenSeconds = { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: 5 }

const withLimits = <A, E>(use: (limits: RateLimits["Service"]) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const limits = yield* RateLimits
    yield* limits.learn([perMinute, perTenSeconds])
    // Half a second into a minute.
    yield* TestClock.setTime(60_000_500)
    return yield* use(limits)
  }).pipe(Effect.provide(RateLimits.layer))

const answered = (headers: Readonly<Record<string, string>>) => ({ status: 200, headers, body: "{}" })

describe("a window of weight", () => {
  it.effect("that is nearly full lets pass who comes first in precedence", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const spend = yield* limits.acquire("cancel", 1)
        yield* TestClock.adjust("10 seconds")
        yield* limits.observe(spend, answered({ "x-mbx-used-weight-1m": "90" }))

        const waits = yield* Effect.forEach(["cancel", "query", "submit", "refresh"] as const, (kind: Kind) =>
          limits.waitMillis(kind, 5)
        )

        assert.deepStrictEqual(
          waits.map((wait) => wait > 0),
          [false, false, true, true]
        )
      })
    )
  )

  it.effect("opens again at the exchange's full minute, and not a minute after it filled", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const spend = yield* limits.acquire("query", 5)
        yield* TestClock.adjust("50 seconds")
        yield* limits.observe(spend, answered({ "x-mbx-used-weight-1m": "100" }))

        const waiting = yield* Effect.forkChild(limits.acquire("cancel", 1))
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 second")

        yield* Fiber.join(waiting)
      })
    )
  )

  it.effect("follows the exchange's clock where ours differs", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.align({ now: 60_030_500, errorMillis: 100, driftPerMilli: 0 })
        const spend = yield* limits.acquire("query", 5)
        yield* limits.observe(spend, answered({ "x-mbx-used-weight-1m": "100" }))

        assert.approximately(yield* limits.waitMillis("cancel", 1), 29_600, 1)
      })
    )
  )

  it.effect("counts what is in flight, so that requests side by side do not all fit", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const held = yield* Effect.forEach([1, 2, 3, 4], () => limits.acquire("query", 20))
        assert.isAbove(yield* limits.waitMillis("query", 20), 0)

        yield* limits.giveBack(held[0]!)
        yield* limits.giveBack(held[0]!)

        assert.strictEqual(yield* limits.waitMillis("query", 20), 0)
        assert.isAbove(yield* limits.waitMillis("query", 40), 0)
      })
    )
  )

  it.effect("takes a request that is heavier than its share when nobody else uses it", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* limits.waitMillis("refresh", 80), 0)
      })
    )
  )

  it.effect("is not fooled by an answer that another one overtook", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const [first, second] = [yield* limits.acquire("query", 1), yield* limits.acquire("query", 1)]
        yield* TestClock.adjust("10 seconds")
        yield* limits.observe(second, answered({ "x-mbx-used-weight-1m": "99" }))

        yield* limits.observe(first, answered({ "x-mbx-used-weight-1m": "20" }))

        assert.isAbove(yield* limits.waitMillis("query", 1), 0)
      })
    )
  )
})

describe("at the end of a window a request", () => {
  // Unmeasured, the exchange's clock may differ from ours by 100 ms either way.
  it.effect("that may count in the next one is held against that too, till a count is sure to have it", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(119_950)
        const late = yield* limits.acquire("cancel", 40)
        yield* TestClock.adjust(20)
        // The exchange was at 120,030 by then, and this is the count of its new window.
        yield* limits.observe(late, answered({ "x-mbx-used-weight-1m": "40" }))
        yield* TestClock.setTime(120_150)

        // Room for one more is kept, whose answer will tell.
        const early = yield* limits.acquire("cancel", 59)
        yield* limits.observe(early, answered({ "x-mbx-used-weight-1m": "59" }))
        assert.isAbove(yield* limits.waitMillis("cancel", 2), 0)
        yield* TestClock.adjust(200)
        yield* limits.observe(yield* limits.acquire("cancel", 1), answered({ "x-mbx-used-weight-1m": "60" }))
        assert.strictEqual(yield* limits.waitMillis("cancel", 40), 0)
      })
    )
  )
})

describe("a window of orders", () => {
  it.effect("that has begun is not begun again when the exchange's clock is measured less exactly", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.align({ now: 60_000_500, errorMillis: 2, driftPerMilli: 0 })
        // Three milliseconds into a window, at the earliest.
        yield* TestClock.setTime(60_010_005)
        for (let count = 1; count <= perTenSeconds.limit; count++) {
          yield* limits.observe(yield* limits.acquire("submit", 1), answered({ "x-mbx-order-count-10s": `${count}` }))
        }

        yield* limits.align({ now: 60_010_005, errorMillis: 40, driftPerMilli: 0 })

        assert.isAbove(yield* limits.waitMillis("submit", 1), 0)
        yield* TestClock.adjust(100)
        assert.isAbove(yield* limits.waitMillis("submit", 1), 0)
      })
    )
  )

  it.effect("does not fill the next one with orders of its last moments", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.align({ now: 60_000_500, errorMillis: 20, driftPerMilli: 0 })
        const sentAt: Array<number> = []
        const one = Effect.gen(function* () {
          const allowance = yield* limits.acquire("submit", 1)
          const at = yield* Clock.currentTimeMillis
          sentAt.push(at)
          yield* Effect.sleep(20)
          const inItsWindow = sentAt.filter((sent) => Math.floor(sent / 10_000) === Math.floor(at / 10_000)).length
          yield* limits.observe(allowance, answered({ "x-mbx-order-count-10s": `${inItsWindow}` }))
        })
        yield* TestClock.setTime(60_009_985)
        for (let order = 0; order < 2 * perTenSeconds.limit - 1; order++) yield* Effect.forkChild(one)
        for (let passed = 0; passed < 1_000; passed += 5) yield* TestClock.adjust(5)

        assert.strictEqual(sentAt.length, 2 * perTenSeconds.limit - 1)
      })
    )
  )

  it.effect("keeps room for the order whose answer tells that those under way at its beginning are not in it", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.align({ now: 60_000_500, errorMillis: 5, driftPerMilli: 0 })
        const counts = new Map<number, number>()
        const sentAt: Array<number> = []
        const one = Effect.gen(function* () {
          const allowance = yield* limits.acquire("submit", 1)
          yield* Effect.sleep(50)
          const at = yield* Clock.currentTimeMillis
          const id = Math.floor(at / 10_000)
          counts.set(id, (counts.get(id) ?? 0) + 1)
          sentAt.push(at)
          yield* Effect.sleep(50)
          yield* limits.observe(allowance, answered({ "x-mbx-order-count-10s": `${counts.get(id)}` }))
        })
        yield* TestClock.setTime(60_009_930)
        for (let order = 0; order < 4; order++) yield* Effect.forkChild(one)
        yield* TestClock.adjust(75)
        for (let order = 0; order < 4; order++) yield* Effect.forkChild(one)
        for (let passed = 0; passed < 1_000; passed += 5) yield* TestClock.adjust(5)

        assert.deepStrictEqual([...counts.values()], [4, 4])
        assert.isBelow(sentAt.at(-1)!, 60_010_500)
      })
    )
  )
})

describe("the count of unfilled orders", () => {
  it.effect("stops new orders only, and falls when the exchange says so", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const order = yield* limits.acquire("submit", 1)
        yield* limits.observe(order, answered({ "x-mbx-order-count-10s": "4" }))
        yield* TestClock.adjust("10 millis")
        const next = yield* limits.acquire("submit", 1)
        assert.isAbove(yield* limits.waitMillis("submit", 1), 0)
        assert.strictEqual(yield* limits.waitMillis("query", 1), 0)

        yield* limits.observe(next, answered({ "x-mbx-order-count-10s": "1" }))

        assert.strictEqual(yield* limits.waitMillis("submit", 1), 0)
      })
    )
  )
})

describe("a ban", () => {
  const limited = (code: string) => new RateLimited({ code, retryAfterMillis: 30_000, exchangeMessage: "" })

  it.effect("holds back everything until it is over", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.obey(limited("-1003"))

        const waiting = yield* Effect.forkChild(limits.acquire("cancel", 1))
        yield* TestClock.adjust("29 seconds")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 second")

        yield* Fiber.join(waiting)
      })
    )
  )

  it.effect("of new orders leaves cancels and queries alone", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.obey(limited("-1015"))

        assert.strictEqual(yield* limits.waitMillis("submit", 1), 30_000)
        assert.strictEqual(yield* limits.waitMillis("cancel", 1), 0)
      })
    )
  )

  it.effect("is not shortened by a shorter one", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.obey(limited("-1003"))
        yield* limits.obey(new RateLimited({ code: "-1003", retryAfterMillis: 1_000, exchangeMessage: "" }))

        assert.strictEqual(yield* limits.waitMillis("query", 1), 30_000)
      })
    )
  )
})

describe("those who wait", () => {
  const full = (limits: RateLimits["Service"]) =>
    Effect.gen(function* () {
      const spend = yield* limits.acquire("cancel", 1)
      yield* TestClock.adjust("10 seconds")
      yield* limits.observe(spend, answered({ "x-mbx-used-weight-1m": "100" }))
    })

  it.effect("are served by precedence and then by arrival when the window opens", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* full(limits)
        const order: Array<string> = []
        const wait = (kind: Kind, name: string) =>
          Effect.forkChild(Effect.map(limits.acquire(kind, 1), () => order.push(name)))
        yield* wait("refresh", "refresh")
        yield* wait("submit", "submit 1")
        yield* wait("query", "query")
        yield* wait("submit", "submit 2")
        yield* wait("cancel", "cancel")

        yield* TestClock.adjust("51 seconds")

        assert.deepStrictEqual(order, ["cancel", "query", "submit 1", "submit 2", "refresh"])
      })
    )
  )

  it.effect("leave nothing behind when they go", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* full(limits)
        const impatient = yield* Effect.forkChild(limits.acquire("query", 90))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(impatient)

        yield* TestClock.adjust("50 seconds")

        assert.strictEqual(yield* limits.waitMillis("query", 90), 0)
      })
    )
  )

  it.effect("are served at once when somebody gives back what they need", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const held = yield* limits.acquire("query", 90)
        const waiting = yield* Effect.forkChild(limits.acquire("query", 20))
        yield* TestClock.adjust("1 milli")
        assert.isUndefined(waiting.pollUnsafe())

        yield* limits.giveBack(held)
        yield* TestClock.adjust("0 millis")

        assert.isDefined(waiting.pollUnsafe())
      })
    )
  )

  it.effect("for orders' own limit hold back nobody else", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* Effect.forEach([1, 2, 3, 4, 5], () => limits.acquire("submit", 1))
        yield* Effect.forkChild(limits.acquire("submit", 1))
        yield* TestClock.adjust("1 milli")

        yield* limits.acquire("refresh", 1)
        yield* limits.acquire("query", 1)
      })
    )
  )

  it.effect("are told how long, those before them counted in", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* Effect.forEach([1, 2, 3, 4, 5], () => limits.acquire("submit", 1))
        const first = yield* limits.waitMillis("submit", 1)
        yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.forkChild(limits.acquire("submit", 1)))
        yield* TestClock.adjust("1 milli")

        const behindOthers = yield* limits.waitMillis("submit", 1)

        // The window of ten seconds began half a second ago; five more take the next one.
        assert.deepStrictEqual([first, behindOthers], [9_600, 19_599])
        assert.strictEqual((yield* limits.forecast).waitMillis.submit, 19_599)
      })
    )
  )
})

describe("what is kept for cancels", () => {
  it.effect("shrinks with the window, so that the budget is used and not lost", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const spend = yield* limits.acquire("cancel", 1)
        yield* TestClock.adjust("10 seconds")
        yield* limits.observe(spend, answered({ "x-mbx-used-weight-1m": "90" }))
        const early = yield* limits.waitMillis("submit", 1)

        yield* TestClock.adjust("40 seconds")

        assert.isAbove(early, 1_000)
        assert.isBelow(early, 49_000)
        assert.strictEqual(yield* limits.waitMillis("submit", 1), 0)
      })
    )
  )
})
