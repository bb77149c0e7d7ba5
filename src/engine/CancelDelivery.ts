/**
 * Delivers wanted cancels to the exchange, on fibers and a rate budget of their own, in every process that
 * talks to the exchange. "Unknown order" is never final by itself: the order is asked for, and whatever is
 * not known then is tried again after a pause.
 */
import { Clock, Effect, Layer } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import { AppConfig } from "../config.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderId } from "../domain/Ids.ts"
import { isOpen } from "../domain/Order.ts"
import { ends } from "../domain/reconcile.ts"
import { AmendedOrders } from "./AmendedOrders.ts"
import { Cancels } from "./Cancels.ts"
import { Engine } from "./Engine.ts"
import { ExchangeCheck } from "./ExchangeCheck.ts"
import { Health } from "./Health.ts"
import { Settlement } from "./Settlement.ts"
import { Supervisor } from "./Supervisor.ts"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { execution } = yield* AppConfig
    const amendedOrders = yield* AmendedOrders
    const cancels = yield* Cancels
    const check = yield* ExchangeCheck
    const client = yield* BinanceClient
    const engine = yield* Engine
    const health = yield* Health
    const settlement = yield* Settlement
    const supervisor = yield* Supervisor

    const deliver = Effect.fn("CancelDelivery.deliver")(function* (orderId: OrderId) {
      const stream = yield* engine.read(orderId)
      if (stream === null || !isOpen(stream.order)) return yield* cancels.done(orderId)
      const { cancelRefused, cancelRequested, clientOrderId, exchangeOrderId, request } = stream.order
      if (!cancelRequested || cancelRefused || clientOrderId === null || request === null) return
      const target = { symbol: request.symbol, clientOrderId, ...(exchangeOrderId === null ? {} : { exchangeOrderId }) }
      const report = yield* client.cancelOrder(target).pipe(
        // Not open any more, or not yet visible: only a query tells, and it may lag.
        Effect.catchIf(
          (error) => error.reason._tag === "OrderUnknown",
          Effect.fnUntraced(function* () {
            const { price, quantity, side, type } = request
            const found = yield* amendedOrders.ask({
              ...target,
              orderId,
              exchangeOrderId,
              side,
              type,
              price: price === null ? null : Decimal.format(price),
              quantity: quantity === null ? null : Decimal.format(quantity),
              attempt: stream.order.attempt
            })
            // Amended elsewhere it stands in the book under another id than ours, and our client wants it gone.
            const stands = found.clientOrderId !== clientOrderId && !ends.has(found.report.exchangeStatus)
            if (!stands) return found.report
            return yield* client.cancelOrder({ ...target, clientOrderId: found.clientOrderId })
          })
        ),
        Effect.catchIf(
          (error) => error.reason._tag === "Refused" && !error.reason.repeatable,
          Effect.fnUntraced(function* (error) {
            if (error.reason._tag !== "Refused") return null
            const { code, exchangeMessage } = error.reason
            const at = yield* Clock.currentTimeMillis
            yield* engine.tell(orderId, { _tag: "RecordCancelRefusal", at, code, message: exchangeMessage })
            return null
          })
        )
      )
      const after = report === null ? stream : yield* settlement.record(orderId, report)
      yield* isOpen(after.order) && report !== null ? cancels.putOff(orderId) : cancels.done(orderId)
    })

    const attend = Effect.fnUntraced(function* (name: string, orderId: OrderId) {
      if (yield* health.draining) return
      yield* supervisor.beat(name)
      yield* Effect.catch(deliver(orderId), (error) =>
        Effect.andThen(
          cancels.putOff(orderId),
          Effect.logWarning(`a cancel could not be delivered yet: ${error.message}`, { orderId })
        )
      )
    })

    const work = (name: string) =>
      Effect.gen(function* () {
        yield* check.passed
        while (true) {
          const orderId = yield* cancels.take
          yield* Effect.ensuring(attend(name, orderId), cancels.release(orderId))
          // A process that stops leaves the rest to the others; the request stands in the log.
          if (yield* health.draining) return
        }
      })

    for (let index = 0; index < execution.cancel_workers; index++) {
      const name = `cancels/worker-${index}`
      yield* supervisor.supervise(name, work(name))
    }
  })
)
