/** Runs the other programs of a bench as processes of their own, without the variables that would configure them. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import type { Load, Plan } from "./load.ts"

// Longer than any of them takes to start on a busy machine.
const readyMillis = 60_000

const inherited = (): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_BROKERS)/.test(name))
  )

export const output = (
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...inherited(), ...env }, stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    let said = ""
    child.stdout.on("data", (piece) => (out += piece))
    child.stderr.on("data", (piece) => (said += piece))
    child.once("error", reject)
    child.once("close", (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${command} ended with ${code}: ${said.trim()}`))
    )
  })

export const runLoad = async (plan: Plan): Promise<Load> =>
  JSON.parse(await output(process.execPath, [join(import.meta.dirname, "load.ts"), JSON.stringify(plan)])) as Load

/** Starts a file of bench/; it says the port it listens on as its first line. */
export const startServer = async (
  file: string,
  env: Readonly<Record<string, string>>,
  log: string
): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> => {
  const errors = openSync(log, "a")
  const child = spawn(process.execPath, [join(import.meta.dirname, file)], {
    env: { ...inherited(), ...env },
    stdio: ["ignore", "pipe", errors]
  })
  closeSync(errors)
  const { stdout } = child
  if (stdout === null) throw new Error(`${file} has no output`)
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${file} was not ready in time; see ${log}`)), readyMillis)
    stdout.once("data", (piece) => {
      clearTimeout(timer)
      resolve(Number(piece))
    })
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}; see ${log}`)))
  })
  return { port, stop: () => stopped(child) }
}

const stopped = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGTERM")
  })
