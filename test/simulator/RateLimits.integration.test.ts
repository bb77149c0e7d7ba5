import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { keyHeader, limit, market, openStream, send, signed, signedParams, startSimulator, until } from "./client.ts"

const place = "POST /api/v3/order"
const cancel = "DELETE /api/v3/order"

/** Waits until so much of the current window is left that a test fits into it, on the exchange's own clock. */
const hour = 3_600_000
const toWindowStart = (): number => hour - (Date.now() % hour)

describe("request weight", () => {
  it.live("costs what is documented, and orders and cancels nothing when they succeed", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.setClockOffset(toWindowStart())
      const now = () => Date.now() + toWindowStart()
      let used = 0
      const cost = Effect.fnUntraced(function* (request: string, params: Record<string, string | number> = {}) {
        const { headers } = yield* signed(simulator, request, { timestamp: now(), ...params })
        const weight = Number(headers["x-mbx-used-weight-1m"])
        const spent = weight - used
        used = weight
        return spent
      })
      const open = Effect.fnUntraced(function* (path: string) {
        const { headers } = yield* send(simulator, { method: "GET", path: `/api/v3/${path}` })
        const weight = Number(headers["x-mbx-used-weight-1m"])
        const spent = weight - used
        used = weight
        return spent
      })
      const resting = limit("60000", "0.01", { newClientOrderId: "r" })
      const target = { symbol: "BTCUSDT", origClientOrderId: "r" }
      const symbol = { symbol: "BTCUSDT" }

      const costs = {
        ping: yield* open("ping"),
        time: yield* open("time"),
        place: yield* cost(place, resting),
        "place refused by the engine": yield* cost(place, resting),
        "place refused by the API": yield* cost(place, market("0")),
        test: yield* cost("POST /api/v3/order/test", market("0.01")),
        "test with commissions": yield* cost(
          "POST /api/v3/order/test",
          market("0.01", { computeCommissionRates: "true" })
        ),
        query: yield* cost("GET /api/v3/order", target),
        openOrders: yield* cost("GET /api/v3/openOrders", symbol),
        "openOrders of all": yield* cost("GET /api/v3/openOrders"),
        cancel: yield* cost(cancel, target),
        "cancel refused": yield* cost(cancel, target),
        "cancel of all refused": yield* cost("DELETE /api/v3/openOrders", symbol),
        allOrders: yield* cost("GET /api/v3/allOrders", symbol),
        myTrades: yield* cost("GET /api/v3/myTrades", symbol),
        "myTrades of an order": yield* cost("GET /api/v3/myTrades", { ...symbol, orderId: 1 }),
        account: yield* cost("GET /api/v3/account"),
        "rateLimit/order": yield* cost("GET /api/v3/rateLimit/order"),
        "a timestamp too old": yield* cost("GET /api/v3/openOrders", { ...symbol, timestamp: 1_500_000_000_000 })
      }

      assert.deepStrictEqual(costs, {
        ping: 1,
        time: 1,
        place: 0,
        "place refused by the engine": 1,
        "place refused by the API": 1,
        test: 1,
        "test with commissions": 20,
        query: 4,
        openOrders: 6,
        "openOrders of all": 80,
        cancel: 0,
        "cancel refused": 1,
        "cancel of all refused": 1,
        allOrders: 20,
        myTrades: 20,
        "myTrades of an order": 5,
        account: 20,
        "rateLimit/order": 40,
        "a timestamp too old": 6
      })
    })
  )

  it.live(
    "is one account for REST and the WebSocket API: 429 with the end of it, then 418, then nothing is heard",
    () =>
      Effect.gen(function* () {
        const simulator = yield* startSimulator({ limits: "real", limitTable: { weightPerMinute: 42 } })
        simulator.setClockOffset(toWindowStart())
        const timestamp = Date.now() + toWindowStart()
        const stream = yield* openStream(simulator.wsApiUrl)
        const account = () => signed(simulator, "GET /api/v3/account", { timestamp })

        const paid = [yield* account(), yield* account()]
        const refused = yield* account()
        stream.send({ id: 1, method: "time" })
        yield* until("the WebSocket API refuses too", () => stream.messages.length === 1)
        let banned = yield* account()
        for (let n = 0; n < 20 && banned.status === 429; n++) banned = yield* account()
        stream.send({ id: 2, method: "time" })
        yield* until("the connection ends", stream.isClosed)
        const unopened = yield* Effect.flip(openStream(simulator.wsApiUrl))
        const [first, second] = stream.messages

        assert.deepStrictEqual(
          paid.map(({ status }) => status),
          [200, 200]
        )
        assert.deepStrictEqual([refused.status, refused.json.code], [429, -1003])
        assert.include(refused.json.msg, "current limit is 42 request weight per 1 MINUTE.")
        assert.isAtMost(Number(refused.headers["retry-after"]), 60)
        assert.strictEqual(refused.headers["x-mbx-used-weight-1m"], "62")
        assert.deepStrictEqual([first.status, first.error.code], [429, -1003])
        assert.strictEqual(first.error.data.retryAfter % 60_000, 0)
        assert.isAbove(first.error.data.retryAfter, first.error.data.serverTime)
        assert.deepStrictEqual([banned.status, banned.json.code], [418, -1003])
        assert.strictEqual(banned.headers["retry-after"], "120")
        assert.match(banned.json.msg, /^Way too much request weight used; IP banned until \d{13}\. /)
        assert.strictEqual(second.status, 418)
        assert.include(unopened.message, "418")

        simulator.setClockOffset(toWindowStart() + 121_000)
        const forgiven = yield* signed(simulator, "GET /api/v3/account", { timestamp: timestamp + 121_000 })

        assert.strictEqual(forgiven.status, 200)
      })
  )
})

describe("the unfilled order count", () => {
  it.live("is the account's over both APIs, stops orders and nothing else, and is told on every order", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ limits: "real", limitTable: { ordersPerTenSeconds: 3 } })
      simulator.setClockOffset(toWindowStart())
      const timestamp = Date.now() + toWindowStart()
      const stream = yield* openStream(simulator.wsApiUrl)
      const resting = (id: string) => ({ ...limit("60000", "0.001", { newClientOrderId: id }), timestamp })

      const first = yield* signed(simulator, place, resting("1"))
      const filled = yield* signed(simulator, place, { ...market("0.001"), timestamp })
      stream.send({ id: 1, method: "order.place", params: signedParams(resting("2")) })
      yield* until("the second is placed", () => stream.messages.length === 1)
      const third = yield* signed(simulator, place, resting("3"))
      const refused = yield* signed(simulator, place, resting("4"))
      stream.send({ id: 2, method: "order.place", params: signedParams(resting("5")) })
      yield* until("the fifth is refused", () => stream.messages.length === 2)
      const canceled = yield* signed(simulator, cancel, { symbol: "BTCUSDT", origClientOrderId: "1", timestamp })
      const counts = yield* signed(simulator, "GET /api/v3/rateLimit/order", { timestamp })
      simulator.setClockOffset(toWindowStart() + 10_000)
      const later = yield* signed(simulator, place, { ...resting("6"), timestamp: timestamp + 10_000 })

      assert.strictEqual(first.headers["x-mbx-order-count-10s"], "1")
      // What fills at once gives back what it took.
      assert.strictEqual(filled.headers["x-mbx-order-count-10s"], "1")
      assert.strictEqual(stream.messages[0].rateLimits[0].count, 2)
      assert.strictEqual(third.headers["x-mbx-order-count-10s"], "3")
      assert.deepStrictEqual(refused.json, {
        code: -1015,
        msg: "Too many new orders; current limit is 3 orders per 10 SECOND."
      })
      assert.strictEqual(refused.status, 429)
      assert.isAtMost(Number(refused.headers["retry-after"]), 10)
      assert.deepStrictEqual([stream.messages[1].status, stream.messages[1].error.code], [429, -1015])
      assert.strictEqual(stream.messages[1].error.data.retryAfter % 10_000, 0)
      assert.strictEqual(canceled.status, 200)
      assert.deepStrictEqual(counts.json, [
        { rateLimitType: "ORDERS", interval: "SECOND", intervalNum: 10, limit: 3, count: 3 },
        { rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: 200_000, count: 3 }
      ])
      assert.deepStrictEqual([later.status, later.headers["x-mbx-order-count-10s"]], [200, "1"])
      assert.strictEqual(later.headers["x-mbx-order-count-1d"], "4")
    })
  )
})

describe("connections", () => {
  it.live("over the limit are refused while they open, and cost weight 2 each", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ limits: "real", limitTable: { connectionsPerFiveMinutes: 2 } })
      simulator.setClockOffset(toWindowStart())

      yield* openStream(simulator.wsApiUrl)
      yield* openStream(simulator.wsApiUrl)
      const refused = yield* Effect.flip(openStream(simulator.wsApiUrl))
      const { headers } = yield* send(simulator, { method: "GET", path: "/api/v3/ping", headers: keyHeader })

      assert.include(refused.message, "429")
      assert.strictEqual(headers["x-mbx-used-weight-1m"], "5")
    })
  )
})
