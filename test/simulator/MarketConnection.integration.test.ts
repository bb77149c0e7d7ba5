import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { RunningSimulator } from "../../src/simulator/Server.ts"
import { limit, market, openStream, send, signed, startSimulator, type Stream, until } from "./client.ts"
import { fieldsOf, shapeOf } from "./shape.ts"

const place = "POST /api/v3/order"

const baseOf = ({ port }: RunningSimulator) => `ws://127.0.0.1:${port}`

/** A connection that hears the streams from here on: what was asked before is answered. */
const listen = (simulator: RunningSimulator, path: string) =>
  Effect.gen(function* () {
    const stream = yield* openStream(`${baseOf(simulator)}${path}`)
    stream.send({ method: "GET_PROPERTY", params: ["combined"], id: "ready" })
    yield* until("the connection is ready", () => stream.messages.some(({ id }) => id === "ready"))
    return stream
  })

/** What came on the streams, without the answers to requests. */
const eventsOf = (stream: Stream) => stream.messages.filter((message) => !("id" in message))

const answerTo = (
  stream: Stream,
  request: { readonly id: unknown; readonly method: string; readonly params?: ReadonlyArray<unknown> }
) =>
  Effect.gen(function* () {
    stream.send(request)
    yield* until("it is answered", () => stream.messages.some((message) => message.id === request.id))
    return stream.messages.find((message) => message.id === request.id)
  })

const common = { string: "e s", number: "E" }
const event = (string: string, number: string, boolean?: string) =>
  fieldsOf({
    string: `${common.string} ${string}`,
    number: `${common.number} ${number}`,
    ...(boolean === undefined ? {} : { boolean })
  })

describe("public streams", () => {
  it.live("every kind speaks with its documented fields and types, named in the combined form", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const documented: Readonly<Record<string, unknown>> = {
        "btcusdt@trade": event("p q", "t T", "m M"),
        "btcusdt@aggTrade": event("p q", "a f l T", "m M"),
        "btcusdt@bookTicker": fieldsOf({ number: "u", string: "s b B a A" }),
        "btcusdt@depth@100ms": { ...(event("e", "U u") as object), b: [["string"]], a: [["string"]] },
        "btcusdt@depth5@100ms": { lastUpdateId: "number", bids: [["string"]], asks: [["string"]] },
        "btcusdt@ticker": event("p P w x c Q b B a A o h l v q", "O C F L n"),
        "btcusdt@miniTicker": event("c o h l v q", ""),
        "btcusdt@ticker_1h": event("p P o h l c w v q", "O C F L n"),
        "btcusdt@avgPrice": event("i w", "T"),
        "btcusdt@referencePrice": fieldsOf({ number: "t", string: "e s r" }),
        "btcusdt@kline_1m@+08:00": {
          ...(event("e", "E") as object),
          k: fieldsOf({ number: "t T f L n", string: "s i o c h l v q V Q B", boolean: "x" })
        },
        "!miniTicker@arr": [event("c o h l v q", "")],
        "!ticker_4h@arr": [event("p P o h l c w v q", "O C F L n")]
      }
      const names = Object.keys(documented)
      const stream = yield* listen(simulator, `/stream?streams=${names.join("/")}`)
      // A list of levels may be empty where only the other side changed.
      const told = (name: string) =>
        eventsOf(stream).find((message) => message.stream === name && !JSON.stringify(message).includes("[]"))

      while (names.some((name) => told(name) === undefined)) {
        yield* signed(simulator, place, market("0.3"))
        yield* signed(simulator, place, market("0.3", { side: "SELL" }))
      }

      const sorted = (shape: unknown) => JSON.stringify(shape, (_, value) => inOrder(value))
      for (const name of names) {
        assert.strictEqual(sorted(shapeOf(told(name).data)), sorted(documented[name]), name)
      }
    })
  )

  it.live("trades and aggregates tell what REST tells, without gap or repeat", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const trades = yield* listen(simulator, "/ws/btcusdt@trade")
      const aggregates = yield* listen(simulator, "/ws/btcusdt@aggTrade")
      for (let n = 0; n < 4; n++) yield* signed(simulator, place, market("0.4"))
      const rest = (path: string) => send(simulator, { method: "GET", path: `/api/v3/${path}?symbol=BTCUSDT` })
      const { json: allTrades } = yield* rest("trades")
      const { json: allAggregates } = yield* rest("aggTrades")

      yield* until("all trades are told", () => eventsOf(trades).length >= allTrades.length)
      yield* until("all aggregates are told", () => eventsOf(aggregates).length >= allAggregates.length)

      assert.deepStrictEqual(
        eventsOf(trades).map(({ m, p, q, t }) => [t, p, q, m]),
        allTrades.map((trade: Record<string, unknown>) => [
          trade["id"],
          trade["price"],
          trade["qty"],
          trade["isBuyerMaker"]
        ])
      )
      assert.deepStrictEqual(
        eventsOf(aggregates).map(({ M, T, a, f, l, m, p, q }) => ({ a, p, q, f, l, T, m, M })),
        allAggregates
      )
    })
  )

  it.live("a candle is told as closed once, and the next one begins where it ended", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ tickMs: 50 })
      const stream = yield* listen(simulator, "/ws/btcusdt@kline_1s")
      const closed = () => eventsOf(stream).flatMap(({ k }) => (k.x ? [k] : []))
      const busy = () => closed().find(({ n }) => n > 0)

      yield* until("two candles are closed, and one had trades", () => closed().length >= 2 && busy() !== undefined)

      const [first, second] = closed()
      assert.strictEqual(second.t, first.T + 1)
      assert.strictEqual(first.T, first.t + 999)
      const told = busy()
      const { json } = yield* send(simulator, {
        method: "GET",
        path: `/api/v3/klines?symbol=BTCUSDT&interval=1s&startTime=${told.t}&limit=1`
      })
      assert.deepStrictEqual([json[0][0], json[0][1], json[0][4], json[0][5]], [told.t, told.o, told.c, told.v])
    })
  )
})

/** A copy of a book, kept as the exchange's documentation says: from a snapshot and the differences after it. */
const rebuild = (snapshot: Record<string, unknown>, differences: ReadonlyArray<Record<string, unknown>>) => {
  const sides = { b: new Map<string, string>(), a: new Map<string, string>() }
  const set = (side: "b" | "a", levels: unknown) => {
    for (const [price, quantity] of levels as ReadonlyArray<[string, string]>) {
      if (Number(quantity) === 0) sides[side].delete(price)
      else sides[side].set(price, quantity)
    }
  }
  set("b", snapshot["bids"])
  set("a", snapshot["asks"])
  let updateId = Number(snapshot["lastUpdateId"])
  for (const difference of differences) {
    if (Number(difference["u"]) <= updateId) continue
    assert.isAtMost(Number(difference["U"]), updateId + 1, "a difference is missing")
    set("b", difference["b"])
    set("a", difference["a"])
    updateId = Number(difference["u"])
  }
  const sorted = (levels: Map<string, string>, sign: number) =>
    [...levels].sort(([one], [other]) => sign * (Number(one) - Number(other)))
  return { lastUpdateId: updateId, bids: sorted(sides.b, -1), asks: sorted(sides.a, 1) }
}

describe("a copy of the book", () => {
  it.live.each(["btcusdt@depth@100ms", "btcusdt@depth"])("kept from a snapshot and %s equals the exchange's", (name) =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ tickMs: 20 })
      const snapshot = () =>
        send(simulator, { method: "GET", path: "/api/v3/depth?symbol=BTCUSDT&limit=5000" }).pipe(
          Effect.map(({ json }) => json)
        )
      const stream = yield* listen(simulator, `/ws/${name}`)
      // The copy begins in the middle of what is told.
      yield* until("it speaks", () => eventsOf(stream).length > 0)
      const first = yield* snapshot()

      for (let n = 0; n < 20; n++) {
        yield* signed(simulator, place, limit(String(64_000 + n), "0.01"))
        yield* signed(simulator, place, market("0.2", { side: n % 2 === 0 ? "BUY" : "SELL" }))
      }
      yield* signed(simulator, "DELETE /api/v3/openOrders", { symbol: "BTCUSDT" })
      const ends = new Map<number, unknown>()
      // The book goes on; a snapshot of just the moment of a difference is what it can be compared with.
      const reached = () => eventsOf(stream).find(({ u }) => u > first.lastUpdateId && ends.has(u))
      while (reached() === undefined || eventsOf(stream).length < 3) {
        const now = yield* snapshot()
        ends.set(now.lastUpdateId, now)
        yield* Effect.yieldNow
      }

      const last = reached()
      const told = eventsOf(stream)
      for (const [at, difference] of told.entries()) {
        if (at > 0) assert.strictEqual(difference.U, told[at - 1].u + 1)
      }
      const copy = rebuild(
        first,
        told.filter(({ u }) => u <= last.u)
      )
      assert.deepStrictEqual<unknown>(copy, ends.get(last.u))
      assert.isAbove(last.u, first.lastUpdateId)
    })
  )
})

describe("requests on a stream connection", () => {
  it.live("subscribe, list, unsubscribe, and change the form of events", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* listen(simulator, "/ws")
      const name = "btcusdt@trade"

      const subscribed = yield* answerTo(stream, { id: 1, method: "SUBSCRIBE", params: [name, "a@b"] })
      const list = yield* answerTo(stream, { id: 2, method: "LIST_SUBSCRIPTIONS" })
      const set = yield* answerTo(stream, { id: 3, method: "SET_PROPERTY", params: ["combined", true] })
      const got = yield* answerTo(stream, { id: 4, method: "GET_PROPERTY", params: ["combined"] })
      yield* signed(simulator, place, market("0.01"))
      yield* until("a trade is told", () => eventsOf(stream).length > 0)
      const ended = yield* answerTo(stream, { id: 5, method: "UNSUBSCRIBE", params: [name] })
      const heard = eventsOf(stream).length
      yield* signed(simulator, place, market("0.01"))
      const rest = yield* answerTo(stream, { id: 6, method: "LIST_SUBSCRIPTIONS" })

      assert.deepStrictEqual(subscribed, { result: null, id: 1 })
      assert.deepStrictEqual(list, { result: [name, "a@b"], id: 2 })
      assert.deepStrictEqual([set.result, got.result, ended.result], [null, true, null])
      assert.deepInclude(eventsOf(stream)[0], { stream: name })
      assert.strictEqual(eventsOf(stream).length, heard)
      assert.deepStrictEqual(rest.result, ["a@b"])
    })
  )

  it.live("that say nothing known are told what is wrong, in the exchange's words", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* listen(simulator, "/ws")
      const wrong: ReadonlyArray<readonly [object, number, string]> = [
        [{ id: 1, method: "SET_PROPERTY", params: ["colour", true] }, 0, "Unknown property"],
        [{ id: 2, method: "SET_PROPERTY", params: ["combined", "yes"] }, 1, "Invalid value type: expected Boolean"],
        [{ id: 3, method: "GET_PROPERTY" }, 2, "Invalid request: property name must be a string"],
        [{ id: {}, method: "SUBSCRIBE" }, 2, "Invalid request: request ID must be an unsigned integer"],
        [{ id: 5 }, 2, "Invalid request: missing field `method` at line 1 column 8"],
        [{ id: 6, method: "LISTEN" }, 2, "Invalid request: unknown variant `LISTEN`, expected one of `SUBSCRIBE`"],
        [{ id: 7, method: "SUBSCRIBE", params: "btcusdt@trade" }, 2, "Invalid request: streams must be an array"]
      ]
      const before = stream.messages.length

      for (const [request] of wrong) stream.send(request)
      yield* until("all is answered", () => stream.messages.length === before + wrong.length)

      for (const [at, [, code, message]] of wrong.entries()) {
        const { error } = stream.messages[before + at]
        assert.strictEqual(error.code, code)
        assert.isTrue(error.msg.startsWith(message), error.msg)
      }
    })
  )

  it.live("for more than 1,024 streams are refused whole", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* listen(simulator, "/ws")
      const names = (count: number) => Array.from({ length: count }, (_, n) => `s${n}@trade`)

      const refused = yield* answerTo(stream, { id: 1, method: "SUBSCRIBE", params: names(1_025) })
      const list = yield* answerTo(stream, { id: 2, method: "LIST_SUBSCRIPTIONS" })
      const taken = yield* answerTo(stream, { id: 3, method: "SUBSCRIBE", params: names(1_024) })

      assert.strictEqual(refused.error.code, 2)
      assert.deepStrictEqual([list.result, taken.result], [[], null])
    })
  )

  it.live("more than five in a second end the connection, with real limits", () =>
    Effect.gen(function* () {
      const strict = yield* startSimulator({ limits: "real" })
      const lax = yield* startSimulator()
      const cut = yield* openStream(`${baseOf(strict)}/ws`)
      const kept = yield* openStream(`${baseOf(lax)}/ws`)

      for (const stream of [cut, kept]) {
        for (let id = 1; id <= 11; id++) stream.send({ id, method: "LIST_SUBSCRIPTIONS" })
      }
      yield* until("the connection is cut", cut.isClosed)
      yield* until("all is answered", () => kept.messages.length === 11)

      assert.isFalse(kept.isClosed())
    })
  )

  it.live("a unit of time that there is not is refused before the connection opens", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const headers = {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="
      }
      const refused = yield* Effect.forEach(["/ws-api/v3?timeUnit=SECOND", "/ws/btcusdt@trade?timeUnit=ns"], (path) =>
        send(simulator, { method: "GET", path, headers })
      )
      const taken = yield* listen(simulator, "/stream/?streams=btcusdt@trade&timeUnit=millisecond")
      yield* signed(simulator, place, market("0.01"))
      yield* until("a trade is told", () => eventsOf(taken).length > 0)

      for (const { headers, json, status } of refused) {
        assert.deepStrictEqual([status, json.code], [400, -1194])
        assert.notProperty(headers, "retry-after")
      }
      assert.match(String(eventsOf(taken)[0].data.T), /^\d{13}$/)
    })
  )

  it.live("times come in microseconds where the address asks for them", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const micros = yield* listen(simulator, "/stream?streams=btcusdt@trade/btcusdt@kline_1m&timeUnit=MICROSECOND")
      const millis = yield* listen(simulator, "/ws/btcusdt@trade")

      yield* signed(simulator, place, market("0.01"))
      const heard = (name: string) => eventsOf(micros).find(({ stream }) => stream === name)?.data
      yield* until("all have spoken", () => heard("btcusdt@kline_1m") !== undefined && eventsOf(millis).length > 0)

      const [trade, candle] = [heard("btcusdt@trade"), heard("btcusdt@kline_1m")]
      assert.strictEqual(trade.T, eventsOf(millis)[0].T * 1_000)
      assert.strictEqual(String(candle.k.t).length, 16)
    })
  )
})

// Fields in order of their names, for the documentation names them in several orders.
const inOrder = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
    : value
