/** Each secret is rotated as docs/operations.md says: the new beside the old, a restart with it, the old one gone. */
import { Effect, Exit, Scope } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, inject, it, vi } from "vitest"
import { startSimulator } from "../cli/exchange.ts"
import { ends, place } from "../cli/orders.ts"
import { newFolder, removeAll, run, serve } from "../cli/Program.ts"
import { asAdministrator, emptyDatabase } from "../harness/template.ts"

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
    const halves = ["old", "new"].map((name) => {
      const { privateKey, publicKey } = generateKeyPairSync("ed25519")
      const files = [join(folder, `${name}.pem`), join(folder, `${name}.pub`)] as const
      writeFileSync(files[0], privateKey.export({ type: "pkcs8", format: "pem" }))
      writeFileSync(files[1], publicKey.export({ type: "spki", format: "pem" }))
      return { privateFile: files[0], publicFile: files[1] }
    })
    const [old, fresh] = [halves[0]!, halves[1]!]
    const flags = (...files: ReadonlyArray<string>) => files.flatMap((file) => ["--public-key", file])
    const journal = ["--journal", join(folder, "exchange")]
    const both = await startSimulator(folder, ...journal, ...flags(old.publicFile, fresh.publicFile))
    const url = await database()
    const settings = (at: string, file: string) => ({
      ...both.env,
      BINANCE_TESTNET_API_SECRET: "",
      DATABASE_URL: url,
      NEXUS_BINANCE_TESTNET_BASE_URL: at,
      NEXUS_BINANCE_TESTNET_PRIVATE_KEY_FILE: file,
      NEXUS_HTTP_DRAIN_MS: "0"
    })
    const before = await serve(newFolder(), settings(both.address, old.privateFile))
    const first = await place(before.url)
    assert.strictEqual((await ends(before.url, first.id)).status, "COMPLETED")

    assert.strictEqual(await before.end("SIGTERM"), 0, before.err)
    const during = await serve(newFolder(), settings(both.address, fresh.privateFile))
    assert.strictEqual((await ends(during.url, (await place(during.url)).id)).status, "COMPLETED")
    await during.end("SIGTERM")
    await both.program.end("SIGTERM")
    const one = await startSimulator(folder, ...journal, ...flags(fresh.publicFile))

    const after = await serve(newFolder(), settings(one.address, fresh.privateFile))
    assert.strictEqual((await ends(after.url, first.id)).status, "COMPLETED")
    assert.strictEqual((await ends(after.url, (await place(after.url)).id)).status, "COMPLETED")
    await after.end("SIGTERM")
    const refused = await run(["doctor"], newFolder(), settings(one.address, old.privateFile))
    assert.strictEqual(refused.code, 1, refused.out)
  })
})
