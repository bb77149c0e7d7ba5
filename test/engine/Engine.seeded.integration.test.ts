/**
 * Many orders against an exchange that does everything it may do, drawn from a seed: answers lost, packets lost, orders
 * accepted at the last moment, refusals, limits, reads that lag, news that is lost, cancels in between.
 *
 * Verifies at the end, on the exchange's own ledger: no order executed twice (INV-3), every execution in the log and
 * exact (INV-4, INV-7), nothing stuck (INV-13), the log sound and the counters true (INV-6, INV-12).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"
import { makeRandom } from "../../src/simulator/Random.ts"
import { ExchangeScript, limit, market, TestNexus } from "../layers.ts"
import type { Outcome } from "../ScriptedExchange.ts"
import {
  acceptedLate,
  answerLost,
  duplicateOrder,
  expires,
  filled,
  filledInTwoTrades,
  neverArrived,
  notSent,
  partlyFilled,
  rateLimited,
  refused,
  rests,
  slowly
} from "../ScriptedExchange.ts"
import { hasEnded, scripted } from "./scripted.ts"

const orders = 40
/** recvWindow and δ, less what writing the attempt down may take. */
const lastMomentMillis = 5_500
/** Less than T. */
const lagMillis = 900

const outcomes: ReadonlyArray<Outcome> = [
  rests,
  filled,
  filledInTwoTrades,
  partlyFilled(30),
  expires,
  refused("-2010"),
  refused("-1021", "Timestamp for this request is outside of the recvWindow.", true),
  rateLimited(2_000),
  notSent,
  neverArrived,
  neverArrived,
  answerLost(filled),
  answerLost(filledInTwoTrades),
  answerLost(rests),
  acceptedLate(lastMomentMillis, filled),
  acceptedLate(lastMomentMillis, rests),
  acceptedLate(200, partlyFilled(10, 20)),
  duplicateOrder(rests),
  slowly(300, filled),
  slowly(300, answerLost(filled))
]

const seeds = [1, 2, 3]

describe("Engine on an exchange that does everything it may", () => {
  for (const seed of seeds) {
    const random = makeRandom(seed)
    const pick = <A>(all: ReadonlyArray<A>): A => all[Math.floor(random.next() * all.length)]!
    it.live(`executes no order twice, and knows of every execution (seed ${seed})`, () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const exchange = yield* ExchangeScript
        const ids = Array.from({ length: orders }, (_, index) => `seed-${seed}-${index}`)

        const weather = yield* Effect.forkChild(
          Effect.gen(function* () {
            while (true) {
              const lag = Math.floor(random.next() * lagMillis)
              yield* exchange.lagReads(
                pick([
                  { orders: 0, trades: 0 },
                  { orders: lag, trades: lag },
                  { orders: 0, trades: lag }
                ])
              )
              yield* exchange.news(pick(["live", "lost"]))
              yield* nexus.advance(Math.floor(random.next() * 500))
              yield* Effect.sleep(15)
            }
          })
        )
        for (const id of ids) {
          yield* nexus.place(id, pick([market("BUY", "0.01"), limit("BUY", "0.01", "50000")]))
          if (random.next() < 0.3) yield* Effect.catch(nexus.cancel(pick(ids)), () => Effect.void)
          yield* Effect.sleep(Math.floor(random.next() * 10))
        }
        for (const id of ids) {
          yield* nexus.until(
            id,
            ({ attempt, status }) => status !== "PENDING" && !(status === "EXECUTING" && attempt?.state !== "ACCEPTED")
          )
          yield* Effect.catch(nexus.cancel(id), () => Effect.void)
        }
        yield* Fiber.interrupt(weather)
        yield* exchange.lagReads({ orders: 0, trades: 0 })
        yield* exchange.news("lost")
        yield* exchange.news("live")
        yield* nexus.advance("31 seconds")

        const ends = yield* Effect.forEach(ids, (id) => nexus.until(id, hasEnded))
        yield* nexus.advance("31 seconds")
        const ledger = yield* exchange.ledger
        for (const order of ends) {
          const there = ledger.filter(({ clientOrderId }) => clientOrderId === order.clientOrderId)
          const executed = Decimal.sum(there.map(({ executedQuantity }) => Decimal.decimal(executedQuantity)))
          assert.strictEqual(Decimal.format(order.filledQuantity), Decimal.format(executed))
          assert.isAtMost(there.filter(({ executedQuantity }) => executedQuantity !== "0").length, 1)
          assert.deepStrictEqual(
            there.filter(({ status }) => status === "NEW" || status === "PARTIALLY_FILLED"),
            []
          )
        }
      }).pipe(
        scripted(
          Array.from({ length: 4 * orders }, () => pick(outcomes)),
          { env: { NEXUS_EXECUTION_MAX_AGE_MS: "3600000" } }
        )
      )
    )
  }
})
