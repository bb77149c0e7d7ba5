/** A simulator in a process of its own, for tests that kill it or have it killed: its journal is the only argument. */
import { Effect } from "effect"
import { startSimulator } from "./client.ts"

const [journal = ""] = process.argv.slice(2)

await Effect.runPromise(
  Effect.gen(function* () {
    const options = { journal, tickMs: 20, controlPort: 0, ownsProcess: true }
    const { accountUid, controlUrl, port } = yield* startSimulator(options)
    yield* Effect.sync(() => process.stdout.write(`${JSON.stringify({ port, accountUid, controlUrl })}\n`))
    return yield* Effect.never
  }).pipe(Effect.scoped)
)
