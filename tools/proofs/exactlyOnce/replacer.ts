/**
 * A small trader that replaces orders by others and may die on the way, by kill -9 at a named point. Each has a
 * journal of its own: the attempt is written down and synced before its first byte is sent, its outcome when both
 * orders are settled. Started again it goes on from there: without an attempt it sends, with one it only asks.
 *
 *   replacer.ts EXCHANGE JOURNAL PLAN [JOURNAL PLAN …]
 *     PLAN  '{"mode":…, "cancelId":id, "old":{…}, "next":{…}, "recvWindowMillis":n,
 *                         "dies"?:"beforeJournal"|"afterJournal"|"afterAnswer"}'
 *
 * Keys come from the environment, as for Nexus. Says the outcomes as a list in JSON, in their order.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs"
import { Effect, Layer, Redacted } from "effect"
import { BinanceClient } from "../../../src/binance/BinanceClient.ts"
import { Breaker } from "../../../src/binance/Breaker.ts"
import { Gateway } from "../../../src/binance/Gateway.ts"
import { OrderChanges, type Replacement } from "../../../src/binance/OrderChanges.ts"
import { RateLimits } from "../../../src/binance/RateLimits.ts"
import { Requests } from "../../../src/binance/Requests.ts"
import { ServerTime } from "../../../src/binance/ServerTime.ts"
import { isSettled, type SettledReplacement, settleReplacement } from "../../../src/binance/settleReplacement.ts"
import { hmacSigner } from "../../../src/binance/sign.ts"
import { Transport } from "../../../src/binance/Transport.ts"
import { decimal, format } from "../../../src/domain/Decimal.ts"

export interface Plan {
  readonly mode: Replacement["mode"]
  readonly cancelId: string
  readonly old: { readonly symbol: string; readonly clientOrderId: string; readonly exchangeOrderId: string }
  readonly next: {
    readonly clientOrderId: string
    readonly side: "BUY" | "SELL"
    readonly price: string
    readonly quantity: string
  }
  readonly recvWindowMillis: number
  readonly dies?: "beforeJournal" | "afterJournal" | "afterAnswer"
}

/** What the trader holds to be true of both orders. */
export interface Told {
  readonly old: { readonly is: string; readonly status: string; readonly executed: string }
  readonly next: { readonly is: string; readonly status: string; readonly executed: string }
}

type Entry = { readonly attempt: { readonly timestamp: number } } | { readonly outcome: Told }

/** δ and T of the simulator; where the wait is taken out, a no counts from the first moment. */
const margins =
  process.env["PROOF_WITHOUT"] === "wait"
    ? { deltaMillis: -86_400_000, stalenessMillis: 0 }
    : { deltaMillis: 1_000, stalenessMillis: 1_000 }
const lookMillis = 250
/** Looks that may fail or leave doubt before the trader gives up, which is a failure of the proof. */
const looks = 240

/** Longer than the exchange holds an answer back. */
const timeoutMillis = 15_000

const [exchange = "", ...pairs] = process.argv.slice(2)
const apiKey = process.env["BINANCE_TESTNET_API_KEY"] ?? ""
const apiSecret = process.env["BINANCE_TESTNET_API_SECRET"] ?? ""

const entriesOf = (journal: string): ReadonlyArray<Entry> =>
  existsSync(journal)
    ? readFileSync(journal, "utf8")
        .split("\n")
        // A last line without its end was never finished, and nothing was sent after it.
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Entry)
    : []

const write = (journal: string, entry: Entry): void => {
  const file = openSync(journal, "a")
  writeSync(file, `${JSON.stringify(entry)}\n`)
  fsyncSync(file)
  closeSync(file)
}

const dieAt = (plan: Plan, point: Plan["dies"]) =>
  Effect.suspend(() => {
    if (plan.dies !== point) return Effect.void
    process.kill(process.pid, "SIGKILL")
    return Effect.never
  })

const replacementAt = (plan: Plan, timestamp: number): Replacement => ({
  cancel: plan.old,
  cancelId: plan.cancelId,
  mode: plan.mode,
  submission: {
    clientOrderId: plan.next.clientOrderId,
    request: {
      symbol: plan.old.symbol,
      side: plan.next.side,
      type: "LIMIT",
      timeInForce: "GTC",
      quantity: decimal(plan.next.quantity),
      quoteQuantity: null,
      price: decimal(plan.next.price),
      validUntil: null
    },
    timestamp,
    recvWindowMillis: plan.recvWindowMillis
  }
})

const half = (settled: SettledReplacement["old"] | SettledReplacement["next"]) => {
  const report = "report" in settled ? settled.report : "order" in settled ? settled.order.report : null
  return {
    is: settled._tag,
    status: report?.exchangeStatus ?? "",
    executed: report === null ? "0" : format(report.executedQuantity)
  }
}

/** Whatever the request answered: what is written down as its outcome is what the exchange shows of both ids. */
const settle = Effect.fnUntraced(function* (plan: Plan, timestamp: number) {
  const time = yield* ServerTime
  for (let look = 0; look < looks; look++) {
    const settled = yield* Effect.catch(settleReplacement(replacementAt(plan, timestamp), margins), ({ message }) =>
      Effect.as(
        Effect.sync(() => console.error(message)),
        null
      )
    )
    if (settled !== null && isSettled(settled)) return { old: half(settled.old), next: half(settled.next) }
    const notBefore = Math.max(
      ...[settled?.old, settled?.next].map((one) => (one?._tag === "InDoubt" ? one.notBefore : 0))
    )
    yield* Effect.sleep(Math.max(lookMillis, notBefore - (yield* time.now)))
  }
  return yield* Effect.die(new Error("both orders are still in doubt"))
})

const replace = Effect.fnUntraced(function* (journal: string, plan: Plan) {
  const changes = yield* OrderChanges
  const time = yield* ServerTime
  yield* time.ensure
  const permit = yield* changes.readyToReplace
  const timestamp = yield* time.now
  yield* dieAt(plan, "beforeJournal")
  write(journal, { attempt: { timestamp } })
  yield* dieAt(plan, "afterJournal")
  yield* Effect.catch(Effect.asVoid(changes.replace(replacementAt(plan, timestamp), permit)), ({ message }) =>
    Effect.sync(() => console.error(message))
  )
  yield* dieAt(plan, "afterAnswer")
  return timestamp
})

const goOn = Effect.fnUntraced(function* (journal: string, plan: Plan) {
  const known = entriesOf(journal)
  const settled = known.find((entry) => "outcome" in entry)
  if (settled !== undefined) return settled.outcome
  const attempt = known.find((entry) => "attempt" in entry)
  const outcome = yield* settle(plan, attempt?.attempt.timestamp ?? (yield* replace(journal, plan)))
  write(journal, { outcome })
  return outcome
})

const all: Array<readonly [journal: string, plan: Plan]> = []
for (let at = 0; at + 1 < pairs.length; at += 2) all.push([pairs[at]!, JSON.parse(pairs[at + 1]!) as Plan])

const program = Effect.forEach(all, ([journal, plan]) => goOn(journal, plan), { concurrency: "unbounded" }).pipe(
  Effect.provide(
    Layer.mergeAll(BinanceClient.layer, OrderChanges.layer).pipe(
      Layer.provideMerge(
        Requests.layer({
          keys: { apiKey: Redacted.make(apiKey), signer: hmacSigner(Redacted.make(apiSecret)) },
          recvWindowMillis: 5_000
        })
      ),
      Layer.provideMerge(ServerTime.layer),
      Layer.provideMerge(Gateway.layer),
      Layer.provideMerge(
        Layer.mergeAll(
          RateLimits.layer,
          Breaker.layer,
          Transport.layer({ baseUrl: exchange, timeoutMillis, maxConnections: 16 })
        )
      )
    )
  )
)

console.log(JSON.stringify(await Effect.runPromise(program)))
