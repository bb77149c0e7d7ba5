/** The keys of the database: which one, as whom, how, and with how many connections. */
import { readFileSync } from "node:fs"
import { assert, inject } from "vitest"
import { type Environment, newFolder, run, until } from "../cli/Program.ts"
import { ask, embedded, narrow, newDatabase } from "./programs.ts"
import { row, type Rows } from "./Row.ts"

/** `nexus verify` by the keys, without a URL, on a PostgreSQL that asks for a password. */
const byKeys = async (other: Environment = {}) => {
  const { dataDir, ports } = await embedded()
  return run(["verify"], newFolder(), {
    NEXUS_DATABASE_MODE: "server",
    NEXUS_DATABASE_HOST: "127.0.0.1",
    NEXUS_DATABASE_PORT: `${ports.database}`,
    NEXUS_DATABASE_USERNAME: "nexus",
    NEXUS_DATABASE_PASSWORD: readFileSync(`${dataDir}/postgres/password`, "utf8").trim(),
    NEXUS_DATABASE_NAME: "nexus",
    ...other
  })
}

/** The right one serves, another one is refused with these words. */
const counts = (key: string, value: string, says: RegExp) => async () => {
  const right = await byKeys()
  const wrong = await byKeys({ [key]: value })

  assert.strictEqual(right.code, 0, right.err)
  assert.strictEqual(wrong.code, 1, wrong.out)
  assert.match(wrong.err, says)
}

const connections = (database: string): Promise<number> =>
  ask(
    database,
    "select count(*)::int4 from pg_stat_activity where datname = current_database() and application_name = 'another-name'"
  ).then(([count]) => Number(count))

const tablesOf = (database: string) =>
  ask(database, "select count(*)::int4 from pg_tables where schemaname = 'public'").then(([count]) => Number(count))

export const databaseRows: Rows = {
  "database.url": row("the database that is written to", async () => {
    const { database } = await narrow()
    assert.isAbove(await tablesOf(database), 5)
  }),
  "database.host": row(
    "the address that is asked",
    counts("NEXUS_DATABASE_HOST", "127.0.0.9", /does not serve at 127\.0\.0\.9:/)
  ),
  "database.port": row(
    "the address that is asked",
    counts("NEXUS_DATABASE_PORT", "1", /does not serve at 127\.0\.0\.1:1/)
  ),
  "database.username": row(
    "the user who asks",
    counts("NEXUS_DATABASE_USERNAME", "stranger", /password|let this user in/)
  ),
  "database.password": row("what PostgreSQL asks for", counts("NEXUS_DATABASE_PASSWORD", "guess", /take the password/)),
  "database.name": row("the database on the server", counts("NEXUS_DATABASE_NAME", "nowhere", /does not exist/)),
  "database.ssl_mode": row("a server without TLS is refused", async () => {
    const { code, err } = await run(["migrate"], newFolder(), {
      DATABASE_URL: await newDatabase(),
      NEXUS_DATABASE_SSL_MODE: "require"
    })
    assert.strictEqual(code, 1)
    assert.match(err, /SSL|TLS/i)
  }),
  "database.max_idle_conns": row("connections while nothing happens", async () => {
    const { database } = await narrow()
    await until("they are open", async () => (await connections(database)) >= 9)
  }),
  "database.max_open_conns": row("connections under load", async () => {
    const { database, program } = await narrow()
    const most = { seen: 0 }
    let running = true
    // Sixteen clients: fewer than the program has sockets for, more than it has connections.
    const load = Array.from({ length: 16 }, async () => {
      while (running) await (await fetch(`${program.url}/api/v1/orders?limit=50`)).text()
    })
    const watch = async () => {
      most.seen = Math.max(most.seen, await connections(database))
      return most.seen >= 11
    }
    await until("the pool is full", watch)
    const begun = performance.now()
    await until("a while of load", async () => {
      await watch()
      return performance.now() - begun > 500
    })
    running = false
    await Promise.all(load)
    assert.strictEqual(most.seen, 11)
  }),
  "database.migrate": row("a start leaves an empty database alone", async () => {
    const database = await newDatabase()
    const { code, err } = await run(["serve"], newFolder(), {
      DATABASE_URL: database,
      NEXUS_DATABASE_MIGRATE: "false"
    })
    assert.strictEqual(code, 1)
    assert.include(err, 'run "nexus migrate"')
    assert.strictEqual(await tablesOf(database), 0)
  }),
  "database.migrate_url": row("where the schema is made", async () => {
    const [serving, migrating] = [await newDatabase(), await newDatabase()]
    const { code, err } = await run(["migrate"], newFolder(), {
      DATABASE_URL: serving,
      NEXUS_DATABASE_MIGRATE_URL: migrating
    })
    assert.strictEqual(code, 0, err)
    assert.strictEqual(await tablesOf(serving), 0)
    assert.isAbove(await tablesOf(migrating), 5)
  }),
  "database.lanes": row("the lanes of a new store", async () => {
    const database = await newDatabase()
    const migrate = (lanes: string) =>
      run(["migrate"], newFolder(), { DATABASE_URL: database, NEXUS_DATABASE_LANES: lanes })
    assert.strictEqual((await migrate("3")).code, 0)
    assert.deepStrictEqual(await ask(database, "select lanes::int4 from store"), [3])
    assert.match((await migrate("5")).err, /has 3 lanes for ever/)
  }),
  "binance.exchange": row("to whom a new store belongs", async () => {
    const database = await newDatabase()
    const verified = await run(["verify"], newFolder(), {
      DATABASE_URL: database,
      BINANCE_TESTNET_API_KEY: "k",
      BINANCE_TESTNET_API_SECRET: "s",
      NEXUS_BINANCE_TESTNET_BASE_URL: "http://127.0.0.1:1",
      NEXUS_BINANCE_EXCHANGE: "TESTNET"
    })
    assert.strictEqual(verified.code, 0, verified.err)
    assert.deepStrictEqual(await ask(database, "select exchange from store"), ["TESTNET"])
    assert.isString(inject("pgUrl"))
  })
}
