/**
 * What the account holds: free and locked per asset.
 *
 * Where the user stream runs, its events keep the balances of the last full answer current; an asset that the
 * stream has spoken of since that answer was asked for keeps the stream's word. Everywhere else, and whenever the
 * stream is away, the exchange is asked, at most once per `accountAgeMillis` however many ask us.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { type Decimal, isPositive } from "../domain/Decimal.ts"
import type { EpochMillis } from "../domain/Ids.ts"

export interface Balance {
  readonly asset: string
  readonly free: Decimal
  readonly locked: Decimal
  /** When this was true at the latest, on our clock. */
  readonly at: EpochMillis
}

export type Position = Pick<Balance, "asset" | "free" | "locked">

// An answer costs 20 of 6,000 a minute: asked by everybody all the time, it takes a tenth of the budget.
const accountAgeMillis = 2_000

export class Balances extends Context.Service<
  Balances,
  {
    /** By asset, those that the account holds any of. Fails when the exchange had to be asked and could not be. */
    readonly read: Effect.Effect<ReadonlyArray<Balance>, BinanceError>
    /** The stream's word on some assets: absolute, and newer than what was known. */
    readonly moved: (positions: ReadonlyArray<Position>) => Effect.Effect<void>
    /** Something moved that the stream gives no sum of: the next reader asks the exchange. */
    readonly doubtful: Effect.Effect<void>
    /** The stream runs here and its gap is over: the exchange is asked, and from here on the stream keeps the answer current. */
    readonly followed: Effect.Effect<void, BinanceError>
    /** The stream is away. */
    readonly unfollowed: Effect.Effect<void>
  }
>()("nexus/engine/Balances") {
  static readonly layer = Layer.effect(
    Balances,
    Effect.gen(function* () {
      const client = yield* BinanceClient
      const asking = yield* Semaphore.make(1)
      // Owned here. The full answer with the stream's words on top of it.
      let known = new Map<string, Balance>()
      let askedAt: EpochMillis | null = null
      let isFollowed = false
      // The stream keeps the answer current; false from whatever it cannot tell until the next answer.
      let isCurrent = false
      // Counts what made the answer doubtful, so that an answer asked for before it does not count after it.
      let doubts = 0

      const doubt = () => {
        doubts += 1
        isCurrent = false
        askedAt = null
      }

      const ask = Effect.gen(function* () {
        const begun = yield* Clock.currentTimeMillis
        const doubtsThen = doubts
        const { balances } = yield* client.account
        const answered = new Map(balances.map((one): [string, Balance] => [one.asset, { ...one, at: begun }]))
        for (const [asset, balance] of known) if (balance.at > begun) answered.set(asset, balance)
        known = answered
        askedAt = begun
        isCurrent = isFollowed && doubtsThen === doubts
      })

      const read = asking.withPermit(
        Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          if (isCurrent) return held(known)
          if (askedAt === null || now - askedAt > accountAgeMillis || now < askedAt) yield* ask
          return held(known)
        })
      )

      return Balances.of({
        read,
        moved: (positions) =>
          Effect.map(Clock.currentTimeMillis, (at) => {
            for (const position of positions) known.set(position.asset, { ...position, at })
          }),
        doubtful: Effect.sync(doubt),
        followed: asking.withPermit(
          Effect.suspend(() => {
            isFollowed = true
            return ask
          })
        ),
        unfollowed: Effect.sync(() => {
          isFollowed = false
          doubt()
        })
      })
    })
  )
}

const held = (known: ReadonlyMap<string, Balance>): ReadonlyArray<Balance> =>
  Array.from(known.values())
    .filter(({ free, locked }) => isPositive(free) || isPositive(locked))
    .toSorted((a, b) => (a.asset < b.asset ? -1 : 1))
