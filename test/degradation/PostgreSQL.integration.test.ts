/**
 * What a client and a probe see while PostgreSQL is down, read-only, silent, slow or full: a command that is not durable
 * is never answered with success, nothing unrecorded goes to the exchange, the same id gives the final answer, and all of
 * it ends by itself within five seconds after PostgreSQL is back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { spawnSync } from "node:child_process"
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import type { Cut } from "../../tools/proofs/replicas/Cut.ts"
import { describeIf } from "../harness/describeIf.ts"
import { asAdministrator, freshDatabase, prepareTemplate, templateLanes } from "../harness/template.ts"
import { TestNexus } from "../layers.ts"
import { type StoppablePostgres, startStoppable } from "../sql/StoppablePostgres.ts"
import { until } from "../sql/until.ts"
import {
  ask,
  becomes,
  bid,
  buy,
  by,
  cancel,
  ends,
  type Exchange,
  find,
  makeExchange,
  networkBefore,
  onLedger,
  orders,
  place,
  type Reply,
  rests,
  standing,
  stands,
  wholeOn
} from "./Whole.ts"

let server: StoppablePostgres
beforeAll(async () => {
  server = await startStoppable()
  await prepareTemplate(server.url)
})
afterAll(() => server.stop())

interface Setting {
  readonly exchange: Exchange
  readonly network: Cut
  /** Of the superuser, past the network. */
  readonly databaseUrl: string
}

/** Short, so that a test need not wait long for a caller to leave. */
const impatient = { NEXUS_ENGINE_COMMAND_DEADLINE_MS: "1000" }

const trading = <A, E, R>(
  test: (setting: Setting) => Effect.Effect<A, E, R>,
  env: Readonly<Record<string, string>> = impatient
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const exchange = yield* makeExchange
      const databaseUrl = yield* freshDatabase(server.url)
      const network = yield* networkBefore("127.0.0.1", Number(new URL(databaseUrl).port))
      const whole = wholeOn(exchange, { databaseUrl: by(network, databaseUrl), env })
      yield* stands(({ parts, ready }) => ready === 200 && parts.length === 0).pipe(
        Effect.andThen(test({ exchange, network, databaseUrl })),
        Effect.tap(Effect.flatMap(TestNexus, ({ verify }) => verify)),
        Effect.provide(whole)
      )
    })
  )

const asked = (url: string, ...statements: ReadonlyArray<string>) =>
  asAdministrator(url, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))

const assertTryAgain = ({ body, headers, status }: Reply, ...codes: ReadonlyArray<string>): void => {
  assert.strictEqual(status, 503, JSON.stringify(body))
  assert.include(codes, body["code"])
  assert.match(headers.get("retry-after") ?? "", /^[1-3]$/)
}

/** From the end of the outage: how long until a command is answered with success. */
const firstSuccess = Effect.gen(function* () {
  const begun = performance.now()
  let number = 0
  yield* until(
    Effect.suspend(() => place(buy(`first-${(number += 1)}`))),
    ({ status }) => status === 202
  )
  return performance.now() - begun
})
const backMillis = 5_000

/** The same id, until it is answered with success; whether it was there already. */
const resolved = (order: { readonly id: string }) =>
  Effect.map(
    until(place(order), ({ status }) => status !== 503),
    ({ headers, status }) => {
      assert.include([200, 202], status)
      return headers.get("idempotency-replayed") === "true"
    }
  )

const ledgerSize = ({ simulator }: Exchange) => simulator.ledger().length

describe("PostgreSQL down or read-only", () => {
  it.live(
    "down: commands and reads are 503 with Retry-After, nothing is sent, and each id gives its answer later",
    () =>
      trading(({ exchange }) =>
        Effect.gen(function* () {
          yield* Effect.andThen(place(bid("rests")), rests("rests"))
          yield* Effect.promise(server.stopAtOnce)
          const before = ledgerSize(exchange)

          const away = yield* stands(({ ready }) => ready === 503)
          const [placed, cancelled, found, listed, events] = yield* Effect.all(
            [
              place(buy("lost")),
              cancel("rests"),
              find("rests"),
              ask("GET", orders),
              ask("GET", `${orders}/rests/events`)
            ],
            { concurrency: "unbounded" }
          )
          const metrics = yield* ask("GET", "/metrics")

          assert.strictEqual(away.health, 200)
          assert.match(away.reason ?? "", /PostgreSQL|an append has had no answer/)
          for (const reply of [placed, cancelled]) assertTryAgain(reply, "unknown_outcome")
          for (const reply of [found, listed, events]) assertTryAgain(reply, "store_unavailable")
          assert.strictEqual(metrics.status, 200)
          assert.strictEqual(ledgerSize(exchange), before)

          yield* Effect.promise(server.start)
          const took = yield* firstSuccess
          yield* resolved(buy("lost"))

          assert.isBelow(took, backMillis)
          yield* stands(({ ready }) => ready === 200)
          const order = yield* ends("lost")
          assert.deepStrictEqual([order["status"], onLedger(exchange, order["client_order_id"])], ["COMPLETED", 1])
          yield* until(cancel("rests"), ({ status }) => status !== 503)
          assert.strictEqual((yield* ends("rests"))["status"], "CANCELLED")
        })
      )
  )

  it.live("read-only: commands are 503, reads are answered, and it is ready again when it may be written", () =>
    trading(({ databaseUrl, exchange }) =>
      Effect.gen(function* () {
        yield* Effect.andThen(place(bid("rests")), rests("rests"))
        yield* asked(databaseUrl, "alter system set default_transaction_read_only = on", "select pg_reload_conf()")
        const away = yield* stands(({ ready }) => ready === 503)
        const before = ledgerSize(exchange)

        const [placed, cancelled, found] = yield* Effect.all([place(buy("lost")), cancel("rests"), find("rests")], {
          concurrency: "unbounded"
        })

        assert.deepStrictEqual(
          [away.health, away.reason],
          [200, "PostgreSQL takes no writes: it is read-only or a standby"]
        )
        for (const reply of [placed, cancelled]) assertTryAgain(reply, "unknown_outcome")
        assert.strictEqual(found.status, 200)
        assert.strictEqual(ledgerSize(exchange), before)
        yield* asked(databaseUrl, "alter system reset default_transaction_read_only", "select pg_reload_conf()")
        assert.isBelow(yield* firstSuccess, backMillis)
        yield* stands(({ ready }) => ready === 200)
        yield* resolved(buy("lost"))
        assert.strictEqual((yield* ends("lost"))["status"], "COMPLETED")
      })
    )
  )
})

describe("COMMIT result unknown", () => {
  it.live("503 unknown_outcome, and the same id is answered from the log: one order, sent once", () =>
    trading(({ exchange, network }) =>
      Effect.gen(function* () {
        network.cut("deaf")

        const placed = yield* place(buy("asked"))

        assertTryAgain(placed, "unknown_outcome")
        assert.include(String(placed.body["detail"]), "the same request with the same id gives the final answer")
        assert.strictEqual((yield* stands(({ ready }) => ready === 503)).health, 200)
        network.heal()
        const begun = performance.now()
        const wasThere = yield* resolved(buy("asked"))
        assert.isBelow(performance.now() - begun, backMillis)
        assert.isTrue(wasThere)
        const order = yield* ends("asked")
        assert.strictEqual(onLedger(exchange, order["client_order_id"]), 1)
        const { body } = yield* ask("GET", `${orders}/asked/events`)
        const types = (body as unknown as ReadonlyArray<{ readonly type: string }>).map(({ type }) => type)
        assert.strictEqual(types.filter((type) => type === "OrderPlaced").length, 1)
      })
    )
  )
})

// As schema/0006_append_rows.sql numbers them.
const laneLocks = 7_301
const crowd = 200

describe("PostgreSQL slow", () => {
  it.live("new orders beyond what may wait are shed with 503 overloaded, a cancel is not, and it stays ready", () =>
    trading(
      ({ databaseUrl }) =>
        Effect.gen(function* () {
          yield* Effect.andThen(place(bid("rests")), rests("rests"))
          const release = yield* heldLanes(databaseUrl)

          const answers: Array<Reply> = []
          const placing = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: crowd }),
              (_, index) => Effect.map(place(buy(`o-${index}`)), (reply) => answers.push(reply)),
              { concurrency: "unbounded", discard: true }
            )
          )
          const cancelling = yield* Effect.forkChild(cancel("rests"))
          yield* until(
            Effect.sync(() => answers.length),
            (count) => count > 0
          )
          const slow = yield* standing
          const [found, listed] = yield* Effect.all([find("rests"), ask("GET", orders)])
          yield* release

          yield* Fiber.join(placing)
          const cancelled = yield* Fiber.join(cancelling)
          const shed = answers.filter(({ status }) => status === 503)
          assert.isAbove(shed.length, 0)
          for (const reply of shed) assertTryAgain(reply, "overloaded")
          assert.strictEqual(answers.filter(({ status }) => status === 202).length, crowd - shed.length)
          assert.deepStrictEqual([slow.health, slow.ready, cancelled.status], [200, 200, 202])
          assert.deepStrictEqual([found.status, listed.status], [200, 200])
          assert.strictEqual((yield* ends("rests"))["status"], "CANCELLED")
          // What was shed is recorded nowhere, and its id is free.
          const { body } = shed[0] ?? assert.fail("nothing was shed")
          assert.include(String(body["detail"]), "nothing was recorded")
        }),
      { NEXUS_ENGINE_LANE_QUEUE_SIZE: "8" }
    )
  )
})

/** Of one answer: far below what makes it not ready, and far above. */
const slowMillis = 100
const tooSlowMillis = 1_500

describe("PostgreSQL late with every answer", () => {
  it.live("a read is never older than an answer that was given, and it stays ready until a write takes a second", () =>
    trading(
      ({ network }) =>
        Effect.gen(function* () {
          yield* Effect.andThen(place(bid("rests")), rests("rests"))
          network.slow(slowMillis)

          const begun = performance.now()
          yield* find("rests")
          const took = performance.now() - begun
          const pairs = yield* Effect.forEach(
            Array.from({ length: 10 }, (_, index) => `o-${index}`),
            (id) => Effect.flatMap(place(buy(id)), (placed) => Effect.map(find(id), (found) => ({ placed, found }))),
            { concurrency: "unbounded" }
          )
          const cancelled = yield* cancel("rests")
          const cancelling = yield* find("rests")
          const listed = yield* ask("GET", `${orders}?status=all`)
          const slow = yield* stands(({ ready }) => ready === 200)

          assert.isAtLeast(took, slowMillis)
          for (const { found, placed } of pairs) {
            assert.deepStrictEqual([placed.status, found.status], [202, 200])
          }
          assert.deepStrictEqual([cancelled.status, cancelling.body["cancel_requested"]], [202, true])
          const ids = (listed.body as unknown as ReadonlyArray<{ readonly id: string }>).map(({ id }) => id)
          assert.sameMembers(ids, ["rests", ...pairs.map(({ placed }) => String(placed.body["id"]))])
          assert.strictEqual(slow.health, 200)

          network.slow(tooSlowMillis)
          const away = yield* stands(({ ready }) => ready === 503)
          network.heal()

          assert.strictEqual(away.health, 200)
          assert.strictEqual(away.reason, "PostgreSQL did not take a write within 1000 ms")
          yield* stands(({ ready }) => ready === 200)
          for (const { placed } of pairs) {
            assert.strictEqual((yield* ends(String(placed.body["id"])))["status"], "COMPLETED")
          }
        }),
      {}
    )
  )
})

/** Holds the lock of every lane, as a slow append would; lets them go when it is told. */
const heldLanes = Effect.fnUntraced(function* (url: string) {
  const enough = yield* Deferred.make<void>()
  const holding = yield* Effect.forkScoped(
    asAdministrator(url, (sql) =>
      sql.withTransaction(
        Effect.andThen(
          sql`select pg_advisory_xact_lock(${laneLocks}, lane) from generate_series(0, ${templateLanes - 1}) lane`,
          Deferred.await(enough)
        )
      )
    )
  )
  yield* until(
    asAdministrator(
      url,
      (sql) =>
        sql<{ held: number }>`select count(*)::int as held from pg_locks
          where locktype = 'advisory' and classid = ${laneLocks} and granted`
    ),
    ([row]) => (row?.held ?? 0) >= templateLanes
  )
  return Effect.andThen(Deferred.succeed(enough, undefined), Fiber.join(holding))
})

/** A file system of a few megabytes, where this user may make one. */
const small = (() => {
  if (process.getuid?.() !== 0) return { folder: "", why: "only root may mount a file system that can be filled" }
  const folder = mkdtempSync("/tmp/nexus-small-")
  const made = spawnSync("mount", ["-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", folder])
  return made.status === 0
    ? { folder, why: null }
    : { folder, why: `no file system could be mounted: ${String(made.stderr)}` }
})()
afterAll(() => {
  if (small.folder === "") return
  if (small.why === null) spawnSync("umount", ["-l", small.folder])
  rmSync(small.folder, { recursive: true, force: true })
})

describeIf(small.why)("disk full", () => {
  it.live("commands are 503 and it is not ready, reads are answered, and it goes on once there is space", () =>
    trading(({ databaseUrl, exchange }) =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* Effect.andThen(place(buy("before")), ends("before"))
        const space = join(small.folder, "space")
        mkdirSync(space)
        const [row] = yield* asAdministrator(
          databaseUrl,
          (sql) => sql<{ folder: string }>`select current_setting('data_directory') as folder`
        )
        const { gid, uid } = statSync(row!.folder)
        chownSync(space, uid, gid)
        yield* asked(
          databaseUrl,
          `create tablespace small location '${space}'`,
          "alter table events set tablespace small",
          "create table filler (what text) tablespace small"
        )
        yield* Effect.ignore(
          Effect.catchDefect(
            asked(databaseUrl, "insert into filler select repeat(md5(n::text), 60) from generate_series(1, 20000) n"),
            Effect.fail
          )
        )
        yield* Effect.ignore(Effect.catchDefect(asked(databaseUrl, "insert into filler values ('x')"), Effect.fail))
        // Rows fit into what was the table's own until it wants another page.
        let number = 0
        const refused = yield* until(
          Effect.suspend(() => place(buy(`fill-${(number += 1)}`))),
          ({ status }) => status === 503
        )
        const before = ledgerSize(exchange)

        // The same append is tried until it is stored; so long without an answer is told of.
        yield* nexus.advance("11 seconds")
        const full = yield* stands(({ ready }) => ready === 503)
        const found = yield* find("before")

        assertTryAgain(refused, "unknown_outcome")
        assert.deepStrictEqual([full.health, found.status], [200, 200])
        assert.match(full.reason ?? "", /an append has had no answer for \d+ s|PostgreSQL/)
        yield* asked(databaseUrl, "drop table filler")
        assert.isBelow(yield* firstSuccess, backMillis)
        yield* stands(({ ready }) => ready === 200)
        yield* resolved(buy(`fill-${number}`))
        yield* becomes(`fill-${number}`, ({ status }) => status === "COMPLETED" || status === "FAILED")
        assert.isAtLeast(ledgerSize(exchange), before)
        yield* asked(databaseUrl, "alter table events set tablespace pg_default")
      })
    )
  )
})
