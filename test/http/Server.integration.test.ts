/** The server over real sockets. Only the port behind it, the engine, is scripted: by the order's id. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, HashSet, Layer, Logger, Result, Schema, Scope } from "effect"
import { AppConfig, loadConfig } from "../../src/config.ts"
import type { OrderRequest } from "../../src/domain/Event.ts"
import { OrderEvent } from "../../src/domain/Event.ts"
import { clientOrderIdOf, StoreId } from "../../src/domain/Ids.ts"
import type { OrderStream } from "../../src/domain/Order.ts"
import { evolve, unplaced } from "../../src/domain/Order.ts"
import { Rejection } from "../../src/domain/Rejection.ts"
import { Balances } from "../../src/engine/Balances.ts"
import { DoubtStories } from "../../src/engine/DoubtStories.ts"
import { Busy, Engine, FilterDenied, InstrumentsUnknown, NotConfirmed } from "../../src/engine/Engine.ts"
import { Health } from "../../src/engine/Health.ts"
import { Instruments } from "../../src/engine/Instruments.ts"
import { Reconciliation } from "../../src/engine/Reconciliation.ts"
import { openApi } from "../../src/http/Api.ts"
import { Problem } from "../../src/http/Problem.ts"
import { ListeningAddress, Server } from "../../src/http/Server.ts"
import { Blotter } from "../../src/sql/Blotter.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Parked } from "../../src/sql/Parked.ts"
import { exchange, request } from "./exchange.ts"

const storeId = StoreId.make("7d4c7a52-5f10-4b7c-9d3e-2f1a0b9c8d7e")
const orderBody = (id: string) =>
  `{"id":"${id}","symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":0.001,"price":0}`
const post = (id: string, headers: Readonly<Record<string, string>> = {}) =>
  request("POST", "/api/v1/orders", { body: orderBody(id), headers })

const placedStream = (orderId: Parameters<typeof clientOrderIdOf>[1], ofRequest: OrderRequest): OrderStream => {
  const placed = OrderEvent.cases.OrderPlaced.make({
    clientOrderId: clientOrderIdOf(storeId, orderId),
    request: ofRequest,
    instrumentVersion: 1,
    staleAt: 120_000
  })
  return { order: evolve(unplaced, placed, 0), version: 1, headHash: "", requestHash: "", commandIds: HashSet.empty() }
}

const violation = {
  code: "LOT_SIZE",
  field: "quantity",
  limit: "0.00001",
  actual: "0.000001",
  hint: "0.00001 would pass"
} as const

const failures = {
  busy: new Busy({}),
  lost: new NotConfirmed({}),
  early: new InstrumentsUnknown({}),
  denied: new FilterDenied({ violations: [violation] }),
  taken: new Rejection({ code: "ORDER_ID_TAKEN", message: "the id belongs to an order with another body" }),
  nobody: new Rejection({ code: "ORDER_NOT_FOUND", message: "no such order" }),
  late: new Rejection({ code: "TOO_LATE", message: "the order is COMPLETED" })
}

interface Script {
  /** Commands that have come, and those that went to their end. */
  readonly begun: Array<string>
  readonly ended: Array<string>
  /** Holds the order `held` until it is done. */
  readonly gate: Deferred.Deferred<void>
  draining: boolean
}

const layerOf = (script: Script, env: Readonly<Record<string, string>>) => {
  const place: (typeof Engine)["Service"]["place"] = ({ orderId, request }) =>
    Effect.gen(function* () {
      script.begun.push(orderId)
      if (orderId === "held") yield* Deferred.await(script.gate)
      if (orderId === "defect") return yield* Effect.die(new Error("secret detail of ours"))
      const failure = failures[orderId as keyof typeof failures]
      if (failure !== undefined) return yield* failure
      script.ended.push(orderId)
      return { order: placedStream(orderId, request), replayed: orderId === "again" }
    })
  const config = loadConfig({ yamlText: "", env: { NEXUS_APP_PORT: "0", ...env }, cwd: "/" })
  return Server.layer.pipe(
    Layer.provide([
      Layer.mock(Engine)({ place, streamOf: (id) => id }),
      Layer.mock(Health)({
        draining: Effect.sync(() => script.draining),
        readiness: Effect.sync(() => ({
          ready: !script.draining,
          reason: script.draining ? "this process is stopping" : null,
          degraded: [{ part: "kafka", detail: "away" }],
          exchange: {
            nextSubmitMillis: 340,
            nextCancelMillis: 0,
            nextQueryMillis: 0,
            stoppedMillis: 0,
            circuit: "closed" as const,
            clockOffsetMillis: -12,
            clockErrorMillis: 3
          }
        })),
        metrics: Effect.succeed([
          { name: "lag", help: "Two\nlines.", type: "gauge", samples: [{ labels: { lane: `a"b\\` }, value: 1.5 }] }
        ])
      }),
      Layer.mock(Instruments)({}),
      Layer.mock(Blotter)({}),
      Layer.mock(Parked)({}),
      Layer.mock(DoubtStories)({}),
      Layer.mock(Balances)({}),
      Layer.mock(Reconciliation)({}),
      Layer.mock(EventStore)({ lanes: 4 }),
      Layer.succeed(AppConfig, Result.getOrThrow(config)),
      // A defect is logged; here it is wanted.
      Logger.layer([])
    ])
  )
}

const scripted = (): Script => ({ begun: [], ended: [], gate: Deferred.makeUnsafe(), draining: false })

/** A server in a scope that the test closes itself. */
const start = Effect.fnUntraced(function* (script: Script, env: Readonly<Record<string, string>> = {}) {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(layerOf(script, env), scope)
  const { port } = yield* Effect.provide(ListeningAddress, context)
  return { port, stop: Scope.close(scope, Exit.void) }
})

const withServer = <A, E>(
  use: (port: number, script: Script) => Effect.Effect<A, E>,
  env: Readonly<Record<string, string>> = {}
) =>
  Effect.gen(function* () {
    const script = scripted()
    const { port, stop } = yield* start(script, env)
    return yield* Effect.ensuring(use(port, script), stop)
  })

const until = (condition: () => boolean) =>
  Effect.gen(function* () {
    while (!condition()) yield* Effect.sleep("5 millis")
  }).pipe(Effect.timeout("10 seconds"))

const problemOf = Schema.decodeUnknownSync(Schema.fromJsonString(Problem), { onExcessProperty: "error" })

describe("Server", () => {
  it.live("answers the example of the original API with 202, where it is, and PENDING", () =>
    withServer((port) =>
      Effect.gen(function* () {
        const { body, headers, status } = yield* exchange(port, post("ORDER-001"))

        assert.strictEqual(status, 202)
        assert.strictEqual(headers.location, "/api/v1/orders/ORDER-001")
        assert.isTrue(
          body.startsWith(
            `{"id":"ORDER-001","symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":0.001,"price":0,"status":"PENDING"`
          )
        )
      })
    )
  )

  it.live("answers the same order again with 200 and says so", () =>
    withServer((port) =>
      Effect.gen(function* () {
        const { headers, status } = yield* exchange(port, post("again"))

        assert.deepStrictEqual([status, headers["idempotency-replayed"]], [200, "true"])
      })
    )
  )

  it.live.each([
    ["busy", 503, "overloaded"],
    ["lost", 503, "unknown_outcome"],
    ["early", 503, "instruments_unknown"],
    ["denied", 422, "filter_denied"],
    ["taken", 409, "ORDER_ID_TAKEN"],
    ["nobody", 404, "ORDER_NOT_FOUND"],
    ["late", 409, "TOO_LATE"]
  ] as const)("tells what the engine says about the order %s with %i %s", ([id, status, code]) =>
    withServer((port) =>
      Effect.gen(function* () {
        const reply = yield* exchange(port, post(id))

        const problem = problemOf(reply.body)
        assert.deepStrictEqual([reply.status, problem.status, problem.code], [status, status, code])
        assert.strictEqual(reply.headers["content-type"], "application/problem+json")
        assert.strictEqual(problem.error, problem.detail)
        assert.strictEqual(reply.headers["x-request-id"], problem.request_id)
        assert.strictEqual(status === 503, reply.headers["retry-after"] !== undefined)
        assert.deepStrictEqual(problem.checks, id === "denied" ? [violation] : [])
      })
    )
  )

  it.live("tells nothing of itself when it fails, but an id for the log", () =>
    withServer((port) =>
      Effect.gen(function* () {
        const { body, status } = yield* exchange(port, post("defect"))

        assert.strictEqual(status, 500)
        assert.notInclude(body, "secret detail")
        assert.notInclude(body, "at ")
      })
    )
  )

  it.live.each([
    ["PUT", "/api/v1/orders", "GET, HEAD, POST, DELETE"],
    ["POST", "/api/v1/orders/a", "GET, HEAD, DELETE"],
    ["DELETE", "/api/v1/orders/a/events", "GET, HEAD"],
    ["POST", "/health", "GET, HEAD"],
    ["OPTIONS", "/api/v1/orders", "GET, HEAD, POST, DELETE"]
  ] as const)("answers %s %s with 405 and what is allowed", ([method, path, allow]) =>
    withServer((port) =>
      Effect.gen(function* () {
        const { headers, status } = yield* exchange(port, request(method, path))

        assert.deepStrictEqual([status, headers.allow], [405, allow])
        assert.isUndefined(headers["access-control-allow-origin"])
      })
    )
  )

  it.live.each([
    ["an unknown path", request("GET", "/api/v2/orders"), 404, "not_found"],
    ["a path with a slash too many", request("GET", "/api/v1/orders/"), 404, "not_found"],
    ["a broken escape", request("GET", "/api/v1/orders/%ff"), 404, "not_found"],
    ["an order id of other characters", request("GET", "/api/v1/orders/a%20b"), 400, "invalid_request"],
    ["the stream of the account", request("GET", "/api/v1/orders/@account/events"), 400, "invalid_request"],
    ["an unknown parameter", request("GET", "/health?verbose=1"), 400, "invalid_parameter"],
    ["a long address", request("GET", `/${"a".repeat(2_048)}`), 414, "address_too_long"],
    ["long headers", request("GET", "/health", { headers: { "X-Long": "a".repeat(9_000) } }), 431, "headers_too_large"],
    ["what is no HTTP", "garbage\r\n\r\n", 400, "bad_http"],
    [
      "two lengths of one body",
      request("GET", "/health", { headers: { "Content-Length": "1", "Transfer-Encoding": "chunked" } }),
      400,
      "bad_http"
    ],
    ["a foreign host", request("GET", "/health", { headers: { Host: "evil.example" } }), 403, "foreign_host"],
    ["a foreign page", post("x", { Origin: "http://evil.example" }), 403, "foreign_origin"],
    ["another type of body", post("x", { "Content-Type": "text/plain" }), 415, "unsupported_media_type"],
    ["a body announced as too large", post("x", { "Content-Length": "2000" }), 413, "body_too_large"],
    [
      "a body that turns out too large",
      request("POST", "/api/v1/orders", {
        headers: { "Transfer-Encoding": "chunked", "Content-Type": "application/json" }
      }) + `578\r\n${" ".repeat(0x578)}\r\n0\r\n\r\n`,
      413,
      "body_too_large"
    ],
    ["an idempotency key that is not the id", post("x", { "Idempotency-Key": "y" }), 400, "invalid_request"],
    [
      "an empty body",
      request("POST", "/api/v1/orders", { headers: { "Content-Type": "application/json", "Content-Length": "0" } }),
      400,
      "invalid_request"
    ]
  ] as const)("refuses %s without asking the engine", ([, text, status, code]) =>
    withServer(
      (port, script) =>
        Effect.gen(function* () {
          const reply = yield* exchange(port, text)

          assert.deepStrictEqual([reply.status, problemOf(reply.body).code], [status, code])
          assert.deepStrictEqual(script.begun, [])
          assert.strictEqual(reply.headers["x-content-type-options"], "nosniff")
          assert.strictEqual(reply.headers["cache-control"], "no-store")
          assert.include(reply.headers["content-security-policy"], "default-src 'none'")
        }),
      { NEXUS_HTTP_MAX_BODY_BYTES: "1024" }
    )
  )

  it.live("takes the idempotency key as the id of an order that has none", () =>
    withServer((port, script) =>
      Effect.gen(function* () {
        const body = `{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":1}`

        yield* exchange(port, request("POST", "/api/v1/orders", { body, headers: { "Idempotency-Key": "mine" } }))

        assert.deepStrictEqual(script.begun, ["mine"])
      })
    )
  )

  it.live("carries a command through when its client leaves", () =>
    withServer((port, script) =>
      Effect.gen(function* () {
        const client = yield* Effect.forkChild(exchange(port, post("held")))
        yield* until(() => script.begun.length === 1)
        yield* Fiber.interrupt(client)

        yield* Deferred.succeed(script.gate, undefined)

        yield* until(() => script.ended.length === 1)
      })
    )
  )

  it.live("answers what is in flight before it stops, and nobody new", () =>
    Effect.gen(function* () {
      const script = scripted()
      const { port, stop } = yield* start(script)
      const client = yield* Effect.forkChild(exchange(port, post("held", { Connection: "keep-alive" })))
      yield* until(() => script.begun.length === 1)

      const stopped = yield* Effect.forkChild(stop)
      yield* exchange(port, request("GET", "/health")).pipe(Effect.repeat({ until: ({ status }) => status === 0 }))
      yield* Deferred.succeed(script.gate, undefined)

      const { headers, status } = yield* Fiber.join(client)
      assert.deepStrictEqual([status, headers.connection], [202, "close"])
      yield* Fiber.join(stopped)
    })
  )

  it.live("cuts what is still in flight when the time to drain is over", () =>
    Effect.gen(function* () {
      const script = scripted()
      const { port, stop } = yield* start(script, { NEXUS_HTTP_DRAIN_MS: "50" })
      const client = yield* Effect.forkChild(exchange(port, post("held")))
      yield* until(() => script.begun.length === 1)

      yield* stop

      assert.strictEqual((yield* Fiber.join(client)).status, 0)
    })
  )

  it.live("stays ready while only a dependency is away, and is not ready once it drains", () =>
    withServer((port, script) =>
      Effect.gen(function* () {
        const before = yield* exchange(port, request("GET", "/ready"))
        script.draining = true
        const after = yield* exchange(port, request("GET", "/ready"))

        assert.deepStrictEqual([before.status, after.status], [200, 503])
        assert.include(before.body, `"degraded":[{"part":"kafka","detail":"away"}]`)
        assert.include(before.body, `"exchange":{"next_submit_ms":340,`)
        assert.include(after.body, `"reason":"this process is stopping"`)
      })
    )
  )

  it.live("writes metrics in the text format that Prometheus reads, labels escaped", () =>
    withServer((port) =>
      Effect.gen(function* () {
        const { body, headers } = yield* exchange(port, request("GET", "/metrics"))

        assert.strictEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        assert.strictEqual(body, `# HELP lag Two\\nlines.\n# TYPE lag gauge\nlag{lane="a\\"b\\\\"} 1.5\n`)
      })
    )
  )

  it.live("closes connections with its answers once it is draining", () =>
    withServer(
      (port, script) =>
        Effect.gen(function* () {
          script.draining = true

          const { headers } = yield* exchange(
            port,
            request("GET", "/health", { headers: { Connection: "keep-alive" } })
          ).pipe(Effect.timeout("900 millis"), Effect.retry({ times: 5 }))

          assert.strictEqual(headers.connection, "close")
        }),
      { NEXUS_HTTP_KEEP_ALIVE_TIMEOUT_MS: "60000" }
    )
  )

  it.live("does not wait for headers that drip in", () =>
    withServer(
      (port) =>
        Effect.gen(function* () {
          const { body, status } = yield* exchange(port, "GET /health HTTP/1.1\r\nHost: 127")

          assert.deepStrictEqual([status, problemOf(body).code], [408, "request_timeout"])
        }),
      { NEXUS_HTTP_HEADERS_TIMEOUT_MS: "100", NEXUS_HTTP_REQUEST_TIMEOUT_MS: "100" }
    )
  )

  it.live("says in one sentence what to do about a port in use", () =>
    withServer((port) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layerOf(scripted(), { NEXUS_APP_PORT: `${port}` }))))

        assert.strictEqual(error._tag, "StartError")
        assert.match(error.message, new RegExp(`^port ${port} on 127.0.0.1 is in use: [^\\n]+NEXUS_APP_PORT[^\\n]+$`))
      })
    )
  )

  it.live("has every path of its contract, and the contract every path it has", () =>
    withServer((port) =>
      Effect.gen(function* () {
        const { body } = yield* exchange(port, request("GET", "/openapi.json"))

        const { paths } = JSON.parse(body) as { paths: Record<string, Record<string, unknown>> }
        assert.strictEqual(body, openApi())
        assert.deepStrictEqual(Object.keys(paths).sort(), [
          "/api/v1/balances",
          "/api/v1/orders",
          "/api/v1/orders/{id}",
          "/api/v1/orders/{id}/events",
          "/api/v1/reconciliation",
          "/api/v1/symbols/{symbol}",
          "/health",
          "/metrics",
          "/ready"
        ])
        for (const [path, methods] of Object.entries(paths)) {
          const { headers } = yield* exchange(port, request("TRACE", path.replace(/\{\w+\}/, "X")))
          const allowed = (headers.allow ?? "")
            .toLowerCase()
            .split(", ")
            .filter((method) => method !== "head")
          assert.deepStrictEqual(Object.keys(methods).sort(), allowed.sort())
        }
      })
    )
  )
})
