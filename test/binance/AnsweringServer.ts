/**
 * A server on loopback that answers what a test tells it to, and remembers what it was asked. It knows nothing of
 * an exchange: the tests of the client say which bytes come back, and judge the bytes that arrived.
 */
import { Effect, Layer, Redacted } from "effect"
import * as http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { AccountFacts } from "../../src/binance/AccountFacts.ts"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { Breaker } from "../../src/binance/Breaker.ts"
import { Gateway } from "../../src/binance/Gateway.ts"
import { OrderChanges } from "../../src/binance/OrderChanges.ts"
import { OrderLists } from "../../src/binance/OrderLists.ts"
import { OrderSocket } from "../../src/binance/OrderSocket.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { Requests } from "../../src/binance/Requests.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { hmacSigner, type Keys } from "../../src/binance/sign.ts"
import { Transport } from "../../src/binance/Transport.ts"

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** The query as it came over the wire. */
  readonly raw: string
  readonly headers: http.IncomingHttpHeaders
}

export type Reply =
  | { readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> }
  /** The connection is cut when the request has arrived. */
  | "cut"
  /** Half of the answer, then the connection is cut. */
  | "cut within the body"
  /** No answer, ever. */
  | "silence"

export const json = (body: unknown, headers: Readonly<Record<string, string>> = {}): Reply => ({
  status: 200,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers }
})

export const refusal = (status: number, code: number, msg: string): Reply => ({
  status,
  body: JSON.stringify({ code, msg })
})

export interface AnsweringServer {
  readonly url: string
  readonly asked: ReadonlyArray<Asked>
  /** Connections ever accepted. */
  readonly connections: () => number
  readonly answer: (endpoint: string, reply: (asked: Asked) => Reply | Promise<Reply>) => void
  readonly stop: Effect.Effect<void>
}

/** What an exchange without books says until a test says else. */
const defaults: Readonly<Record<string, () => Reply>> = {
  "GET /api/v3/time": () => json({ serverTime: Date.now() }),
  "GET /api/v3/ping": () => json({}),
  "GET /api/v3/exchangeInfo": () => json({ rateLimits: [], symbols: [] })
}

const give = (reply: Reply, request: http.IncomingMessage, response: http.ServerResponse) => {
  if (reply === "silence") return
  if (reply === "cut") {
    request.socket.destroy()
  } else if (reply === "cut within the body") {
    response.writeHead(200, { "content-length": "1000" })
    response.write(`{"symbol":"BTCUSDT"`, () => request.socket.destroy())
  } else {
    response.writeHead(reply.status, reply.headers ?? {})
    response.end(reply.body)
  }
}

export const answeringServer = Effect.acquireRelease(
  Effect.callback<AnsweringServer>((resume) => {
    const replies = new Map<string, (asked: Asked) => Reply | Promise<Reply>>(Object.entries(defaults))
    const asked: Array<Asked> = []
    const sockets = new Set<Socket>()
    let connections = 0
    const server = http.createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://exchange")
      const one = {
        method: request.method ?? "",
        path: url.pathname,
        query: url.searchParams,
        raw: url.search.slice(1),
        headers: request.headers
      }
      asked.push(one)
      void Promise.resolve(
        replies.get(`${one.method} ${one.path}`)?.(one) ?? { status: 404, body: "no such path" }
      ).then((reply) => give(reply, request, response))
    })
    server.on("connection", (socket) => {
      connections += 1
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
    })
    server.listen(0, "127.0.0.1", () => {
      resume(
        Effect.succeed({
          url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
          asked,
          connections: () => connections,
          answer: (endpoint, reply) => void replies.set(endpoint, reply),
          stop: Effect.callback<void>((done) => {
            server.close(() => done(Effect.void))
            for (const socket of sockets) socket.destroy()
          })
        })
      )
    })
  }),
  (server) => server.stop
)

export const apiKey = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
export const apiSecret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

export const credentials = {
  keys: { apiKey: Redacted.make(apiKey), signer: hmacSigner(Redacted.make(apiSecret)) }
} satisfies { readonly keys: Keys }

export interface ClientOptions {
  readonly timeoutMillis?: number
  readonly keys?: Keys
  /** Orders and cancels go there. */
  readonly wsApiUrl?: string
  readonly replaceAfterMillis?: number
  readonly probeAfterMillis?: number
  readonly maxInFlight?: number
}

/** The client as the program joins it, towards a given address. */
export const clientLayer = (baseUrl: string, options: ClientOptions = {}) =>
  Layer.mergeAll(BinanceClient.layer, OrderChanges.layer, OrderLists.layer, AccountFacts.layer).pipe(
    Layer.provideMerge(Requests.layer({ keys: options.keys ?? credentials.keys, recvWindowMillis: 5_000 })),
    Layer.provideMerge(ServerTime.layer),
    Layer.provideMerge(gatewayLayer(options)),
    Layer.provideMerge(
      Layer.mergeAll(
        RateLimits.layer,
        Breaker.layer,
        Transport.layer({ baseUrl, timeoutMillis: options.timeoutMillis ?? 5_000, maxConnections: 64 })
      )
    )
  )

const gatewayLayer = ({ maxInFlight = 64, timeoutMillis = 5_000, wsApiUrl, ...paces }: ClientOptions) => {
  if (wsApiUrl === undefined) return Gateway.layer
  return Gateway.layerOverWebSocket.pipe(
    Layer.provide(OrderSocket.layer({ wsApiUrl, timeoutMillis, maxInFlight, ...paces }))
  )
}
