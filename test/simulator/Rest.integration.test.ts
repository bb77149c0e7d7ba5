import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import {
  credentials,
  formOf,
  hmac,
  keyHeader,
  limit,
  market,
  type Params,
  send,
  signed,
  startSimulator,
  until
} from "./client.ts"

const place = "POST /api/v3/order"
const query = "GET /api/v3/order"
const cancel = "DELETE /api/v3/order"

/** Field names of an answer, in no order. */
const fields = (value: object) => Object.keys(value).sort()

const sorted = (names: string) => names.split(" ").sort()

describe("public requests", () => {
  it.live("ping, time and the market data answer with their documented fields", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const get = (path: string) => send(simulator, { method: "GET", path: `/api/v3/${path}` })

      const ping = yield* get("ping")
      const time = yield* get("time")
      const book = yield* get("ticker/bookTicker?symbol=BTCUSDT")
      const depth = yield* get("depth?symbol=BTCUSDT&limit=5")
      const prices = yield* get("ticker/price")
      const some = yield* get(`ticker/price?symbols=${encodeURIComponent('["BTCUSDT","BNBUSDT"]')}`)
      const average = yield* get("avgPrice?symbol=BTCUSDT")
      yield* signed(simulator, place, market("0.01"))
      const trades = yield* get("trades?symbol=BTCUSDT&limit=1")

      assert.deepStrictEqual(ping.json, {})
      assert.isBelow(Math.abs(time.json.serverTime - Date.now()), 5_000)
      assert.deepStrictEqual(fields(book.json), sorted("symbol bidPrice bidQty askPrice askQty"))
      assert.match(book.json.bidPrice, /^\d+\.\d{8}$/)
      assert.lengthOf(depth.json.bids, 5)
      assert.deepStrictEqual(depth.json.asks[0], [book.json.askPrice, book.json.askQty])
      assert.lengthOf(prices.json, 3)
      assert.deepStrictEqual(
        some.json.map(({ symbol }: { symbol: string }) => symbol),
        ["BTCUSDT", "BNBUSDT"]
      )
      assert.deepStrictEqual(fields(average.json), sorted("mins price closeTime"))
      assert.deepStrictEqual(fields(trades.json[0]), sorted("id price qty quoteQty time isBuyerMaker isBestMatch"))
    })
  )

  it.live("exchangeInfo publishes the filters that are enforced, of one symbol or of all", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const get = (path: string) => send(simulator, { method: "GET", path })

      const all = yield* get("/api/v3/exchangeInfo")
      const one = yield* get("/api/v3/exchangeInfo?symbol=ETHUSDT")
      const unknown = yield* get("/api/v3/exchangeInfo?symbol=NOPE")

      assert.deepStrictEqual(fields(all.json), sorted("timezone serverTime rateLimits exchangeFilters symbols"))
      assert.lengthOf(all.json.symbols, 3)
      assert.lengthOf(one.json.symbols, 1)
      // Factors are written without the zeros that amounts have.
      assert.deepInclude(one.json.symbols[0].filters, {
        filterType: "PERCENT_PRICE_BY_SIDE",
        bidMultiplierUp: "5",
        bidMultiplierDown: "0.2",
        askMultiplierUp: "5",
        askMultiplierDown: "0.2",
        avgPriceMins: 5
      })
      assert.deepInclude(one.json.symbols[0].filters, {
        filterType: "LOT_SIZE",
        minQty: "0.00010000",
        maxQty: "9000.00000000",
        stepSize: "0.00010000"
      })
      assert.deepInclude(one.json.symbols[0].filters, { filterType: "MAX_NUM_ORDERS", maxNumOrders: 100_000 })
      assert.deepStrictEqual([unknown.status, unknown.json.code], [400, -1121])
    })
  )

  it.live("what the exchange has removed is gone, and what it never had is not found", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const listenKey = yield* send(simulator, { method: "POST", path: "/api/v3/userDataStream" })
      const firstVersion = yield* send(simulator, { method: "GET", path: "/api/v1/time" })
      const unknown = yield* send(simulator, { method: "GET", path: "/api/v3/nothing" })

      assert.deepStrictEqual([listenKey.status, firstVersion.status, unknown.status], [410, 410, 404])
      assert.include(String(listenKey.headers["content-type"]), "html")
    })
  )
})

describe("an order's life over REST", () => {
  it.live("a MARKET order answers in full, and query, trades and account agree with it", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ uid: 4711 })

      const { json: order } = yield* signed(simulator, place, market("0.05", { newClientOrderId: "nx-1" }))
      const { json: found } = yield* signed(simulator, query, { symbol: "BTCUSDT", origClientOrderId: "nx-1" })
      const { json: trades } = yield* signed(simulator, "GET /api/v3/myTrades", {
        symbol: "BTCUSDT",
        orderId: order.orderId
      })
      const { json: account } = yield* signed(simulator, "GET /api/v3/account", { omitZeroBalances: "true" })

      assert.deepStrictEqual(
        fields(order),
        sorted(
          "symbol orderId orderListId clientOrderId transactTime price origQty executedQty origQuoteOrderQty cummulativeQuoteQty status timeInForce type side workingTime selfTradePreventionMode fills"
        )
      )
      assert.deepStrictEqual(
        fields(found),
        sorted(
          "symbol orderId orderListId clientOrderId price origQty executedQty cummulativeQuoteQty status timeInForce type side stopPrice icebergQty time updateTime isWorking workingTime origQuoteOrderQty selfTradePreventionMode"
        )
      )
      assert.deepStrictEqual(
        fields(trades[0]),
        sorted(
          "symbol id orderId orderListId price qty quoteQty commission commissionAsset time isBuyer isMaker isBestMatch"
        )
      )
      assert.deepInclude(order, { status: "FILLED", executedQty: "0.05000000", clientOrderId: "nx-1" })
      assert.deepInclude(found, { status: "FILLED", orderId: order.orderId, executedQty: "0.05000000" })
      assert.deepStrictEqual(
        trades.map(({ id, price, qty }: Params) => [id, price, qty]),
        order.fills.map(({ price, qty, tradeId }: Params) => [tradeId, price, qty])
      )
      assert.strictEqual(account.uid, 4711)
      assert.deepStrictEqual(
        account.balances.map(({ asset }: { asset: string }) => asset),
        ["USDT", "BTC", "ETH", "BNB"]
      )
    })
  )

  it.live("a LIMIT order rests, is listed, and is cancelled under the cancel's own id", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const placed = yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "rest" }))
      const open = yield* signed(simulator, "GET /api/v3/openOrders", { symbol: "BTCUSDT" })
      const canceled = yield* signed(simulator, cancel, {
        symbol: "BTCUSDT",
        origClientOrderId: "rest",
        newClientOrderId: "the-cancel"
      })
      const again = yield* signed(simulator, cancel, { symbol: "BTCUSDT", origClientOrderId: "rest" })
      const found = yield* signed(simulator, query, { symbol: "BTCUSDT", orderId: placed.json.orderId })

      assert.deepStrictEqual(placed.json.fills, [])
      assert.lengthOf(open.json, 1)
      assert.deepInclude(canceled.json, {
        origClientOrderId: "rest",
        clientOrderId: "the-cancel",
        status: "CANCELED",
        orderId: placed.json.orderId
      })
      assert.deepStrictEqual([again.status, again.json], [400, { code: -2011, msg: "Unknown order sent." }])
      assert.deepInclude(found.json, { status: "CANCELED", clientOrderId: "rest" })
    })
  )

  it.live("newOrderRespType decides how much is answered, LIMIT_MAKER is ACK by itself", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const { timeInForce: _, ...maker } = limit("60000", "0.01", { type: "LIMIT_MAKER" })

      const ack = yield* signed(simulator, place, market("0.01", { newOrderRespType: "ACK" }))
      const result = yield* signed(simulator, place, market("0.01", { newOrderRespType: "RESULT" }))
      const byType = yield* signed(simulator, place, maker)

      assert.deepStrictEqual(fields(ack.json), sorted("symbol orderId orderListId clientOrderId transactTime"))
      assert.deepStrictEqual(fields(byType.json), fields(ack.json))
      assert.notProperty(result.json, "fills")
      assert.strictEqual(result.json.status, "FILLED")
    })
  )

  it.live("an expired order says why", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const expired = yield* signed(simulator, place, limit("60000", "0.01", { timeInForce: "IOC" }))

      assert.deepInclude(expired.json, {
        status: "EXPIRED",
        executedQty: "0.00000000",
        expiryReason: "UNFILLED_IOC_QUANTITY_EXPIRED"
      })
    })
  )

  it.live("allOrders pages by id, myTrades by trade, and cancelling all leaves nothing open", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      for (let n = 0; n < 5; n++)
        yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: `n-${n}` }))
      const filled = yield* signed(simulator, place, market("0.01"))

      const page = yield* signed(simulator, "GET /api/v3/allOrders", { symbol: "BTCUSDT", orderId: 3, limit: 2 })
      const newest = yield* signed(simulator, "GET /api/v3/allOrders", { symbol: "BTCUSDT", limit: 2 })
      const trades = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT", fromId: 1, limit: 1 })
      const canceled = yield* signed(simulator, "DELETE /api/v3/openOrders", { symbol: "BTCUSDT" })
      const none = yield* signed(simulator, "DELETE /api/v3/openOrders", { symbol: "BTCUSDT" })

      const ids = (answer: { json: ReadonlyArray<{ orderId: number }> }) => answer.json.map(({ orderId }) => orderId)
      assert.deepStrictEqual(ids(page), [3, 4])
      assert.deepStrictEqual(ids(newest), [5, 6])
      assert.strictEqual(trades.json[0].id, filled.json.fills[0].tradeId)
      assert.lengthOf(canceled.json, 5)
      assert.strictEqual(none.json.code, -2011)
    })
  )
})

describe("signatures over the wire", () => {
  it.live("are taken wherever clients put their parameters", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const form = formOf({ ...market("0.001"), timestamp: Date.now() })
      const urlencoded = { ...keyHeader, "Content-Type": "application/x-www-form-urlencoded" }
      const [path, method] = ["/api/v3/order", "POST"]
      const half = form.indexOf("&quantity")
      const [first, second] = [form.slice(0, half), form.slice(half + 1)]

      const answers = [
        // All in the query with an empty JSON body, as some connectors do.
        yield* send(simulator, {
          method,
          path: `${path}?${form}&signature=${hmac(form)}`,
          headers: { ...keyHeader, "Content-Type": "application/json" }
        }),
        // All in the body.
        yield* send(simulator, { method, path, body: `${form}&signature=${hmac(form)}`, headers: urlencoded }),
        // Parameters in the body, the signature in the query.
        yield* send(simulator, { method, path: `${path}?signature=${hmac(form)}`, body: form, headers: urlencoded }),
        // Split in two; the payload is both without a separator.
        yield* send(simulator, {
          method,
          path: `${path}?${first}`,
          body: `${second}&signature=${hmac(first + second)}`,
          headers: urlencoded
        }),
        // The signature first and in capitals.
        yield* send(simulator, {
          method,
          path: `${path}?signature=${hmac(form).toUpperCase()}&${form}`,
          headers: keyHeader
        })
      ]
      const rest = yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "del" }))
      const target = formOf({ symbol: "BTCUSDT", orderId: rest.json.orderId, timestamp: Date.now() })
      const deleted = yield* send(simulator, {
        method: "DELETE",
        path,
        body: `${target}&signature=${hmac(target)}`,
        headers: urlencoded
      })

      assert.deepStrictEqual(
        answers.map(({ status }) => status),
        [200, 200, 200, 200, 200]
      )
      assert.strictEqual(deleted.json.status, "CANCELED")
    })
  )

  it.live("are refused over other bytes than those sent, and raw text beyond ASCII always", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const raw = `symbol=这&side=BUY&type=MARKET&quantity=1&timestamp=${Date.now()}`
      const encoded = raw.replace("这", encodeURIComponent("这"))
      const path = "/api/v3/order"

      const signedRaw = yield* send(simulator, {
        method: "POST",
        path: `${path}?${encoded}&signature=${hmac(raw)}`,
        headers: keyHeader
      })
      const rawBody = yield* send(simulator, {
        method: "POST",
        path,
        body: `${raw}&signature=${hmac(raw)}`,
        headers: keyHeader
      })
      const right = yield* send(simulator, {
        method: "POST",
        path: `${path}?${encoded}&signature=${hmac(encoded)}`,
        headers: keyHeader
      })

      assert.strictEqual(signedRaw.json.code, -1022)
      assert.strictEqual(rawBody.json.code, -1022)
      assert.strictEqual(right.json.code, -1121)
    })
  )

  it.live("of an unknown, a missing and a malformed key are told apart", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const form = formOf({ timestamp: Date.now() })
      const path = `/api/v3/account?${form}&signature=${hmac(form)}`
      const ask = (headers: Record<string, string>) => send(simulator, { method: "GET", path, headers })

      const known = yield* ask({ "X-MBX-APIKEY": credentials.apiKey })
      const missing = yield* ask({})
      const malformed = yield* ask({ "X-MBX-APIKEY": "with space" })
      const unknown = yield* ask({ "X-MBX-APIKEY": "another" })

      assert.strictEqual(known.status, 200)
      assert.deepStrictEqual([missing.status, missing.json.code], [401, -2014])
      assert.deepStrictEqual([malformed.status, malformed.json.code], [401, -2014])
      assert.deepStrictEqual([unknown.status, unknown.json.code], [401, -2015])
    })
  )
})

describe("time", () => {
  it.live("a timestamp is taken up to its window behind and less than a second ahead", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const ask = (timestamp: number | string, more: Params = {}) =>
        signed(simulator, "GET /api/v3/openOrders", { timestamp, ...more })
      const now = Date.now()

      const micros = yield* ask(`${now}123`)
      const fraction = yield* ask(now, { recvWindow: "5000.123" })
      const old = yield* ask(now - 5_500)
      const oldInWideWindow = yield* ask(now - 5_500, { recvWindow: 60_000 })
      const ahead = yield* ask(now + 10_000)
      const seconds = yield* ask(Math.floor(now / 1_000))
      const tooWide = yield* ask(now, { recvWindow: 60_001 })
      const noNumber = yield* ask("now")

      assert.deepStrictEqual(
        [micros, fraction, oldInWideWindow].map(({ status }) => status),
        [200, 200, 200]
      )
      assert.deepStrictEqual(old.json, {
        code: -1021,
        msg: "Timestamp for this request is outside of the recvWindow."
      })
      assert.deepStrictEqual(ahead.json, {
        code: -1021,
        msg: "Timestamp for this request was 1000ms ahead of the server's time."
      })
      assert.strictEqual(seconds.json.code, -1021)
      assert.strictEqual(tooWide.json.code, -1102)
      assert.strictEqual(noNumber.json.code, -1100)
    })
  )

  it.live("the exchange's clock can be moved away from the client's", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      simulator.setClockOffset(-20_000)
      const behind = yield* signed(simulator, "GET /api/v3/openOrders")
      simulator.setClockOffset(20_000)
      const ahead = yield* signed(simulator, "GET /api/v3/openOrders")
      const { json } = yield* send(simulator, { method: "GET", path: "/api/v3/time" })

      assert.include(behind.json.msg, "ahead")
      assert.include(ahead.json.msg, "outside")
      assert.isAbove(json.serverTime, Date.now() + 15_000)
    })
  )
})

describe("refusals", () => {
  const cases: ReadonlyArray<readonly [what: string, params: Params, code: number, message: string]> = [
    ["no symbol", { side: "BUY", type: "MARKET", quantity: "1" }, -1102, "'symbol'"],
    ["no quantity", { symbol: "BTCUSDT", side: "BUY", type: "MARKET" }, -1102, "'quantity'"],
    ["LIMIT without price", { ...market("1"), type: "LIMIT", timeInForce: "GTC" }, -1102, "'price'"],
    ["LIMIT without time in force", { ...market("1"), type: "LIMIT", price: "1" }, -1102, "'timeInForce'"],
    ["an exponent", market("1e-3"), -1100, "Illegal characters found in parameter 'quantity'"],
    ["a sign", market("-1"), -1100, "'quantity'"],
    ["a dot in the client id", market("1", { newClientOrderId: "a.b" }), -1100, "'newClientOrderId'"],
    ["37 characters of client id", market("1", { newClientOrderId: "x".repeat(37) }), -1100, "'newClientOrderId'"],
    ["an empty parameter", market("1", { newClientOrderId: "" }), -1105, "'newClientOrderId'"],
    ["an unread parameter", market("1", { foo: "bar" }), -1104, "read '6' parameter(s) but was sent '7'"],
    ["a price on MARKET", market("1", { price: "1" }), -1106, "'price'"],
    ["a time in force on MARKET", market("1", { timeInForce: "GTC" }), -1114, "TimeInForce"],
    ["both quantities", market("1", { quoteOrderQty: "100" }), -1128, "Combination"],
    ["nine decimals", market("0.000000001"), -1111, "Parameter 'quantity' has too much precision."],
    ["an unknown time in force", limit("1", "1", { timeInForce: "GTX" }), -1115, "Invalid timeInForce."],
    ["an unknown type", market("1", { type: "OTHER" }), -1116, "Invalid orderType."],
    ["an unknown side", market("1", { side: "HOLD" }), -1117, "Invalid side."],
    ["an unknown symbol", market("1", { symbol: "NOPE" }), -1121, "Invalid symbol."],
    ["an unknown response type", market("1", { newOrderRespType: "MORE" }), -1130, "'newOrderRespType'"],
    ["a low strategy type", market("1", { strategyType: 5 }), -1134, "strategyType was less than 1000000."],
    ["zero", market("0"), -1013, "Invalid quantity."],
    ["a price between ticks", limit("60000.001", "0.01"), -1013, "Filter failure: PRICE_FILTER"],
    ["a quantity between steps", market("0.000015"), -1013, "Filter failure: LOT_SIZE"],
    ["too much for MARKET", market("151"), -1013, "Filter failure: MARKET_LOT_SIZE"],
    ["a price far off", limit("1000", "1"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"],
    ["too little money", market("0.00001"), -1013, "Filter failure: NOTIONAL"],
    ["more than there is", limit("60000", "20"), -2010, "Account has insufficient balance for requested action."],
    [
      "a stop on the wrong side",
      market("1", { type: "STOP_LOSS", stopPrice: "1" }),
      -2010,
      "Order would trigger immediately."
    ]
  ]

  it.live("each fault of an order has its documented code and message, and leaves no order", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      for (const [what, params, code, message] of cases) {
        const { json, status } = yield* signed(simulator, place, params)

        assert.strictEqual(json.code, code, what)
        assert.include(json.msg, message, what)
        assert.strictEqual(status, 400, what)
      }
      assert.deepStrictEqual(simulator.ledger(), [])
    })
  )

  it.live("a parameter twice in one place is refused, in query and body the query's counts", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const twice = `symbol=BTCUSDT&symbol=BTCUSDT&orderId=1&timestamp=${Date.now()}`
      const queryForm = formOf({ ...market("0.001"), timestamp: Date.now() })
      const body = "quantity=5000"

      const refused = yield* send(simulator, {
        method: "GET",
        path: `/api/v3/order?${twice}&signature=${hmac(twice)}`,
        headers: keyHeader
      })
      const placed = yield* send(simulator, {
        method: "POST",
        path: `/api/v3/order?${queryForm}&signature=${hmac(queryForm + body)}`,
        body,
        headers: keyHeader
      })

      assert.strictEqual(refused.json.code, -1101)
      assert.strictEqual(placed.json.executedQty, "0.00100000")
    })
  )

  it.live("queries and cancels tell unknown orders, mixed ids and unmet restrictions apart", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const { json: order } = yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "a" }))
      const target = { symbol: "BTCUSDT", orderId: order.orderId }
      const code = (request: string, params: Params) =>
        Effect.map(signed(simulator, request, params), ({ json }) => json.code)

      assert.strictEqual(yield* code(query, { symbol: "BTCUSDT", origClientOrderId: "nobody" }), -2013)
      assert.strictEqual(yield* code(query, { symbol: "ETHUSDT", orderId: order.orderId }), -2013)
      assert.strictEqual(yield* code(query, { symbol: "BTCUSDT" }), -1102)
      assert.strictEqual(yield* code(query, { ...target, origClientOrderId: "b" }), -2039)
      assert.strictEqual(yield* code(cancel, { symbol: "BTCUSDT", origClientOrderId: "nobody" }), -2011)
      assert.strictEqual(yield* code(cancel, { ...target, cancelRestrictions: "ONLY_PARTIALLY_FILLED" }), -2011)
      const odd = yield* signed(simulator, cancel, { ...target, cancelRestrictions: "SOMETIMES" })
      assert.deepStrictEqual(odd.json, { code: -1145, msg: "Invalid cancelRestrictions" })
      assert.strictEqual(yield* code(place, limit("60000", "0.01", { newClientOrderId: "a" })), -2010)
      assert.strictEqual(yield* code(cancel, { ...target, cancelRestrictions: "ONLY_NEW" }), undefined)
    })
  )

  it.live("order/test judges an order and places none", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const good = yield* signed(simulator, "POST /api/v3/order/test", market("0.01"))
      const bad = yield* signed(simulator, "POST /api/v3/order/test", market("0.00001"))

      assert.deepStrictEqual(good.json, {})
      assert.strictEqual(bad.json.code, -1013)
      assert.deepStrictEqual(simulator.ledger(), [])
    })
  )
})

describe("latency", () => {
  it.live("lies half before the exchange and half after it", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ latencyMs: 1_000 })
      const start = performance.now()

      const waiting = yield* Effect.forkChild(signed(simulator, place, market("0.01")))
      yield* until("the order is there", () => simulator.ledger().length === 1)
      const there = performance.now() - start
      yield* Fiber.join(waiting)
      const back = performance.now() - start

      assert.isAtLeast(there, 499)
      // A busy machine sees it late, but not by all of the way back.
      assert.isBelow(there, 950)
      assert.isAtLeast(back, 999)
    })
  )
})

describe("limits", () => {
  it.live("are counted in the headers: orders cost nothing when they succeed, refused ones do", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const good = yield* signed(simulator, place, limit("60000", "0.01"))
      const bad = yield* signed(simulator, place, limit("60000", "100"))
      const account = yield* signed(simulator, "GET /api/v3/account")
      const counts = yield* signed(simulator, "GET /api/v3/rateLimit/order")

      assert.strictEqual(good.headers["x-mbx-used-weight-1m"], "0")
      assert.strictEqual(good.headers["x-mbx-order-count-10s"], "1")
      assert.strictEqual(good.headers["x-mbx-order-count-1d"], "1")
      assert.strictEqual(bad.headers["x-mbx-used-weight-1m"], "1")
      assert.strictEqual(account.headers["x-mbx-used-weight-1m"], "21")
      assert.strictEqual(counts.json[1].count, 1)
    })
  )

  it.live("when real, too many orders are refused with 429 and the seconds to wait", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ limits: "real" })
      // In one window of ten seconds, wherever the test began in it.
      const statuses: Array<number> = []
      let last = yield* signed(simulator, place, limit("60000", "0.001"))
      for (let n = 0; n < 220 && last.status === 200; n++) {
        last = yield* signed(simulator, place, limit("60000", "0.001"))
        statuses.push(last.status)
      }

      assert.deepStrictEqual([last.status, last.json.code], [429, -1015])
      assert.match(String(last.headers["retry-after"]), /^\d+$/)
      assert.isAtMost(Number(last.headers["retry-after"]), 10)
    })
  )
})
