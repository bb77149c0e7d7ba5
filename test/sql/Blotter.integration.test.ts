/**
 * The blotter on a real PostgreSQL: each row is the fold of its order's events, and every list finds exactly what
 * it promises, page by page.
 */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { describe, inject } from "vitest"
import { decimal } from "../../src/domain/Decimal.ts"
import type { OrderEvent } from "../../src/domain/Event.ts"
import { laneOf, OrderId } from "../../src/domain/Ids.ts"
import { emptyStream, type Status } from "../../src/domain/Order.ts"
import { Blotter, type DueKey } from "../../src/sql/Blotter.ts"
import { rowOf } from "../../src/sql/BlotterRow.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { freshDatabase, templateLanes } from "../harness/template.ts"
import { accepted, completed, filled, parked, placed, someRequest, started, step, storeOn } from "./storedOrders.ts"

const onStore = <E>(test: Effect.Effect<void, E, EventStore | Blotter | Scope.Scope>) =>
  Effect.scoped(Effect.flatMap(freshDatabase(inject("pgUrl")), (url) => Effect.provide(test, storeOn(url))))

const t0 = 1_795_612_000_000
const allLanes = Array.from({ length: templateLanes }, (_, lane) => lane)

/** An order with this life, placed at `at`. */
const live = Effect.fnUntraced(function* (orderId: string, at: number, events: ReadonlyArray<OrderEvent> = []) {
  const store = yield* EventStore
  const first = step(orderId, emptyStream, [placed(orderId, someRequest, at)], { at })
  yield* store.append(first.entry)
  if (events.length === 0) return first.after
  const second = step(orderId, first.after, events, { at: at + 1 })
  yield* store.append(second.entry)
  return second.after
})

const refusedUntil = (attempt: number, nextAttemptAt: number | null): OrderEvent => ({
  _tag: "SubmissionRefused",
  attempt,
  code: "-1003",
  message: "too many requests",
  nextAttemptAt
})
const doubted = (attempt: number): OrderEvent => ({ _tag: "SubmissionUnknown", attempt, cause: "no answer" })
const cancelWanted: OrderEvent = { _tag: "CancelRequested", reason: "by the client" }
const cancelRefused: OrderEvent = { _tag: "CancelRefused", code: "-2011", message: "Unknown order sent." }

const ids = (rows: ReadonlyArray<{ readonly orderId: string }>) => rows.map(({ orderId }) => orderId)

describe("a row of the blotter", () => {
  it.live("is the fold of the order's events after every append, with exact decimals", () =>
    onStore(
      Effect.gen(function* () {
        const store = yield* EventStore
        const blotter = yield* Blotter
        const id = OrderId.make("o-1")
        const steps: ReadonlyArray<ReadonlyArray<OrderEvent>> = [
          [placed("o-1", { ...someRequest, quantity: decimal("0.30000001"), validUntil: t0 + 5 }, t0)],
          [started("o-1", 1, t0)],
          [refusedUntil(1, t0 + 60)],
          [started("o-1", 2, t0 + 60), doubted(2)],
          [accepted(2, t0 + 61), cancelWanted],
          [cancelRefused, filled("t10", "0.1", t0 + 70), filled("t9", "0.2", t0 + 71)],
          [{ ...filled("t11", "0.00000001", t0 + 72), feeAsset: "USDT" } as OrderEvent, parked("looked at")],
          [completed("0.30000001", "18369.0756123025")]
        ]

        let stream = emptyStream
        for (const events of steps) {
          const next = step("o-1", stream, events, { at: t0 + stream.version })
          yield* store.append(next.entry)
          stream = next.after

          const wanted = rowOf(id, laneOf(id, templateLanes), stream.version, stream.order)
          assert.deepStrictEqual(yield* blotter.find(id), wanted)
        }
        const row = yield* blotter.findByClientOrderId(stream.order.clientOrderId ?? "")
        assert.deepInclude(row, {
          orderId: id,
          status: "COMPLETED",
          filledQuantity: "0.30000001",
          filledQuote: "18369.0756123025",
          averagePrice: "61230.25",
          fees: { BNB: "0.00002", USDT: "0.00001" }
        })
        assert.deepStrictEqual(
          row?.fills.map(({ tradeId }) => tradeId),
          ["t10", "t9", "t11"]
        )
        assert.isNull(yield* blotter.find(OrderId.make("nobody")))
      })
    )
  )
})

describe("a list of the blotter", () => {
  it.live("goes through all orders of its statuses by time of placing, and pages neither skip nor repeat", () =>
    onStore(
      Effect.gen(function* () {
        const blotter = yield* Blotter
        // Pairs share a moment, so that the id has to break the tie.
        for (let n = 0; n < 12; n++) {
          yield* live(
            `o-${n}`,
            t0 + (n >> 1),
            n % 3 === 0 ? [{ _tag: "OrderFailed", code: "STALE", message: "too old" }] : []
          )
        }
        const pages = Effect.fnUntraced(function* (order: "asc" | "desc", statuses: ReadonlyArray<Status> | null) {
          const seen: Array<string> = []
          for (let last = (yield* blotter.list({ statuses, limit: 5, order })).at(0); last !== undefined;) {
            const page = yield* blotter.list({
              statuses,
              limit: 5,
              order,
              ...(seen.length === 0 ? {} : { before: last })
            })
            seen.push(...ids(page))
            last = page.at(-1)
          }
          return seen
        })
        const byPlacing = Array.from({ length: 12 }, (_, n) => n).sort(
          (a, b) => (a >> 1) - (b >> 1) || (`o-${a}` < `o-${b}` ? -1 : 1)
        )
        const failed = byPlacing.filter((n) => n % 3 === 0)
        const pending = byPlacing.filter((n) => n % 3 !== 0)
        const names = (numbers: ReadonlyArray<number>) => numbers.map((n) => `o-${n}`)

        assert.deepStrictEqual(yield* pages("asc", null), names(byPlacing))
        assert.deepStrictEqual(yield* pages("desc", null), names(byPlacing.toReversed()))
        assert.deepStrictEqual(yield* pages("desc", ["FAILED"]), names(failed.toReversed()))
        assert.deepStrictEqual(yield* pages("asc", ["PENDING", "EXECUTING"]), names(pending))
        assert.deepStrictEqual(yield* pages("asc", []), [])
        assert.lengthOf(yield* blotter.list({ statuses: null, limit: 50, symbol: "BTCUSDT" }), 12)
        assert.lengthOf(yield* blotter.list({ statuses: null, limit: 50, symbol: "ETHUSDT" }), 0)
      })
    )
  )
})

describe("what is due", () => {
  const now = t0 + 10_000
  const query = { lanes: allLanes, now, pickupAfterMs: 2_000, limit: 100, after: null }

  it.live(
    "is an order never attempted for a while, or due again, or stale; nothing parked, waiting, sent or ended",
    () =>
      onStore(
        Effect.gen(function* () {
          const store = yield* EventStore
          const { due } = yield* Blotter
          yield* live("old", t0)
          yield* live("fresh", now - 1_000)
          yield* live("again", t0 + 1, [started("again", 1, t0), refusedUntil(1, now - 5)])
          yield* live("waiting", t0, [started("waiting", 1, t0), refusedUntil(1, now + 5)])
          yield* live("parked", t0, [parked("poison")])
          yield* live("sent", t0, [started("sent", 1, t0)])
          yield* live("ended", t0, [{ _tag: "OrderFailed", code: "X", message: "x" }])
          // Both are stale before they would be due otherwise.
          const short = (orderId: string, at: number): OrderEvent => ({ ...placed(orderId), staleAt: at }) as OrderEvent
          yield* store.append(step("stale-new", emptyStream, [short("stale-new", now - 1)], { at: now - 500 }).entry)
          yield* store.append(
            step(
              "stale-waiting",
              emptyStream,
              [short("stale-waiting", now - 2), started("stale-waiting", 1, t0), refusedUntil(1, now + 60_000)],
              { at: t0 }
            ).entry
          )

          const { next, rows } = yield* due(query)

          assert.isNull(next)
          assert.deepStrictEqual(ids(rows), ["old", "stale-new", "again", "stale-waiting"])
          assert.strictEqual(rows[0]!.staleAt, t0 + 120_000)
          assert.strictEqual(rows[1]!.staleAt, now - 1)
        })
      )
  )

  it.live("is found behind a page that somebody else is busy with, and only in the lanes asked for", () =>
    onStore(
      Effect.gen(function* () {
        const { due } = yield* Blotter
        const all = Array.from({ length: 25 }, (_, n) => `o-${String(n).padStart(2, "0")}`)
        for (const [n, id] of all.entries()) yield* live(id, t0 + (n >> 2))

        const seen: Array<string> = []
        let after: DueKey | null = null
        do {
          const page: Effect.Success<ReturnType<typeof due>> = yield* due({ ...query, limit: 10, after })
          seen.push(...ids(page.rows))
          after = page.next
        } while (after !== null)

        assert.deepStrictEqual(seen, all)
        const mine = (yield* due({ ...query, lanes: [1, 3] })).rows
        assert.deepStrictEqual(
          ids(mine),
          all.filter((id) => [1, 3].includes(laneOf(id, templateLanes)))
        )
        assert.deepStrictEqual((yield* due({ ...query, lanes: [] })).rows, [])
      })
    )
  )
})

describe("sweeps of the blotter", () => {
  it.live("find attempts in doubt, open orders and unanswered cancels, each once and page by page", () =>
    onStore(
      Effect.gen(function* () {
        const blotter = yield* Blotter
        yield* live("pending", t0)
        yield* live("started", t0 + 5, [started("started", 1, t0)])
        yield* live("unknown", t0, [started("unknown", 1, t0), doubted(1)])
        yield* live("open-1", t0, [started("open-1", 1, t0), accepted(1, t0)])
        yield* live("open-2", t0, [started("open-2", 1, t0), accepted(1, t0), cancelWanted])
        yield* live("open-3", t0, [started("open-3", 1, t0), accepted(1, t0), cancelWanted, cancelRefused])
        yield* live("done", t0, [
          started("done", 1, t0),
          accepted(1, t0),
          filled("t1", "0.015", t0),
          completed("0.015", "918.45375")
        ])

        const first = yield* blotter.open({ limit: 2, after: null })
        const rest = yield* blotter.open({ limit: 2, after: "open-2" })

        assert.deepStrictEqual(ids(first), ["open-1", "open-2"])
        assert.deepStrictEqual(ids(rest), ["open-3"])
        assert.lengthOf(yield* blotter.open({ limit: 9, after: null, symbol: "ETHUSDT" }), 0)
        assert.deepStrictEqual(ids(yield* blotter.unansweredCancels({ limit: 9, after: null })), ["open-2"])
        const inDoubt = (startedBefore: number) => blotter.inDoubt({ startedBefore, limit: 9, after: null })
        assert.deepStrictEqual(ids(yield* inDoubt(t0 + 100)), ["started", "unknown"])
        assert.deepStrictEqual(ids(yield* inDoubt(t0 + 1)), ["unknown"])
        assert.deepStrictEqual(yield* blotter.doubtCounts, { count: 2, oldestStartedAt: t0 + 1, open: 3 })
      })
    )
  )
})
