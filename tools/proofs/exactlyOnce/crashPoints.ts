/**
 * The points at which a process may die on an order's way, each as kill -9 from within, on the way of the order
 * PROOF_CRASH_ID. The dead process has told nobody; the next one has only the log.
 */
import { Effect, Layer } from "effect"
import { BinanceClient } from "../../../src/binance/BinanceClient.ts"
import { clientOrderIdOf, OrderId } from "../../../src/domain/Ids.ts"
import { EventStore } from "../../../src/sql/EventStore.ts"
import { Store } from "../../../src/sql/Store.ts"

export const crashPoints = {
  beforeJournal: "before the attempt is written down",
  afterJournal: "after it is written down, before it is sent",
  afterSend: "after it is sent, before the answer",
  afterAnswer: "after the answer, before it is written down",
  afterAccepted: "after the acceptance is written down, before it is published",
  midFills: "in the middle of an order's fills"
} as const
export type CrashPoint = keyof typeof crashPoints

const point = process.env["PROOF_CRASH_POINT"] ?? ""
const target = process.env["PROOF_CRASH_ID"] ?? ""
// The request has left by then; the exchange's answer is held back for longer.
const sentMillis = 150

const die = Effect.sync((): void => {
  process.kill(process.pid, "SIGKILL")
})

/** Dies before or after an append. */
export const diesInStore = Layer.effect(
  EventStore,
  Effect.map(EventStore, (real) =>
    EventStore.of({
      ...real,
      append: (entry) => {
        if (target === "" || entry.streamId !== target) return real.append(entry)
        const types = entry.events.map(({ type }) => type)
        const isOpen = entry.order !== null && "after" in entry.order && entry.order.after.status === "EXECUTING"
        const after: Readonly<Record<string, boolean>> = {
          afterJournal: types.includes("SubmissionStarted"),
          afterAccepted: types.includes("SubmissionAccepted"),
          midFills: types.includes("OrderFilled") && isOpen
        }
        if (point === "beforeJournal" && types.includes("SubmissionStarted")) {
          return Effect.andThen(die, real.append(entry))
        }
        return after[point] === true ? Effect.tap(real.append(entry), die) : real.append(entry)
      }
    })
  )
)

/** Dies while the order is on its way, or with the answer in hand. */
export const diesInClient = Layer.effect(
  BinanceClient,
  Effect.gen(function* () {
    const real = yield* BinanceClient
    const { storeId } = yield* Store
    const known = target === "" ? "" : clientOrderIdOf(storeId, OrderId.make(target))
    return BinanceClient.of({
      ...real,
      placeOrder: (submission, permit) => {
        const sending = real.placeOrder(submission, permit)
        if (submission.clientOrderId !== known) return sending
        const ending = Effect.andThen(die, Effect.never)
        if (point === "afterSend") return Effect.raceFirst(sending, Effect.andThen(Effect.sleep(sentMillis), ending))
        return point === "afterAnswer" ? Effect.andThen(Effect.exit(sending), ending) : sending
      }
    })
  })
)
