/**
 * The log under fire: lost answers, rivals, aborted transactions, another process, and a PostgreSQL that stops at
 * once under load. What was acknowledged is there, once, and no reader ever skips (INV-1, INV-5).
 */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Redacted, Result, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { Reactivity } from "effect/reactivity"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { describe, inject } from "vitest"
import { reportText } from "../../src/audit/Verify.ts"
import { queuedAs } from "../../src/sql/Append.ts"
import { arrayOf } from "../../src/sql/AppendRows.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { asAdministrator, databaseUrl, freshDatabase, prepareTemplate, templateName } from "../harness/template.ts"
import { startStoppable } from "./StoppablePostgres.ts"
import { startCutProxy } from "./CutProxy.ts"
import { follow, rivalWriter, type Told } from "./rivalWriters.ts"
import { audit, idsIn, place, storeOn } from "./storedOrders.ts"
import { until } from "./until.ts"

const rivals = ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"]

const sum = (told: ReadonlyArray<Told>) => ({
  appended: told.reduce((total, one) => total + one.appended, 0),
  duplicates: told.reduce((total, one) => total + one.duplicates, 0),
  conflicts: told.reduce((total, one) => total + one.conflicts, 0)
})

const assertVerified = Effect.gen(function* () {
  const report = yield* audit
  assert.isTrue(report.ok, reportText(report))
  return report
})

const onFresh = <E>(test: (url: string) => Effect.Effect<void, E, Scope.Scope>) =>
  Effect.scoped(Effect.flatMap(freshDatabase(inject("pgUrl")), test))

const changedMind = "changed its mind"

/**
 * An older release beside it: a lane at a time by `append_rows`. Half of its transactions come to nothing,
 * for the writer gives them up after the function has done its work.
 */
const formerRelease = (url: string, done: () => boolean) =>
  Effect.gen(function* () {
    const sql = yield* PgClient.make({
      url: Redacted.make(url),
      startupOptions: "-c role=nexus_app",
      maxConnections: 1
    })
    const told = { appended: 0, aborted: 0 }
    for (let n = 0; !done(); n++) {
      const lane = n % 4
      const isGivenUp = n % 8 < 4
      const { command, events, order } = queuedAs(
        place(idsIn(lane, `former-${n}`, 1)[0]!).entry,
        lane,
        Deferred.makeUnsafe()
      )
      const outcome = yield* Effect.result(
        sql.withTransaction(
          Effect.andThen(
            sql`select appended from append_rows(${lane}::int2, 'former', ${arrayOf([command])}::append_command[],
              ${arrayOf([events])}::append_event[], ${arrayOf([order!])}::append_order[])`,
            isGivenUp ? Effect.fail(changedMind) : Effect.void
          )
        )
      )
      if (Result.isSuccess(outcome)) told.appended += 1
      else if (outcome.failure === changedMind) told.aborted += 1
      yield* Effect.sleep(2)
    }
    return told
  }).pipe(Effect.scoped, Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make))

describe("under rivals, aborts and lost answers", () => {
  it.live("a live follower sees every position and every version in turn, and every answer is true", () =>
    onFresh((url) =>
      Effect.gen(function* () {
        const proxy = yield* Effect.acquireRelease(
          Effect.promise(() => startCutProxy(url, 9)),
          (started) => Effect.promise(started.close)
        )
        let isWritten = false
        let done = false
        const follower = yield* Effect.forkChild(
          Effect.provide(
            follow(() => done),
            storeOn(url)
          )
        )
        const beside = yield* Effect.forkChild(formerRelease(url, () => isWritten))
        const cut = Effect.forEach([1, 2, 3, 4, 5, 6], () => rivalWriter(rivals, 40), {
          concurrency: "unbounded"
        }).pipe(Effect.provide(storeOn(proxy.url, { node: "cut" })))
        const direct = Effect.forEach([1, 2, 3], () => rivalWriter(rivals, 40), { concurrency: "unbounded" }).pipe(
          Effect.provide(storeOn(url, { node: "direct" }))
        )

        const [throughCuts, others] = yield* Effect.all([cut, direct], { concurrency: "unbounded" })
        isWritten = true
        const former = yield* Fiber.join(beside)
        done = true
        const seen = yield* Fiber.join(follower)

        const all = sum([...throughCuts, ...others])
        const report = yield* Effect.provide(assertVerified, storeOn(url))
        assert.strictEqual(report.events, all.appended + former.appended)
        assert.strictEqual(seen, report.events)
        // Each of the faults did happen.
        assert.isAbove(all.conflicts, 0)
        assert.isAbove(all.duplicates, 0)
        assert.isAbove(former.appended, 0)
        assert.isAbove(former.aborted, 0)
        assert.isAbove(proxy.cuts(), 5)
      })
    )
  )

  it.live("two processes append to the same streams, and the log holds exactly what both were told", () =>
    onFresh((url) =>
      Effect.gen(function* () {
        const script = fileURLToPath(new URL("rivalProcess.ts", import.meta.url))
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [script, url, "60", ...rivals], { stdio: ["ignore", "pipe", "inherit"] })
          ),
          (started) => Effect.sync(() => started.kill("SIGKILL"))
        )
        let output = ""
        child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")))
        const ended = once(child, "exit")

        const here = yield* Effect.gen(function* () {
          const store = yield* EventStore
          // Both at once: the child takes a moment to start.
          yield* until(store.laneHeads, (heads) => heads.some(({ position }) => position > 0))
          return yield* Effect.forEach([1, 2, 3, 4], () => rivalWriter(rivals, 60), { concurrency: "unbounded" })
        }).pipe(Effect.provide(storeOn(url, { node: "here" })))
        const [code] = yield* Effect.promise(() => ended)

        assert.strictEqual(code, 0)
        const there = JSON.parse(output) as ReadonlyArray<Told>
        const report = yield* Effect.provide(assertVerified, storeOn(url))
        assert.strictEqual(report.events, sum([...here, ...there]).appended)
        const nodes = yield* asAdministrator(url, (sql) => sql`select distinct node from batches order by node`)
        assert.deepStrictEqual(nodes, [{ node: "here" }, { node: "rival" }])
        assert.isAbove(sum(here).conflicts + sum(there).conflicts, 0)
      })
    )
  )
})

describe("a call that PostgreSQL answers with an error that nobody expects", () => {
  it.live("shows its age for as long as it lasts, and is stored once the fault is repaired", () =>
    onFresh((url) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const administer = (statement: string) => asAdministrator(url, (sql) => sql.unsafe(statement))
        assert.strictEqual((yield* store.stats).unansweredMillis, 0)
        // 42501: no connection is lost, and no probe of the database sees it.
        yield* administer("revoke execute on function append_lanes from nexus_app")

        const waiting = yield* Effect.forkChild(store.append(place("o-1").entry))
        yield* until(store.stats, ({ unansweredMillis }) => unansweredMillis > 200)
        yield* administer("grant execute on function append_lanes to nexus_app")

        assert.strictEqual((yield* Fiber.join(waiting)).version, 1)
        assert.strictEqual((yield* store.stats).unansweredMillis, 0)
      }).pipe(Effect.provide(storeOn(url)))
    )
  )
})

describe("a PostgreSQL that stops at once under load", () => {
  it.live(
    "has every acknowledged command when it is back, and the waiting ones are answered then",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const server = yield* Effect.acquireRelease(Effect.promise(startStoppable), (started) =>
            Effect.promise(started.stop)
          )
          yield* Effect.promise(() => prepareTemplate(server.url))
          const url = databaseUrl(server.url, templateName)
          const acknowledged = new Set<string>()
          let stopped = 0

          yield* Effect.gen(function* () {
            const store = yield* EventStore
            let orders = 0
            let done = false
            const caller = Effect.gen(function* () {
              while (!done) {
                const orderId = `o-${(orders += 1)}`
                yield* store.append(place(orderId).entry)
                acknowledged.add(orderId)
              }
            })
            const callers = yield* Effect.forkChild(
              Effect.forEach(Array.from({ length: 32 }), () => caller, { concurrency: "unbounded", discard: true })
            )
            for (let round = 0; round < 3; round++) {
              const before = acknowledged.size
              yield* until(
                Effect.sync(() => acknowledged.size),
                (size) => size > before + 100
              )
              yield* Effect.promise(server.stopAtOnce)
              stopped += 1
              yield* Effect.promise(server.start)
            }
            const before = acknowledged.size
            yield* until(
              Effect.sync(() => acknowledged.size),
              (size) => size > before + 100
            )
            done = true
            yield* Fiber.join(callers)
            // Everybody who asked was answered, through all the stops.
            assert.strictEqual(acknowledged.size, orders)

            const seen = yield* follow(() => true)
            assert.strictEqual(seen, orders)
            const stored = yield* Effect.forEach(acknowledged, (orderId) => store.head(orderId), { concurrency: 4 })
            assert.isTrue(stored.every((head) => head?.version === 1))
            yield* assertVerified
          }).pipe(Effect.provide(storeOn(url)))

          assert.strictEqual(stopped, 3)
        })
      ),
    60_000
  )
})
