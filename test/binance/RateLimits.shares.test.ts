/**
 * Replicas that share a budget, with different ideas of the exchange's clock: in none of the exchange's own windows do
 * they use more than it allows, whenever the demand comes, and whatever becomes of their reports.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Kind, RateLimits } from "../../src/binance/RateLimits.ts"
import { makeShareLedger } from "./ShareLedger.ts"

const orders = { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: 50 }
const weight = { rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: 100 }
const windowMillis = 10_000
// The beginning of a window of every length.
const start = 60_000_000

type Replica = RateLimits["Service"]
type Ledger = ReturnType<typeof makeShareLedger>

/** Ends with `scope` only: its last report takes time, which passes no more when the test is over. */
const replicaOn = Effect.fnUntraced(function* (
  ledger: Ledger,
  me: string,
  limit: typeof orders,
  errorMillis: number,
  isCut?: () => boolean,
  reportMillis = 4
) {
  const scope = yield* Scope.make()
  const layer = Layer.fresh(RateLimits.sharedLayer).pipe(Layer.provide(ledger.portOf(me, reportMillis, isCut)))
  const replica = Context.get(yield* Layer.buildWithScope(layer, scope), RateLimits)
  yield* replica.learn([limit])
  yield* replica.align({ now: yield* Clock.currentTimeMillis, errorMillis, driftPerMilli: 0 })
  return { ...replica, end: Scope.close(scope, Exit.void) }
})

/** Counts by its own windows, as the exchange does. */
const makeJudge = (header: string, lengthMillis: number) => {
  const counts = new Map<number, number>()
  return {
    counts,
    take: (at: number, cost: number) => {
      const id = Math.floor(at / lengthMillis)
      const count = (counts.get(id) ?? 0) + cost
      counts.set(id, count)
      return { status: 200, headers: { [header]: `${count}` }, body: "{}" }
    }
  }
}

const ask = Effect.fnUntraced(function* (
  replica: Replica,
  judge: ReturnType<typeof makeJudge>,
  kind: Kind,
  cost: number,
  tripMillis: number
) {
  const allowance = yield* replica.acquire(kind, cost)
  yield* Effect.sleep(tripMillis / 2)
  const answer = judge.take(yield* Clock.currentTimeMillis, cost)
  yield* Effect.sleep(tripMillis / 2)
  yield* replica.observe(allowance, answer)
})

const pass = Effect.fnUntraced(function* (millis: number) {
  for (let passed = 0; passed < millis; passed++) yield* TestClock.adjust(1)
})

const bounds: ReadonlyArray<readonly [errors: ReadonlyArray<number>, tripMillis: number]> = [
  [[5, 5, 5], 20],
  [[20, 20, 20], 100],
  [[50, 5, 5], 20],
  [[100, 100, 100], 20],
  [[200, 5, 5], 20],
  [[1_000, 5, 5], 20]
]

describe("replicas whose clocks are known to within", () => {
  for (const [errors, tripMillis] of bounds) {
    it.effect.each([9_700, 9_980, 9_995, 10_000, 10_010])(
      `${errors.join(", ")} ms, and requests of ${tripMillis} ms, use no window twice when the demand begins at %i`,
      (from) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(start)
          const ledger = makeShareLedger()
          const judge = makeJudge("x-mbx-order-count-10s", windowMillis)
          for (const [index, error] of errors.entries()) {
            const replica = yield* replicaOn(ledger, `replica-${index}`, orders, error)
            const demand = Effect.delay(Effect.forever(ask(replica, judge, "submit", 1, tripMillis)), from)
            for (let worker = 0; worker < 20; worker++) yield* Effect.forkScoped(demand)
          }

          yield* TestClock.adjust(9_000)
          yield* pass(4_000)

          assert.isAtMost(Math.max(...judge.counts.values()), orders.limit)
          const all = [...judge.counts.values()].reduce((sum, count) => sum + count, 0)
          // What was on its way over the end may hold its place, in one of the windows.
          assert.isAtLeast(all, orders.limit * 0.5)
        })
    )
  }
})

describe("a count that the exchange told to one replica", () => {
  /** One spends 40 of 100, `then` happens, and another spends whatever it is given. */
  const spentIn = (
    then: (first: { readonly cut: () => void; readonly end: Effect.Effect<void> }) => Effect.Effect<void>
  ) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start + 200)
      const ledger = makeShareLedger()
      const judge = makeJudge("x-mbx-used-weight-1m", 60_000)
      let fails = 0
      const first = yield* replicaOn(ledger, "first", weight, 5, () => fails-- > 0, 40)
      const second = yield* replicaOn(ledger, "second", weight, 5)
      yield* pass(2_000)
      yield* Effect.forkScoped(ask(first, judge, "cancel", 40, 0))
      for (let waited = 0; waited < 1_000 && judge.counts.size === 0; waited++) yield* TestClock.adjust(1)
      assert.deepStrictEqual([...judge.counts.values()], [40])

      yield* then({ cut: () => (fails = 1), end: first.end })
      yield* pass(3_000)
      for (let worker = 0; worker < 100; worker++) yield* Effect.forkScoped(ask(second, judge, "cancel", 1, 5_000))
      yield* pass(4_000)
      return [...judge.counts.values()]
    })

  it.effect("is told again when the report of it fails", () =>
    Effect.gen(function* () {
      const [spent] = yield* spentIn(({ cut }) => Effect.sync(cut))

      assert.isAtMost(spent!, weight.limit)
      assert.isAtLeast(spent!, weight.limit * 0.9)
    })
  )

  // A report is on its way at one of these moments, and goes down with whoever makes it.
  it.effect.each(Array.from({ length: 20 }, (_, step) => step * 15))(
    "is told before that one ends, %i ms after the answer",
    (millis) =>
      Effect.gen(function* () {
        const [spent] = yield* spentIn(({ end }) =>
          Effect.gen(function* () {
            yield* pass(millis)
            yield* Effect.forkChild(end)
            yield* pass(100)
          })
        )

        assert.isAtMost(spent!, weight.limit)
        assert.isAtLeast(spent!, weight.limit * 0.9)
      })
  )
})

describe("a request that hangs over the end of a window", () => {
  it.effect("holds back no heavy one in the next, and no report follows the other meanwhile", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start + 50_000)
      const ledger = makeShareLedger()
      let reports = 0
      const count = () => {
        reports += 1
        return false
      }
      const replica = yield* replicaOn(ledger, "one", { ...weight, limit: 6_000 }, 5, count)
      yield* pass(9_810)
      const hanging = yield* replica.acquire("query", 1)
      yield* pass(3_000)
      reports = 0

      const heavy = yield* Effect.forkChild(replica.acquire("query", 200))
      yield* pass(50)

      assert.isDefined(heavy.pollUnsafe())
      yield* pass(2_000)
      assert.isBelow(reports, 20)
      yield* replica.observe(hanging, null)
    })
  )
})
