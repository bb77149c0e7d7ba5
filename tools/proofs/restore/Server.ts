/**
 * A PostgreSQL that can be backed up while it works, and set back to that backup: the base backup of the manual
 * ("Making a Base Backup Using the Low Level API"), for the binaries here are without pg_basebackup.
 *
 * The backup holds the write-ahead log up to its end, so a restore comes out where the backup ended. Everything is
 * durable (fsync is on), on loopback, and ends with us.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, Schedule } from "effect"
import { Reactivity } from "effect/reactivity"
import { spawnSync } from "node:child_process"
import { chmodSync, chownSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { makePlace } from "../../../src/sql/embedded/Place.ts"
import { freePort } from "../../freePort.ts"
import { type GuardedProcess, spawnGuarded } from "../../GuardedProcess.ts"

const user = "nexus"
const readyTries = 600
const settings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  fsync: "on",
  full_page_writes: "on",
  max_connections: "200",
  // Nothing of the backup's time is recycled before it was copied.
  max_wal_size: "4GB",
  wal_keep_size: "2GB"
}

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>

export class Server {
  readonly url: string
  readonly #port: number
  readonly #folder: string
  readonly #place: { readonly bin: string; readonly home: string; readonly user: Owner | undefined }
  #process: GuardedProcess | null = null

  private constructor(port: number, folder: string, place: { bin: string; home: string; user: Owner | undefined }) {
    this.url = `postgres://${user}@127.0.0.1:${port}/nexus`
    this.#port = port
    this.#folder = folder
    this.#place = place
  }

  static async open(): Promise<Server> {
    const folder = mkdtempSync("/tmp/nexus-restore-postgres-")
    chmodSync(folder, 0o755)
    const { bin, home, user: owner } = await Effect.runPromise(makePlace(folder, folder))
    const run = owner ?? undefined
    if (run !== undefined) for (const each of [folder, home]) chownSync(each, run.uid, run.gid)
    const server = new Server(await freePort(), folder, { bin, home, user: run })
    const made = spawnSync(
      join(bin, "initdb"),
      [
        `--pgdata=${server.#data}`,
        `--username=${user}`,
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions"
      ],
      { cwd: "/", encoding: "utf8", ...run }
    )
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
    await server.start()
    await server.ask("create database nexus", "postgres")
    return server
  }

  get #data(): string {
    return join(this.#place.home, "data")
  }

  get #backup(): string {
    return join(this.#place.home, "backup")
  }

  async start(): Promise<void> {
    this.#process = await spawnGuarded({
      command: join(this.#place.bin, "postgres"),
      args: [
        "-D",
        this.#data,
        "-p",
        `${this.#port}`,
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      ],
      log: join(this.#place.home, "postgres.log"),
      stopSignal: "QUIT",
      user: this.#place.user
    })
    await Effect.runPromise(
      this.#statements("postgres", ["select 1"]).pipe(
        Effect.retry({ schedule: Schedule.spaced("100 millis"), times: readyTries })
      )
    )
  }

  /** kill -9 of the server, as a machine dies. */
  async die(): Promise<void> {
    await this.#process?.kill9()
    this.#process = null
  }

  /**
   * Copies the server's files while it works. The write-ahead log comes last, so that all that the copy of the tables
   * needs is in it; whatever was committed by then comes back with a restore.
   */
  async backUp(): Promise<void> {
    const copy = (from: string, to: string, excluded: string) => {
      const command = `mkdir -p "$2" && tar -C "$1" --exclude=./postmaster.pid --exclude="$3" -cf - . | tar -C "$2" -xpf -`
      const done = spawnSync("/bin/sh", ["-c", command, "copy", from, to, excluded], { cwd: "/", encoding: "utf8" })
      // 1: a file changed while it was read, which is what the write-ahead log is for.
      if (done.status !== 0 && done.status !== 1) throw new Error(`the copy failed: ${done.stderr}`)
    }
    const label = await Effect.runPromise(
      this.#session("postgres", (sql) =>
        Effect.gen({ self: this }, function* () {
          // The driver has no reader for a place in the log, and takes its bytes for UTF-8, which they are only sometimes.
          yield* sql.unsafe("select pg_backup_start('proof', true)::text")
          copy(this.#data, this.#backup, "./pg_wal/*")
          const rows = yield* sql.unsafe<{ readonly labelfile: string }>("select labelfile from pg_backup_stop(false)")
          return rows[0]?.labelfile ?? ""
        })
      )
    )
    copy(join(this.#data, "pg_wal"), join(this.#backup, "pg_wal"), "./none")
    writeFileSync(join(this.#backup, "backup_label"), label)
    if (this.#place.user !== undefined) {
      const { gid, uid } = this.#place.user
      spawnSync("chown", ["-R", `${uid}:${gid}`, this.#backup])
    }
    chmodSync(this.#backup, 0o700)
  }

  /** Puts the backup in the place of what there is. The server must not run. */
  setBack(): void {
    rmSync(this.#data, { recursive: true, force: true })
    renameSync(this.#backup, this.#data)
  }

  async ask(statement: string, database = "nexus"): Promise<Rows> {
    return Effect.runPromise(this.#statements(database, [statement]))
  }

  async close(): Promise<void> {
    await this.#process?.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #statements(database: string, all: ReadonlyArray<string>) {
    return this.#session(database, (sql) =>
      Effect.gen(function* () {
        let rows: Rows = []
        for (const statement of all) rows = yield* sql.unsafe<Record<string, unknown>>(statement)
        return rows
      })
    )
  }

  #session<A, E>(database: string, use: (sql: PgClient.PgClient) => Effect.Effect<A, E>) {
    return Effect.scoped(
      PgClient.make({
        url: Redacted.make(`postgres://${user}@127.0.0.1:${this.#port}/${database}`),
        maxConnections: 1,
        connectTimeout: "3 seconds"
      }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make), Effect.flatMap(use))
    )
  }
}

interface Owner {
  readonly uid: number
  readonly gid: number
}
