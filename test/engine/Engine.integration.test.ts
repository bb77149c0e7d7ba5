import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { asAdministrator } from "../harness/template.ts"
import { makeMovableClock } from "../MovableClock.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Instruments } from "../../src/engine/Instruments.ts"
import { OrderId } from "../../src/domain/Ids.ts"
import { Attempt } from "../../src/engine/Attempt.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Cancels } from "../../src/engine/Cancels.ts"
import { brokenBus, makeBusFaults } from "./brokenBus.ts"
import { densityFaults } from "../../src/domain/invariants.ts"
import {
  ExchangeScript,
  limit,
  market,
  neverArrived,
  rests,
  ScriptedExchange,
  TestNexus,
  type TestNexusOptions
} from "../layers.ts"
import { until } from "../sql/until.ts"
import { hasEnded, isResting, isUnknown, scripted, sound, story } from "./scripted.ts"

const buy = market("BUY", "0.01")
/** Nothing happens by itself. */
const still = { roles: [] }

/** Runs something while nobody can append: what waits for the log waits. */
const whileTheLogIsHeld = <A, E, R>(use: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { databaseUrl } = yield* TestNexus
    return yield* asAdministrator(databaseUrl, (sql) =>
      sql.withTransaction(Effect.andThen(sql`lock table events in share mode`, use))
    )
  })

const tagOf = (error: { readonly _tag: string; readonly code?: string }) => error.code ?? error._tag

describe("Engine: identity before judgement", () => {
  it.live("an id that has an order is answered from it although today's filters would deny its request", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("kept", buy)
      // The exchange has stopped to list the symbol since.
      yield* asAdministrator(nexus.databaseUrl, (sql) => sql`update instruments set content = '[]'::jsonb`)

      const again = yield* Effect.gen(function* () {
        const later = yield* TestNexus
        assert.strictEqual((yield* (yield* Instruments).current)?.bySymbol.size, 0)
        const denied = yield* Effect.flip(later.place("fresh", buy))
        assert.strictEqual(denied._tag, "FilterDenied")
        const other = yield* Effect.flip(later.place("kept", market("BUY", "0.02")))
        assert.strictEqual(tagOf(other), "ORDER_ID_TAKEN")
        return yield* later.place("kept", buy)
      }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { ...still, databaseUrl: nexus.databaseUrl })))

      assert.isTrue(again.replayed)
      assert.strictEqual(yield* story("kept"), "OrderPlaced")
    }).pipe(scripted([], still))
  )

  it.live("an id that has an order is answered from it although no symbol was ever fetched here", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("kept", buy)
      yield* asAdministrator(nexus.databaseUrl, (sql) => sql`delete from instruments`)

      yield* Effect.gen(function* () {
        const blind = yield* TestNexus
        const unknown = yield* Effect.flip(blind.place("fresh", buy))
        assert.strictEqual(unknown._tag, "InstrumentsUnknown")
        assert.isTrue((yield* blind.place("kept", buy)).replayed)
        assert.strictEqual(tagOf(yield* Effect.flip(blind.place("kept", market("SELL", "0.01")))), "ORDER_ID_TAKEN")
      }).pipe(
        Effect.provide(
          TestNexus.on(ScriptedExchange([], { startsAway: true }), { ...still, databaseUrl: nexus.databaseUrl })
        )
      )
    }).pipe(scripted([], still))
  )

  it.live("a request that a filter denies leaves no trace, and its id stays free", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const heads = (yield* EventStore).laneHeads
      const before = yield* heads

      const denied = yield* Effect.flip(nexus.place("free", market("BUY", "0.000001")))

      assert.strictEqual(denied._tag, "FilterDenied")
      assert.deepStrictEqual(yield* heads, before)
      assert.isFalse((yield* nexus.place("free", buy)).replayed)
    }).pipe(scripted([], still))
  )
})

describe("Engine: limits", () => {
  it.live("a full mailbox says Busy at once, and everything that it took is carried out", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus

      const answers = yield* whileTheLogIsHeld(
        Effect.gen(function* () {
          const waiting = yield* Effect.forEach(Array.from({ length: 6 }), () =>
            Effect.forkDetach(Effect.exit(nexus.place("loved", buy)))
          )
          yield* until(
            Effect.flatMap(Engine, ({ load }) => load),
            (load) => load.waiting === 4
          )
          const begun = performance.now()
          const refusal = yield* Effect.flip(nexus.place("loved", buy))
          assert.strictEqual(refusal._tag, "Busy")
          assert.isBelow(performance.now() - begun, 1_000)
          return waiting
        })
      )

      const exits = yield* Effect.forEach(answers, Fiber.join)
      assert.strictEqual(exits.filter(({ _tag }) => _tag === "Success").length, 5)
      assert.strictEqual(yield* story("loved"), "OrderPlaced")
    }).pipe(scripted([], { ...still, env: { NEXUS_ENGINE_MAILBOX_SIZE: "4" } }))
  )

  it.live("a caller whose deadline passes is told NotConfirmed, and the same id resolves it later", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus

      const refusal = yield* whileTheLogIsHeld(
        Effect.gen(function* () {
          const waiting = yield* Effect.forkDetach(Effect.flip(nexus.place("slow", buy)))
          yield* until(
            Effect.flatMap(EventStore, ({ stats }) => stats),
            ({ appends }) => appends >= 0
          )
          yield* Effect.sleep(50)
          yield* nexus.advance("9 seconds")
          return yield* Fiber.join(waiting)
        })
      )
      assert.strictEqual(refusal._tag, "NotConfirmed")

      const again = yield* nexus.place("slow", buy)
      assert.isTrue(again.replayed)
      assert.strictEqual(yield* story("slow"), "OrderPlaced")
    }).pipe(scripted([], still))
  )

  it.live("news of the engine is never given up, however long the log does not answer", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("news", buy)
      const engine = yield* Engine

      const told = yield* whileTheLogIsHeld(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkDetach(
            engine.tell(OrderId.make("news"), { _tag: "ParkOrder", at: 1, reason: "a test", record: "" })
          )
          yield* Effect.sleep(50)
          yield* nexus.advance("10 minutes")
          yield* Effect.sleep(50)
          return fiber
        })
      )

      assert.strictEqual((yield* Fiber.join(told)).events.length, 1)
      assert.isTrue((yield* nexus.order("news")).parked)
    }).pipe(scripted([], still))
  )
})

describe("Engine: two processes on one store", () => {
  it.live("of many requests for the same ids at both, each id is placed once, and both see the same order", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const clock = makeMovableClock()
        const one = yield* Layer.build(TestNexus.on(ScriptedExchange([]), { ...still, clock }))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          const two = yield* Layer.build(
            TestNexus.on(ScriptedExchange([]), { ...still, clock, databaseUrl: first.databaseUrl })
          )
          const second = yield* Effect.provide(TestNexus, two)
          const ids = Array.from({ length: 25 }, (_, index) => `race-${index}`)

          const answers = yield* Effect.forEach(
            ids.flatMap((id) => [1, 2, 3].flatMap(() => [[first, id] as const, [second, id] as const])),
            ([nexus, id]) => Effect.map(nexus.place(id, buy), (answer) => ({ id, ...answer })),
            { concurrency: "unbounded" }
          )

          for (const id of ids) {
            const ofThis = answers.filter((answer) => answer.id === id)
            assert.strictEqual(ofThis.filter(({ replayed }) => !replayed).length, 1)
            assert.strictEqual(new Set(ofThis.map(({ order }) => order.headHash)).size, 1)
            assert.strictEqual(yield* story(id), "OrderPlaced")
          }
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )

  it.live("cancels and parkings that race from both sides lose no event and repeat none", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const one = yield* Layer.build(TestNexus.on(ScriptedExchange([]), still))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          const engine = yield* Engine
          const two = yield* Layer.build(
            TestNexus.on(ScriptedExchange([]), { ...still, databaseUrl: first.databaseUrl })
          )
          const other = yield* Effect.provide(Engine, two)
          yield* first.place("tug", buy)
          const id = OrderId.make("tug")
          const turns = 15

          const pull = (who: Engine["Service"], name: string) =>
            Effect.forEach(Array.from({ length: turns }), (_, at) =>
              Effect.andThen(
                who.tell(id, { _tag: "ParkOrder", at, reason: name, record: "" }),
                who.tell(id, { _tag: "UnparkOrder", at, act: "retry", by: name, reason: name })
              )
            )
          const told = yield* Effect.all([pull(engine, "one"), pull(other, "two")], { concurrency: 2 })

          const { events } = yield* (yield* EventStore).load("tug")
          assert.deepStrictEqual(
            densityFaults(
              events.map(({ version }) => version),
              0
            ),
            []
          )
          // Parked and unparked take turns: nothing was decided on an old state.
          const names = events.slice(1).map(({ type }) => type)
          names.forEach((name, index) => assert.strictEqual(name, index % 2 === 0 ? "OrderParked" : "OrderUnparked"))
          assert.isAtLeast(told.flat().length, turns)
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )

  it.live("nothing to do is said only of the stored order: a cancel here sees what the other process has done", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const one = yield* Layer.build(TestNexus.on(ScriptedExchange([]), still))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          const two = yield* Layer.build(
            TestNexus.on(ScriptedExchange([]), { ...still, databaseUrl: first.databaseUrl })
          )
          const second = yield* Effect.provide(TestNexus, two)
          const other = yield* Effect.provide(Engine, two)
          const engine = yield* Engine
          const id = OrderId.make("shared")
          yield* first.place("shared", buy)
          yield* engine.tell(id, { _tag: "ParkOrder", at: 1, reason: "one", record: "" })
          // The other process has this state in memory too, and moves on.
          yield* other.tell(id, { _tag: "UnparkOrder", at: 2, act: "retry", by: "two", reason: "two" })

          // By the copy here the order is parked still, so this would be nothing to do.
          const told = yield* engine.tell(id, { _tag: "ParkOrder", at: 3, reason: "one again", record: "" })

          assert.strictEqual(told.events.length, 1)
          yield* second.cancel("shared")
          const late = yield* first.cancel("shared")
          assert.strictEqual(late.outcome, "already_cancelled")
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )

  it.live("two whole processes share the work of one store: every order is executed once, by either", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const clock = makeMovableClock()
        const shared = Layer.succeedContext(yield* Layer.build(ScriptedExchange([])))
        const one = yield* Layer.build(TestNexus.on(shared, { clock }))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          const two = yield* Layer.build(TestNexus.on(shared, { clock, databaseUrl: first.databaseUrl }))
          const second = yield* Effect.provide(TestNexus, two)
          const ids = Array.from({ length: 40 }, (_, index) => `both-${index}`)

          yield* Effect.forEach(ids, (id, index) => (index % 2 === 0 ? first : second).place(id, buy), {
            concurrency: "unbounded"
          })
          yield* Effect.forkScoped(Effect.forever(Effect.andThen(first.advance("200 millis"), Effect.sleep(20))))
          for (const id of ids) yield* until(first.events(id), (events) => events.at(-1)?._tag === "OrderCompleted")

          assert.strictEqual((yield* (yield* ExchangeScript).ledger).length, 40)
          for (const id of ids) assert.isTrue(hasEnded(yield* until(second.order(id), hasEnded)))
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )
})

const sharedExchange = Effect.map(Layer.build(ScriptedExchange([])), Layer.succeedContext)

/** An engine beside another one, on its store, at its exchange and in its time; for the length of a test. */
const beside = (
  first: TestNexus["Service"],
  exchange: Effect.Success<typeof sharedExchange>,
  options: TestNexusOptions
) => Layer.build(TestNexus.on(exchange, { ...options, clock: first.clock, databaseUrl: first.databaseUrl }))

describe("Engine: a copy in memory that another process has overtaken", () => {
  it.live("does not keep a cancel from the exchange", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* sharedExchange
        const env = { NEXUS_EXECUTION_PICKUP_AFTER_MS: "600000" }
        const one = yield* Layer.build(TestNexus.on(exchange, { roles: ["executor"], env }))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          const faults = makeBusFaults()
          const other = yield* beside(first, exchange, { roles: ["executor"], bus: brokenBus(faults) })
          yield* (yield* ExchangeScript).script(rests)
          yield* first.place("seen", limit("BUY", "0.01", "50000"))
          yield* Effect.provide(
            Effect.flatMap(Attempt, ({ make }) => make(OrderId.make("seen"))),
            other
          )
          yield* (yield* Effect.provide(TestNexus, other)).cancel("seen")

          yield* (yield* Cancels).want(OrderId.make("seen"))

          yield* until(first.events("seen"), (events) => events.at(-1)?._tag === "OrderCancelled")
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )

  it.live("does not keep an order from its next attempt", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* sharedExchange
        const env = { NEXUS_EXECUTION_PICKUP_AFTER_MS: "100", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "50" }
        const one = yield* Layer.build(TestNexus.on(exchange, { roles: ["executor"], env }))
        yield* Effect.gen(function* () {
          const first = yield* TestNexus
          yield* (yield* ExchangeScript).script(neverArrived, rests)
          yield* first.place("again", limit("BUY", "0.01", "50000"))
          yield* first.until("again", isUnknown)
          yield* beside(first, exchange, { roles: ["reconciler"], env: { NEXUS_RECONCILER_DOUBT_CHECK_MS: "100" } })

          yield* first.advance("10 seconds")

          yield* until(first.events("again"), (events) => events.at(-1)?._tag === "SubmissionAccepted")
          yield* sound
        }).pipe(Effect.provide(one))
      })
    )
  )
})

describe("Engine: memory", () => {
  it.live("an order that was forgotten is read back from the log and goes on where it stood", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("first", limit("BUY", "0.01", "50000"))
      const before = yield* nexus.until("first", isResting)
      // Each new order pushes an old one out, unless that one is in hand.
      let count = 0
      const another = Effect.suspend(() => nexus.place(`other-${(count += 1)}`, limit("BUY", "0.01", "50000")))
      const { load } = yield* Engine
      yield* until(Effect.andThen(another, load), ({ cached }) => count > 3 && cached <= 2)

      yield* nexus.cancel("first")

      const order = yield* nexus.until("first", hasEnded)
      assert.deepStrictEqual([order.status, order.exchangeOrderId], ["CANCELLED", before.exchangeOrderId])
    }).pipe(scripted([], { env: { NEXUS_ENGINE_CACHED_ORDERS: "2" } }))
  )
})
