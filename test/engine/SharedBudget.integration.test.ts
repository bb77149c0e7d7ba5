/**
 * Several processes' worth of rate limits on one store: together they use what the exchange gives and never more, and
 * a stop told to one is obeyed by all. The exchange is a judge that counts by the clock, as the real one does.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Redacted, Ref } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { inject } from "vitest"
import { RateLimited } from "../../src/binance/BinanceError.ts"
import { type Kind, RateLimits } from "../../src/binance/RateLimits.ts"
import * as SharedBudget from "../../src/engine/SharedBudget.ts"
import { Database } from "../../src/sql/Database.ts"
import { Limits } from "../../src/sql/Limits.ts"
import { freshDatabase, limitsForTests } from "../harness/template.ts"
import { makeMovableClock } from "../MovableClock.ts"

const windowMillis = 2_000
const weight = { rateLimitType: "REQUEST_WEIGHT", interval: "SECOND", intervalNum: 2, limit: 600 }
const orders = { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 2, limit: 100 }
/** Where the machine is busy, a process that stands still for some tenths of a second loses them; never more is sharp. */
const nearlyAll = 0.7

type Replica = RateLimits["Service"]

const layerOn = (url: string) =>
  RateLimits.sharedLayer.pipe(
    Layer.provide(SharedBudget.layer),
    Layer.provide(Limits.layer),
    Layer.provide(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests })),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

/** A process that starts now, on a store that may have others. Ends with the scope. */
const replicaOn = (url: string) =>
  Effect.gen(function* () {
    const replica = Context.get(yield* Layer.build(Layer.fresh(layerOn(url))), RateLimits)
    yield* replica.learn([weight, orders])
    return replica
  })

const onStore = <A, E, R>(test: (url: string) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.flatMap(freshDatabase(inject("pgUrl")), test))

/** Counts as the exchange does, and remembers each window's count. */
const makeJudge = () => {
  const weights = new Map<number, number>()
  const placed = new Map<number, number>()
  const add = (counts: Map<number, number>, at: number, cost: number): number => {
    const count = (counts.get(at) ?? 0) + cost
    counts.set(at, count)
    return count
  }
  return {
    weights,
    placed,
    take: (kind: Kind, cost: number) => {
      const now = Date.now()
      const headers: Record<string, string> = {
        "x-mbx-used-weight-2s": `${add(weights, Math.floor(now / windowMillis), cost)}`
      }
      if (kind === "submit") headers["x-mbx-order-count-2s"] = `${add(placed, Math.floor(now / windowMillis), 1)}`
      return { status: 200, headers, body: "{}" }
    }
  }
}

/** One request after the other, each with a trip to the judge, until told to end. */
const demand = (replica: Replica, judge: ReturnType<typeof makeJudge>, kind: Kind, cost: number, pauseMillis = 0) =>
  Effect.gen(function* () {
    for (;;) {
      yield* Effect.sleep(pauseMillis)
      const allowance = yield* replica.acquire(kind, cost)
      yield* Effect.sleep(2)
      const answer = judge.take(kind, cost)
      yield* Effect.sleep(2)
      yield* replica.observe(allowance, answer)
    }
  })

const until = (condition: () => Effect.Effect<boolean>) =>
  Effect.gen(function* () {
    while (!(yield* condition())) yield* Effect.sleep(5)
  })

describe("replicas that share a budget", () => {
  it.live("use nearly all of it and never more, with cancels and queries served", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const judge = makeJudge()
        const replicas = yield* Effect.forEach([1, 2, 3], () => replicaOn(url))
        const cancels = yield* Ref.make(0)
        const cancelling = (replica: Replica) =>
          Effect.gen(function* () {
            for (;;) {
              yield* Effect.sleep(250)
              const begun = performance.now()
              const allowance = yield* replica.acquire("cancel", 1)
              yield* Ref.update(cancels, (most) => Math.max(most, performance.now() - begun))
              yield* replica.observe(allowance, judge.take("cancel", 1))
            }
          })
        const all = replicas.flatMap((replica) => [
          ...Array.from({ length: 8 }, () => demand(replica, judge, "refresh", 5)),
          ...Array.from({ length: 8 }, () => demand(replica, judge, "submit", 1)),
          // More of them would leave no weight for orders, before which they come.
          demand(replica, judge, "query", 2, 100),
          cancelling(replica)
        ])

        yield* Effect.timeoutOption(Effect.all(all, { concurrency: "unbounded", discard: true }), 7_000)

        const whole = <K>(counts: Map<K, number>) => [...counts.values()].slice(1, -1)
        assert.isAtMost(Math.max(...judge.weights.values()), weight.limit)
        assert.isAtMost(Math.max(...judge.placed.values()), orders.limit)
        const used = (counts: ReadonlyArray<number>, limit: number) =>
          counts.reduce((sum, count) => sum + count, 0) / (counts.length * limit)
        assert.isAbove(used(whole(judge.weights), weight.limit), nearlyAll)
        assert.isAbove(used(whole(judge.placed), orders.limit), nearlyAll)
        // Were the others not held back for it, a cancel would wait for several windows.
        assert.isBelow(yield* Ref.get(cancels), 1.5 * windowMillis)
      })
    )
  )

  it.live("stop together within a second when one of them is told to, and so does one that starts later", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const [told, other] = [yield* replicaOn(url), yield* replicaOn(url)]
        yield* Effect.flatMap(other.acquire("query", 1), other.giveBack)
        const stopped = (replica: Replica) => Effect.map(replica.forecast, ({ stoppedMillis }) => stoppedMillis)

        const begun = performance.now()
        yield* told.obey(
          new RateLimited({ code: "-1003", retryAfterMillis: 60_000, exchangeMessage: "", banned: true })
        )
        yield* until(() => Effect.map(stopped(other), (millis) => millis > 0))
        const heardAfter = performance.now() - begun
        const late = yield* replicaOn(url)
        const wait = yield* Effect.timeoutOption(late.acquire("cancel", 1), 600)

        assert.isBelow(heardAfter, 1_000)
        assert.strictEqual(wait._tag, "None")
        assert.approximately(yield* stopped(other), 60_000, 3_000)
        assert.approximately(yield* stopped(late), 60_000, 3_000)
      })
    )
  )

  it.live("of which one may place no orders all place none, and go on asking and cancelling", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const [told, other] = [yield* replicaOn(url), yield* replicaOn(url)]

        yield* told.obey(new RateLimited({ code: "-1015", retryAfterMillis: 30_000, exchangeMessage: "" }))
        yield* until(() => Effect.map(other.forecast, ({ ordersStoppedMillis }) => ordersStoppedMillis > 0))

        assert.isAbove(yield* other.waitMillis("submit", 1), 20_000)
        yield* Effect.flatMap(other.acquire("cancel", 1), other.giveBack)
        yield* Effect.flatMap(other.acquire("query", 1), other.giveBack)
      })
    )
  )

  it.live("leave their share to the others when they end, but for what was sent and is in no count yet", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const hour = { rateLimitType: "ORDERS", interval: "HOUR", intervalNum: 1, limit: 4 }
        yield* Effect.scoped(
          Effect.gen(function* () {
            const gone = yield* replicaOn(url)
            yield* gone.learn([hour])
            const [sent, ...rest] = yield* Effect.replicateEffect(gone.acquire("submit", 1), 4)
            for (const each of rest) yield* gone.giveBack(each)
            yield* gone.observe(sent!, null)
          })
        )

        const heir = yield* replicaOn(url)
        yield* heir.learn([hour])
        for (let count = 0; count < 3; count++) yield* heir.acquire("submit", 1)

        assert.isAbove(yield* heir.waitMillis("submit", 1), 0)
      })
    )
  )

  it.live("spend nothing more when the store has not answered for long, for others may have been handed it", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const clock = makeMovableClock()
        const store = Limits.layer.pipe(
          Layer.provide(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests }))
        )
        const inner = Context.get(yield* Layer.build(store), Limits)
        let isAway = false
        // The store as it is, behind a network that the test cuts.
        const cut = <A, E>(call: Effect.Effect<A, E>) => Effect.suspend(() => (isAway ? Effect.never : call))
        const behind = Layer.succeed(
          Limits,
          Limits.of({
            take: (...asked) => cut(inner.take(...asked)),
            stop: (...asked) => cut(inner.stop(...asked)),
            stops: cut(inner.stops)
          })
        )
        const replica = Context.get(
          yield* Layer.build(
            RateLimits.sharedLayer.pipe(
              Layer.provide(SharedBudget.layer),
              Layer.provide(behind),
              Layer.provide(SecureRandom.layerWebCrypto),
              Layer.provide(Layer.succeed(Clock.Clock, clock))
            )
          ),
          RateLimits
        )
        const acquire = Effect.provideService(replica.acquire("query", 1), Clock.Clock, clock)
        yield* acquire

        isAway = true
        yield* acquire
        yield* clock.advance(6_000)
        const late = yield* Effect.timeoutOption(acquire, 300)
        isAway = false

        assert.strictEqual(late._tag, "None")
        yield* acquire
      })
    )
  )
})
