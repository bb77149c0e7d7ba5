import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { Refused } from "../../src/binance/BinanceError.ts"
import { laneOf, OrderId } from "../../src/domain/Ids.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { asAdministrator, templateLanes } from "../harness/template.ts"
import {
  answerLost,
  ExchangeScript,
  filled,
  limit,
  market,
  rateLimited,
  rests,
  ScriptedExchange,
  slowly,
  TestNexus
} from "../layers.ts"
import { until } from "../sql/until.ts"
import { brokenBus, makeBusFaults } from "./brokenBus.ts"
import { filledOf, hasEnded, isResting, isUnknown, scripted, story } from "./scripted.ts"

const buy = market("BUY", "0.01")
const resting = limit("BUY", "0.01", "50000")

const withExchange = <A, E, R>(
  use: (exchange: ExchangeScript["Service"], nexus: TestNexus["Service"]) => Effect.Effect<A, E, R>
) => Effect.flatMap(ExchangeScript, (exchange) => Effect.flatMap(TestNexus, (nexus) => use(exchange, nexus)))

const sentCount = Effect.flatMap(ExchangeScript, ({ submissions }) => Effect.map(submissions, (all) => all.length))

describe("Executor: what is too old", () => {
  it.live("an order past its valid_until ends STALE while the exchange is away, and is never sent afterwards", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.goAway
        const validUntil = (yield* Clock.currentTimeMillis) + 10_000
        yield* nexus.place("short", { ...buy, validUntil })

        yield* nexus.advance("11 seconds")

        const order = yield* nexus.until("short", hasEnded)
        assert.deepStrictEqual([order.status, order.reason?.code], ["FAILED", "STALE"])
        assert.include(order.reason?.message ?? "", "valid_until")
        yield* exchange.comeBack
        yield* nexus.advance("1 minute")
        assert.strictEqual(yield* sentCount, 0)
      })
    ).pipe(scripted([filled]))
  )

  it.live("an order without valid_until ends STALE at its greatest age, not a moment before", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.goAway
        yield* nexus.place("aged", buy)

        yield* nexus.advance("110 seconds")
        yield* Effect.sleep(50)
        assert.strictEqual((yield* nexus.order("aged")).status, "PENDING")
        yield* nexus.advance("11 seconds")

        const order = yield* nexus.until("aged", hasEnded)
        assert.strictEqual(order.reason?.code, "STALE")
        assert.isAtLeast(order.updatedAt - order.placedAt, 120_000)
        assert.strictEqual(yield* sentCount, 0)
      })
    ).pipe(scripted([filled]))
  )

  it.live("a process that starts while the exchange is away ends what goes stale meanwhile", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus
      yield* Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* nexus.place("unseen", buy)
        yield* nexus.advance("10 seconds")
        assert.strictEqual((yield* nexus.order("unseen")).status, "PENDING")

        yield* nexus.advance("111 seconds")

        assert.strictEqual((yield* nexus.until("unseen", hasEnded)).reason?.code, "STALE")
        yield* (yield* ExchangeScript).comeBack
        yield* nexus.advance("1 minute")
        assert.strictEqual(yield* sentCount, 0)
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([], { startsAway: true }), { databaseUrl })))
    }).pipe(scripted([], { roles: [] }))
  )

  it.live("an order that waits out a rate limit longer than its life ends STALE, not in another market", () =>
    withExchange((_, nexus) =>
      Effect.gen(function* () {
        yield* nexus.place("waits", buy)
        yield* nexus.until("waits", ({ attempt }) => attempt?.state === "REFUSED")

        yield* nexus.advance("121 seconds")

        assert.strictEqual((yield* nexus.until("waits", hasEnded)).reason?.code, "STALE")
        yield* nexus.advance("10 minutes")
        assert.strictEqual(yield* sentCount, 1)
      })
    ).pipe(scripted([rateLimited(600_000), filled]))
  )

  it.live("a resting order never goes stale", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        const validUntil = (yield* Clock.currentTimeMillis) + 10_000
        yield* nexus.place("rests", { ...resting, validUntil })
        const order = yield* nexus.until("rests", isResting)

        yield* nexus.advance("1 hour")
        yield* exchange.fill(order.clientOrderId ?? "")

        assert.strictEqual((yield* nexus.until("rests", hasEnded)).status, "COMPLETED")
      })
    ).pipe(scripted([rests]))
  )
})

describe("Executor: what comes without a message", () => {
  it.live("an order whose message was lost is brought back by the log after pickup_after_ms, and not before", () =>
    Effect.suspend(() => {
      const faults = makeBusFaults()
      faults.loses = "orders"
      return withExchange((_, nexus) =>
        Effect.gen(function* () {
          yield* nexus.place("unheard", buy)
          yield* until(
            Effect.sync(() => faults.published.length),
            (count) => count > 0
          )
          yield* nexus.advance("29 seconds")
          yield* Effect.sleep(60)
          assert.strictEqual(yield* sentCount, 0)

          yield* nexus.advance("2 seconds")

          assert.strictEqual((yield* nexus.until("unheard", hasEnded)).status, "COMPLETED")
        })
      ).pipe(
        scripted([filled], {
          bus: brokenBus(faults),
          env: { NEXUS_EXECUTION_PICKUP_AFTER_MS: "30000", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "20" }
        })
      )
    })
  )

  it.live("orders flow while the bus is away, and their cancels too", () =>
    Effect.suspend(() => {
      const faults = makeBusFaults()
      faults.isAway = true
      return withExchange((_, nexus) =>
        Effect.gen(function* () {
          yield* nexus.place("first", buy)
          yield* nexus.advance("3 seconds")
          assert.strictEqual((yield* nexus.until("first", hasEnded)).status, "COMPLETED")
          yield* nexus.place("second", resting)
          yield* nexus.advance("3 seconds")
          yield* nexus.until("second", isResting)

          yield* nexus.cancel("second")

          assert.strictEqual((yield* nexus.until("second", hasEnded)).status, "CANCELLED")
          assert.strictEqual(faults.published.length, 0)
        })
      ).pipe(
        scripted([filled, rests], {
          bus: brokenBus(faults),
          env: { NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "20" }
        })
      )
    })
  )

  it.live("a full ready set loses no order: what does not fit waits in the log, and each is sent once", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 30 }, (_, index) => `crowd-${index}`)
        yield* Effect.forEach(ids, (id) => nexus.place(id, buy), { concurrency: "unbounded" })

        const moving = yield* Effect.forkChild(
          Effect.forever(Effect.andThen(nexus.advance("500 millis"), Effect.sleep(20)))
        )
        for (const id of ids) yield* nexus.until(id, hasEnded)
        yield* Fiber.interrupt(moving)

        assert.strictEqual((yield* exchange.submissions).length, 30)
        assert.strictEqual((yield* exchange.ledger).length, 30)
      })
    ).pipe(
      scripted([], {
        env: {
          NEXUS_EXECUTION_READY_SET_SIZE: "2",
          NEXUS_EXECUTION_WORKERS: "2",
          NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "20"
        }
      })
    )
  )

  it.live("a process that was held up while writing the attempt down sends nothing, and attempts anew", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.goAway
        yield* nexus.place("paused", buy)
        const { waiting } = yield* asAdministrator(nexus.databaseUrl, (sql) =>
          sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`lock table events in share mode`
              yield* exchange.comeBack
              yield* nexus.advance("3 seconds")
              // The lane of this order: an append of the account waits in another one.
              const stuck = sql`select 1 from pg_locks
                where locktype = 'advisory' and classid = 7301 and objid = ${laneOf("paused", templateLanes)}
                  and database = (select oid from pg_database where datname = current_database())`
              yield* until(stuck, (rows) => rows.length > 0)
              // More than half of recvWindow.
              yield* nexus.advance("2600 millis")
              return { waiting: (yield* stuck).length }
            })
          )
        )
        assert.isAbove(waiting, 0)

        const order = yield* nexus.until("paused", hasEnded)

        assert.strictEqual(order.status, "COMPLETED")
        const refusals = (yield* nexus.events("paused")).flatMap((event) =>
          event._tag === "SubmissionRefused" ? [[event.attempt, event.code]] : []
        )
        assert.deepStrictEqual(refusals, [[1, "NOT_SENT"]])
        assert.deepStrictEqual([yield* sentCount, (yield* exchange.asked)["giveBack"]], [1, 1])
      })
    ).pipe(scripted([filled]))
  )
})

describe("Executor: cancels", () => {
  it.live("a cancel before any attempt ends the order at once, and nothing is ever sent", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.goAway
        yield* nexus.place("early", buy)

        const first = yield* nexus.cancel("early")
        const second = yield* nexus.cancel("early")

        assert.deepStrictEqual([first.outcome, second.outcome], ["cancelled", "already_cancelled"])
        yield* exchange.comeBack
        yield* nexus.advance("1 minute")
        assert.strictEqual(yield* sentCount, 0)
        assert.strictEqual(yield* story("early"), "OrderPlaced OrderCancelled")
      })
    ).pipe(scripted([filled]))
  )

  it.live("a cancel of a resting order is carried out at the exchange, and the second one is told so", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* nexus.place("rests", resting)
        yield* nexus.until("rests", isResting)

        const { outcome } = yield* nexus.cancel("rests")

        assert.strictEqual(outcome, "requested")
        const order = yield* nexus.until("rests", hasEnded)
        assert.deepStrictEqual([order.status, order.reason?.message], ["CANCELLED", "cancelled as requested"])
        assert.strictEqual((yield* exchange.ledger)[0]?.status, "CANCELED")
        assert.strictEqual((yield* nexus.cancel("rests")).outcome, "already_cancelled")
      })
    ).pipe(scripted([rests]))
  )

  it.live("a cancel of an order in doubt waits until the exchange is known to have it, and then goes out", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.news("lost")
        yield* exchange.lagReads({ orders: 600_000, trades: 600_000 })
        yield* nexus.place("doubt", resting)
        yield* nexus.until("doubt", isUnknown)

        const { outcome } = yield* nexus.cancel("doubt")
        assert.strictEqual(outcome, "requested")
        assert.strictEqual((yield* exchange.asked)["cancelOrder"], undefined)
        yield* exchange.lagReads({ orders: 0, trades: 0 })
        yield* nexus.advance("5 seconds")

        assert.strictEqual((yield* nexus.until("doubt", hasEnded)).status, "CANCELLED")
        assert.strictEqual(
          yield* story("doubt"),
          "OrderPlaced SubmissionStarted SubmissionUnknown CancelRequested SubmissionAccepted OrderCancelled"
        )
      })
    ).pipe(scripted([answerLost(rests)]))
  )

  it.live("a cancel that comes too late is refused with what became of the order", () =>
    withExchange((_, nexus) =>
      Effect.gen(function* () {
        yield* nexus.place("done", buy)
        yield* nexus.until("done", hasEnded)

        const rejection = yield* Effect.flip(nexus.cancel("done"))

        assert.strictEqual(rejection._tag === "Rejection" ? rejection.code : rejection._tag, "TOO_LATE")
      })
    ).pipe(scripted([filled]))
  )

  it.live("a cancel that the fill overtakes is asked about, and the order is COMPLETED with its fill", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.news("lost")
        yield* nexus.place("race", resting)
        yield* nexus.until("race", isResting)
        yield* exchange.nextCancel({ _tag: "FilledFirst" })

        yield* nexus.cancel("race")

        const order = yield* nexus.until("race", hasEnded)
        assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
      })
    ).pipe(scripted([rests]))
  )

  it.live("a cancel whose answer was lost is asked for again until the order is known to be gone", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* exchange.news("lost")
        yield* nexus.place("lost", resting)
        yield* nexus.until("lost", isResting)
        yield* exchange.nextCancel({ _tag: "AnswerLost" })

        yield* nexus.cancel("lost")

        assert.strictEqual((yield* nexus.until("lost", hasEnded)).status, "CANCELLED")
      })
    ).pipe(scripted([rests]))
  )

  it.live(
    "a cancel that the exchange refuses leaves the order resting with the reason, and may be asked for again",
    () =>
      withExchange((exchange, nexus) =>
        Effect.gen(function* () {
          yield* nexus.place("locked", resting)
          yield* nexus.until("locked", isResting)
          const reason = new Refused({ code: "-2011", exchangeMessage: "Not allowed.", repeatable: false })
          yield* exchange.nextCancel({ _tag: "Answers", reason })
          yield* nexus.cancel("locked")
          yield* nexus.until("locked", ({ cancelRefused }) => cancelRefused)

          const { outcome } = yield* nexus.cancel("locked")

          assert.strictEqual(outcome, "requested")
          assert.strictEqual((yield* nexus.until("locked", hasEnded)).status, "CANCELLED")
          assert.strictEqual((yield* exchange.asked)["cancelOrder"], 2)
        })
      ).pipe(scripted([rests]))
  )

  it.live("a refusal of the moment that meets a cancel ends the order in the same append", () =>
    withExchange((exchange, nexus) =>
      Effect.gen(function* () {
        yield* nexus.place("meets", buy)
        yield* nexus.until("meets", ({ attempt }) => attempt?.state === "STARTED")
        assert.strictEqual((yield* nexus.cancel("meets")).outcome, "requested")

        yield* nexus.advance("6 seconds")

        assert.strictEqual((yield* nexus.until("meets", hasEnded)).status, "CANCELLED")
        const { events } = yield* (yield* EventStore).load("meets")
        const last = events.slice(-2)
        assert.deepStrictEqual(
          last.map(({ type }) => type),
          ["SubmissionRefused", "OrderCancelled"]
        )
        assert.strictEqual(last[0]?.commandId, last[1]?.commandId)
        yield* nexus.advance("1 minute")
        assert.strictEqual((yield* exchange.ledger).length, 0)
      })
    ).pipe(scripted([slowly(5_000, rateLimited(1_000)), filled]))
  )

  it.live("an order placed by nobody has nothing to cancel", () =>
    Effect.gen(function* () {
      const rejection = yield* Effect.flip(
        (yield* Engine).cancel({ orderId: OrderId.make("nobody"), traceParent: null })
      )

      assert.strictEqual(rejection._tag === "Rejection" ? rejection.code : rejection._tag, "ORDER_NOT_FOUND")
    }).pipe(scripted([]))
  )
})
