/**
 * The exchange's news about our account, over its WebSocket API.
 *
 * `run` keeps a subscribed connection for ever: it reconnects with back-off, takes silence for death, and goes to a
 * new connection before the exchange cuts the old one and as soon as it says that it will. Then both are read for a
 * while, so that nothing falls between them; their news is the same, and comes twice. There is no replay at the
 * exchange, so `Connected` says that a gap may lie before it.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Random } from "effect"
import type { BinanceError } from "./BinanceError.ts"
import { isClockRefusal, isCredentialRefusal } from "./classify.ts"
import { RateLimits } from "./RateLimits.ts"
import { ServerTime } from "./ServerTime.ts"
import { type Keys, signedParams } from "./sign.ts"
import { connectLink, linkLost, type StreamLink } from "./StreamLink.ts"
import { answerIn, newsOf, refusalOf, type UserEvent } from "./streamNews.ts"

export type { UserEvent } from "./streamNews.ts"

const subscribeTimeoutMillis = 10_000
/** The exchange cuts a connection after 24 hours. */
const replaceAfterMillis = 23 * 3_600_000
/** How long the old connection is read beside the new one: events of before the change are under way for less. */
const overlapMillis = 10_000
const firstPauseMillis = 250
const longestPauseMillis = 15_000
/** A connection that lived this long was a good one: the next failure starts with the short pause again. */
const goodAfterMillis = 30_000
const framesAtOnce = 256
/** Connecting costs 2, subscribing 2. */
const connectWeight = 4

const subscribe = "userDataStream.subscribe.signature"
const subscriptionId = 1

export interface UserStreamOptions {
  readonly wsApiUrl: string
  readonly keys: Keys
  /** No frame of any kind for so long means death. The server pings every 20 s. */
  readonly silenceMillis: number
}

type OnEvent = (event: UserEvent) => Effect.Effect<unknown>

/** One connection, from its subscription to its end. */
interface Life {
  /** It is subscribed and read. */
  readonly up: Deferred.Deferred<void>
  /** The exchange has said that it will go. */
  readonly toldToGo: Deferred.Deferred<void>
  readonly fiber: Fiber.Fiber<never, BinanceError>
}

export class UserStream extends Context.Service<
  UserStream,
  {
    /**
     * One event after the other per connection; two connections are read at a time while one replaces the other.
     * Fails only when the exchange refuses our credentials.
     */
    readonly run: (onEvent: OnEvent) => Effect.Effect<never, BinanceError>
  }
>()("nexus/binance/UserStream") {
  static readonly layer = (options: UserStreamOptions) =>
    Layer.effect(
      UserStream,
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const serverTime = yield* ServerTime
        const { silenceMillis } = options

        const subscribed = Effect.gen(function* () {
          yield* serverTime.ensure
          yield* Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(limits.acquire("query", connectWeight, restore), (allowance) =>
              limits.observe(allowance, null)
            )
          )
          const link = yield* connectLink(options.wsApiUrl)
          const params = signedParams(options.keys, [["timestamp", yield* serverTime.now]])
          yield* link.send(JSON.stringify({ id: subscriptionId, method: subscribe, params }))
          yield* awaitAnswer(link).pipe(
            Effect.timeoutOrElse({
              duration: subscribeTimeoutMillis,
              orElse: () => Effect.fail(linkLost("no answer to the subscription"))
            }),
            Effect.tapError(({ reason }) => (isClockRefusal(reason) ? serverTime.sync : Effect.void))
          )
          return link
        })

        /** Ends with the failure of the connection alone. */
        const consume = Effect.fnUntraced(function* (link: StreamLink, toldToGo: Life["toldToGo"], onEvent: OnEvent) {
          for (;;) {
            const frames = yield* Effect.timeoutOrElse(link.take(framesAtOnce), {
              duration: silenceMillis,
              orElse: () => Effect.fail(linkLost(`silent for ${silenceMillis} ms`))
            })
            for (const frame of frames) {
              const news = frame._tag === "Ping" ? other : yield* newsOf(frame.text)
              if (news._tag === "Goodbye") yield* Deferred.succeed(toldToGo, undefined)
              else yield* onEvent(news)
            }
          }
        })

        const run = Effect.fnUntraced(function* (onEvent: OnEvent) {
          const scope = yield* Effect.scope
          let connections = 0

          const begin = Effect.gen(function* () {
            const up = yield* Deferred.make<void>()
            const toldToGo = yield* Deferred.make<void>()
            const fiber = yield* Effect.gen(function* () {
              const link = yield* subscribed
              yield* Effect.acquireRelease(
                Effect.sync(() => void (connections += 1)),
                () => Effect.suspend(() => ((connections -= 1) === 0 ? onEvent({ _tag: "Lost" }) : Effect.void))
              )
              yield* onEvent({ _tag: "Connected" })
              yield* Deferred.succeed(up, undefined)
              return yield* consume(link, toldToGo, onEvent)
            }).pipe(
              Effect.scoped,
              // At the door, upon the subscription, or later: the next connection waits like all other traffic.
              Effect.tapError(({ reason }) => (reason._tag === "RateLimited" ? limits.obey(reason) : Effect.void)),
              Effect.forkIn(scope)
            )
            return { up, toldToGo, fiber } satisfies Life
          })

          let pause = firstPauseMillis
          // Still read while the next one comes.
          let old: Life | null = null
          for (;;) {
            const begun = yield* Clock.currentTimeMillis
            const life: Life = yield* begin
            const ended = Fiber.await(life.fiber)
            const failed = yield* Effect.raceFirst(Effect.asSome(ended), Effect.as(Deferred.await(life.up), none))
            if (Option.isNone(failed) && old !== null) {
              yield* Effect.forkIn(Effect.andThen(Effect.sleep(overlapMillis), Fiber.interrupt(old.fiber)), scope)
              old = null
            }
            const end = Option.isSome(failed)
              ? failed
              : yield* Effect.raceFirst(
                  Effect.asSome(ended),
                  Effect.as(Effect.timeoutOption(Deferred.await(life.toldToGo), replaceAfterMillis), none)
                )
            const wasGood = (yield* Clock.currentTimeMillis) - begun > goodAfterMillis
            if (wasGood) pause = firstPauseMillis
            if (Option.isNone(end)) {
              // Told to go, or old: it is read on while the next one comes, at once. But a server that is about
              // to go tells it to everyone who comes.
              old = life
              if (wasGood) continue
            } else yield* judge(end.value)
            yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1)))
            pause = Math.min(pause * 2, longestPauseMillis)
          }
        }, Effect.scoped)

        return UserStream.of({ run })
      })
    )
}

const none = Option.none<Exit.Exit<never, BinanceError>>()
const other: UserEvent = { _tag: "Other" }

/** What a connection that ended by itself means: a refusal of our keys is final, a defect is a bug, all else is weather. */
const judge = Effect.fnUntraced(function* (exit: Exit.Exit<never, BinanceError>) {
  const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  if (failure === undefined) return yield* exit
  const { reason } = failure
  if (isCredentialRefusal(reason) || (reason._tag === "Refused" && !reason.repeatable)) return yield* failure
  yield* Effect.logWarning("the user data stream was lost", failure.message)
})

const awaitAnswer = Effect.fnUntraced(function* (link: StreamLink) {
  for (;;) {
    // One by one: what comes after the answer is news already.
    const [frame] = yield* link.take(1)
    const answer = frame?._tag === "Text" ? answerIn(frame.text) : undefined
    if (answer === undefined) continue
    if (answer.status !== 200) return yield* refusalOf(answer)
    if (answer.id === subscriptionId) return
  }
})
