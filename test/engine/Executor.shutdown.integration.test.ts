/** How a process leaves: what it has begun it ends, and it leaves no doubt, no lease and no connection behind. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { inject } from "vitest"
import { isInDoubt } from "../../src/domain/Order.ts"
import { EventBus } from "../../src/kafka/EventBus.ts"
import * as EmbeddedBus from "../../src/kafka/EmbeddedBus.ts"
import { ExchangeCheck } from "../../src/engine/ExchangeCheck.ts"
import { asAdministrator, freshDatabase } from "../harness/template.ts"
import { ExchangeScript, filled, market, ScriptedExchange, slowly, TestNexus } from "../layers.ts"
import type { TestNexusOptions } from "../layers.ts"
import { until } from "../sql/until.ts"
import type { Outcome } from "../ScriptedExchange.ts"
import { hasEnded, sound } from "./scripted.ts"

const buy = market("BUY", "0.01")

/** A process that the test ends itself, on a database and an exchange that outlive it. */
const processOn = (outcomes: ReadonlyArray<Outcome>) =>
  Effect.gen(function* () {
    const databaseUrl = yield* freshDatabase(inject("pgUrl"))
    const exchange = Layer.succeedContext(yield* Layer.build(ScriptedExchange(outcomes, { afterwards: filled })))
    const start = Effect.fnUntraced(function* (options: TestNexusOptions = {}) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const context = yield* Layer.buildWithScope(TestNexus.on(exchange, { ...options, databaseUrl }), scope)
      yield* Context.get(context, ExchangeCheck).passed
      return { context, nexus: Context.get(context, TestNexus), stop: Scope.close(scope, Exit.void) }
    })
    return { databaseUrl, exchange, start }
  })

describe("Executor: shutdown", () => {
  it.live("a submission in flight is waited for, and its outcome is in the log when the process is gone", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { databaseUrl, exchange, start } = yield* processOn([slowly(4_000, filled)])
        const { nexus, stop } = yield* start()
        yield* nexus.place("flight", buy)
        yield* nexus.until("flight", ({ attempt }) => attempt?.state === "STARTED")

        const leaving = yield* Effect.forkScoped(stop)
        yield* Effect.sleep(300)
        assert.isUndefined(leaving.pollUnsafe())
        yield* nexus.clock.advance("5 seconds")
        yield* Fiber.join(leaving)

        yield* Effect.gen(function* () {
          assert.strictEqual((yield* (yield* TestNexus).order("flight")).status, "COMPLETED")
          yield* sound
        }).pipe(Effect.provide(TestNexus.on(exchange, { databaseUrl, roles: [] })))
      })
    )
  )

  it.live("a process that leaves under load leaves nothing in doubt, and the next one executes the rest once", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { databaseUrl, exchange, start } = yield* processOn([])
        const first = yield* start()
        const ids = Array.from({ length: 120 }, (_, index) => `load-${index}`)
        const placing = yield* Effect.forkScoped(
          Effect.forEach(ids, (id) => Effect.exit(first.nexus.place(id, buy)), { concurrency: 8 })
        )
        const ledger = Effect.flatMap(ExchangeScript, (script) => script.ledger).pipe(Effect.provide(exchange))
        yield* until(ledger, (orders) => orders.length >= 20)

        yield* first.stop
        yield* Fiber.interrupt(placing)

        const left = yield* asAdministrator(
          databaseUrl,
          (sql) => sql`select count(*)::int as placed,
              count(*) filter (where attempt_state in ('STARTED', 'UNKNOWN'))::int as doubtful,
              count(*) filter (where status = 'COMPLETED')::int as completed from orders`
        )
        assert.strictEqual(left[0]?.["doubtful"], 0)
        assert.strictEqual(left[0]?.["completed"], (yield* ledger).length)
        assert.isAbove(Number(left[0]?.["placed"]), 0)

        const second = yield* start()
        yield* Effect.gen(function* () {
          const nexus = yield* TestNexus
          for (const id of ids) yield* nexus.place(id, buy)
          yield* nexus.advance("3 seconds")
          for (const id of ids) assert.isFalse(isInDoubt(yield* nexus.until(id, hasEnded)))
          assert.strictEqual((yield* ledger).length, ids.length)
          yield* sound
        }).pipe(Effect.provide(second.context))
        yield* second.stop
      })
    )
  )

  it.live("the executor leaves before the bus, and leases and connections are gone when the process is", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const trace: Array<string> = []
        const said = (what: string) => Effect.sync(() => void trace.push(what))
        const traced = Layer.effect(
          EventBus,
          Effect.gen(function* () {
            const bus = yield* EventBus
            yield* Effect.addFinalizer(() => said("bus closed"))
            return EventBus.of({
              ...bus,
              publish: (topic, lane, records) =>
                Effect.tap(bus.publish(topic, lane, records), () => said(`published ${topic}`)),
              subscribe: (options) => Effect.ensuring(bus.subscribe(options), said(`left ${options.topic}`))
            })
          })
        ).pipe(Layer.provide(EmbeddedBus.layer))
        const { databaseUrl, start } = yield* processOn([])
        const { nexus, stop } = yield* start({ bus: traced })
        yield* nexus.place("one", buy)
        yield* nexus.until("one", hasEnded)
        yield* until(
          Effect.sync(() => trace.includes("published events")),
          (seen) => seen
        )

        yield* stop

        assert.isAbove(trace.indexOf("bus closed"), trace.indexOf("left orders"))
        assert.isAbove(trace.indexOf("left orders"), trace.indexOf("published orders"))
        assert.strictEqual(trace.at(-1), "bus closed")
        const held = yield* asAdministrator(
          databaseUrl,
          (sql) => sql`select role from leases where owner is not null union all select id from replicas`
        )
        assert.deepStrictEqual([...held], [])
        const connections = asAdministrator(
          databaseUrl,
          (sql) =>
            sql`select application_name from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`
        )
        yield* until(connections, (rows) => rows.length === 0)
      })
    )
  )
})
