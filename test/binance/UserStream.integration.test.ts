/** The user data stream over real WebSockets, towards a server that says what each test tells it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Queue } from "effect"
import { createHmac } from "node:crypto"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { type UserEvent, UserStream } from "../../src/binance/UserStream.ts"
import { format } from "../../src/domain/Decimal.ts"
import { answeringServer, clientLayer, credentials } from "./AnsweringServer.ts"

type Subscription = { readonly id: number; readonly method: string; readonly params: Record<string, string | number> }

interface NewsServer {
  readonly url: string
  readonly subscriptions: Array<Subscription>
  /** The newest connection. */
  readonly current: () => WebSocket
  readonly answer: (reply: (subscription: Subscription) => unknown) => void
}

const newsServer = Effect.acquireRelease(
  Effect.callback<NewsServer & { readonly stop: Effect.Effect<void> }>((resume) => {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    const subscriptions: Array<Subscription> = []
    let current: WebSocket
    let reply: (subscription: Subscription) => unknown = ({ id }) => ({
      id,
      status: 200,
      result: { subscriptionId: 0 }
    })
    server.on("connection", (socket) => {
      current = socket
      socket.on("message", (data) => {
        const subscription = JSON.parse((data as Buffer).toString("utf8")) as Subscription
        subscriptions.push(subscription)
        socket.send(JSON.stringify(reply(subscription)))
      })
    })
    server.on("listening", () =>
      resume(
        Effect.succeed({
          url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws-api/v3`,
          subscriptions,
          current: () => current,
          answer: (next) => {
            reply = next
          },
          stop: Effect.callback<void>((done) => {
            for (const socket of server.clients) socket.terminate()
            server.close(() => done(Effect.void))
          })
        })
      )
    )
  }),
  (server) => server.stop
)

/** Runs the stream, and gives its events one by one; pings and the like are left out. */
const withStream = <A, E>(use: (server: NewsServer, next: Effect.Effect<UserEvent>) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const rest = yield* answeringServer
      const server = yield* newsServer
      const layer = UserStream.layer({ ...credentials, wsApiUrl: server.url, silenceMillis: 75_000 }).pipe(
        Layer.provideMerge(clientLayer(rest.url))
      )
      const events = yield* Queue.unbounded<UserEvent>()
      return yield* Effect.gen(function* () {
        const stream = yield* UserStream
        yield* Effect.forkScoped(
          stream.run((event) =>
            event._tag === "Other" || event._tag === "Lost" ? Effect.void : Queue.offer(events, event)
          )
        )
        return yield* use(server, Queue.take(events))
      }).pipe(Effect.provide(layer))
    })
  )

const execution = (orderId: number, changes: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({
    subscriptionId: 0,
    event: {
      e: "executionReport",
      s: "BTCUSDT",
      c: "nx1",
      C: "",
      S: "BUY",
      o: "LIMIT",
      q: "1",
      p: "100",
      x: "NEW",
      X: "NEW",
      i: orderId,
      l: "0",
      z: "0",
      L: "0",
      Z: "0",
      n: "0",
      N: null,
      t: -1,
      T: 1,
      ...changes
    }
  })

const orderIdOf = (event: UserEvent) => (event._tag === "Report" ? event.report.exchangeOrderId : event._tag)

describe("the user data stream", () => {
  it.live("is subscribed to by signature, and says so before any news", () =>
    withStream((server, next) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* next)._tag, "Connected")

        const { method, params } = server.subscriptions[0]!
        assert.strictEqual(method, "userDataStream.subscribe.signature")
        const payload = `apiKey=${params["apiKey"]}&timestamp=${params["timestamp"]}`
        const secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
        assert.strictEqual(params["signature"], createHmac("sha256", secret).update(payload).digest("hex"))
      })
    )
  )

  it.live("tells each report in the order of its arrival, other events between them or not", () =>
    withStream((server, next) =>
      Effect.gen(function* () {
        yield* next
        server.current().send(execution(1))
        server.current().send(JSON.stringify({ subscriptionId: 0, event: { e: "newOfTomorrow" } }))
        server
          .current()
          .send(
            execution(2, { x: "TRADE", X: "FILLED", l: "0.5", z: "0.5", L: "3", Z: "1.5", t: 9, n: "0.01", N: "BTC" })
          )

        assert.strictEqual(orderIdOf(yield* next), "1")
        const second = yield* next
        assert(second._tag === "Report")
        assert.strictEqual(second.report.exchangeOrderId, "2")
        assert.deepStrictEqual(
          second.report.fills.map((fill) => [fill.tradeId, format(fill.quantity)]),
          [["9", "0.5"]]
        )
      })
    )
  )

  it.live("loses no news that comes right behind the answer to the subscription", () =>
    withStream((server, next) =>
      Effect.gen(function* () {
        yield* next
        server.answer(({ id }) => {
          setImmediate(() => {
            for (let order = 1; order <= 100; order++) server.current().send(execution(order))
          })
          return { id, status: 200, result: { subscriptionId: 0 } }
        })
        server.current().terminate()

        assert.strictEqual((yield* next)._tag, "Connected")
        for (let order = 1; order <= 100; order++) assert.strictEqual(orderIdOf(yield* next), `${order}`)
      })
    )
  )

  it.live("delivers everything to a slow reader, though the exchange sends far more than it keeps", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const many = 20_000
        const rest = yield* answeringServer
        const server = yield* newsServer
        const layer = UserStream.layer({ ...credentials, wsApiUrl: server.url, silenceMillis: 75_000 }).pipe(
          Layer.provideMerge(clientLayer(rest.url))
        )
        const seen: Array<string> = []
        yield* Effect.gen(function* () {
          const stream = yield* UserStream
          const all = yield* Queue.unbounded<void>()
          yield* Effect.forkScoped(
            stream.run((event) =>
              Effect.suspend(() => {
                if (event._tag === "Connected")
                  for (let order = 1; order <= many; order++) server.current().send(execution(order))
                if (event._tag !== "Report") return Effect.void
                seen.push(event.report.exchangeOrderId)
                return seen.length === many ? Queue.offer(all, undefined) : Effect.yieldNow
              })
            )
          )
          yield* Queue.take(all)
        }).pipe(Effect.provide(layer))

        assert.deepStrictEqual(
          seen,
          Array.from({ length: many }, (_, index) => `${index + 1}`)
        )
      })
    )
  )

  for (const [name, end] of [
    ["is cut", (socket: WebSocket) => socket.terminate()],
    ["is closed", (socket: WebSocket) => socket.close(1001)],
    ["is announced to end", (socket: WebSocket) => socket.send(`{"event":{"e":"serverShutdown","E":1}}`)]
  ] as const) {
    it.live(`connects again when it ${name}, and says that a gap may lie before`, () =>
      withStream((server, next) =>
        Effect.gen(function* () {
          yield* next
          server.current().send(execution(1))
          assert.strictEqual(orderIdOf(yield* next), "1")

          end(server.current())

          assert.strictEqual((yield* next)._tag, "Connected")
          assert.strictEqual(server.subscriptions.length, 2)
        })
      )
    )
  }

  it.live("is not asked for again and again by a server that says goodbye to everyone who comes", () =>
    withStream((server, next) =>
      Effect.gen(function* () {
        server.answer(({ id }) => {
          setImmediate(() => server.current().send(`{"event":{"e":"serverShutdown","E":1}}`))
          return { id, status: 200, result: { subscriptionId: 0 } }
        })
        const begun = performance.now()

        for (let connection = 1; connection <= 4; connection++) assert.strictEqual((yield* next)._tag, "Connected")

        // Three pauses: of 125, 250 and 500 ms at least.
        assert.isAtLeast(performance.now() - begun, 850)
      })
    )
  )

  it.live("takes a report that it cannot read for a gap, never for nothing", () =>
    withStream((server, next) =>
      Effect.gen(function* () {
        yield* next

        server.current().send(execution(1, { z: "many" }))
        server.current().send(execution(2))

        assert.strictEqual((yield* next)._tag, "Connected")
        assert.strictEqual(orderIdOf(yield* next), "2")
      })
    )
  )

  it.live("fails for good when the exchange refuses the key, and measures the clock when it refuses the time", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const rest = yield* answeringServer
        const server = yield* newsServer
        const refusals = [
          { code: -1021, msg: "Timestamp for this request is outside of the recvWindow." },
          { code: -2015, msg: "Invalid API-key, IP, or permissions for action." }
        ]
        server.answer(({ id }) => ({ id, status: 400, error: refusals.shift() }))
        const layer = UserStream.layer({ ...credentials, wsApiUrl: server.url, silenceMillis: 75_000 }).pipe(
          Layer.provideMerge(clientLayer(rest.url))
        )

        const failure = yield* Effect.flip(
          Effect.flatMap(Effect.all([UserStream, ServerTime]), ([stream]) => stream.run(() => Effect.void)).pipe(
            Effect.provide(layer)
          )
        )

        assert.deepInclude(failure.reason, { _tag: "Refused", code: "-2015" })
        assert.strictEqual(rest.asked.filter(({ path }) => path === "/api/v3/time").length, 10)
      })
    )
  )

  it.live("is left at once when nobody wants it any more", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const rest = yield* answeringServer
        const server = yield* newsServer
        const layer = UserStream.layer({ ...credentials, wsApiUrl: server.url, silenceMillis: 75_000 }).pipe(
          Layer.provideMerge(clientLayer(rest.url))
        )
        const closed = Effect.callback<void>((resume) => {
          server.current().once("close", () => resume(Effect.void))
        })
        yield* Effect.gen(function* () {
          const connected = yield* Queue.unbounded<void>()
          const stream = yield* UserStream
          const running = yield* Effect.forkChild(stream.run(() => Queue.offer(connected, undefined)))
          yield* Queue.take(connected)
          yield* Effect.all([closed, Fiber.interrupt(running)], { concurrency: 2 })
        }).pipe(Effect.provide(layer))
      })
    )
  )
})
