/**
 * An event that a later release has written parks its own order and nobody else's: the lane goes on, what is known of
 * the order stays readable, and the later release takes it up again.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { afterEach, inject } from "vitest"
import { laneOf, OrderId } from "../../src/domain/Ids.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Blotter } from "../../src/sql/Blotter.ts"
import { Cursors } from "../../src/sql/Cursors.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Parked } from "../../src/sql/Parked.ts"
import { laterType, makeLaterRelease } from "../../tools/proofs/upgrade/laterRelease.ts"
import { newFolder, removeAll, run } from "../cli/Program.ts"
import { asAdministrator, freshDatabase } from "../harness/template.ts"
import { filled, limit, market, rests, ScriptedExchange, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { noteAsLater } from "./noteAsLater.ts"

afterEach(removeAll)

/** Two ids of one lane. */
const neighboursOf = (orderId: string, lanes: number): string => {
  for (let n = 0; ; n++) if (laneOf(`sound-${n}`, lanes) === laneOf(orderId, lanes)) return `sound-${n}`
}

const why =
  `this release cannot read ${laterType} of schema version 1, version 2 of the order (unknown type): ` +
  `run the release that wrote it, then "nexus parked retry"`

it.live(
  "an event of a later release parks its order alone, which the later release takes up again",
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase(inject("pgUrl"))
      const noted = OrderId.make("noted")
      yield* Effect.gen(function* () {
        yield* (yield* TestNexus).place(noted, market("BUY", "0.01"))
        yield* noteAsLater(noted)
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { databaseUrl, roles: [] })))

      yield* Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { lanes, laneHeads } = yield* EventStore
        const cursors = yield* Cursors
        const parked = yield* Parked
        const sound = neighboursOf(noted, lanes)
        // Its message comes to an executor, which must read the order.
        yield* until(parked.order(noted), (found) => found !== null)
        yield* nexus.place(sound, market("BUY", "0.01"))
        yield* nexus.until(sound, ({ status }) => status === "COMPLETED")
        const lane = laneOf(noted, lanes)
        const head = (yield* laneHeads).find((one) => one.lane === lane)!.position
        yield* until(cursors.position(lane), (position) => position === head)

        const listed = yield* parked.orders({ after: null, limit: 10 })
        const refused = yield* Effect.flip(nexus.cancel(noted))
        const again = yield* Effect.flip(nexus.place(noted, market("BUY", "0.01")))
        const row = yield* (yield* Blotter).find(noted)
        const events = (yield* (yield* EventStore).load(noted)).events.map(({ type }) => type)

        assert.deepStrictEqual(
          listed.map(({ orderId, reason, status }) => ({ orderId, reason, status })),
          [{ orderId: noted, reason: why, status: "PENDING" }]
        )
        assert.strictEqual(JSON.parse(listed[0]!.record).type, laterType)
        assert.deepInclude(refused, { _tag: "Rejection", code: "PARKED", message: why })
        assert.deepInclude(again, { _tag: "Rejection", code: "PARKED", message: why })
        assert.deepInclude(row, { status: "PENDING", parked: true, dueAt: null, quantity: "0.01", version: 3 })
        assert.deepStrictEqual(events, ["OrderPlaced", laterType, "OrderParked"])
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([filled]), { databaseUrl })))

      const folder = newFolder()
      makeLaterRelease(join(folder, "later"))
      const later = (...args: ReadonlyArray<string>) =>
        Effect.promise(() =>
          run(
            args,
            folder,
            { DATABASE_URL: databaseUrl },
            {
              command: [process.execPath, join(folder, "later/src/cli.ts"), ...args]
            }
          )
        )
      const retried = yield* later("parked", "retry", noted, "--by", "ann", "--reason", "upgraded")
      const verified = yield* later("verify")
      const rows = yield* asAdministrator(
        databaseUrl,
        (sql) => sql`select order_id, parked, status from orders where parked`
      )

      assert.deepStrictEqual([retried.code, retried.err], [0, ""])
      assert.match(retried.out, /^order noted is not parked any more, by decision of ann; it is PENDING\n/)
      assert.strictEqual(verified.code, 0, verified.out)
      assert.deepStrictEqual(rows, [])
    }).pipe(Effect.scoped),
  120_000
)

it.live("an open order that a later release has written to holds up neither comparisons nor others' fills", () =>
  Effect.gen(function* () {
    const nexus = yield* TestNexus
    const noted = OrderId.make("noted")
    yield* nexus.place(noted, limit("BUY", "0.01", "30000"))
    yield* nexus.until(noted, ({ exchangeOrderId }) => exchangeOrderId !== null)
    yield* noteAsLater(noted)

    // The copy in memory is from before, and the append tells that it is old.
    const refused = yield* Effect.flip(nexus.cancel(noted))
    yield* nexus.place("sound", market("BUY", "0.01"))
    yield* nexus.until("sound", ({ status }) => status === "COMPLETED")
    const row = yield* (yield* Blotter).find(noted)
    const tellAgain = yield* Effect.flip(
      (yield* Engine).tell(noted, { _tag: "ParkOrder", at: 1, reason: "again", record: "" })
    )

    assert.deepInclude(refused, { _tag: "Rejection", code: "PARKED" })
    assert.deepInclude(row, { status: "EXECUTING", parked: true })
    assert.deepInclude(tellAgain, { _tag: "Rejection", code: "PARKED" })
    const types = (yield* (yield* EventStore).load(noted)).events.map(({ type }) => type)
    assert.deepStrictEqual(types.slice(-2), [laterType, "OrderParked"])
  }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([rests, filled]))))
)
