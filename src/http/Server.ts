/**
 * The HTTP server: node's own, with limits that a slow or hostile client cannot stretch, and one effect per
 * request run on it. Why no general router stands between: docs/decisions/0008-lean-http-routes.md.
 *
 * A command that was handed over runs to its end, whether or not its client still waits; a read ends with
 * its client. When the scope closes, the server stops accepting, lets what is in flight end within
 * `http.drain_ms`, and cuts the rest: a client that is cut learns the outcome by repeating the same id.
 */
import type { IncomingMessage, Server as NodeServer, ServerResponse } from "node:http"
import { createServer, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { Cause, Context, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { AppConfig } from "../config.ts"
import { Health } from "../engine/Health.ts"
import { makeGate, refuseBody, tooLarge } from "./Gate.ts"
import { makeOps } from "./Ops.ts"
import { makeOrders } from "./Orders.ts"
import type { Answer } from "./Problem.ts"
import { problem, requestIdOf } from "./Problem.ts"
import { makeRoutes } from "./Routes.ts"

/** The server cannot start; the message is one sentence that says what to do. */
export class StartError extends Schema.TaggedError<StartError>()("StartError", { message: Schema.String }) {}

/** Where the server listens; the port is the real one also when the configuration says 0. */
export class ListeningAddress extends Context.Service<
  ListeningAddress,
  {
    readonly url: string
    readonly port: number
  }
>()("nexus/http/ListeningAddress") {}

/** All headers of a request together. Ours have a few hundred bytes. */
const maxHeaderBytes = 8_192
const maxHeaders = 64
/** How often node looks for connections past their time-outs. */
const connectionsCheckMillis = 1_000

/** How soon answers begin to close their connections; asking with each answer would cost the order's path. */
const drainingCheckMillis = 100

const commonHeaders = [
  "X-Content-Type-Options",
  "nosniff",
  "Cache-Control",
  "no-store",
  "Content-Security-Policy",
  "default-src 'none'; frame-ancestors 'none'",
  "Referrer-Policy",
  "no-referrer"
]

export const Server = {
  layer: Layer.effect(
    ListeningAddress,
    Effect.gen(function* () {
      const { app, http } = yield* AppConfig
      const health = yield* Health
      const route = makeRoutes(yield* makeOrders, yield* makeOps)
      const gate = makeGate(app.host)
      const run = Effect.runForkWith(yield* Effect.context())
      const running = new Set<Fiber.Fiber<Answer>>()
      // Requests whose answer has not left yet, also those whose body is still coming. Owned here, as `running` is.
      let inFlight = 0
      let stopping = false
      let drained = () => {}

      const start = (answer: Effect.Effect<Answer>, response: ServerResponse): Fiber.Fiber<Answer> => {
        const fiber = run(answer)
        running.add(fiber)
        fiber.addObserver((exit) => {
          running.delete(fiber)
          if (Exit.isSuccess(exit)) return write(response, exit.value, stopping)
          const answer = problem(500, "internal", "an error of ours; the log tells it by the request id")
          write(response, answer, true)
          if (Cause.hasInterruptsOnly(exit.cause)) return
          run(
            Effect.annotateLogs(Effect.logError("a request failed with a defect", exit.cause), {
              request_id: requestIdOf(answer)
            })
          )
        })
        return fiber
      }

      const ended = () => {
        inFlight -= 1
        if (inFlight === 0) drained()
      }

      const serve = (request: IncomingMessage, response: ServerResponse) => {
        inFlight += 1
        response.on("close", ended)
        const refused = gate(request)
        if (refused !== null) return write(response, refused, stopping)
        const found = route(request)
        switch (found._tag) {
          case "Refused":
            return write(response, found.answer, stopping)
          case "Read": {
            const fiber = start(found.answer, response)
            response.on("close", () => fiber.interruptUnsafe())
            return
          }
          case "Command":
            start(found.answer, response)
            return
          case "Body":
            return readBody(request, http.max_body_bytes, {
              // What is left of too large a body is not read, so the connection cannot be used again.
              refuse: (answer) => write(response, answer, stopping || answer.status === 413),
              take: (body) => start(found.answer(body), response)
            })
        }
      }

      const server = createServer(
        {
          headersTimeout: http.headers_timeout_ms,
          // Node wants the whole to be allowed at least as long as its beginning.
          requestTimeout: Math.max(http.request_timeout_ms, http.headers_timeout_ms),
          keepAliveTimeout: http.keep_alive_timeout_ms,
          connectionsCheckingInterval: connectionsCheckMillis,
          maxHeaderSize: maxHeaderBytes
        },
        serve
      )
      server.maxConnections = http.max_connections
      server.maxHeadersCount = maxHeaders
      server.on("clientError", refuseBytes)

      // From the first sign of the end on, answers close their connection: a balancer then looks for another replica.
      yield* health.draining.pipe(
        Effect.flatMap((draining) => Effect.sync(() => void (stopping ||= draining))),
        Effect.repeat(Schedule.spaced(drainingCheckMillis)),
        Effect.forkScoped
      )

      const drain = Effect.callback<void>((resume) => {
        drained = () => resume(Effect.void)
        if (inFlight === 0) drained()
      })

      const stop = Effect.gen(function* () {
        stopping = true
        const closed = yield* Effect.forkChild(close(server), { startImmediately: true })
        yield* Effect.timeoutOption(drain, http.drain_ms)
        server.closeAllConnections()
        yield* Fiber.interruptAll(running)
        yield* Fiber.join(closed)
      })

      yield* Effect.acquireRelease(listen(server, app.host, app.port), () => stop)
      const bound = server.address()
      const port = typeof bound === "object" && bound !== null ? bound.port : app.port
      const shownHost = app.host.includes(":") ? `[${app.host}]` : app.host
      return ListeningAddress.of({ url: `http://${shownHost}:${port}`, port })
    })
  )
}

const write = (response: ServerResponse, answer: Answer, closing: boolean): void => {
  if (response.destroyed || response.headersSent) return
  const headers = [...answer.headers, ...commonHeaders]
  if (answer.status !== 304) headers.push("Content-Length", `${Buffer.byteLength(answer.body)}`)
  if (closing) headers.push("Connection", "close")
  response.writeHead(answer.status, headers)
  response.end(answer.body)
}

/** Collects a body up to the limit. A client that leaves in the middle has asked for nothing. */
const readBody = (
  request: IncomingMessage,
  maxBytes: number,
  then: { readonly refuse: (answer: Answer) => void; readonly take: (body: Buffer) => void }
): void => {
  const refused = refuseBody(request, maxBytes)
  if (refused !== null) return then.refuse(refused)
  // An order nearly always comes in one piece.
  let first: Buffer | undefined
  let more: Array<Buffer> | undefined
  let size = 0
  const onData = (piece: Buffer) => {
    size += piece.length
    if (size > maxBytes) {
      request.off("data", onData).off("end", onEnd)
      return then.refuse(tooLarge(maxBytes))
    }
    if (first === undefined) first = piece
    else (more ??= [first]).push(piece)
  }
  const onEnd = () => then.take(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more))
  request.on("data", onData).on("end", onEnd)
}

/** What node's parser refuses never becomes a request; the connection ends with the answer. */
const refuseBytes = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy()
  const { body, headers, status } =
    error.code === "HPE_HEADER_OVERFLOW"
      ? problem(431, "headers_too_large", `the headers must not be larger than ${maxHeaderBytes} bytes`)
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? problem(408, "request_timeout", "the request did not arrive in time")
        : problem(400, "bad_http", "this is not HTTP")
  const all = [...headers, ...commonHeaders, "Content-Length", `${Buffer.byteLength(body)}`, "Connection", "close"]
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`
  for (let i = 0; i < all.length; i += 2) head += `${all[i]}: ${all[i + 1]}\r\n`
  socket.end(`${head}\r\n${body}`)
}

const listen = (server: NodeServer, host: string, port: number): Effect.Effect<void, StartError> =>
  Effect.callback((resume) => {
    const failed = (error: NodeJS.ErrnoException) =>
      resume(Effect.fail(new StartError({ message: whyNot(error, host, port) })))
    server.once("error", failed)
    server.listen({ host, port }, () => {
      server.off("error", failed)
      resume(Effect.void)
    })
  })

const whyNot = (error: NodeJS.ErrnoException, host: string, port: number): string => {
  switch (error.code) {
    case "EADDRINUSE":
      return `port ${port} on ${host} is in use: stop the program that holds it, or set NEXUS_APP_PORT to another port (0 takes any free one)`
    case "EACCES":
      return `port ${port} on ${host} may not be opened by this user: set NEXUS_APP_PORT to a port above 1023`
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `${host} is no address of this machine: set NEXUS_APP_HOST to one that is, such as 127.0.0.1`
    default:
      return `cannot listen on ${host}:${port}: ${error.message}`
  }
}

const close = (server: NodeServer): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
  })
