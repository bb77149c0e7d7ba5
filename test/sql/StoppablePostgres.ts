/**
 * A PostgreSQL of a test's own that can be stopped at once, as a crash would, and started again on the same data.
 * Started by the harness; the second and every later start repeats the first one's command line.
 */
import { readFileSync, readlinkSync, rmSync, statSync } from "node:fs"
import { connect } from "node:net"
import { dirname, join } from "node:path"
import { type GuardedProcess, spawnGuarded } from "../../tools/GuardedProcess.ts"
import { startPostgres } from "../harness/PostgresServer.ts"
import { asAdministrator } from "../harness/template.ts"
import { Effect } from "effect"

export interface StoppablePostgres {
  readonly url: string
  /** SIGQUIT: every session ends in the middle of whatever it does, no checkpoint. */
  readonly stopAtOnce: () => Promise<void>
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

const pollMillis = 20

export const startStoppable = async (): Promise<StoppablePostgres> => {
  const first = await startPostgres()
  const { hostname, port } = new URL(first.url)
  const [row] = await Effect.runPromise(
    asAdministrator(first.url, (sql) => sql<{ folder: string }>`select current_setting('data_directory') as folder`)
  )
  const data = row!.folder
  const pidOf = () => Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0])
  const firstPid = pidOf()
  const command = readlinkSync(`/proc/${firstPid}/exe`)
  const args = readFileSync(`/proc/${firstPid}/cmdline`, "utf8").split("\0").slice(1, -1)
  const { gid, uid } = statSync(data)
  let second: GuardedProcess | undefined

  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname)
      socket.once("connect", () => (socket.destroy(), resolve(true)))
      socket.once("error", () => resolve(false))
    })

  const isGone = (pid: number) => {
    try {
      process.kill(pid, 0)
      return false
    } catch {
      return true
    }
  }

  return {
    url: first.url,
    stopAtOnce: async () => {
      const pid = pidOf()
      process.kill(pid, "SIGQUIT")
      while (!isGone(pid)) await new Promise((resolve) => setTimeout(resolve, pollMillis))
    },
    start: async () => {
      second = await spawnGuarded({
        command,
        args,
        log: join(dirname(data), "again.log"),
        stopSignal: "QUIT",
        ...(process.getuid?.() === 0 ? { user: { uid, gid } } : {})
      })
      while (!(await answers())) {
        if (second.hasExited()) throw new Error(readFileSync(join(dirname(data), "again.log"), "utf8"))
        await new Promise((resolve) => setTimeout(resolve, pollMillis))
      }
    },
    stop: async () => {
      await second?.stop()
      await first.stop()
      rmSync(dirname(data), { recursive: true, force: true })
    }
  }
}
