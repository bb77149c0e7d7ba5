/**
 * What every library is put through: market data, then the life of a few orders, with the user data stream open all the
 * while. A step that fails is reported and the script goes on, so that one run shows all that a library misses.
 */
import assert from "node:assert/strict"
import type { Event, ForeignClient, Wanted } from "./ForeignClient.ts"

export interface Step {
  readonly name: string
  readonly outcome: "passed" | "failed" | "skipped"
  readonly detail: string
}

const symbol = "BTCUSDT"
/** A call of a library that hangs, or an event that never comes. */
const stepMillis = 10_000

export const runScript = async (client: ForeignClient): Promise<ReadonlyArray<Step>> => {
  const steps: Array<Step> = []
  const step = async (name: string, run: () => Promise<string | undefined>): Promise<void> => {
    try {
      const detail = await within(run(), name)
      steps.push({ name, outcome: detail === undefined ? "skipped" : "passed", detail: detail ?? "" })
    } catch (error) {
      steps.push({ name, outcome: "failed", detail: messageOf(error) })
    }
  }

  const events: Array<Event> = []
  const heard = (clientOrderId: string, status: string) =>
    until(() => events.some((event) => event.clientOrderId === clientOrderId && event.status === status))
  const run = Date.now().toString(36)
  const idOf = (name: string): string => `${client.idPrefix ?? ""}${name}-${run}`
  const order = (name: string, side: Wanted["side"], quantity: string): Wanted => ({
    symbol,
    side,
    quantity,
    clientOrderId: idOf(name)
  })
  let bid = "0"
  let resting = ""

  await step("user stream", async () => {
    await client.userStream((event) => events.push(event))
    return "listening"
  })
  await step("server time", async () => {
    const ahead = (await client.serverTime()) - Date.now()
    assert.ok(Math.abs(ahead) < 5_000, `${ahead} ms ahead`)
    return `${ahead} ms ahead`
  })
  await step("exchange info", async () => {
    const symbols = await client.symbols()
    assert.ok(symbols.includes(symbol), symbols.join(" "))
    return `${symbols.length} symbols`
  })
  await step("book ticker", async () => {
    bid = await client.bestBid(symbol)
    assert.ok(Number(bid) > 0, bid)
    return bid
  })
  await step("depth", async () => {
    const levels = await client.depth(symbol)
    assert.equal(levels, 5)
    return `${levels} levels`
  })
  await step("market order", async () => {
    const placed = await client.placeMarket(order("m", "BUY", "0.002"))
    assert.equal(placed.status, "FILLED")
    return placed.orderId
  })
  await step("market order, on the stream", async () => {
    await heard(idOf("m"), "FILLED")
    return "FILLED"
  })
  await step("candles", async () => {
    const count = await client.candles(symbol)
    assert.ok(count >= 1)
    return `${count}`
  })
  await step("24 hours", async () => {
    const price = await client.dayTicker(symbol)
    assert.ok(Number(price) > 0, price)
    return price
  })
  await step("public trades", async () => {
    const count = await client.publicTrades(symbol)
    assert.ok(count >= 1)
    return `${count}`
  })
  await step("limit order", async () => {
    const price = String(Math.floor(Number(bid) * 0.9))
    const placed = await client.placeLimit({ ...order("l", "BUY", "0.002"), price })
    assert.equal(placed.status, "NEW")
    resting = placed.orderId
    return resting
  })
  await step("limit order, on the stream", async () => {
    await heard(idOf("l"), "NEW")
    return "NEW"
  })
  await step("query", async () => {
    const found = await client.query(symbol, resting)
    assert.deepEqual([found.orderId, found.status], [resting, "NEW"])
    return found.status
  })
  await step("open orders", async () => {
    const open = await client.openOrders(symbol)
    assert.deepEqual(open, [resting])
    return `${open.length}`
  })
  await step("cancel", async () => {
    const cancelled = await client.cancel(symbol, resting)
    assert.equal(cancelled.orderId, resting)
    return cancelled.status
  })
  await step("cancel, on the stream", async () => {
    await until(() => events.some(({ status }) => status === "CANCELED"))
    return "CANCELED"
  })
  await step("all orders", async () => {
    const all = await client.allOrders(symbol)
    assert.ok(all.length >= 2 && all.includes(resting), all.join(" "))
    return `${all.length}`
  })
  await step("trades", async () => {
    const trades = await client.trades(symbol)
    assert.ok(trades.length >= 1)
    return `${trades.length}`
  })
  await step("account", async () => {
    const [base, quote] = [await client.free("BTC"), await client.free("USDT")]
    assert.ok(Number(base) > 100 && Number(quote) > 0, `${base} BTC, ${quote} USDT`)
    return `${base} BTC`
  })
  await step("order list (OCO)", async () => {
    if (client.placeOco === undefined) return undefined
    const price = (factor: number) => String(Math.floor(Number(bid) * factor))
    const legs = await client.placeOco({
      ...order("o", "SELL", "0.002"),
      abovePrice: price(1.1),
      belowStopPrice: price(0.9),
      belowPrice: price(0.89)
    })
    assert.equal(legs.length, 2)
    return legs.join(" ")
  })
  await step("limit order over the WebSocket API", async () => {
    if (client.placeOverWebSocket === undefined) return undefined
    const price = String(Math.floor(Number(bid) * 0.9))
    const placed = await client.placeOverWebSocket({ ...order("w", "BUY", "0.002"), price })
    assert.equal(placed.status, "NEW")
    resting = placed.orderId
    return resting
  })
  await step("cancel over the WebSocket API", async () => {
    if (client.cancelOverWebSocket === undefined) return undefined
    const cancelled = await client.cancelOverWebSocket(symbol, resting)
    assert.deepEqual([cancelled.orderId, cancelled.status], [resting, "CANCELED"])
    return cancelled.status
  })
  await step("cancel all", async () => {
    await client.placeLimit({ ...order("x", "BUY", "0.002"), price: String(Math.floor(Number(bid) * 0.9)) })
    const cancelled = await client.cancelAll(symbol)
    assert.ok(cancelled >= 1)
    assert.deepEqual(await client.openOrders(symbol), [])
    return `${cancelled}`
  })
  await step("trade stream", async () => {
    const next = client.nextTrade(symbol)
    let price: string | undefined
    const told = next.then((value) => (price = value))
    // Its failure is met below.
    told.catch(() => undefined)
    // Whether the library hears yet is its own affair: trade until it does.
    for (let n = 0; price === undefined && n < 20; n++) {
      await client.placeMarket(order(`t${n}`, n % 2 === 0 ? "SELL" : "BUY", "0.001"))
      await Promise.race([told, new Promise((resolve) => setTimeout(resolve, 250))])
    }
    assert.ok(Number(await told) > 0)
    return price
  })
  return steps
}

const within = async <A>(work: Promise<A>, what: string): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${stepMillis} ms: ${what}`)), stepMillis)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

const pollMillis = 10

const until = async (condition: () => boolean): Promise<void> => {
  const start = Date.now()
  while (!condition()) {
    if (Date.now() - start > stepMillis) throw new Error("the event did not come")
    await new Promise((resolve) => setTimeout(resolve, pollMillis))
  }
}

const messageOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : JSON.stringify(error)
  return text.replaceAll(/\s+/g, " ").slice(0, 300)
}
