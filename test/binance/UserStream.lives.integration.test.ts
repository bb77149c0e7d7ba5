/** When the user data stream goes to another connection, and that nothing falls between the two. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Queue } from "effect"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { UserStream } from "../../src/binance/UserStream.ts"
import { makeMovableClock, type MovableClock } from "../MovableClock.ts"
import { until } from "../sql/until.ts"
import { answeringServer, clientLayer, credentials } from "./AnsweringServer.ts"

interface NewsServer {
  readonly url: string
  /** Every connection that was ever subscribed, oldest first. */
  readonly sockets: Array<WebSocket>
  readonly stop: Effect.Effect<void>
}

const newsServer = Effect.acquireRelease(
  Effect.callback<NewsServer>((resume) => {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    const sockets: Array<WebSocket> = []
    server.on("connection", (socket) =>
      socket.on("message", (data) => {
        const { id } = JSON.parse((data as Buffer).toString("utf8")) as { readonly id: number }
        socket.send(JSON.stringify({ id, status: 200, result: { subscriptionId: 0 } }))
        sockets.push(socket)
      })
    )
    server.on("listening", () =>
      resume(
        Effect.succeed({
          url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws-api/v3`,
          sockets,
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

const asset = (name: string) =>
  JSON.stringify({ subscriptionId: 0, event: { e: "outboundAccountPosition", B: [{ a: name, f: "1", l: "0" }] } })
const shutdown = JSON.stringify({ event: { e: "serverShutdown", E: 1 } })

interface Stage {
  readonly clock: MovableClock
  readonly server: NewsServer
  /** The next thing that is told, by its name or by its asset. */
  readonly next: Effect.Effect<string>
  readonly connections: (count: number) => Effect.Effect<number>
}

const onStage = <A, E>(silenceMillis: number, use: (stage: Stage) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const rest = yield* answeringServer
      const server = yield* newsServer
      const clock = makeMovableClock()
      const told = yield* Queue.unbounded<string>()
      const layer = UserStream.layer({ ...credentials, wsApiUrl: server.url, silenceMillis }).pipe(
        Layer.provideMerge(clientLayer(rest.url)),
        Layer.provideMerge(Layer.succeed(Clock.Clock, clock))
      )
      return yield* Effect.gen(function* () {
        const stream = yield* UserStream
        yield* Effect.forkScoped(
          stream.run((event) =>
            event._tag === "Other"
              ? Effect.void
              : Queue.offer(told, event._tag === "Positions" ? (event.positions[0]?.asset ?? "") : event._tag)
          )
        )
        return yield* use({
          clock,
          server,
          next: Queue.take(told),
          connections: (count) =>
            until(
              Effect.sync(() => server.sockets.length),
              (now) => now >= count
            )
        })
      }).pipe(Effect.provide(layer))
    })
  )

const isOpen = (socket: WebSocket | undefined) => socket?.readyState === 1

describe("the user data stream", () => {
  it.live(
    "goes to a new connection after 23 hours, and reads the old one until the new one is subscribed and longer",
    () =>
      onStage(360_000_000, ({ clock, connections, next, server }) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* next, "Connected")
          yield* clock.advance("22 hours")
          assert.strictEqual(server.sockets.length, 1)

          yield* clock.advance("61 minutes")

          assert.strictEqual(yield* next, "Connected")
          yield* connections(2)
          const [old, fresh] = server.sockets
          old?.send(asset("OLD"))
          assert.strictEqual(yield* next, "OLD")
          fresh?.send(asset("NEW"))
          assert.strictEqual(yield* next, "NEW")
          yield* clock.advance("11 seconds")
          yield* until(
            Effect.sync(() => isOpen(old)),
            (open) => !open
          )
          fresh?.send(asset("STILL"))
          assert.strictEqual(yield* next, "STILL")
        })
      )
  )

  it.live("goes at once when the exchange says that it will, and reads on what it still says", () =>
    onStage(360_000_000, ({ clock, connections, next, server }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* next, "Connected")
        yield* clock.advance("1 minute")
        const [old] = server.sockets
        const begun = performance.now()

        old?.send(shutdown)

        assert.strictEqual(yield* next, "Connected")
        assert.isBelow(performance.now() - begun, 250)
        yield* connections(2)
        old?.send(asset("LAST"))
        assert.strictEqual(yield* next, "LAST")
        // That this one ends is no loss: the other is read.
        old?.terminate()
        server.sockets[1]?.send(asset("ON"))
        assert.strictEqual(yield* next, "ON")
      })
    )
  )

  it.live("takes silence for death, and a ping for life", () =>
    onStage(75_000, ({ clock, connections, next, server }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* next, "Connected")
        for (let minute = 0; minute < 3; minute++) {
          yield* clock.advance("1 minute")
          yield* Effect.callback<void>((resume) => {
            server.sockets[0]?.once("pong", () => resume(Effect.void))
            server.sockets[0]?.ping()
          })
        }
        assert.strictEqual(server.sockets.length, 1)

        yield* clock.advance("76 seconds")

        assert.strictEqual(yield* next, "Lost")
        assert.strictEqual(yield* next, "Connected")
        yield* connections(2)
        assert.isFalse(isOpen(server.sockets[0]))
      })
    )
  )
})
