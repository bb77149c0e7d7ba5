/**
 * A program that only holds an embedded PostgreSQL, for tests that kill it: prints one line of JSON when the server
 * is ready, or the error, and runs until SIGTERM.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Redacted } from "effect"
import { EmbeddedPostgres } from "../../src/sql/EmbeddedPostgres.ts"

const [dataDir = "", port = "0", root] = process.argv.slice(2)

EmbeddedPostgres.make({ dataDir, port: Number(port), ...(root === undefined ? {} : { root }) }).pipe(
  Effect.flatMap((server) => Console.log(JSON.stringify({ url: Redacted.value(server.url), note: server.note }))),
  Effect.andThen(Effect.never),
  Effect.scoped,
  Effect.catch((error) =>
    Effect.andThen(
      Console.log(JSON.stringify({ error: error.message })),
      Effect.sync(() => (process.exitCode = 1))
    )
  ),
  NodeRuntime.runMain
)
