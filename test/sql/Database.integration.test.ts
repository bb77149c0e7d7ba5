/**
 * Serving connections: as whom they run, how many there are, and what readiness says in each state of the server.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { createServer, connect, type Socket } from "node:net"
import { describe, inject } from "vitest"
import { Database, type DatabaseLimits } from "../../src/sql/Database.ts"
import { asAdministrator, emptyDatabase, freshDatabase, limitsForTests } from "../harness/template.ts"
import { until } from "./until.ts"

const serve = (url: string, limits: Partial<DatabaseLimits> = {}) =>
  Database.layer({ address: { url: Redacted.make(url) }, limits: { ...limitsForTests, ...limits } })

const onStore = <A, E>(
  limits: Partial<DatabaseLimits>,
  test: (url: string) => Effect.Effect<A, E, Database | PgClient.PgClient | Scope.Scope>
) =>
  Effect.scoped(Effect.flatMap(freshDatabase(inject("pgUrl")), (url) => Effect.provide(test(url), serve(url, limits))))

interface Between {
  readonly url: string
  /** From now on nothing comes through, and connections stay open; new ones are taken and are as silent. */
  readonly silence: () => void
  /** New connections come through again; the silent ones stay so. */
  readonly speak: () => void
  /** Ends the connections there are. */
  readonly cut: () => void
  readonly close: () => void
}

/** A server in front of PostgreSQL that may change the start-up packet of each connection. */
const between = (url: string, changeStartup = (packet: Buffer) => packet): Effect.Effect<Between, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Between>((resolve) => {
          const target = new URL(url)
          const { hostname, port } = target
          const sockets: Array<Socket> = []
          let isSilent = false
          const server = createServer((client) => {
            if (isSilent) {
              sockets.push(client)
              client.on("error", () => client.destroy())
              return
            }
            const upstream = connect(Number(port), hostname)
            sockets.push(client, upstream)
            client.once("data", (packet: Buffer) => {
              upstream.write(changeStartup(packet))
              client.pipe(upstream).pipe(client)
            })
            for (const socket of [client, upstream]) socket.on("error", () => socket.destroy())
          })
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (typeof address === "object" && address !== null) target.port = `${address.port}`
            resolve({
              url: target.href,
              silence: () => {
                isSilent = true
                sockets.forEach((socket) => socket.unpipe().pause())
              },
              speak: () => {
                isSilent = false
              },
              cut: () => sockets.forEach((socket) => socket.destroy()),
              close: () => {
                sockets.forEach((socket) => socket.destroy())
                server.close()
              }
            })
          })
        })
    ),
    ({ close }) => Effect.sync(close)
  )

/** What a pooler does that was told to ignore `options`: it hands on all but these. */
const withoutOptions = (packet: Buffer): Buffer => {
  const words = packet.toString("latin1", 8).split("\0")
  const at = words.indexOf("options")
  words.splice(at, 2)
  const body = Buffer.from(words.join("\0"), "latin1")
  const head = Buffer.from(packet.subarray(0, 8))
  head.writeInt32BE(8 + body.length, 0)
  return Buffer.concat([head, body])
}

describe("a serving connection", () => {
  it.live("runs as nexus_app with all time-outs set, in the pool and beside it", () =>
    onStore({ statement_timeout_ms: 4_321, lock_timeout_ms: 1_234, idle_in_transaction_timeout_ms: 987 }, () =>
      Effect.gen(function* () {
        for (const sql of [yield* PgClient.PgClient, (yield* Database).side]) {
          assert.deepStrictEqual(
            yield* sql`
              select current_user::text as me, current_setting('statement_timeout') as statement,
                current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle`,
            [{ me: "nexus_app", statement: "4321ms", lock: "1234ms", idle: "987ms" }]
          )
        }
      })
    )
  )

  it.live("cannot get rid of its role with RESET ROLE", () =>
    onStore({ max_open_conns: 1 }, () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient

        yield* sql`reset role`

        assert.deepStrictEqual(yield* sql`select current_user::text as me`, [{ me: "nexus_app" }])
      })
    )
  )

  it.live("may not touch what the migrator made, nor make anything", () =>
    onStore({}, () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* sql`update store set store_id = gen_random_uuid(), exchange = 'TESTNET', account_uid = '1'`
        for (const forbidden of [
          "update store set store_id = gen_random_uuid()",
          "update store set exchange = 'SIMULATOR'",
          "update store set account_uid = null",
          "create table mine (n int)",
          "update store set lanes = 8",
          "update store set generation = 2",
          "delete from store",
          "insert into leases (role) values ('relay/9')",
          "delete from cursors",
          "update instruments set content = '{}'",
          "delete from parked",
          "update anchors set root = ''",
          "insert into api_keys (key_id, name, secret_hash, scopes) values ('k', 'n', '', '{}')",
          "insert into schema_migrations (file, checksum) values ('f', 'c')"
        ]) {
          const error = yield* Effect.flip(sql.unsafe(forbidden))
          assert.strictEqual(error.reason._tag, "AuthorizationError", forbidden)
        }
      })
    )
  )

  it.live("is one of max_open_conns at most, and max_idle_conns stay", () =>
    onStore({ max_open_conns: 3, max_idle_conns: 2 }, (url) =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const open = asAdministrator(url, (admin) =>
          Effect.map(
            admin`select count(*)::int4 as n from pg_stat_activity
              where application_name = 'nexus' and datname = current_database()`,
            ([row]) => Number(row?.n)
          )
        )
        yield* until(open, (n) => n === 2)

        const busy = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 12 }, () => sql`select pg_sleep(0.1)`),
            { concurrency: "unbounded" }
          )
        )
        yield* until(open, (n) => n === 3)
        let most = 0
        while (busy.pollUnsafe() === undefined) most = Math.max(most, yield* open)
        yield* Fiber.join(busy)

        assert.strictEqual(most, 3)
      })
    )
  )
})

describe("a database is not served from", () => {
  const refused = (url: string) => Effect.flip(Effect.scoped(Effect.provide(Effect.void, serve(url))))

  it.live("when its user may not become nexus_app: the sentence says what to grant", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const url = yield* freshDatabase(inject("pgUrl"))
        const user = `s_${new URL(url).pathname.slice(1)}`
        yield* Effect.acquireRelease(
          asAdministrator(url, (sql) => sql.unsafe(`create role ${user} login`)),
          () => asAdministrator(url, (sql) => sql.unsafe(`drop role ${user}`))
        )
        const theirs = new URL(url)
        theirs.username = user

        const error = yield* refused(theirs.href)

        assert.strictEqual(error._tag, "DatabaseUnusable")
        assert.include(error.message, "GRANT nexus_app TO")
      })
    )
  )

  it.live("through a pooler that drops the start-up option: the sentence says as whom it would run", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const pooler = yield* between(yield* freshDatabase(inject("pgUrl")), withoutOptions)

        const error = yield* refused(pooler.url)

        assert.strictEqual(error._tag, "DatabaseUnusable")
        assert.match(error.message, /run as postgres instead of nexus_app: something in between \(a pooler\?\) drops/)
      })
    )
  )

  it.live("when it does not exist", () =>
    Effect.gen(function* () {
      const url = new URL(inject("pgUrl"))
      url.pathname = "/no_such_database"

      assert.include((yield* refused(url.href)).message, "The database does not exist on this server")
    })
  )

  it.live("when nobody listens, which is worth another try", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* refused("postgres://x@127.0.0.1:1/x"))._tag, "StoreUnavailable")
    })
  )
})

describe("readiness", () => {
  it.live("is given while a command can be stored", () =>
    onStore({}, () =>
      Effect.gen(function* () {
        assert.isNull(yield* (yield* Database).ready)
      })
    )
  )

  it.live("is denied on a database without a store", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const url = yield* emptyDatabase(inject("pgUrl"))
        const ready = yield* Effect.provide(
          Effect.flatMap(Database, (database) => database.ready),
          serve(url)
        )

        assert.include(ready ?? "", "PostgreSQL is not available")
      })
    )
  )

  it.live("is denied while the database takes no writes, and comes back", () =>
    onStore({}, (url) =>
      Effect.gen(function* () {
        const { ready } = yield* Database
        const name = new URL(url).pathname.slice(1)
        const set = (value: string) =>
          asAdministrator(url, (sql) =>
            Effect.andThen(
              sql.unsafe(`alter database ${name} set default_transaction_read_only = ${value}`),
              sql`select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and application_name = 'nexus'`
            )
          )

        yield* set("on")
        const denied = yield* until(ready, (why) => why?.includes("takes no writes") ?? false)
        // The administrator's own session is read-only by then, except where it says otherwise.
        yield* asAdministrator(inject("pgUrl"), (sql) =>
          Effect.andThen(
            sql.unsafe(`alter database ${name} reset default_transaction_read_only`),
            sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name} and application_name = 'nexus'`
          )
        )

        assert.include(denied ?? "", "read-only")
        yield* until(ready, (why) => why === null)
      })
    )
  )

  it.live("is denied within a second or little more when the server falls silent, however often it is asked", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const proxy = yield* between(yield* freshDatabase(inject("pgUrl")))
        yield* Effect.gen(function* () {
          const { ready } = yield* Database
          assert.isNull(yield* ready)
          proxy.silence()

          const asked = performance.now()
          const answers = [yield* ready, ...(yield* Effect.all([ready, ready, ready], { concurrency: 3 }))]

          assert.isBelow(performance.now() - asked, 3_000)
          for (const answer of answers) assert.include(answer ?? "", "did not take a write within 1000 ms")
        }).pipe(Effect.provide(serve(proxy.url)))
      })
    )
  )

  it.live("is denied within a second when new connections are swallowed as well, and while one is awaited", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const proxy = yield* between(yield* freshDatabase(inject("pgUrl")))
        yield* Effect.gen(function* () {
          const { ready } = yield* Database
          assert.isNull(yield* ready)
          proxy.silence()
          proxy.cut()

          for (let count = 0; count < 3; count++) {
            const asked = performance.now()
            assert.isNotNull(yield* ready)
            assert.isBelow(performance.now() - asked, 1_500)
          }
        }).pipe(Effect.provide(serve(proxy.url)))
      })
    )
  )

  it.live("comes back when PostgreSQL can be reached anew, though the old connections never say a word", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const proxy = yield* between(yield* freshDatabase(inject("pgUrl")))
        yield* Effect.gen(function* () {
          const { ready } = yield* Database
          assert.isNull(yield* ready)
          proxy.silence()
          assert.isNotNull(yield* ready)
          proxy.speak()

          yield* until(ready, (why) => why === null)
        }).pipe(Effect.provide(serve(proxy.url)))
      })
    )
  )
})
