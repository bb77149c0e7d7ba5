/**
 * The server process of one data directory: found, started, stopped.
 *
 * It runs in a session of its own, so that a Ctrl-C meant for us does not reach it, and it outlives a kill -9 of
 * ours: the next start finds it by `postmaster.pid` and takes it over as it is.
 */
import { Effect, Schedule } from "effect"
import { spawn } from "node:child_process"
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync
} from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { exists } from "./FolderLock.ts"
import type { Place } from "./Place.ts"

const pollMs = 20
/** A fast shutdown ends sessions and writes a checkpoint. */
const fastStopMs = 15_000
/** An immediate one writes nothing; the next start recovers from the log. */
const immediateStopMs = 5_000
/** Children see within this that their postmaster was killed. */
const orphansMs = 10_000
const maxLogBytes = 10_000_000

/** Modest: this server shares a machine with everything else. Durability is never traded. */
const settings = (port: number): Readonly<Record<string, string | number>> => ({
  listen_addresses: "127.0.0.1",
  port,
  // The path of a socket may be longer than the system allows; everybody comes over loopback.
  unix_socket_directories: "",
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  shared_buffers: "128MB",
  max_connections: 100,
  max_wal_size: "1GB",
  log_checkpoints: "off",
  log_timezone: "UTC",
  timezone: "UTC"
})

export const dataOf = (place: Place) => join(place.home, "data")
export const logOf = (place: Place) => join(place.home, "postgres.log")

/** Starts the server and gives its process id; it is not ready yet. */
export const startPostmaster = (place: Place, port: number): Effect.Effect<number, EmbeddedPostgresError> =>
  Effect.callback((resume) => {
    const log = openLog(logOf(place))
    const parameters = Object.entries(settings(port)).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const child = spawn(join(place.bin, "postgres"), ["-D", dataOf(place), ...parameters], {
      cwd: "/",
      // No variable of ours (PGDATA, secrets) is the server's business.
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
      detached: true,
      stdio: ["ignore", log, log],
      ...place.user
    })
    closeSync(log)
    child.unref()
    child.once("error", (cause) =>
      resume(Effect.fail(new EmbeddedPostgresError({ message: `PostgreSQL cannot be started: ${cause.message}` })))
    )
    child.once("spawn", () => resume(Effect.succeed(child.pid!)))
  })

const openLog = (path: string): number => {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > maxLogBytes) renameSync(path, `${path}.1`)
  return openSync(path, "a", 0o600)
}

export interface FoundPostmaster {
  readonly pid: number
  readonly port: number
}

/** The living server of this data directory, whoever started it; null when there is none. */
export const findPostmaster = (place: Place): FoundPostmaster | null => {
  const text = readOrEmpty(join(dataOf(place), "postmaster.pid"))
  const [pid = 0, , , port = 0] = text.split("\n").map(Number)
  return pid > 0 && isServerOf(place, pid) ? { pid, port } : null
}

/** True while this process is the server of our data directory, and not a stranger under its old number. */
export const isServerOf = (place: Place, pid: number): boolean =>
  exists(pid) && (process.platform !== "linux" || workingFolderOf(pid) === realpathSync(dataOf(place)))

// PostgreSQL and all its children work in their data directory.
const workingFolderOf = (pid: number | string): string | null => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null
  }
}

/**
 * Clears what a killed server left: waits for its children to be gone, then takes away its pid file. PostgreSQL itself
 * would refuse to start when another process has that number by now.
 */
export const clearDeadServer = (place: Place): Effect.Effect<void> =>
  Effect.gen(function* () {
    const data = realpathSync(dataOf(place))
    const left = Effect.sync(() =>
      process.platform === "linux"
        ? readdirSync("/proc")
            .filter((name) => /^\d+$/.test(name) && workingFolderOf(name) === data)
            .map(Number)
        : []
    )
    const gone = Effect.map(left, (pids) => pids.length === 0)
    if (!(yield* becomes(gone, orphansMs))) {
      for (const pid of yield* left) signal(pid, "SIGKILL")
      yield* becomes(gone, orphansMs)
    }
    rmSync(join(data, "postmaster.pid"), { force: true })
  })

/** Ends the server: fast, then at once, then by force. Returns when it is gone. */
export const stopPostmaster = (place: Place, pid: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const gone = Effect.sync(() => !exists(pid))
    signal(pid, "SIGINT")
    if (yield* becomes(gone, fastStopMs)) return
    for (const harder of ["SIGQUIT", "SIGKILL"] as const) {
      if (!isServerOf(place, pid)) return
      signal(pid, harder)
      if (yield* becomes(gone, immediateStopMs)) return
    }
  })

const signal = (pid: number, name: NodeJS.Signals) => {
  try {
    process.kill(pid, name)
  } catch {
    // It is gone, which is what we want; the caller looks.
  }
}

/** True as soon as the condition holds, false when it does not within the time. */
export const becomes = (condition: Effect.Effect<boolean>, withinMs: number): Effect.Effect<boolean> =>
  condition.pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced(pollMs) }),
    Effect.timeoutOrElse({ duration: withinMs, orElse: () => condition })
  )

/** What the server last complained of, for a sentence; "" when its log says nothing. */
export const lastComplaint = (place: Place): string => {
  const lines = readOrEmpty(logOf(place)).slice(-8_000).split("\n")
  const fatal = lines.findLast((line) => /(?:FATAL|PANIC):/.test(line))
  return fatal?.replace(/^.*?(?:FATAL|PANIC):\s*/, "") ?? ""
}

// In the ephemeral range (from 32768) a closed connection of another process can block a listen.
const lowestPort = 20_000
const highestPort = 32_000
const portAttempts = 100

export const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resume(Effect.succeed(true))))
  })

export const freePort: Effect.Effect<number, EmbeddedPostgresError> = Effect.gen(function* () {
  // Two programs that start together should not try the same ports in the same order.
  const from = (process.pid * 7_919) % (highestPort - lowestPort)
  for (let attempt = 0; attempt < portAttempts; attempt++) {
    const port = lowestPort + ((from + attempt * 31) % (highestPort - lowestPort))
    if (yield* isFree(port)) return port
  }
  return yield* new EmbeddedPostgresError({
    message: "No free port was found for PostgreSQL: choose one with NEXUS_DATABASE_EMBEDDED_PORT"
  })
})

const readOrEmpty = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}
