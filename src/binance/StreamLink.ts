/**
 * One WebSocket connection, as frames that wait to be taken.
 *
 * The queue is bounded by its socket: above a mark the socket is not read, so that a slow reader slows the
 * sender and nothing is dropped. A failed or closed connection is told after all the frames that came before.
 * Pings are frames too: they show that the other side lives.
 */
import type { Scope } from "effect"
import { Cause, Effect, Queue } from "effect"
import { type RawData, WebSocket } from "ws"
import type { BinanceError } from "./BinanceError.ts"
import { NotSent, OutcomeUnknown } from "./BinanceError.ts"
import { classify } from "./classify.ts"
import { errorOf } from "./Gateway.ts"

const connectTimeoutMillis = 10_000
/** Frames that wait; above the first the socket is not read until below the second. */
const pauseAboveFrames = 4_096
const resumeBelowFrames = 1_024
const maxFrameBytes = 1024 * 1024

export const streamEndpoint = { method: "GET", path: "/ws-api/v3" } as const

export type Frame = { readonly _tag: "Text"; readonly text: string } | { readonly _tag: "Ping" }

export interface StreamLink {
  /** At least one frame. Fails with why the connection ended, after all its frames. */
  readonly take: (most: number) => Effect.Effect<ReadonlyArray<Frame>, BinanceError>
  readonly send: (text: string) => Effect.Effect<void>
}

export const linkLost = (why: string): BinanceError =>
  errorOf(streamEndpoint, new OutcomeUnknown({ cause: new Error(why) }))

/** Open when it succeeds; closed with its scope. */
export const connectLink = (url: string): Effect.Effect<StreamLink, BinanceError, Scope.Scope> =>
  Effect.gen(function* () {
    const frames = yield* Queue.unbounded<Frame, BinanceError>()
    const socket = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new WebSocket(url, {
            handshakeTimeout: connectTimeoutMillis,
            perMessageDeflate: false,
            maxPayload: maxFrameBytes
          })
      ),
      (open) => Effect.sync(() => open.terminate())
    )
    let isPaused = false
    const offer = (frame: Frame) => {
      Queue.offerUnsafe(frames, frame)
      if (!isPaused && Queue.sizeUnsafe(frames) > pauseAboveFrames) {
        isPaused = true
        socket.pause()
      }
    }
    socket.on("message", (data) => offer({ _tag: "Text", text: textOf(data) }))
    socket.on("ping", () => offer({ _tag: "Ping" }))
    socket.on("error", (cause) =>
      Queue.failCauseUnsafe(frames, Cause.fail(errorOf(streamEndpoint, new NotSent({ cause }))))
    )
    socket.on("close", (code) => Queue.failCauseUnsafe(frames, Cause.fail(linkLost(`closed with ${code}`))))

    const take = (most: number) =>
      Effect.tap(Queue.takeBetween(frames, 1, most), () =>
        Effect.sync(() => {
          if (!isPaused || Queue.sizeUnsafe(frames) >= resumeBelowFrames) return
          isPaused = false
          socket.resume()
        })
      )
    yield* Effect.callback<void, BinanceError>((resume) => {
      // As when this address is limited or banned: the answer says for how long.
      socket.once("unexpected-response", (_request, { headers, statusCode }) => {
        const reason = classify({ status: statusCode ?? 0, headers, body: "" })
        resume(Effect.fail(errorOf(streamEndpoint, reason)))
        socket.terminate()
      })
      socket.once("open", () => resume(Effect.void))
      socket.once("close", () => resume(Effect.fail(linkLost("closed before it was open"))))
      socket.once("error", (cause) => resume(Effect.fail(errorOf(streamEndpoint, new NotSent({ cause })))))
    })
    return { take, send: (text: string) => Effect.sync(() => socket.send(text)) }
  })

const textOf = (data: RawData): string =>
  (Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data).toString("utf8")
