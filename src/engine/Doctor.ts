/**
 * What keeps this configuration from trading, found before an order does: one line per part, and for each fault
 * what mends it. Reads and asks only; an order is tried on request, by the exchange's test that reaches no book.
 *
 * A part that cannot be examined because another one is at fault is left out: the cause is told once.
 */
import { Clock, Deferred, Effect, Result } from "effect"
import { AccountFacts } from "../binance/AccountFacts.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { isCredentialRefusal } from "../binance/classify.ts"
import { OrderChanges } from "../binance/OrderChanges.ts"
import { RateLimits } from "../binance/RateLimits.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { UserStream } from "../binance/UserStream.ts"
import { AppConfig } from "../config.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderRequest } from "../domain/Event.ts"
import type { Instrument } from "../domain/Instrument.ts"
import { checkStatic, floorTo, stepOf } from "../domain/Instrument.ts"

export interface Finding {
  readonly part: string
  /** note: it works, and somebody should know. */
  readonly verdict: "ok" | "note" | "fault"
  readonly says: string
  /** What to do; null: nothing. */
  readonly remedy: string | null
}

export const ok = (part: string, says: string): Finding => ({ part, verdict: "ok", says, remedy: null })
export const note = (part: string, says: string, remedy: string): Finding => ({ part, verdict: "note", says, remedy })
export const fault = (part: string, says: string, remedy: string): Finding => ({ part, verdict: "fault", says, remedy })

const partWidth = 12

/** One line each. */
export const findingsText = (findings: ReadonlyArray<Finding>): string =>
  findings
    .map(
      ({ part, remedy, says, verdict }) =>
        `${verdict.toUpperCase().padEnd(5)}  ${part.padEnd(partWidth)} ${oneLine(says)}${remedy === null ? "" : `: ${remedy}`}`
    )
    .join("\n")

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim()

// Longer than a subscription takes over a bad line.
const streamPatience = "15 seconds"
/** Corrected by measuring, so it harms nothing here; other programs of the host have it too. */
const noticedOffsetMillis = 1_000
const preferredSymbol = "BTCUSDT"
/** Of the notional that the symbol wants at least. */
const testNotionalFactor = Decimal.decimal("2")
const testNotional = Decimal.decimal("20")

/** Everything about the exchange, in the order in which one thing needs the other. */
export const examineExchange = (options: { readonly address: string; readonly testOrder: boolean }) =>
  Effect.gen(function* () {
    const { binance } = yield* AppConfig
    const recvWindowMillis = binance.testnet.recv_window_ms
    const client = yield* BinanceClient
    const findings: Array<Finding> = []

    const begun = yield* Clock.currentTimeMillis
    const reached = yield* Effect.result(client.ping)
    if (Result.isFailure(reached)) {
      const says = `${options.address} does not answer (${reached.failure.message})`
      const remedy = "check binance.testnet.base_url, the network and a proxy in between"
      return { findings: [fault("exchange", says, remedy)], uid: null }
    }
    const millis = (yield* Clock.currentTimeMillis) - begun
    findings.push(ok("exchange", `${options.address} answers within ${millis} ms`))
    findings.push(yield* examineClock(recvWindowMillis))

    const account = yield* examineAccount
    findings.push(...account.findings)
    const symbols = yield* examineSymbols
    findings.push(symbols.finding)
    if (account.trusted) {
      findings.push(yield* examineLimits)
      if (symbols.instrument !== null) findings.push(yield* examineFilters(symbols.instrument))
      findings.push(yield* examineStream)
      if (options.testOrder && symbols.instrument !== null) findings.push(yield* tryOrder(symbols.instrument))
    }
    return { findings, uid: account.uid }
  })

/** The store belongs to one account for ever; a start with the keys of another is refused. */
export const examineBinding = (
  storeOf: { readonly exchange: string | null; readonly accountUid: string | null },
  asked: { readonly exchange: string; readonly accountUid: string | null }
): Finding => {
  const { accountUid, exchange } = storeOf
  if (exchange === null) return ok("store", "new: its first start binds it to the exchange and the account")
  const remedy = "give it another database, or that one's exchange and keys"
  if (exchange !== asked.exchange) return fault("store", `it holds the orders of the ${exchange}`, remedy)
  if (accountUid === null || asked.accountUid === null) return ok("store", `it belongs to the ${exchange}`)
  return accountUid === asked.accountUid
    ? ok("store", `it belongs to account ${accountUid} of the ${exchange}`)
    : fault("store", `it belongs to account ${accountUid}, the keys are of account ${asked.accountUid}`, remedy)
}

const examineClock = Effect.fnUntraced(function* (recvWindowMillis: number) {
  const serverTime = yield* ServerTime
  const measured = yield* Effect.result(serverTime.sync)
  if (Result.isFailure(measured)) {
    const says = `the exchange's clock could not be measured (${measured.failure.message})`
    return fault("clock", says, "try again; orders wait until it is measured")
  }
  const [offset, error] = [yield* serverTime.offset, yield* serverTime.errorBound]
  const says = `the exchange's clock is ${Math.abs(Math.round(offset))} ms ${offset < 0 ? "behind" : "ahead of"} ours, known to ±${Math.ceil(error)} ms`
  if (error > recvWindowMillis / 2) {
    return fault("clock", says, `raise binance.testnet.recv_window_ms above ${recvWindowMillis}, or use a faster line`)
  }
  return Math.abs(offset) > noticedOffsetMillis
    ? note("clock", says, "Nexus reckons with that; let a time daemon set this host's clock")
    : ok("clock", says)
})

const examineAccount = Effect.gen(function* () {
  const answer = yield* Effect.result((yield* BinanceClient).account)
  if (Result.isFailure(answer)) return { trusted: false, findings: [refusedKeys(answer.failure)], uid: null }
  const { balances, canTrade, uid } = answer.success
  const held = balances.filter(({ free, locked }) => Decimal.isPositive(free) || Decimal.isPositive(locked)).length
  return {
    trusted: true,
    uid,
    findings: [
      ok("keys", `they are taken; the account is ${uid}`),
      canTrade
        ? ok("permissions", `the account may trade and holds ${held} assets`)
        : fault("permissions", "the account may not trade", "allow spot trading for this key at the exchange")
    ]
  }
})

const refusedKeys = ({ message, reason }: BinanceError): Finding =>
  isCredentialRefusal(reason)
    ? fault(
        "keys",
        `the exchange refuses them (${message})`,
        "check that the key is of this exchange and not expired, that its secret or private key file belongs to it, and that its IP list has this host"
      )
    : fault("keys", `the account could not be read (${message})`, "try again in a minute")

const examineSymbols = Effect.gen(function* () {
  const answer = yield* Effect.result((yield* BinanceClient).exchangeInfo)
  if (Result.isFailure(answer)) {
    const says = `the symbols could not be read (${answer.failure.message})`
    return {
      instrument: null,
      finding: fault("symbols", says, "try again; new orders are answered 503 until they are known")
    }
  }
  const trading = answer.success.filter(({ status }) => status === "TRADING")
  const instrument = trading.find(({ symbol }) => symbol === preferredSymbol) ?? trading[0] ?? null
  const says = `${answer.success.length} symbols, ${trading.length} of them trading`
  return {
    instrument,
    finding: instrument === null ? fault("symbols", says, "wait until the exchange trades again") : ok("symbols", says)
  }
})

const examineLimits = Effect.gen(function* () {
  const { limits, ordersStoppedMillis, stoppedMillis } = yield* (yield* RateLimits).forecast
  const counts = yield* Effect.result((yield* AccountFacts).orderCounts)
  // Of orders the exchange's own count is the better word.
  const ofOrders = Result.isSuccess(counts)
    ? counts.success.map(
        ({ count, interval, intervalNum, limit }) => `ORDERS ${count} of ${limit} in ${intervalNum} ${interval}`
      )
    : []
  const used = [
    ...limits.flatMap(({ limit, name, taken }) => {
      const [kind = "", millis] = name.split("/")
      return kind === "ORDERS" ? [] : [`${kind} ${taken} of ${limit} in ${Number(millis) / 1_000} s`]
    }),
    ...ofOrders
  ].join(", ")
  const stopped = Math.max(stoppedMillis, ordersStoppedMillis)
  if (stopped > 0) {
    const says = `the exchange wants no requests for ${Math.ceil(stopped / 1_000)} s`
    return fault("limits", says, "wait; find out which other program uses this address or these keys")
  }
  return Result.isFailure(counts)
    ? note("limits", `${used}; the unfilled orders were not told (${counts.failure.message})`, "try again")
    : ok("limits", used)
})

const examineFilters = Effect.fnUntraced(function* ({ filters, symbol }: Instrument) {
  const answer = yield* Effect.result((yield* AccountFacts).filters(symbol))
  const known = `${symbol} has ${filters.length} filters`
  const unknown = filters.filter((filter) => filter.type === "OTHER").map((filter) => filter.name)
  if (Result.isFailure(answer)) {
    return note("filters", `${known}; those of the account were not told (${answer.failure.message})`, "try again")
  }
  const assets = answer.success.assets.map(({ asset, limit }) => `at most ${Decimal.format(limit)} ${asset} an order`)
  return ok("filters", [known, ...assets, ...unknown.map((name) => `${name} is left to the exchange`)].join(", "))
})

const examineStream = Effect.gen(function* () {
  const stream = yield* UserStream
  const connected = yield* Deferred.make<void>()
  const listening = stream.run(({ _tag }) =>
    _tag === "Connected" ? Deferred.succeed(connected, undefined) : Effect.void
  )
  const outcome = yield* Effect.result(
    Effect.raceFirst(listening, Deferred.await(connected)).pipe(Effect.timeoutOption(streamPatience))
  )
  const remedy = "check binance.testnet.ws_api_url, and that a proxy in between lets WebSockets through"
  if (Result.isFailure(outcome))
    return fault("stream", `the subscription is refused (${outcome.failure.message})`, remedy)
  return outcome.success._tag === "Some"
    ? ok("stream", "the user stream is subscribed over the WebSocket API")
    : fault("stream", `no subscription within ${streamPatience}`, remedy)
})

const tryOrder = Effect.fnUntraced(function* (instrument: Instrument) {
  const tried = yield* Effect.result(
    Effect.gen(function* () {
      const { bid } = yield* (yield* BinanceClient).bookTicker(instrument.symbol)
      const request = smallOrder(instrument, bid)
      const [violation] = checkStatic(instrument, request)
      if (violation !== undefined) return `${violation.code} wants ${violation.limit}`
      yield* (yield* OrderChanges).test(request)
      return null
    })
  )
  if (Result.isFailure(tried)) {
    const says = `the exchange refuses a test order of ${instrument.symbol} (${tried.failure.message})`
    return fault("test order", says, "the reason stands in the exchange's words")
  }
  return tried.success === null
    ? ok("test order", `the exchange would take an order of ${instrument.symbol}`)
    : note("test order", `not tried: ${tried.success}`, "place one by hand")
})

/** Good till cancelled at the bid, for twice what the symbol wants at least. */
const smallOrder = (instrument: Instrument, bid: Decimal.Decimal): OrderRequest => {
  let least = testNotional
  let tick = Decimal.zero
  for (const filter of instrument.filters) {
    if (filter.type === "NOTIONAL" || filter.type === "MIN_NOTIONAL") {
      least = Decimal.multiply(filter.minNotional, testNotionalFactor)
    }
    if (filter.type === "PRICE_FILTER") tick = filter.tickSize
  }
  const price = floorTo(bid, tick)
  const step = stepOf(instrument)
  return {
    symbol: instrument.symbol,
    side: "BUY",
    type: "LIMIT",
    timeInForce: "GTC",
    quantity: Decimal.add(floorTo(Decimal.divide(least, price, 18), step), step),
    quoteQuantity: null,
    price,
    validUntil: null
  }
}
