/**
 * Group commit by itself: who travels with whom, what a refusal costs, and what is repeated. The call it makes is the
 * test's own; its data base is a list.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import { type Call, type Entry, makeBatcher } from "../../src/sql/Batcher.ts"
import { StoreUnavailable } from "../../src/sql/StoreUnavailable.ts"

interface Letter extends Entry<string, string> {
  readonly json: string
}

const away = StoreUnavailable.of(new Error("connection lost"))

/** A batcher whose calls are recorded and answered by `call`. */
const batcherWith = Effect.fnUntraced(function* (
  call: (batch: ReadonlyArray<Letter>, count: number) => ReturnType<Call<string, string, Letter>>,
  { callsInFlight = 1, lanes = 1, size = 10_000 } = {}
) {
  const calls: Array<ReadonlyArray<string>> = []
  let outages = 0
  const batcher = makeBatcher<string, string, Letter>({
    lanes,
    size,
    callsInFlight,
    call: (batch) => {
      calls.push(batch.map(({ json }) => json))
      return call(batch, calls.length)
    },
    refused: ({ json }) => `refused ${json.slice(0, 8)}`,
    unanswered: () => Effect.sync(() => void (outages += 1))
  })
  const fiber = yield* Effect.forkScoped(batcher.run)
  const send = (
    json: string,
    options: { readonly lane?: number; readonly stream?: string; readonly priority?: "engine" | "intake" } = {}
  ) =>
    Effect.suspend(() => {
      const answer = Deferred.makeUnsafe<string, string>()
      return batcher.offer(
        { lane: options.lane ?? 0, streamId: options.stream ?? json, json, chars: json.length, answer },
        options.priority ?? "intake"
      )
        ? Deferred.await(answer)
        : Effect.fail("full")
    })
  const unansweredMillis = Effect.map(Clock.currentTimeMillis, (now) => now - (batcher.unansweredSince() ?? now))
  return { calls, send, fiber, stats: batcher.stats, unansweredMillis, outages: () => outages }
})

const storesAll = (batch: ReadonlyArray<Letter>) =>
  Effect.succeed(batch.map(({ json }) => Result.succeed(`stored ${json}`)))

const sendAll = <A, E>(letters: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.all(letters.map(Effect.result), { concurrency: "unbounded" })

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `c${n}`)

describe("a batch", () => {
  it.effect("takes everything that waits, up to 256 commands", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith(storesAll)

      const results = yield* sendAll(numbered(600).map((json) => send(json)))

      assert.deepStrictEqual(
        calls.map((call) => call.length),
        [256, 256, 88]
      )
      assert.deepStrictEqual(
        results,
        numbered(600).map((json) => Result.succeed(`stored ${json}`))
      )
    })
  )

  it.effect("ends before it grows beyond 512 KB, and one command larger than that still goes, alone", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith(storesAll)
      const large = (name: string, kilobytes: number) => name + "x".repeat(kilobytes * 1024)

      yield* sendAll(
        [large("a", 300), large("b", 200), large("c", 200), large("d", 600), "e"].map((json) => send(json))
      )

      assert.deepStrictEqual(
        calls.map((call) => call.map((json) => json[0])),
        [["a", "b"], ["c"], ["d"], ["e"]]
      )
    })
  )

  it.effect("has no room for what is smaller behind one that is too large: nobody is overtaken for ever", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith(storesAll, { lanes: 2 })
      const large = (name: string) => name + "x".repeat(300 * 1024)

      yield* sendAll([
        send(large("a"), { priority: "engine" }),
        send(large("b"), { stream: "b", priority: "engine" }),
        send("later b", { stream: "b" }),
        send("c", { lane: 1 })
      ])

      assert.deepStrictEqual(
        calls.map((call) => call.map((json) => json.replace(/x+/, ""))),
        [["a"], ["b", "c"], ["later b"]]
      )
    })
  )

  it.effect("begins with the engine's own commands, and holds one stream once", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith(storesAll)

      yield* sendAll([
        send("a1", { stream: "a" }),
        send("a2", { stream: "a" }),
        send("b"),
        send("a3", { stream: "a" }),
        send("engine", { priority: "engine" })
      ])

      assert.deepStrictEqual(calls, [["engine", "a1", "b"], ["a2"], ["a3"]])
    })
  )

  it.effect("holds what waits on every lane that is free, in the order of the lanes", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith(storesAll, { lanes: 3 })

      yield* sendAll([
        send("c1", { lane: 2 }),
        send("a1", { lane: 0 }),
        send("c2", { lane: 2 }),
        send("b1", { lane: 1, priority: "engine" })
      ])

      assert.deepStrictEqual(calls, [["a1", "b1", "c1", "c2"]])
    })
  )

  it.effect("leaves a lane alone that is in another call, and takes what has come meanwhile with the next", () =>
    Effect.gen(function* () {
      const answered = Deferred.makeUnsafe<void>()
      const { calls, send } = yield* batcherWith(
        (batch, count) => (count === 1 ? Effect.andThen(Deferred.await(answered), storesAll(batch)) : storesAll(batch)),
        { lanes: 2, callsInFlight: 2 }
      )
      const first = yield* Effect.forkChild(send("a1", { lane: 0 }))
      yield* TestClock.adjust(0)
      const behind = yield* Effect.forkChild(sendAll([send("a2", { lane: 0 }), send("a3", { lane: 0 })]))

      const other = yield* send("b1", { lane: 1 })
      assert.deepStrictEqual([calls, other], [[["a1"], ["b1"]], "stored b1"])
      Deferred.doneUnsafe(answered, Effect.void)
      yield* Fiber.join(first)
      yield* Fiber.join(behind)

      assert.deepStrictEqual(calls, [["a1"], ["b1"], ["a2", "a3"]])
    })
  )

  it.effect("that has no room for all lanes leaves none of them behind for ever", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith(storesAll, { lanes: 3 })
      const flood = (lane: number) => sendAll(numbered(600).map((json) => send(`${lane}${json}`, { lane })))

      yield* sendAll([flood(0), flood(1), flood(2)])

      assert.deepStrictEqual(
        calls.map((call) => call.length),
        [256, 256, 256, 256, 256, 256, 256, 8]
      )
      // Each has its turn within the first three calls.
      assert.sameMembers(
        calls.slice(0, 3).map((call) => call[0]![0]),
        ["0", "1", "2"]
      )
    })
  )

  it.effect("that is refused for its data is halved until the bad one is alone; all others are stored", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith((batch) =>
        batch.some(({ json }) => json === "c100")
          ? Effect.fail({ _tag: "DataRefused", sqlState: "22P05", detail: "NUL" } as const)
          : storesAll(batch)
      )

      const results = yield* sendAll(numbered(256).map((json) => send(json)))

      assert.deepStrictEqual(results[100], Result.fail("refused c100"))
      assert.lengthOf(results.filter(Result.isSuccess), 255)
      // The whole, then two halves on each of eight levels.
      assert.lengthOf(calls, 17)
    })
  )
})

describe("a call without an answer", () => {
  it.effect("is repeated lane by lane, so that a lane which cannot go on holds up no other", () =>
    Effect.gen(function* () {
      const { calls, send, unansweredMillis } = yield* batcherWith(
        (batch) => (batch.some(({ lane }) => lane === 1) ? Effect.fail(away) : storesAll(batch)),
        { lanes: 3, callsInFlight: 2 }
      )
      const stuck = yield* Effect.forkChild(send("b1", { lane: 1 }))
      const others = yield* Effect.forkChild(sendAll([send("a1", { lane: 0 }), send("c1", { lane: 2 })]))
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* Fiber.join(others)).every(Result.isSuccess))

      const later = yield* Effect.forkChild(sendAll([send("a2", { lane: 0 }), send("c2", { lane: 2 })]))
      yield* TestClock.adjust("1 second")

      assert.isTrue((yield* Fiber.join(later)).every(Result.isSuccess))
      assert.isUndefined(stuck.pollUnsafe())
      assert.strictEqual(yield* unansweredMillis, 2_000)
      assert.deepStrictEqual(calls.slice(0, 4), [["a1", "b1", "c1"], ["a1"], ["b1"], ["c1"]])
      assert.isTrue(calls.slice(4).every((call) => call.join() === "b1" || call.join() === "a2,c2"))
    })
  )

  it.effect("on as many lanes as there are senders leaves a sender for the lanes that are well", () =>
    Effect.gen(function* () {
      const isStuck = ({ lane }: Letter) => lane < 2
      const { calls, send, unansweredMillis } = yield* batcherWith(
        (batch) => (batch.some(isStuck) ? Effect.fail(away) : storesAll(batch)),
        { lanes: 3, callsInFlight: 2 }
      )
      const stuck = yield* Effect.forEach([0, 1], (lane) =>
        Effect.tap(Effect.forkChild(send(`stuck ${lane}`, { lane })), () => TestClock.adjust("1 second"))
      )

      const well = yield* Effect.forkChild(send("well", { lane: 2 }))
      yield* TestClock.adjust("1 second")

      assert.strictEqual(well.pollUnsafe()?._tag, "Success")
      assert.isTrue(stuck.every((fiber) => fiber.pollUnsafe() === undefined))
      assert.strictEqual(yield* unansweredMillis, 3_000)
      assert.isTrue(calls.every((call) => call.length === 1))
    })
  )

  it.effect("that is part of one that was refused holds up no other lane either", () =>
    Effect.gen(function* () {
      const isBad = ({ json }: Letter) => json === "bad"
      const { send, stats } = yield* batcherWith(
        (batch) =>
          batch.some(isBad)
            ? Effect.fail({ _tag: "DataRefused", sqlState: "22P05", detail: "NUL" } as const)
            : batch.some(({ lane }) => lane === 0)
              ? Effect.fail(away)
              : storesAll(batch),
        { lanes: 3 }
      )
      const stuck = yield* Effect.forkChild(send("stuck", { lane: 0 }))
      const others = yield* Effect.forkChild(
        sendAll([send("a", { lane: 1 }), send("bad", { lane: 1 }), send("b", { lane: 1 }), send("c", { lane: 2 })])
      )
      yield* TestClock.adjust("1 second")

      assert.isDefined(others.pollUnsafe())
      assert.deepStrictEqual(yield* Fiber.join(others), [
        Result.succeed("stored a"),
        Result.fail("refused bad"),
        Result.succeed("stored b"),
        Result.succeed("stored c")
      ])
      assert.isUndefined(stuck.pollUnsafe())
      assert.strictEqual(stats().queued, 1)
    })
  )

  it.effect("is repeated, the very same, for as long as it takes, while later commands wait behind it", () =>
    Effect.gen(function* () {
      const { calls, outages, send } = yield* batcherWith((batch, count) =>
        count <= 20 ? Effect.fail(away) : storesAll(batch)
      )
      const first = yield* Effect.forkChild(sendAll([send("a"), send("b")]))
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.forkChild(send("c"))

      yield* TestClock.adjust("5 minutes")

      assert.isTrue((yield* Fiber.join(first)).every(Result.isSuccess))
      assert.strictEqual(yield* Fiber.join(second), "stored c")
      assert.deepStrictEqual(calls, [...Array.from({ length: 21 }, () => ["a", "b"]), ["c"]])
      assert.strictEqual(outages(), 1)
    })
  )

  it.effect("is repeated after a defect as well: a lane must not stand still for a bug", () =>
    Effect.gen(function* () {
      const { calls, send } = yield* batcherWith((batch, count) =>
        count === 1 ? Effect.die(new Error("an answer of another shape")) : storesAll(batch)
      )
      const caller = yield* Effect.forkChild(send("a"))

      yield* TestClock.adjust("1 minute")

      assert.strictEqual(yield* Fiber.join(caller), "stored a")
      assert.lengthOf(calls, 2)
    })
  )

  it.effect("has an age that anybody can ask for, from its first try until its answer", () =>
    Effect.gen(function* () {
      let isAway = true
      const { send, unansweredMillis } = yield* batcherWith((batch) =>
        isAway ? Effect.delay(Effect.fail(away), "3 seconds") : storesAll(batch)
      )
      yield* TestClock.adjust("1 hour")
      const caller = yield* Effect.forkChild(send("a"))
      yield* TestClock.adjust("2 seconds")
      const first = yield* unansweredMillis
      yield* TestClock.adjust("10 seconds")
      const later = yield* unansweredMillis
      isAway = false

      yield* TestClock.adjust("5 seconds")

      yield* Fiber.join(caller)
      // A call that has not failed yet is only slow.
      assert.deepStrictEqual([first, later, yield* unansweredMillis], [0, 12_000, 0])
    })
  )

  it.effect("is repeated more and more slowly up to once a second, and quickly again in the next outage", () =>
    Effect.gen(function* () {
      let isAway = true
      const { calls, send } = yield* batcherWith((batch) => (isAway ? Effect.fail(away) : storesAll(batch)))
      const first = yield* Effect.forkChild(send("a"))
      yield* TestClock.adjust(0)
      const atOnce = calls.length
      yield* TestClock.adjust("1 minute")
      const inAMinute = calls.length
      isAway = false
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      isAway = true
      const second = yield* Effect.forkChild(send("b"))
      yield* TestClock.adjust("50 millis")
      isAway = false

      // Its third pause ends 140 ms after its first call at the latest; one of before the outage would last half a second.
      yield* TestClock.adjust("100 millis")

      assert.strictEqual(atOnce, 1)
      assert.isAbove(inAMinute, 60)
      assert.isBelow(inAMinute, 150)
      assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed("stored b"))
    })
  )

  it.effect("that ends in a refusal has an answer, and no age any more", () =>
    Effect.gen(function* () {
      const { send, unansweredMillis } = yield* batcherWith((_, count) =>
        Effect.fail(count === 1 ? away : ({ _tag: "DataRefused", sqlState: "22P05", detail: "NUL" } as const))
      )
      const caller = yield* Effect.forkChild(Effect.flip(send("a")))
      yield* TestClock.adjust("1 second")

      assert.strictEqual(yield* Fiber.join(caller), "refused a")
      assert.strictEqual(yield* unansweredMillis, 0)
    })
  )

  it.effect("goes on when nobody waits for it any more", () =>
    Effect.gen(function* () {
      const { calls, send, stats } = yield* batcherWith((batch, count) =>
        count <= 3 ? Effect.fail(away) : storesAll(batch)
      )
      const caller = yield* Effect.forkChild(send("a"))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(caller)

      yield* TestClock.adjust("1 minute")

      assert.lengthOf(calls, 4)
      assert.deepStrictEqual(stats(), { queued: 0, appends: 1, calls: 1 })
    })
  )
})

describe("a bug in a sender's own loop", () => {
  it.effect("shows as a call without an answer, ends no lane, and the same call is made again", () =>
    Effect.gen(function* () {
      const { calls, send, unansweredMillis } = yield* batcherWith((batch, count) =>
        // Fewer answers than commands: nothing the batcher expects.
        count <= 3 ? Effect.succeed([]) : storesAll(batch)
      )
      const first = yield* Effect.forkChild(send("a"))
      yield* TestClock.adjust("60 millis")
      const age = yield* unansweredMillis

      yield* TestClock.adjust("10 seconds")

      assert.isAbove(age, 0)
      assert.strictEqual(yield* Fiber.join(first), "stored a")
      assert.strictEqual(yield* unansweredMillis, 0)
      assert.strictEqual(yield* send("b"), "stored b")
      assert.deepStrictEqual(calls, [["a"], ["a"], ["a"], ["a"], ["b"]])
    })
  )

  it.effect("shows its age also while the call that repeats it hangs", () =>
    Effect.gen(function* () {
      const { send, unansweredMillis } = yield* batcherWith((_, count) =>
        count === 1 ? Effect.succeed([]) : Effect.never
      )
      yield* Effect.forkChild(send("a"))

      yield* TestClock.adjust("1 second")

      assert.strictEqual(yield* unansweredMillis, 1_000)
    })
  )

  it.effect("in a call of several lanes costs none of them a command or its turn", () =>
    Effect.gen(function* () {
      const { calls, send, stats, unansweredMillis } = yield* batcherWith(
        (batch, count) =>
          // One answer for three commands, and then none for the second lane's.
          Effect.map(storesAll(batch), (results) => results.slice(0, count === 1 ? 1 : count === 3 ? 0 : 3)),
        { lanes: 3 }
      )
      const first = yield* Effect.forkChild(
        sendAll([send("a", { lane: 0 }), send("b", { lane: 1 }), send("c", { lane: 2 })])
      )
      yield* TestClock.adjust(0)
      const behind = yield* Effect.forkChild(sendAll([send("a2", { lane: 0 }), send("b2", { lane: 1 })]))
      yield* TestClock.adjust("10 seconds")

      const stored = (...jsons: ReadonlyArray<string>) => jsons.map((json) => Result.succeed(`stored ${json}`))
      assert.deepStrictEqual(first.pollUnsafe(), Exit.succeed(stored("a", "b", "c")))
      assert.deepStrictEqual(behind.pollUnsafe(), Exit.succeed(stored("a2", "b2")))
      assert.deepStrictEqual(calls.slice(0, 4), [["a", "b", "c"], ["a"], ["b"], ["c"]])
      assert.deepStrictEqual(calls.slice(4).flat().toSorted(), ["a2", "b", "b2"])
      assert.isBelow(
        calls.findLastIndex((call) => call.includes("b")),
        calls.findIndex((call) => call.includes("b2"))
      )
      assert.deepStrictEqual([yield* unansweredMillis, stats().queued], [0, 0])
    })
  )
})

describe("a queue", () => {
  it.effect("that is full refuses at once; the engine's is another one", () =>
    Effect.gen(function* () {
      const { send, stats } = yield* batcherWith(() => Effect.never, { size: 2 })
      yield* Effect.forkChild(send("in flight"))
      yield* TestClock.adjust(0)

      yield* Effect.forEach(["a", "b"], (json) => Effect.forkChild(send(json)))
      yield* TestClock.adjust(0)

      const refused = yield* Effect.flip(send("c"))
      yield* Effect.forkChild(send("d", { priority: "engine" }))
      yield* TestClock.adjust(0)

      assert.strictEqual(refused, "full")
      assert.strictEqual(stats().queued, 4)
    })
  )

  it.effect("that ends while a lane is repeated interrupts who waits there", () =>
    Effect.gen(function* () {
      const { fiber, send } = yield* batcherWith(() => Effect.fail(away))
      const waiting = yield* Effect.forkChild(send("a"))
      yield* TestClock.adjust("1 second")

      yield* Fiber.interrupt(fiber)

      const exit = yield* Fiber.await(waiting)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    })
  )

  it.effect("that ends interrupts everybody who waits or comes later, and leaves nobody hanging", () =>
    Effect.gen(function* () {
      const { fiber, send } = yield* batcherWith(() => Effect.never)
      const waiting = yield* Effect.forkChild(sendAll([send("a"), send("b")]))
      yield* TestClock.adjust(0)
      const behind = yield* Effect.forkChild(send("c"))
      yield* TestClock.adjust(0)

      yield* Fiber.interrupt(fiber)
      const late = yield* Effect.forkChild(send("d"))

      const exits: ReadonlyArray<Exit.Exit<unknown, unknown>> = [
        yield* Fiber.await(waiting),
        yield* Fiber.await(behind),
        yield* Fiber.await(late)
      ]
      for (const exit of exits) {
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      }
    })
  )
})
