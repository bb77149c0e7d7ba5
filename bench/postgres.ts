/**
 * A PostgreSQL for one bench: the embedded binaries with the settings of the embedded server, except for more
 * connections, since the limits are measured with one connection for each client. Durable: fsync and
 * synchronous_commit are on. It ends with us, however we end, and its folder with it.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, Schedule } from "effect"
import { Reactivity } from "effect/reactivity"
import { spawnSync } from "node:child_process"
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { makePlace } from "../src/sql/embedded/Place.ts"
import { migrate } from "../src/sql/Migrations.ts"
import { freePort } from "../tools/freePort.ts"
import { spawnGuarded } from "../tools/GuardedProcess.ts"

export interface BenchPostgres {
  /** A superuser's, in the migrated database `nexus`. */
  readonly url: string
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
  readonly version: () => Promise<string>
  readonly run: (statements: ReadonlyArray<string>) => Promise<void>
  /** As a crash would: each session ends in the middle of whatever it does, and no checkpoint is made. */
  readonly stopAtOnce: () => Promise<void>
  /** On the same data and port; until it answers, its recovery is over. */
  readonly startAgain: () => Promise<void>
  readonly stop: () => Promise<void>
}

const user = "nexus"
const database = "nexus"
const usualLanes = 4
const readySeconds = 30

const settingsOf = (port: number) => ({
  listen_addresses: "127.0.0.1",
  port: `${port}`,
  unix_socket_directories: "",
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  shared_buffers: "128MB",
  max_connections: "400",
  max_wal_size: "1GB"
})

export const startBenchPostgres = async (lanes = usualLanes): Promise<BenchPostgres> => {
  // Not in os.tmpdir(): TMPDIR of one user may be closed to the other.
  const folder = mkdtempSync("/tmp/nexus-bench-postgres-")
  chmodSync(folder, 0o755)
  const place = await Effect.runPromise(makePlace(folder, folder))
  const run = place.user ?? undefined
  const home = join(place.home, "server")
  // Its guard removes the folder as the same user.
  if (run !== undefined) for (const each of [folder, place.home]) chownSync(each, run.uid, run.gid)
  const made = spawnSync(
    join(place.bin, "initdb"),
    [`--pgdata=${home}`, `--username=${user}`, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"],
    { cwd: "/", encoding: "utf8", ...run }
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
  const port = await freePort()
  const settings = settingsOf(port)
  const spawnServer = () =>
    spawnGuarded({
      command: join(place.bin, "postgres"),
      args: ["-D", home, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      log: join(place.home, "postgres.log"),
      stopSignal: "QUIT",
      removeAtEnd: folder,
      user: run
    })
  let server = await spawnServer()
  const urlOf = (name: string) => `postgres://${user}@127.0.0.1:${port}/${name}`
  const statements = (name: string, all: ReadonlyArray<string>) =>
    Effect.scoped(
      Effect.gen(function* () {
        const sql = yield* PgClient.make({
          host: "127.0.0.1",
          port,
          username: user,
          database: name,
          maxConnections: 1,
          connectTimeout: "3 seconds"
        }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make))
        let rows: ReadonlyArray<Readonly<Record<string, unknown>>> = []
        for (const statement of all) rows = yield* sql.unsafe<Record<string, unknown>>(statement)
        return rows
      })
    )
  const onceReady = (name: string, statement: string) =>
    Effect.runPromise(
      statements(name, [statement]).pipe(
        Effect.retry({ schedule: Schedule.spaced("100 millis"), times: readySeconds * 10 })
      )
    )
  const stop = async () => {
    await server.stop()
    // Its guard leaves it behind when the server had ended before.
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await onceReady("postgres", `create database ${database}`)
    const url = urlOf(database)
    await Effect.runPromise(migrate({ address: { url: Redacted.make(url) }, lanes }))
    return {
      url,
      port,
      settings,
      version: async () =>
        String((await Effect.runPromise(statements(database, ["show server_version"])))[0]?.server_version),
      run: (all) => Effect.runPromise(Effect.asVoid(statements(database, all))),
      stopAtOnce: async () => {
        process.kill(server.pid, "SIGQUIT")
        await server.exited
      },
      startAgain: async () => {
        server = await spawnServer()
        await onceReady(database, "select 1")
      },
      stop
    }
  } catch (cause) {
    await stop()
    throw cause
  }
}
