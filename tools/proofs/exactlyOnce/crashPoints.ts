/**
 * The points at which a process may die on an order's way, each as kill -9 from within, at the first order whose id
 * begins with PROOF_CRASH_ID. The dead process has told nobody; the next one has only the log.
 */
import { Effect, Layer } from "effect"
import { BinanceClient } from "../../../src/binance/BinanceClient.ts"
import { EventStore } from "../../../src/sql/EventStore.ts"

export const crashPoints = {
  beforeJournal: "before the attempt is written down",
  afterJournal: "after it is written down, before it is sent",
  afterSend: "after it is sent, before the answer",
  afterAnswer: "after the answer, before it is written down",
  afterAccepted: "after the acceptance is written down, before it is published",
  midFills: "in the middle of an order's fills"
} as const
export type CrashPoint = keyof typeof crashPoints

const point = process.env["PROOF_CRASH_POINT"]
const target = process.env["PROOF_CRASH_ID"] ?? ""
// The request has left by then; the exchange's answer is held back for longer.
const sentMillis = 150

const die = Effect.sync((): void => {
  process.kill(process.pid, "SIGKILL")
})
const diesAt = (here: CrashPoint, id: string): boolean => point === here && target !== "" && id.startsWith(target)

// The client knows an order by the id that the exchange sees.
const begun = new Set<string>()

/** Dies before or after an append. */
export const diesInStore = Layer.effect(
  EventStore,
  Effect.map(EventStore, (real) =>
    EventStore.of({
      ...real,
      append: (entry) => {
        const types = entry.events.map(({ type }) => type)
        const id = entry.streamId
        const starts = types.includes("SubmissionStarted")
        const clientOrderId = entry.order?.after.clientOrderId
        if (starts && target !== "" && id.startsWith(target) && clientOrderId) begun.add(clientOrderId)
        const isEnd = entry.order !== null && entry.order.after.status !== "EXECUTING"
        return Effect.gen(function* () {
          if (starts && diesAt("beforeJournal", id)) yield* die
          const result = yield* real.append(entry)
          if (starts && diesAt("afterJournal", id)) yield* die
          if (types.includes("SubmissionAccepted") && diesAt("afterAccepted", id)) yield* die
          if (types.includes("OrderFilled") && !isEnd && diesAt("midFills", id)) yield* die
          return result
        })
      }
    })
  )
)

/** Dies while the order is on its way, or with the answer in hand. */
export const diesInClient = Layer.effect(
  BinanceClient,
  Effect.map(BinanceClient, (real) =>
    BinanceClient.of({
      ...real,
      placeOrder: (submission, permit) => {
        if (!begun.has(submission.clientOrderId)) return real.placeOrder(submission, permit)
        const sending = real.placeOrder(submission, permit)
        const ending = Effect.andThen(die, Effect.never)
        if (point === "afterSend") return Effect.raceFirst(sending, Effect.andThen(Effect.sleep(sentMillis), ending))
        if (point === "afterAnswer") return Effect.andThen(Effect.exit(sending), ending)
        return sending
      }
    })
  )
)
