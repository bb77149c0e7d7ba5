/** Lists of a working order and what follows it, against the exchange simulator, over each way that an order can take. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import { OrderLists, type OtocoSubmission, type OtoSubmission } from "../../src/binance/OrderLists.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import { controlled } from "../simulator/control.ts"
import { apiKey, apiSecret, clientLayer } from "./AnsweringServer.ts"

type Exchange = Effect.Success<ReturnType<typeof controlled>>

const working = {
  clientOrderId: "working",
  type: "LIMIT",
  side: "BUY",
  quantity: decimal("0.01"),
  price: decimal("64000"),
  timeInForce: "GTC"
} as const

const shared = Effect.gen(function* () {
  const time = yield* ServerTime
  yield* time.ensure
  return { listClientOrderId: "list", symbol: "BTCUSDT", timestamp: yield* time.now, recvWindowMillis: 5_000 }
})

const { timeInForce: _, ...untimed } = working
/** It would take at once what it may only make. */
const crossing = { ...untimed, type: "LIMIT_MAKER", price: decimal("66000") } as const

const placeOto = Effect.fnUntraced(function* (over: Partial<OtoSubmission> = {}) {
  const lists = yield* OrderLists
  const pending = {
    clientOrderId: "pending",
    type: "LIMIT",
    side: "SELL",
    quantity: decimal("0.009"),
    price: decimal("66000"),
    timeInForce: "GTC"
  } as const
  return yield* lists.placeOto({ ...(yield* shared), working, pending, ...over }, yield* lists.readyToPlace("OTO"))
})

const placeOtoco = Effect.fnUntraced(function* (over: Partial<OtocoSubmission> = {}) {
  const lists = yield* OrderLists
  const pending = {
    side: "SELL",
    quantity: decimal("0.009"),
    above: { clientOrderId: "above", type: "LIMIT_MAKER", price: decimal("66000") },
    below: { clientOrderId: "below", type: "STOP_LOSS", stopPrice: decimal("63000") }
  } as const
  return yield* lists.placeOtoco({ ...(yield* shared), working, pending, ...over }, yield* lists.readyToPlace("OTOCO"))
})

const target = { symbol: "BTCUSDT", listClientOrderId: "list" }
const query = Effect.flatMap(OrderLists, (lists) => lists.query(target))
const cancel = Effect.flatMap(OrderLists, (lists) => lists.cancel(target))

const statuses = (...ids: ReadonlyArray<string>) =>
  Effect.forEach(ids, (clientOrderId) =>
    Effect.flatMap(BinanceClient, (client) =>
      Effect.map(
        client.queryOrder({ symbol: "BTCUSDT", clientOrderId }),
        ({ report }) => `${report.exchangeStatus} ${format(report.executedQuantity)}`
      )
    )
  )

const reasonOf = <A, R>(effect: Effect.Effect<A, BinanceError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

for (const transport of ["rest", "websocket"] as const) {
  const onExchange = <A, E>(
    use: (exchange: Exchange) => Effect.Effect<A, E, BinanceClient | OrderLists | ServerTime | Scope.Scope>
  ) =>
    Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* controlled({ apiKey, apiSecret })
        const { url, wsApiUrl } = exchange.simulator
        return yield* Effect.provide(use(exchange), clientLayer(url, transport === "rest" ? {} : { wsApiUrl }))
      })
    )
  const named = (rest: string, webSocket: string): string => (transport === "rest" ? rest : webSocket)

  describe(`over ${transport}, a working order`, () => {
    it.live("brings the order that waits for it to life once it is wholly filled", () =>
      onExchange(({ control }) =>
        Effect.gen(function* () {
          const placed = yield* placeOto()
          const before = yield* statuses("working", "pending")

          yield* control("POST /market", { symbol: "BTCUSDT", price: "63900" })

          assert.deepStrictEqual(
            [...placed.reports].map(([id, { exchangeStatus }]) => `${id} ${exchangeStatus}`),
            ["working NEW", "pending PENDING_NEW"]
          )
          assert.deepStrictEqual(before, ["NEW 0", "PENDING_NEW 0"])
          assert.deepStrictEqual(yield* statuses("working", "pending"), ["FILLED 0.01", "NEW 0"])
          assert.deepInclude(yield* query, { contingency: "OTO", orderStatus: "EXECUTING" })
          yield* control("POST /market", { symbol: "BTCUSDT", price: "66100" })
          assert.deepStrictEqual(yield* statuses("pending"), ["FILLED 0.009"])
          assert.strictEqual((yield* query).orderStatus, "ALL_DONE")
        })
      )
    )

    it.live("filled at once is told with what waits as it was, and a query tells the rest", () =>
      onExchange(() =>
        Effect.gen(function* () {
          const placed = yield* placeOto({ working: { ...working, price: decimal("66000") } })

          assert.deepStrictEqual(
            [...placed.reports.values()].map(({ exchangeStatus }) => exchangeStatus),
            ["FILLED", "PENDING_NEW"]
          )
          assert.deepStrictEqual(yield* statuses("working", "pending"), ["FILLED 0.01", "NEW 0"])
        })
      )
    )

    it.live("brings a pair to life, of which one ends the other", () =>
      onExchange(({ control }) =>
        Effect.gen(function* () {
          yield* placeOtoco()
          const before = yield* statuses("working", "above", "below")

          yield* control("POST /market", { symbol: "BTCUSDT", price: "63900" })
          const between = yield* statuses("working", "above", "below")
          yield* control("POST /market", { symbol: "BTCUSDT", price: "66100" })

          assert.deepStrictEqual(before, ["NEW 0", "PENDING_NEW 0", "PENDING_NEW 0"])
          assert.deepStrictEqual(between, ["FILLED 0.01", "NEW 0", "NEW 0"])
          assert.deepStrictEqual(yield* statuses("above", "below"), ["FILLED 0.009", "EXPIRED 0"])
          assert.strictEqual((yield* query).orderStatus, "ALL_DONE")
        })
      )
    )

    it.live("takes all that waits for it along when its list is cancelled", () =>
      onExchange(() =>
        Effect.gen(function* () {
          yield* placeOtoco()

          const cancelled = yield* cancel

          assert.deepStrictEqual([...cancelled.reports.keys()].toSorted(), ["above", "below", "working"])
          assert.deepStrictEqual(yield* statuses("working", "above", "below"), [
            "CANCELED 0",
            "CANCELED 0",
            "CANCELED 0"
          ])
          assert.strictEqual((yield* reasonOf(cancel))._tag, "OrderUnknown")
        })
      )
    )

    it.live("that is refused leaves nothing of its list", () =>
      onExchange(({ ids }) =>
        Effect.gen(function* () {
          const poor = yield* reasonOf(placeOto({ working: { ...working, quantity: decimal("100") } }))
          const crossed = yield* reasonOf(placeOto({ working: crossing }))

          assert.deepInclude(poor, { _tag: "Refused", code: "-2010", repeatable: false })
          assert.deepInclude(crossed, { _tag: "Refused", code: "-2010", repeatable: false })
          assert.strictEqual((yield* reasonOf(query))._tag, "OrderUnknown")
          assert.deepStrictEqual(yield* ids, [])
        })
      )
    )

    it.live("whose answer is lost is found by the list's id, with every leg, or not at all", () =>
      onExchange(({ arm, ids }) =>
        Effect.gen(function* () {
          const lost = { kind: "answerLost", clientOrderId: "list" } as const
          const on = named("POST /api/v3/orderList/otoco", "orderList.place.otoco")

          yield* arm({ ...lost, on, done: "never" })
          const never = yield* reasonOf(placeOtoco())
          const absent = yield* reasonOf(query)
          yield* arm({ ...lost, on })
          const done = yield* reasonOf(placeOtoco())
          const found = yield* query

          assert.deepStrictEqual(
            [never._tag, absent._tag, done._tag],
            ["OutcomeUnknown", "OrderUnknown", "OutcomeUnknown"]
          )
          assert.deepStrictEqual(found.legs.map(({ clientOrderId }) => clientOrderId).toSorted(), [
            "above",
            "below",
            "working"
          ])
          assert.deepStrictEqual((yield* ids).toSorted(), ["above", "below", "working"])
        })
      )
    )
  })
}
