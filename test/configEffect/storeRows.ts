/** The keys of the outbox, the leases and the order protocol's margins: seen in the database and in what is sent. */
import { assert } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Schema } from "effect"
import { asAdministrator } from "../harness/template.ts"
import { filled, neverArrived } from "../layers.ts"
import { idsIn } from "../sql/storedOrders.ts"
import { buy, type Driven, onEngine, settlesAt, submissions, until } from "./onEngine.ts"
import { row, type Rows } from "./Row.ts"

const numberOf = Schema.decodeUnknownSync(Schema.Tuple([Schema.Struct({ n: Schema.Number })]))

/** One number, asked as an administrator. */
const ask = ({ nexus }: Driven, statement: string) =>
  asAdministrator(nexus.databaseUrl, (sql) => Effect.map(sql.unsafe(statement), (rows) => numberOf(rows)[0].n))

/** What a serving connection of the pool says of a setting of its session. */
const shows = (key: string, setting: string) =>
  onEngine(
    { [key]: "1234" },
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient

        const [shown] = yield* sql`select setting from pg_settings where name = ${setting}`

        assert.strictEqual(shown?.setting, "1234")
      }),
    { roles: [] }
  )

/** An attempt that never arrived is proven absent, and made again, only when the margin has passed too. */
const absentAfter = (key: string) =>
  onEngine(
    { [key]: "60000", NEXUS_RECONCILER_DOUBT_CHECK_MS: "50" },
    (driven) =>
      Effect.gen(function* () {
        yield* driven.nexus.place("lost", buy)
        yield* settlesAt(1, 0, submissions(driven))

        // recvWindow, the other margin of a simulator, and more.
        yield* driven.nexus.advance("30 seconds")
        yield* settlesAt(1, 1_000, submissions(driven))

        yield* driven.nexus.advance("50 seconds")
        yield* settlesAt(2, 0, submissions(driven))
      }),
    { outcomes: [neverArrived, filled] }
  )

export const storeRows: Rows = {
  "database.appends_in_flight": row(
    "calls that wait for the locks of all lanes",
    onEngine(
      {
        NEXUS_DATABASE_APPENDS_IN_FLIGHT: "3",
        // A call that fails is repeated beside the others; none does here.
        NEXUS_DATABASE_LOCK_TIMEOUT_MS: "60000",
        NEXUS_DATABASE_STATEMENT_TIMEOUT_MS: "60000"
      },
      (driven) =>
        asAdministrator(driven.nexus.databaseUrl, (sql) =>
          sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`select pg_advisory_xact_lock(7301, lane) from generate_series(0, 3) as l(lane)`
              // One lane after the other: what comes together travels in one call.
              for (const lane of [0, 1, 2, 3]) {
                for (const id of idsIn(lane, "waits", 8)) yield* Effect.forkChild(driven.nexus.place(id, buy))
                yield* settlesAt(
                  Math.min(lane + 1, 3),
                  100,
                  ask(
                    driven,
                    `select count(*)::int4 as n from pg_stat_activity
                      where datname = current_database() and wait_event = 'advisory'`
                  )
                )
              }
            })
          )
        ),
      { roles: [] }
    )
  ),
  "database.statement_timeout_ms": row(
    "pg_settings of a serving session",
    shows("NEXUS_DATABASE_STATEMENT_TIMEOUT_MS", "statement_timeout")
  ),
  "database.lock_timeout_ms": row(
    "pg_settings of a serving session",
    shows("NEXUS_DATABASE_LOCK_TIMEOUT_MS", "lock_timeout")
  ),
  "database.idle_in_transaction_timeout_ms": row(
    "pg_settings of a serving session",
    shows("NEXUS_DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_MS", "idle_in_transaction_session_timeout")
  ),
  "binance.delta_ms": row("when an attempt counts as absent", absentAfter("NEXUS_BINANCE_DELTA_MS")),
  "binance.staleness_ms": row("when an attempt counts as absent", absentAfter("NEXUS_BINANCE_STALENESS_MS")),
  "outbox.poll_interval_ms": row(
    "transactions of an idle database",
    onEngine(
      { NEXUS_OUTBOX_POLL_INTERVAL_MS: "10" },
      (driven) =>
        Effect.gen(function* () {
          const commits = ask(
            driven,
            "select xact_commit::float8 as n from pg_stat_database where datname = current_database()"
          )
          const begun = performance.now()
          const before = yield* commits

          // Four lanes make some 300 a second; with the default all together makes 25.
          yield* until(
            "many transactions",
            Effect.map(commits, (now) => now - before > 400)
          )

          assert.isBelow(performance.now() - begun, 10_000)
        }),
      { roles: ["relay"] }
    )
  ),
  "outbox.batch_size": row(
    "how far the cursor of a lane moves at a time",
    onEngine({ NEXUS_OUTBOX_BATCH_SIZE: "2" }, (driven) =>
      Effect.gen(function* () {
        yield* asAdministrator(driven.nexus.databaseUrl, (sql) =>
          Effect.forEach(
            [
              "create table moves (by bigint)",
              `create function tell_move() returns trigger language plpgsql security definer as
                $$ begin insert into public.moves values (new.position - old.position); return new; end $$`,
              "create trigger tell_move after update on cursors for each row execute function tell_move()"
            ],
            (statement) => sql.unsafe(statement)
          )
        )
        const names = Array.from({ length: 40 }, (_, index) => `order-${index}`)
        yield* Effect.forEach(names, (name) => driven.nexus.place(name, buy), { concurrency: "unbounded" })
        for (const name of names) yield* driven.nexus.until(name, ({ status }) => status === "COMPLETED")
        const owed =
          "select sum(l.last - c.position)::float8 as n from cursors c, lateral (select max(position) as last from events e where e.lane = c.lane) l"
        yield* until(
          "nothing is owed",
          Effect.map(ask(driven, owed), (count) => count === 0)
        )

        assert.strictEqual(yield* ask(driven, "select max(by)::float8 as n from moves"), 2)
      })
    )
  ),
  "outbox.max_backlog": row(
    "new orders are turned away while more is owed",
    onEngine(
      { NEXUS_OUTBOX_MAX_BACKLOG: "3" },
      (driven) =>
        Effect.gen(function* () {
          for (let index = 0; index < 8; index++) yield* driven.nexus.place(`first-${index}`, buy)
          let index = 0

          yield* until(
            "an order is turned away",
            Effect.suspend(() => Effect.result(driven.nexus.place(`next-${(index += 1)}`, buy))).pipe(
              Effect.map((result) => result._tag === "Failure" && result.failure._tag === "Busy")
            )
          )
        }),
      // Nobody relays, so everything is owed.
      { roles: [] }
    )
  ),
  "leases.ttl_ms": row(
    "how long the rows of held leases are good for",
    onEngine({ NEXUS_LEASES_TTL_MS: "50000" }, (driven) =>
      Effect.gen(function* () {
        const left = ask(
          driven,
          `select coalesce(max(extract(epoch from expires_at - clock_timestamp())), 0)::float8 as n
            from leases where owner is not null`
        )

        yield* until(
          "a lease is held",
          Effect.map(left, (seconds) => seconds > 10)
        )

        const seconds = yield* left
        assert.isAbove(seconds, 40)
        assert.isAtMost(seconds, 50)
      })
    )
  ),
  "leases.renew_ms": row(
    "how often a replica says that it lives",
    onEngine({ NEXUS_LEASES_RENEW_MS: "30000" }, (driven) =>
      Effect.gen(function* () {
        const seen = ask(driven, "select coalesce(max(extract(epoch from seen_at)), 0)::float8 as n from replicas")
        yield* until(
          "it was seen",
          Effect.map(seen, (at) => at > 0)
        )
        const first = yield* seen
        const isAgain = Effect.map(seen, (at) => (at > first ? 1 : 0))

        yield* settlesAt(0, 1_500, isAgain)

        yield* driven.nexus.advance("31 seconds")
        yield* settlesAt(1, 0, isAgain)
      })
    )
  )
}
