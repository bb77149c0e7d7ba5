/** Orders that wait for a price or show themselves in parts, from our door to the simulator's book and back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { OrderRequest } from "../../src/domain/Event.ts"
import type { Order } from "../../src/domain/Order.ts"
import { limit, market, TestNexus } from "../layers.ts"
import { filledOf, hasEnded, isResting } from "./scripted.ts"

/** The best ask times so much, on a whole dollar: a tick of every symbol here. */
const above = Effect.fnUntraced(function* (share: number) {
  const { ask } = yield* (yield* BinanceClient).bookTicker("BTCUSDT")
  return `${Math.ceil(Number(Decimal.format(ask)) * share)}`
})

const stop = (
  type: "STOP_LOSS_LIMIT" | "TAKE_PROFIT_LIMIT",
  side: "BUY" | "SELL",
  price: string,
  stopPrice: string
): OrderRequest => ({ ...limit(side, "0.01", price), type, stopPrice: Decimal.decimal(stopPrice) })

const started = ({ exchangeOrderId }: Order) => exchangeOrderId !== null

/** Enough to take the first levels of the book. */
const raiseThePrice = Effect.gen(function* () {
  const nexus = yield* TestNexus
  yield* nexus.place("raise", market("BUY", "5"))
  yield* nexus.until("raise", hasEnded)
})

describe("an order that waits for a price", () => {
  it.live.each(["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"] as const)(
    "%s rests until its price comes, then trades",
    (type) =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const side = type === "STOP_LOSS_LIMIT" ? "BUY" : "SELL"
        // It may trade at a price that is worse for it, so that it does not stay in the book.
        const price = yield* above(side === "BUY" ? 1.02 : 0.98)
        yield* nexus.place("waits", stop(type, side, price, yield* above(1.0002)))
        const waiting = yield* nexus.until("waits", started)

        yield* raiseThePrice

        const done = yield* nexus.until("waits", hasEnded)
        assert.strictEqual(waiting.status, "EXECUTING")
        assert.deepStrictEqual([done.status, filledOf(done)], ["COMPLETED", "0.01"])
        assert.isTrue((yield* nexus.verify).ok)
      }).pipe(Effect.provide(TestNexus.layer))
  )

  it.live("is refused for good when its price has come already, in the exchange's own words", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("late", stop("STOP_LOSS_LIMIT", "BUY", yield* above(1.02), yield* above(0.9)))

      const order = yield* nexus.until("late", hasEnded)

      assert.strictEqual(order.status, "FAILED")
      assert.deepStrictEqual(order.reason, { code: "-2010", message: "Order would trigger immediately." })
    }).pipe(Effect.provide(TestNexus.layer))
  )

  it.live("is cancelled while it waits", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      yield* nexus.place("waits", stop("STOP_LOSS_LIMIT", "BUY", yield* above(1.2), yield* above(1.1)))
      yield* nexus.until("waits", started)

      yield* nexus.cancel("waits")

      assert.strictEqual((yield* nexus.until("waits", hasEnded)).status, "CANCELLED")
    }).pipe(Effect.provide(TestNexus.layer))
  )
})

describe("an iceberg order with a word on self-trades", () => {
  it.live("stands at the exchange with both", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const request: OrderRequest = {
        ...limit("BUY", "0.1", yield* above(0.9)),
        icebergQuantity: Decimal.decimal("0.02"),
        selfTradePrevention: "EXPIRE_MAKER"
      }
      yield* nexus.place("berg", request)

      const order = yield* nexus.until("berg", isResting)

      const [listed] = yield* (yield* BinanceClient).openOrders("BTCUSDT")
      assert.strictEqual(listed?.clientOrderId, order.clientOrderId)
      assert.deepInclude(order.request, { selfTradePrevention: "EXPIRE_MAKER" })
      assert.isTrue((yield* nexus.verify).ok)
    }).pipe(Effect.provide(TestNexus.layer))
  )
})
