/**
 * What a client sees once Kafka has been away for so long that more is owed to it than `outbox.max_backlog`: no new order
 * is taken, all else goes on as ever, and new orders are taken again when Kafka has had what was owed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { brokenBus, makeBusFaults } from "../engine/brokenBus.ts"
import { TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { bid, buy, cancel, ends, figure, find, makeExchange, onLedger, place, rests, stands, wholeOn } from "./Whole.ts"

/** A handful of orders' events. */
const most = 20

describe("Kafka away past outbox.max_backlog", () => {
  it.live("new orders are 503 and recorded nowhere, cancels and reads go on, and it ends once Kafka is back", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const on = yield* makeExchange
        const bus = makeBusFaults()
        yield* Effect.gen(function* () {
          yield* stands(({ parts, ready }) => ready === 200 && parts.length === 0)
          bus.isAway = true
          yield* Effect.andThen(place(bid("rests")), rests("rests"))
          let number = 0
          const shed = yield* until(
            Effect.suspend(() => place(buy(`o-${(number += 1)}`))),
            ({ status }) => status !== 202
          )
          const last = buy(`o-${number}`)
          const owed = yield* figure("nexus_outbox_backlog")

          const repeated = yield* place(bid("rests"))
          const found = yield* find("rests")
          const unknown = yield* find(last.id)
          const cancelled = yield* cancel("rests")
          const gone = yield* ends("rests")
          const seen = yield* stands(({ parts }) => parts.includes("kafka"))

          assert.deepStrictEqual([shed.status, shed.body["code"]], [503, "overloaded"])
          assert.match(shed.headers.get("retry-after") ?? "", /^[1-3]$/)
          assert.isAbove(owed, most)
          assert.deepStrictEqual([repeated.status, repeated.headers.get("idempotency-replayed")], [200, "true"])
          assert.deepStrictEqual([found.status, unknown.status], [200, 404])
          assert.deepStrictEqual([cancelled.status, gone["status"]], [202, "CANCELLED"])
          assert.deepStrictEqual([seen.health, seen.ready, seen.reason], [200, 200, null])
          // What was taken before is carried out all the same.
          for (let taken = 1; taken < number; taken++) {
            assert.strictEqual((yield* ends(`o-${taken}`))["status"], "COMPLETED")
          }

          bus.isAway = false
          yield* until(place(last), ({ status }) => status === 202)
          const order = yield* ends(last.id)
          assert.deepStrictEqual([order["status"], onLedger(on, order["client_order_id"])], ["COMPLETED", 1])
          yield* stands(({ parts }) => parts.length === 0)
          yield* (yield* TestNexus).verify
        }).pipe(Effect.provide(wholeOn(on, { bus: brokenBus(bus), env: { NEXUS_OUTBOX_MAX_BACKLOG: `${most}` } })))
      })
    )
  )
})
