/** A stream that is told to wait: for as long as it was told, and with all other traffic. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { UserStream } from "../../src/binance/UserStream.ts"
import { until } from "../sql/until.ts"
import { answeringServer, clientLayer, credentials } from "./AnsweringServer.ts"

const waitSeconds = 600

/** Counts who comes, and treats each like this. */
const server = (treat: (request: IncomingMessage, socket: Duplex, head: Buffer) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly came: () => number; readonly stop: () => void }>((resume) => {
      let came = 0
      const sockets = new Set<Duplex>()
      const http = createServer()
      http.on("upgrade", (request, socket, head) => {
        came += 1
        sockets.add(socket)
        treat(request, socket, head)
      })
      http.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/ws-api/v3`,
            came: () => came,
            stop: () => {
              for (const socket of sockets) socket.destroy()
              http.close()
            }
          })
        )
      )
    }),
    ({ stop }) => Effect.sync(stop)
  )

const atTheDoor = (_request: IncomingMessage, socket: Duplex) =>
  socket.end(
    `HTTP/1.1 418 I'm a teapot\r\nRetry-After: ${waitSeconds}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
  )

const bannedUntil = () => {
  const serverTime = Date.now()
  return {
    status: 418,
    error: {
      code: -1003,
      msg: "Way too much request weight used; IP banned.",
      data: { serverTime, retryAfter: serverTime + waitSeconds * 1_000 }
    }
  }
}

const speaking = (speak: (socket: WebSocket, id: unknown) => void) => {
  const sockets = new WebSocketServer({ noServer: true })
  return (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    sockets.handleUpgrade(request, socket, head, (open) =>
      open.on("message", (data) => speak(open, (JSON.parse((data as Buffer).toString("utf8")) as { id: unknown }).id))
    )
}

const ways = {
  "at the door": atTheDoor,
  "in the answer to its subscription": speaking((socket, id) => socket.send(JSON.stringify({ id, ...bannedUntil() }))),
  "in the middle of its news": speaking((socket, id) => {
    socket.send(JSON.stringify({ id, status: 200, result: { subscriptionId: 0 } }))
    socket.send(JSON.stringify({ id: null, ...bannedUntil() }))
  })
}

describe("a user data stream that is banned", () => {
  it.live.each(Object.keys(ways) as Array<keyof typeof ways>)(
    "%s stops all traffic for as long as the exchange says, and does not come again before",
    (way) =>
      Effect.scoped(
        Effect.gen(function* () {
          const rest = yield* answeringServer
          const { came, url } = yield* server(ways[way])
          yield* Effect.gen(function* () {
            const stream = yield* UserStream
            const limits = yield* RateLimits
            yield* Effect.forkScoped(stream.run(() => Effect.void))

            const { stoppedMillis } = yield* until(limits.forecast, (forecast) => forecast.stoppedMillis > 0)

            assert.isAbove(stoppedMillis, (waitSeconds - 30) * 1_000)
            assert.isAtMost(stoppedMillis, waitSeconds * 1_000)
            // Longer than its pauses are after a loss.
            yield* Effect.sleep("800 millis")
            assert.strictEqual(came(), 1)
          }).pipe(
            Effect.provide(
              UserStream.layer({ ...credentials, wsApiUrl: url, silenceMillis: 75_000 }).pipe(
                Layer.provideMerge(clientLayer(rest.url))
              )
            )
          )
        })
      )
  )
})
