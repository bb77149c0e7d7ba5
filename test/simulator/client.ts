/** A client of the tests' own: signs as the exchange documents it, and shows whatever comes back. */
import { createHmac } from "node:crypto"
import http from "node:http"
import { Effect } from "effect"
import { type ClientOptions, WebSocket } from "ws"
import { makeSimulator, type RunningSimulator, type SimulatorOptions } from "../../src/simulator/Server.ts"

export const credentials = { apiKey: "key-of-the-tests", apiSecret: "secret-of-the-tests" }

export const startSimulator = (options: Partial<SimulatorOptions> = {}) =>
  makeSimulator({
    host: "127.0.0.1",
    port: 0,
    seed: 7,
    latencyMs: 0,
    limits: "off",
    tickMs: 0,
    ...credentials,
    ...options
  })

// oxlint-disable-next-line typescript/no-explicit-any
type Json = any

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  readonly json: Json
}

export interface Sent {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly headers?: Record<string, string>
}

/** Rejects when the connection ends without a whole answer. */
export const send = (simulator: Pick<RunningSimulator, "port">, sent: Sent): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const body = sent.body ?? ""
    const fail = (error: Error) => resume(Effect.fail(error))
    const req = http.request(
      {
        host: "127.0.0.1",
        port: simulator.port,
        agent: false,
        method: sent.method,
        path: sent.path,
        headers: { ...(body === "" ? {} : { "Content-Length": Buffer.byteLength(body) }), ...sent.headers }
      },
      (res) => {
        const chunks: Array<Buffer> = []
        res.on("data", (chunk: Buffer) => chunks.push(chunk))
        res.on("error", fail)
        res.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8")
          const isJson = String(res.headers["content-type"]).startsWith("application/json")
          const json = isJson ? parsed(text) : undefined
          resume(Effect.succeed({ status: res.statusCode ?? 0, headers: res.headers, text, json }))
        })
      }
    )
    req.on("error", fail)
    req.end(body)
  })

/** Undefined for what only claims to be JSON. */
const parsed = (text: string): Json => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const hmac = (payload: string): string =>
  createHmac("sha256", credentials.apiSecret).update(payload, "utf8").digest("hex")

export const keyHeader = { "X-MBX-APIKEY": credentials.apiKey }

export type Params = Readonly<Record<string, string | number>>

export const formOf = (params: Params): string =>
  Object.entries(params)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join("&")

/** A signed request with everything in the query, which all methods allow. */
export const signed = (simulator: Pick<RunningSimulator, "port">, request: string, params: Params = {}) => {
  const [method = "", path = ""] = request.split(" ")
  const form = formOf({ timestamp: Date.now(), ...params })
  return send(simulator, { method, path: `${path}?${form}&signature=${hmac(form)}`, headers: keyHeader })
}

export const market = (quantity: string, more: Params = {}): Params => ({
  symbol: "BTCUSDT",
  side: "BUY",
  type: "MARKET",
  quantity,
  ...more
})

export const limit = (price: string, quantity: string, more: Params = {}): Params => ({
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  timeInForce: "GTC",
  price,
  quantity,
  ...more
})

export interface Stream {
  readonly messages: ReadonlyArray<Json>
  readonly events: () => ReadonlyArray<Json>
  readonly send: (message: unknown) => void
  readonly isClosed: () => boolean
  /** What the handshake agreed on. */
  readonly extensions: () => string
}

export const openStream = (url: string, options: ClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.callback<Stream & { readonly end: () => void }, Error>((resume) => {
      const socket = new WebSocket(url, options)
      const messages: Array<Json> = []
      let closed = false
      socket.on("message", (data: Buffer) => messages.push(JSON.parse(data.toString("utf8"))))
      socket.on("close", () => {
        closed = true
      })
      socket.on("error", (error) => resume(Effect.fail(error)))
      socket.on("open", () =>
        resume(
          Effect.succeed({
            messages,
            events: () => messages.filter(({ event }) => event !== undefined).map(({ event }) => event),
            send: (message) => socket.send(JSON.stringify(message)),
            isClosed: () => closed,
            extensions: () => socket.extensions,
            end: () => socket.terminate()
          })
        )
      )
    }),
    (stream) => Effect.sync(stream.end)
  )

/** The parameters of a signed WebSocket request. */
export const signedParams = (params: Params = {}): Params => {
  const all: Params = { timestamp: Date.now(), ...params, apiKey: credentials.apiKey }
  const payload = Object.keys(all)
    .sort()
    .map((name) => `${name}=${all[name]}`)
    .join("&")
  return { ...all, signature: hmac(payload) }
}

const pollMillis = 5
const limitMillis = 15_000

/** Waits for a condition, not for a time; says what it waited for when it never came true. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    const start = Date.now()
    while (!condition()) {
      if (Date.now() - start > limitMillis) return yield* Effect.die(new Error(`never came true: ${what}`))
      yield* Effect.sleep(pollMillis)
    }
  })
