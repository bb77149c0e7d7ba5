/**
 * What a client and a probe see while a stored event is not what was written: cancels and reads go on, no new order is
 * taken, nothing is sent, the lane waits before that event, and all of it ends when somebody has put the event right.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import { laneOf } from "../../src/domain/Ids.ts"
import { brokenBus, makeBusFaults } from "../engine/brokenBus.ts"
import { asAdministrator, freshDatabase, templateLanes } from "../harness/template.ts"
import { TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { bid, buy, cancel, ends, figure, find, makeExchange, onLedger, place, stands, wholeOn } from "./Whole.ts"

/** Past the triggers, as only the tables' owner can. */
const forge = (url: string, statement: string) =>
  asAdministrator(url, (sql) =>
    Effect.forEach(
      [
        "alter table events disable trigger append_only",
        statement,
        "alter table events enable always trigger append_only"
      ],
      (each) => sql.unsafe(each),
      { discard: true }
    )
  )

const quantity = (from: string, to: string) =>
  `update events set data = replace(data::text, '"${from}"', '"${to}"')::jsonb
     where stream_id = 'forged' and type = 'OrderPlaced'`

describe("hash chain broken", () => {
  it.live("no new order is taken and none is sent, cancels go on, and a repaired event lets all of it go on", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase(inject("pgUrl"))
        const exchange = yield* makeExchange
        // Taken by a process that relays nothing and sends nothing.
        yield* Effect.all([place(buy("forged")), place(bid("unwanted"))]).pipe(
          Effect.provide(wholeOn(exchange, { databaseUrl, roles: ["api"] }))
        )
        yield* forge(databaseUrl, quantity("0.001", "9.001"))
        const bus = makeBusFaults()

        yield* Effect.gen(function* () {
          const seen = yield* stands(
            ({ parts }) => parts.includes("log") && parts.some((part) => part.startsWith("relay/"))
          )
          const placed = yield* place(buy("new"))
          const cancelled = yield* cancel("unwanted")
          const found = yield* find("forged")

          assert.deepStrictEqual([seen.health, seen.ready, seen.reason], [200, 200, null])
          assert.include(seen.details, `lane ${laneOf("forged", templateLanes)} of the log is not as it was written`)
          assert.deepStrictEqual([placed.status, placed.body["code"]], [503, "log_broken"])
          assert.match(placed.headers.get("retry-after") ?? "", /^[1-3]$/)
          assert.deepStrictEqual([cancelled.status, cancelled.body["status"]], [200, "CANCELLED"])
          assert.deepStrictEqual([found.status, found.body["status"]], [200, "PENDING"])
          assert.strictEqual(yield* figure("nexus_log_broken"), 1)
          assert.isAbove(yield* figure("nexus_outbox_backlog"), 0)
          assert.notInclude(Array.from(bus.published, ({ record }) => record.key).join(" "), "forged")
          assert.strictEqual(onLedger(exchange, found.body["client_order_id"]), 0)

          yield* forge(databaseUrl, quantity("9.001", "0.001"))
          yield* until(place(buy("new")), ({ status }) => status === 202)
          for (const id of ["forged", "new"]) assert.strictEqual((yield* ends(id))["status"], "COMPLETED", id)
          yield* stands(({ parts }) => parts.length === 0)
          assert.strictEqual(onLedger(exchange, found.body["client_order_id"]), 1)
          assert.deepStrictEqual((yield* (yield* TestNexus).verify).findings, [])
        }).pipe(Effect.provide(wholeOn(exchange, { databaseUrl, bus: brokenBus(bus) })))
      })
    )
  )
})
