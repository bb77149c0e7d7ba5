/**
 * Everything of one run: an exchange with its control port, a PostgreSQL, and a Nexus that may die and come again.
 * Places orders by trial, and knows what was placed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { createHmac } from "node:crypto"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { clientOrderIdOf, OrderId, StoreId } from "../../../src/domain/Ids.ts"
import { freePort } from "../../freePort.ts"
import { keys, pause, Program, run } from "../programs.ts"
import type { Control, Manner, Trial } from "./trials.ts"

export const symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"] as const
type Symbol = (typeof symbols)[number]
const quantities: Readonly<Record<Symbol, string>> = { BTCUSDT: "0.002", ETHUSDT: "0.02", BNBUSDT: "0.1" }
const decimals: Readonly<Record<Symbol, number>> = { BTCUSDT: 2, ETHUSDT: 2, BNBUSDT: 2 }
/** More than the best levels of a book hold, and little of what the account has. */
const partlyQuote = 25_000
const readyMillis = 60_000

export interface Placed {
  readonly trial: Trial
  readonly id: string
  readonly clientOrderId: string
  readonly symbol: Symbol
}

export interface View {
  readonly status: string
  readonly certainty: string
  readonly filled_quantity: number
  readonly reason: { readonly code: string; readonly message: string } | null
}

export interface LedgerEntry {
  readonly life: number
  readonly clientOrderId: string
  readonly status: string
  readonly executedQty: string
  readonly acceptedAt: number
  readonly updatedAt: number
  readonly trades: ReadonlyArray<{ readonly id: number; readonly qty: string }>
}

interface Request {
  readonly symbol: Symbol
  readonly side: "BUY" | "SELL"
  readonly type: "MARKET" | "LIMIT"
  readonly quantity: string
  readonly price?: string
  readonly time_in_force?: "GTC" | "IOC"
}

export class Stage {
  readonly folder: string
  readonly name: string
  readonly placed: Array<Placed> = []
  storeId = ""
  #nexus: ChildProcess | undefined
  #simulator: Program | undefined
  #exchange = ""
  #control = ""
  #api = ""
  #environment: Record<string, string> = {}
  #count = 0
  readonly #without: string

  constructor(name: string, without = "") {
    this.name = name
    this.#without = without
    this.folder = mkdtempSync(join(tmpdir(), `nexus-once-${name}-`))
    // As root, PostgreSQL runs as another user, who must be able to enter.
    chmodSync(this.folder, 0o755)
    mkdirSync(join(this.folder, "journal"))
  }

  async open(seed: number): Promise<void> {
    const [exchangePort, controlPort, apiPort] = [await freePort(), await freePort(), await freePort()]
    this.#exchange = `http://127.0.0.1:${exchangePort}`
    this.#control = `http://127.0.0.1:${controlPort}`
    this.#api = `http://127.0.0.1:${apiPort}`
    const credentials = { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret }
    this.#simulator = new Program(
      [
        "simulate-exchange",
        `--port=${exchangePort}`,
        `--control-port=${controlPort}`,
        `--seed=${seed}`,
        `--journal=${join(this.folder, "journal")}`
      ],
      credentials,
      join(this.folder, "exchange.log"),
      `${this.#exchange}/api/v3/ping`
    )
    await this.#simulator.start()
    this.#environment = {
      ...credentials,
      NEXUS_APP_PORT: `${apiPort}`,
      NEXUS_APP_DATA_DIR: join(this.folder, "data"),
      NEXUS_BINANCE_TESTNET_BASE_URL: this.#exchange,
      // So many failures side by side open the circuit again and again; a trial that grew stale meanwhile would show nothing.
      NEXUS_EXECUTION_MAX_AGE_MS: "1200000",
      NEXUS_BINANCE_TESTNET_WS_API_URL: `${this.#exchange.replace("http", "ws")}/ws-api/v3`
    }
  }

  /** Starts Nexus, to die at a point if one is given. */
  async start(crash: { readonly point: string; readonly id: string } = { point: "", id: "" }): Promise<void> {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_BROKERS|PROOF_)/.test(name))
    )
    const child = spawn(process.execPath, [join(import.meta.dirname, "nexus.ts")], {
      env: {
        ...inherited,
        ...this.#environment,
        PROOF_WITHOUT: this.#without,
        PROOF_CRASH_POINT: crash.point,
        PROOF_CRASH_ID: crash.id
      },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const log = createWriteStream(join(this.folder, "nexus.log"), { flags: "a" })
    child.stdout?.on("data", (bytes: Buffer) => {
      const found = /^store (\S+)$/m.exec(bytes.toString())
      if (found?.[1] !== undefined) this.storeId = found[1]
    })
    child.stdout?.pipe(log)
    child.stderr?.pipe(log)
    this.#nexus = child
    const end = Date.now() + readyMillis
    while (this.storeId === "" || !(await this.#answers("/ready"))) {
      if (child.exitCode !== null || Date.now() > end)
        throw new Error(`Nexus did not start; see ${this.folder}/nexus.log`)
      await pause(20)
    }
  }

  get isRunning(): boolean {
    return this.#nexus !== undefined && this.#nexus.exitCode === null && this.#nexus.signalCode === null
  }

  /** Whether it ends by itself within this time. */
  async dies(millis: number): Promise<boolean> {
    const end = Date.now() + millis
    while (this.isRunning && Date.now() < end) await pause(5)
    return !this.isRunning
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return
    const child = this.#nexus!
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill(signal)
    await ended
  }

  /** After a kill of its own making, or of ours. */
  async restartExchange(): Promise<void> {
    await this.#simulator!.stop("SIGKILL")
    await this.#simulator!.start()
  }

  get exchangeIsRunning(): boolean {
    const child = this.#simulator?.child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Where the exchange listens. */
  get exchangeUrl(): string {
    return this.#exchange
  }

  async control<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.#control}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`control ${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as T
  }

  /** Whether what was armed for the order in its requests has struck, all of it. */
  async hasStruck({ clientOrderId, trial }: Placed): Promise<boolean> {
    if (!trial.controls.some(({ path }) => path === "/faults")) return true
    const { faults } = await this.control<{ readonly faults: ReadonlyArray<{ readonly struck: number }> }>(
      "GET",
      `/faults?clientOrderId=${clientOrderId}`
    )
    return faults.length > 0 && faults.every(({ struck }) => struck > 0)
  }

  ledger(): Promise<{ readonly life: number; readonly orders: ReadonlyArray<LedgerEntry> }> {
    return this.control("GET", "/ledger")
  }

  /** Arms what goes wrong, then places the order, patiently: the same id until it is answered. */
  async place(trial: Trial, id = `t${this.#count}`): Promise<Placed> {
    const symbol = symbols[this.#count++ % symbols.length]!
    const clientOrderId = clientOrderIdOf(StoreId.make(this.storeId), OrderId.make(id))
    const placed: Placed = { trial, id, clientOrderId, symbol }
    for (const { body, path } of trial.controls) await this.control("POST", path, named(body, clientOrderId))
    const request = await this.#request(trial.manner, symbol)
    if (trial.byHand === "placesItFirst") await this.#byHand("POST", placed, request)
    this.placed.push(placed)
    await this.#post(id, request)
    return placed
  }

  async #request(manner: Manner, symbol: Symbol): Promise<Request> {
    const side = this.#count % 2 === 0 ? "BUY" : "SELL"
    const quantity = quantities[symbol]
    if (manner === "market") return { symbol, side, type: "MARKET", quantity }
    const { ask, bid } = await this.#prices(symbol)
    if (manner === "partly") {
      const more = (partlyQuote / ask).toFixed(3)
      return {
        symbol,
        side: "BUY",
        type: "LIMIT",
        quantity: more,
        price: ask.toFixed(decimals[symbol]),
        time_in_force: "GTC"
      }
    }
    const away = manner === "crossing" ? 1.02 : manner === "far" ? 0.85 : 0.97
    const price = (side === "BUY" ? ask * away : bid * (2 - away)).toFixed(decimals[symbol])
    return { symbol, side, type: "LIMIT", quantity, price, time_in_force: manner === "immediate" ? "IOC" : "GTC" }
  }

  async #prices(symbol: Symbol): Promise<{ readonly bid: number; readonly ask: number }> {
    while (true) {
      try {
        const response = await fetch(`${this.#exchange}/api/v3/ticker/bookTicker?symbol=${symbol}`)
        const book = (await response.json()) as Readonly<Record<"askPrice" | "bidPrice", string>>
        if (Number(book.bidPrice) > 0) {
          return { bid: Number(book.bidPrice), ask: Number(book.askPrice) }
        }
      } catch {
        // Crashed on purpose, and coming back.
      }
      await pause(50)
    }
  }

  async #post(id: string, request: Request): Promise<void> {
    while (true) {
      try {
        const response = await fetch(`${this.#api}/api/v1/orders`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ id, ...request }),
          signal: AbortSignal.timeout(15_000)
        })
        const text = await response.text()
        if (response.status === 202 || response.status === 200) return
        if (response.status !== 503) throw new Error(`order ${id} was answered ${response.status}: ${text}`)
      } catch (error) {
        if (error instanceof Error && error.message.startsWith("order ")) throw error
        // A process that dies at its point may take the answer with it; the order is in the log, and the next start answers.
        if (!this.isRunning) return
      }
      await pause(20)
    }
  }

  async cancel({ id }: Placed): Promise<void> {
    const response = await fetch(`${this.#api}/api/v1/orders/${id}`, { method: "DELETE" })
    await response.text()
  }

  async view({ id }: Placed): Promise<View | null> {
    const response = await fetch(`${this.#api}/api/v1/orders/${id}`)
    if (response.status === 404) return null
    return (await response.json()) as View
  }

  cancelByHand(order: Placed): Promise<void> {
    return this.#byHand("DELETE", order)
  }

  /** Somebody else with our keys. */
  async #byHand(method: "POST" | "DELETE", { clientOrderId, symbol }: Placed, request?: Request): Promise<void> {
    const parameters =
      request === undefined
        ? { symbol, origClientOrderId: clientOrderId }
        : {
            symbol,
            side: request.side,
            type: request.type,
            quantity: request.quantity,
            price: request.price ?? "",
            timeInForce: request.time_in_force ?? "",
            newClientOrderId: clientOrderId
          }
    const query = new URLSearchParams({ ...parameters, timestamp: `${Date.now()}` }).toString()
    const signature = createHmac("sha256", keys.apiSecret).update(query).digest("hex")
    const response = await fetch(`${this.#exchange}/api/v3/order?${query}&signature=${signature}`, {
      method,
      headers: { "X-MBX-APIKEY": keys.apiKey }
    })
    const text = await response.text()
    if (!response.ok && method === "POST") throw new Error(`by hand: ${response.status} ${text}`)
  }

  verify(): Promise<{ readonly code: number | null; readonly out: string }> {
    return run(["verify"], this.#environment)
  }

  async #answers(path: string): Promise<boolean> {
    try {
      const response = await fetch(`${this.#api}${path}`, { signal: AbortSignal.timeout(2_000) })
      await response.text()
      return response.ok
    } catch {
      return false
    }
  }

  async close(keep: boolean): Promise<void> {
    await this.stop("SIGTERM")
    await this.#simulator?.stop("SIGTERM")
    if (!keep) rmSync(this.folder, { recursive: true, force: true })
  }
}

const named = (body: Control["body"], clientOrderId: string): unknown =>
  JSON.parse(JSON.stringify(body).replaceAll('"CLIENT"', JSON.stringify(clientOrderId)))
