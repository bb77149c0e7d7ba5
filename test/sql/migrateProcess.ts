/** Migrates one database and prints what was applied, as a process of its own. */
import { Console, Effect, Redacted } from "effect"
import { migrate } from "../../src/sql/Migrations.ts"

const [url = ""] = process.argv.slice(2)

await Effect.runPromise(
  Effect.flatMap(migrate({ address: { url: Redacted.make(url) }, lanes: 4 }), (applied) =>
    Console.log(JSON.stringify(applied))
  )
)
