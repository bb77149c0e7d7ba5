/**
 * All of Nexus in one process, HTTP included, for what must hold while a part that it needs is away: the simulator with
 * its control port behind a network that can be cut, any PostgreSQL, and the clock that a test may set forward.
 */
import { Effect, Layer, Redacted } from "effect"
import { hmacSigner } from "../../src/binance/sign.ts"
import { Server, ListeningAddress } from "../../src/http/Server.ts"
import { exchange, ExchangeAddress } from "../../src/main.ts"
import { makeSimulator } from "../../src/simulator/Server.ts"
import { Cut } from "../../tools/proofs/replicas/Cut.ts"
import { Simulator, TestNexus, type TestNexusOptions } from "../layers.ts"
import { until } from "../sql/until.ts"

const keys = { apiKey: "key-of-the-tests", apiSecret: "secret-of-the-tests" }

/** A network before an address, whole unless cut; for a test's own use and the given layers. */
export const networkBefore = (host: string, port: number) =>
  Effect.acquireRelease(
    Effect.promise(() => Cut.open({ host, port })),
    (cut) => Effect.sync(() => cut.close())
  )

/** One before each broker; clients are told of the networks instead of the brokers. */
export const networksBefore = (brokers: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      Cut.openAll(
        brokers.map((broker) => {
          const [host = "", port] = broker.split(":")
          return { host, port: Number(port) }
        }),
        true
      )
    ),
    (cuts) => Effect.sync(() => cuts.forEach((cut) => cut.close()))
  )

/** The same URL by way of a network. */
export const by = (cut: Cut, url: string): string => {
  const through = new URL(url)
  through.hostname = "127.0.0.1"
  through.port = `${cut.port}`
  return through.href.replace(/\/$/, "")
}

export interface Exchange {
  readonly simulator: typeof Simulator.Service
  readonly network: Cut
  /** A request to the simulator's control port. */
  readonly control: (method: string, path: string, body?: unknown) => Effect.Effect<unknown>
}

/** A simulator that may outlive the processes that trade on it. */
export const makeExchange = Effect.gen(function* () {
  const simulator = yield* makeSimulator({
    host: "127.0.0.1",
    port: 0,
    controlPort: 0,
    seed: 7,
    latencyMs: 0,
    limits: "off",
    tickMs: 0,
    ...keys
  })
  const network = yield* networkBefore("127.0.0.1", simulator.port)
  const control = (method: string, path: string, body?: unknown) =>
    Effect.promise(async (): Promise<unknown> => {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) }
      const response = await fetch(`${simulator.controlUrl}${path}`, { method, ...sent })
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
      return response.json()
    })
  const made: Exchange = { simulator, network, control }
  return made
})

const tradingOn = ({ network, simulator }: Exchange) =>
  exchange.pipe(
    Layer.provide(
      Layer.succeed(ExchangeAddress, {
        baseUrl: by(network, simulator.url),
        wsApiUrl: by(network, simulator.wsApiUrl),
        keys: { apiKey: Redacted.make(keys.apiKey), signer: hmacSigner(Redacted.make(keys.apiSecret)) }
      })
    ),
    Layer.provideMerge(Layer.succeed(Simulator, simulator))
  )

/** Looked at often, so that a test waits for Nexus and not for its pace; leases as short as a take-over should be. */
const paced = {
  NEXUS_APP_PORT: "0",
  NEXUS_EXECUTION_PICKUP_AFTER_MS: "300",
  NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "100",
  NEXUS_RECONCILER_DOUBT_CHECK_MS: "100",
  NEXUS_SUPERVISION_RESTART_MAX_MS: "500"
}

/** Everything that `serve` runs, on this exchange. */
export const wholeOn = (on: Exchange, options: TestNexusOptions = {}) =>
  Server.layer.pipe(Layer.provideMerge(TestNexus.on(tradingOn(on), { ...options, env: { ...paced, ...options.env } })))

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

type Headed = Readonly<Record<string, string>>

export const askAt = (
  url: string,
  method: string,
  path: string,
  body?: object,
  headers: Headed = {}
): Effect.Effect<Reply> =>
  Effect.promise(async () => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get("content-type") ?? "")
    return {
      status: response.status,
      headers: response.headers,
      body: (isJson ? JSON.parse(text) : { text }) as Reply["body"]
    }
  })

export const ask = (method: string, path: string, body?: object, headers?: Headed) =>
  Effect.flatMap(ListeningAddress, ({ url }) => askAt(url, method, path, body, headers))

export const orders = "/api/v1/orders"
export const buy = (id: string) => ({ id, symbol: "BTCUSDT", side: "BUY", type: "MARKET", quantity: 0.001 })
/** Far below the simulator's market, so that it rests. */
export const bid = (id: string) => ({ ...buy(id), type: "LIMIT", price: 50_000 })

export const place = (order: object) => ask("POST", orders, order)
export const cancel = (id: string) => ask("DELETE", `${orders}/${id}`)
export const find = (id: string) => ask("GET", `${orders}/${id}`)

/** Waits until the order is seen as said; its body. */
export const becomes = (id: string, isIt: (order: Reply["body"]) => boolean) =>
  Effect.map(
    until(find(id), ({ body, status }) => status === 200 && isIt(body)),
    ({ body }) => body
  )

export const ends = (id: string) =>
  becomes(id, ({ status }) => status === "COMPLETED" || status === "FAILED" || status === "CANCELLED")

export const rests = (id: string) =>
  becomes(id, (order) => order["status"] === "EXECUTING" && order["exchange_order_id"] !== null)

interface Standing {
  readonly health: number
  readonly ready: number
  readonly reason: string | null
  /** Of what is away. */
  readonly parts: ReadonlyArray<string>
  readonly details: string
}

/** What a probe sees. */
export const standing = Effect.gen(function* () {
  const health = yield* ask("GET", "/health")
  const ready = yield* ask("GET", "/ready")
  const degraded = (ready.body["degraded"] ?? []) as ReadonlyArray<{ readonly part: string; readonly detail: string }>
  const seen: Standing = {
    health: health.status,
    ready: ready.status,
    reason: ready.body["reason"] as string | null,
    parts: degraded.map(({ part }) => part),
    details: degraded.map(({ detail, part }) => `${part}: ${detail}`).join("; ")
  }
  return seen
})

/** Waits until a probe sees it so. A process that is only degraded is alive all the while. */
export const stands = (isIt: (seen: Standing) => boolean) => until(standing, isIt)

/** Sum of a metric over its labels. */
export const figure = (name: string) =>
  Effect.map(ask("GET", "/metrics"), ({ body }) => {
    const found = Array.from(String(body["text"]).matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm")))
    return found.reduce((sum, [, value]) => sum + Number(value), 0)
  })

/** Of this exchange, how often each client order id stands on its own books. */
export const onLedger = ({ simulator }: Exchange, clientOrderId: unknown): number =>
  simulator.ledger().filter((order) => order.clientOrderId === clientOrderId).length
