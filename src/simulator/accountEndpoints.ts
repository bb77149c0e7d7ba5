/** Requests about the account: balances, trades and what is left of its limits. */
import { ours } from "./Accounts.ts"
import { always, type Endpoint, faultOfPeriod, onMarket, readPeriod, rowsOf } from "./Endpoint.ts"
import { badCombination } from "./Refusal.ts"
import { accountView, commissionView, myTradeView } from "./accountViews.ts"
import { filterView } from "./symbolViews.ts"

const account: Endpoint = {
  rest: "GET /api/v3/account",
  webSocket: "account.status",
  isSigned: true,
  weight: always(20),
  read: (p) => {
    const omitZero = p.flag("omitZeroBalances")
    return ({ accountUid, exchange }) =>
      accountView(
        exchange.matching.accounts.balancesOf(ours),
        accountUid,
        exchange.updateTime,
        omitZero,
        exchange.commissions
      )
  }
}

const myTrades: Endpoint = {
  rest: "GET /api/v3/myTrades",
  webSocket: "myTrades",
  isSigned: true,
  weight: (params) => (params.has("orderId") ? 5 : 20),
  read: (p) => {
    const symbol = p.symbol()
    const orderId = p.whole("orderId")
    const fromId = p.whole("fromId")
    const period = readPeriod(p)
    const limit = rowsOf(p.whole("limit"))
    return onMarket(symbol, ({ exchange }, market) => {
      const hasPeriod = period.startTime !== undefined || period.endTime !== undefined
      if (hasPeriod && (orderId !== undefined || fromId !== undefined)) return badCombination
      const fault = faultOfPeriod(period)
      if (fault !== undefined) return fault
      const { endTime = Infinity, startTime = 0 } = period
      const wanted = {
        symbol: market.index,
        fromId: fromId ?? 0,
        startTime,
        endTime,
        limit,
        // From an id or a time onwards the oldest come first; without either, the newest are meant.
        oldestFirst: fromId !== undefined || period.startTime !== undefined
      }
      const { trades } = exchange.matching
      const rows = orderId === undefined ? trades.find(wanted) : trades.pick(exchange.tradesOf(market, orderId), wanted)
      const found = rows.map((row) => trades.at(row))
      const seen = exchange.isStale
        ? found.filter(
            ({ orderId, time }) => time <= exchange.tradesSeenUntil(market.orders.byId(orderId)!.clientOrderId)
          )
        : found
      return seen.map((trade) => myTradeView(trade, market.info, market.orders.listIdOf(trade.orderId)))
    })
  }
}

const orderLimits: Endpoint = {
  rest: "GET /api/v3/rateLimit/order",
  webSocket: "account.rateLimits.orders",
  isSigned: true,
  weight: always(40),
  read: () => (desk) => desk.limits.orderLimits(desk.now())
}

const commission: Endpoint = {
  rest: "GET /api/v3/account/commission",
  webSocket: "account.commission",
  isSigned: true,
  weight: always(20),
  read: (p) => onMarket(p.symbol(), ({ exchange }, { info }) => commissionView(exchange.commissions, info.symbol))
}

const myFilters: Endpoint = {
  rest: "GET /api/v3/myFilters",
  webSocket: "myFilters",
  isSigned: true,
  weight: always(40),
  read: (p) =>
    onMarket(p.symbol(), ({ exchange }, { info }) => ({
      exchangeFilters: exchange.exchangeFilters.map(filterView),
      symbolFilters: info.filters.map(filterView),
      assetFilters: exchange.assetFilters
        .filter(({ asset }) => asset === info.base || asset === info.quote)
        .map(filterView)
    }))
}

/** Allocations come from smart order routing, which this exchange does not have. */
const myAllocations: Endpoint = {
  rest: "GET /api/v3/myAllocations",
  webSocket: "myAllocations",
  isSigned: true,
  weight: always(20),
  read: (p) => {
    const symbol = p.symbol()
    const period = readPeriod(p)
    for (const name of ["fromAllocationId", "orderId", "limit"]) p.whole(name)
    return onMarket(symbol, () => faultOfPeriod(period) ?? [])
  }
}

export const accountEndpoints: ReadonlyArray<Endpoint> = [
  account,
  myTrades,
  orderLimits,
  commission,
  myFilters,
  myAllocations
]
