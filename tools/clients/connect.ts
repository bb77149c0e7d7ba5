/** One library, connected and put through the script: `node connect.ts NAME REST WEBSOCKET`, keys in the environment. */
import { closeSync, writeSync } from "node:fs"
import type { Exchange, ForeignClient } from "./ForeignClient.ts"
import { runScript } from "./script.ts"

export type Connect = (exchange: Exchange) => Promise<ForeignClient>

/** Its own channel for the steps: libraries print what they like. */
const report = 3

const [name = "", rest = "", webSocket = ""] = process.argv.slice(2)
const { connect } = (await import(`./${name}.mjs`)) as { readonly connect: Connect }
const client = await connect({
  rest,
  webSocket,
  apiKey: process.env["BINANCE_TESTNET_API_KEY"] ?? "",
  apiSecret: process.env["BINANCE_TESTNET_API_SECRET"] ?? ""
})
const steps = await runScript(client)
writeSync(report, JSON.stringify(steps))
closeSync(report)
await client.close()
