/**
 * Arbitrary lives of one order: a sequence is a list of dice, read one by one as commands.
 *
 * `truthful` reads them against an exchange that tells the truth (late, twice and out of order), so every
 * invariant must hold. `nonsense` reads them as any command with any numbers, so only those must hold that do not
 * depend on what the exchange says.
 */
import { Arbitrary, Schema } from "effect"
import type { Command } from "../../src/domain/Command.ts"
import { decimal, format, multiply } from "../../src/domain/Decimal.ts"
import type { Order } from "../../src/domain/Order.ts"
import { isInDoubt } from "../../src/domain/Order.ts"
import { mergeReports } from "../../src/domain/reconcile.ts"
import {
  absence,
  cancel,
  doubt,
  expireStale,
  now,
  park,
  place,
  refuse,
  refuseCancel,
  report,
  request,
  reset,
  resolve,
  staleAt,
  start,
  trade,
  unpark
} from "./story.ts"
import { TruthfulExchange } from "./TruthfulExchange.ts"

const upTo = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

export interface Die {
  /** Which kind of thing happens. */
  readonly kind: number
  /** Which of its variants. */
  readonly pick: number
}

export const Sequence = Arbitrary.array(Arbitrary.all({ kind: upTo(99), pick: upTo(999) }), {
  minLength: 5,
  maxLength: 80
})

/** Reads one die against the order as it stands. Undefined: something happened that the order does not hear of. */
export type Reader = (order: Order, die: Die) => Command | undefined

const byQuote = {
  ...request,
  type: "MARKET",
  timeInForce: null,
  quantity: null,
  quoteQuantity: decimal("201"),
  price: null
} as const
const byStop = {
  ...request,
  type: "STOP_LOSS_LIMIT",
  stopPrice: decimal("101"),
  icebergQuantity: decimal("0.5"),
  selfTradePrevention: "EXPIRE_TAKER"
} as const
const resolutions = ["COMPLETED", "FAILED", "CANCELLED"] as const
// REJECTED: a stop order that was refused when it triggered.
const reasons = ["IOC", "INSUFFICIENT_LIQUIDITY", "OCO_TRIGGER", "EXCHANGE_CANCELED", "REJECTED"] as const

const placing = (pick: number): Command =>
  place({
    request: pick % 4 === 0 ? byQuote : pick % 4 === 1 ? byStop : request,
    denial: pick % 12 === 5 ? { code: "LIMIT", message: "too much" } : null
  })

type Happening = (order: Order, pick: number, exchange: TruthfulExchange) => Command | undefined

/** Something happens at the exchange that the order does not hear of yet. */
const unheard =
  (happen: (exchange: TruthfulExchange, pick: number, order: Order) => void): Happening =>
  (order, pick, exchange) => {
    happen(exchange, pick, order)
    return undefined
  }

const newest = (order: Order): number => order.attempt?.number ?? 0

/** The packet is refused or lost for good, and only then is that said. */
const settle =
  (said: (attempt: number, pick: number) => Command): Happening =>
  (order, pick, exchange) => {
    if (!isInDoubt(order) || exchange.packet !== "flying")
      return exchange.knowsOrder ? news(order, pick, exchange) : undefined
    exchange.drop()
    return said(newest(order), pick)
  }

// Sometimes two pieces of news wait for the order and are told as one.
const news: Happening = (_, pick, exchange) => {
  if (!exchange.knowsOrder) return undefined
  const one = exchange.rumour(pick)
  return {
    _tag: "RecordReport",
    at: now,
    report: pick % 4 === 0 ? mergeReports(one, exchange.rumour(Math.trunc(pick / 4))) : one
  }
}

/** How often out of a hundred, and what. */
const happenings: ReadonlyArray<readonly [number, Happening]> = [
  [3, (_, pick) => placing(pick)],
  [4, () => cancel],
  [
    16,
    (order, pick, exchange) => {
      // Sometimes before its time, and sometimes after its last moment.
      const at = pick % 10 === 0 ? now : pick % 40 === 1 ? staleAt : Math.max(now, order.nextAttemptAt)
      if (order.status === "PENDING" && !order.parked && at >= order.nextAttemptAt && at < order.staleAt)
        exchange.send()
      return start(at)
    }
  ],
  [1, (_, pick) => expireStale(pick % 2 === 0 ? staleAt : now)],
  [12, unheard((exchange, _, { request: sent }) => sent !== null && exchange.arrive(sent))],
  [9, unheard((exchange, pick) => exchange.match(pick % 3 === 0))],
  [2, unheard((exchange) => exchange.end("CANCELED", "NONE"))],
  [2, unheard((exchange, pick) => exchange.end(pick % 5 === 0 ? "EXPIRED_IN_MATCH" : "EXPIRED", reasons[pick % 5]!))],
  [18, news],
  [
    5,
    (_order, _pick, exchange) =>
      exchange.knowsOrder ? { _tag: "RecordReport", at: now, report: exchange.query() } : undefined
  ],
  [5, settle((attempt, pick) => refuse(now + (pick % 3), attempt))],
  [1, settle((attempt) => refuse(null, attempt))],
  [6, (order) => doubt(newest(order))],
  [4, settle((attempt) => absence(attempt))],
  // What an attempt that was settled long ago is said to have come to.
  [
    3,
    (order, pick) => {
      const older = newest(order) - 1
      return [refuse(null, older), doubt(older), absence(older), reset(older)][pick % 4]
    }
  ],
  [3, () => refuseCancel],
  [1, (order) => reset(newest(order))],
  [1, () => park],
  [2, () => unpark],
  [1, (_, pick) => resolve(resolutions[pick % 3]!)],
  [
    1,
    // The order was sent before this log was restored from an older copy.
    unheard((exchange, _, { attempt, request: sent, status }) => {
      if (status !== "PENDING" || attempt !== null || sent === null) return
      exchange.send()
      exchange.arrive(sent)
    })
  ]
]

const byKind = happenings.flatMap(([times, happening]) => Array.from({ length: times }, () => happening))

/** One exchange per sequence. */
export const truthful =
  (exchange = new TruthfulExchange()): Reader =>
  (order, { kind, pick }) =>
    order.status === null && kind < 90 ? placing(pick) : byKind[kind % byKind.length]!(order, pick, exchange)

const words = [
  "NEW",
  "PARTIALLY_FILLED",
  "FILLED",
  "CANCELED",
  "EXPIRED",
  "EXPIRED_IN_MATCH",
  "REJECTED",
  "A_WORD_OF_TOMORROW"
]

/** Quantities of 0 to 4 in halves, of an order for 2: often too few, often too many. */
const halves = (count: number): string => ["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4"][count % 9]!

export const nonsense =
  (): Reader =>
  (order, { kind, pick }) => {
    const attempt = newest(order) - 1 + (pick % 3)
    const at = now + (pick % 7) * 30_000
    const commands: ReadonlyArray<Command> = [
      placing(pick),
      place({ request: { ...request, side: "SELL" } }),
      cancel,
      start(at),
      start(order.nextAttemptAt),
      expireStale(at),
      report(
        words[pick % 8]!,
        halves(pick % 9),
        Array.from({ length: pick % 4 }, (_, index) => trade(`${(pick + index) % 6}`, halves(1 + (pick % 4)))),
        {
          exchangeOrderId: pick % 5 === 0 ? "43" : "42",
          expiryReason: reasons[pick % 5]!,
          executedQuote: multiply(decimal(halves(pick)), decimal("100"))
        }
      ),
      refuse(pick % 4 === 0 ? null : at, attempt),
      doubt(attempt),
      absence(attempt),
      refuseCancel,
      park,
      unpark,
      // An end that agrees with the fills so far, whatever was asked for.
      words[pick % 8] === "FILLED"
        ? report("FILLED", "2", [trade(`${pick % 6}`, "2")])
        : report(words[pick % 8]!, format(order.filledQuantity)),
      pick % 4 === 0 ? resolve(resolutions[pick % 3]!) : cancel
    ]
    return commands[kind % commands.length]
  }
