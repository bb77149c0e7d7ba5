/** A cancel reaches the exchange from every process that talks to it, also from one that places no orders. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { RateLimited } from "../../src/binance/BinanceError.ts"
import { OrderId } from "../../src/domain/Ids.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { ExchangeScript, limit, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { hasEnded, isResting, passesUntil, scripted } from "./scripted.ts"

const resting = limit("BUY", "0.01", "50000")

/** As an executor elsewhere left it: sent, accepted there, and its answer not written down. */
const sentElsewhere = Effect.fnUntraced(function* (orderId: string) {
  const nexus = yield* TestNexus
  const engine = yield* Engine
  const exchange = yield* ExchangeScript
  yield* nexus.place(orderId, resting)
  const at = yield* Clock.currentTimeMillis
  yield* engine.tell(OrderId.make(orderId), {
    _tag: "StartSubmission",
    at,
    timestamp: at,
    recvWindowMillis: 5_000
  })
  const { clientOrderId } = yield* nexus.order(orderId)
  yield* exchange.acceptForeign(clientOrderId ?? "", resting)
})

describe("CancelDelivery", () => {
  it.live("the cancel of an open order goes out where only the reconciler runs", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* sentElsewhere("open")
      yield* passesUntil(Effect.map(nexus.order("open"), isResting))

      assert.strictEqual((yield* nexus.cancel("open")).outcome, "requested")

      yield* passesUntil(Effect.map(nexus.order("open"), hasEnded))
      assert.strictEqual((yield* nexus.order("open")).status, "CANCELLED")
      assert.deepStrictEqual(
        (yield* exchange.ledger).map(({ status }) => status),
        ["CANCELED"]
      )
    }).pipe(scripted([], { roles: ["reconciler"] }))
  )

  it.live("a cancel that was wanted in doubt goes out where only the user stream is followed", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* sentElsewhere("doubt")
      assert.strictEqual((yield* nexus.cancel("doubt")).outcome, "requested")

      // What is open there is compared after every gap.
      yield* passesUntil(
        Effect.andThen(
          Effect.andThen(exchange.news("lost"), exchange.news("live")),
          Effect.map(nexus.order("doubt"), hasEnded)
        )
      )

      assert.strictEqual((yield* nexus.order("doubt")).status, "CANCELLED")
    }).pipe(scripted([], { roles: ["reports"] }))
  )

  it.live("a cancel that meets the exchange's limits is tried again until it is carried out", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* sentElsewhere("limited")
      yield* passesUntil(Effect.map(nexus.order("limited"), isResting))
      const limited = new RateLimited({ code: "-1003", retryAfterMillis: 1_000, exchangeMessage: "Too many requests." })
      for (let count = 0; count < 3; count++) yield* exchange.nextCancel({ _tag: "Answers", reason: limited })

      yield* nexus.cancel("limited")

      yield* until(exchange.asked, ({ cancelOrder = 0 }) => cancelOrder > 0)
      yield* passesUntil(Effect.map(nexus.order("limited"), hasEnded))
      assert.strictEqual((yield* nexus.order("limited")).status, "CANCELLED")
      assert.strictEqual((yield* exchange.asked)["cancelOrder"], 4)
    }).pipe(scripted([], { roles: ["reconciler"] }))
  )
})
