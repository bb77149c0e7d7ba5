/** Orders made elsewhere under our keys: seen at once, listed until a day after their end, never touched. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { UserEvent } from "../../src/binance/UserStream.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import { ForeignOrders } from "../../src/engine/ForeignOrders.ts"
import { Reconciliation } from "../../src/engine/Reconciliation.ts"
import { ExchangeScript, limit, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { passes, passesUntil, scripted, streaming } from "./scripted.ts"

const byHand = limit("BUY", "0.01", "50000")

const news = (status: string, executed: string): UserEvent => ({
  _tag: "Report",
  clientOrderId: "web_1",
  symbol: "BTCUSDT",
  side: "BUY",
  type: "MARKET",
  price: Decimal.zero,
  quantity: Decimal.decimal("0.5"),
  report: {
    exchangeOrderId: "9007199254740993",
    exchangeStatus: status,
    expiryReason: "NONE",
    executedQuantity: Decimal.decimal(executed),
    executedQuote: Decimal.zero,
    transactTime: 1,
    fills: [],
    source: "stream"
  }
})

describe("ForeignOrders", () => {
  it.live("one that rests is listed within 30 s by the sweep alone, and how it ended after it is gone", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      const foreign = yield* ForeignOrders
      yield* exchange.news("lost")
      yield* exchange.acceptForeign("by-hand", byHand)

      yield* passes(30)

      const [listed] = yield* until(foreign.read, (orders) => orders.length === 1)
      assert.deepInclude(listed, {
        clientOrderId: "by-hand",
        symbol: "BTCUSDT",
        side: "BUY",
        type: "LIMIT",
        quantity: "0.01",
        executed: "0",
        status: "NEW"
      })
      yield* exchange.expire("by-hand")
      yield* passesUntil(Effect.map(foreign.read, (orders) => orders[0]?.status !== "NEW"))
      const [ended] = yield* foreign.read
      assert.deepInclude(ended, { status: "EXPIRED", isOpen: false, since: listed?.since ?? 0 })
      yield* nexus.advance("25 hours")
      yield* passesUntil(Effect.map(foreign.read, (orders) => orders.length === 0))
      assert.deepStrictEqual(yield* foreign.read, [])
      assert.isUndefined((yield* exchange.asked)["cancelOrder"])
    }).pipe(scripted([]))
  )

  it.live("one that is filled at once is known from the stream, and older news does not open it again", () =>
    Effect.gen(function* () {
      const exchange = yield* ExchangeScript
      const { read } = yield* Reconciliation
      yield* streaming
      yield* exchange.push(news("FILLED", "0.5"))
      const { foreign } = yield* until(read, (state) => state.foreign.length === 1)
      assert.deepInclude(foreign[0], { id: "9007199254740993", status: "FILLED", executed: "0.5", quantity: "0.5" })

      yield* exchange.push(news("NEW", "0"))
      yield* exchange.push({
        ...news("NEW", "0"),
        clientOrderId: "web_2",
        report: { ...reportOf(news("NEW", "0")), exchangeOrderId: "5" }
      } as UserEvent)

      const after = yield* until(read, (state) => state.foreign.length === 2)
      assert.deepInclude(
        after.foreign.find(({ id }) => id === "9007199254740993"),
        {
          status: "FILLED",
          executed: "0.5",
          isOpen: false
        }
      )
    }).pipe(scripted([]))
  )
})

const reportOf = (event: UserEvent) => (event._tag === "Report" ? event.report : assert.fail("no report"))
