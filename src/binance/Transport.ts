/**
 * Keep-alive connections to the exchange, and what is known of each request that goes over one.
 *
 * The one thing that matters here is certainty: NotSent only if no byte was handed to a socket, OutcomeUnknown for
 * every failure after that. So a request is given only sockets whose handshake is over, nothing is ever retried,
 * and a connection can be reserved before an attempt is written down. node:http over sockets connected here, since
 * it tells when a request got its socket; signing, sending and reading one order costs some 0.2 ms of CPU.
 */
import { Context, Effect, Layer, Redacted, Semaphore } from "effect"
import * as http from "node:http"
import * as net from "node:net"
import * as tls from "node:tls"
import { NotSent, OutcomeUnknown } from "./BinanceError.ts"
import type { Answer } from "./classify.ts"
import type { Endpoint } from "./Gateway.ts"
import type { Restore } from "./RateLimits.ts"
import { type Keys, type Parameters, queryOf, signedQuery } from "./sign.ts"

const connectTimeoutMillis = 5_000
/**
 * A server closes idle connections, and a request that crosses its FIN is in doubt, which costs a minute; a new
 * connection costs milliseconds. Shorter than the 5 s after which common servers close.
 */
const maxIdleMillis = 4_000
/** The list of 20,000 open orders is 12 MB, the exchange's full list of symbols is not more. */
const maxListBytes = 64 * 1024 * 1024
/** An order that was filled in 1,000 trades is 150 kB. */
const maxAnswerBytes = 1024 * 1024

/** One request in the words of the exchange; each way to it writes and signs it in its own form. */
export interface Call {
  readonly endpoint: Endpoint
  readonly parameters: Parameters
  /** Null: public. */
  readonly keys: Keys | null
}

/** A place on a way to the exchange that nobody else uses until it is released. */
export interface Line {
  /** Sends once. Does not release. */
  readonly send: (call: Call) => Effect.Effect<Answer, NotSent | OutcomeUnknown>
  readonly release: Effect.Effect<void>
  /** As far as is known now. */
  readonly isOpen: () => boolean
}

/** A connection that nobody else uses until it is released. */
interface Connection {
  readonly agent: http.Agent
  /** Connected, and not yet given to a request. */
  warm: net.Socket | null
  usedAt: number
}

export interface TransportOptions {
  /** Scheme, host and port. */
  readonly baseUrl: string
  /** Must be above the exchange's own 10 s, or each slow answer becomes doubt. */
  readonly timeoutMillis: number
  /** Requests in flight at a time; more wait. */
  readonly maxConnections: number
}

export class Transport extends Context.Service<
  Transport,
  {
    /** Waits for a free connection, or makes one. Called where nothing interrupts; only its waits are `interruptible`. */
    readonly reserve: (interruptible: Restore) => Effect.Effect<Line, NotSent>
  }
>()("nexus/binance/Transport") {
  static readonly layer = (options: TransportOptions): Layer.Layer<Transport> =>
    Layer.effect(
      Transport,
      Effect.gen(function* () {
        const { hostname, host, port, protocol } = new URL(options.baseUrl)
        const dial = dialer(protocol === "https:", hostname.replace(/^\[|\]$/g, ""), port)
        const slots = Semaphore.makeUnsafe(options.maxConnections)
        // Idle ones, the last used on top: few stay in use and the others grow old. Owned here.
        const idle: Array<Connection> = []
        const all = new Set<Connection>()
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const connection of all) close(connection)
          })
        )

        const make = (): Connection => {
          const agent = new http.Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 })
          const connection: Connection = { agent, warm: null, usedAt: 0 }
          agent.createConnection = (_options, done) => {
            const { warm } = connection
            connection.warm = null
            if (warm !== null && !warm.destroyed) return warm
            dial((error, socket) => done?.(error, socket as net.Socket))
            return undefined
          }
          all.add(connection)
          return connection
        }

        const connect = (connection: Connection) =>
          Effect.callback<Connection, NotSent>((resume) => {
            const socket = dial((error, connected) => {
              if (error !== null || connected === null) return resume(Effect.fail(new NotSent({ cause: error })))
              // Without a listener a reset between reserving and sending would end the process.
              connected.on("error", () => connected.destroy())
              // Read on, so that a close by the server is seen before a request goes out on it.
              connected.resume()
              connection.warm = connected
              resume(Effect.succeed(connection))
            })
            return Effect.sync(() => socket.destroy())
          })

        // Taken without a wait, so that no interruption comes between a slot and its owner. Whoever waits only waits
        // for its turn to look again.
        const takeSlot = Effect.fnUntraced(function* (interruptible: Restore) {
          while (!(yield* slots.takeIfAvailable(1))) yield* interruptible(slots.withPermit(Effect.void))
        })

        const release = (connection: Connection) =>
          Effect.suspend(() => {
            connection.usedAt = performance.now()
            idle.push(connection)
            return Effect.asVoid(slots.release(1))
          })

        const reserve = Effect.fnUntraced(function* (interruptible: Restore) {
          yield* takeSlot(interruptible)
          const connection = idle.pop() ?? make()
          if (performance.now() - connection.usedAt > maxIdleMillis) close(connection)
          if (!isConnected(connection)) {
            yield* Effect.onError(interruptible(connect(connection)), () => release(connection))
          }
          return {
            send: (call: Call) => send(connection, call),
            release: release(connection),
            isOpen: () => isConnected(connection)
          }
        })

        const send = (connection: Connection, call: Call) =>
          Effect.callback<Answer, NotSent | OutcomeUnknown>((resume) => {
            const { endpoint } = call
            const maxBytes = endpoint.isList === true ? maxListBytes : maxAnswerBytes
            // True once the request has a socket, just before its first byte is written.
            let handed = false
            const fail = (cause: unknown) => {
              clearTimeout(timer)
              resume(Effect.fail(handed ? new OutcomeUnknown({ cause }) : new NotSent({ cause })))
            }
            const outgoing = http.request({
              agent: connection.agent,
              hostname,
              method: endpoint.method,
              path: targetOf(call),
              headers: call.keys === null ? { host } : { "x-mbx-apikey": Redacted.value(call.keys.apiKey), host }
            })
            const timer = setTimeout(
              () => outgoing.destroy(new Error(`no answer within ${options.timeoutMillis} ms`)),
              options.timeoutMillis
            )
            outgoing.once("socket", () => {
              handed = true
            })
            outgoing.on("error", fail)
            outgoing.once("response", (incoming) => {
              // As text from the first chunk on: a list of megabytes joined as a buffer leaves holes in native memory.
              let body = ""
              let bytes = 0
              incoming.setEncoding("utf8")
              incoming.on("data", (chunk: string) => {
                bytes += Buffer.byteLength(chunk)
                if (bytes > maxBytes) incoming.destroy(new Error(`the answer is longer than ${maxBytes} bytes`))
                else body += chunk
              })
              incoming.on("error", fail)
              // At its close the connection is back with its agent, ready for whoever reserves it next.
              incoming.once("close", () => {
                if (!incoming.complete) return fail(new Error("the connection ended within the answer"))
                clearTimeout(timer)
                resume(Effect.succeed({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }))
              })
            })
            outgoing.end()
            return Effect.sync(() => {
              clearTimeout(timer)
              outgoing.destroy()
            })
          })

        return Transport.of({ reserve })
      })
    )
}

const targetOf = ({ endpoint, keys, parameters }: Call): string => {
  const query = keys === null ? queryOf(parameters) : signedQuery(keys.signer, parameters)
  return query === "" ? endpoint.path : `${endpoint.path}?${query}`
}

const isConnected = ({ agent, warm }: Connection): boolean =>
  (warm !== null && !warm.destroyed) ||
  Object.values(agent.freeSockets).some((sockets) => sockets?.some((socket) => !socket.destroyed))

const close = (connection: Connection): void => {
  connection.agent.destroy()
  connection.warm?.destroy()
  connection.warm = null
}

type Dialed = (error: Error | null, socket: net.Socket | null) => void

/** Connects, with the TLS handshake where there is one, and calls back once. */
const dialer = (secure: boolean, host: string, port: string) => {
  let session: Buffer | undefined
  return (done: Dialed): net.Socket => {
    const socket = secure
      ? tls.connect({
          host,
          port: Number(port === "" ? "443" : port),
          ALPNProtocols: ["http/1.1"],
          ...(net.isIP(host) === 0 ? { servername: host } : {}),
          ...(session === undefined ? {} : { session })
        })
      : net.connect({ host, port: Number(port === "" ? "80" : port) })
    socket.setNoDelay(true)
    const timer = setTimeout(() => socket.destroy(new Error("connecting took too long")), connectTimeoutMillis)
    const settle = (error: Error | null) => {
      clearTimeout(timer)
      socket.off("error", settle)
      socket.off("close", closed)
      done(error, error === null ? socket : null)
    }
    const closed = () => settle(new Error("closed while connecting"))
    socket.once(secure ? "secureConnect" : "connect", () => settle(null))
    socket.once("error", settle)
    socket.once("close", closed)
    socket.on("session", (fresh: Buffer) => {
      session = fresh
    })
    return socket
  }
}
