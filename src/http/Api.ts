/**
 * The contract: every path, what it takes, what it answers. The OpenAPI document and typed clients come
 * from here, out of the schemas that validate requests; the server's hot paths are in Orders.ts.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { OrderId } from "../domain/Ids.ts"
import { Filter } from "../domain/Instrument.ts"
import { statuses } from "../domain/Order.ts"
import { CancelAllView } from "./CancelAll.ts"
import { OrderDetail } from "./DoubtView.ts"
import { OrderBody, Symbol } from "./OrderBody.ts"
import { defaultLimit, maxLimit } from "./OrderList.ts"
import { OrderView } from "./OrderView.ts"
import { Problem } from "./Problem.ts"
import { ReconciliationView } from "./ReconciliationView.ts"

const Order = OrderView.annotate({ identifier: "Order" })
const Detail = OrderDetail.annotate({ identifier: "OrderDetail" })
const Failure = Problem.annotate({ identifier: "Problem" })

const failure = (status: 400 | 403 | 404 | 405 | 409 | 413 | 414 | 415 | 422 | 500 | 503, description: string) =>
  Failure.pipe(
    HttpApiSchema.status(status),
    HttpApiSchema.asJson({ contentType: "application/problem+json" })
  ).annotate({
    description
  })

const malformed = failure(400, "Malformed: `checks` names every fault, its field and what would pass.")
const foreign = failure(403, "The Host or Origin header belongs to another site.")
const noOrder = failure(404, "No order has this id.")
const conflict = failure(409, "ORDER_ID_TAKEN: the id has another body. TOO_LATE: the order has ended.")
const tooLarge = failure(413, "The body is larger than `http.max_body_bytes`.")
const notJson = failure(415, "Only application/json in UTF-8.")
const denied = failure(422, "Understood, but a filter of the exchange or a rule says no. Nothing was recorded.")
const tryLater = failure(503, "Nothing is decided that the same request would not resolve; see Retry-After.")

const Time = Schema.String.annotate({ format: "date-time" })
const Amount = Schema.NullOr(Schema.Finite)

export const EventView = Schema.Struct({
  event_id: Schema.String,
  order_id: OrderId,
  version: Schema.Int,
  lane: Schema.Int,
  position: Schema.Int,
  type: Schema.String,
  schema_version: Schema.Int,
  occurred_at: Time,
  recorded_at: Time,
  actor: Schema.String,
  correlation_id: Schema.String,
  causation_id: Schema.NullOr(Schema.String),
  command_id: Schema.String,
  trace_parent: Schema.NullOr(Schema.String),
  previous_hash: Schema.String,
  hash: Schema.String,
  /** Decimals are text here, as in the log. */
  data: Schema.Record(Schema.String, Schema.Unknown)
})

export const SymbolView = Schema.Struct({
  symbol: Symbol,
  last: Amount,
  bid: Amount,
  ask: Amount,
  age_ms: Schema.NullOr(Schema.Int).annotateKey({
    description: "How old last, bid and ask are; null: the exchange did not answer."
  }),
  status: Schema.String,
  base_asset: Schema.String,
  quote_asset: Schema.String,
  base_asset_precision: Schema.Int,
  quote_asset_precision: Schema.Int,
  order_types: Schema.Array(Schema.String),
  quote_quantity_allowed: Schema.Boolean,
  filters: Schema.Array(Filter).annotateKey({ description: "By the exchange's names; decimals as text." })
})

export const BalanceView = Schema.Struct({
  asset: Schema.String,
  free: Schema.Finite,
  locked: Schema.Finite,
  at: Time.annotateKey({ description: "When this was true at the latest." })
})

export const Health = Schema.Struct({ status: Schema.Literal("healthy"), time: Time })

export const Ready = Schema.Struct({
  status: Schema.Literals(["ready", "not_ready"]),
  time: Time,
  reason: Schema.NullOr(Schema.String),
  /** What is down and changes no status code: orders wait for it. */
  degraded: Schema.Array(Schema.Struct({ part: Schema.String, detail: Schema.String })),
  /** How the exchange stands to this process; null: it has no part in that. */
  exchange: Schema.NullOr(
    Schema.Struct({
      next_submit_ms: Schema.Int,
      next_cancel_ms: Schema.Int,
      next_query_ms: Schema.Int,
      stopped_ms: Schema.Int,
      circuit: Schema.Literals(["closed", "open", "half-open"]),
      clock_offset_ms: Schema.Int,
      clock_error_ms: Schema.Int
    })
  ).annotate({
    description:
      "Milliseconds until the next request of a kind could go by the exchange's limits; whether it wants to hear " +
      "nothing of us; and its clock less ours, with the bound of the error."
  })
})

const orders = HttpApiGroup.make("orders").add(
  HttpApiEndpoint.post("placeOrder", "/api/v1/orders", {
    headers: {
      "idempotency-key": Schema.optionalKey(
        OrderId.annotateKey({ description: "The order's id, when the body has none." })
      )
    },
    payload: OrderBody,
    success: [
      Order.pipe(HttpApiSchema.status(202)).annotate({ description: "Durable, and on its way to the exchange." }),
      Order.annotate({ description: "The id exists with the same body: the order as it is now." })
    ],
    error: [malformed, foreign, conflict, tooLarge, notJson, denied, tryLater]
  }),
  HttpApiEndpoint.get("listOrders", "/api/v1/orders", {
    query: {
      status: Schema.optionalKey(
        Schema.String.annotateKey({
          description: `${statuses.join(", ")}, open, closed, all, or several with commas.`
        })
      ),
      symbol: Schema.optionalKey(Symbol),
      limit: Schema.optionalKey(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maxLimit })).annotateKey({
          description: `${defaultLimit} when absent.`
        })
      ),
      order: Schema.optionalKey(
        Schema.Literals(["asc", "desc"]).annotateKey({ description: "By time placed; desc when absent." })
      ),
      cursor: Schema.optionalKey(Schema.String.annotateKey({ description: "X-Next-Cursor of the page before." }))
    },
    success: Schema.Array(Order),
    error: [malformed, foreign, tryLater]
  }),
  HttpApiEndpoint.get("getOrder", "/api/v1/orders/:id", {
    params: { id: OrderId },
    success: Detail,
    error: [malformed, foreign, noOrder, tryLater]
  }),
  HttpApiEndpoint.delete("cancelOrders", "/api/v1/orders", {
    query: {
      symbol: Schema.optionalKey(Symbol.annotateKey({ description: "Whose open orders are cancelled." })),
      confirm: Schema.optionalKey(
        Schema.Literal("all").annotateKey({ description: "Instead of a symbol: the open orders of all symbols." })
      )
    },
    success: CancelAllView.annotate({ description: "What came of each order. May be repeated." }),
    error: [malformed, foreign, failure(404, "The exchange has no such symbol."), tryLater]
  }),
  HttpApiEndpoint.delete("cancelOrder", "/api/v1/orders/:id", {
    params: { id: OrderId },
    success: [
      Order.pipe(HttpApiSchema.status(202)).annotate({ description: "The wish is durable; the exchange decides." }),
      Order.annotate({ description: "Cancelled." })
    ],
    error: [malformed, foreign, noOrder, conflict, tryLater]
  }),
  HttpApiEndpoint.get("getOrderEvents", "/api/v1/orders/:id/events", {
    params: { id: OrderId },
    success: Schema.Array(EventView),
    error: [malformed, foreign, noOrder, tryLater]
  })
)

const symbols = HttpApiGroup.make("symbols").add(
  HttpApiEndpoint.get("getSymbol", "/api/v1/symbols/:symbol", {
    params: { symbol: Symbol },
    success: SymbolView,
    error: [malformed, foreign, failure(404, "The exchange has no such symbol."), tryLater]
  })
)

const account = HttpApiGroup.make("account").add(
  HttpApiEndpoint.get("getBalances", "/api/v1/balances", {
    success: Schema.Array(BalanceView).annotate({ description: "What the account holds, by asset; exact digits." }),
    error: [foreign, tryLater]
  }),
  HttpApiEndpoint.get("getReconciliation", "/api/v1/reconciliation", {
    success: ReconciliationView.annotate({
      description: "How the log and the exchange agree: the last comparison, orders made elsewhere, doubts."
    }),
    error: [foreign, tryLater]
  })
)

const operations = HttpApiGroup.make("operations").add(
  HttpApiEndpoint.get("health", "/health", { success: Health }),
  HttpApiEndpoint.get("ready", "/ready", {
    success: Ready,
    error: Ready.pipe(HttpApiSchema.status(503)).annotate({ description: "A command could not be stored now." })
  }),
  HttpApiEndpoint.get("metrics", "/metrics", {
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain" }))
  })
)

export const Api = HttpApi.make("nexus")
  .add(orders, symbols, account, operations)
  .annotateMerge(OpenApi.annotations({ title: "Nexus order manager", version: "1" }))

export const openApi = (): string => {
  const document = OpenApi.fromApi(Api)
  // One shape under several descriptions comes out as Order, Order_1, Order_2, …: clients want one type.
  const schemas = Object.entries(document.components.schemas).filter(([name]) => !numbered.test(name))
  const components = { ...document.components, schemas: Object.fromEntries(schemas.map(undescribed)) }
  return JSON.stringify({ ...document, components }).replace(reference, "$1")
}

const undescribed = ([name, shape]: readonly [string, object]) => [name, { ...shape, description: undefined }] as const
const numbered = /_\d+$/
const reference = /("#\/components\/schemas\/[A-Za-z]+)_\d+(?=")/g
