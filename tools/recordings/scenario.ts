/**
 * Brings every kind of answer about, on the real sockets of an exchange that speaks Binance's Spot API.
 *
 * The same for the testnet and for a simulator: one symbol, prices taken from its book, a few small orders. Leaves no
 * open order of that symbol behind, and must not run on an account whose orders matter.
 */
import { type Desk, type Exchange, openDesk, type Params, sortedFormOf, unnoted } from "./desk.ts"
import { hearStreams, listen } from "./streams.ts"

const symbol = "BTCUSDT"
const quantity = "0.001"
const taken = { symbol, side: "BUY", type: "MARKET", quantity }

/** The answers by their kind. */
export type Heard = ReadonlyMap<string, ReadonlyArray<unknown>>

export const askEverything = async (exchange: Exchange): Promise<Heard> => {
  const desk = await openDesk(exchange)
  const streams = await listen(exchange, symbol)
  try {
    const subscribed = await desk.call("ws.userDataStream.subscribe.signature", "userDataStream.subscribe.signature")
    const prices = await pricesOf(desk)
    await placeOrders(desk, prices)
    await meetOneself(desk)
    await placeLists(desk, prices)
    await beRefused(desk, prices)
    await askMarket(desk)
    await askAccount(desk)
    await placeBySocket(desk, prices)
    await askBySocket(desk)
    await hearEvents(desk)
    await hearStreams(streams, desk, symbol, async () => {
      await desk.ask(unnoted, "POST order", taken)
      await desk.ask(unnoted, "POST order", { ...taken, side: "SELL" })
    })
    const { subscriptionId } = subscribed["result"] as { readonly subscriptionId: number }
    await endSubscription(desk, subscriptionId)
  } finally {
    await desk.ask(unnoted, "DELETE openOrders", { symbol })
    streams.close()
    desk.api.close()
  }
  return desk.noted
}

interface Prices {
  readonly below: string
  readonly farBelow: string
  readonly above: string
  readonly farAbove: string
}

/** Prices that rest and do not trade, in whole units so that they are on every tick. */
const pricesOf = async (desk: Desk): Promise<Prices> => {
  const book = await desk.look(unnoted, "ticker/bookTicker", { symbol })
  const [bid, ask] = [Number(book["bidPrice"]), Number(book["askPrice"])]
  const at = (price: number): string => `${Math.round(price)}.00`
  return { below: at(bid * 0.8), farBelow: at(bid * 0.7), above: at(ask * 1.2), farAbove: at(ask * 1.3) }
}

const resting = (price: string, more: Params = {}): Params => ({
  symbol,
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  price,
  quantity,
  ...more
})

const idOf = (order: Readonly<Record<string, unknown>>): number => Number(order["orderId"])

const placeOrders = async (desk: Desk, { below, farBelow }: Prices): Promise<void> => {
  const place = "POST order"
  await desk.ask("order.ack", place, { ...taken, newOrderRespType: "ACK" })
  await desk.ask("order.result", place, resting(below, { timeInForce: "FOK", newOrderRespType: "RESULT" }))
  await desk.ask("order.full", place, { ...taken, side: "SELL" })
  await desk.ask("order.full", place, resting(below, { timeInForce: "IOC" }))
  await desk.ask("order.full.iceberg", place, resting(below, { icebergQty: "0.0005" }))
  const first = await desk.ask("order.full", place, resting(below))
  await desk.ask("queryOrder", "GET order", { symbol, orderId: idOf(first) })
  await desk.ask("amend", "PUT order/amend/keepPriority", { symbol, orderId: idOf(first), newQty: "0.0009" })
  await desk.ask("amendments", "GET order/amendments", { symbol, orderId: idOf(first) })
  const replacing = resting(farBelow, { cancelReplaceMode: "STOP_ON_FAILURE", cancelOrderId: idOf(first) })
  const replaced = await desk.ask("cancelReplace", "POST order/cancelReplace", replacing)
  await desk.ask("cancelReplace.failed", "POST order/cancelReplace", replacing)
  await desk.ask("openOrders", "GET openOrders", { symbol })
  const second = replaced["newOrderResponse"] as Readonly<Record<string, unknown>>
  await desk.ask("cancelOrder", "DELETE order", { symbol, orderId: idOf(second) })
  await desk.ask("cancelOpenOrders", "DELETE openOrders", { symbol })
}

/** Somebody else may be faster in between. */
const mostMeetings = 20

/** An order that meets another of the same account, at a price in the middle where nobody else stands. */
const meetOneself = async (desk: Desk): Promise<void> => {
  const mode = { timeInForce: "IOC", selfTradePreventionMode: "EXPIRE_MAKER" }
  for (let n = 0; n < mostMeetings; n++) {
    const { bidPrice } = await desk.look(unnoted, "ticker/bookTicker", { symbol })
    const price = (Number(bidPrice) + 0.01).toFixed(2)
    await desk.ask(unnoted, "POST order", resting(price))
    const taker = await desk.ask(unnoted, "POST order", resting(price, { side: "SELL", ...mode }))
    const matches = await desk.ask(unnoted, "GET myPreventedMatches", { symbol, orderId: idOf(taker) })
    if (Array.isArray(matches) && matches.length > 0) return desk.note("myPreventedMatches", matches)
  }
}

/** A sale with a profit above and a stop below. */
const bracket = ({ above, below, farBelow }: Prices): Params => ({
  symbol,
  side: "SELL",
  quantity,
  aboveType: "LIMIT_MAKER",
  abovePrice: above,
  belowType: "STOP_LOSS_LIMIT",
  belowStopPrice: below,
  belowPrice: farBelow,
  belowTimeInForce: "GTC"
})

const working = ({ below }: Prices): Params => ({
  symbol,
  workingType: "LIMIT",
  workingSide: "BUY",
  workingPrice: below,
  workingQuantity: quantity,
  workingTimeInForce: "GTC"
})

const placeLists = async (desk: Desk, prices: Prices): Promise<void> => {
  const pending = { pendingSide: "SELL", pendingQuantity: quantity }
  const list = await desk.ask("orderList.oco", "POST orderList/oco", bracket(prices))
  await desk.ask("orderList.oto", "POST orderList/oto", { ...working(prices), pendingType: "MARKET", ...pending })
  await desk.ask("orderList.otoco", "POST orderList/otoco", {
    ...working(prices),
    ...pending,
    pendingAboveType: "LIMIT_MAKER",
    pendingAbovePrice: prices.above,
    pendingBelowType: "STOP_LOSS",
    pendingBelowStopPrice: prices.farBelow
  })
  await desk.ask("orderList.opo", "POST orderList/opo", {
    ...working(prices),
    pendingType: "LIMIT",
    pendingSide: "SELL",
    pendingPrice: prices.above,
    pendingTimeInForce: "GTC"
  })
  const orderListId = Number(list["orderListId"])
  await desk.ask("orderList.query", "GET orderList", { orderListId })
  await desk.ask("openOrderList", "GET openOrderList")
  await desk.ask("orderList.cancel", "DELETE orderList", { symbol, orderListId })
  await desk.ask("allOrderList", "GET allOrderList")
  await desk.ask(unnoted, "DELETE openOrders", { symbol })
}

const beRefused = async (desk: Desk, { below }: Prices): Promise<void> => {
  await desk.ask("error", "DELETE order", { symbol, origClientOrderId: "never-sent" })
  // Too much for the account, and not for the filters.
  await desk.ask("error", "POST order", resting(below, { quantity: String(Math.floor(8_000_000 / Number(below))) }))
  await desk.ask("error", "POST order", resting(below, { quantity: "0" }))
  await desk.ask("error", "GET openOrders", { symbol, timestamp: Date.now() - 60_000 })
  await desk.look("error", "account", { timestamp: Date.now(), signature: "0" })
  await desk.look("error", "account", { timestamp: Date.now(), signature: "0" }, "no key")
}

const askMarket = async (desk: Desk): Promise<void> => {
  await desk.look("time", "time")
  await desk.look("exchangeInfo", "exchangeInfo", { symbol })
  await desk.look("depth", "depth", { symbol, limit: 20 })
  await desk.look("trades", "trades", { symbol, limit: 20 })
  await desk.look("historicalTrades", "historicalTrades", { symbol, limit: 20 })
  await desk.look("aggTrades", "aggTrades", { symbol, limit: 20 })
  await desk.look("klines", "klines", { symbol, interval: "1m", limit: 20 })
  await desk.look("uiKlines", "uiKlines", { symbol, interval: "1m", limit: 20 })
  await desk.look("avgPrice", "avgPrice", { symbol })
  await desk.look("ticker.24hr", "ticker/24hr", { symbol })
  await desk.look("ticker.24hr.mini", "ticker/24hr", { symbol, type: "MINI" })
  await desk.look("ticker.tradingDay", "ticker/tradingDay", { symbol })
  await desk.look("ticker.rolling", "ticker", { symbol })
  await desk.look("ticker.price", "ticker/price", { symbol })
  await desk.look("ticker.bookTicker", "ticker/bookTicker", { symbol })
}

const askAccount = async (desk: Desk): Promise<void> => {
  await desk.ask("account", "GET account")
  await desk.ask("account.commission", "GET account/commission", { symbol })
  await desk.ask("allOrders", "GET allOrders", { symbol })
  await desk.ask("myTrades", "GET myTrades", { symbol })
  await desk.ask("rateLimit.order", "GET rateLimit/order")
  await desk.ask("myFilters", "GET myFilters", { symbol })
}

const askBySocket = async (desk: Desk): Promise<void> => {
  const symbols = { symbols: [symbol, "ETHUSDT"] }
  const open: ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>]> = [
    ["ping", {}],
    ["time", {}],
    ["exchangeInfo", { symbol }],
    ["depth", { symbol, limit: 20 }],
    ["trades.recent", { symbol, limit: 20 }],
    ["trades.historical", { symbol, limit: 20 }],
    ["trades.aggregate", { symbol, limit: 20 }],
    ["klines", { symbol, interval: "1m", limit: 20 }],
    ["ticker.24hr", symbols],
    ["ticker.tradingDay", symbols],
    ["ticker.price", symbols],
    ["ticker.book", symbols]
  ]
  for (const [method, params] of open) desk.note(`ws.${method}`, await desk.api.ask({ method, params }))
  await desk.call("ws.allOrders", "allOrders", { symbol })
  await desk.call("ws.myTrades", "myTrades", { symbol })
  await desk.call("ws.account.commission", "account.commission", { symbol })
}

/** With everything that an order can have. */
const trailingStop = ({ below, farBelow }: Prices): Params => ({
  symbol,
  side: "SELL",
  type: "STOP_LOSS_LIMIT",
  timeInForce: "GTC",
  price: farBelow,
  stopPrice: below,
  trailingDelta: 100,
  quantity,
  icebergQty: "0.0005",
  strategyId: 1,
  strategyType: 1_000_000
})

const placeBySocket = async (desk: Desk, prices: Prices): Promise<void> => {
  const placed = await desk.call("ws.order.place", "order.place", resting(prices.below))
  await desk.call("ws.order.place", "order.place", taken)
  const orderId = idOf(placed["result"] as Readonly<Record<string, unknown>>)
  await desk.call("ws.order.amend.keepPriority", "order.amend.keepPriority", { symbol, orderId, newQty: "0.0009" })
  await desk.call(
    "ws.order.cancelReplace",
    "order.cancelReplace",
    resting(prices.farBelow, { cancelReplaceMode: "STOP_ON_FAILURE", cancelOrderId: orderId })
  )
  const other = await desk.call(unnoted, "order.place", resting(prices.below))
  await desk.call("ws.order.cancel", "order.cancel", {
    symbol,
    orderId: idOf(other["result"] as Readonly<Record<string, unknown>>)
  })
  const trailing = await desk.call(unnoted, "order.place", trailingStop(prices))
  const { orderId: stopId } = trailing["result"] as { readonly orderId: number }
  await desk.call("ws.order.status", "order.status", { symbol, orderId: stopId })
  await desk.call("ws.order.cancel.trailing", "order.cancel", { symbol, orderId: stopId })
  await desk.call("ws.orderList.place.oco", "orderList.place.oco", { ...bracket(prices), newOrderRespType: "FULL" })
  await desk.call(unnoted, "openOrders.cancelAll", { symbol })
  await desk.call(unnoted, "order.place", resting(prices.below))
  await desk.call("ws.openOrders.cancelAll", "openOrders.cancelAll", { symbol })
  await desk.call("ws.account.status", "account.status")
  await desk.call("ws.error", "order.cancel", { symbol, origClientOrderId: "never-sent" })
  await desk.call("ws.error", "account.status", {}, "0")
}

/** One envelope is like another. */
const enveloped = new Set(["executionReport.NEW", "outboundAccountPosition", "listStatus"])

/** The news of all that was done so far, once in their envelopes and by kind without them. */
const hearEvents = async (desk: Desk): Promise<void> => {
  await desk.api.hear("the end of the last order", (message) => "event" in message)
  for (const message of desk.api.messages) {
    const { event } = message as { readonly event?: Readonly<Record<string, unknown>> }
    if (event === undefined) continue
    const kind = event["e"] === "executionReport" ? `executionReport.${String(event["x"])}` : String(event["e"])
    desk.note(`user.${kind}`, event)
    if (enveloped.has(kind)) desk.note(`ws.event.${kind}`, message)
  }
}

const endSubscription = async (desk: Desk, subscriptionId: number): Promise<void> => {
  const { exchange } = desk
  if (exchange.signLogon !== undefined) {
    const params = { apiKey: exchange.apiKey, timestamp: Date.now() }
    const signature = exchange.signLogon(sortedFormOf(params))
    desk.note("ws.session.logon", await desk.api.ask({ method: "session.logon", params: { ...params, signature } }))
  }
  await desk.api.ask({ method: "userDataStream.unsubscribe", params: { subscriptionId } })
  const isEnd = ({ event }: { readonly event?: unknown }) =>
    (event as Readonly<Record<string, unknown>> | undefined)?.["e"] === "eventStreamTerminated"
  desk.note("ws.event.eventStreamTerminated", await desk.api.hear("the end of the subscription", isEnd))
}
