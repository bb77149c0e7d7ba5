/**
 * An exchange that answers submissions with named outcomes in the order given, in place of the whole binance room.
 *
 * It keeps a true ledger: what an outcome says was accepted stands there, queries and cancels are answered from it,
 * and a judge counts executions on it. Two rules of the real exchange hold whatever the script says: a packet past its
 * window is refused (-1021), and an id that is open already is refused as a duplicate. Time is the Clock of the test.
 */
import { Clock, Context, Effect, Layer, Queue } from "effect"
import type { Account, Submission } from "../src/binance/BinanceClient.ts"
import { BinanceClient } from "../src/binance/BinanceClient.ts"
import type { Reason } from "../src/binance/BinanceError.ts"
import {
  BinanceError,
  DuplicateOrder,
  NotSent,
  OrderUnknown,
  OutcomeUnknown,
  RateLimited,
  Refused
} from "../src/binance/BinanceError.ts"
import { Breaker } from "../src/binance/Breaker.ts"
import type { Permit } from "../src/binance/Gateway.ts"
import { RateLimits } from "../src/binance/RateLimits.ts"
import { ServerTime } from "../src/binance/ServerTime.ts"
import type { UserEvent } from "../src/binance/UserStream.ts"
import { UserStream } from "../src/binance/UserStream.ts"
import * as Decimal from "../src/domain/Decimal.ts"
import { Instrument } from "../src/domain/Instrument.ts"
import type { Entry, LedgerOrder } from "./ScriptedLedger.ts"
import { makeLedger } from "./ScriptedLedger.ts"

/** What an accepted order does at once. */
export type Acceptance =
  | { readonly _tag: "Rests" }
  /** Trades these parts of the quantity, in 1/100; 100 in all is filled. */
  | { readonly _tag: "Trades"; readonly percents: ReadonlyArray<number> }
  /** Ends with nothing executed, as an IOC does that meets nobody. */
  | { readonly _tag: "Expires" }

export type Outcome =
  | Acceptance
  | { readonly _tag: "Answers"; readonly reason: Reason }
  /** Accepted, and the answer never comes. */
  | { readonly _tag: "AnswerLost"; readonly becomes: Acceptance }
  /** The answer is lost at once; accepted only after so long. */
  | { readonly _tag: "AcceptedLate"; readonly millis: number; readonly becomes: Acceptance }
  /** Whatever it is, its answer takes so long. */
  | { readonly _tag: "Slowly"; readonly millis: number; readonly outcome: Outcome }
  /** An earlier packet of ours was there first. */
  | { readonly _tag: "Duplicate"; readonly becomes: Acceptance }

export const rests: Acceptance = { _tag: "Rests" }
export const filled: Acceptance = { _tag: "Trades", percents: [100] }
export const filledInTwoTrades: Acceptance = { _tag: "Trades", percents: [40, 60] }
export const partlyFilled = (...percents: ReadonlyArray<number>): Acceptance => ({ _tag: "Trades", percents })
export const expires: Acceptance = { _tag: "Expires" }
export const accepted = rests

/** Refused for good, unless the exchange says this code of a moment: then `repeatable`. */
export const refused = (
  code: string,
  message = "Account has insufficient balance for requested action.",
  repeatable = false
): Outcome => ({ _tag: "Answers", reason: new Refused({ code, exchangeMessage: message, repeatable }) })
export const rateLimited = (retryAfterMillis = 1_000): Outcome => ({
  _tag: "Answers",
  reason: new RateLimited({ code: "-1015", retryAfterMillis, exchangeMessage: "Too many new orders." })
})
export const notSent: Outcome = { _tag: "Answers", reason: new NotSent({ cause: new Error("no connection") }) }
const lost = new OutcomeUnknown({ cause: new Error("the answer was lost") })
/** Lost before acceptance: the exchange never heard of it. */
export const neverArrived: Outcome = { _tag: "Answers", reason: lost }
export const answerLost = (becomes: Acceptance = filled): Outcome => ({ _tag: "AnswerLost", becomes })
export const acceptedLate = (millis: number, becomes: Acceptance = filled): Outcome => ({
  _tag: "AcceptedLate",
  millis,
  becomes
})
export const slowly = (millis: number, outcome: Outcome): Outcome => ({ _tag: "Slowly", millis, outcome })
export const duplicateOrder = (becomes: Acceptance = rests): Outcome => ({ _tag: "Duplicate", becomes })

/** What a cancel meets: carried out unless the test says else. */
export type CancelOutcome =
  | { readonly _tag: "Answers"; readonly reason: Reason }
  /** Carried out, and the answer never comes. */
  | { readonly _tag: "AnswerLost" }
  /** Filled just before, so that the exchange knows no open order any more. */
  | { readonly _tag: "FilledFirst" }

type News = "live" | "lost" | "held"

/** What a test sees of the scripted exchange, and does with it. */
export class ExchangeScript extends Context.Service<
  ExchangeScript,
  {
    /** Every order that the exchange has accepted by now, oldest first. */
    readonly ledger: Effect.Effect<ReadonlyArray<LedgerOrder>>
    /** Every submission that was sent, whatever became of it. */
    readonly submissions: Effect.Effect<ReadonlyArray<Submission>>
    /** How often each kind of question was asked. */
    readonly asked: Effect.Effect<Readonly<Record<string, number>>>
    /** From which moments on all orders were asked for. */
    readonly listedFrom: Effect.Effect<ReadonlyArray<number>>
    readonly script: (...outcomes: ReadonlyArray<Outcome>) => Effect.Effect<void>
    readonly nextCancel: (outcome: CancelOutcome) => Effect.Effect<void>
    /** What the next questions for one order are answered, whatever the ledger says. */
    readonly nextQueries: (...reasons: ReadonlyArray<Reason>) => Effect.Effect<void>
    /** Forgets all orders and trades. */
    readonly reset: Effect.Effect<void>
    /** The exchange knows this symbol no more: whatever is asked about it is refused. */
    readonly delist: (symbol: string) => Effect.Effect<void>
    /** What the account holds. */
    readonly hold: (balances: Account["balances"]) => Effect.Effect<void>
    /** Somebody trades with a resting order; all that is left of it unless a quantity is given. */
    readonly fill: (clientOrderId: string, quantity?: string) => Effect.Effect<void>
    readonly expire: (clientOrderId: string) => Effect.Effect<void>
    /** An order under this id that this store never sent. */
    readonly acceptForeign: (clientOrderId: string, like: Submission["request"]) => Effect.Effect<void>
    /** News for the user stream, as it stands. */
    readonly push: (event: UserEvent) => Effect.Effect<void>
    /** live: news flows; lost: the stream is away; held: kept for `heldNews`. Going live says Connected. */
    readonly news: (how: News) => Effect.Effect<void>
    /** Takes what was held. */
    readonly heldNews: Effect.Effect<ReadonlyArray<UserEvent>>
    /** Reads see the ledger as it was so long ago; 0 ends it. */
    readonly lagReads: (millis: { readonly orders: number; readonly trades: number }) => Effect.Effect<void>
    /** Nothing can be sent and no question is answered, until it comes back. */
    readonly goAway: Effect.Effect<void>
    readonly comeBack: Effect.Effect<void>
  }
>()("nexus/test/ExchangeScript") {}

export interface ScriptedOptions {
  /** What comes once the script is over; a market that stands at 60,000 unless said. */
  readonly afterwards?: Outcome
  readonly accountUid?: string
  /** Away from the start, until it comes back. */
  readonly startsAway?: boolean
}

/** In place of BinanceClient, UserStream and ServerTime; ExchangeScript is the test's hand on it. It has no limits. */
export const ScriptedExchange = (outcomes: ReadonlyArray<Outcome>, options: ScriptedOptions = {}) =>
  Layer.mergeAll(answering(outcomes, options), RateLimits.layer, Breaker.layer)

const answering = (outcomes: ReadonlyArray<Outcome>, options: ScriptedOptions) =>
  Layer.effectContext(
    Effect.sync(() => {
      const ledger = makeLedger()
      const script = [...outcomes]
      const cancels: Array<CancelOutcome> = []
      const queries: Array<Reason> = []
      const listedFrom: Array<number> = []
      let balances: Account["balances"] = []
      const submissions: Array<Submission> = []
      const asked: Record<string, number> = {}
      const listeners = new Set<Queue.Queue<UserEvent>>()
      const held: Array<UserEvent> = []
      let mode: News = "live"
      let lag = { orders: 0, trades: 0 }
      let isAway = options.startsAway ?? false
      const delisted = new Set<string>()

      const push = (event: UserEvent) =>
        Effect.sync(() => {
          for (const listener of listeners) Queue.offerUnsafe(listener, event)
        })

      // Of an order that is accepted later nobody tells: the query must find it.
      const tellNews = Effect.fnUntraced(function* (entry: Entry) {
        const now = yield* Clock.currentTimeMillis
        const trade = entry.trades.filter(({ at }) => at === entry.states.at(-1)!.at).slice(-1)
        const report = ledger.reportOf(entry, now, "stream", trade)
        if (report === null || mode === "lost") return
        const [found] = ledger.found(entry, now)
        const event: UserEvent = { _tag: "Report", ...found!, report }
        if (mode === "live") yield* push(event)
        else held.push(event)
      })

      const question = Effect.fnUntraced(function* (name: string, symbol = "") {
        asked[name] = (asked[name] ?? 0) + 1
        if (isAway) return yield* failure(name, new NotSent({ cause: new Error("no connection") }))
        if (delisted.has(symbol)) {
          const reason = new Refused({ code: "-1121", exchangeMessage: "Invalid symbol.", repeatable: false })
          return yield* failure(name, reason)
        }
        const now = yield* Clock.currentTimeMillis
        return { now, ordersAt: now - lag.orders, tradesAt: now - lag.trades }
      })

      const accept = Effect.fnUntraced(function* (submission: Submission, becomes: Acceptance, at: number) {
        const entry = ledger.accept(submission.clientOrderId, submission.request, at)
        yield* tellNews(entry)
        if (becomes._tag === "Expires") {
          ledger.end(entry, "EXPIRED", "NO_LIQUIDITY", at)
          yield* tellNews(entry)
        }
        if (becomes._tag !== "Trades") return entry
        const total = becomes.percents.reduce((sum, percent) => sum + percent, 0)
        for (const [index, percent] of becomes.percents.entries()) {
          const isLast = total === 100 && index === becomes.percents.length - 1
          const part = Decimal.multiply(entry.quantity, Decimal.divide(Decimal.decimal(`${percent}`), hundred, 4))
          ledger.fill(entry, isLast ? null : part, at)
          yield* tellNews(entry)
        }
        return entry
      })

      const answer = Effect.fnUntraced(function* (
        submission: Submission,
        outcome: Outcome
      ): Effect.fn.Return<Entry, BinanceError> {
        const now = yield* Clock.currentTimeMillis
        const fail = (reason: Reason) => failure("placeOrder", reason)
        switch (outcome._tag) {
          case "Answers":
            return yield* fail(outcome.reason)
          case "AnswerLost":
            yield* accept(submission, outcome.becomes, now)
            return yield* fail(lost)
          case "AcceptedLate":
            yield* accept(submission, outcome.becomes, now + outcome.millis)
            return yield* fail(lost)
          case "Duplicate":
            yield* accept(submission, outcome.becomes, now)
            return yield* fail(new DuplicateOrder({}))
          case "Slowly":
            yield* Effect.sleep(outcome.millis)
            return yield* answer(submission, outcome.outcome)
          default:
            return yield* accept(submission, outcome, now)
        }
      })

      const placeOrder = Effect.fnUntraced(function* (submission: Submission) {
        const { now } = yield* question("placeOrder")
        submissions.push(submission)
        const { clientOrderId, recvWindowMillis, timestamp } = submission
        if (now > timestamp + recvWindowMillis) {
          const exchangeMessage = "Timestamp for this request is outside of the recvWindow."
          return yield* failure("placeOrder", new Refused({ code: "-1021", exchangeMessage, repeatable: true }))
        }
        const before = ledger.newest(clientOrderId, now)
        if (before !== undefined && ledger.isOpenAt(before, now)) {
          return yield* failure("placeOrder", new DuplicateOrder({}))
        }
        const entry = yield* answer(submission, script.shift() ?? options.afterwards ?? byTheMarket(submission.request))
        return ledger.reportOf(entry, yield* Clock.currentTimeMillis, "answer", entry.trades)!
      })

      const cancelOrder = Effect.fnUntraced(function* ({ clientOrderId }: { readonly clientOrderId: string }) {
        const { now } = yield* question("cancelOrder")
        const outcome = cancels.shift()
        if (outcome?._tag === "Answers") return yield* failure("cancelOrder", outcome.reason)
        const entry = ledger.newest(clientOrderId, now)
        if (entry !== undefined && outcome?._tag === "FilledFirst") {
          ledger.fill(entry, null, now)
          yield* tellNews(entry)
        }
        if (entry === undefined || !ledger.isOpenAt(entry, now)) {
          return yield* failure("cancelOrder", new OrderUnknown({ code: "-2011" }))
        }
        ledger.end(entry, "CANCELED", "NONE", now)
        yield* tellNews(entry)
        if (outcome?._tag === "AnswerLost") return yield* failure("cancelOrder", lost)
        return ledger.reportOf(entry, now, "answer", [])!
      })

      const entryOf = Effect.fnUntraced(function* (clientOrderId: string) {
        const now = yield* Clock.currentTimeMillis
        const entry = ledger.newest(clientOrderId, now)
        if (entry === undefined) return yield* Effect.die(new Error(`the exchange has no order ${clientOrderId}`))
        return { entry, now }
      })

      const client = BinanceClient.of({
        ping: Effect.asVoid(question("ping")),
        time: Effect.map(question("time"), ({ now }) => now),
        exchangeInfo: Effect.as(question("exchangeInfo"), instruments),
        tickerPrice: () => Effect.as(question("tickerPrice"), { price: sixtyThousand }),
        bookTicker: () =>
          Effect.as(question("bookTicker"), {
            bid: sixtyThousand,
            bidQuantity: hundred,
            ask: sixtyThousand,
            askQuantity: hundred
          }),
        account: Effect.map(question("account"), () => ({
          uid: options.accountUid ?? "4711",
          canTrade: true,
          balances
        })),
        readyToSubmit: Effect.as(question("readyToSubmit"), permit),
        giveBack: () => Effect.sync(() => void (asked["giveBack"] = (asked["giveBack"] ?? 0) + 1)),
        placeOrder,
        cancelOrder,
        queryOrder: Effect.fnUntraced(function* ({ clientOrderId, symbol }) {
          const { ordersAt } = yield* question("queryOrder", symbol)
          const answer = queries.shift()
          if (answer !== undefined) return yield* failure("queryOrder", answer)
          const entry = ledger.newest(clientOrderId, ordersAt)
          const [found] = entry === undefined ? [] : ledger.found(entry, ordersAt)
          return found ?? (yield* failure("queryOrder", new OrderUnknown({ code: "-2013" })))
        }),
        queryByExchangeId: Effect.fnUntraced(function* ({ exchangeOrderId, symbol }) {
          const { ordersAt } = yield* question("queryByExchangeId", symbol)
          const [found] = ledger.entries
            .flatMap((entry) => ledger.found(entry, ordersAt))
            .filter(({ report }) => report.exchangeOrderId === exchangeOrderId)
          return found ?? (yield* failure("queryByExchangeId", new OrderUnknown({ code: "-2013" })))
        }),
        openOrders: Effect.fnUntraced(function* (symbol) {
          const { ordersAt } = yield* question("openOrders", symbol)
          return ledger.entries
            .filter(({ request }) => !delisted.has(request.symbol) && (symbol ?? request.symbol) === request.symbol)
            .filter((entry) => ledger.isOpenAt(entry, ordersAt))
            .flatMap((entry) => ledger.found(entry, ordersAt))
        }),
        allOrders: Effect.fnUntraced(function* ({ limit = 500, orderId, startTime = 0, symbol }) {
          const { ordersAt } = yield* question("allOrders", symbol)
          if (orderId !== undefined && !/^\d+$/.test(orderId)) {
            const exchangeMessage = "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'."
            return yield* failure("allOrders", new Refused({ code: "-1100", exchangeMessage, repeatable: false }))
          }
          if (orderId === undefined) listedFrom.push(startTime)
          return ledger.entries
            .filter((entry) => entry.request.symbol === symbol && entry.states[0]!.at >= startTime)
            .filter((entry) => orderId === undefined || BigInt(entry.exchangeOrderId) >= BigInt(orderId))
            .flatMap((entry) => ledger.found(entry, ordersAt))
            .slice(0, limit)
        }),
        myTrades: Effect.fnUntraced(function* ({ exchangeOrderId, fromId, limit = 500, startTime = 0, symbol }) {
          const { tradesAt } = yield* question("myTrades", symbol)
          return ledger.entries
            .filter((entry) => entry.request.symbol === symbol)
            .filter((entry) => exchangeOrderId === undefined || entry.exchangeOrderId === exchangeOrderId)
            .flatMap(({ trades }) => trades)
            .filter(({ at, tradeId }) => at <= tradesAt && at >= startTime && BigInt(tradeId) >= BigInt(fromId ?? "0"))
            .slice(0, limit)
        }),
        health: Effect.sync(() => (isAway ? "does not answer: orders wait until it does" : null))
      })

      const stream = UserStream.of({
        run: (onEvent) =>
          Effect.scoped(
            Effect.gen(function* () {
              const queue = yield* Queue.unbounded<UserEvent>()
              yield* Effect.acquireRelease(
                Effect.sync(() => listeners.add(queue)),
                () => Effect.sync(() => listeners.delete(queue))
              )
              if (mode === "live") yield* onEvent({ _tag: "Connected" })
              while (true) yield* onEvent(yield* Queue.take(queue))
            })
          )
      })

      const serverTime = ServerTime.of({
        now: Clock.currentTimeMillis,
        pessimisticNow: Clock.currentTimeMillis,
        offset: Effect.succeed(0),
        errorBound: Effect.succeed(0),
        sync: Effect.asVoid(question("time")),
        ensure: Effect.void,
        answers: Effect.succeed(true)
      })

      const hand = ExchangeScript.of({
        ledger: Effect.map(Clock.currentTimeMillis, (now) => ledger.orders(now)),
        submissions: Effect.sync(() => [...submissions]),
        asked: Effect.sync(() => ({ ...asked })),
        listedFrom: Effect.sync(() => [...listedFrom]),
        script: (...more) => Effect.sync(() => void script.push(...more)),
        nextCancel: (outcome) => Effect.sync(() => void cancels.push(outcome)),
        nextQueries: (...reasons) => Effect.sync(() => void queries.push(...reasons)),
        reset: Effect.sync(() => ledger.reset()),
        delist: (symbol) => Effect.sync(() => void delisted.add(symbol)),
        hold: (next) => Effect.sync(() => void (balances = next)),
        fill: Effect.fnUntraced(function* (clientOrderId: string, quantity?: string) {
          const { entry, now } = yield* entryOf(clientOrderId)
          ledger.fill(entry, quantity === undefined ? null : Decimal.decimal(quantity), now)
          yield* tellNews(entry)
        }),
        expire: Effect.fnUntraced(function* (clientOrderId: string) {
          const { entry, now } = yield* entryOf(clientOrderId)
          ledger.end(entry, "EXPIRED", "NONE", now)
          yield* tellNews(entry)
        }),
        acceptForeign: Effect.fnUntraced(function* (clientOrderId, like) {
          ledger.accept(clientOrderId, like, yield* Clock.currentTimeMillis)
        }),
        push,
        news: (how) =>
          Effect.suspend(() => {
            const wasLive = mode === "live"
            mode = how
            return how === "live" && !wasLive ? push({ _tag: "Connected" }) : Effect.void
          }),
        heldNews: Effect.sync(() => held.splice(0)),
        lagReads: (millis) => Effect.sync(() => void (lag = { ...millis })),
        goAway: Effect.sync(() => void (isAway = true)),
        comeBack: Effect.sync(() => void (isAway = false))
      })

      return Context.make(BinanceClient, client).pipe(
        Context.add(UserStream, stream),
        Context.add(ServerTime, serverTime),
        Context.add(ExchangeScript, hand)
      )
    })
  )

const byTheMarket = ({ price, side, timeInForce }: Submission["request"]): Acceptance => {
  if (price === null) return filled
  const crosses = side === "BUY" ? !Decimal.isLess(price, sixtyThousand) : !Decimal.isGreater(price, sixtyThousand)
  if (crosses) return filled
  return timeInForce === "IOC" || timeInForce === "FOK" ? expires : rests
}

const hundred = Decimal.decimal("100")
const sixtyThousand = Decimal.decimal("60000")

const failure = (endpoint: string, reason: Reason) => Effect.fail(new BinanceError({ endpoint, reason }))

const permit: Permit = {
  endpoint: { method: "POST", path: "scripted", kind: "submit", weight: 1 },
  allowance: { kind: "submit", weight: 1, permittedAt: 0, ended: false },
  line: { send: () => Effect.never, release: Effect.void, isOpen: () => true },
  reservedAt: 0
}

const instrument = (symbol: string, baseAsset: string) =>
  Instrument.make({
    symbol,
    status: "TRADING",
    baseAsset,
    quoteAsset: "USDT",
    baseAssetPrecision: 8,
    quoteAssetPrecision: 8,
    orderTypes: ["LIMIT", "LIMIT_MAKER", "MARKET"],
    icebergAllowed: true,
    quoteOrderQtyMarketAllowed: true,
    filters: [
      {
        type: "LOT_SIZE",
        minQty: Decimal.decimal("0.00001"),
        maxQty: Decimal.decimal("9000"),
        stepSize: Decimal.decimal("0.00001")
      },
      {
        type: "PRICE_FILTER",
        minPrice: Decimal.decimal("0.01"),
        maxPrice: Decimal.decimal("1000000"),
        tickSize: Decimal.decimal("0.01")
      }
    ]
  })

const instruments = [instrument("BTCUSDT", "BTC"), instrument("ETHUSDT", "ETH"), instrument("BNBUSDT", "BNB")]
