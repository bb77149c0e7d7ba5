/**
 * The program as a person starts it: processes with a clean environment, in a folder of their own below /tmp.
 *
 * Everything started here is known here, so that `removeAll` leaves neither a process nor a folder, also when a
 * test failed halfway. A folder's PostgreSQL is found by its working directory, never by its name.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { vi } from "vitest"

// Several starts of a whole program, on a machine whose cores are busy with other tests.
vi.setConfig({ testTimeout: 90_000 })

export const root = join(import.meta.dirname, "../..")
const pollMs = 25
/** A start takes two seconds; with both cores busy some more. */
const startLimitMs = 60_000
const waitLimitMs = 30_000

export type Environment = Readonly<Record<string, string>>

export interface How {
  /** Instead of `node src/cli.ts` with the arguments. */
  readonly command?: ReadonlyArray<string>
  readonly cwd?: string
  readonly user?: { readonly uid: number; readonly gid: number }
}

const folders: Array<string> = []
const programs: Array<Program> = []

/** An empty folder that every user can enter. */
export const newFolder = (): string => {
  const folder = mkdtempSync("/tmp/nexus-cli-")
  chmodSync(folder, 0o755)
  folders.push(folder)
  return folder
}

/** Processes that work in a folder or were started with its path, whoever their parent is now. */
export const processesOf = (folder: string): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => workingFolderOf(pid).startsWith(folder) || commandOf(pid).includes(folder))
    .map(Number)

const workingFolderOf = (pid: string): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ""
  }
}

const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

/** For `afterEach`: kills what a test left behind and removes its folders. */
export const removeAll = async (): Promise<void> => {
  for (const program of programs.splice(0)) await program.end("SIGKILL")
  for (const folder of folders.splice(0)) {
    for (const pid of processesOf(folder)) kill(pid, "SIGKILL")
    await until(`nothing runs in ${folder}`, () => processesOf(folder).length === 0)
    rmSync(folder, { recursive: true, force: true })
  }
}

export const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It is gone already.
  }
}

/** What a shell without any setting of ours has. */
const cleanEnvironment = (home: string): Environment => ({
  PATH: [dirname(process.execPath), join(root, "node_modules/.bin"), "/usr/local/bin:/usr/bin:/bin"].join(":"),
  HOME: home,
  LANG: "C.UTF-8"
})

export class Program {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  out = ""
  err = ""
  code: number | null | undefined = undefined

  constructor(args: ReadonlyArray<string>, env: Environment, folder: string, how: How = {}) {
    const [command = "", ...rest] = how.command ?? [process.execPath, join(root, "src/cli.ts"), ...args]
    this.child = spawn(command, rest, {
      cwd: how.cwd ?? folder,
      env: { ...cleanEnvironment(folder), ...env },
      stdio: ["ignore", "pipe", "pipe"],
      ...how.user
    })
    this.child.stdout?.on("data", (piece: Buffer) => (this.out += piece.toString("utf8")))
    this.child.stderr?.on("data", (piece: Buffer) => (this.err += piece.toString("utf8")))
    // "close" and not "exit": the last words have arrived by then.
    this.exited = new Promise((resolve) => {
      this.child.once("close", (code) => {
        this.code = code
        resolve(code)
      })
      this.child.once("error", () => resolve(null))
    })
    programs.push(this)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get url(): string {
    return /http:\/\/[^\s/]+(?=\/api\/v1)/.exec(this.out)?.[0] ?? ""
  }

  /** Sends the signal and gives the exit code; null after a kill. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.code !== undefined) return this.code
    this.child.kill(signal)
    return this.exited
  }

  /** Waits for words on standard output; fails with all that was said when the program ends before them. */
  async says(words: string): Promise<this> {
    await until(
      `"${words}" from the program`,
      () => {
        if (this.out.includes(words)) return true
        if (this.code === undefined) return false
        throw new Error(`the program ended with ${this.code}: ${this.out}${this.err}`)
      },
      startLimitMs
    )
    return this
  }
}

/** Starts `serve` and waits for its banner. The port is any free one unless the environment names one. */
export const serve = (folder: string, env: Environment = {}, how: How = {}): Promise<Program> =>
  new Program(["serve"], { NEXUS_APP_PORT: "0", ...env }, folder, how).says("  roles ")

/** Runs a command of the command line to its end. */
export const run = async (
  args: ReadonlyArray<string>,
  folder: string,
  env: Environment = {},
  how: How = {}
): Promise<Program> => {
  const program = new Program(args, { NEXUS_APP_PORT: "0", ...env }, folder, how)
  await program.exited
  return program
}

export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = waitLimitMs
): Promise<void> => {
  const start = performance.now()
  while (!(await condition())) {
    if (performance.now() - start > limitMs) throw new Error(`never came true: ${what}`)
    await pause(pollMs)
  }
}
