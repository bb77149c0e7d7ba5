/** The public streams, which tell of themselves while somebody trades. */
import { connect, type Connection, type Message } from "./connection.ts"
import type { Desk, Exchange } from "./desk.ts"

const kindsOf = (name: string): Readonly<Record<string, string>> => ({
  [`${name}@trade`]: "stream.trade",
  [`${name}@aggTrade`]: "stream.aggTrade",
  [`${name}@kline_1m`]: "stream.kline",
  [`${name}@bookTicker`]: "stream.bookTicker",
  [`${name}@depth@100ms`]: "stream.depthUpdate",
  [`${name}@depth20`]: "stream.partialDepth",
  [`${name}@miniTicker`]: "stream.miniTicker",
  "!miniTicker@arr": "stream.miniTicker.arr",
  [`${name}@ticker`]: "stream.ticker",
  [`${name}@ticker_1h`]: "stream.rollingTicker",
  [`${name}@avgPrice`]: "stream.avgPrice"
})

export const listen = async ({ streams }: Exchange, symbol: string): Promise<Connection> => {
  const names = Object.keys(kindsOf(symbol.toLowerCase()))
  return connect(`${streams}/stream?streams=${names.join("/")}`, (n) => n)
}

/** A change of a book may be on one side alone: what is noted shows both. */
const isWhole = ({ data }: Message): boolean => !JSON.stringify(data).includes("[]")
const mostTrades = 50

export const hearStreams = async (
  connection: Connection,
  desk: Desk,
  symbol: string,
  trade: () => Promise<void>
): Promise<void> => {
  const kinds = Object.entries(kindsOf(symbol.toLowerCase()))
  const told = (name: string) => connection.messages.filter((message) => message["stream"] === name && isWhole(message))
  for (let n = 0; n < mostTrades && kinds.some(([name]) => told(name).length === 0); n++) await trade()
  for (const [name, kind] of kinds) {
    await connection.hear(name, (message) => message["stream"] === name && isWhole(message))
    for (const { data } of told(name)) desk.note(kind, data)
  }
  desk.note(
    "stream.result",
    await connection.ask({ method: "SUBSCRIBE", params: [`${symbol.toLowerCase()}@ticker_1d`] })
  )
  desk.note("stream.error", await connection.ask({ method: "SUBSCRIBE", params: "no-list" }))
  if (desk.exchange.announceShutdown === undefined) return
  desk.exchange.announceShutdown()
  const { data } = await connection.hear("the shutdown", ({ stream }) => stream === "!serverShutdown")
  desk.note("stream.serverShutdown", data)
}
