/** Each secret is rotated as docs/operations.md says: the new beside the old, a restart with it, the old one gone. */
import { Effect, Exit, Scope } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, inject, it, vi } from "vitest"
import { startSimulator } from "../cli/exchange.ts"
import { ends, find, place } from "../cli/orders.ts"
import { type Environment, newFolder, Program, removeAll, run, serve, until } from "../cli/Program.ts"
import { freePort } from "../../tools/freePort.ts"
import { asAdministrator, emptyDatabase } from "../harness/template.ts"
import { startStoppable } from "../sql/StoppablePostgres.ts"

// Half a dozen programs one after another, each of which takes seconds on busy cores.
vi.setConfig({ testTimeout: 180_000 })

let scope: Scope.Closeable = Scope.makeUnsafe()
beforeEach(() => {
  scope = Scope.makeUnsafe()
})
afterEach(async () => {
  await removeAll()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const database = (): Promise<string> => Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope))
const asked = (url: string, ...statements: ReadonlyArray<string>) =>
  Effect.runPromise(
    asAdministrator(url, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))
  )

describe("a rotated secret", () => {
  it("of the database is a second user: orders go on under the new one, and the old one is let in no more", async () => {
    const owner = await database()
    const { env } = await startSimulator(newFolder())
    const name = `serving_${process.pid}`
    const userOf = (user: string) => {
      const url = new URL(owner)
      url.username = user
      url.password = "of-no-use-where-all-are-trusted"
      return url.href
    }
    const settings = { ...env, NEXUS_DATABASE_MIGRATE: "false", NEXUS_HTTP_DRAIN_MS: "0" }
    assert.strictEqual((await run(["migrate"], newFolder(), { ...settings, DATABASE_URL: owner })).code, 0)
    await asked(owner, `create role ${name} login in role nexus_app`)
    const before = await serve(newFolder(), { ...settings, DATABASE_URL: userOf(name) })
    const first = await place(before.url)
    assert.strictEqual((await ends(before.url, first.id)).status, "COMPLETED")

    await asked(owner, `create role ${name}_2 login in role nexus_app`)
    assert.strictEqual(await before.end("SIGTERM"), 0, before.err)
    const after = await serve(newFolder(), { ...settings, DATABASE_URL: userOf(`${name}_2`) })
    await asked(owner, `alter role ${name} nologin`)

    assert.strictEqual((await ends(after.url, first.id)).status, "COMPLETED")
    assert.strictEqual((await ends(after.url, (await place(after.url)).id)).status, "COMPLETED")
    const old = await run(["serve"], newFolder(), { ...settings, DATABASE_URL: userOf(name) })
    assert.deepStrictEqual([old.code, /does not let this user in/.test(old.err)], [1, true], old.err)
    await after.end("SIGKILL")
    await asked(owner, `drop role ${name}`, `drop role ${name}_2`)
  })

  it("of the exchange is a second key: the store stays the account's, and orders are signed with the new half", async () => {
    const folder = newFolder()
    const pairs = [
      generateKeyPairSync("ed25519"),
      generateKeyPairSync("ed25519"),
      generateKeyPairSync("rsa", { modulusLength: 2_048 })
    ]
    const halves = pairs.map(({ privateKey, publicKey }, name) => {
      const files = [join(folder, `${name}.pem`), join(folder, `${name}.pub`)] as const
      writeFileSync(files[0], privateKey.export({ type: "pkcs8", format: "pem" }))
      writeFileSync(files[1], publicKey.export({ type: "spki", format: "pem" }))
      return { privateFile: files[0], publicFile: files[1] }
    })
    const [old, fresh, rsa] = [halves[0]!, halves[1]!, halves[2]!]
    const flags = (...files: ReadonlyArray<string>) => files.flatMap((file) => ["--public-key", file])
    const journal = ["--journal", join(folder, "exchange")]
    const all = await startSimulator(folder, ...journal, ...flags(old.publicFile, fresh.publicFile, rsa.publicFile))
    const url = await database()
    const settings = (at: string, file: string) => ({
      ...all.env,
      BINANCE_TESTNET_API_SECRET: "",
      DATABASE_URL: url,
      NEXUS_BINANCE_TESTNET_BASE_URL: at,
      NEXUS_BINANCE_TESTNET_PRIVATE_KEY_FILE: file,
      NEXUS_HTTP_DRAIN_MS: "0"
    })
    const before = await serve(newFolder(), settings(all.address, old.privateFile))
    const first = await place(before.url)
    assert.strictEqual((await ends(before.url, first.id)).status, "COMPLETED")

    assert.strictEqual(await before.end("SIGTERM"), 0, before.err)
    for (const { privateFile } of [rsa, fresh]) {
      const during = await serve(newFolder(), settings(all.address, privateFile))
      assert.strictEqual((await ends(during.url, (await place(during.url)).id)).status, "COMPLETED")
      await during.end("SIGTERM")
    }
    await all.program.end("SIGTERM")
    const one = await startSimulator(folder, ...journal, ...flags(fresh.publicFile))

    const after = await serve(newFolder(), settings(one.address, fresh.privateFile))
    assert.strictEqual((await ends(after.url, first.id)).status, "COMPLETED")
    assert.strictEqual((await ends(after.url, (await place(after.url)).id)).status, "COMPLETED")
    await after.end("SIGTERM")
    const refused = await run(["doctor"], newFolder(), settings(one.address, old.privateFile))
    assert.strictEqual(refused.code, 1, refused.out)
  })

  it("of the exchange, HMAC, is another API key: what waits under the deleted one goes out under the new one", async () => {
    const url = await database()
    const folder = newFolder()
    const keysOf = (name: string): Environment => ({
      BINANCE_TESTNET_API_KEY: `${name}-key-of-the-test`,
      BINANCE_TESTNET_API_SECRET: `${name}-secret-of-the-test`
    })
    const port = await freePort()
    // One account, which its journal keeps; each start knows one key.
    const exchangeOf = (keys: Environment) =>
      new Program(["simulate-exchange", "--port", `${port}`, "--journal", join(folder, "exchange")], keys, folder).says(
        "WebSocket API "
      )
    const settings = {
      DATABASE_URL: url,
      NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${port}`,
      NEXUS_HTTP_DRAIN_MS: "0"
    }
    const old = await exchangeOf(keysOf("old"))
    const before = await serve(newFolder(), { ...settings, ...keysOf("old") })
    const first = await place(before.url)
    assert.strictEqual((await ends(before.url, first.id)).status, "COMPLETED")

    await old.end("SIGTERM")
    await exchangeOf(keysOf("new"))
    const waits = await place(before.url)
    await until("the refusal is told", async () => {
      const ready = await fetch(`${before.url}/ready`)
      return ready.status === 200 && (await ready.text()).includes("the exchange refuses our keys")
    })
    assert.strictEqual((await find(before.url, waits.id)).status, "PENDING")
    assert.strictEqual(await before.end("SIGTERM"), 0, before.err)
    const after = await serve(newFolder(), { ...settings, ...keysOf("new") })

    for (const { id } of [first, waits, await place(after.url)]) {
      assert.strictEqual((await ends(after.url, id)).status, "COMPLETED")
    }
    await after.end("SIGTERM")
    const refused = await run(["doctor"], newFolder(), { ...settings, ...keysOf("old") })
    assert.strictEqual(refused.code, 1, refused.out)
  })

  it("of the database is another password of the same users: open connections stay, and only the new one lets in", async () => {
    const server = await startStoppable()
    try {
      const { env } = await startSimulator(newFolder())
      const [row] = await Effect.runPromise(
        asAdministrator(server.url, (sql) => sql<{ file: string }>`select current_setting('hba_file') as file`)
      )
      await asked(
        server.url,
        "create role nexus_owner login createrole password 'old-of-owner'",
        "create database nexus owner nexus_owner"
      )
      writeFileSync(row!.file, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
      await asked(server.url, "select pg_reload_conf()")
      const urlOf = (user: string, password: string) => {
        const url = new URL(server.url)
        Object.assign(url, { username: user, password, pathname: "/nexus" })
        return url.href
      }
      const settings = { ...env, NEXUS_HTTP_DRAIN_MS: "0" }
      const migrating = (password: string) =>
        run(["migrate"], newFolder(), {
          ...settings,
          DATABASE_URL: urlOf("nexus_serving", "unused"),
          NEXUS_DATABASE_MIGRATE_URL: urlOf("nexus_owner", password)
        })
      const migrated = await migrating("old-of-owner")
      assert.strictEqual(migrated.code, 0, migrated.err)
      await asked(server.url, "create role nexus_serving login password 'old-of-serving' in role nexus_app")
      const serving = { ...settings, NEXUS_DATABASE_MIGRATE: "false" }
      const before = await serve(newFolder(), { ...serving, DATABASE_URL: urlOf("nexus_serving", "old-of-serving") })
      assert.strictEqual((await ends(before.url, (await place(before.url)).id)).status, "COMPLETED")

      await asked(
        server.url,
        "alter role nexus_serving password 'new-of-serving'",
        "alter role nexus_owner password 'new-of-owner'"
      )
      assert.strictEqual((await ends(before.url, (await place(before.url)).id)).status, "COMPLETED")
      assert.strictEqual(await before.end("SIGTERM"), 0, before.err)
      const after = await serve(newFolder(), { ...serving, DATABASE_URL: urlOf("nexus_serving", "new-of-serving") })

      assert.strictEqual((await ends(after.url, (await place(after.url)).id)).status, "COMPLETED")
      const old = await run(["serve"], newFolder(), {
        ...serving,
        DATABASE_URL: urlOf("nexus_serving", "old-of-serving")
      })
      assert.deepStrictEqual([old.code, /does not take the password/.test(old.err)], [1, true], old.err)
      assert.notInclude(old.err + old.out, "old-of-serving")
      assert.strictEqual((await migrating("old-of-owner")).code, 1)
      const again = await migrating("new-of-owner")
      assert.strictEqual(again.code, 0, again.err)
      await after.end("SIGTERM")
    } finally {
      await removeAll()
      await server.stop()
    }
  })
})
