/**
 * A real PostgreSQL for a machine that has none: the binaries of an npm package, in our data folder, on loopback.
 *
 * States: absent → initialised → running → stopped. It is started after the folder's lock is taken and stopped after
 * everything that uses it; if it dies meanwhile it is started again, without end and with back-off, for the program
 * treats it as any server that may be away. After kill -9 of the program it goes on by itself, and the next start
 * takes it over. Durability is that of any PostgreSQL: fsync and synchronous_commit are on.
 */
import { Effect, Redacted, Schedule, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { Reactivity } from "effect/reactivity"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { EmbeddedPostgresError } from "./embedded/EmbeddedPostgresError.ts"
import { exists, holdFolder, isHeld } from "./embedded/FolderLock.ts"
import { attempt, giveTo, makePlace, type Place } from "./embedded/Place.ts"
import {
  clearDeadServer,
  dataOf,
  findPostmaster,
  freePort,
  isFree,
  isServerOf,
  lastComplaint,
  logOf,
  startPostmaster,
  stopPostmaster
} from "./embedded/Postmaster.ts"
import { detailOf, sqlStateOf } from "./StoreUnavailable.ts"

export { EmbeddedPostgresError } from "./embedded/EmbeddedPostgresError.ts"

export interface EmbeddedOptions {
  /** Absolute; the server lives in its `postgres`. */
  readonly dataDir: string
  /** The configured data folder, of which `dataDir` is a part; refused when it holds what is not ours. */
  readonly root?: string
  /** 0: a free one, remembered. */
  readonly port: number
}

export interface EmbeddedServer {
  readonly url: Redacted.Redacted
  /** A superuser's, in the database `nexus`. */
  readonly port: number
  /** What the banner should say of where the data is; null when it is where it was asked for. */
  readonly note: string | null
}

const superuser = "nexus"
const database = "nexus"
// Recovery after a crash replays up to max_wal_size; a slow disk takes minutes for it.
const readyTimeoutMs = 300_000
const readyPollMs = 50
const watchMs = 200
const restartBackoff = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])

/** Runs until the scope closes; then no process of it is left. */
const make = (options: EmbeddedOptions): Effect.Effect<EmbeddedServer, EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function* () {
    const place = yield* makePlace(options.root ?? options.dataDir, options.dataDir)
    yield* holdFolder(place.own)
    if (place.home !== place.own) yield* holdFolder(place.home)
    // Owned by this constructor and its watch; the finalizer reads it last.
    let pid: number | null = null
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        const running = findPostmaster(place)?.pid ?? pid
        return running === null ? Effect.void : stopPostmaster(place, running)
      })
    )

    const adopted = yield* adopt(place, options.port)
    const port = adopted?.port ?? (yield* choosePort(place, options.port))
    const password = yield* preparePassword(place)
    yield* initialise(place, password)
    const url = urlOf(port, password)
    const start = Effect.gen(function* () {
      yield* clearDeadServer(place)
      pid = yield* startPostmaster(place, port)
      yield* becomeReady(place, pid, port, password)
    })
    if (adopted === null) yield* start
    else {
      pid = adopted.pid
      // It may have been about to end.
      yield* Effect.catch(becomeReady(place, pid, port, password), () =>
        Effect.andThen(stopPostmaster(place, adopted.pid), start)
      )
    }
    yield* attempt(`The data folder ${place.own} cannot be used`, () =>
      writeFileSync(join(place.own, "port"), `${port}\n`)
    )

    const watch = Effect.gen(function* () {
      while (pid !== null && isServerOf(place, pid)) yield* Effect.sleep(watchMs)
      yield* Effect.logWarning("the embedded PostgreSQL has ended and is started again", { log: logOf(place) })
      yield* Effect.retry(
        Effect.tapError(start, (error) => Effect.logError(error.message)),
        restartBackoff
      )
      yield* Effect.logInfo("the embedded PostgreSQL runs again")
    })
    yield* Effect.forkScoped(Effect.forever(watch))

    return { url, port, note: place.note }
  })

/** For commands that only read: the server of the program that holds the folder, used beside it and left as it is. */
const makeOrAttach = (options: EmbeddedOptions): Effect.Effect<EmbeddedServer, EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function* () {
    const place = yield* makePlace(options.root ?? options.dataDir, options.dataDir)
    const running = isHeld(place.own) ? findPostmaster(place) : null
    // Without a server there the folder's lock has the last word, and says who holds it.
    if (running === null || running.port === 0) return yield* make(options)
    const password = yield* preparePassword(place)
    yield* becomeReady(place, running.pid, running.port, password)
    return { url: urlOf(running.port, password), port: running.port, note: place.note }
  })

export const EmbeddedPostgres = { make, makeOrAttach }

const urlOf = (port: number, password: Redacted.Redacted) =>
  Redacted.make(`postgres://${superuser}:${Redacted.value(password)}@127.0.0.1:${port}/${database}`)

const preparePassword = (place: Place) =>
  attempt(`The data folder ${place.own} cannot be used`, () => {
    const file = join(place.own, "password")
    if (!existsSync(file)) {
      if (existsSync(dataOf(place))) {
        throw new EmbeddedPostgresError({
          message: `${file} is missing, and the data beside it cannot be read without it: put it back, or move ${place.own} away`
        })
      }
      writeFileSync(file, randomBytes(24).toString("hex"), { mode: 0o600 })
    }
    return Redacted.make(readFileSync(file, "utf8").trim())
  })

const initialise = (place: Place, password: Redacted.Redacted) =>
  Effect.gen(function* () {
    const data = dataOf(place)
    const version = yield* attempt(`The data folder ${place.home} cannot be used`, () =>
      existsSync(data) ? readFileSync(join(data, "PG_VERSION"), "utf8").trim() : null
    )
    if (version !== null) return
    // Built beside and then named: a start that is killed halfway leaves nothing that looks finished.
    const unfinished = `${data}.new`
    const passwordFile = join(place.home, "initdb.password")
    yield* attempt(`The data folder ${place.home} cannot be used`, () => {
      rmSync(unfinished, { recursive: true, force: true })
      rmSync(passwordFile, { force: true })
      mkdirSync(unfinished, { mode: 0o700 })
      giveTo(place.user, unfinished)
      writeFileSync(passwordFile, Redacted.value(password), { mode: 0o600 })
      giveTo(place.user, passwordFile)
    })
    const said = yield* initdb(place, unfinished, passwordFile).pipe(
      Effect.ensuring(Effect.sync(() => rmSync(passwordFile, { force: true })))
    )
    if (said !== null) {
      const reason =
        said
          .trim()
          .split("\n")
          .findLast((line) => line.includes("error:")) ?? said.trim()
      return yield* new EmbeddedPostgresError({ message: `The database cannot be made in ${place.home}: ${reason}` })
    }
    yield* attempt(`The data folder ${place.home} cannot be used`, () => renameSync(unfinished, data))
  })

/** Null when it went well, else what it said. */
const initdb = (place: Place, data: string, passwordFile: string): Effect.Effect<string | null> =>
  Effect.callback((resume) => {
    const args = [
      `--pgdata=${data}`,
      `--username=${superuser}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-instructions"
    ]
    const child = spawn(join(place.bin, "initdb"), args, {
      cwd: "/",
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
      stdio: ["ignore", "ignore", "pipe"],
      ...place.user
    })
    let said = ""
    child.stderr.on("data", (piece: Buffer) => (said += piece.toString("utf8")))
    child.once("error", (cause) => resume(Effect.succeed(cause.message)))
    child.once("close", (code) => resume(Effect.succeed(code === 0 ? null : said)))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** The server that an earlier, killed program left running, unless it listens where we no longer want it. */
const adopt = Effect.fnUntraced(function* (place: Place, wantedPort: number) {
  const found = findPostmaster(place)
  if (found === null || (found.port > 0 && (wantedPort === 0 || found.port === wantedPort))) return found
  yield* stopPostmaster(place, found.pid)
  return null
})

const choosePort = Effect.fnUntraced(function* (place: Place, wanted: number) {
  if (wanted !== 0) {
    if (yield* isFree(wanted)) return wanted
    return yield* new EmbeddedPostgresError({
      message: `Port ${wanted} is in use, so PostgreSQL cannot have it: choose another with NEXUS_DATABASE_EMBEDDED_PORT, or 0 for any`
    })
  }
  const file = join(place.own, "port")
  const remembered = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0
  return remembered > 0 && (yield* isFree(remembered)) ? remembered : yield* freePort
})

/** Asks until the server takes sessions and is ours, and sees that the database is there. */
const becomeReady = (place: Place, pid: number, port: number, password: Redacted.Redacted) => {
  const ask = Effect.scoped(
    Effect.gen(function* () {
      const sql = yield* PgClient.make({
        host: "127.0.0.1",
        port,
        username: superuser,
        password,
        database: "postgres",
        maxConnections: 1,
        connectTimeout: "3 seconds"
      }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make))
      const [row] = yield* sql`select current_setting('data_directory') as data`
      if (row?.data !== realpathSync(dataOf(place)) && row?.data !== dataOf(place)) {
        return yield* new EmbeddedPostgresError({
          message: `Another PostgreSQL (${String(row?.data)}) answers at port ${port}: choose another with NEXUS_DATABASE_EMBEDDED_PORT`
        })
      }
      const there = yield* sql`select from pg_database where datname = ${database}`
      if (there.length === 0) yield* sql.unsafe(`create database ${database}`)
    })
  )
  const failed = (detail: string) =>
    new EmbeddedPostgresError({
      message: `PostgreSQL in ${place.home} does not start: ${lastComplaint(place) || detail} (its log is ${logOf(place)})`
    })
  return ask.pipe(
    Effect.mapError((error) => {
      if (error._tag === "EmbeddedPostgresError") return error
      if (sqlStateOf(error) === "28P01") {
        return new EmbeddedPostgresError({
          message: `PostgreSQL in ${place.home} does not take the password of ${join(place.own, "password")}: put the right one back`
        })
      }
      return exists(pid) ? error : failed(detailOf(error))
    }),
    Effect.retry({
      while: (error) => error._tag === "SqlError",
      schedule: Schedule.spaced(readyPollMs)
    }),
    Effect.mapError((error) => (error._tag === "SqlError" ? failed(detailOf(error)) : error)),
    Effect.timeoutOrElse({
      duration: readyTimeoutMs,
      orElse: () => Effect.fail(failed(`no session within ${readyTimeoutMs / 1000} s`))
    })
  )
}
