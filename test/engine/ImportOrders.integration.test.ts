/** What becomes of an order that only the exchange still knows; `nexus recover` itself is in test/cli. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { importOrders } from "../../src/engine/ImportOrders.ts"
import { OrderId } from "../../src/domain/Ids.ts"
import { Blotter } from "../../src/sql/Blotter.ts"
import { limit, Simulator, SimulatedExchange, TestNexus } from "../layers.ts"
import { byHand } from "./byHand.ts"

const id = `nx${"a".repeat(30)}`

/** Rests, and is filled only later than the exchange made it; when that was. */
const filledLater = Effect.fnUntraced(function* (newClientOrderId: string) {
  const { moveMarket } = yield* Simulator
  const { transactTime } = yield* byHand("POST /api/v3/order", {
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    timeInForce: "GTC",
    quantity: "0.05",
    price: "59000",
    newClientOrderId
  })
  // The exchange's clock counts milliseconds: the fill is in a later one.
  yield* Effect.sleep(5)
  moveMarket("BTCUSDT", "58900")
  return transactTime
})

describe("an imported order", () => {
  it.live("was sent when the exchange made it, not when it changed last", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const made = yield* filledLater(id)

      const { orders } = yield* importOrders({ symbols: ["BTCUSDT"], since: made - 1_000 })

      assert.deepStrictEqual(
        orders.map(({ isNew, orderId, status }) => [isNew, orderId, status]),
        [[true, id, "COMPLETED"]]
      )
      const row = yield* (yield* Blotter).find(OrderId.make(id))
      assert.strictEqual(row?.attempt?.timestamp, made)
      assert.deepStrictEqual((yield* nexus.verify).findings, [])
    }).pipe(Effect.provide(TestNexus.on(SimulatedExchange, { env: { NEXUS_SIMULATOR_TICK_MS: "0" } })))
  )

  it.live("that the log has without its attempt was sent then too", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      // Nobody executes here, so the log is as one that has lost the attempt.
      yield* nexus.place("ours", limit("BUY", "0.05", "59000"))
      const { clientOrderId } = yield* nexus.order("ours")
      const made = yield* filledLater(clientOrderId ?? "")

      const { orders } = yield* importOrders({ symbols: ["BTCUSDT"], since: made - 1_000 })

      assert.deepStrictEqual(
        orders.map(({ isNew, orderId, status }) => [isNew, orderId, status]),
        [[false, "ours", "COMPLETED"]]
      )
      const row = yield* (yield* Blotter).find(OrderId.make("ours"))
      assert.strictEqual(row?.attempt?.timestamp, made)
      assert.deepStrictEqual((yield* nexus.verify).findings, [])
    }).pipe(Effect.provide(TestNexus.on(SimulatedExchange, { roles: [], env: { NEXUS_SIMULATOR_TICK_MS: "0" } })))
  )
})
