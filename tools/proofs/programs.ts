/**
 * Starts and kills the programs of a proof: Nexus and the simulator as processes of their own, the way a
 * person starts them, on loopback only and ended by pid.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { createHmac, randomBytes } from "node:crypto"
import { createWriteStream } from "node:fs"
import { join } from "node:path"

/** Where this release's program stands. */
export const ownRoot = join(import.meta.dirname, "../..")
const readyMillis = 60_000

export const keys = { apiKey: randomBytes(24).toString("hex"), apiSecret: randomBytes(24).toString("hex") }

/** One program that can be started again and again under the same arguments. */
export class Program {
  child: ChildProcess | undefined
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly log: string
  readonly probe: string
  readonly nodeFlags: ReadonlyArray<string>
  readonly root: string

  constructor(
    args: ReadonlyArray<string>,
    env: Readonly<Record<string, string>>,
    log: string,
    probe: string,
    nodeFlags: ReadonlyArray<string> = [],
    /** Of another release than this one. */
    root = ownRoot
  ) {
    this.root = root
    this.nodeFlags = nodeFlags
    this.args = args
    this.env = env
    this.log = log
    this.probe = probe
  }

  async start(): Promise<void> {
    const out = createWriteStream(this.log, { flags: "a" })
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_BROKERS)/.test(name))
    )
    const child = spawn(process.execPath, [...this.nodeFlags, join(this.root, "src/cli.ts"), ...this.args], {
      cwd: this.root,
      env: { ...inherited, ...this.env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    child.stdout?.pipe(out)
    child.stderr?.pipe(out)
    this.child = child
    const end = Date.now() + readyMillis
    while (!(await answers(this.probe))) {
      if (child.exitCode !== null) throw new Error(`${this.args[0]} ended with ${child.exitCode}; see ${this.log}`)
      if (Date.now() > end) throw new Error(`${this.args[0]} was not ready in time; see ${this.log}`)
      await pause(50)
    }
  }

  /** Ends the process by signal; its exit code. */
  async stop(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)))
    child.kill(signal)
    return ended
  }
}

/** Runs a command of the command line to its end. */
export const run = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
  root = ownRoot
): Promise<{ code: number | null; out: string }> =>
  new Promise((resolve) => {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_BROKERS)/.test(name))
    )
    const child = spawn(process.execPath, [join(root, "src/cli.ts"), ...args], {
      cwd: root,
      env: { ...inherited, ...env }
    })
    let out = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    child.stderr.on("data", (chunk) => (out += chunk))
    child.once("exit", (code) => resolve({ code, out }))
  })

const answers = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    await response.text()
    return response.ok
  } catch {
    return false
  }
}

export const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

export interface LedgerOrder {
  readonly symbol: string
  readonly orderId: number
  readonly clientOrderId: string
  readonly status: string
  readonly executedQty: string
}

/** Everything the exchange has on its own books for a symbol, oldest first. */
export const ledger = async (exchange: string, symbol: string): Promise<ReadonlyArray<LedgerOrder>> => {
  const found: Array<LedgerOrder> = []
  for (let from = 1; ;) {
    const query = `symbol=${symbol}&orderId=${from}&limit=1000&timestamp=${Date.now()}&recvWindow=60000`
    const signature = createHmac("sha256", keys.apiSecret).update(query).digest("hex")
    const response = await fetch(`${exchange}/api/v3/allOrders?${query}&signature=${signature}`, {
      headers: { "X-MBX-APIKEY": keys.apiKey }
    })
    if (!response.ok) throw new Error(`allOrders: ${response.status} ${await response.text()}`)
    const page = (await response.json()) as ReadonlyArray<LedgerOrder>
    found.push(...page)
    if (page.length < 1000) return found
    from = page.at(-1)!.orderId + 1
  }
}
