/**
 * Writes whole lives of orders into the log, as bench/relay.ts asks: as fast as it takes them, or at a rate.
 *
 * Five events a life in one append, one of which asks for work. At a rate the moment at which each append was answered is
 * written down, one line an event, so that whoever reads the topic can tell how long it took. Prints what it did as JSON.
 */
import { Effect, Layer, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { createWriteStream } from "node:fs"
import { decimal } from "../src/domain/Decimal.ts"
import { requestHashOf, seal } from "../src/domain/Envelope.ts"
import type { OrderEvent, OrderRequest } from "../src/domain/Event.ts"
import { clientOrderIdOf, OrderId, StoreId } from "../src/domain/Ids.ts"
import { evolve, unplaced } from "../src/domain/Order.ts"
import { toRecord } from "../src/kafka/wire.ts"
import { Database } from "../src/sql/Database.ts"
import { EventStore } from "../src/sql/EventStore.ts"

export interface LogPlan {
  readonly url: string
  readonly lanes: number
  readonly events: number
  /** Events a second; 0: as fast as it goes. */
  readonly rate: number
  /** Takes `order version milliseconds` a line, when there is a rate. */
  readonly commits: string
}

export interface Logged {
  readonly events: number
  readonly seconds: number
  /** Of an average record: key, value and headers. */
  readonly recordBytes: number
}

const eventsOfLife = 5
const callers = 128
const sampled = 500

const plan = JSON.parse(process.argv[2] ?? "{}") as LogPlan

const request: OrderRequest = {
  symbol: "BTCUSDT",
  side: "BUY",
  type: "MARKET",
  timeInForce: null,
  quantity: decimal("0.015"),
  quoteQuantity: null,
  price: null,
  validUntil: null
}
const requestHash = requestHashOf(request)
const storeId = StoreId.make(randomUUID())
const run = randomUUID().slice(0, 8)

const lifeOf = (orderId: OrderId, at: number): ReadonlyArray<OrderEvent> => {
  const clientOrderId = clientOrderIdOf(storeId, orderId)
  const quantity = decimal("0.015")
  const fill = {
    tradeId: "8174231",
    price: decimal("61234.5"),
    quantity,
    fee: decimal("0.000015"),
    feeAsset: "BTC",
    at
  }
  const exchangeOrderId = "712345678"
  return [
    { _tag: "OrderPlaced", clientOrderId, request, instrumentVersion: 1, staleAt: at + 120_000 },
    { _tag: "SubmissionStarted", attempt: 1, clientOrderId, timestamp: at, recvWindowMillis: 5_000 },
    {
      _tag: "SubmissionAccepted",
      attempt: 1,
      exchangeOrderId,
      exchangeStatus: "FILLED",
      transactTime: at,
      source: "answer"
    },
    { _tag: "OrderFilled", ...fill, source: "answer" },
    { _tag: "OrderCompleted", executedQuantity: quantity, executedQuote: decimal("918.5175"), source: "answer" }
  ]
}

const appendLife = Effect.fnUntraced(function* (number: number) {
  const { append } = yield* EventStore
  const orderId = OrderId.make(`${run}-${number}`)
  const at = Date.now()
  const life = lifeOf(orderId, at)
  const commandId = `${orderId}-command`
  const provenance = { commandId, actor: "client", correlationId: commandId, causationId: null, traceParent: null }
  let ids = 0
  const events = seal({ streamId: orderId, version: 0, hash: "" }, life, provenance, at, () => `${commandId}/${ids++}`)
  yield* append({
    streamId: orderId,
    expected: 0,
    commandId,
    events,
    previousHash: "",
    requestHash,
    order: { before: unplaced, after: life.reduce((order, event) => evolve(order, event, at), unplaced) },
    priority: "intake"
  })
  return orderId
})

const lives = Math.ceil(plan.events / eventsOfLife)

const asFastAsItGoes = Effect.suspend(() => {
  let next = 0
  const caller = Effect.gen(function* () {
    while (next < lives) yield* appendLife(next++)
  })
  return Effect.forEach(Array.from({ length: callers }), () => caller, { concurrency: "unbounded", discard: true })
})

/** Open loop: a life is due at a fixed moment, however long the ones before it take. */
const paced = Effect.suspend(() => {
  const lines = createWriteStream(plan.commits)
  const started = performance.now()
  const one = Effect.fnUntraced(function* (number: number) {
    const due = started + (number * eventsOfLife * 1_000) / plan.rate
    yield* Effect.sleep(Math.max(0, due - performance.now()))
    const orderId = yield* appendLife(number)
    const committed = performance.timeOrigin + performance.now()
    for (let version = 1; version <= eventsOfLife; version++) lines.write(`${orderId} ${version} ${committed}\n`)
  })
  return Effect.forEach(
    Array.from({ length: lives }, (_, number) => number),
    one,
    { concurrency: callers, discard: true }
  ).pipe(Effect.andThen(Effect.promise(() => new Promise<void>((resolve) => lines.end(resolve)))))
})

const program = Effect.gen(function* () {
  const store = yield* EventStore
  const started = performance.now()
  yield* plan.rate > 0 ? paced : asFastAsItGoes
  const seconds = (performance.now() - started) / 1_000
  const sample = yield* store.readLane(0, 0, sampled)
  const bytes = sample.map((event) => {
    const { headers, key, value } = toRecord(event, { storeId, generation: 1 })
    return [key, value, ...Object.entries(headers).flat()].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  })
  const logged: Logged = {
    events: lives * eventsOfLife,
    seconds,
    recordBytes: Math.round(bytes.reduce((sum, each) => sum + each, 0) / Math.max(1, bytes.length))
  }
  console.log(JSON.stringify(logged))
}).pipe(
  Effect.provide(
    EventStore.layer({ lanes: plan.lanes, node: "bench", laneQueueSize: 4_096, appendsInFlight: 2 }).pipe(
      Layer.provide(
        Database.layer({
          address: { url: Redacted.make(plan.url) },
          limits: {
            max_open_conns: 10,
            max_idle_conns: 5,
            statement_timeout_ms: 5_000,
            lock_timeout_ms: 2_000,
            idle_in_transaction_timeout_ms: 10_000
          }
        })
      )
    )
  )
)

await Effect.runPromise(program)
