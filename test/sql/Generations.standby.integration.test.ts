/** A standby in the place of the server, as a proxy shows it amid a failover: it has lost nothing while it is behind. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { appendFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Database } from "../../src/sql/Database.ts"
import { Generations, type LaneHead } from "../../src/sql/Generations.ts"
import { asAdministrator, databaseUrl, limitsForTests, prepareTemplate, templateName } from "../harness/template.ts"
import { startStoppable } from "./StoppablePostgres.ts"
import { until } from "./until.ts"

// Never written here: what a process has seen elsewhere.
const seen: LaneHead = { lane: 0, position: 3, hash: "aa" }

it.live("says nothing of the log until it is promoted, and then what is missing", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(Effect.promise(startStoppable), (started) =>
        Effect.promise(started.stop)
      )
      yield* Effect.promise(() => prepareTemplate(server.url))
      const [row] = yield* asAdministrator(
        server.url,
        (sql) => sql<{ folder: string }>`select current_setting('data_directory') as folder`
      )
      yield* Effect.promise(server.stopAtOnce)
      writeFileSync(join(row!.folder, "standby.signal"), "")
      appendFileSync(join(row!.folder, "postgresql.auto.conf"), "restore_command = 'false'\n")
      yield* Effect.promise(server.start)
      const url = databaseUrl(server.url, templateName)
      const onServer = <A, E>(use: (generations: typeof Generations.Service) => Effect.Effect<A, E>) =>
        Effect.flatMap(Generations, use).pipe(
          Effect.provide(
            Generations.layer.pipe(
              Layer.provide(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests }))
            ),
            { local: true }
          ),
          Effect.scoped
        )
      yield* until(Effect.result(onServer(({ symbols }) => symbols)), ({ _tag }) => _tag === "Success")

      const answers = yield* onServer((generations) =>
        Effect.all(
          [generations.standing, generations.heads, generations.compare([seen], []), generations.batchAt(0, 3)].map(
            (question: Effect.Effect<unknown, { readonly message: string }>) =>
              Effect.match(question, { onFailure: ({ message }) => message, onSuccess: () => "an answer" })
          )
        )
      )
      yield* asAdministrator(url, (sql) => sql`select pg_promote()`)
      const promoted = yield* onServer((generations) => generations.compare([seen], []))

      const behind = "PostgreSQL is not available: this server still replays what another one has written"
      assert.deepStrictEqual(answers, [behind, behind, behind, behind])
      assert.deepStrictEqual(promoted.missing, [seen])
    })
  )
)
