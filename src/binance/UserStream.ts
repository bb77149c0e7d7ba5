/**
 * The exchange's news about our account, over its WebSocket API.
 *
 * `run` keeps one subscribed connection for ever: it reconnects with back-off, takes silence for death, and goes
 * to a fresh connection before the exchange cuts the old one. There is no replay there, so `Connected` says that
 * a gap may lie before it. Frames wait in a bounded queue, beyond which the socket is not read: nothing is dropped.
 */
import type { Scope } from "effect"
import { Cause, Context, Effect, Layer, Queue, Random, Result, Schema } from "effect"
import { type RawData, WebSocket } from "ws"
import type { ExchangeReport } from "../domain/Command.ts"
import type { BinanceError } from "./BinanceError.ts"
import { NotSent, OutcomeUnknown } from "./BinanceError.ts"
import { classify, isClockRefusal, isCredentialRefusal } from "./classify.ts"
import { errorOf } from "./Gateway.ts"
import { RateLimits } from "./RateLimits.ts"
import { ServerTime } from "./ServerTime.ts"
import { type Keys, signedParams } from "./sign.ts"
import { streamReport } from "./translate.ts"
import { clean, ExecutionReport, parseJson } from "./wire.ts"

export type UserEvent =
  /** Subscribed. What happened before may have been missed. */
  | { readonly _tag: "Connected" }
  | {
      readonly _tag: "Report"
      readonly clientOrderId: string
      readonly symbol: string
      readonly report: ExchangeReport
    }
  /** Anything else that shows that the stream lives: balances, pings, what nobody knows yet. */
  | { readonly _tag: "Other" }

/** The server pings every 20 s: three missed, and some slack. */
const silenceMillis = 75_000
const connectTimeoutMillis = 10_000
const subscribeTimeoutMillis = 10_000
/** The exchange cuts a connection after 24 hours. */
const replaceAfterMillis = 23 * 3_600_000
const firstPauseMillis = 250
const longestPauseMillis = 15_000
/** A connection that lived this long was a good one: the next failure starts with the short pause again. */
const goodAfterMillis = 30_000
/** Frames that wait; above the first the socket is not read until below the second. */
const pauseAboveFrames = 4_096
const resumeBelowFrames = 1_024
const framesAtOnce = 256
const maxFrameBytes = 1024 * 1024
/** Connecting costs 2, subscribing 2. */
const connectWeight = 4

const endpoint = { method: "GET", path: "/ws-api/v3" } as const
const subscribe = "userDataStream.subscribe.signature"

export interface UserStreamOptions {
  readonly wsApiUrl: string
  readonly keys: Keys
}

type Frame = { readonly _tag: "Text"; readonly text: string } | { readonly _tag: "Ping" }

interface Link {
  /** At least one frame. Fails with why the connection ended, after all its frames. */
  readonly take: (most: number) => Effect.Effect<ReadonlyArray<Frame>, BinanceError>
  readonly send: (text: string) => Effect.Effect<void>
}

export class UserStream extends Context.Service<
  UserStream,
  {
    /** One event after the other. Fails only when the exchange refuses our credentials. */
    readonly run: (onEvent: (event: UserEvent) => Effect.Effect<unknown>) => Effect.Effect<never, BinanceError>
  }
>()("nexus/binance/UserStream") {
  static readonly layer = (options: UserStreamOptions) =>
    Layer.effect(
      UserStream,
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const serverTime = yield* ServerTime

        const subscribed = Effect.gen(function* () {
          yield* serverTime.ensure
          yield* Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(limits.acquire("query", connectWeight, restore), (allowance) =>
              limits.observe(allowance, null)
            )
          )
          const link = yield* connect(options.wsApiUrl)
          const params = signedParams(options.keys, [["timestamp", yield* serverTime.now]])
          yield* link.send(JSON.stringify({ id: subscriptionId, method: subscribe, params }))
          yield* awaitAnswer(link).pipe(
            Effect.timeoutOrElse({
              duration: subscribeTimeoutMillis,
              orElse: () => Effect.fail(lost("no answer to the subscription"))
            }),
            Effect.tapError(({ reason }) => {
              if (reason._tag === "RateLimited") return limits.obey(reason)
              return isClockRefusal(reason) ? serverTime.sync : Effect.void
            })
          )
          return link
        })

        /** Ends with the failure of the connection, or when it is time for the next one. */
        const consume = Effect.fnUntraced(function* (
          link: Link,
          onEvent: (event: UserEvent) => Effect.Effect<unknown>
        ) {
          for (;;) {
            const frames = yield* Effect.timeoutOrElse(link.take(framesAtOnce), {
              duration: silenceMillis,
              orElse: () => Effect.fail(lost(`silent for ${silenceMillis} ms`))
            })
            for (const frame of frames) {
              const news = frame._tag === "Ping" ? other : yield* newsOf(frame.text)
              if (news._tag === "Goodbye") return
              yield* onEvent(news)
            }
          }
        })

        const run = Effect.fnUntraced(function* (onEvent: (event: UserEvent) => Effect.Effect<unknown>) {
          let pause = firstPauseMillis
          for (;;) {
            const begun = performance.now()
            const ended = yield* Effect.scoped(
              Effect.gen(function* () {
                const link = yield* subscribed
                yield* onEvent({ _tag: "Connected" })
                yield* consume(link, onEvent).pipe(Effect.timeoutOption(replaceAfterMillis))
              })
            ).pipe(Effect.result)
            const wasGood = performance.now() - begun > goodAfterMillis
            if (wasGood) pause = firstPauseMillis
            if (Result.isSuccess(ended)) {
              // Told to go, or old: the next connection at once, and whatever fell between is repaired. But a server
              // that is about to go tells it to everyone who comes.
              if (wasGood) continue
            } else {
              const { reason } = ended.failure
              if (isCredentialRefusal(reason) || (reason._tag === "Refused" && !reason.repeatable)) {
                return yield* ended.failure
              }
              yield* Effect.logWarning("the user data stream was lost", ended.failure.message)
            }
            yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1)))
            pause = Math.min(pause * 2, longestPauseMillis)
          }
        })

        return UserStream.of({ run })
      })
    )
}

const lost = (why: string): BinanceError => errorOf(endpoint, new OutcomeUnknown({ cause: new Error(why) }))

const connect = (url: string): Effect.Effect<Link, BinanceError, Scope.Scope> =>
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
    socket.on("error", (cause) => Queue.failCauseUnsafe(frames, Cause.fail(errorOf(endpoint, new NotSent({ cause })))))
    socket.on("close", (code) => Queue.failCauseUnsafe(frames, Cause.fail(lost(`closed with ${code}`))))

    const take = (most: number) =>
      Effect.tap(Queue.takeBetween(frames, 1, most), () =>
        Effect.sync(() => {
          if (!isPaused || Queue.sizeUnsafe(frames) >= resumeBelowFrames) return
          isPaused = false
          socket.resume()
        })
      )
    yield* Effect.callback<void, BinanceError>((resume) => {
      socket.once("open", () => resume(Effect.void))
      socket.once("close", () => resume(Effect.fail(lost("closed before it was open"))))
      socket.once("error", (cause) => resume(Effect.fail(errorOf(endpoint, new NotSent({ cause })))))
    })
    return { take, send: (text: string) => Effect.sync(() => socket.send(text)) }
  })

const textOf = (data: RawData): string =>
  (Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data).toString("utf8")

const subscriptionId = 1

const Answer = Schema.Struct({
  id: Schema.NullOr(Schema.Union([Schema.Int, Schema.String])),
  status: Schema.Int,
  error: Schema.optionalKey(Schema.Unknown)
})
const decodeAnswer = Schema.decodeUnknownResult(Answer)

const awaitAnswer = Effect.fnUntraced(function* (link: Link) {
  for (;;) {
    // One by one: what comes after the answer is news already.
    const [frame] = yield* link.take(1)
    if (frame === undefined || frame._tag === "Ping") continue
    const answer = Result.flatMap(parseJson(frame.text), decodeAnswer)
    if (Result.isFailure(answer)) continue
    if (answer.success.status !== 200) return yield* refusalOf(answer.success)
    if (answer.success.id === subscriptionId) return
  }
})

const refusalOf = ({ error, status }: typeof Answer.Type): BinanceError =>
  errorOf(endpoint, classify({ status, headers: {}, body: JSON.stringify(error ?? null) }))

const Wrapped = Schema.Struct({ event: Schema.Struct({ e: Schema.String }) })
const decodeWrapped = Schema.decodeUnknownResult(Wrapped)
const decodeReport = Schema.decodeUnknownResult(Schema.Struct({ event: ExecutionReport }))

const other: UserEvent = { _tag: "Other" }
/** The exchange, or our subscription, is about to go. */
const goodbyes: ReadonlySet<string> = new Set(["serverShutdown", "eventStreamTerminated"])

const newsOf = Effect.fnUntraced(function* (text: string) {
  const frame = Result.getOrUndefined(parseJson(text))
  const wrapped = decodeWrapped(frame)
  if (Result.isFailure(wrapped)) {
    const answer = decodeAnswer(frame)
    // As when a key is revoked: the exchange answers a question that nobody asked.
    if (Result.isSuccess(answer) && answer.success.status !== 200) return yield* refusalOf(answer.success)
    return other
  }
  const { e } = wrapped.success.event
  if (goodbyes.has(e)) return { _tag: "Goodbye" } as const
  if (e !== "executionReport") return other
  const report = decodeReport(frame)
  if (Result.isSuccess(report)) return { _tag: "Report", ...streamReport(report.success.event) } as const
  yield* Effect.logWarning("a report of the exchange could not be read; the orders are compared instead", {
    fault: clean(report.failure.message)
  })
  return { _tag: "Connected" } as const
})
