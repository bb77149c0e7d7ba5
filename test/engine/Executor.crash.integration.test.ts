/**
 * Each point of an order's way at which a process may die, and what the next process makes of it.
 *
 * Nothing of the dead one goes on from that point: no append, no request, no record for the bus. The next one has the
 * log and the exchange, and nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { inject } from "vitest"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { UserStream } from "../../src/binance/UserStream.ts"
import { ExchangeCheck } from "../../src/engine/ExchangeCheck.ts"
import * as EmbeddedBus from "../../src/kafka/EmbeddedBus.ts"
import { EventBus } from "../../src/kafka/EventBus.ts"
import { typeOf } from "../../src/kafka/wire.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { freshDatabase } from "../harness/template.ts"
import { ExchangeScript, filled, limit, market, rests, ScriptedExchange, slowly, TestNexus } from "../layers.ts"
import { makeMovableClock } from "../MovableClock.ts"
import type { Outcome } from "../ScriptedExchange.ts"
import { until } from "../sql/until.ts"
import { filledOf, hasEnded, isResting, passes, passesUntil, sound, story } from "./scripted.ts"

const buy = market("BUY", "0.01")

/** Where the process dies. */
interface Death {
  readonly beforeAppendOf?: string
  readonly beforeSending?: true
  readonly afterSending?: true
  readonly withAnswer?: true
  readonly beforePublishing?: string
  /** The report of the trade of this number is never looked at. */
  readonly beforeTrade?: number
}

/** One process that dies as told, on a database and an exchange that outlive it; then the next one. */
const dying = <A, E>(
  death: Death,
  outcomes: ReadonlyArray<Outcome>,
  life: Effect.Effect<unknown, E, TestNexus | ExchangeScript>,
  after: (published: ReadonlyArray<string>) => Effect.Effect<A, E, TestNexus | ExchangeScript>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase(inject("pgUrl"))
      const exchange = yield* Layer.build(ScriptedExchange(outcomes, { afterwards: filled }))
      const isDead = yield* Deferred.make<void>()
      const isBuried = yield* Deferred.make<void>()
      const clock = makeMovableClock()
      let dead = false
      // Whatever dies waits here until all of the process ends.
      const die = Effect.suspend(() => {
        dead = true
        return Deferred.succeed(isDead, undefined)
      }).pipe(Effect.andThen(Deferred.await(isBuried)), Effect.andThen(Effect.die(new Error("dead"))))
      const alive = <B, F, R>(what: Effect.Effect<B, F, R>): Effect.Effect<B, F, R> =>
        Effect.suspend(() => (dead ? Effect.die(new Error("dead")) : what))

      const client = Context.get(exchange, BinanceClient)
      const stream = Context.get(exchange, UserStream)
      let trades = 0
      const mortal = exchange.pipe(
        Context.add(
          BinanceClient,
          BinanceClient.of({
            ...client,
            placeOrder: (submission, permit) => {
              const sending = client.placeOrder(submission, permit)
              if (death.beforeSending === true) return die
              if (death.afterSending === true) return Effect.andThen(Effect.forkDetach(sending), die)
              return alive(death.withAnswer === true ? Effect.andThen(Effect.exit(sending), die) : sending)
            }
          })
        ),
        Context.add(
          UserStream,
          UserStream.of({
            run: (onEvent) =>
              stream.run((event) => {
                if (event._tag === "Report" && event.report.fills.length > 0) trades += 1
                return alive(trades === death.beforeTrade ? die : onEvent(event))
              })
          })
        )
      )
      const store = Layer.effect(
        EventStore,
        Effect.map(EventStore, (real) =>
          EventStore.of({
            ...real,
            append: (entry) =>
              alive(entry.events.some(({ type }) => type === death.beforeAppendOf) ? die : real.append(entry))
          })
        )
      )
      const bus = Layer.effect(
        EventBus,
        Effect.map(EventBus, (real) =>
          EventBus.of({
            ...real,
            publish: (topic, lane, records) =>
              alive(
                records.some((record) => typeOf(record) === death.beforePublishing)
                  ? die
                  : real.publish(topic, lane, records)
              )
          })
        )
      ).pipe(Layer.provide(EmbeddedBus.layer))

      const scope = yield* Scope.make()
      const first = yield* Layer.buildWithScope(
        TestNexus.on(Layer.succeedContext(mortal), { databaseUrl, clock, store, bus }),
        scope
      )
      yield* Context.get(first, ExchangeCheck).passed
      yield* Effect.provide(life, first)
      yield* Deferred.await(isDead)
      yield* Deferred.succeed(isBuried, undefined)
      yield* Scope.close(scope, Exit.void)

      const published: Array<string> = []
      const heard = Layer.effect(
        EventBus,
        Effect.map(EventBus, (real) =>
          EventBus.of({
            ...real,
            publish: (topic, lane, records) =>
              Effect.tap(real.publish(topic, lane, records), () =>
                Effect.sync(() => void published.push(...records.map(typeOf)))
              )
          })
        )
      ).pipe(Layer.provide(EmbeddedBus.layer))
      yield* Effect.andThen(after(published), sound).pipe(
        Effect.provide(
          TestNexus.on(Layer.succeedContext(exchange), {
            databaseUrl,
            clock,
            bus: heard,
            env: { NEXUS_RECONCILER_DOUBT_CHECK_MS: "100", NEXUS_RECONCILER_INTERVAL_MS: "86400000" }
          })
        )
      )
    })
  )

const placed = (id: string, request = buy) => Effect.flatMap(TestNexus, (nexus) => nexus.place(id, request))

const submissions = Effect.flatMap(ExchangeScript, ({ submissions }) => Effect.map(submissions, ({ length }) => length))
const executions = Effect.flatMap(ExchangeScript, ({ ledger }) =>
  Effect.map(ledger, (orders) => orders.filter(({ executedQuantity }) => executedQuantity !== "0").length)
)

describe("a process that dies", () => {
  it.live("before the attempt is written down leaves an order that is new: it is sent at once, and once", () =>
    dying({ beforeAppendOf: "SubmissionStarted" }, [], placed("order"), () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus

        const order = yield* nexus.until("order", hasEnded)

        assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 1])
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 1])
      })
    )
  )

  it.live("after the attempt is written down, before it is sent, costs one wait, and then it is sent once", () =>
    dying({ beforeSending: true }, [], placed("order"), () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* until(
          Effect.flatMap(ExchangeScript, ({ asked }) => asked),
          ({ queryOrder = 0 }) => queryOrder > 0
        )
        assert.strictEqual(yield* submissions, 0)

        yield* passesUntil(Effect.map(nexus.order("order"), hasEnded))

        const order = yield* nexus.order("order")
        assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 2])
        assert.match(
          yield* story("order"),
          /SubmissionStarted (SubmissionUnknown )?SubmissionProvenAbsent SubmissionStarted/
        )
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 1])
      })
    )
  )

  it.live("after the order is sent, before the answer, leaves an order that is found and never sent again", () =>
    dying({ afterSending: true }, [slowly(2_000, filled)], placed("order"), () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus

        // Accepted within the margin, by an exchange that answers a process which is gone.
        yield* nexus.advance("2 seconds")
        yield* until(executions, (count) => count === 1)
        yield* passesUntil(Effect.map(nexus.order("order"), hasEnded))

        const order = yield* nexus.order("order")
        assert.deepStrictEqual([order.status, order.attempt?.number], ["COMPLETED", 1])
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 1])
      })
    )
  )

  it.live("with the answer in hand, before it is written down, leaves an order that is found at once", () =>
    dying({ withAnswer: true }, [], placed("order"), () =>
      Effect.gen(function* () {
        const order = yield* (yield* TestNexus).until("order", hasEnded)

        assert.deepStrictEqual([order.status, order.attempt?.number, filledOf(order)], ["COMPLETED", 1, "0.01"])
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 1])
      })
    )
  )

  // Only the order that rests has a state to be seen: one that the exchange fills is over before anybody looks.
  it.live("before the acceptance is written down loses nothing of it: the order rests, and is known to", () =>
    dying({ beforeAppendOf: "SubmissionAccepted" }, [rests], placed("order", limit("BUY", "0.01", "50000")), () =>
      Effect.gen(function* () {
        const order = yield* (yield* TestNexus).until("order", isResting)

        assert.strictEqual(order.attempt?.number, 1)
        assert.strictEqual(yield* story("order"), "OrderPlaced SubmissionStarted SubmissionAccepted")
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 0])
      })
    )
  )

  it.live("before the acceptance is written down loses nothing of an order that was filled at once either", () =>
    dying({ beforeAppendOf: "SubmissionAccepted" }, [filled], placed("order", limit("BUY", "0.01", "60000")), () =>
      Effect.gen(function* () {
        const order = yield* (yield* TestNexus).until("order", hasEnded)

        assert.deepStrictEqual([order.status, order.attempt?.number, filledOf(order)], ["COMPLETED", 1, "0.01"])
        const said = (yield* story("order")).split(" ")
        assert.strictEqual(said.filter((type) => type === "SubmissionAccepted").length, 1)
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 1])
      })
    )
  )

  it.live("after the acceptance is written down, before it is published, leaves it to the next one's relay", () =>
    dying({ beforePublishing: "SubmissionAccepted" }, [], placed("order"), (published) =>
      Effect.gen(function* () {
        yield* until(
          Effect.sync(() => published),
          (types) => types.includes("OrderCompleted")
        )

        assert.include(published, "SubmissionAccepted")
        assert.deepStrictEqual([yield* submissions, yield* executions], [1, 1])
      })
    )
  )

  it.live("in the middle of an order's fills leaves fills that the next one fetches, each of them once", () =>
    dying(
      { beforeTrade: 2 },
      [rests],
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { fill } = yield* ExchangeScript
        yield* nexus.place("order", limit("BUY", "0.01", "50000"))
        const { clientOrderId } = yield* nexus.until("order", isResting)
        yield* passes(3)
        yield* fill(clientOrderId ?? "", "0.001")
        yield* nexus.until("order", (order) => filledOf(order) === "0.001")
        yield* fill(clientOrderId ?? "", "0.002")
        yield* fill(clientOrderId ?? "", "0.003")
        yield* fill(clientOrderId ?? "")
      }),
      () =>
        Effect.gen(function* () {
          const nexus = yield* TestNexus

          // No sweep comes: what the start of the stream looks at is enough.
          yield* passesUntil(Effect.map(nexus.order("order"), hasEnded))

          const order = yield* nexus.order("order")

          assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
          const fills = (yield* nexus.events("order")).filter(({ _tag }) => _tag === "OrderFilled")
          assert.strictEqual(fills.length, 4)
        })
    )
  )
})
