/** The exchange simulator as a process of its own, and its ledger as a judge reads it: signed, past the program. */
import { createHmac } from "node:crypto"
import { type Environment, Program } from "./Program.ts"

export const simulatorKeys = {
  BINANCE_TESTNET_API_KEY: "a-key-of-the-test",
  BINANCE_TESTNET_API_SECRET: "a-secret-of-the-test"
}

export interface SimulatorProgram {
  readonly program: Program
  readonly address: string
  /** For a program that trades there. */
  readonly env: Environment
}

export const startSimulator = async (folder: string, ...more: ReadonlyArray<string>): Promise<SimulatorProgram> => {
  const args = ["simulate-exchange", "--port", "0", ...more]
  const program = await new Program(args, simulatorKeys, folder).says("WebSocket API ")
  const address = /REST (http:\/\/\S+)/.exec(program.out)?.[1] ?? ""
  return { program, address, env: { ...simulatorKeys, NEXUS_BINANCE_TESTNET_BASE_URL: address } }
}

export interface LedgerOrder {
  readonly orderId: number
  readonly clientOrderId: string
  readonly status: string
  readonly executedQty: string
}

export const signed = async (
  address: string,
  method: string,
  path: string,
  parameters: Readonly<Record<string, string>> = {}
): Promise<Response> => {
  const query = new URLSearchParams({ ...parameters, timestamp: `${Date.now()}`, recvWindow: "60000" }).toString()
  const signature = createHmac("sha256", simulatorKeys.BINANCE_TESTNET_API_SECRET).update(query).digest("hex")
  return fetch(`${address}/api/v3/${path}?${query}&signature=${signature}`, {
    method,
    headers: { "X-MBX-APIKEY": simulatorKeys.BINANCE_TESTNET_API_KEY }
  })
}

export const ledger = async (address: string, symbol = "BTCUSDT"): Promise<ReadonlyArray<LedgerOrder>> =>
  (await (await signed(address, "GET", "allOrders", { symbol, limit: "1000" })).json()) as ReadonlyArray<LedgerOrder>
