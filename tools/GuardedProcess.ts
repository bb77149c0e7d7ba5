/**
 * A child process that cannot outlive us, however we end.
 *
 * A small shell stands between: it starts the child in a session of its own, so that a Ctrl-C meant for us does
 * not reach it, and holds our end of a pipe. When the pipe closes (we asked for it, or were killed with -9) the
 * shell sends the stop signal, waits (ten seconds unless told), kills, and removes the folder it was given.
 * Used for the servers of the tests and for `npm run kafka`; the program itself has its own rules for its database.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"

export interface GuardedOptions {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** File that takes the child's output. */
  readonly log: string
  /** Signal that means "stop now": each server has its own. */
  readonly stopSignal: "TERM" | "QUIT" | "INT"
  /** Removed once the child was stopped; kept when it died by itself, so that it can be started again. */
  readonly removeAtEnd?: string
  /** How long the child may take to stop before it is killed. */
  readonly graceSeconds?: number
  /** Unprivileged user that runs the child; ours when absent. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

export interface GuardedProcess {
  readonly pid: number
  /** Settles with the child's exit code as the shell sees it (128 + signal after a kill). */
  readonly exited: Promise<number>
  readonly hasExited: () => boolean
  /** Stops the child and resolves when it is gone and its folder is removed. */
  readonly stop: () => Promise<void>
  /** kill -9 of the child itself; resolves when it is gone. */
  readonly kill9: () => Promise<void>
}

/** A loaded broker closes its logs in two or three seconds. */
const defaultGraceSeconds = 10

// $1 log, $2 signal, $3 folder to remove or "", $4 tenths of a second of grace, then the command. `read` is a builtin, so
// no helper process is left behind; the loop of sleeps is the grace. The trap tells a stop that was asked for from a death.
const guard = `
log=$1 signal=$2 folder=$3 tenths=$4 stopping=
shift 4
trap 'stopping=1' USR1
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
child=$!
echo "$child"
(
  read -r _ <&3
  kill -USR1 $$
  kill -"$signal" "$child" 2>/dev/null
  tries=0
  while kill -0 "$child" 2>/dev/null && [ "$tries" -lt "$tenths" ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$child" 2>/dev/null
) >/dev/null 2>&1 &
watcher=$!
wait "$child"
status=$?
[ -n "$stopping" ] && wait "$child"
kill "$watcher" 2>/dev/null
[ -n "$stopping" ] && [ -n "$folder" ] && rm -rf -- "$folder"
exit "$status"
`

/** Starts the command; resolves as soon as it has a process id, which says nothing about being ready. */
export const spawnGuarded = async (options: GuardedOptions): Promise<GuardedProcess> => {
  const { args, command, graceSeconds = defaultGraceSeconds, log, removeAtEnd = "", stopSignal, user } = options
  const settings = [log, stopSignal, removeAtEnd, String(graceSeconds * 10)]
  const shell = spawn("/bin/sh", ["-c", guard, "guard", ...settings, command, ...args], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid })
  })
  let ended = false
  const exited = new Promise<number>((resolve) => {
    shell.once("exit", (code) => {
      ended = true
      resolve(code ?? 1)
    })
  })
  const [line] = (await once(shell.stdout, "data")) as [Buffer]
  const pid = Number.parseInt(line.toString("utf8"), 10)
  shell.stdin.on("error", () => undefined) // the shell is gone already: nothing to tell it
  // Neither the shell nor its pipes keep our event loop alive.
  shell.unref()
  return {
    pid,
    exited,
    hasExited: () => ended,
    stop: async () => {
      shell.ref()
      shell.stdin.end()
      await exited
    },
    kill9: async () => {
      shell.ref()
      if (!ended) process.kill(pid, "SIGKILL")
      await exited
    }
  }
}
