/**
 * Every event of the public streams and of the user data stream, field by field and type by type, against what the
 * exchange's own connector declares.
 *
 * Run by run.ts as `node events.ts REST WEBSOCKET`, keys in the environment.
 */
import { closeSync, writeSync } from "node:fs"
import { join } from "node:path"
import { judge, newVerdict, readDeclarations, stepOf } from "./declarations.ts"
import type { Step } from "./script.ts"

/** Its own channel for the steps. */
const report = 3
const waitMillis = 15_000
const library: string = "@binance/spot"

const streams = {
  "btcusdt@trade": "TradeResponse",
  "btcusdt@aggTrade": "AggTradeResponse",
  "btcusdt@kline_1s": "KlineResponse",
  "btcusdt@kline_1m@+08:00": "KlineOffsetResponse",
  "btcusdt@miniTicker": "MiniTickerResponse",
  "!miniTicker@arr": "AllMiniTickerResponse",
  "btcusdt@ticker": "TickerResponse",
  "btcusdt@ticker_1h": "RollingWindowTickerResponse",
  "!ticker_1d@arr": "AllMarketRollingWindowTickerResponse",
  "btcusdt@bookTicker": "BookTickerResponse",
  "btcusdt@avgPrice": "AvgPriceResponse",
  "btcusdt@depth5": "PartialBookDepthResponse",
  "btcusdt@depth@100ms": "DiffBookDepthResponse"
} as const

const userEvents = {
  executionReport: "ExecutionReport",
  outboundAccountPosition: "OutboundAccountPosition",
  listStatus: "ListStatus"
} as const

/** Told of an order only where it has such a thing; the declarations have the event's type in another place. */
const tolerated = [
  /^executionReport\.(d|D|j|J|v|A|B|u|U|Cs|pl|pL|pY|b|a|k|uS|W|eR|gP|gOT|gOV|gp) is missing$/,
  /^executionReport\.(eR|gP|gOT|gOV|gp) is not declared$/,
  /^\w+\.e is not declared$/
]

interface Api {
  readonly newOrder: (params: object) => Promise<unknown>
  readonly orderListOco: (params: object) => Promise<unknown>
  readonly deleteOpenOrders: (params: object) => Promise<unknown>
}
interface UserStream {
  readonly on: (kind: "message", tell: (event: Readonly<Record<string, unknown>>) => void) => void
}
interface Connection {
  readonly userDataStreamSubscribeSignature: () => Promise<{ readonly stream: UserStream }>
  readonly disconnect: () => Promise<void>
}
interface Library {
  readonly Spot: new (options: unknown) => {
    readonly restAPI: Api
    readonly websocketAPI: { readonly connect: () => Promise<Connection> }
  }
}

const [rest = "", webSocket = ""] = process.argv.slice(2)
const { Spot } = (await import(library)) as Library
const declared = readDeclarations(join(import.meta.dirname, "node_modules", library, "dist", "index.d.ts"))
const keys = {
  apiKey: process.env["BINANCE_TESTNET_API_KEY"],
  apiSecret: process.env["BINANCE_TESTNET_API_SECRET"]
}
const { restAPI, websocketAPI } = new Spot({
  configurationRestAPI: { ...keys, basePath: rest },
  configurationWebsocketAPI: { ...keys, wsURL: `${webSocket}/ws-api/v3` }
})

/** By stream, or by type of event; of several the verdicts are one. */
const verdicts = new Map<string, ReturnType<typeof newVerdict>>()
const hear = (name: string, type: string | undefined, value: unknown): void => {
  const verdict = verdicts.get(name) ?? newVerdict()
  verdicts.set(name, verdict)
  if (type === undefined) verdict.faults.add("it is not declared")
  else judge(declared, value, type, name, verdict)
}

const socket = new WebSocket(`${webSocket}/stream?streams=${Object.keys(streams).join("/")}`)
socket.addEventListener("message", ({ data }) => {
  const { data: event, stream } = JSON.parse(String(data)) as { stream: keyof typeof streams; data: unknown }
  hear(stream, declared.eventOf("websocket-streams", streams[stream]), event)
})
const connection = await websocketAPI.connect()
const { stream } = await connection.userDataStreamSubscribeSignature()
stream.on("message", (event) => {
  const name = String(event["e"]) as keyof typeof userEvents
  hear(name, declared.eventOf("websocket-api", userEvents[name]), event)
})

const symbol = "BTCUSDT"
const quantity = 0.002
const wanted = [...Object.keys(streams), ...Object.keys(userEvents)]
const until = Date.now() + waitMillis
while (wanted.some((name) => !verdicts.has(name)) && Date.now() < until) {
  await restAPI.newOrder({ symbol, side: "BUY", type: "MARKET", quantity })
  await restAPI.newOrder({ symbol, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity, price: 50_000 })
  await restAPI.orderListOco({
    symbol,
    side: "SELL",
    quantity,
    aboveType: "LIMIT_MAKER",
    abovePrice: 80_000,
    belowType: "STOP_LOSS",
    belowStopPrice: 50_000
  })
  await restAPI.deleteOpenOrders({ symbol })
  await new Promise((resolve) => setTimeout(resolve, 200))
}
const steps = wanted.map((name): Step => {
  const verdict = verdicts.get(name)
  if (verdict === undefined) return { name, outcome: "failed", detail: "nothing was told" }
  return stepOf(name, verdict, (what) => tolerated.some((known) => known.test(what)))
})
writeSync(report, JSON.stringify(steps))
closeSync(report)
socket.close()
await connection.disconnect()
