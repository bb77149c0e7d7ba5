/**
 * The exchange's memory on disk: a file of entries, one JSON object a line, written before anybody is answered.
 *
 * Entries of one turn of the event loop are written by one call. Without fsync, on purpose: what was written survives
 * kill -9 of the process, and a simulator need not survive the machine. A last line that a kill tore is dropped; its
 * command was never answered. At each start the file is written anew as a snapshot. One process at a time holds it.
 */
import fs from "node:fs"
import path from "node:path"
import type { Entry } from "./Entry.ts"

const fileName = "journal.ndjson"
const lockName = "lock"
const product = "nexus exchange simulator"
const formatVersion = 2
/** How many bytes are read at a time. */
const chunkBytes = 1 << 20
/** How many lock files of dead processes are removed before giving up. */
const takeovers = 3

interface Header {
  readonly product: string
  readonly version: number
  readonly accountUid: number
}

/** Why a journal cannot be used, as a sentence for people. */
export class JournalFault extends Error {}

export class Journal {
  readonly #folder: string
  readonly #file: string
  #fd: number | undefined
  #pending = ""
  #waiting: Array<() => void> = []
  #isScheduled = false
  #broken: Error | undefined

  private constructor(folder: string) {
    this.#folder = folder
    this.#file = path.join(folder, fileName)
  }

  /** Takes the folder for this process. Throws a JournalFault that says why it cannot. */
  static open(folder: string): Journal {
    makeFolder(folder)
    const journal = new Journal(folder)
    takeLock(path.join(folder, lockName), folder)
    return journal
  }

  /** Hands each entry of an earlier life to `load`; the account's number, or undefined at the first start. */
  read(load: (entry: Entry) => string | undefined): number | undefined {
    if (!fs.existsSync(this.#file)) return undefined
    let header: Header | undefined
    for (const { isLast, number, text } of linesOf(this.#file)) {
      const parsed = parse(text)
      if (header === undefined) {
        header = readHeader(parsed)
        if (header === undefined) {
          throw new JournalFault(`${this.#file} is not a journal of the simulator: give another folder.`)
        }
        continue
      }
      if (parsed === undefined && isLast) break
      const fault = isEntry(parsed) ? load(parsed) : "no entry"
      if (fault !== undefined) {
        throw new JournalFault(
          `${this.#file} is damaged at line ${number} (${fault}): restore it or give another folder.`
        )
      }
    }
    return header?.accountUid
  }

  /** Replaces the file by a snapshot and is ready for entries. */
  begin(accountUid: number, snapshot: Iterable<Entry>): void {
    const draft = `${this.#file}.new`
    const fd = fs.openSync(draft, "w", 0o600)
    const header: Header = { product, version: formatVersion, accountUid }
    fs.writeSync(fd, `${JSON.stringify(header)}\n`)
    for (const entry of snapshot) writeAll(fd, `${JSON.stringify(entry)}\n`)
    fs.fsyncSync(fd)
    fs.closeSync(fd)
    fs.renameSync(draft, this.#file)
    this.#fd = fs.openSync(this.#file, "a", 0o600)
  }

  append(entry: Entry): void {
    this.#pending += `${JSON.stringify(entry)}\n`
  }

  /** Runs `then` once everything appended so far is written; at once when it is. */
  afterWritten(then: () => void): void {
    if (this.#pending === "" && this.#waiting.length === 0) return then()
    this.#waiting.push(then)
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#write())
  }

  /** Set when the disk refused an entry: the state in memory is ahead of the journal, and nobody may be answered. */
  get broken(): Error | undefined {
    return this.#broken
  }

  close(): void {
    this.#write()
    if (this.#fd !== undefined) fs.closeSync(this.#fd)
    this.#fd = undefined
    fs.rmSync(path.join(this.#folder, lockName), { force: true })
  }

  #write(): void {
    this.#isScheduled = false
    const text = this.#pending
    const waiting = this.#waiting
    this.#pending = ""
    this.#waiting = []
    if (this.#fd !== undefined && text !== "" && this.#broken === undefined) {
      try {
        writeAll(this.#fd, text)
      } catch (error) {
        this.#broken = error instanceof Error ? error : new Error(String(error))
      }
    }
    if (this.#broken !== undefined) return
    for (const then of waiting) then()
  }
}

const makeFolder = (folder: string): void => {
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
    fs.accessSync(folder, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown reason"
    throw new JournalFault(
      `The journal folder ${folder} cannot be used (${reason}): give one that this user can write.`
    )
  }
}

// A pid alone may belong to somebody else after a restart of the machine or container; with the moment at which its
// process began it does not.
const takeLock = (lock: string, folder: string): void => {
  for (let attempt = 0; attempt < takeovers; attempt++) {
    try {
      fs.writeFileSync(lock, `${process.pid} ${startOf(process.pid)}\n`, { flag: "wx", mode: 0o600 })
      return
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
    }
    const [pid = "", start = ""] = readIfThere(lock).trim().split(" ")
    if (isAlive(Number(pid)) && startOf(Number(pid)) === start) {
      throw new JournalFault(
        `The journal ${folder} is in use by process ${pid}: stop that simulator or give another folder.`
      )
    }
    fs.rmSync(lock, { force: true })
  }
  throw new JournalFault(`The lock ${lock} cannot be taken: remove it if no simulator uses the folder.`)
}

const readIfThere = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

/** False also for a process that was killed and that its parent has not collected yet: it answers signal 0 still. */
const isAlive = (pid: number): boolean => {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false
  }
  return statOf(pid)[0] !== "Z"
}

/** When a process began, in ticks since boot; "?" where the system does not tell. */
const startOf = (pid: number): string => statOf(pid)[19] ?? "?"

/** The fields of /proc/<pid>/stat from the state on: those behind the name in brackets, which may hold spaces. */
const statOf = (pid: number): ReadonlyArray<string> => {
  const stat = readIfThere(`/proc/${pid}/stat`)
  return stat === "" ? [] : stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

interface Line {
  readonly text: string
  readonly number: number
  readonly isLast: boolean
}

/** The lines of a file that may be larger than a string can be. */
function* linesOf(file: string): Generator<Line, void, void> {
  const fd = fs.openSync(file, "r")
  try {
    const chunk = Buffer.alloc(chunkBytes)
    let rest = Buffer.alloc(0)
    let number = 0
    for (;;) {
      const read = fs.readSync(fd, chunk)
      if (read === 0) break
      let bytes = Buffer.concat([rest, chunk.subarray(0, read)])
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
        yield { text: bytes.toString("utf8", 0, end), number: ++number, isLast: false }
        bytes = bytes.subarray(end + 1)
      }
      rest = bytes
    }
    // Without its newline a line was never finished, even if it happens to parse.
    if (rest.length > 0) yield { text: "", number: ++number, isLast: true }
  } finally {
    fs.closeSync(fd)
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isEntry = (value: unknown): value is Entry => typeof value === "object" && value !== null

const readHeader = (value: unknown): Header | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  if (!("product" in value && "version" in value && "accountUid" in value)) return undefined
  if (value.product !== product || value.version !== formatVersion) return undefined
  return typeof value.accountUid === "number"
    ? { product, version: formatVersion, accountUid: value.accountUid }
    : undefined
}

const writeAll = (fd: number, text: string): void => {
  const bytes = Buffer.from(text, "utf8")
  for (let written = 0; written < bytes.length;) written += fs.writeSync(fd, bytes, written)
}
