/** The program on a PostgreSQL that somebody else runs: it migrates, leaves that to a command, shares, and verifies. */
import { Effect, Exit, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { afterEach, assert, beforeEach, describe, inject, it } from "vitest"
import { asAdministrator, databaseUrl, emptyDatabase } from "../harness/template.ts"
import { startSimulator } from "./exchange.ts"
import { ends, place } from "./orders.ts"
import { newFolder, type Program, removeAll, run, serve } from "./Program.ts"

const pgUrl = inject("pgUrl")
let scope: Scope.Closeable = Scope.makeUnsafe()

beforeEach(() => {
  scope = Scope.makeUnsafe()
})
afterEach(async () => {
  await removeAll()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

/** Dropped after the test, once no program uses it. */
const database = (): Promise<string> => Effect.runPromise(Scope.provide(emptyDatabase(pgUrl), scope))

/** Statements of an administrator on one connection; the rows of the last. */
const asked = (url: string, ...statements: ReadonlyArray<string>): Promise<ReadonlyArray<object>> =>
  Effect.runPromise(
    asAdministrator(url, (sql) =>
      Effect.map(
        Effect.forEach(statements, (statement) => sql.unsafe(statement)),
        (results) => results.at(-1) ?? []
      )
    )
  )

const sentenceOf = ({ code, err }: Program): string => {
  assert.strictEqual(code, 1, err)
  assert.notMatch(err, /\bat .*:\d+:\d+/)
  return err.split("\n").findLast((line) => line.startsWith("nexus: ")) ?? err
}

describe("an empty database", () => {
  it("is migrated by the start itself, and SIGTERM ends with 0 after the wait for load balancers", async () => {
    const url = await database()
    const program = await serve(newFolder(), { DATABASE_URL: url, NEXUS_HTTP_DRAIN_MS: "50" })

    assert.match(program.out, /PostgreSQL +real/)
    assert.match(program.out, /exchange +SIMULATOR \(embedded\)/)
    assert.strictEqual((await ends(program.url, (await place(program.url)).id)).status, "COMPLETED")
    assert.strictEqual(await program.end("SIGTERM"), 0, program.err)
  })

  it("does not wait for load balancers on SIGINT, which a person gives", async () => {
    const program = await serve(newFolder(), { DATABASE_URL: await database(), NEXUS_HTTP_DRAIN_MS: "20000" })
    const begun = performance.now()

    assert.strictEqual(await program.end("SIGINT"), 0, program.err)

    assert.isBelow(performance.now() - begun, 10_000)
  })

  it("waits for nexus migrate where the configuration says so", async () => {
    const env = { DATABASE_URL: await database(), NEXUS_DATABASE_MIGRATE: "false" }
    const folder = newFolder()

    assert.match(sentenceOf(await run(["serve"], folder, env)), /lacks 0001\S+.*: run "nexus migrate"/)

    const migrated = await run(["migrate"], folder, env)
    assert.strictEqual(migrated.code, 0, migrated.err)
    assert.match(migrated.out, /^applied 0001/)
    assert.match((await run(["migrate"], folder, env)).out, /up to date/)
    const { url } = await serve(folder, env)
    assert.strictEqual((await ends(url, (await place(url)).id)).status, "COMPLETED")
  })

  it("is migrated once by two programs that start at the same moment", async () => {
    const url = await database()

    const started = await Promise.all(
      [newFolder(), newFolder()].map((folder) => run(["migrate"], folder, { DATABASE_URL: url }))
    )

    assert.deepStrictEqual(
      started.map(({ code }) => code),
      [0, 0]
    )
    assert.strictEqual(started.filter(({ out }) => out.startsWith("applied 0001")).length, 1)
    const rows = await asked(url, "select file from schema_migrations")
    assert.strictEqual(new Set(rows.map((row) => JSON.stringify(row))).size, rows.length)
  })

  it("of a user who may not create roles is left alone, and a sentence says what to grant", async () => {
    const url = new URL(await database())
    const name = `plain_${randomUUID().slice(0, 8)}`
    await asked(url.href, `create role ${name} login`, `grant create on schema public to ${name}`)
    url.username = name

    const says = sentenceOf(await run(["serve"], newFolder(), { DATABASE_URL: url.href }))

    url.username = new URL(pgUrl).username
    await asked(url.href, `drop owned by ${name}`, `drop role ${name}`)
    assert.match(
      says,
      new RegExp(`The user ${name} may not create roles; let an administrator run once: .*GRANT nexus_app TO ${name};`)
    )
  })
})

describe("a start is refused in a sentence", () => {
  it("when the database's address is wrong, and shows no password", async () => {
    const folder = newFolder()
    const elsewhere = new URL(databaseUrl(pgUrl, "nowhere"))
    elsewhere.password = "secret-of-the-address"

    const nowhere = await run(["serve"], folder, { DATABASE_URL: elsewhere.href })
    const closed = await run(["serve"], folder, { DATABASE_URL: "postgres://u:secret-of-the-address@127.0.0.1:1/d" })
    const nonsense = await run(["serve"], folder, { DATABASE_URL: "mysql://u:secret-of-the-address@h/d" })

    assert.match(sentenceOf(nowhere), /The database does not exist on this server: create it, or check DATABASE_URL/)
    assert.match(sentenceOf(closed), /PostgreSQL does not serve at 127\.0\.0\.1:1: start it, or check DATABASE_URL/)
    assert.match(sentenceOf(nonsense), /database\.url must be postgres:\/\//)
    for (const { err, out } of [nowhere, closed, nonsense]) assert.notInclude(out + err, "secret-of-the-address")
  })

  it("while another process serves the store and no Kafka joins them, but not once that was killed", async () => {
    const folder = newFolder()
    const { env } = await startSimulator(folder)
    const settings = { ...env, DATABASE_URL: await database() }
    const first = await serve(folder, settings)

    const second = await run(["serve"], folder, settings)
    await first.end("SIGKILL")
    const third = await serve(folder, settings)

    assert.match(sentenceOf(second), /another process .* serves this database, .*: set KAFKA_BROKERS for both/)
    assert.strictEqual((await ends(third.url, (await place(third.url)).id)).status, "COMPLETED")
  })

  it("when the store belongs to another exchange, which it names", async () => {
    const url = await database()
    const folder = newFolder()
    const { env } = await startSimulator(folder)
    const first = await serve(folder, { ...env, DATABASE_URL: url })
    await first.end("SIGINT")

    const second = await run(["serve"], folder, {
      ...env,
      DATABASE_URL: url,
      NEXUS_BINANCE_EXCHANGE: "TESTNET"
    })

    assert.match(
      sentenceOf(second),
      /holds the orders of the SIMULATOR, and this process was started for the TESTNET: give it another database/
    )
  })

  it("when the store belongs to another account of the same exchange", async () => {
    const url = await database()
    const folder = newFolder()
    const mine = await startSimulator(folder)
    const first = await serve(folder, { ...mine.env, DATABASE_URL: url })
    await ends(first.url, (await place(first.url)).id)
    await first.end("SIGINT")
    const another = await startSimulator(folder)

    const second = await run(["serve"], folder, { ...another.env, DATABASE_URL: url })

    assert.match(sentenceOf(second), /orders of account \d+ of the SIMULATOR.* for account \d+ of the SIMULATOR/)
  })
})

describe("verify", () => {
  it("passes on an untouched log, and after an edit as superuser ends with 1 and names what was edited", async () => {
    const env = { DATABASE_URL: await database() }
    const folder = newFolder()
    const program = await serve(folder, env)
    const { id } = await place(program.url)
    await ends(program.url, id)
    await program.end("SIGINT")
    assert.strictEqual((await run(["verify"], folder, env)).code, 0)

    await asked(
      env.DATABASE_URL,
      "alter table events disable trigger all",
      `update events set actor = 'mallory' where stream_id = '${id}' and version = 1`
    )

    const verified = await run(["verify"], folder, env)
    assert.match(sentenceOf(verified), /the log is not as it was written: \d+ findings/)
    assert.match(verified.out, new RegExp(`events, .*hash is `))
    assert.include(verified.out, "NOT verified")
  })
})

describe("a program with one real part", () => {
  it("alone serves on it: a database, or an exchange at an address on loopback", async () => {
    const { address, env } = await startSimulator(newFolder())

    const { out, url } = await serve(newFolder(), env)

    assert.include(out, `exchange    SIMULATOR at ${address}`)
    assert.match(out, /PostgreSQL +embedded/)
    assert.strictEqual((await ends(url, (await place(url)).id)).status, "COMPLETED")
  })
})
