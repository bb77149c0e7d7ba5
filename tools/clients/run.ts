/**
 * Four client libraries that nobody here wrote, each against an exchange simulator of its own: `npm run test:clients`.
 *
 * Then every answer and event against the declarations of the exchange's own connector.
 *
 * Installs the libraries into this folder when they are not there as the lock file wants them. Prints a table of
 * library and step, then `N passed, N failed, N skipped`; exits with 1 when a step failed. Everything is on loopback.
 */
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../freePort.ts"
import { type GuardedProcess, spawnGuarded } from "../GuardedProcess.ts"
import type { Step } from "./script.ts"

const clients = ["ccxt", "binance-spot", "binance", "binance-api-node"] as const
type Client = (typeof clients)[number]

/** The public example keys of the exchange's documentation would do as well: the simulator takes any pair. */
const keys = {
  BINANCE_TESTNET_API_KEY: "foreignClientsOfTheSimulatorUseThisKeyWhichIsNoSecretAtAll000001",
  BINANCE_TESTNET_API_SECRET: "foreignClientsOfTheSimulatorUseThisSecretWhichIsNoSecretAtAll01"
}
/** A client that has not ended by then is ended. */
const clientMillis = 90_000
const startMillis = 20_000
const here = import.meta.dirname
const root = join(here, "..", "..")

const install = (): void => {
  const lock = readFileSync(join(here, "package-lock.json"), "utf8")
  const stamp = join(here, "node_modules", ".package-lock.json")
  if (existsSync(stamp) && isInstalled(lock, readFileSync(stamp, "utf8"))) return
  console.log("installing the client libraries")
  // Without their install scripts: none of them needs one.
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: here, stdio: "inherit" })
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>
}

/** Every package that the lock file names is there in just its version. */
const isInstalled = (lock: string, installed: string): boolean => {
  const there = (JSON.parse(installed) as Lock).packages
  return Object.entries((JSON.parse(lock) as Lock).packages).every(
    ([path, { version }]) => path === "" || there[path]?.version === version
  )
}

const startSimulator = async (folder: string, port: number): Promise<GuardedProcess> => {
  const args = [join(root, "src", "cli.ts"), "simulate-exchange", "--port", String(port)]
  const log = join(folder, `simulator-${port}.log`)
  const environment = Object.entries(keys).map(([name, value]) => `${name}=${value}`)
  const simulator = await spawnGuarded({
    command: "env",
    args: [...environment, process.execPath, ...args],
    log,
    stopSignal: "TERM"
  })
  const until = Date.now() + startMillis
  while (!(await isThere(port))) {
    if (simulator.hasExited() || Date.now() > until) {
      await simulator.stop()
      throw new Error(`the simulator did not start: ${readFileSync(log, "utf8")}`)
    }
  }
  return simulator
}

const isThere = async (port: number): Promise<boolean> => {
  try {
    return (await fetch(`http://127.0.0.1:${port}/api/v3/ping`)).ok
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 50))
    return false
  }
}

const runChild = (args: ReadonlyArray<string>): Promise<ReadonlyArray<Step>> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: here,
      env: { ...process.env, ...keys },
      stdio: ["ignore", "pipe", "pipe", "pipe"]
    })
    const timer = setTimeout(() => child.kill("SIGKILL"), clientMillis)
    let text = ""
    child.stdio[3]?.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")))
    // Libraries print a lot; it is shown only where something went wrong.
    let printed = ""
    for (const output of [child.stdout, child.stderr])
      output?.on("data", (chunk: Buffer) => (printed += chunk.toString()))
    child.on("close", (code) => {
      clearTimeout(timer)
      const steps = text === "" ? [] : (JSON.parse(text) as ReadonlyArray<Step>)
      const ending = { name: "ends by itself", outcome: code === 0 ? "passed" : "failed", detail: `${code}` } as const
      const all = [...steps, ending]
      if (all.some(({ outcome }) => outcome === "failed")) console.log(printed)
      resolve(all)
    })
  })

/** Runs one script of this folder against a simulator of its own. */
const tried = async (script: string, args: ReadonlyArray<string>): Promise<ReadonlyArray<Step>> => {
  const port = await freePort()
  const simulator = await startSimulator(folder, port)
  try {
    return await runChild([join(here, script), ...args, `http://127.0.0.1:${port}`, `ws://127.0.0.1:${port}`])
  } finally {
    await simulator.stop()
  }
}

const marks = { passed: "ok", failed: "FAILED", skipped: "-" } as const

const print = (results: ReadonlyMap<Client, ReadonlyArray<Step>>): void => {
  const names = [...new Set([...results.values()].flatMap((steps) => steps.map(({ name }) => name)))]
  const width = Math.max(...names.map(({ length }) => length))
  console.log(["".padEnd(width), ...clients.map((client) => client.padEnd(16))].join("  "))
  for (const name of names) {
    const cells = clients.map((client) => {
      const step = results.get(client)?.find((one) => one.name === name)
      return (step === undefined ? "" : marks[step.outcome]).padEnd(16)
    })
    console.log([name.padEnd(width), ...cells].join("  "))
  }
  for (const [client, steps] of results) {
    for (const { detail, name, outcome } of steps)
      if (outcome === "failed") console.log(`${client}: ${name}: ${detail}`)
  }
}

const printJudged = (what: string, steps: ReadonlyArray<Step>): void => {
  console.log(`\n${what} as @binance/spot declares them: ${new Set(steps.map(({ name }) => name)).size}`)
  for (const { detail, name, outcome } of steps) if (outcome === "failed") console.log(`${name}: ${detail}`)
}

install()
const folder = mkdtempSync(join(tmpdir(), "nexus-clients-"))
const results = new Map<Client, ReadonlyArray<Step>>()
let answers: ReadonlyArray<Step> = []
let events: ReadonlyArray<Step> = []
try {
  for (const client of clients) results.set(client, await tried("connect.ts", [client]))
  answers = await tried("answers.ts", [])
  events = await tried("events.ts", [])
} finally {
  rmSync(folder, { recursive: true, force: true })
}
print(results)
printJudged("answers of requests", answers)
printJudged("events of streams", events)
const all = [...[...results.values()].flat(), ...answers, ...events]
const count = (outcome: Step["outcome"]) => all.filter((step) => step.outcome === outcome).length
console.log(`\n${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`)
process.exitCode = count("failed") === 0 ? 0 : 1
