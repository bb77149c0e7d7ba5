/**
 * What operators, load balancers and scrapers ask, and what a trader must know of a symbol before an order.
 *
 * `/health` depends on nothing: it says that the process loop turns, and never flaps with a dependency.
 * `/ready` is 200 exactly while a command can be stored; all else that is away is only listed.
 */
import { Cache, Clock, Effect, Schema } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import { Instrument } from "../domain/Instrument.ts"
import type { Balance } from "../engine/Balances.ts"
import { Balances } from "../engine/Balances.ts"
import type { Outlook } from "../engine/ExchangeOutlook.ts"
import type { MetricFamily } from "../engine/Health.ts"
import { Health } from "../engine/Health.ts"
import type { Market } from "../engine/Instruments.ts"
import { Instruments } from "../engine/Instruments.ts"
import { Symbol } from "./OrderBody.ts"
import { badParameters } from "./Orders.ts"
import { time } from "./OrderView.ts"
import { json, problem, tryAgain } from "./Problem.ts"
import { makeReconciliation } from "./ReconciliationView.ts"

/** So that a page that polls does not spend the exchange's request weight. */
const market = { freshFor: "1 second", symbols: 1_000, patience: "2 seconds" } as const

/** Longer than the exchange takes, shorter than a caller's patience. */
const balancesPatience = "5 seconds"

const isSymbol: (name: string) => boolean = Schema.is(Symbol)
const encodeInstrument = Schema.encodeSync(Instrument)

export const makeOps = Effect.gen(function* () {
  const balancesOf = yield* Balances
  const healthOf = yield* Health
  const instruments = yield* Instruments
  const markets = yield* Cache.make({
    capacity: market.symbols,
    timeToLive: market.freshFor,
    lookup: (symbol: string) =>
      instruments.market(symbol).pipe(
        Effect.timeoutOrElse({ duration: market.patience, orElse: () => Effect.succeed(null) }),
        // The filters are worth an answer without the market.
        Effect.catch(() => Effect.succeed(null))
      )
  })

  const health = Effect.map(Clock.currentTimeMillis, (now) => json(200, `{"status":"healthy","time":"${time(now)}"}`))

  const ready = Effect.gen(function* () {
    const { degraded, exchange, ready, reason } = yield* healthOf.readiness
    const status = ready ? "ready" : "not_ready"
    const body = {
      status,
      time: time(yield* Clock.currentTimeMillis),
      reason,
      degraded,
      exchange: exchange === null ? null : exchangeView(exchange)
    }
    return json(ready ? 200 : 503, JSON.stringify(body))
  })

  const metrics = Effect.map(healthOf.metrics, (families) => ({
    status: 200,
    headers: ["Content-Type", "text/plain; version=0.0.4; charset=utf-8"],
    body: families.map(exposition).join("")
  }))

  const symbol = Effect.fnUntraced(function* (name: string) {
    if (!isSymbol(name)) {
      const limit = "an exchange symbol in capitals, such as BTCUSDT"
      const actual = name.slice(0, 80).toWellFormed()
      return badParameters([{ code: "not_allowed", field: "symbol", limit, actual, hint: `must be ${limit}` }])
    }
    const snapshot = yield* instruments.current
    if (snapshot === null) return tryAgain("instruments_unknown", "the exchange's symbols are not known yet")
    const instrument = snapshot.bySymbol.get(name)
    if (instrument === undefined) return problem(404, "symbol_not_found", `the exchange has no symbol ${name}`)
    const now = yield* Clock.currentTimeMillis
    return json(200, symbolView(instrument, yield* Cache.get(markets, name), now))
  })

  const balances = balancesOf.read.pipe(
    Effect.map((held) => json(200, `[${held.map(balanceView).join(",")}]`)),
    Effect.catch(({ message }) => Effect.sync(() => exchangeAway(message))),
    Effect.timeoutOrElse({
      duration: balancesPatience,
      orElse: () => Effect.sync(() => exchangeAway("no answer in time"))
    })
  )

  return { health, ready, metrics, symbol, balances, reconciliation: yield* makeReconciliation }
})

const exchangeAway = (why: string) => tryAgain("exchange_away", `the exchange could not be asked: ${why}`)

const balanceView = ({ asset, at, free, locked }: Balance): string =>
  `{"asset":${JSON.stringify(asset)},"free":${Decimal.format(free)},"locked":${Decimal.format(locked)}` +
  `,"at":"${time(at)}"}`

const exchangeView = (outlook: Outlook) => ({
  next_submit_ms: outlook.nextSubmitMillis,
  next_cancel_ms: outlook.nextCancelMillis,
  next_query_ms: outlook.nextQueryMillis,
  stopped_ms: outlook.stoppedMillis,
  circuit: outlook.circuit,
  clock_offset_ms: outlook.clockOffsetMillis,
  clock_error_ms: outlook.clockErrorMillis
})

const symbolView = (instrument: Instrument, market: Market | null, now: number): string => {
  const encoded = encodeInstrument(instrument)
  const prices =
    market === null
      ? `"last":null,"bid":null,"ask":null,"age_ms":null`
      : `"last":${Decimal.format(market.last)},"bid":${Decimal.format(market.bid)},"ask":${Decimal.format(market.ask)}` +
        `,"age_ms":${Math.max(0, now - market.at)}`
  const rest = {
    status: encoded.status,
    base_asset: encoded.baseAsset,
    quote_asset: encoded.quoteAsset,
    base_asset_precision: encoded.baseAssetPrecision,
    quote_asset_precision: encoded.quoteAssetPrecision,
    order_types: encoded.orderTypes,
    quote_quantity_allowed: encoded.quoteOrderQtyMarketAllowed,
    filters: encoded.filters
  }
  return `{"symbol":${JSON.stringify(encoded.symbol)},${prices},${JSON.stringify(rest).slice(1)}`
}

/** Prometheus' text format 0.0.4, whose counters need no `_total` at the end of their names. */
const exposition = ({ help, name, samples, type }: MetricFamily): string =>
  `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} ${type}\n` +
  samples.map(({ labels, value }) => `${name}${labelsOf(labels)} ${value}\n`).join("")

const labelsOf = (labels: Readonly<Record<string, string>>): string => {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`
  )
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}
