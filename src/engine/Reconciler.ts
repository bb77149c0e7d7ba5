/**
 * Keeps the log and the exchange in agreement. One owner by lease.
 *
 * Five loops: attempts in doubt, the slow sweep over open orders, cancels that nobody answered, whether the
 * exchange still remembers, and the snapshot of instruments. At start the doubts of processes that died are asked
 * about at once.
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
import { Resets } from "./Resets.ts"
import { Supervisor } from "./Supervisor.ts"

export const reconcilerRole = "reconciler"

const cancelPage = 500
// A look costs one question of 4 out of 6,000 a minute; a reset is to be known within half a minute.
const resetCheckMillis = 10_000

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
    const resets = yield* Resets
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
      // Written to the log when it says something new; the newest report is kept beside it.
      let foreignBefore: number | null = null
      while (true) {
        yield* supervisor.beat("reconciler/sweep")
        const { adopted, foreign, listed, repaired } = yield* openOrders.compare
        if (adopted + repaired > 0 || foreign !== foreignBefore) {
          const { count: doubts } = yield* blotter.doubtCounts
          const report = { openOrders: listed, adopted, foreign, doubts, fillsBooked: repaired }
          yield* engine.recordAccount(() => ({ _tag: "ReconciliationReported", ...report }))
        }
        foreignBefore = foreign
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

    const watchForResets = Effect.gen(function* () {
      yield* check.passed
      while (true) {
        yield* supervisor.beat("reconciler/resets")
        yield* resets.watch
        yield* Effect.sleep(resetCheckMillis)
      }
    })

    const refreshInstruments = Effect.gen(function* () {
      while (true) {
        yield* supervisor.beat("reconciler/instruments")
        yield* instruments.refresh
        yield* Effect.sleep(reconciler.snapshot_refresh_ms)
      }
    })

    yield* ownership.own(
      reconcilerRole,
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            yield* supervisor.supervise("reconciler/doubts", settleDoubts)
            yield* supervisor.supervise("reconciler/sweep", sweep)
            yield* supervisor.supervise("reconciler/cancels", deliverCancels)
            yield* supervisor.supervise("reconciler/resets", watchForResets)
            yield* supervisor.supervise("reconciler/instruments", refreshInstruments)
            return yield* Effect.never
          })
        ),
      check.fault
    )
  })
)
