/**
 * Orders as the engine would append them, made by hand: each step seals events on a stream and gives the entry
 * for the store together with the stream after it.
 */
import { Effect, HashSet, Layer, Redacted } from "effect"
import { Verify } from "../../src/audit/Verify.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { requestHashOf, seal } from "../../src/domain/Envelope.ts"
import type { AccountEvent, OrderEvent, OrderRequest } from "../../src/domain/Event.ts"
import { isOrderEvent } from "../../src/domain/Event.ts"
import { clientOrderIdOf, laneOf, OrderId, StoreId } from "../../src/domain/Ids.ts"
import { emptyStream, evolve, type OrderStream } from "../../src/domain/Order.ts"
import { Blotter } from "../../src/sql/Blotter.ts"
import { Database } from "../../src/sql/Database.ts"
import type { Append } from "../../src/sql/Append.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { LogScan } from "../../src/sql/LogScan.ts"
import { limitsForTests, templateLanes } from "../harness/template.ts"

const storeId = StoreId.make("7d4cf2a5-6f0f-4c7e-9a55-0d5d7d6f7a01")

export const someRequest: OrderRequest = {
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  quantity: decimal("0.015"),
  quoteQuantity: null,
  price: decimal("61234.5"),
  validUntil: null
}

export interface Step {
  readonly entry: Append
  readonly after: OrderStream
}

let commands = 0

/** What one command appends to `stream`. */
export const step = (
  orderId: string,
  stream: OrderStream,
  events: ReadonlyArray<OrderEvent | AccountEvent>,
  options: { readonly at?: number; readonly commandId?: string; readonly priority?: Append["priority"] } = {}
): Step => {
  const at = options.at ?? Date.now()
  const commandId = options.commandId ?? `command-${process.pid}-${(commands += 1)}`
  const order = events.filter(isOrderEvent).reduce((folded, event) => evolve(folded, event, at), stream.order)
  const sealed = seal(
    { streamId: orderId, version: stream.version, hash: stream.headHash },
    events,
    { commandId, actor: "client", correlationId: commandId, causationId: null, traceParent: null },
    at,
    (index) => `${commandId}/${index}`
  )
  const requestHash = stream.version === 0 && order.request !== null ? requestHashOf(order.request) : null
  return {
    entry: {
      streamId: orderId,
      expected: stream.version,
      commandId,
      events: sealed,
      previousHash: stream.headHash,
      requestHash,
      order: order.status === null ? null : { before: stream.order, after: order },
      priority: options.priority ?? "intake"
    },
    after: {
      order,
      version: stream.version + events.length,
      headHash: sealed.at(-1)?.hash ?? stream.headHash,
      requestHash: requestHash ?? stream.requestHash,
      commandIds: HashSet.add(stream.commandIds, commandId)
    }
  }
}

export const placed = (orderId: string, request: OrderRequest = someRequest, at = Date.now()): OrderEvent => ({
  _tag: "OrderPlaced",
  clientOrderId: clientOrderIdOf(storeId, OrderId.make(orderId)),
  request,
  instrumentVersion: 1,
  staleAt: at + 120_000
})

export const denied = (orderId: string): OrderEvent => ({
  _tag: "OrderDenied",
  clientOrderId: clientOrderIdOf(storeId, OrderId.make(orderId)),
  request: someRequest,
  code: "LIMIT_REACHED",
  message: "the limit of the day is reached"
})

/** Legal in every phase and as often as one likes. */
export const parked = (reason: string): OrderEvent => ({ _tag: "OrderParked", reason, record: "{}" })
export const unparked: OrderEvent = { _tag: "OrderUnparked", by: "operator", reason: "looked at" }

export const started = (orderId: string, attempt: number, at: number): OrderEvent => ({
  _tag: "SubmissionStarted",
  attempt,
  clientOrderId: clientOrderIdOf(storeId, OrderId.make(orderId)),
  timestamp: at,
  recvWindowMillis: 5_000
})

export const accepted = (attempt: number, at: number): OrderEvent => ({
  _tag: "SubmissionAccepted",
  attempt,
  exchangeOrderId: "4711",
  exchangeStatus: "NEW",
  transactTime: at,
  source: "answer"
})

export const filled = (tradeId: string, quantity: string, at: number): OrderEvent => ({
  _tag: "OrderFilled",
  tradeId,
  price: decimal("61230.25"),
  quantity: decimal(quantity),
  fee: decimal("0.00001"),
  feeAsset: "BNB",
  at,
  source: "stream"
})

export const completed = (quantity: string, quote: string): OrderEvent => ({
  _tag: "OrderCompleted",
  executedQuantity: decimal(quantity),
  executedQuote: decimal(quote),
  source: "stream"
})

export const place = (orderId: string, request: OrderRequest = someRequest): Step =>
  step(orderId, emptyStream, [placed(orderId, request)])

/** The first `count` ids with this prefix whose streams are in `lane`. */
export const idsIn = (lane: number, prefix: string, count: number): ReadonlyArray<string> => {
  const ids: Array<string> = []
  for (let n = 0; ids.length < count; n++)
    if (laneOf(`${prefix}-${n}`, templateLanes) === lane) ids.push(`${prefix}-${n}`)
  return ids
}

/** A store on the database of this URL, as a process of its own would have it. */
export const storeOn = (url: string, options: { readonly node?: string; readonly laneQueueSize?: number } = {}) =>
  Layer.mergeAll(
    EventStore.layer({
      lanes: templateLanes,
      node: options.node ?? "test",
      laneQueueSize: options.laneQueueSize ?? 4_096,
      appendsInFlight: 2
    }),
    Blotter.layer,
    Verify.layer.pipe(Layer.provide(LogScan.layer))
  ).pipe(Layer.provideMerge(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests })))

export const audit = Effect.flatMap(Verify, ({ verify }) => verify)

export const appendStep = ({ entry }: Step) => Effect.flatMap(EventStore, (store) => store.append(entry))
