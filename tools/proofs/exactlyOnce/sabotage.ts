/**
 * The pillars of "at most once", each taken out by a layer around the real part, to show that the proof can fail:
 * an attempt that is written down only after it was sent, a negative answer that is believed at once, and one that
 * is believed without asking anything else.
 */
import { Effect, Layer, Result } from "effect"
import { BinanceClient } from "../../../src/binance/BinanceClient.ts"
import { AppConfig } from "../../../src/config.ts"
import type { Command } from "../../../src/domain/Command.ts"
import { decide } from "../../../src/domain/decide.ts"
import type { OrderId } from "../../../src/domain/Ids.ts"
import { evolve } from "../../../src/domain/Order.ts"
import { Engine } from "../../../src/engine/Engine.ts"

/** SubmissionStarted is made up at first, and appended only when there is an outcome. */
export const withoutJournal = Layer.effect(
  Engine,
  Effect.map(Engine, (real) => {
    const owed = new Map<OrderId, Command>()
    const late = Effect.fnUntraced(function* (orderId: OrderId, command: Command) {
      if (command._tag === "StartSubmission") {
        const stream = yield* Effect.orDie(real.read(orderId))
        const decided = stream === null ? null : decide(stream.order, command)
        if (stream === null || decided === null || Result.isFailure(decided) || decided.success.length === 0) {
          return yield* real.tell(orderId, command)
        }
        owed.set(orderId, command)
        const order = decided.success.reduce((before, event) => evolve(before, event, command.at), stream.order)
        return { stream: { ...stream, order }, events: decided.success }
      }
      const started = owed.get(orderId)
      if (started !== undefined) {
        owed.delete(orderId)
        yield* real.tell(orderId, started)
      }
      return yield* real.tell(orderId, command)
    })
    return Engine.of({ ...real, tell: late })
  })
)

/** No margin at all, and not even recvWindow: the first "not found" counts. */
export const withoutWait = Layer.effect(
  AppConfig,
  Effect.map(AppConfig, (real) =>
    AppConfig.of({
      ...real,
      margins: { delta_ms: -real.binance.testnet.recv_window_ms, staleness_ms: -2_000 }
    })
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
