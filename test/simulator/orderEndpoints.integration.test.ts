/** Lists, replacing and amending over the sockets: what the state machine answers reaches the client as it is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { limit, openStream, signed, signedParams, startSimulator, until } from "./client.ts"

const pair = {
  symbol: "BTCUSDT",
  side: "SELL",
  quantity: "0.01",
  aboveType: "LIMIT_MAKER",
  abovePrice: "66000",
  belowType: "STOP_LOSS",
  belowStopPrice: "64000"
}

describe("over REST", () => {
  it.live("a list lives through its requests, and a journal brings it back", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const placed = yield* signed(simulator, "POST /api/v3/orderList/oco", pair)
      const open = yield* signed(simulator, "GET /api/v3/openOrderList")
      const orders = yield* signed(simulator, "GET /api/v3/openOrders", { symbol: "BTCUSDT" })
      simulator.moveMarket("BTCUSDT", "64000")
      const done = yield* signed(simulator, "GET /api/v3/orderList", { orderListId: placed.json.orderListId })
      const trades = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT" })

      assert.deepStrictEqual([placed.status, placed.headers["x-mbx-order-count-10s"]], [200, "2"])
      assert.lengthOf(open.json, 1)
      assert.lengthOf(orders.json, 2)
      assert.strictEqual(done.json.listOrderStatus, "ALL_DONE")
      assert.isTrue(trades.json.every(({ orderListId }: { orderListId: number }) => orderListId === 0))
    })
  )

  it.live("both halves of a cancel-replace that failed in part stand in the error's data", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const resting = yield* signed(simulator, "POST /api/v3/order", limit("60000", "0.01"))

      const { json, status } = yield* signed(simulator, "POST /api/v3/order/cancelReplace", {
        ...limit("60000", "20"),
        cancelReplaceMode: "STOP_ON_FAILURE",
        cancelOrderId: resting.json.orderId
      })

      assert.deepStrictEqual([status, json.code], [409, -2021])
      assert.strictEqual(json.data.cancelResponse.status, "CANCELED")
      assert.strictEqual(json.data.newOrderResponse.code, -2010)
    })
  )

  it.live("an order is amended by PUT", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const { json } = yield* signed(simulator, "POST /api/v3/order", limit("60000", "0.02"))

      const amended = yield* signed(simulator, "PUT /api/v3/order/amend/keepPriority", {
        symbol: "BTCUSDT",
        orderId: json.orderId,
        newQty: "0.01"
      })

      assert.strictEqual(amended.status, 200)
      assert.strictEqual(amended.json.amendedOrder.qty, "0.01000000")
    })
  )
})

describe("over the WebSocket API", () => {
  it.live("the same requests have their methods, and the stream tells of lists", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)
      const ask = (id: number, method: string, params: Parameters<typeof signedParams>[0]) =>
        Effect.gen(function* () {
          stream.send({ id, method, params: signedParams(params) })
          yield* until(method, () => stream.messages.some((message) => message.id === id))
          return stream.messages.find((message) => message.id === id)
        })
      yield* ask(1, "userDataStream.subscribe.signature", {})

      const oco = yield* ask(2, "orderList.place.oco", pair)
      const amended = yield* ask(3, "order.amend.keepPriority", { symbol: "BTCUSDT", orderId: 2, newQty: "0.005" })
      const status = yield* ask(4, "orderList.status", { orderListId: 0 })
      const canceled = yield* ask(5, "orderList.cancel", { symbol: "BTCUSDT", orderListId: 0 })
      const replaced = yield* ask(6, "order.cancelReplace", {
        ...limit("60000", "0.01"),
        cancelReplaceMode: "ALLOW_FAILURE",
        cancelOrderId: 1
      })
      yield* until("the news of the last order", () => stream.events().some(({ i, x }) => i === 3 && x === "NEW"))

      assert.deepStrictEqual(
        [oco, amended, status, canceled].map((message) => message.status),
        [200, 200, 200, 200]
      )
      assert.deepInclude(replaced, { status: 409 })
      assert.strictEqual(replaced.error.code, -2021)
      assert.strictEqual(replaced.error.data.newOrderResult, "SUCCESS")
      assert.deepStrictEqual(
        stream
          .events()
          .filter(({ e }) => e === "listStatus")
          .map(({ l, L }) => [l, L]),
        [
          ["EXEC_STARTED", "EXECUTING"],
          ["UPDATED", "EXECUTING"],
          ["ALL_DONE", "ALL_DONE"]
        ]
      )
    })
  )
})
