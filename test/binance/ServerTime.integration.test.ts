/** The estimate of the exchange's clock, over a network that the test makes slow and lopsided. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { setTimeout as after } from "node:timers/promises"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { answeringServer, clientLayer, json } from "./AnsweringServer.ts"
import type { AnsweringServer } from "./AnsweringServer.ts"

const withTime = <A, E>(use: (time: ServerTime["Service"], server: AnsweringServer) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* answeringServer
      return yield* Effect.provide(
        Effect.flatMap(ServerTime, (time) => use(time, server)),
        clientLayer(server.url)
      )
    })
  )

/** An exchange whose clock is `ahead`, behind a network with these delays there and back. */
const behind = (
  server: AnsweringServer,
  ahead: number,
  trips: ReadonlyArray<readonly [there: number, back: number]>
) => {
  let asked = 0
  server.answer("GET /api/v3/time", async () => {
    const [there, back] = trips[asked++ % trips.length]!
    await after(there)
    const serverTime = Date.now() + ahead
    await after(back)
    return json({ serverTime })
  })
}

const hours = (count: number) =>
  Effect.updateService(Clock.Clock, (clock) => {
    const millis = count * 3_600_000
    const nanos = BigInt(millis) * 1_000_000n
    return {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
      currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + millis),
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + nanos,
      currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() + nanos),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + nanos,
      monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe() + nanos),
      sleep: (duration) => clock.sleep(duration)
    }
  })

describe("the exchange's clock", () => {
  it.live("is never off by more than the bound, however lopsided the network is", () =>
    withTime((time, server) =>
      Effect.gen(function* () {
        const ahead = -5_000
        behind(server, ahead, [
          [120, 5],
          [60, 5],
          [5, 90]
        ])

        yield* time.sync

        const bound = yield* time.errorBound
        assert.isAtMost(Math.abs((yield* time.offset) - ahead), bound + 1)
        // The best of the samples counts: half of its round trip, and not the mean of all.
        assert.isBelow(bound, 60)
        assert.isAtMost(yield* time.pessimisticNow, Date.now() + ahead)
      })
    )
  )

  it.live("is less certain the longer ago it was measured", () =>
    withTime((time) =>
      Effect.gen(function* () {
        yield* time.sync
        const before = yield* time.errorBound

        const after = yield* hours(1)(time.errorBound)

        assert.isAbove(after, before + 300)
      })
    )
  )

  it.live("does not move when the host's clock is set", () =>
    withTime((time) =>
      Effect.gen(function* () {
        yield* time.sync
        const aDayLater = Effect.updateService(Clock.Clock, (clock) => ({
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + 86_400_000,
          currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + 86_400_000),
          currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
          currentTimeNanos: clock.currentTimeNanos,
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
          monotonicTimeNanos: clock.monotonicTimeNanos,
          sleep: (duration) => clock.sleep(duration)
        }))

        const now = yield* aDayLater(time.now)

        assert.approximately(now, Date.now(), 1_000)
      })
    )
  )

  it.live("makes nothing conclusive before it was measured", () =>
    withTime((time, server) =>
      Effect.gen(function* () {
        yield* server.stop

        const failure = yield* Effect.flip(time.sync)

        assert.strictEqual(failure.reason._tag, "NotSent")
        assert.strictEqual(yield* time.pessimisticNow, 0)
        assert.isAtLeast(yield* time.errorBound, 86_400_000)
      })
    )
  )

  it.live("is measured once for all who ask at the same time", () =>
    withTime((time, server) =>
      Effect.gen(function* () {
        behind(server, 0, [[10, 0]])

        yield* Effect.all([time.sync, time.sync, time.sync], { concurrency: "unbounded" })

        assert.strictEqual(server.asked.length, 5)
      })
    )
  )

  it.live("is no use while the exchange answers too late, which one small question tells", () =>
    withTime((time, server) =>
      Effect.gen(function* () {
        behind(server, 0, [
          [0, 0],
          [6_000, 0],
          [0, 0]
        ])

        const told = [yield* time.answers, yield* time.answers, yield* time.answers]

        assert.deepStrictEqual(told, [true, false, true])
        assert.strictEqual(server.asked.length, 3)
      })
    )
  )
})
