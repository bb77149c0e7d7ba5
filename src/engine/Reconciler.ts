/**
 * Keeps the log and the exchange in agreement. One owner by lease.
 *
 * Four loops: attempts in doubt, the slow sweep over open orders, cancels that nobody answered, and the
 * snapshot of instruments. At start the doubts of processes that died are asked about at once.
 */
import { Clock, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Cancels } from "./Cancels.ts"
import { Doubts } from "./Doubts.ts"
import { Engine } from "./Engine.ts"
import { ExchangeCheck } from "./ExchangeCheck.ts"
import { Instruments } from "./Instruments.ts"
import { OpenOrders } from "./OpenOrders.ts"
import { Ownership } from "./Ownership.ts"
import { Supervisor } from "./Supervisor.ts"

export const reconcilerRole = "reconciler"

const cancelPage = 500

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { binance, reconciler } = yield* AppConfig
    const blotter = yield* Blotter
    const cancels = yield* Cancels
    const check = yield* ExchangeCheck
    const doubts = yield* Doubts
    const engine = yield* Engine
    const instruments = yield* Instruments
    const openOrders = yield* OpenOrders
    const ownership = yield* Ownership
    const supervisor = yield* Supervisor

    const settleDoubts = Effect.gen(function* () {
      yield* check.passed
      // Whoever started these may be dead: a found order is adopted now, and asking hurts nobody who lives.
      yield* doubts.settle(yield* Clock.currentTimeMillis)
      while (true) {
        yield* supervisor.beat("reconciler/doubts")
        yield* doubts.settle((yield* Clock.currentTimeMillis) - binance.testnet.timeout_ms)
        yield* Effect.sleep(reconciler.doubt_check_ms)
      }
    })

    const sweep = Effect.gen(function* () {
      yield* check.passed
      for (let first = true; ; first = false) {
        yield* supervisor.beat("reconciler/sweep")
        const found = yield* openOrders.compare
        const repaired = found.adopted + found.fillsBooked > 0
        if (first || repaired) {
          yield* engine.recordAccount(() => ({ _tag: "ReconciliationReported", doubts: 0, ...found }))
        }
        yield* Effect.sleep(reconciler.interval_ms)
      }
    })

    const deliverCancels = Effect.gen(function* () {
      yield* check.passed
      while (true) {
        yield* supervisor.beat("reconciler/cancels")
        let after: string | null = null
        do {
          const rows: Effect.Success<ReturnType<typeof blotter.unansweredCancels>> = yield* blotter.unansweredCancels({
            limit: cancelPage,
            after
          })
          for (const { orderId } of rows) yield* cancels.want(orderId)
          after = rows.length < cancelPage ? null : (rows.at(-1)?.orderId ?? null)
        } while (after !== null)
        yield* Effect.sleep(reconciler.doubt_check_ms)
      }
    })

    const refreshInstruments = Effect.gen(function* () {
      while (true) {
        yield* supervisor.beat("reconciler/instruments")
        yield* instruments.refresh
        yield* Effect.sleep(reconciler.snapshot_refresh_ms)
      }
    })

    yield* ownership.own(reconcilerRole, () =>
      Effect.scoped(
        Effect.gen(function* () {
          yield* supervisor.supervise("reconciler/doubts", settleDoubts)
          yield* supervisor.supervise("reconciler/sweep", sweep)
          yield* supervisor.supervise("reconciler/cancels", deliverCancels)
          yield* supervisor.supervise("reconciler/instruments", refreshInstruments)
          return yield* Effect.never
        })
      )
    )
  })
)
