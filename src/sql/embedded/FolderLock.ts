/**
 * One process per data folder: a lock file that names its holder.
 *
 * A holder that was killed leaves its file behind; that is seen, because a process is told by its id and the
 * moment it began (ids come again, in containers at once).
 */
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { codeOf, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

// Each round either takes the lock, finds a living holder, or clears away one dead one.
const rounds = 10

/** Holds the folder until the scope closes. Fails with a sentence when a living process holds it. */
export const holdFolder = (folder: string): Effect.Effect<void, EmbeddedPostgresError, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.try({
        try: () => take(folder),
        catch: (cause) =>
          cause instanceof EmbeddedPostgresError
            ? cause
            : new EmbeddedPostgresError({ message: `The data folder ${folder} cannot be locked (${codeOf(cause)})` })
      }),
      (lock) => Effect.sync(() => rmSync(lock, { force: true }))
    )
  )

/** Whether a living process holds the folder now. */
export const isHeld = (folder: string): boolean => {
  const holder = readOrNull(join(folder, "lock"))
  return holder !== null && isAlive(holder)
}

const take = (folder: string): string => {
  const lock = join(folder, "lock")
  const mine = `${lock}.${randomUUID()}`
  // A file is complete before it gets the lock's name, so nobody reads half of one.
  writeFileSync(mine, identityOf(process.pid))
  try {
    for (let round = 0; round < rounds; round++) {
      if (linked(mine, lock)) return lock
      const holder = readOrNull(lock)
      if (holder !== null && isAlive(holder)) throw heldBy(holder, folder)
      if (holder !== null) clearDead(lock, holder)
    }
    throw new EmbeddedPostgresError({ message: `The lock of the data folder ${folder} changes all the time` })
  } finally {
    rmSync(mine, { force: true })
  }
}

// Another process may have cleared it and taken the lock since we looked: then what we moved away is put back.
const clearDead = (lock: string, dead: string) => {
  const aside = `${lock}.${randomUUID()}`
  if (!moved(lock, aside)) return
  if (readFileSync(aside, "utf8") !== dead) linked(aside, lock)
  rmSync(aside, { force: true })
}

const heldBy = (holder: string, folder: string) =>
  new EmbeddedPostgresError({
    message:
      `Another Nexus (process ${holder.split(" ")[0]}) runs on the data folder ${folder}: ` +
      "stop it first, or give this one another folder with NEXUS_APP_DATA_DIR"
  })

const identityOf = (pid: number) => `${pid} ${beganAt(pid)}`

const isAlive = (identity: string) => {
  const pid = Number(identity.split(" ")[0])
  return Number.isInteger(pid) && pid > 0 && exists(pid) && identityOf(pid) === identity
}

/** When the process began, in the kernel's ticks; empty where the system does not say. */
const beganAt = (pid: number): string => statOf(pid)[19] ?? ""

/** The fields of /proc/<pid>/stat behind the name, which stands in parentheses and may hold blanks. */
const statOf = (pid: number): ReadonlyArray<string> => {
  const stat = readOrNull(`/proc/${pid}/stat`)
  return stat === null ? [] : stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

/** False also for a process that has ended and waits for a parent that does not look: in containers that is common. */
export const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    if (codeOf(cause) !== "EPERM") return false
  }
  return statOf(pid)[0] !== "Z"
}

const linked = (from: string, to: string) => unless("EEXIST", () => linkSync(from, to))
const moved = (from: string, to: string) => unless("ENOENT", () => renameSync(from, to))

const unless = (code: string, act: () => void): boolean => {
  try {
    act()
    return true
  } catch (cause) {
    if (codeOf(cause) === code) return false
    throw cause
  }
}

const readOrNull = (path: string): string | null => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return null
  }
}
