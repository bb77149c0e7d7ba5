/**
 * What every bus promises, run against each adapter. Callers repeat what a bus did not take, so these
 * tests publish the way the relay does: again and again until it is taken.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Cause, Layer, Scope } from "effect"
import { Effect, Fiber } from "effect"
import { randomUUID } from "node:crypto"
import type { BusRecord, Delivered, SubscribeOptions, Topic } from "../../src/kafka/EventBus.ts"
import { EventBus } from "../../src/kafka/EventBus.ts"
import { until } from "./until.ts"

type Bus = typeof EventBus.Service

export const record = (key: string, value: string): BusRecord => ({ key, value, headers: { ce_id: `${key}-${value}` } })

export const batchOf = (key: string, ...all: ReadonlyArray<string>) => all.map((value) => record(key, value))

/** Publishes as the relay does: until it is taken. */
export const publishUntilTaken = (bus: Bus, topic: Topic, lane: number, records: ReadonlyArray<BusRecord>) =>
  bus.publish(topic, lane, records).pipe(
    Effect.tapError(() => Effect.sleep(20)),
    Effect.retry({ while: (error) => error._tag !== "RecordRefused", times: 500 })
  )

/** Test files share a broker but no groups: members of one group wait for each other. */
const groupsOfThisFile = randomUUID().slice(0, 8)

/** Subscribes in the background and keeps what was handled. */
export const collect = (bus: Bus, options: Partial<SubscribeOptions> & { readonly group: string }) =>
  Effect.gen(function* () {
    const got: Array<Delivered> = []
    const poisoned: Array<{ readonly record: Delivered; readonly cause: Cause.Cause<never> }> = []
    const fiber = yield* Effect.forkScoped(
      bus.subscribe({
        topic: "orders",
        concurrency: 4,
        handle: (one) => Effect.sync(() => void got.push(one)),
        onPoison: (one, cause) => Effect.sync(() => void poisoned.push({ record: one, cause })),
        ...options,
        group: `${options.group}-${groupsOfThisFile}`
      })
    )
    return { got, poisoned, stop: Fiber.interrupt(fiber) }
  })

export const values = (records: ReadonlyArray<BusRecord>) => records.map((one) => one.value)

/** Without the repeats that "at least once" allows: the first of each. */
export const once = (all: ReadonlyArray<string>) => [...new Set(all)]

export const eventBusContract = (adapter: string, freshLayer: () => Layer.Layer<EventBus>) => {
  const test = (name: string, body: (bus: Bus) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(name, () => Effect.flatMap(EventBus, body).pipe(Effect.scoped, Effect.provide(freshLayer())))

  describe(`${adapter}, as every bus`, () => {
    test("a record arrives with the key, value, headers and lane it was published with", (bus) =>
      Effect.gen(function* () {
        const { got } = yield* collect(bus, { group: "a" })
        const sent: BusRecord = {
          key: "o-1",
          value: `{"price":"1.10","text":"ü €"}`,
          headers: { ce_id: "7", traceparent: "00-ab" }
        }

        yield* publishUntilTaken(bus, "orders", 2, [sent])
        yield* until("the record arrives", () => got.length > 0)

        const { lane, offset, ...received } = got[0]!
        assert.deepStrictEqual(received, sent)
        assert.strictEqual(lane, 2)
        assert.match(offset, /^\d+$/)
      }))

    test("records of a lane arrive in the order they were published in, over batches and lanes", (bus) =>
      Effect.gen(function* () {
        const { got } = yield* collect(bus, { group: "a" })
        const batches = [0, 1, 2, 3, 4].map((batch) => [0, 1, 2].map((n) => `${batch}.${n}`))

        yield* Effect.forEach(
          [0, 1, 2, 3],
          (lane) =>
            Effect.forEach(batches, (batch) => publishUntilTaken(bus, "orders", lane, batchOf(`o-${lane}`, ...batch))),
          { concurrency: "unbounded" }
        )
        yield* until("all arrive", () => got.length >= 60)

        for (const lane of [0, 1, 2, 3]) {
          assert.deepStrictEqual(once(values(got.filter((one) => one.lane === lane))), batches.flat())
        }
      }))

    test("two publishes to one lane at the same time both arrive whole, one after the other", (bus) =>
      Effect.gen(function* () {
        const { got } = yield* collect(bus, { group: "a" })
        const first = [1, 2, 3].map((n) => record("o-1", `first ${n}`))
        const second = [1, 2, 3].map((n) => record("o-2", `second ${n}`))
        yield* publishUntilTaken(bus, "orders", 1, [record("o-0", "warm")])

        yield* Effect.all([bus.publish("orders", 1, first), bus.publish("orders", 1, second)], { concurrency: 2 })
        yield* until("all arrive", () => got.length >= 7)

        assert.deepStrictEqual(once(values(got)).slice(1), [...values(first), ...values(second)])
      }))

    test("each group gets every record, and within a group one member does", (bus) =>
      Effect.gen(function* () {
        const members = yield* Effect.forEach(["a", "a", "b"], (group) => collect(bus, { group }))
        const lanes = [0, 1, 2, 3]

        yield* Effect.forEach(lanes, (lane) => publishUntilTaken(bus, "orders", lane, [record("k", `lane ${lane}`)]))
        const [a1, a2, b] = members
        yield* until("both groups have all", () => a1!.got.length + a2!.got.length >= 4 && b!.got.length >= 4)

        assert.sameMembers(
          once(values([...a1!.got, ...a2!.got])),
          lanes.map((lane) => `lane ${lane}`)
        )
        assert.sameMembers(
          once(values(b!.got)),
          lanes.map((lane) => `lane ${lane}`)
        )
        const shared = values(a1!.got).filter((value) => values(a2!.got).includes(value))
        assert.deepStrictEqual(shared, [])
      }))

    test("a defect that passes is tried again and parks nothing", (bus) =>
      Effect.gen(function* () {
        let tries = 0
        const { poisoned } = yield* collect(bus, {
          group: "a",
          handle: () => Effect.suspend(() => (++tries < 3 ? Effect.die("not yet") : Effect.void))
        })

        yield* publishUntilTaken(bus, "orders", 0, [record("o-1", "shy")])
        yield* until("the third try", () => tries >= 3)

        assert.deepStrictEqual(poisoned, [])
      }))

    test("a record that always dies is parked with its cause and its lane goes on", (bus) =>
      Effect.gen(function* () {
        const tried: Array<string> = []
        const { poisoned } = yield* collect(bus, {
          group: "a",
          handle: (one) =>
            Effect.suspend(() => {
              tried.push(one.value)
              if (one.value === "bad") throw new TypeError("cannot read this")
              return Effect.void
            })
        })

        yield* publishUntilTaken(bus, "orders", 0, batchOf("o-1", "before", "bad", "after"))
        yield* until("the record after it", () => tried.includes("after"))

        assert.deepStrictEqual(once(tried), ["before", "bad", "after"])
        assert.strictEqual(tried.filter((value) => value === "bad").length, 4)
        assert.deepStrictEqual(
          poisoned.map(({ record: { key, value } }) => ({ key, value })),
          [{ key: "o-1", value: "bad" }]
        )
        assert.include(String(poisoned[0]!.cause), "cannot read this")
      }))

    test("a record that cannot even be parked does not stop its lane", (bus) =>
      Effect.gen(function* () {
        const handled: Array<string> = []
        yield* collect(bus, {
          group: "a",
          handle: (one) => (one.value === "bad" ? Effect.die("bad") : Effect.sync(() => void handled.push(one.value))),
          onPoison: () => Effect.die("parking is broken too")
        })

        yield* publishUntilTaken(bus, "orders", 0, [record("o-1", "bad"), record("o-2", "after")])
        yield* until("the record after it", () => handled.includes("after"))
      }))

    test("a record in the hands of a subscriber that leaves is given to the next one", (bus) =>
      Effect.gen(function* () {
        const leaver = { holds: false, finished: false }
        const { stop } = yield* collect(bus, {
          group: "a",
          handle: () =>
            Effect.sync(() => (leaver.holds = true)).pipe(
              Effect.andThen(Effect.never),
              Effect.andThen(Effect.sync(() => (leaver.finished = true)))
            )
        })
        const publisher = yield* Effect.forkScoped(publishUntilTaken(bus, "orders", 3, [record("o-1", "dropped")]))
        yield* until("the first subscriber holds it", () => leaver.holds)

        yield* stop
        const { got } = yield* collect(bus, { group: "a" })
        yield* until("the next one gets it", () => got.length > 0)

        assert.deepStrictEqual(once(values(got)), ["dropped"])
        assert.isFalse(leaver.finished)
        yield* Fiber.join(publisher)
      }))

    test("events are published with nobody listening", (bus) =>
      publishUntilTaken(bus, "events", 0, [record("o-1", "heard by nobody")]))

    test("an empty batch is no work and no error", (bus) => bus.publish("orders", 0, []))

    test("a bus in use has nothing to complain of", (bus) =>
      Effect.gen(function* () {
        const { got } = yield* collect(bus, { group: "a" })
        yield* publishUntilTaken(bus, "orders", 0, [record("o-1", "x")])
        yield* until("the record arrives", () => got.length > 0)

        assert.isNull(yield* bus.health)
      }))
  })
}
