import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import type { RunningSimulator } from "../../src/simulator/Server.ts"
import { limit, market, openStream, signed, signedParams, startSimulator, until } from "./client.ts"

const place = "POST /api/v3/order"

const subscribed = Effect.fnUntraced(function* (simulator: RunningSimulator) {
  const stream = yield* openStream(simulator.wsApiUrl)
  stream.send({ id: 1, method: "userDataStream.subscribe.signature", params: signedParams() })
  yield* until("the subscription is answered", () => stream.messages.length > 0)
  return stream
})

describe("the user data stream", () => {
  it.live("is subscribed by signature, once per connection, and shown by the session", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* subscribed(simulator)

      stream.send({ id: 2, method: "userDataStream.subscribe.signature", params: signedParams() })
      stream.send({ id: 3, method: "session.subscriptions" })
      stream.send({ id: 4, method: "session.status" })
      stream.send({ id: 5, method: "userDataStream.unsubscribe", params: { subscriptionId: 0 } })
      stream.send({ id: 6, method: "session.subscriptions" })
      stream.send({ id: 7, method: "session.logon", params: signedParams() })
      stream.send({
        id: 8,
        method: "userDataStream.subscribe.signature",
        params: { ...signedParams(), signature: "0" }
      })
      yield* until("all is answered", () => stream.messages.length === 9)

      const [first, second, shown, status, terminated, ended, none, logon, forged] = stream.messages
      assert.deepInclude(first, { id: 1, status: 200, result: { subscriptionId: 0 } })
      assert.strictEqual(second.error.code, -2035)
      assert.deepStrictEqual(shown.result, [{ subscriptionId: 0 }])
      assert.isTrue(status.result.userDataStream)
      assert.deepInclude(terminated, { subscriptionId: 0 })
      assert.strictEqual(terminated.event.e, "eventStreamTerminated")
      assert.deepInclude(ended, { status: 200, result: {} })
      assert.deepStrictEqual(none.result, [])
      assert.strictEqual(logon.error.code, -4056)
      assert.strictEqual(forged.error.code, -1022)
    })
  )

  it.live("tells a MARKET order as NEW, then each trade, then the balances, all of one moment", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* subscribed(simulator)

      const { json: order } = yield* signed(simulator, place, market("0.3", { newClientOrderId: "m" }))
      const expected = order.fills.length + 2
      yield* until("all events arrive", () => stream.events().length >= expected)

      const events = stream.events()
      const reports = events.slice(0, -1)
      assert.deepStrictEqual(
        reports.map(({ x }) => x),
        ["NEW", ...order.fills.map(() => "TRADE")]
      )
      assert.deepStrictEqual(
        reports.slice(1).map(({ L, X, l, t }) => [t, L, l, X]),
        order.fills.map((fill: Record<string, unknown>, n: number) => [
          fill["tradeId"],
          fill["price"],
          fill["qty"],
          n === order.fills.length - 1 ? "FILLED" : "PARTIALLY_FILLED"
        ])
      )
      assert.deepInclude(reports[0], {
        e: "executionReport",
        c: "m",
        C: "",
        w: true,
        X: "NEW",
        t: -1,
        N: null,
        z: "0.00000000"
      })
      assert.deepInclude(reports.at(-1), { z: order.executedQty, Z: order.cummulativeQuoteQty, m: false, w: false })
      assert.strictEqual(new Set(reports.map(({ T }) => T)).size, 1)
      const executions = reports.map(({ I }) => I)
      assert.deepStrictEqual(
        executions,
        [...new Set(executions)].sort((a, b) => a - b)
      )
      const position = events.at(-1)
      assert.strictEqual(position.e, "outboundAccountPosition")
      assert.deepStrictEqual(position.B.map(({ a }: { a: string }) => a).sort(), ["BTC", "USDT"])
      assert.strictEqual(stream.messages.at(-1).subscriptionId, 0)
    })
  )

  it.live("an execution report has every documented field, and a reason when it expires", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* subscribed(simulator)

      yield* signed(simulator, place, limit("60000", "0.01", { timeInForce: "FOK" }))
      yield* until("the expiry arrives", () => stream.events().length >= 3)

      const [created, expired] = stream.events()
      assert.deepStrictEqual(
        Object.keys(created).sort(),
        "e E s c S o f q p P F g C x X r i l z L n N T t I w m M O Z Y Q W V".split(" ").sort()
      )
      assert.deepInclude(expired, { x: "EXPIRED", X: "EXPIRED", eR: "UNFILLED_FOK_ORDER_EXPIRED", r: "NONE", w: false })
    })
  )

  it.live("a cancel has the cancel's id in c and the order's in C", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* subscribed(simulator)
      yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "o" }))

      yield* signed(simulator, "DELETE /api/v3/order", {
        symbol: "BTCUSDT",
        origClientOrderId: "o",
        newClientOrderId: "x"
      })
      yield* until("the cancel arrives", () => stream.events().some(({ x }) => x === "CANCELED"))

      assert.deepInclude(
        stream.events().find(({ x }) => x === "CANCELED"),
        { c: "x", C: "o", X: "CANCELED", z: "0.00000000" }
      )
    })
  )

  it.live("resting orders are told as maker trades when the price comes to them", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* subscribed(simulator)
      yield* signed(simulator, place, limit("64000", "0.5", { newClientOrderId: "o" }))

      simulator.moveMarket("BTCUSDT", "63900")
      yield* until("the order is filled", () => stream.events().some(({ X }) => X === "FILLED"))

      const trades = stream.events().filter(({ x }) => x === "TRADE")
      assert.isTrue(trades.every(({ L, c, m }) => m && c === "o" && L === "64000.00000000"))
      assert.strictEqual(trades.at(-1).z, "0.50000000")
    })
  )

  it.live("says that the server shuts down, and ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const simulator = yield* Scope.provide(startSimulator(), scope)
      const stream = yield* subscribed(simulator)

      yield* Scope.close(scope, Exit.void)
      yield* until("the connection ends", stream.isClosed)

      assert.strictEqual(stream.messages.at(-1).event.e, "serverShutdown")
    })
  )

  it.live("dies silently on demand: no event, no answer, no close", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const silent = yield* subscribed(simulator)
      const before = silent.messages.length

      simulator.faults.silenceStreams()
      silent.send({ id: 9, method: "ping" })
      const healthy = yield* subscribed(simulator)
      yield* signed(simulator, place, market("0.01"))
      yield* until("a new connection hears of it", () => healthy.events().length > 0)

      assert.strictEqual(silent.messages.length, before)
      assert.isFalse(silent.isClosed())
    })
  )
})

describe("the WebSocket API", () => {
  it.live("answers requests as REST does, with the limits in the envelope", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)

      stream.send({ id: "t", method: "time" })
      stream.send({ id: "o", method: "order.place", params: signedParams(market("0.01", { newClientOrderId: "ws" })) })
      stream.send({ id: "u", method: "nothing.known" })
      yield* until("all is answered", () => stream.messages.length === 3)

      const [time, order, unknown] = stream.messages
      assert.isNumber(time.result.serverTime)
      assert.strictEqual(time.rateLimits[0].rateLimitType, "REQUEST_WEIGHT")
      assert.deepInclude(order.result, { status: "FILLED", clientOrderId: "ws" })
      assert.strictEqual(unknown.status, 404)
      assert.strictEqual(simulator.ledger()[0]?.clientOrderId, "ws")
    })
  )
})

describe("market streams", () => {
  it.live("tell trades and quotes, raw at /ws and named at /stream", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const base = simulator.wsApiUrl.replace("/ws-api/v3", "")
      const raw = yield* openStream(`${base}/ws/btcusdt@trade`)
      const combined = yield* openStream(`${base}/stream?streams=btcusdt@bookTicker`)
      raw.send({ method: "LIST_SUBSCRIPTIONS", id: 1 })
      combined.send({ method: "LIST_SUBSCRIPTIONS", id: 1 })
      yield* until("both are there", () => raw.messages.length > 0 && combined.messages.length > 0)

      const { json: order } = yield* signed(simulator, place, market("0.05"))
      yield* until("the trades arrive", () => raw.messages.length > order.fills.length)
      yield* until("the quote arrives", () => combined.messages.length > 1)

      assert.deepInclude(raw.messages[1], { e: "trade", s: "BTCUSDT", t: order.fills[0].tradeId, m: false })
      assert.strictEqual(combined.messages[1].stream, "btcusdt@bookTicker")
      assert.deepStrictEqual(Object.keys(combined.messages[1].data).sort(), ["A", "B", "a", "b", "s", "u"])
    })
  )
})
