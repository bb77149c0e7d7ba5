/** Simulators in processes of their own, and folders for their journals. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { createInterface } from "node:readline"
import { Effect } from "effect"

export const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "nexus-exchange-"))),
  (name) => Effect.sync(() => fs.rmSync(name, { recursive: true, force: true }))
)

export interface Running {
  readonly port: number
  readonly accountUid: number
  readonly controlUrl: string
}

/** For tests that start several processes one after another on a busy machine. */
export const processesMillis = 90_000

export const spawned = (journal: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const file = path.join(import.meta.dirname, "simulatorProcess.ts")
      const child = spawn(process.execPath, [file, journal], { stdio: ["ignore", "pipe", "inherit"] })
      const [line] = await Promise.race([
        once(createInterface({ input: child.stdout }), "line"),
        once(child, "exit").then(() => Promise.reject(new Error("the simulator ended before it was ready")))
      ])
      const running = JSON.parse(String(line)) as Running
      const ended = async (): Promise<NodeJS.Signals | null> => {
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
        return child.signalCode
      }
      const kill = async () => {
        child.kill("SIGKILL")
        await ended()
      }
      /** `ended` waits for the end, and gives the signal that brought it. */
      return { ...running, kill, ended: Effect.promise(ended) }
    }),
    ({ kill }) => Effect.promise(kill)
  )
