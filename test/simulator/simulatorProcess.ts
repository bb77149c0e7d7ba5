/** A simulator in a process of its own, for tests that kill it: the folder of its journal is the only argument. */
import { Effect } from "effect"
import { startSimulator } from "./client.ts"

const [journal = ""] = process.argv.slice(2)

await Effect.runPromise(
  Effect.gen(function* () {
    const { accountUid, port } = yield* startSimulator({ journal, tickMs: 20 })
    yield* Effect.sync(() => process.stdout.write(`${JSON.stringify({ port, accountUid })}\n`))
    return yield* Effect.never
  }).pipe(Effect.scoped)
)
