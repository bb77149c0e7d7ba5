/**
 * The exchange's symbols and filters, from the newest snapshot in the store, and what the market says now.
 *
 * A process that finds the snapshot missing or older than a day fetches one at start (public data, no key
 * needed); the reconciler's owner keeps it fresh. Intake asks only this copy, never the exchange.
 */
import { Clock, Context, Effect, Layer, Schema } from "effect"
import type { BinanceError } from "../binance/BinanceError.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { Decimal } from "../domain/Decimal.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { Instrument } from "../domain/Instrument.ts"
import { Instruments as Snapshots } from "../sql/Instruments.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { Supervisor } from "./Supervisor.ts"

export interface Snapshot {
  readonly version: number
  readonly checkedAt: EpochMillis
  readonly bySymbol: ReadonlyMap<string, Instrument>
}

export interface Market {
  readonly last: Decimal
  readonly bid: Decimal
  readonly ask: Decimal
  readonly at: EpochMillis
}

const dayMillis = 86_400_000
// How soon another process's new snapshot is seen here; symbols and filters change rarely.
const reloadMillis = 60_000
// An exchange that takes longer is waited for in the background.
const firstTryMillis = 3_000

const Content = Schema.Array(Instrument)
const decodeContent = Schema.decodeUnknownEffect(Content)
const encodeContent = Schema.encodeSync(Content)

export class Instruments extends Context.Service<
  Instruments,
  {
    /** The copy in memory; null until there ever was a snapshot. Never waits. */
    readonly current: Effect.Effect<Snapshot | null>
    /** Fetches from the exchange and stores a new version if anything changed. */
    readonly refresh: Effect.Effect<void, BinanceError | StoreUnavailable>
    /** Last trade and best prices, asked of the exchange now. */
    readonly market: (symbol: string) => Effect.Effect<Market, BinanceError>
  }
>()("nexus/engine/Instruments") {
  static readonly layer = Layer.effect(
    Instruments,
    Effect.gen(function* () {
      const snapshots = yield* Snapshots
      const client = yield* BinanceClient
      const supervisor = yield* Supervisor
      let snapshot: Snapshot | null = null

      const reload = Effect.gen(function* () {
        const stored = yield* snapshots.latest
        if (stored === null) return
        if (stored.version !== snapshot?.version) {
          const content = yield* Effect.orDie(decodeContent(stored.content))
          snapshot = {
            version: stored.version,
            checkedAt: stored.checkedAt,
            bySymbol: new Map(content.map((instrument) => [instrument.symbol, instrument]))
          }
        } else snapshot = { ...snapshot, checkedAt: stored.checkedAt }
      })

      const refresh = Effect.gen(function* () {
        const content = yield* client.exchangeInfo
        yield* snapshots.save(encodeContent(content), yield* Clock.currentTimeMillis)
        yield* reload
      })

      const isOld = Effect.map(
        Clock.currentTimeMillis,
        (now) => snapshot === null || now - snapshot.checkedAt > dayMillis
      )

      const keepFresh = Effect.gen(function* () {
        while (true) {
          yield* supervisor.beat("instruments")
          yield* reload
          if (yield* isOld) yield* refresh
          yield* Effect.sleep(reloadMillis)
        }
      })

      // One bounded try before intake opens, so that a healthy start knows its symbols at the first request.
      yield* Effect.gen(function* () {
        yield* reload
        if (yield* isOld) yield* refresh
      }).pipe(
        Effect.timeout(firstTryMillis),
        Effect.catch((error) => Effect.logInfo(`no fresh snapshot of the exchange's symbols yet: ${error.message}`))
      )
      yield* supervisor.supervise("instruments", keepFresh)

      const market = Effect.fnUntraced(function* (symbol: string) {
        const [last, book] = yield* Effect.all([client.tickerPrice(symbol), client.bookTicker(symbol)], {
          concurrency: 2
        })
        return { last: last.price, bid: book.bid, ask: book.ask, at: yield* Clock.currentTimeMillis }
      })

      return Instruments.of({ current: Effect.sync(() => snapshot), refresh, market })
    })
  )
}
