/**
 * Every REST answer, field by field and type by type, against what the exchange's own connector declares: no field that
 * is not declared, none of another type, and none missing but those that are documented as conditional.
 *
 * Run by run.ts as `node answers.ts REST`, keys in the environment.
 */
import { closeSync, writeSync } from "node:fs"
import { join } from "node:path"
import { judge, newVerdict, readDeclarations, stepOf } from "./declarations.ts"
import type { Step } from "./script.ts"

type Params = Readonly<Record<string, unknown>>
type Api = Readonly<Record<string, (params?: Params) => Promise<{ readonly data: () => Promise<unknown> }>>>

/** Its own channel for the steps. */
const report = 3

/** Told of an order only where it has such a thing, as documented under "conditional fields". */
const conditional = new Set([
  "icebergQty",
  "preventedMatchId",
  "preventedQuantity",
  "stopPrice",
  "strategyId",
  "strategyType",
  "trailingDelta",
  "trailingTime",
  "usedSor",
  "workingFloor",
  "pegPriceType",
  "pegOffsetType",
  "pegOffsetValue",
  "peggedPrice",
  "expiryReason",
  // Of an amended order that is in a list.
  "listStatus",
  // Of an order test, only when rates are asked for.
  "standardCommissionForOrder",
  "specialCommissionForOrder",
  "taxCommissionForOrder",
  "discount",
  // Only where orders are routed over several books.
  "sors"
])

const tolerated = [
  // Documented, but not declared; or declared for another answer of the same name.
  /^newOrder\.(stopPrice|strategyId|strategyType) is not declared$/,
  /^deleteOrderList\.orderReports\[\]\.selfTradePreventionMode is not declared$/,
  /^(exchangeInfo\.rateLimits\[\]\.count|myFilters\.rateLimits) is missing$/,
  // A list among the cancelled orders.
  /^deleteOpenOrders\[\]\.\w+ is not declared$/
]
/** What the MINI form of a ticker leaves out. */
const fullTickerOnly =
  /\.(priceChange|priceChangePercent|weightedAvgPrice|prevClosePrice|lastQty|bid\w+|ask\w+) is missing$/
const missingField = /(\w+) is missing$/

const [rest = ""] = process.argv.slice(2)
const library: string = "@binance/spot"
const { Spot } = (await import(library)) as { readonly Spot: new (options: unknown) => { readonly restAPI: Api } }
const declared = readDeclarations(join(import.meta.dirname, "node_modules", library, "dist", "index.d.ts"))
const { restAPI } = new Spot({
  configurationRestAPI: {
    basePath: rest,
    apiKey: process.env["BINANCE_TESTNET_API_KEY"],
    apiSecret: process.env["BINANCE_TESTNET_API_SECRET"],
    retries: 0
  }
})
const steps: Array<Step> = []

const ask = async <A>(method: string, params: Params = {}): Promise<A> => {
  const answer = await restAPI[method]?.(params)
  const data = await answer?.data()
  const type = declared.answerOf(method)
  const verdict = newVerdict()
  if (type === undefined) verdict.faults.add("its answer is not declared")
  else judge(declared, data, type, method, verdict)
  const isTolerated = (what: string): boolean =>
    conditional.has(missingField.exec(what)?.[1] ?? "") ||
    tolerated.some((known) => known.test(what)) ||
    (params["type"] === "MINI" && fullTickerOnly.test(what))
  steps.push(stepOf(method, verdict, isTolerated))
  return data as A
}

interface WithId {
  readonly orderId: number
}

const symbol = "BTCUSDT"
const quantity = 0.002

const marketData = async (): Promise<number> => {
  for (const method of [
    "ping",
    "time",
    "exchangeInfo",
    "executionRules",
    "ticker24hr",
    "tickerPrice",
    "tickerBookTicker"
  ]) {
    await ask(method)
  }
  for (const method of ["getTrades", "historicalTrades", "aggTrades", "avgPrice", "ticker24hr", "tickerPrice"]) {
    await ask(method, { symbol })
  }
  for (const method of ["ticker24hr", "ticker", "tickerTradingDay"]) await ask(method, { symbol, type: "MINI" })
  for (const method of ["ticker", "tickerTradingDay"]) await ask(method, { symbol })
  for (const method of ["klines", "uiKlines"]) await ask(method, { symbol, interval: "1m" })
  await ask("depth", { symbol, limit: 5 })
  await ask("historicalBlockTrades", { symbol, fromId: 1 })
  const { bidPrice } = await ask<{ readonly bidPrice: string }>("tickerBookTicker", { symbol })
  return Number(bidPrice)
}

const orders = async (low: number): Promise<void> => {
  const resting = { symbol, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity, price: low }
  await ask("orderTest", resting)
  await ask("orderTest", { ...resting, computeCommissionRates: true })
  const { orderId } = await ask<WithId>("newOrder", resting)
  await ask("newOrder", { symbol, side: "BUY", type: "MARKET", quantity })
  await ask("newOrder", {
    ...resting,
    side: "SELL",
    type: "STOP_LOSS_LIMIT",
    stopPrice: low + 10,
    newOrderRespType: "FULL",
    strategyId: 1,
    strategyType: 1_000_000
  })
  await ask("getOrder", { symbol, orderId })
  await ask("getOpenOrders", { symbol })
  await ask("orderAmendKeepPriority", { symbol, orderId, newQty: quantity * 0.75 })
  await ask("orderAmendments", { symbol, orderId })
  await ask("orderCancelReplace", { ...resting, cancelReplaceMode: "STOP_ON_FAILURE", cancelOrderId: orderId })
  const again = await ask<WithId>("newOrder", resting)
  await ask("deleteOrder", { symbol, orderId: again.orderId })
  await ask("allOrders", { symbol })
  await ask("myTrades", { symbol })
}

const lists = async (low: number, high: number): Promise<void> => {
  const gtc = "GTC"
  const { orderListId } = await ask<{ readonly orderListId: number }>("orderListOco", {
    symbol,
    side: "SELL",
    quantity,
    aboveType: "LIMIT_MAKER",
    abovePrice: high,
    belowType: "STOP_LOSS_LIMIT",
    belowPrice: low - 100,
    belowStopPrice: low,
    belowTimeInForce: gtc
  })
  await ask("getOrderList", { orderListId })
  await ask("openOrderList")
  await ask("allOrderList")
  await ask("deleteOrderList", { symbol, orderListId })
  await ask("orderOco", {
    symbol,
    side: "SELL",
    quantity,
    price: high,
    stopPrice: low,
    stopLimitPrice: low - 100,
    stopLimitTimeInForce: gtc
  })
  const working = {
    symbol,
    workingType: "LIMIT",
    workingSide: "BUY",
    workingPrice: low,
    workingQuantity: quantity,
    workingTimeInForce: gtc,
    pendingSide: "SELL"
  }
  const pending = { pendingType: "LIMIT", pendingPrice: high, pendingTimeInForce: gtc }
  const either = {
    pendingAboveType: "LIMIT_MAKER",
    pendingAbovePrice: high,
    pendingBelowType: "STOP_LOSS",
    pendingBelowStopPrice: low - 50
  }
  await ask("orderListOto", { ...working, ...pending, pendingQuantity: quantity })
  await ask("orderListOtoco", { ...working, ...either, pendingQuantity: quantity })
  await ask("orderListOpo", { ...working, ...pending })
  await ask("orderListOpoco", { ...working, ...either })
  await ask("deleteOpenOrders", { symbol })
}

const account = async (): Promise<void> => {
  await ask("getAccount")
  await ask("rateLimitOrder")
  await ask("accountCommission", { symbol })
  await ask("myFilters", { symbol })
  await ask("myPreventedMatches", { symbol, orderId: 1 })
  await ask("myAllocations", { symbol })
}

try {
  const bid = await marketData()
  const [low, high] = [Math.floor(bid * 0.9), Math.floor(bid * 1.1)]
  await orders(low)
  await lists(low, high)
  await account()
} catch (error) {
  const detail = error instanceof Error ? error.message : JSON.stringify(error)
  steps.push({ name: "the requests go through", outcome: "failed", detail })
}
writeSync(report, JSON.stringify(steps))
closeSync(report)
