/**
 * The exchange's news, from the user data stream into the log. One owner by lease.
 *
 * News of one order that arrives while its last append is under way is merged, and goes into one append. After every
 * connect a gap may lie behind: news then gathers, merged per order, until the open orders are compared, the missing
 * trades fetched and the balances asked for, and is applied on top by the same rules. Nothing is dropped: a full
 * queue makes the stream wait.
 */
import { Clock, Effect, Latch, Layer, Queue } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import type { UserEvent } from "../binance/UserStream.ts"
import { UserStream } from "../binance/UserStream.ts"
import type { ExchangeReport } from "../domain/Command.ts"
import type { OrderId } from "../domain/Ids.ts"
import { mergeReports } from "../domain/reconcile.ts"
import { Blotter } from "../sql/Blotter.ts"
import { AmendedOrders } from "./AmendedOrders.ts"
import { Balances } from "./Balances.ts"
import { Engine } from "./Engine.ts"
import { ExchangeCheck } from "./ExchangeCheck.ts"
import { ForeignOrders } from "./ForeignOrders.ts"
import { OpenOrders, settleMillis } from "./OpenOrders.ts"
import { Ownership } from "./Ownership.ts"
import { Settlement } from "./Settlement.ts"
import { StreamState } from "./StreamState.ts"
import { Supervisor } from "./Supervisor.ts"

export const userStreamRole = "user-stream"

// Orders with news that waits for a fiber; beyond it the stream itself waits.
const pendingOrders = 8_192
// Appends of news in flight; they share the lanes' batches, so few are enough.
const fibers = 16
const gapPauseMillis = 1_000
// Between comparisons of which something failed, doubling to the pace of the slow sweep: a question may fail for ever.
const longestGapPauseMillis = 30_000
// A repair that takes longer goes on beside the news: the rules are the same whichever comes first, and a fill
// should not wait for a comparison of ten thousand orders.
const gatherMillis = 10_000

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const amendedOrders = yield* AmendedOrders
    const balances = yield* Balances
    const blotter = yield* Blotter
    const check = yield* ExchangeCheck
    const engine = yield* Engine
    const foreign = yield* ForeignOrders
    const openOrders = yield* OpenOrders
    const ownership = yield* Ownership
    const settlement = yield* Settlement
    const state = yield* StreamState
    const stream = yield* UserStream
    const supervisor = yield* Supervisor

    const away = Effect.map(Clock.currentTimeMillis, (now) => {
      state.awaySince = now
    })

    const run = Effect.scoped(
      Effect.gen(function* () {
        yield* check.passed
        yield* Effect.acquireRelease(away, () => Effect.sync(() => (state.awaySince = null)))
        // One entry per order of the exchange, however much news it has. Owned by this run.
        const pending = new Map<string, FoundOrder>()
        const queue = yield* Queue.bounded<string>(pendingOrders)
        const gaps = yield* Queue.sliding<void>(1)
        // Closed while a gap is repaired: news gathers.
        const flow = yield* Latch.make(true)

        const onEvent = (event: UserEvent): Effect.Effect<unknown> =>
          Effect.suspend((): Effect.Effect<unknown> => {
            switch (event._tag) {
              case "Connected":
                state.awaySince = null
                flow.closeUnsafe()
                return Effect.andThen(supervisor.beat(userStreamRole), Queue.offer(gaps, undefined))
              case "Lost":
                return Effect.andThen(away, balances.unfollowed)
              case "Positions":
                return Effect.andThen(supervisor.beat(userStreamRole), balances.moved(event.positions))
              case "BalancesMoved":
                return Effect.andThen(supervisor.beat(userStreamRole), balances.doubtful)
              case "Other":
                return supervisor.beat(userStreamRole)
              case "Report": {
                const key = `${event.symbol} ${event.report.exchangeOrderId}`
                const waiting = pending.get(key)
                pending.set(key, waiting === undefined ? event : merged(waiting, event))
                return waiting === undefined
                  ? Effect.onInterrupt(Queue.offer(queue, key), () =>
                      // Another connection may have merged news into what is forgotten.
                      Effect.andThen(forget(key), Queue.offer(gaps, undefined))
                    )
                  : Effect.void
              }
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
            Effect.tapError(() => Effect.sleep(gapPauseMillis)),
            Effect.eventually
          )

        const bookNews = Effect.fnUntraced(function* (key: string) {
          yield* flow.await
          const clientOrderId = pending.get(key)?.clientOrderId ?? ""
          const own = (yield* engine.orderIdOf(clientOrderId)) ?? (yield* lookUp(clientOrderId))?.orderId ?? null
          // Before the news leaves the line: what comes right behind an amendment has another id already.
          const row = own !== null && pending.get(key)?.isAmended === true ? yield* lookUp(clientOrderId) : null
          const news = pending.get(key)
          pending.delete(key)
          if (news === undefined) return
          if (row !== null) amendedOrders.amended(row, news)
          const orderId = own ?? amendedOrders.ownerOf(news)
          yield* orderId === null ? listForeign(news) : bookOne(orderId, news.report)
        })

        const bookOne = (orderId: OrderId, report: ExchangeReport) =>
          Effect.catch(Effect.asVoid(settlement.record(orderId, report)), (rejection) =>
            Effect.logWarning("news of an order was rejected", { orderId }, rejection)
          )

        // Made elsewhere under our keys: listed, never touched. One that could not be written down is in the next list.
        const listForeign = (news: FoundOrder) =>
          Effect.catch(foreign.heard(news), (error) =>
            Effect.logWarning(`an order made elsewhere could not be listed yet: ${error.message}`)
          )

        const repair = Effect.gen(function* () {
          const { failed, fresh } = yield* openOrders.compare
          yield* balances.followed
          return { failed, fresh }
        }).pipe(
          Effect.ensuring(flow.open),
          // Interrupted with the repair that it is raced with.
          Effect.raceFirst(Effect.andThen(Effect.sleep(gatherMillis), Effect.andThen(flow.open, Effect.never)))
        )

        const repairGaps = Effect.gen(function* () {
          let pause = gapPauseMillis
          while (true) {
            yield* Queue.take(gaps)
            flow.closeUnsafe()
            yield* supervisor.beat("user-stream/gaps")
            const again = Queue.offer(gaps, undefined)
            const { failed, fresh } = yield* Effect.tapError(repair, () => again)
            if (failed > 0) {
              // A new gap does not wait for the old one's pause: news gathers behind it.
              yield* Effect.timeoutOption(Queue.take(gaps), pause)
              pause = Math.min(pause * 2, longestGapPauseMillis)
              yield* again
              continue
            }
            pause = gapPauseMillis
            if (fresh > 0) {
              // What was too young to be judged then is not left to the slow sweep.
              yield* Effect.sleep(2 * settleMillis)
              yield* Effect.tapError(openOrders.compare, () => again)
            }
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

    yield* ownership.own(userStreamRole, () => run, check.fault)
  })
)

/** Behind an amendment the news has the new client order id, and the amendment alone says whose it was. */
const merged = (waiting: FoundOrder, event: FoundOrder): FoundOrder => ({
  ...event,
  ...(waiting.isAmended === true ? { clientOrderId: waiting.clientOrderId, isAmended: true } : {}),
  report: mergeReports(waiting.report, event.report)
})
