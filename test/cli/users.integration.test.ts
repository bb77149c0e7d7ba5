/** The same first start by root and by an ordinary user, each with a home and a data folder of its own. */
import { chownSync, mkdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, it } from "vitest"
import { describeIf } from "../harness/describeIf.ts"
import { ends, place } from "./orders.ts"
import { newFolder, processesOf, removeAll, serve } from "./Program.ts"
import { nobody, readableTree } from "./trees.ts"

afterEach(removeAll)

const skipReason = process.getuid?.() === 0 ? null : "only root can start it as both users"

const users = [
  { name: "root", uid: 0, gid: 0 },
  { name: "an ordinary user", ...nobody }
]

describeIf(skipReason)("npm start's program", () => {
  it.for(users)("trades, stops cleanly and starts again when $name runs it", async ({ gid, uid }) => {
    const folder = newFolder()
    const command = [...readableTree(folder), "serve"]
    const home = join(folder, "home")
    mkdirSync(home)
    chownSync(home, uid, gid)
    const how = { command, cwd: home, user: { uid, gid } }

    const first = await serve(folder, { HOME: home }, how)
    const { id } = await place(first.url)
    assert.strictEqual((await ends(first.url, id)).status, "COMPLETED")
    assert.strictEqual(await first.end("SIGTERM"), 0, first.err)

    assert.deepStrictEqual(processesOf(folder), [])
    assert.strictEqual(statSync(join(home, ".nexus")).uid, uid)
    const second = await serve(folder, { HOME: home }, how)
    assert.strictEqual((await ends(second.url, id)).status, "COMPLETED")
  })
})
