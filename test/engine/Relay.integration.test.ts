import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { laneOf } from "../../src/domain/Ids.ts"
import { densityFaults } from "../../src/domain/invariants.ts"
import { Cursors } from "../../src/sql/Cursors.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Parked } from "../../src/sql/Parked.ts"
import { asAdministrator, templateLanes } from "../harness/template.ts"
import { ExchangeScript, limit, market, ScriptedExchange, TestNexus } from "../layers.ts"
import { makeMovableClock } from "../MovableClock.ts"
import { until } from "../sql/until.ts"
import { brokenBus, type BusFaults, makeBusFaults } from "./brokenBus.ts"
import { hasEnded, isResting, scripted, sound, story } from "./scripted.ts"

const buy = market("BUY", "0.01")
const lanes = Array.from({ length: templateLanes }, (_, lane) => lane)

const withFaults = <A, E, R>(use: (faults: BusFaults) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => use(makeBusFaults()))

const positionOf = (record: { readonly headers: Readonly<Record<string, string>> }) =>
  Number(record.headers["ce_position"])

/** Positions of the events topic, lane by lane, without repeats, as they first came. */
const firstSeen = (published: BusFaults["published"], lane: number) => [
  ...new Set(
    published.filter((one) => one.topic === "events" && one.lane === lane).map(({ record }) => positionOf(record))
  )
]

/** Waits until the bus has the whole log, and gives the length of each lane. */
const publishedWhile = Effect.fnUntraced(function* (between: Effect.Effect<void>) {
  const cursors = yield* Cursors
  const store = yield* EventStore
  const owed = Effect.gen(function* () {
    yield* between
    const heads = yield* store.laneHeads
    const at = new Map((yield* cursors.positions).map(({ lane, position }) => [lane, position]))
    return heads.map(({ lane, position }) => ({ head: position, left: position - (at.get(lane) ?? 0) }))
  })
  // The heads of that very look: the engine's own reports may be appended at any time after it.
  const settled = yield* until(owed, (lanes) => lanes.every(({ left }) => left === 0))
  return settled.map(({ head }) => head)
})

const published = publishedWhile(Effect.void)

describe("Relay", () => {
  it.live(
    "under load the events topic is complete by position in every lane, and work comes on the other topic too",
    () =>
      withFaults((faults) =>
        Effect.gen(function* () {
          const nexus = yield* TestNexus
          const ids = Array.from({ length: 60 }, (_, index) => `load-${index}`)
          yield* Effect.forEach(
            ids,
            (id, index) => nexus.place(id, index % 3 === 0 ? limit("BUY", "0.01", "50000") : buy),
            {
              concurrency: 16
            }
          )
          for (const id of ids.filter((_, index) => index % 3 === 0)) {
            yield* nexus.until(id, isResting)
            yield* nexus.cancel(id)
          }
          for (const id of ids) yield* nexus.until(id, hasEnded)

          const heads = yield* published

          assert.isTrue(heads.every((head) => head > 0))
          for (const lane of lanes) {
            const seen = firstSeen(faults.published, lane)
            assert.deepStrictEqual(densityFaults(seen, 0), [])
            assert.strictEqual(seen.length, heads[lane])
          }
          const work = faults.published.filter(({ topic }) => topic === "orders")
          assert.strictEqual(new Set(work.map(({ record }) => record.headers["ce_type"])).size, 2)
          for (const { lane, record } of work) assert.strictEqual(lane, laneOf(record.key, templateLanes))
        }).pipe(scripted([], { bus: brokenBus(faults) }))
      )
  )

  it.live("an event that the bus will never take parks its order, leaves a marker, and holds up nobody", () =>
    withFaults((faults) =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        faults.refuses = (topic, { headers, key }) =>
          topic === "events" && key === "huge" && headers["ce_type"] === "nexus.OrderPlaced"
        yield* nexus.place("huge", limit("BUY", "0.01", "50000"))
        const lane = laneOf("huge", templateLanes)
        const neighbours = Array.from({ length: 40 }, (_, index) => `n-${index}`).filter(
          (id) => laneOf(id, templateLanes) === lane
        )
        for (const id of neighbours) yield* nexus.place(id, buy)

        for (const id of neighbours) yield* nexus.until(id, hasEnded)
        yield* published

        const [parked] = yield* (yield* Parked).list(10)
        assert.deepStrictEqual([parked?.streamId, parked?.lane, parked?.reason], ["huge", lane, "too large"])
        assert.include(yield* story("huge"), "OrderParked")
        assert.deepStrictEqual(densityFaults(firstSeen(faults.published, lane), 0), [])
        const marker = faults.published.find(
          ({ record, topic }) => topic === "events" && positionOf(record) === parked?.position && record.key === "huge"
        )
        assert.strictEqual(marker?.record.headers["ce_type"], "nexus.Skipped")
      }).pipe(scripted([], { bus: brokenBus(faults) }))
    )
  )

  it.live("what was written while the bus was away is published when it is back, in order and complete", () =>
    withFaults((faults) => {
      // Before anything is built: the store's own first event would be out otherwise.
      faults.isAway = true
      return Effect.gen(function* () {
        const nexus = yield* TestNexus
        const ids = Array.from({ length: 20 }, (_, index) => `away-${index}`)
        for (const id of ids) yield* nexus.place(id, buy)
        yield* nexus.advance("3 seconds")
        for (const id of ids) yield* nexus.until(id, hasEnded)
        assert.strictEqual(faults.published.length, 0)

        faults.isAway = false
        yield* nexus.advance("10 seconds")
        const heads = yield* published

        for (const lane of lanes)
          assert.strictEqual(
            firstSeen(faults.published, lane).filter((position) => position <= heads[lane]!).length,
            heads[lane]
          )
        for (const lane of lanes) assert.deepStrictEqual(densityFaults(firstSeen(faults.published, lane), 0), [])
      }).pipe(scripted([], { bus: brokenBus(faults) }))
    })
  )

  it.live("an owner that has lost its lane moves no cursor, and the next owner repeats rather than skips", () =>
    withFaults((faults) =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const cursors = yield* Cursors
        yield* nexus.place("before", buy)
        yield* nexus.until("before", hasEnded)
        yield* published
        yield* asAdministrator(
          nexus.databaseUrl,
          (sql) =>
            sql`update leases set owner = 'somebody', epoch = epoch + 1, expires_at = 'infinity' where role like 'relay/%'`
        )
        const stood = yield* cursors.positions
        // The owner asks for its leases in a minute: until then only the cursor tells it that they are gone.
        const ids = Array.from({ length: 12 }, (_, index) => `fenced-${index}`)

        for (const id of ids) yield* nexus.place(id, buy)
        yield* nexus.advance("3 seconds")
        for (const id of ids) yield* nexus.until(id, hasEnded)

        assert.deepStrictEqual(yield* cursors.positions, stood)
        yield* asAdministrator(
          nexus.databaseUrl,
          (sql) => sql`update leases set owner = null, expires_at = '-infinity' where role like 'relay/%'`
        )
        const heads = yield* publishedWhile(Effect.andThen(nexus.advance("61 seconds"), Effect.sleep(100)))
        for (const lane of lanes) {
          assert.deepStrictEqual(densityFaults(firstSeen(faults.published, lane), 0), [])
          assert.strictEqual(
            firstSeen(faults.published, lane).filter((position) => position <= heads[lane]!).length,
            heads[lane]
          )
        }
      }).pipe(scripted([], { bus: brokenBus(faults), env: { NEXUS_LEASES_RENEW_MS: "60000" } }))
    )
  )

  it.live("two relays share the lanes, and when one leaves the other goes on where the lane stood", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const clock = makeMovableClock()
        const exchange = Layer.succeedContext(yield* Layer.build(ScriptedExchange([])))
        const faults = makeBusFaults()
        const one = yield* Layer.build(TestNexus.on(exchange, { clock, bus: brokenBus(faults) }))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          const ids = Array.from({ length: 30 }, (_, index) => `two-${index}`)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const two = yield* Layer.build(
                TestNexus.on(exchange, { clock, bus: brokenBus(faults), databaseUrl: first.databaseUrl })
              )
              const second = yield* Effect.provide(TestNexus, two)
              const owners = asAdministrator(
                first.databaseUrl,
                (sql) => sql`select count(distinct owner)::int as n from leases where role like 'relay/%'`
              )
              yield* until(owners, (rows) => rows[0]?.["n"] === 2)
              for (const [index, id] of ids.slice(0, 15).entries())
                yield* (index % 2 === 0 ? first : second).place(id, buy)
              yield* first.advance("3 seconds")
              for (const id of ids.slice(0, 15)) yield* first.until(id, hasEnded)
            })
          )
          for (const id of ids.slice(15)) yield* first.place(id, buy)
          yield* first.advance("3 seconds")
          for (const id of ids.slice(15)) yield* first.until(id, hasEnded)

          const heads = yield* published
          for (const lane of lanes) {
            assert.deepStrictEqual(densityFaults(firstSeen(faults.published, lane), 0), [])
            assert.strictEqual(
              firstSeen(faults.published, lane).filter((position) => position <= heads[lane]!).length,
              heads[lane]
            )
          }
          assert.strictEqual((yield* (yield* ExchangeScript).ledger).length, 30)
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )
})
