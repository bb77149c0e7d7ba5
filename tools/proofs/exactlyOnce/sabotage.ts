/**
 * The pillars of "at most once", each taken out by a layer around the real part, to show that the proof can fail:
 * an attempt that is written down only after it was sent, a negative answer that is believed at once, and one that
 * is believed without asking anything else.
 */
import { Effect, Layer } from "effect"
import { BinanceClient } from "../../../src/binance/BinanceClient.ts"
import { ServerTime } from "../../../src/binance/ServerTime.ts"
import type { Append } from "../../../src/sql/Append.ts"
import { EventStore } from "../../../src/sql/EventStore.ts"

/** An attempt is answered for as if it were written down, and is so only with its outcome. */
export const withoutJournal = Layer.effect(
  EventStore,
  Effect.map(EventStore, (real) => {
    const owed = new Map<string, Append>()
    return EventStore.of({
      ...real,
      append: (entry) => {
        if (entry.events.some(({ type }) => type === "SubmissionStarted")) {
          owed.set(entry.streamId, entry)
          return Effect.succeed({ version: entry.expected + entry.events.length, duplicate: false })
        }
        const started = owed.get(entry.streamId)
        if (started === undefined) return real.append(entry)
        owed.delete(entry.streamId)
        return Effect.andThen(real.append(started), real.append(entry))
      }
    })
  })
)

/** Judged on a clock that is a minute ahead, an attempt's time has always passed: the first "not found" counts. */
export const withoutWait = Layer.effect(
  ServerTime,
  Effect.map(ServerTime, (real) =>
    ServerTime.of({ ...real, pessimisticNow: Effect.map(real.pessimisticNow, (now) => now + 60_000) })
  )
)

/** Open orders, all orders and trades of a symbol say nothing: "not found" stands alone. */
export const withoutCorroboration = Layer.effect(
  BinanceClient,
  Effect.map(BinanceClient, (real) =>
    BinanceClient.of({
      ...real,
      openOrders: (symbol) => (symbol === undefined ? real.openOrders() : Effect.succeed([])),
      allOrders: (query) => (query.startTime === undefined ? real.allOrders(query) : Effect.succeed([])),
      myTrades: (query) => (query.startTime === undefined ? real.myTrades(query) : Effect.succeed([]))
    })
  )
)
