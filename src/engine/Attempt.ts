/**
 * One attempt to bring an order to the exchange: permit, journal, send once, record.
 *
 * The attempt is in the log before its first byte leaves, with the timestamp that is sent; only the process
 * whose own SubmissionStarted was appended may send. An answer that proves nothing is recorded as doubt and
 * left to the Reconciler; nothing is ever sent again from here (INV-3).
 */
import { Clock, Context, Effect, Layer, Result } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { AppConfig } from "../config.ts"
import type { Command } from "../domain/Command.ts"
import type { EpochMillis, OrderId } from "../domain/Ids.ts"
import type { Order } from "../domain/Order.ts"
import { Backlog } from "./Backlog.ts"
import { Engine } from "./Engine.ts"
import { Settlement } from "./Settlement.ts"

// A worker does not stand at the gate for longer: the order goes back to the log, which is the queue.
const permitWaitMillis = 5_000
const backoffMaxMillis = 30_000

export class Attempt extends Context.Service<
  Attempt,
  {
    /** Makes one attempt if the order is due; else does nothing. Once begun it is not interrupted. */
    readonly make: (orderId: OrderId) => Effect.Effect<void>
  }
>()("nexus/engine/Attempt") {
  static readonly layer = Layer.effect(
    Attempt,
    Effect.gen(function* () {
      const { binance, execution } = yield* AppConfig
      const backlog = yield* Backlog
      const client = yield* BinanceClient
      const engine = yield* Engine
      const serverTime = yield* ServerTime
      const settlement = yield* Settlement
      const recvWindowMillis = binance.testnet.recv_window_ms

      const submit = Effect.fnUntraced(function* (orderId: OrderId, permit: Permit) {
        const begun = yield* Clock.currentTimeMillis
        const told = yield* Effect.result(
          engine.tell(orderId, {
            _tag: "StartSubmission",
            at: begun,
            timestamp: yield* serverTime.now,
            recvWindowMillis
          })
        )
        const started = Result.isSuccess(told)
          ? told.success.events.find((event) => event._tag === "SubmissionStarted")
          : undefined
        const request = Result.isSuccess(told) ? told.success.stream.order.request : null
        if (started === undefined || request === null) return yield* client.giveBack(permit)

        const { attempt, clientOrderId, timestamp } = started
        const pause = Math.min(execution.repeat_backoff_ms * 2 ** (attempt - 1), backoffMaxMillis)
        const now = yield* Clock.currentTimeMillis
        if (now - begun > recvWindowMillis / 2) {
          yield* client.giveBack(permit)
          yield* record(orderId, {
            _tag: "RecordRefusal",
            at: now,
            attempt,
            code: "NOT_SENT",
            message: "writing the attempt down took too long; nothing was sent",
            nextAttemptAt: now + pause
          })
          return
        }
        const answer = yield* Effect.result(
          client.placeOrder({ clientOrderId, request, timestamp, recvWindowMillis }, permit)
        )
        if (Result.isSuccess(answer)) {
          yield* Effect.catch(settlement.record(orderId, answer.success, attempt), logRejection(orderId))
          return
        }
        const at = yield* Clock.currentTimeMillis
        yield* record(orderId, outcomeOf(answer.failure, attempt, at, pause))
      })

      const record = (orderId: OrderId, command: Command) =>
        Effect.catch(Effect.asVoid(engine.tell(orderId, command)), logRejection(orderId))

      // A copy that says "due" is enough, for the append compares it with the log. One that says "nothing to do" may
      // be old. Null: the store is away, or the order cannot be read, and the due-scan comes back to it.
      const orderOf = Effect.fnUntraced(function* (orderId: OrderId, now: EpochMillis) {
        const seen = yield* engine.lastSeen(orderId)
        if (seen !== null && isDue(seen.order, now)) return seen.order
        const found = yield* Effect.result(engine.read(orderId))
        return Result.isSuccess(found) ? (found.success?.order ?? null) : null
      })

      const make = Effect.fn("Attempt.make")(function* (orderId: OrderId) {
        const now = yield* Clock.currentTimeMillis
        const order = yield* orderOf(orderId, now)
        if (order === null || order.status !== "PENDING") return
        if (now >= order.staleAt) return yield* record(orderId, { _tag: "ExpireStale", at: now })
        if (order.parked || now < order.nextAttemptAt) return
        // Nothing is sent on the word of a log that somebody has changed.
        if ((yield* backlog.broken) !== null) return
        yield* Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const permit = yield* Effect.result(restore(Effect.timeoutOption(client.readyToSubmit, permitWaitMillis)))
            if (Result.isFailure(permit) || permit.success._tag === "None") return
            yield* submit(orderId, permit.success.value)
          })
        )
      })

      return Attempt.of({ make })
    })
  )
}

const isDue = (order: Order, now: EpochMillis): boolean =>
  order.status === "PENDING" && !order.parked && now >= order.nextAttemptAt

type Permit = Effect.Success<BinanceClient["Service"]["readyToSubmit"]>

const logRejection = (orderId: OrderId) => (rejection: { readonly code: string; readonly message: string }) =>
  Effect.logWarning("news of an order was rejected", { orderId, code: rejection.code, reason: rejection.message })

/** What an answer that is no acceptance means for the attempt. */
const outcomeOf = ({ reason }: BinanceError, attempt: number, at: EpochMillis, pause: number): Command => {
  switch (reason._tag) {
    case "Refused":
      return {
        _tag: "RecordRefusal",
        at,
        attempt,
        code: reason.code,
        message: reason.exchangeMessage,
        nextAttemptAt: reason.repeatable ? at + pause : null
      }
    case "RateLimited":
      return {
        _tag: "RecordRefusal",
        at,
        attempt,
        code: reason.code,
        message: reason.exchangeMessage,
        nextAttemptAt: at + Math.max(pause, reason.retryAfterMillis)
      }
    case "NotSent":
      return {
        _tag: "RecordRefusal",
        at,
        attempt,
        code: "NOT_SENT",
        message: reason.message,
        nextAttemptAt: at + pause
      }
    case "DuplicateOrder":
      return { _tag: "RecordDoubt", at, attempt, cause: "an order with our id is open at the exchange already" }
    case "OutcomeUnknown":
    case "OrderUnknown":
    case "Archived":
      return { _tag: "RecordDoubt", at, attempt, cause: "the answer of the exchange proves nothing" }
  }
}
