/**
 * The order paths on the real engine and a real PostgreSQL. No order goes anywhere: neither relay nor
 * executor runs here, and the exchange's symbols come from a snapshot in the store.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Redacted, Result, Schema } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { inject } from "vitest"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { AppConfig, loadConfig } from "../../src/config.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { OrderId, StoreId } from "../../src/domain/Ids.ts"
import { Instrument } from "../../src/domain/Instrument.ts"
import { Balances } from "../../src/engine/Balances.ts"
import { Backlog } from "../../src/engine/Backlog.ts"
import { DoubtStories } from "../../src/engine/DoubtStories.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { ForeignOrders } from "../../src/engine/ForeignOrders.ts"
import { Health } from "../../src/engine/Health.ts"
import { Instruments } from "../../src/engine/Instruments.ts"
import { Reconciliation } from "../../src/engine/Reconciliation.ts"
import { Supervisor } from "../../src/engine/Supervisor.ts"
import { BalanceView, EventView, SymbolView } from "../../src/http/Api.ts"
import { CancelAllView } from "../../src/http/CancelAll.ts"
import { OrderDetail } from "../../src/http/DoubtView.ts"
import { read } from "../../src/http/OrderBody.ts"
import { OrderView } from "../../src/http/OrderView.ts"
import { Problem } from "../../src/http/Problem.ts"
import { ReconciliationView } from "../../src/http/ReconciliationView.ts"
import { ListeningAddress, Server } from "../../src/http/Server.ts"
import { parse } from "../../src/http/StrictJson.ts"
import { Blotter } from "../../src/sql/Blotter.ts"
import { Cursors } from "../../src/sql/Cursors.ts"
import { Database } from "../../src/sql/Database.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Findings } from "../../src/sql/Findings.ts"
import { ForeignOrders as KeptForeignOrders } from "../../src/sql/ForeignOrders.ts"
import { Instruments as Snapshots } from "../../src/sql/Instruments.ts"
import { Parked } from "../../src/sql/Parked.ts"
import { Store } from "../../src/sql/Store.ts"
import { noteAsLater } from "../engine/noteAsLater.ts"
import { freshDatabase, limitsForTests, templateLanes } from "../harness/template.ts"
import type { Reply } from "./exchange.ts"
import { exchange, request } from "./exchange.ts"

const btcusdt = Schema.encodeSync(Instrument)({
  symbol: "BTCUSDT",
  status: "TRADING",
  baseAsset: "BTC",
  quoteAsset: "USDT",
  baseAssetPrecision: 8,
  quoteAssetPrecision: 8,
  orderTypes: ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT"],
  icebergAllowed: true,
  quoteOrderQtyMarketAllowed: true,
  filters: [
    { type: "LOT_SIZE", minQty: decimal("0.00001"), maxQty: decimal("9000"), stepSize: decimal("0.00001") },
    { type: "PRICE_FILTER", minPrice: decimal("0.01"), maxPrice: decimal("1000000"), tickSize: decimal("0.01") }
  ]
})

const storage = (url: string) =>
  Layer.mergeAll(
    Blotter.layer,
    Cursors.layer,
    Findings.layer,
    KeptForeignOrders.layer,
    Parked.layer,
    Snapshots.layer,
    EventStore.layer({ lanes: templateLanes, node: "test", laneQueueSize: 64, appendsInFlight: 2 }),
    Store.layer({ exchange: "SIMULATOR", storeId: StoreId.make("7d4c7a52-5f10-4b7c-9d3e-2f1a0b9c8d7e") })
  ).pipe(Layer.provideMerge(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests })))

const config = Result.getOrThrow(loadConfig({ yamlText: "", env: { NEXUS_APP_PORT: "0" }, cwd: "/" }))

const saved = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* (yield* Snapshots).save([btcusdt], yield* Clock.currentTimeMillis)
  })
)

const account = Effect.succeed({
  uid: "1",
  canTrade: true,
  balances: [
    { asset: "BTC", free: decimal("0.123456789012345678"), locked: decimal("1") },
    { asset: "ETH", free: decimal("0"), locked: decimal("0") },
    { asset: "USDT", free: decimal("12345678901234567890.1"), locked: decimal("0") }
  ]
})

/** Everything from the store up. The exchange is away, so symbols have no market. */
const served = (url: string) =>
  Server.layer.pipe(
    Layer.provide(Layer.mock(Health)({ draining: Effect.succeed(false), disconnected: Effect.succeed(false) })),
    Layer.provideMerge(Engine.layer),
    Layer.provide(Reconciliation.layer),
    Layer.provide([Backlog.layer, Balances.layer, DoubtStories.layer, ForeignOrders.layer, Instruments.layer]),
    Layer.provide(saved),
    Layer.provide([
      Supervisor.layer,
      Layer.mock(BinanceClient)({ tickerPrice: () => Effect.never, bookTicker: () => Effect.never, account })
    ]),
    Layer.provideMerge(storage(url)),
    Layer.provide([Layer.succeed(AppConfig, config), SecureRandom.layerWebCrypto])
  )

interface Api {
  readonly call: (
    method: string,
    path: string,
    body?: string,
    headers?: Readonly<Record<string, string>>
  ) => Effect.Effect<Reply>
}

const withApi = <E>(
  use: (api: Api) => Effect.Effect<void, E, Blotter | EventStore | Engine | Findings | KeptForeignOrders>
) =>
  Effect.scoped(
    Effect.flatMap(freshDatabase(inject("pgUrl")), (url) =>
      Effect.gen(function* () {
        const { port } = yield* ListeningAddress
        yield* use({
          call: (method, path, body, headers) =>
            exchange(
              port,
              request(method, path, {
                ...(body === undefined ? {} : { body }),
                ...(headers === undefined ? {} : { headers })
              })
            )
        })
      }).pipe(Effect.provide(served(url)))
    )
  )

const orders = "/api/v1/orders"
const market = (id: string) =>
  `{"id":"${id}","symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":0.001,"price":0}`
const limit = (id: string, fields = "") =>
  `{"id":"${id}","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":61234.5${fields}}`

const wantedOf = (text: string) => {
  const body = read(parse(Buffer.from(text)), Date.now())
  return body._tag === "Wanted" ? body.wanted : assert.fail("a body of the test is faulty")
}

const viewOf = Schema.decodeUnknownSync(Schema.fromJsonString(OrderView), { onExcessProperty: "error" })
const viewsOf = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(OrderView)), { onExcessProperty: "error" })
const eventsOf = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(EventView)), { onExcessProperty: "error" })
const symbolOf = Schema.decodeUnknownSync(Schema.fromJsonString(SymbolView), { onExcessProperty: "error" })
const detailOf = Schema.decodeUnknownSync(Schema.fromJsonString(OrderDetail), { onExcessProperty: "error" })
const balancesOf = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(BalanceView)), {
  onExcessProperty: "error"
})
const cancelledOf = Schema.decodeUnknownSync(Schema.fromJsonString(CancelAllView), { onExcessProperty: "error" })
const problemOf = Schema.decodeUnknownSync(Schema.fromJsonString(Problem), { onExcessProperty: "error" })

describe("Orders", () => {
  it.live("shows an order that was answered with 202 the same in every place", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const placed = yield* call("POST", orders, market("ORDER-001"))

        const found = yield* call("GET", `${orders}/ORDER-001`)
        const listed = yield* call("GET", `${orders}?status=PENDING&limit=50`)
        assert.strictEqual(placed.status, 202)
        assert.strictEqual(viewOf(placed.body).status, "PENDING")
        assert.deepStrictEqual([found.status, found.body, found.headers.etag], [200, placed.body, placed.headers.etag])
        assert.deepStrictEqual([listed.status, listed.body], [200, `[${placed.body}]`])
      })
    )
  )

  it.live("keeps and shows a stop order with all that it says, and names what its filters refuse", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const stop = (id: string, stopPrice: string) =>
          `{"id":"${id}","symbol":"BTCUSDT","side":"SELL","type":"STOP_LOSS_LIMIT","quantity":0.1,"price":58000` +
          `,"stop_price":${stopPrice},"iceberg_quantity":"0.02","self_trade_prevention":"EXPIRE_TAKER"}`

        const placed = yield* call("POST", orders, stop("stop-1", "58500.5"))
        const again = yield* call("POST", orders, stop("stop-1", `"58500.50"`))
        const other = yield* call("POST", orders, stop("stop-1", "58500.6"))
        const found = yield* call("GET", `${orders}/stop-1`)
        const denied = yield* call("POST", orders, stop("stop-2", "58500.505"))

        assert.deepStrictEqual([placed.status, again.status, other.status, denied.status], [202, 200, 409, 422])
        assert.strictEqual(found.body, placed.body)
        assert.deepInclude(viewOf(found.body), {
          type: "STOP_LOSS_LIMIT",
          time_in_force: "GTC",
          stop_price: 58500.5,
          iceberg_quantity: 0.02,
          self_trade_prevention: "EXPIRE_TAKER"
        })
        assert.deepStrictEqual(
          problemOf(denied.body).checks.map(({ code, field, hint }) => [code, field, hint]),
          [["PRICE_FILTER", "stop_price", "58500.5 would pass"]]
        )
      })
    )
  )

  it.live("answers the same order again from the log, however it is written, and another one of its id with 409", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const first = yield* call("POST", orders, market("twice"))

        const again = yield* call(
          "POST",
          orders,
          `{ "quantity": "0.0010", "type": "MARKET", "side": "BUY", "symbol": "BTCUSDT", "id": "twice" }`
        )
        const other = yield* call("POST", orders, market("twice").replace("0.001", "0.002"))
        assert.deepStrictEqual(
          [again.status, again.headers["idempotency-replayed"], again.body],
          [200, "true", first.body]
        )
        assert.deepStrictEqual([other.status, problemOf(other.body).code], [409, "ORDER_ID_TAKEN"])
        assert.strictEqual(eventsOf((yield* call("GET", `${orders}/twice/events`)).body).length, 1)
      })
    )
  )

  it.live("cancels an order that was not sent at once, again without a change, and tells its story", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        yield* call("POST", orders, limit("rest"))

        const cancelled = yield* call("DELETE", `${orders}/rest`)
        const again = yield* call("DELETE", `${orders}/rest`)
        const nobody = yield* call("DELETE", `${orders}/nobody`)
        assert.deepStrictEqual([cancelled.status, viewOf(cancelled.body).status], [200, "CANCELLED"])
        assert.deepStrictEqual([again.status, again.body], [200, cancelled.body])
        assert.deepStrictEqual([nobody.status, problemOf(nobody.body).code], [404, "ORDER_NOT_FOUND"])
        const story = eventsOf((yield* call("GET", `${orders}/rest/events`)).body)
        assert.strictEqual(story[0]?.type, "OrderPlaced")
        assert.strictEqual(story.at(-1)?.type, "OrderCancelled")
      })
    )
  )

  it.live("refuses what a static filter forbids with the value that would pass, and leaves the id free", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const denied = yield* call("POST", orders, market("small").replace("0.001", "0.0000001"))

        const problem = problemOf(denied.body)
        assert.deepStrictEqual([denied.status, problem.code], [422, "filter_denied"])
        assert.include(
          problem.checks.map(({ code, field }) => `${field} ${code}`),
          "quantity LOT_SIZE"
        )
        assert.strictEqual((yield* call("GET", `${orders}/small`)).status, 404)
        assert.strictEqual((yield* call("POST", orders, market("small"))).status, 202)
      })
    )
  )

  it.live("pages through orders without skipping or repeating one", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 7 }, (_, i) => `p${i}`)
        yield* Effect.forEach(ids, (id) => call("POST", orders, market(id)), { concurrency: 7 })

        const seen: Array<string> = []
        let next: string | undefined = `${orders}?limit=3&symbol=BTCUSDT`
        for (let page = 0; next !== undefined && page < 5; page++) {
          const { body, headers }: Reply = yield* call("GET", next)
          seen.push(...viewsOf(body).map(({ id }) => id))
          next = /<([^>]+)>; rel="next"/.exec(headers.link ?? "")?.[1]
        }

        assert.strictEqual(seen.length, 7)
        assert.sameMembers(seen, ids)
        assert.deepStrictEqual(viewsOf((yield* call("GET", `${orders}?status=closed`)).body), [])
      })
    )
  )

  it.live("does not send an order again that a client has already seen in this version", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const { headers } = yield* call("POST", orders, market("seen"))

        const found = yield* call("GET", `${orders}/seen`, undefined, { "If-None-Match": headers.etag ?? "" })

        assert.deepStrictEqual([found.status, found.body], [304, ""])
      })
    )
  )

  it.live("draws an id for an order that has none", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const { body, headers } = yield* call("POST", orders, market("x").replace(`"id":"x",`, ""))

        const { id } = viewOf(body)
        assert.isTrue(Schema.is(OrderId)(id))
        assert.strictEqual(headers.location, `${orders}/${id}`)
      })
    )
  )

  it.live("shows a symbol's filters also while the exchange does not answer", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const { body, status } = yield* call("GET", "/api/v1/symbols/BTCUSDT")

        const symbol = symbolOf(body)
        assert.deepStrictEqual([status, symbol.last, symbol.age_ms, symbol.filters.length], [200, null, null, 2])
        assert.strictEqual((yield* call("GET", "/api/v1/symbols/NOPE")).status, 404)
      })
    )
  )

  it.live("records nothing of bad input, whatever it is and wherever it stands", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const { laneHeads } = yield* EventStore
        const before = yield* laneHeads
        const base: Readonly<Record<string, string>> = {
          id: `"bad"`,
          symbol: `"BTCUSDT"`,
          side: `"BUY"`,
          type: `"LIMIT"`,
          time_in_force: `"GTC"`,
          quantity: "0.001",
          price: "61234.5",
          valid_until: `"2100-01-01T00:00:00Z"`
        }
        const names = [...Object.keys(base), "quote_quantity", "stop_price", "iceberg_quantity"]
        const spoilt = [
          "null",
          "true",
          `""`,
          `"${"A".repeat(65)}"`,
          "1e400",
          "1e-19",
          "-0",
          "NaN",
          `"\\u0000"`,
          `${"[".repeat(16)}${"]".repeat(16)}`
        ]
        const text = (fields: ReadonlyArray<readonly [string, string]>) =>
          `{${fields.map(([name, source]) => `"${name}":${source}`).join(",")}}`
        const bodies = names.flatMap((name) => {
          const others = Object.entries(base).filter(([other]) => other !== name)
          const good = base[name] ?? "1"
          const optional = ["id", "time_in_force", "valid_until"].includes(name) || !(name in base)
          return [
            ...spoilt.map((source) => [name, text([...others, [name, source]])] as const),
            [name, text([...others, [name, good], [name, good]])] as const,
            ...(optional ? [] : [[name, text(others)] as const])
          ]
        })

        const replies = yield* Effect.forEach(bodies, ([, body]) => call("POST", orders, body), { concurrency: 8 })

        assert.isAbove(bodies.length, 120)
        replies.forEach(({ body, status }, i) => {
          const [name, sent] = bodies[i] ?? ["", ""]
          assert.include([400, 422], status, sent)
          const checks = problemOf(body).checks.filter(({ field }) => field === name)
          assert.isNotEmpty(checks, sent)
          assert.match(checks[0]?.code ?? "", /^[a-z_]+$/, sent)
        })
        assert.deepStrictEqual(yield* laneHeads, before)
      })
    )
  )

  /** Sent now, and what came of it is told by the test. */
  const sent = (id: string) =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const at = yield* Clock.currentTimeMillis
      const orderId = OrderId.make(id)
      yield* engine.tell(orderId, { _tag: "StartSubmission", at, timestamp: at, recvWindowMillis: 5_000 })
      return { engine, at, orderId }
    })

  it.live("tells of an order in doubt what was tried, what was asked and answered, and from when a no is final", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        yield* call("POST", orders, market("doubtful"))
        const { at, engine, orderId } = yield* sent("doubtful")
        const waiting = detailOf((yield* call("GET", `${orders}/doubtful`)).body)
        yield* engine.tell(orderId, { _tag: "RecordDoubt", at, attempt: 1, cause: "the connection was lost" })
        const fresh = detailOf((yield* call("GET", `${orders}/doubtful`)).body)
        const evidence = [{ question: "order", answer: "not found", at: at + 1_000 }]
        yield* (yield* Findings).saveDoubts([
          { orderId, attempt: 1, asked: 1, lastAskedAt: at + 1_000, nextCheckAt: at + 3_000, evidence }
        ])

        const asked = yield* call("GET", `${orders}/doubtful`)
        const listed = viewsOf((yield* call("GET", orders)).body)

        const iso = (millis: number) => new Date(millis).toISOString()
        const attempt = { attempt: 1, started_at: iso(at), timestamp: iso(at), recv_window_ms: 5_000 }
        assert.isFalse("doubt" in waiting, "nobody doubts an answer that is still waited for")
        assert.deepStrictEqual(fresh.doubt, {
          unknown_since: iso(at),
          attempts: [{ ...attempt, outcome: "UNKNOWN", detail: "the connection was lost" }],
          asked: 0,
          evidence: [],
          next_check_at: null,
          // A simulator's delay and staleness of a second each, after the window.
          conclusive_at: iso(at + 7_000)
        })
        assert.deepInclude(detailOf(asked.body).doubt, {
          asked: 1,
          evidence: [{ question: "order", answer: "not found", at: iso(at + 1_000) }],
          next_check_at: iso(at + 3_000)
        })
        assert.isUndefined(asked.headers.etag)
        assert.strictEqual(listed[0]?.certainty, "UNKNOWN")

        yield* engine.tell(orderId, {
          _tag: "RecordRefusal",
          at,
          attempt: 1,
          code: "-2010",
          message: "no",
          nextAttemptAt: null
        })
        assert.isFalse("doubt" in detailOf((yield* call("GET", `${orders}/doubtful`)).body), "settled")
      })
    )
  )

  it.live("says of a parked order since when and why, beside all that is known of it", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        yield* call("POST", orders, market("waits"))
        const [at, orderId, engine] = [Date.now(), OrderId.make("waits"), yield* Engine]
        yield* engine.tell(orderId, { _tag: "ParkOrder", at, reason: "nobody can read it", record: "" })

        const found = yield* call("GET", `${orders}/waits`)
        yield* engine.unpark({ orderId, act: "retry", by: "ann", reason: "read" })
        const after = yield* call("GET", `${orders}/waits`)

        const { parked, quantity, status } = detailOf(found.body)
        assert.deepStrictEqual([status, quantity], ["PENDING", 0.001])
        assert.strictEqual(parked?.reason, "nobody can read it")
        assert.isAtLeast(Date.parse(parked?.since ?? ""), at)
        assert.isFalse("parked" in detailOf(after.body))
      })
    )
  )

  it.live("answers a repeated order that this release cannot read from what is known of it", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        yield* call("POST", orders, market("later"))
        yield* noteAsLater(OrderId.make("later"))

        const first = yield* call("POST", orders, market("later"))
        const again = yield* call("POST", orders, market("later"))
        const other = yield* call("POST", orders, limit("later"))
        const found = yield* call("GET", `${orders}/later`)

        for (const same of [first, again]) {
          assert.deepStrictEqual([same.status, same.headers["idempotency-replayed"]], [200, "true"])
        }
        assert.include(detailOf(again.body).parked?.reason, "this release cannot read OrderNoted")
        assert.strictEqual(found.body, again.body)
        assert.deepInclude(problemOf(other.body), { status: 409, code: "PARKED" })
      })
    )
  )

  it.live("cancels all open orders of a symbol with a result for each, and the same again changes nothing", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        for (const id of ["waiting", "working", "done"]) yield* call("POST", orders, limit(id))
        yield* sent("working")
        yield* call("DELETE", `${orders}/done`)

        const first = yield* call("DELETE", `${orders}?symbol=BTCUSDT`)
        const second = yield* call("DELETE", `${orders}?confirm=all`)

        assert.strictEqual(first.status, 200)
        assert.deepStrictEqual(cancelledOf(first.body), {
          results: [
            { id: "waiting", outcome: "cancelled", status: "CANCELLED", reason: null },
            { id: "working", outcome: "requested", status: "EXECUTING", reason: null }
          ],
          complete: true
        })
        assert.deepStrictEqual(cancelledOf(second.body).results, [
          { id: "working", outcome: "requested", status: "EXECUTING", reason: null }
        ])
        const life = eventsOf((yield* call("GET", `${orders}/working/events`)).body).map(({ type }) => type)
        assert.deepStrictEqual(life, ["OrderPlaced", "SubmissionStarted", "CancelRequested"])
      })
    )
  )

  it.live("cancels more orders than one page holds, and leaves those of another symbol alone", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const engine = yield* Engine
        const ids = Array.from({ length: 601 }, (_, index) => OrderId.make(`many-${index}`))
        const { request } = wantedOf(limit("any"))
        yield* Effect.forEach(ids, (orderId) => engine.place({ orderId, request, traceParent: null }), {
          concurrency: 64
        })

        const elsewhere = yield* call("DELETE", `${orders}?symbol=ETHUSDT`)
        const here = yield* call("DELETE", `${orders}?symbol=BTCUSDT`)

        assert.deepStrictEqual([elsewhere.status, problemOf(elsewhere.body).code], [404, "symbol_not_found"])
        const { complete, results } = cancelledOf(here.body)
        assert.isTrue(complete)
        assert.sameMembers(
          results.map(({ id }) => id),
          ids
        )
        assert.deepStrictEqual(viewsOf((yield* call("GET", `${orders}?status=open`)).body), [])
      })
    )
  )

  it.live.each([
    ["", "symbol missing"],
    ["?confirm=yes", "confirm not_allowed"],
    ["?symbol=btcusdt", "symbol not_allowed"],
    ["?symbol=BTCUSDT&confirm=all", "confirm not_with"],
    ["?symbol=BTCUSDT&symbol=ETHUSDT", "symbol duplicate_parameter"],
    ["?symbol=BTCUSDT&side=BUY", "side unknown_parameter"]
  ])("cancels nothing for DELETE /api/v1/orders%s", ([query, fault]) =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        yield* call("POST", orders, market("stays"))

        const refused = yield* call("DELETE", `${orders}${query}`)

        assert.strictEqual(refused.status, 400)
        const { checks } = problemOf(refused.body)
        assert.deepStrictEqual(
          checks.map(({ code, field }) => `${field} ${code}`),
          [fault]
        )
        assert.strictEqual(viewOf((yield* call("GET", `${orders}/stays`)).body).status, "PENDING")
      })
    )
  )

  it.live("GET /reconciliation shows what was compared, what others made under our keys, and the orders in doubt", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const reconciliationOf = Schema.decodeUnknownSync(Schema.fromJsonString(ReconciliationView), {
          onExcessProperty: "error"
        })
        const before = yield* call("GET", "/api/v1/reconciliation")
        assert.deepStrictEqual(reconciliationOf(before.body), {
          report: null,
          foreign: [],
          doubts: [],
          doubt_count: 0,
          last_reset_at: null
        })
        const at = 1_700_000_000_000
        yield* (yield* KeptForeignOrders).save(
          [
            {
              id: "9007199254740993",
              clientOrderId: "by-hand",
              symbol: "BTCUSDT",
              side: "BUY",
              type: "LIMIT",
              quantity: "0.000000000000000001",
              executed: "0",
              status: "NEW",
              isOpen: true
            }
          ],
          at
        )
        const counts = { listed: 1, compared: 2, adopted: 0, repaired: 1, foreign: 1, missing: 1, failed: 0 }
        const differences = [{ orderId: "gone", what: "open here, unknown to the exchange" }]
        yield* (yield* Findings).saveReport({ at, ...counts, differences })

        const { body, status } = yield* call("GET", "/api/v1/reconciliation")

        assert.strictEqual(status, 200)
        assert.include(body, `"quantity":0.000000000000000001,"executed":0`)
        const view = reconciliationOf(body)
        assert.deepInclude(view.report, { ...counts, at: "2023-11-14T22:13:20.000Z" })
        assert.deepStrictEqual(view.report?.differences, [
          { order_id: "gone", what: "open here, unknown to the exchange" }
        ])
        assert.deepInclude(view.foreign[0], { id: "9007199254740993", client_order_id: "by-hand", status: "NEW" })
      })
    )
  )

  it.live("shows what the account holds to the last digit", () =>
    withApi(({ call }) =>
      Effect.gen(function* () {
        const { body, status } = yield* call("GET", "/api/v1/balances")

        assert.strictEqual(status, 200)
        assert.deepStrictEqual(
          balancesOf(body).map(({ asset }) => asset),
          ["BTC", "USDT"]
        )
        assert.include(body, `"asset":"BTC","free":0.123456789012345678,"locked":1`)
        assert.include(body, `"free":12345678901234567890.1,`)
      })
    )
  )
})
