/**
 * The embedded PostgreSQL as a program lives with it: started, stopped, killed with and without it, refused.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe } from "vitest"
import { EmbeddedPostgres } from "../../src/sql/EmbeddedPostgres.ts"
import { exists } from "../../src/sql/embedded/FolderLock.ts"
import { asAdministrator } from "../harness/template.ts"
import { until } from "./until.ts"

const asRoot = process.getuid?.() === 0

// Below /tmp: TMPDIR of one user may be closed to the other.
const parent = "/tmp/nexus-embedded-"
let seed = ""

/** A place for a data folder, removed with what was moved elsewhere. */
const emptyFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(parent)
    chmodSync(folder, 0o755)
    return join(folder, "data")
  }),
  (folder) =>
    Effect.sync(() => {
      const pointer = join(folder, "postgres/elsewhere")
      if (existsSync(pointer)) rmSync(readFileSync(pointer, "utf8"), { recursive: true, force: true })
      rmSync(join(folder, ".."), { recursive: true, force: true })
    })
)

/** A data folder that was used and stopped: initdb once for all tests. */
const usedFolder = Effect.tap(emptyFolder, (folder) => Effect.sync(() => execFileSync("cp", ["-a", seed, folder])))

beforeAll(() =>
  Effect.gen(function* () {
    seed = join(mkdtempSync(parent), "seed")
    chmodSync(join(seed, ".."), 0o755)
    yield* EmbeddedPostgres.make({ dataDir: seed, port: 0 })
  }).pipe(Effect.scoped, Effect.runPromise)
)
afterAll(() => rmSync(join(seed, ".."), { recursive: true, force: true }))

const count = (url: string) =>
  asAdministrator(url, (sql) => Effect.map(sql`select count(*)::int4 as n from kept`, ([row]) => row?.n))
const keep = (url: string) =>
  asAdministrator(url, (sql) =>
    Effect.andThen(sql`create table if not exists kept (n int)`, sql`insert into kept values (1)`)
  )

const postmasterOf = (dataDir: string) =>
  Number(readFileSync(join(dataDir, "postgres/data/postmaster.pid"), "utf8").split("\n")[0])

interface Program {
  readonly child: ChildProcess
  readonly said: { readonly url?: string; readonly note?: string | null; readonly error?: string }
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<number | null>
}

const startProgram = (...args: ReadonlyArray<string>): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [join(import.meta.dirname, "embeddedProcess.ts"), ...args], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (started) => Effect.promise(() => ended(started, "SIGTERM"))
    )
    const line = yield* Effect.promise(
      () =>
        new Promise<string>((resolve) => child.stdout.once("data", (data: Buffer) => resolve(data.toString("utf8"))))
    )
    return { child, said: JSON.parse(line), kill: (signal) => Effect.promise(() => ended(child, signal)) }
  })

const ended = (child: ChildProcess, signal: NodeJS.Signals) =>
  new Promise<number | null>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode)
    child.once("exit", resolve)
    child.kill(signal)
  })

const refusal = (dataDir: string, port = 0, root?: string) =>
  Effect.scoped(EmbeddedPostgres.make({ dataDir, port, ...(root === undefined ? {} : { root }) })).pipe(
    Effect.flip,
    Effect.map((error) => error.message)
  )

describe("the embedded PostgreSQL", () => {
  it.live("keeps what was stored over a stop and a start, on the same port, and leaves no process", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const first = yield* Effect.scoped(
          Effect.gen(function* () {
            const { port, url } = yield* EmbeddedPostgres.make({ dataDir, port: 0 })
            yield* keep(Redacted.value(url))
            return { port, pid: postmasterOf(dataDir) }
          })
        )
        assert.isFalse(exists(first.pid))
        assert.isBelow(first.port, 32_768)

        const again = yield* EmbeddedPostgres.make({ dataDir, port: 0 })

        assert.strictEqual(again.port, first.port)
        assert.strictEqual(yield* count(Redacted.value(again.url)), 1)
        assert.deepStrictEqual(
          yield* asAdministrator(
            Redacted.value(again.url),
            (sql) => sql`
            select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')
              order by name`
          ),
          [
            { name: "fsync", setting: "on" },
            { name: "full_page_writes", setting: "on" },
            { name: "synchronous_commit", setting: "on" }
          ]
        )
      })
    )
  )

  it.live("asks for a password that only its owner can read", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const { url } = yield* EmbeddedPostgres.make({ dataDir, port: 0 })
        const wrong = new URL(Redacted.value(url))
        wrong.password = "guess"

        const exit = yield* Effect.exit(count(wrong.href))

        assert.include(String(exit), "password authentication failed")
        assert.strictEqual(statSync(join(dataDir, "postgres/password")).mode & 0o777, 0o600)
      })
    )
  )

  it.live("comes back by itself after kill -9 of its postmaster, with everything that was committed", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const url = Redacted.value((yield* EmbeddedPostgres.make({ dataDir, port: 0 })).url)
        yield* keep(url)
        const killed = postmasterOf(dataDir)

        process.kill(killed, "SIGKILL")

        const seen = yield* until(
          Effect.exit(count(url)),
          (exit) => exit._tag === "Success" && postmasterOf(dataDir) !== killed
        )
        assert.strictEqual(seen._tag === "Success" ? seen.value : null, 1)
      })
    )
  )

  it.live("outlives kill -9 of the program, and the next one takes the same server over and ends it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const program = yield* startProgram(dataDir)
        yield* keep(program.said.url ?? "")
        const pid = postmasterOf(dataDir)
        yield* program.kill("SIGKILL")
        assert.isTrue(exists(pid))

        yield* Effect.scoped(
          Effect.gen(function* () {
            const { url } = yield* EmbeddedPostgres.make({ dataDir, port: 0 })
            assert.strictEqual(postmasterOf(dataDir), pid)
            assert.strictEqual(yield* count(Redacted.value(url)), 1)
          })
        )

        assert.isFalse(exists(pid))
      })
    )
  )

  it.live("starts after the program and its server were killed together", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const program = yield* startProgram(dataDir)
        yield* keep(program.said.url ?? "")
        yield* program.kill("SIGKILL")
        process.kill(postmasterOf(dataDir), "SIGKILL")

        const { url } = yield* EmbeddedPostgres.make({ dataDir, port: 0 })

        assert.strictEqual(yield* count(Redacted.value(url)), 1)
      })
    )
  )

  it.live("ends with its program on SIGTERM", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const program = yield* startProgram(dataDir)
        const pid = postmasterOf(dataDir)

        yield* program.kill("SIGTERM")

        assert.isFalse(exists(pid))
      })
    )
  )

  it.live.skipIf(!asRoot)(
    "goes to a folder that its user can enter, when root starts it where it cannot, and says where",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const dataDir = yield* emptyFolder
          chmodSync(join(dataDir, ".."), 0o700)
          const first = yield* Effect.scoped(
            Effect.tap(EmbeddedPostgres.make({ dataDir, port: 0 }), ({ url }) => keep(Redacted.value(url)))
          )

          const again = yield* EmbeddedPostgres.make({ dataDir, port: 0 })

          assert.match(first.note ?? "", /^PostgreSQL cannot run as root.*the data is in \/var\/lib\/nexus\//)
          assert.strictEqual(again.note, first.note)
          assert.strictEqual(yield* count(Redacted.value(again.url)), 1)
        })
      )
  )
})

describe("a start of the embedded PostgreSQL is refused in one sentence", () => {
  it.live("while another program runs on the folder, and not after that was killed", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const program = yield* startProgram(dataDir)

        const message = yield* refusal(dataDir)
        yield* program.kill("SIGKILL")
        yield* EmbeddedPostgres.make({ dataDir, port: 0 })

        assert.strictEqual(
          message,
          `Another Nexus (process ${program.child.pid}) runs on the data folder ${dataDir}/postgres: ` +
            "stop it first, or give this one another folder with NEXUS_APP_DATA_DIR"
        )
      })
    )
  )

  it.live("when the folder holds what is not ours", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* emptyFolder
        mkdirSync(dataDir)
        writeFileSync(join(dataDir, "thesis.doc"), "")

        assert.include(yield* refusal(dataDir), `${dataDir} is not ours (it holds thesis.doc)`)
        assert.include(
          yield* refusal(join(dataDir, "simulator"), 0, dataDir),
          `${dataDir} is not ours (it holds thesis.doc)`
        )
        assert.isFalse(existsSync(join(dataDir, "simulator")))
      })
    )
  )

  it.live("when the folder cannot be reached", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* emptyFolder
        writeFileSync(dataDir, "a file")

        assert.match(
          yield* refusal(join(dataDir, "simulator")),
          /cannot be used \(ENOTDIR\): give a folder that this user may write/
        )
      })
    )
  )

  it.live("when its port is taken by another program", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const port = yield* Effect.acquireRelease(
          Effect.promise(
            () =>
              new Promise<{ readonly number: number; readonly close: () => void }>((resolve) => {
                const server = createServer().listen(0, "127.0.0.1", () => {
                  const address = server.address()
                  resolve({
                    number: typeof address === "object" ? (address?.port ?? 0) : 0,
                    close: () => server.close()
                  })
                })
              })
          ),
          ({ close }) => Effect.sync(close)
        )

        assert.include(yield* refusal(dataDir, port.number), `Port ${port.number} is in use`)
      })
    )
  )

  it.live("when the binaries are not installed", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* emptyFolder
        const { arch } = process
        yield* Effect.acquireRelease(
          Effect.sync(() => Object.defineProperty(process, "arch", { value: "s390" })),
          () => Effect.sync(() => Object.defineProperty(process, "arch", { value: arch }))
        )

        assert.match(
          yield* refusal(dataDir),
          /^PostgreSQL's binaries for \w+-s390 are not installed: run "npm ci" .* or set DATABASE_URL/
        )
      })
    )
  )

  it.live("when its password was lost", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        const file = join(dataDir, "postgres/password")
        rmSync(file)

        assert.include(yield* refusal(dataDir), `${file} is missing`)
      })
    )
  )

  it.live("when its data cannot be started, with what PostgreSQL says", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const dataDir = yield* usedFolder
        writeFileSync(join(dataDir, "postgres/data/PG_VERSION"), "9.6\n")

        assert.match(yield* refusal(dataDir), /does not start: database files are incompatible with server/)
      })
    )
  )
})
