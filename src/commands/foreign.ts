/** `nexus foreign`: orders made elsewhere under our keys, as whatever serves the store has seen them. */
import { Console, DateTime, Effect } from "effect"
import { ForeignOrders } from "../sql/ForeignOrders.ts"
import { table } from "./table.ts"

export const foreign = Effect.gen(function* () {
  const orders = yield* (yield* ForeignOrders).list(foreignRows)
  const lines = orders.map(({ clientOrderId, executed, id, quantity, side, since, status, symbol, type }) => [
    symbol,
    id,
    clientOrderId,
    side,
    type,
    quantity,
    executed,
    status,
    DateTime.formatIso(DateTime.makeUnsafe(since))
  ])
  yield* Console.log(
    orders.length === 0
      ? "no orders were made elsewhere under our keys"
      : table([
          ["symbol", "id", "client order id", "side", "type", "quantity", "executed", "status", "since"],
          ...lines
        ])
  )
})

// As many as the API lists.
const foreignRows = 1_000
