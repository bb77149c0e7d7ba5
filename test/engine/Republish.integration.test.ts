/** What is sent again is what was sent, and only what was sent can be. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { laneOf } from "../../src/domain/Ids.ts"
import { republish } from "../../src/engine/Republish.ts"
import { Cursors } from "../../src/sql/Cursors.ts"
import { templateLanes } from "../harness/template.ts"
import { limit, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { brokenBus, type BusFaults, makeBusFaults } from "./brokenBus.ts"
import { scripted } from "./scripted.ts"

const rest = limit("BUY", "0.01", "50000")
const lane = laneOf("first", templateLanes)
const neighbour = Array.from({ length: 40 }, (_, index) => `n-${index}`).find(
  (id) => laneOf(id, templateLanes) === lane
)!

/** Work that nobody does: these tests look at the topics alone. */
const takenByNobody = (): BusFaults => ({ ...makeBusFaults(), loses: "orders" })

/** Two orders of one lane, cancelled before anything was sent: six events and four that ask for work. */
const placedAndSent = Effect.gen(function* () {
  const nexus = yield* TestNexus
  const cursors = yield* Cursors
  for (const id of ["first", neighbour]) {
    yield* nexus.place(id, rest)
    yield* nexus.cancel(id)
  }
  return yield* until(cursors.position(lane), (position) => position >= 4)
})

describe("republish", () => {
  it.live("sends the same records again, those of the range and no others, in order, on both topics", () => {
    const faults = takenByNobody()
    return Effect.gen(function* () {
      const head = yield* placedAndSent
      const before = faults.published.filter((one) => one.lane === lane)
      const first = before.length

      const report = yield* republish({ lane, from: 2, to: head })

      const again = faults.published.filter((one) => one.lane === lane).slice(first)
      const inRange = (one: (typeof before)[number]) => Number(one.record.headers["ce_position"]) >= 2
      for (const topic of ["events", "orders"] as const) {
        assert.deepStrictEqual(
          again.filter((one) => one.topic === topic),
          before.filter((one) => one.topic === topic && inRange(one))
        )
      }
      assert.strictEqual(report.events, head - 1)
      assert.strictEqual(report.orders, again.length - report.events)
    }).pipe(scripted([], { roles: ["relay"], bus: brokenBus(faults) }))
  })

  it.live("leaves a marker again where the bus refuses an event, and parks nothing", () => {
    const faults = takenByNobody()
    return Effect.gen(function* () {
      yield* placedAndSent
      const first = faults.published.length
      faults.refuses = (topic, { headers, key }) =>
        topic === "events" && key === "first" && headers["ce_type"] === "nexus.OrderPlaced"

      yield* republish({ lane, from: 1, to: 4 })

      const types = faults.published.slice(first).map(({ record }) => record.headers["ce_type"])
      assert.include(types, "nexus.Skipped")
      assert.isFalse((yield* (yield* TestNexus).order("first")).parked)
    }).pipe(scripted([], { roles: ["relay"], bus: brokenBus(faults) }))
  })

  it.live("refuses what was not sent yet, an empty range and a lane that there is not, each in a sentence", () => {
    const faults = takenByNobody()
    return Effect.gen(function* () {
      const head = yield* placedAndSent
      const first = faults.published.length

      const refusals = yield* Effect.forEach(
        [
          { lane, from: 1, to: head + 1 },
          { lane, from: 3, to: 2 },
          { lane: templateLanes, from: 1, to: 1 }
        ],
        (range) => Effect.map(Effect.flip(republish(range)), ({ message }) => message)
      )

      assert.deepStrictEqual(refusals, [
        `lane ${lane} was sent up to position ${head}: what comes after it the relay sends by itself`,
        "position 3 comes after position 2",
        `there is no lane ${templateLanes}: this store has lanes 0 to ${templateLanes - 1}`
      ])
      assert.strictEqual(faults.published.length, first)
    }).pipe(scripted([], { roles: ["relay"], bus: brokenBus(faults) }))
  })
})
