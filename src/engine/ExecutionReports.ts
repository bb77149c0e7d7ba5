/**
 * The exchange's news, from the user data stream into the log. One owner by lease.
 *
 * News of one order that arrives while its last append is under way is merged, and goes into one append.
 * After every connect a gap may lie behind, so the open orders are compared before the stream is trusted.
 * Nothing is dropped: a full queue makes the stream wait.
 */
import { Effect, Layer, Queue } from "effect"
import type { UserEvent } from "../binance/UserStream.ts"
import { UserStream } from "../binance/UserStream.ts"
import type { ExchangeReport } from "../domain/Command.ts"
import type { OrderId } from "../domain/Ids.ts"
import { mergeReports } from "../domain/reconcile.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Engine } from "./Engine.ts"
import { ExchangeCheck } from "./ExchangeCheck.ts"
import { OpenOrders } from "./OpenOrders.ts"
import { Ownership } from "./Ownership.ts"
import { Settlement } from "./Settlement.ts"
import { Supervisor } from "./Supervisor.ts"

export const userStreamRole = "user-stream"

// Orders with news that waits for a fiber; beyond it the stream itself waits.
const pendingOrders = 8_192
// Appends of news in flight; they share the lanes' batches, so few are enough.
const fibers = 16
const gapPauseMillis = 1_000

interface News {
  readonly clientOrderId: string
  readonly report: ExchangeReport
}

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const blotter = yield* Blotter
    const check = yield* ExchangeCheck
    const engine = yield* Engine
    const openOrders = yield* OpenOrders
    const ownership = yield* Ownership
    const settlement = yield* Settlement
    const stream = yield* UserStream
    const supervisor = yield* Supervisor

    const run = Effect.scoped(
      Effect.gen(function* () {
        yield* check.passed
        // One entry per order of the exchange, however much news it has. Owned by this run.
        const pending = new Map<string, News>()
        const queue = yield* Queue.bounded<string>(pendingOrders)
        const gaps = yield* Queue.sliding<void>(1)

        const onEvent = (event: UserEvent) =>
          Effect.suspend(() => {
            switch (event._tag) {
              case "Connected":
                return Effect.andThen(supervisor.beat(userStreamRole), Queue.offer(gaps, undefined))
              case "Report": {
                const { clientOrderId, report, symbol } = event
                const key = `${symbol} ${report.exchangeOrderId}`
                const waiting = pending.get(key)
                pending.set(key, {
                  clientOrderId,
                  report: waiting === undefined ? report : mergeReports(waiting.report, report)
                })
                return waiting === undefined
                  ? Effect.onInterrupt(Queue.offer(queue, key), () => forget(key))
                  : Effect.void
              }
              case "Other":
                return supervisor.beat(userStreamRole)
            }
          })

        const book = (name: string) =>
          Effect.gen(function* () {
            while (true) {
              const key = yield* Queue.take(queue)
              // Whatever stops this, the entry is gone from the line: it must not go on swallowing news.
              yield* Effect.onError(Effect.andThen(supervisor.beat(name), bookNews(key)), () =>
                Effect.andThen(forget(key), Queue.offer(gaps, undefined))
              )
            }
          })

        const forget = (key: string) => Effect.sync(() => void pending.delete(key))

        const lookUp = (clientOrderId: string) =>
          blotter.findByClientOrderId(clientOrderId).pipe(
            Effect.map((row) => row?.orderId ?? null),
            Effect.tapError(() => Effect.sleep(gapPauseMillis)),
            Effect.eventually
          )

        const bookNews = Effect.fnUntraced(function* (key: string) {
          const clientOrderId = pending.get(key)?.clientOrderId ?? ""
          const orderId = (yield* engine.orderIdOf(clientOrderId)) ?? (yield* lookUp(clientOrderId))
          const report = pending.get(key)?.report
          pending.delete(key)
          // Made elsewhere under our keys: listed by the reconciler, never touched.
          if (orderId !== null && report !== undefined) yield* bookOne(orderId, report)
        })

        const bookOne = (orderId: OrderId, report: ExchangeReport) =>
          Effect.catch(Effect.asVoid(settlement.record(orderId, report)), (rejection) =>
            Effect.logWarning("news of an order was rejected", { orderId }, rejection)
          )

        const repairGaps = Effect.gen(function* () {
          while (true) {
            yield* Queue.take(gaps)
            yield* supervisor.beat("user-stream/gaps")
            const { failed } = yield* openOrders.compare.pipe(Effect.tapError(() => Queue.offer(gaps, undefined)))
            if (failed === 0) continue
            yield* Effect.sleep(gapPauseMillis)
            yield* Queue.offer(gaps, undefined)
          }
        })

        for (let index = 0; index < fibers; index++) {
          const name = `user-stream/reports-${index}`
          yield* supervisor.supervise(name, book(name))
        }
        yield* supervisor.supervise("user-stream/gaps", repairGaps)
        return yield* stream.run(onEvent)
      })
    )

    yield* ownership.own(userStreamRole, () => run)
  })
)
