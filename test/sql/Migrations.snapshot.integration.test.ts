/** schema/snapshot.sql says what the numbered files add up to, for readers and reviewers. */
import { Effect } from "effect"
import { join } from "node:path"
import { expect, inject, it } from "vitest"
import { asAdministrator, freshDatabase } from "../harness/template.ts"
import { dumpSchema } from "./dumpSchema.ts"

it("the snapshot of the schema is what a migrated database has", async () => {
  const dump = await freshDatabase(inject("pgUrl")).pipe(
    Effect.flatMap((url) => asAdministrator(url, dumpSchema)),
    Effect.scoped,
    Effect.runPromise
  )

  await expect(dump).toMatchFileSnapshot(join(import.meta.dirname, "../../schema/snapshot.sql"))
})
