/** `nexus leases`: who owns what, beside the program that does, and after it was killed. */
import { Effect, Exit, Scope } from "effect"
import { afterEach, assert, inject, it } from "vitest"
import { freshDatabase } from "../harness/template.ts"
import { newFolder, removeAll, run, serve, until } from "./Program.ts"

const scope = Scope.makeUnsafe()

afterEach(async () => {
  await removeAll()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

it("nexus leases shows each lease with its owner, epoch and time, and which replicas live with which roles", async () => {
  const url = await Effect.runPromise(Scope.provide(freshDatabase(inject("pgUrl")), scope))
  const folder = newFolder()
  const env = { DATABASE_URL: url, NEXUS_LEASES_TTL_MS: "2000" }
  const before = await run(["leases"], folder, env)
  const program = await serve(folder, env)
  let during = ""
  await until("the program has all leases", async () => {
    during = (await run(["leases"], folder, env)).out
    return !/nobody/.test(during.replace(/^auditor.*$/m, ""))
  })

  await program.end("SIGKILL")
  let after = ""
  await until("the leases have run out", async () => {
    after = (await run(["leases"], folder, env)).out
    return /silent/.test(after) && !/expires in/.test(after)
  })

  assert.match(before.out, /^relay\/0 +nobody +0 +free$/m)
  assert.match(before.out, /no replica runs/)
  const [, owner = ""] = /^relay\/3 +(\S+) +1 +expires in [12]\.\d s$/m.exec(during) ?? []
  assert.isNotEmpty(owner, during)
  assert.match(during, new RegExp(`^${owner} +lives +0\\.\\d s ago +.*relay`, "m"))
  assert.match(during, new RegExp(`^reconciler +${owner}`, "m"))
  assert.match(after, new RegExp(`^relay/0 +${owner} +1 +free, expired \\d+\\.\\d s ago$`, "m"))
  assert.match(after, new RegExp(`^${owner} +silent`, "m"))
})
