/** What the way to the exchange holds for a request that is given up, at whatever moment. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Fiber, Option, References } from "effect"
import { OutcomeUnknown, RateLimited } from "../../src/binance/BinanceError.ts"
import { Breaker } from "../../src/binance/Breaker.ts"
import { type Endpoint, Gateway, pingEndpoint } from "../../src/binance/Gateway.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { until } from "../sql/until.ts"
import { answeringServer, clientLayer } from "./AnsweringServer.ts"

const order: Endpoint = { method: "POST", path: "/api/v3/order", kind: "submit", weight: 1 }
const perDay = (limit: number) => [{ rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit }]
/** More turns of the scheduler than a reservation takes when each of its steps is one. */
const turns = 150

describe("a reservation", () => {
  it.live("that is interrupted at any of its steps leaves the budget as it was, and every connection free", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* answeringServer
        yield* Effect.gen(function* () {
          const gateway = yield* Gateway
          const limits = yield* RateLimits
          yield* limits.learn(perDay(1_000_000))
          yield* gateway.giveBack(yield* gateway.reserve(order))
          // In which turns a permit was had before the interruption came.
          const reserved: Array<number> = []
          for (let turn = 0; turn < turns; turn++) {
            const fiber = yield* gateway.reserve(order).pipe(
              Effect.tap((permit) => {
                reserved.push(turn)
                return gateway.giveBack(permit)
              }),
              Effect.provideService(References.MaxOpsBeforeYield, 3),
              Effect.forkChild
            )
            for (let count = 0; count < turn; count++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
          }
          // A permit that was lost in the moment of getting it comes back after a minute.
          const now = performance.now.bind(performance)
          const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + 61_000)
          yield* Effect.flatMap(gateway.reserve(pingEndpoint), gateway.giveBack).pipe(
            Effect.repeat({ times: turns }),
            Effect.ensuring(Effect.sync(() => clock.mockRestore()))
          )

          // The steps were all there: the last ones came too late to stop anything.
          assert.include(reserved, turns - 1)
          assert.isBelow(reserved.length, turns)
          yield* limits.learn(perDay(1))
          assert.strictEqual(yield* limits.waitMillis("submit", 1), 0)
          const all = yield* Effect.all(Array.from({ length: 64 }, () => gateway.reserve(pingEndpoint)))
          yield* Effect.forEach(all, gateway.giveBack)
        }).pipe(Effect.timeout("6 seconds"), Effect.provide(clientLayer(server.url)))
      })
    )
  )

  it.live("that is given up while it probes leaves the next one free to probe", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* answeringServer
        yield* Effect.gen(function* () {
          const gateway = yield* Gateway
          const limits = yield* RateLimits
          const breaker = yield* Breaker
          const silence = new OutcomeUnknown({ cause: new Error("no answer in time") })
          for (let count = 0; count < 5; count++) yield* breaker.record(silence)
          yield* until(breaker.state, (state) => state === "half-open")
          yield* limits.obey(new RateLimited({ code: "-1003", retryAfterMillis: 300, exchangeMessage: "Too many." }))

          assert.isTrue(Option.isNone(yield* Effect.timeoutOption(gateway.reserve(order), "50 millis")))

          yield* until(limits.forecast, ({ stoppedMillis }) => stoppedMillis === 0)
          yield* gateway.giveBack(yield* gateway.reserve(order))
          assert.strictEqual(yield* breaker.state, "closed")
        }).pipe(Effect.provide(clientLayer(server.url)))
      })
    )
  )
})

describe("a request that may go", () => {
  const banned = new RateLimited({ code: "-1003", retryAfterMillis: 400, exchangeMessage: "Banned.", banned: true })
  const tooManyOrders = new RateLimited({ code: "-1015", retryAfterMillis: 400, exchangeMessage: "Too many orders." })

  it.live("and has not gone yet stays here once the exchange wants nothing, and costs nothing", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* answeringServer
        yield* Effect.gen(function* () {
          const gateway = yield* Gateway
          const limits = yield* RateLimits
          yield* limits.learn(perDay(2))
          const [held, other] = yield* Effect.all([gateway.reserve(order), gateway.reserve(pingEndpoint)])
          yield* limits.obey(banned)

          const refusals = [yield* Effect.flip(gateway.send(held)), yield* Effect.flip(gateway.send(other))]

          assert.deepStrictEqual(
            refusals.map(({ reason }) => reason._tag),
            ["NotSent", "NotSent"]
          )
          assert.deepStrictEqual(server.asked, [])
          yield* until(limits.forecast, ({ stoppedMillis }) => stoppedMillis === 0)
          // Both orders of the day are there still.
          yield* Effect.all([gateway.reserve(order), gateway.reserve(order)]).pipe(Effect.timeout("2 seconds"))
        }).pipe(Effect.provide(clientLayer(server.url)))
      })
    )
  )

  it.live("goes if only new orders are too many, and it is none", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* answeringServer
        yield* Effect.gen(function* () {
          const gateway = yield* Gateway
          const limits = yield* RateLimits
          const [held, other] = yield* Effect.all([gateway.reserve(order), gateway.reserve(pingEndpoint)])
          yield* limits.obey(tooManyOrders)

          assert.strictEqual((yield* Effect.flip(gateway.send(held))).reason._tag, "NotSent")
          assert.strictEqual((yield* gateway.send(other)).status, 200)
          assert.deepStrictEqual(
            server.asked.map(({ path }) => path),
            ["/api/v3/ping"]
          )
        }).pipe(Effect.provide(clientLayer(server.url)))
      })
    )
  )
})
