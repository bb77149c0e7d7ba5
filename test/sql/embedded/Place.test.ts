/** The copy of PostgreSQL's binaries for a user who cannot enter the folder that they were installed in. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "vitest"
import { copyWhole } from "../../../src/sql/embedded/Place.ts"

it("a copy of the binaries needs nothing of the original, not even through its links", () => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-copy-"))
  try {
    const [from, to] = [join(folder, "from"), join(folder, "to")]
    mkdirSync(join(from, "lib"), { recursive: true })
    writeFileSync(join(from, "lib/libicu.so.60.2"), "a library")
    symlinkSync("libicu.so.60.2", join(from, "lib/libicu.so.60"))

    copyWhole(from, to)
    rmSync(from, { recursive: true })

    assert.strictEqual(readFileSync(join(to, "lib/libicu.so.60"), "utf8"), "a library")
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
