/**
 * What a client and a probe see while the exchange is away, does not answer, wants no requests, tells nothing, or has
 * another time: orders are taken and wait, cancels are kept and delivered, readiness stays, and what is over mends itself.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import { freshDatabase } from "../harness/template.ts"
import { TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import {
  ask,
  becomes,
  bid,
  buy,
  cancel,
  ends,
  type Exchange,
  figure,
  find,
  makeExchange,
  onLedger,
  orders,
  place,
  rests,
  standing,
  stands,
  wholeOn
} from "./Whole.ts"

const started = stands(({ parts, ready }) => ready === 200 && parts.length === 0)

const trading = <A, E, R>(test: (on: Exchange) => Effect.Effect<A, E, R>) =>
  Effect.scoped(
    Effect.flatMap(makeExchange, (on) =>
      Effect.andThen(started, test(on)).pipe(
        Effect.tap(Effect.flatMap(TestNexus, ({ verify }) => verify)),
        Effect.provide(wholeOn(on))
      )
    )
  )

const expectStatus = (status: number) => (reply: { readonly status: number; readonly body: object }) =>
  Effect.sync(() => assert.strictEqual(reply.status, status, JSON.stringify(reply.body)))

const place202 = (order: object) => Effect.tap(place(order), expectStatus(202))

describe("exchange down", () => {
  it.live("takes orders and cancels all the while, ends what grows old, and delivers the rest once it is back", () =>
    trading((on) =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* place202(buy("done"))
        yield* ends("done")
        yield* place202(bid("rests"))
        yield* rests("rests")
        assert.deepStrictEqual(yield* marks, {})
        const seen = yield* find("rests")

        on.network.cut("refusing")
        const placed = yield* place202(buy("waits"))
        const away = yield* stands(({ parts }) => parts.includes("exchange"))
        // A connection may be taken and then ended, which leaves doubt; from here on nothing is tried.
        yield* until(figure("nexus_exchange_circuit_open"), (open) => open === 1)
        yield* place202(buy("unwanted"))
        const kept = yield* cancel("rests")
        const atOnce = yield* cancel("unwanted")
        const validUntil = new Date(nexus.clock.currentTimeMillisUnsafe() + 1_000).toISOString()
        yield* place202({ ...buy("short"), valid_until: validUntil })

        assert.deepStrictEqual([away.health, away.ready, away.reason], [200, 200, null])
        assert.strictEqual(placed.body["status"], "PENDING")
        assert.deepStrictEqual(
          [kept.status, kept.body["status"], kept.body["cancel_requested"]],
          [202, "EXECUTING", true]
        )
        // At once, or as soon as the attempt that it meets has failed.
        assert.include(["200 CANCELLED", "202 EXECUTING"], `${atOnce.status} ${String(atOnce.body["status"])}`)
        assert.strictEqual((yield* ends("unwanted"))["status"], "CANCELLED")
        const stale = yield* ends("short")
        assert.deepInclude(stale["reason"], { code: "STALE" })
        assert.include(["PENDING", "EXECUTING"], (yield* find("waits")).body["status"])
        // What has ended is final, and says nothing of a connection.
        assert.deepStrictEqual(yield* marks, { rests: "disconnected", waits: "disconnected" })
        const marked = yield* ask("GET", `${orders}/rests`, undefined, {
          "if-none-match": `${seen.headers.get("etag")}`
        })
        assert.deepStrictEqual(
          [marked.status, marked.body["exchange"], marked.headers.get("etag")],
          [200, "disconnected", null]
        )

        on.network.heal()
        yield* stands(({ parts }) => !parts.includes("exchange"))

        assert.strictEqual((yield* ends("waits"))["status"], "COMPLETED")
        assert.strictEqual((yield* ends("rests"))["status"], "CANCELLED")
        yield* Effect.andThen(place202(bid("again")), rests("again"))
        assert.deepStrictEqual(yield* marks, {})
        for (const id of ["short", "unwanted"]) {
          assert.strictEqual(onLedger(on, (yield* find(id)).body["client_order_id"]), 0, id)
        }
      })
    )
  )

  it.live("ends an order that it could not send for execution.max_age_ms as STALE, and never sends it", () =>
    trading((on) =>
      Effect.gen(function* () {
        on.network.cut("refusing")
        yield* place202(buy("aged"))

        yield* (yield* TestNexus).advance("121 seconds")

        const aged = yield* ends("aged")
        assert.deepStrictEqual([aged["status"], Reflect.get(aged["reason"] as object, "code")], ["FAILED", "STALE"])
        on.network.heal()
        yield* place202(buy("next"))
        assert.strictEqual((yield* ends("next"))["status"], "COMPLETED")
        assert.strictEqual(onLedger(on, aged["client_order_id"]), 0)
      })
    )
  )
})

describe("exchange away at the start", () => {
  it.live("orders are marked until it is seen, but not by a process that has nothing to do with it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const on = yield* makeExchange
        const databaseUrl = yield* freshDatabase(inject("pgUrl"))
        yield* Effect.gen(function* () {
          yield* place202(buy("waits"))
          assert.deepStrictEqual(yield* marks, {})
        }).pipe(Effect.provide(wholeOn(on, { databaseUrl, roles: ["api"] })))
        on.network.cut("refusing")

        yield* Effect.gen(function* () {
          const away = yield* stands(({ parts }) => parts.includes("exchange"))
          const marked = yield* marks
          on.network.heal()

          assert.deepStrictEqual([away.health, away.ready], [200, 200])
          assert.deepStrictEqual(marked, { waits: "disconnected" })
          assert.strictEqual((yield* ends("waits"))["status"], "COMPLETED")
          yield* Effect.andThen(place202(bid("rests")), rests("rests"))
          assert.deepStrictEqual(yield* marks, {})
        }).pipe(Effect.provide(wholeOn(on, { databaseUrl })))
      })
    )
  )
})

/** Which orders of the list say what of the exchange. */
const marks = Effect.map(ask("GET", `${orders}?status=all&limit=500`), ({ body }) =>
  Object.fromEntries(
    (body as unknown as ReadonlyArray<{ readonly id: string; readonly exchange?: string }>).flatMap(
      ({ exchange, id }) => (exchange === undefined ? [] : [[id, exchange]])
    )
  )
)

describe("exchange answer unknown", () => {
  it.live("an order that it took is found in time, and is there once", () =>
    trading((on) =>
      Effect.gen(function* () {
        yield* on.control("POST", "/faults", { on: "POST /api/v3/order", kind: "answerLost" })

        yield* place202(buy("lost"))

        const order = yield* ends("lost")
        assert.deepStrictEqual([order["status"], order["certainty"]], ["COMPLETED", "CONFIRMED"])
        assert.strictEqual(onLedger(on, order["client_order_id"]), 1)
        assert.strictEqual((yield* standing).ready, 200)
      })
    )
  )

  it.live("an order that never arrived shows UNKNOWN until it is proven absent, and is then sent again, once", () =>
    trading((on) =>
      Effect.gen(function* () {
        yield* on.control("POST", "/faults", { on: "POST /api/v3/order", kind: "neverArrives" })

        yield* place202(buy("lost"))
        const doubted = yield* becomes("lost", ({ certainty }) => certainty === "UNKNOWN")
        const other = yield* place202(buy("other"))
        // While it is on its way its answer is unknown as well.
        assert.strictEqual((yield* ends("other"))["status"], "COMPLETED")
        const unknown = yield* figure("nexus_orders_unknown")
        const probed = yield* standing
        // recvWindow, and both margins of a simulator.
        yield* (yield* TestNexus).advance("8 seconds")

        assert.deepStrictEqual([doubted["status"], probed.ready, unknown], ["EXECUTING", 200, 1])
        assert.strictEqual(other.status, 202)
        const order = yield* ends("lost")
        assert.strictEqual(order["status"], "COMPLETED")
        assert.strictEqual(onLedger(on, order["client_order_id"]), 1)
        assert.strictEqual(yield* figure("nexus_orders_unknown"), 0)
      })
    )
  )
})

describe("user stream down, REST up", () => {
  it.live("a fill is found by asking, and what happened meanwhile is there when the stream is back", () =>
    trading((on) =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* place202(bid("filled"))
        yield* place202({ ...bid("later"), price: 40_000 })
        yield* Effect.andThen(rests("filled"), rests("later"))
        yield* on.control("POST", "/stream", [{ action: "refuse", millis: 60_000 }, { action: "cut" }])
        const away = yield* stands(({ parts }) => parts.includes("user-stream"))

        on.simulator.moveMarket("BTCUSDT", "49000")
        yield* place202(buy("now"))
        const now = yield* ends("now")
        assert.deepStrictEqual(yield* marks, {})
        // reconciler.interval_ms
        yield* nexus.advance("31 seconds")
        const filled = yield* ends("filled")

        assert.deepStrictEqual([away.health, away.ready], [200, 200])
        assert.deepStrictEqual([now["status"], filled["status"]], ["COMPLETED", "COMPLETED"])
        on.simulator.moveMarket("BTCUSDT", "39000")
        yield* on.control("POST", "/stream", { action: "refuse", millis: 1 })
        assert.strictEqual((yield* ends("later"))["status"], "COMPLETED")
        yield* stands(({ parts }) => parts.length === 0)
      })
    )
  )
})

/** Long enough to look at it. What is told to all replicas is kept on PostgreSQL's clock, which no test sets. */
const limitedMillis = 8_000

describe("429 and 418", () => {
  for (const status of [429, 418]) {
    it.live(`${status}: orders and cancels wait out what the exchange says, and nothing goes to it before`, () =>
      trading((on) =>
        Effect.gen(function* () {
          const nexus = yield* TestNexus
          yield* place202(bid("rests"))
          yield* rests("rests")
          yield* on.control("POST", "/limits", { status, millis: limitedMillis })

          yield* place202(buy("waits"))
          const limited = yield* stands(({ details }) => details.includes("it wants no requests"))
          const struck = yield* strikes(on)
          const foreseen = yield* forecasts
          const kept = yield* cancel("rests")
          const validUntil = new Date(nexus.clock.currentTimeMillisUnsafe() + 1_000).toISOString()
          yield* place202({ ...buy("short"), valid_until: validUntil })
          const stale = yield* ends("short")

          assert.deepStrictEqual([limited.health, limited.ready, kept.status], [200, 200, 202])
          assert.deepInclude(stale["reason"], { code: "STALE" })
          assert.strictEqual((yield* find("waits")).body["status"], "PENDING")
          assert.isAbove(yield* figure("nexus_exchange_stopped_seconds"), 0)
          for (const millis of foreseen) assert.isTrue(millis > 1_000 && millis <= limitedMillis, `${millis} ms`)
          assert.strictEqual(yield* strikes(on), struck)
          assert.strictEqual((yield* ends("waits"))["status"], "COMPLETED")
          assert.strictEqual((yield* ends("rests"))["status"], "CANCELLED")
          assert.strictEqual(onLedger(on, stale["client_order_id"]), 0)
        })
      )
    )
  }
})

/** When the next order could be sent, by /ready and by /metrics, in milliseconds. */
const forecasts = Effect.gen(function* () {
  const { body } = yield* ask("GET", "/ready")
  const seconds = yield* figure('nexus_exchange_wait_seconds\\{kind="submit"\\}')
  return [(body["exchange"] as { readonly next_submit_ms: number }).next_submit_ms, seconds * 1_000]
})

/** How many requests have met the ban. */
const strikes = (on: Exchange) =>
  Effect.map(
    on.control("GET", "/limits"),
    (limits) => (limits as ReadonlyArray<{ readonly struck: number }>)[0]?.struck
  )

describe("clock off by more than a second", () => {
  it.live("orders of the wrong time are refused once at most, the clock is measured, and they execute", () =>
    trading((on) =>
      Effect.gen(function* () {
        const offset = figure("nexus_exchange_clock_offset_seconds")
        for (const [id, stepMillis] of [
          ["ahead", 8_000],
          ["behind", -16_000]
        ] as const) {
          const before = yield* offset
          yield* on.control("POST", "/clock", { stepMillis })

          yield* place202(buy(id))

          const order = yield* ends(id)
          assert.strictEqual(order["status"], "COMPLETED")
          assert.strictEqual(onLedger(on, order["client_order_id"]), 1)
          const after = yield* until(offset, (now) => Math.abs(now - before - stepMillis / 1_000) < 1)
          assert.approximately(after - before, stepMillis / 1_000, 1)
          assert.strictEqual((yield* standing).ready, 200)
        }
      })
    )
  )
})
