/**
 * How many orders a second the log takes: each caller appends an OrderPlaced, waits until it is durable, and
 * goes on. Usage: node bench/append.ts DATABASE_URL [seconds] — of a migrated store, as a user that may be nexus_app.
 */
import { Effect, Layer, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { requestHashOf, seal } from "../src/domain/Envelope.ts"
import { decimal } from "../src/domain/Decimal.ts"
import type { OrderEvent, OrderRequest } from "../src/domain/Event.ts"
import { clientOrderIdOf, OrderId, StoreId } from "../src/domain/Ids.ts"
import { evolve, unplaced } from "../src/domain/Order.ts"
import { Database } from "../src/sql/Database.ts"
import { EventStore } from "../src/sql/EventStore.ts"

const lanes = 4
const [url = "", seconds = "4"] = process.argv.slice(2)

const request: OrderRequest = {
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: decimal("0.015"),
  quoteQuantity: null,
  price: decimal("61234.5"),
  validUntil: null
}
const requestHash = requestHashOf(request)
const storeId = StoreId.make(randomUUID())
const run = randomUUID().slice(0, 8)
let orders = 0

const placeOne = Effect.gen(function* () {
  const { append } = yield* EventStore
  const orderId = OrderId.make(`${run}-${++orders}`)
  const at = Date.now()
  const placed: OrderEvent = {
    _tag: "OrderPlaced",
    clientOrderId: clientOrderIdOf(storeId, orderId),
    request,
    instrumentVersion: 1,
    staleAt: at + 120_000
  }
  const commandId = `${orderId}-command`
  const provenance = { commandId, actor: "client", correlationId: commandId, causationId: null, traceParent: null }
  const events = seal({ streamId: orderId, version: 0, hash: "" }, [placed], provenance, at, () => `${commandId}/0`)
  return yield* append({
    streamId: orderId,
    expected: 0,
    commandId,
    events,
    previousHash: "",
    requestHash,
    order: { before: unplaced, after: evolve(unplaced, placed, at) },
    priority: "intake"
  })
})

const round = Effect.fnUntraced(function* (callers: number) {
  const store = yield* EventStore
  const end = performance.now() + Number(seconds) * 1000
  const before = yield* store.stats
  const started = performance.now()
  const cpu = process.cpuUsage()
  const latencies: Array<number> = []
  const caller = Effect.gen(function* () {
    while (performance.now() < end) {
      const from = performance.now()
      yield* placeOne
      latencies.push(performance.now() - from)
    }
  })
  yield* Effect.forEach(Array.from({ length: callers }), () => caller, { concurrency: "unbounded", discard: true })
  const took = (performance.now() - started) / 1000
  const { system, user } = process.cpuUsage(cpu)
  const after = yield* store.stats
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.floor(latencies.length * share)]!.toFixed(1)
  console.log(
    `${String(callers).padStart(4)} callers  ${Math.round(latencies.length / took)
      .toString()
      .padStart(7)} orders/s  ` +
      `p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  ` +
      `${((after.appends - before.appends) / (after.calls - before.calls)).toFixed(1)} orders/call  ` +
      `${((user + system) / latencies.length).toFixed(0)} µs of Node an order`
  )
})

const program = Effect.gen(function* () {
  for (const callers of [1, 16, 64, 256]) yield* round(callers)
}).pipe(
  Effect.provide(
    EventStore.layer({ lanes, node: "bench", laneQueueSize: 4_096, appendsInFlight: 2 }).pipe(
      Layer.provide(
        Database.layer({
          address: { url: Redacted.make(url) },
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
