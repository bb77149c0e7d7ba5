import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { send, signed, startSimulator, market, openStream, until, limit } from "./client.ts"
import { fieldsOf, shapeOf } from "./shape.ts"

const place = "POST /api/v3/order"
const minute = 60_000
const day = 24 * 60 * minute

/** A simulator with a few trades on its tape, and a way to ask it. */
const traded = Effect.gen(function* () {
  const simulator = yield* startSimulator()
  for (let n = 0; n < 3; n++) yield* signed(simulator, place, market("0.3"))
  yield* signed(simulator, place, market("0.2", { side: "SELL" }))
  const get = (path: string) => send(simulator, { method: "GET", path: `/api/v3/${path}` })
  return { simulator, get }
})

const codesOf = (answers: ReadonlyArray<{ json: { code: number }; status: number }>) =>
  answers.map(({ json, status }) => [status, json.code])

const rolledTicker = {
  string:
    "symbol priceChange priceChangePercent weightedAvgPrice openPrice highPrice lowPrice lastPrice volume quoteVolume",
  number: "openTime closeTime firstId lastId count"
}

describe("trades", () => {
  it.live("recent, older and aggregated ones answer with their documented fields and types", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const { json: recent } = yield* get("trades?symbol=BTCUSDT")
      const { json: older } = yield* get(`historicalTrades?symbol=BTCUSDT&fromId=${recent[1].id}&limit=2`)
      const { json: aggregates } = yield* get("aggTrades?symbol=BTCUSDT")

      const documented = fieldsOf({
        number: "id time",
        string: "price qty quoteQty",
        boolean: "isBuyerMaker isBestMatch"
      })
      assert.deepStrictEqual(shapeOf(recent), [documented])
      assert.deepStrictEqual(
        older.map(({ id }: { id: number }) => id),
        [recent[1].id, recent[1].id + 1]
      )
      assert.deepStrictEqual(shapeOf(aggregates), [fieldsOf({ number: "a f l T", string: "p q", boolean: "m M" })])
      // Every trade is in one aggregate, and those of one taker at one price are together.
      const covered = aggregates.flatMap(({ f, l }: { f: number; l: number }) =>
        Array.from({ length: l - f + 1 }, (_, n) => f + n)
      )
      assert.deepStrictEqual(
        covered,
        recent.map(({ id }: { id: number }) => id)
      )
      assert.isBelow(aggregates.length, recent.length)
    })
  )

  it.live("aggregates are found by id or by time, not by both", () =>
    Effect.gen(function* () {
      const { get } = yield* traded
      const { json: all } = yield* get("aggTrades?symbol=BTCUSDT")
      const [first, last] = [all[0], all.at(-1)]

      const fromId = yield* get(`aggTrades?symbol=BTCUSDT&fromId=${last.a}`)
      const since = yield* get(`aggTrades?symbol=BTCUSDT&startTime=${first.T}&limit=1`)
      const until = yield* get(`aggTrades?symbol=BTCUSDT&endTime=${last.T}000&limit=1`)
      const before = yield* get(`aggTrades?symbol=BTCUSDT&endTime=${first.T - 1}`)
      const both = yield* get(`aggTrades?symbol=BTCUSDT&fromId=1&startTime=${first.T}`)

      assert.deepStrictEqual(fromId.json, [last])
      assert.deepStrictEqual(since.json, [first])
      assert.deepStrictEqual(until.json, [last])
      assert.deepStrictEqual(before.json, [])
      assert.deepStrictEqual(codesOf([both]), [[400, -1128]])
    })
  )
})

describe("candles", () => {
  it.live("have twelve places with the documented types, the same as uiKlines", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const { json: candles } = yield* get("klines?symbol=BTCUSDT&interval=1M")
      const { json: forPeople } = yield* get("uiKlines?symbol=BTCUSDT&interval=1M")
      const { json: trades } = yield* get("trades?symbol=BTCUSDT")

      const candle = candles.at(-1)
      assert.deepStrictEqual(
        candle.map((value: unknown) => typeof value),
        "number string string string string string number string number string string string".split(" ")
      )
      assert.deepStrictEqual(forPeople, candles)
      const sum = (name: string) =>
        trades.reduce((total: number, trade: Record<string, string>) => total + Number(trade[name]), 0)
      assert.closeTo(Number(candle[5]), sum("qty"), 1e-9)
      assert.closeTo(Number(candle[7]), sum("quoteQty"), 1e-6)
      assert.deepStrictEqual([candle[1], candle[4]], [trades[0].price, trades.at(-1).price])
      assert.deepStrictEqual(candle[8], trades.length)
      assert.strictEqual(candle[11], "0")
    })
  )

  it.live("open and close by the zone that is asked for, each a millisecond before the next", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const { json: utc } = yield* get("klines?symbol=BTCUSDT&interval=1d")
      const { json: tokyo } = yield* get("klines?symbol=BTCUSDT&interval=1d&timeZone=9")

      assert.strictEqual(utc.at(-1)[0] % day, 0)
      assert.strictEqual(utc.at(-1)[6], utc.at(-1)[0] + day - 1)
      assert.strictEqual((tokyo.at(-1)[0] + 9 * 60 * minute) % day, 0)
    })
  )

  it.live("an unknown interval, zone or symbol is refused as documented", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const answers = yield* Effect.all([
        get("klines?symbol=BTCUSDT"),
        get("klines?symbol=BTCUSDT&interval=7m"),
        get("klines?symbol=BTCUSDT&interval=1m&timeZone=15"),
        get("klines?symbol=NOPE&interval=1m")
      ])

      assert.deepStrictEqual(codesOf(answers), [
        [400, -1102],
        [400, -1120],
        [400, -1130],
        [400, -1121]
      ])
    })
  )
})

describe("tickers", () => {
  it.live("of 24 hours answer FULL and MINI, for one symbol, a list, or all", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const { json: full } = yield* get("ticker/24hr?symbol=BTCUSDT")
      const { json: mini } = yield* get("ticker/24hr?symbol=BTCUSDT&type=MINI")
      const { json: list } = yield* get(`ticker/24hr?symbols=${encodeURIComponent('["ETHUSDT","BTCUSDT"]')}`)
      const { json: all } = yield* get("ticker/24hr")
      const { json: touch } = yield* get("ticker/bookTicker?symbol=BTCUSDT")

      const strings =
        "symbol priceChange priceChangePercent weightedAvgPrice prevClosePrice lastPrice lastQty bidPrice bidQty askPrice askQty openPrice highPrice lowPrice volume quoteVolume"
      const numbers = "openTime closeTime firstId lastId count"
      assert.deepStrictEqual(shapeOf(full), fieldsOf({ string: strings, number: numbers }))
      assert.deepStrictEqual(Object.keys(full), `${strings} ${numbers}`.split(" "))
      assert.deepStrictEqual(
        shapeOf(mini),
        fieldsOf({ string: "symbol openPrice highPrice lowPrice lastPrice volume quoteVolume", number: numbers })
      )
      assert.deepStrictEqual(
        list.map(({ symbol }: { symbol: string }) => symbol),
        ["ETHUSDT", "BTCUSDT"]
      )
      assert.lengthOf(all, 3)
      assert.deepInclude(full, {
        bidPrice: touch.bidPrice,
        askQty: touch.askQty,
        count: full.lastId - full.firstId + 1
      })
      assert.strictEqual(full.closeTime - full.openTime, day)
      assert.match(full.priceChangePercent, /^-?\d+\.\d{3}$/)
      // Nothing was traded in ETHUSDT.
      assert.deepInclude(list[0], {
        volume: "0.00000000",
        firstId: -1,
        lastId: -1,
        count: 0,
        priceChange: "0.00000000"
      })
    })
  )

  it.live("of a window begin on a minute, those of a trading day at its midnight", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const { json: hour } = yield* get("ticker?symbol=BTCUSDT&windowSize=1h")
      const { json: mini } = yield* get(`ticker?symbols=${encodeURIComponent('["BTCUSDT"]')}&type=MINI`)
      const { json: today } = yield* get("ticker/tradingDay?symbol=BTCUSDT&timeZone=-3:00")

      assert.deepStrictEqual(shapeOf(hour), fieldsOf(rolledTicker))
      assert.strictEqual(hour.openTime % minute, 0)
      assert.isTrue(hour.closeTime - hour.openTime >= 60 * minute && hour.closeTime - hour.openTime < 61 * minute)
      assert.lengthOf(mini, 1)
      assert.notProperty(mini[0], "priceChange")
      assert.deepStrictEqual(shapeOf(today), fieldsOf(rolledTicker))
      assert.strictEqual((today.openTime - 3 * 60 * minute) % day, 0)
      assert.strictEqual(today.closeTime, today.openTime + day - 1)
      assert.isTrue([hour, today].every(({ volume }) => volume === mini[0].volume))
    })
  )

  it.live("an unknown type, status, window or list is refused as documented", () =>
    Effect.gen(function* () {
      const { get } = yield* traded
      const twice = encodeURIComponent('["BTCUSDT","BTCUSDT"]')

      const answers = yield* Effect.all([
        get("ticker/24hr?symbol=BTCUSDT&type=HUGE"),
        get("ticker/price?symbolStatus=GONE"),
        get("ticker/price?symbol=BTCUSDT&symbolStatus=BREAK"),
        get("ticker?symbol=BTCUSDT&windowSize=25h"),
        get(`ticker/price?symbols=${twice}`),
        get("ticker"),
        get("ticker/price?symbol=BTCUSDT&symbols=[]"),
        get("referencePrice?symbol=ETHUSDT"),
        get("exchangeInfo?symbolStatus=GONE"),
        get("executionRules?symbol=BTCUSDT&symbolStatus=TRADING"),
        get("ticker/price?symbols=[%22btcusdt%22]"),
        get("ticker/price?symbols=[%22BTCUSDT%22,%20%22ETHUSDT%22]"),
        get("ticker/price?symbols=BTCUSDT"),
        get("ticker/price?symbols=[]")
      ])
      const halted = yield* get("ticker/price?symbolStatus=HALT")

      assert.deepStrictEqual(
        answers.map(({ json }) => json.code),
        [-1139, -1122, -1220, -1130, -1151, -1102, -1128, -2043, -1122, -1128, -1100, -1100, -1100, -1130]
      )
      assert.strictEqual(
        answers[10].json.msg,
        `Illegal characters found in parameter 'symbols'; legal range is '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'.`
      )
      assert.deepStrictEqual(halted.json, [])
    })
  )
})

describe("the rules and the book", () => {
  it.live("exchangeInfo is for one symbol, a list, a permission or a status, one of them at a time", () =>
    Effect.gen(function* () {
      const { get } = yield* traded
      const symbolsOf = (path: string) =>
        get(path).pipe(
          Effect.map(({ json }) => json.symbols?.map(({ symbol }: { symbol: string }) => symbol) ?? json.code)
        )

      const found = yield* Effect.all([
        symbolsOf("exchangeInfo?permissions=SPOT"),
        symbolsOf(`exchangeInfo?permissions=${encodeURIComponent('["MARGIN","LEVERAGED"]')}`),
        symbolsOf("exchangeInfo?symbolStatus=TRADING"),
        symbolsOf("exchangeInfo?symbolStatus=BREAK"),
        symbolsOf(`exchangeInfo?symbols=${encodeURIComponent('["BNBUSDT"]')}`),
        symbolsOf("exchangeInfo?symbol=BTCUSDT&permissions=SPOT"),
        symbolsOf("exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING")
      ])
      const { json: bare } = yield* get("exchangeInfo?symbol=BTCUSDT&showPermissionSets=false")

      const all = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
      assert.deepStrictEqual(found, [all, [], all, [], ["BNBUSDT"], -1128, -1128])
      assert.deepStrictEqual(bare.symbols[0].permissionSets, [])
    })
  )

  it.live("every documented field of a symbol is there with its type", () =>
    Effect.gen(function* () {
      const { get } = yield* traded

      const { json } = yield* get("exchangeInfo?symbol=BTCUSDT")

      const { filters: _, ...symbol } = json.symbols[0]
      assert.deepStrictEqual(shapeOf(symbol), {
        ...(fieldsOf({
          string: "symbol status baseAsset quoteAsset defaultSelfTradePreventionMode",
          number:
            "baseAssetPrecision quotePrecision quoteAssetPrecision baseCommissionPrecision quoteCommissionPrecision",
          boolean:
            "icebergAllowed ocoAllowed otoAllowed opoAllowed quoteOrderQtyMarketAllowed allowTrailingStop cancelReplaceAllowed amendAllowed pegInstructionsAllowed isSpotTradingAllowed isMarginTradingAllowed"
        }) as object),
        orderTypes: ["string"],
        permissions: [],
        permissionSets: [["string"]],
        allowedSelfTradePreventionModes: ["string"]
      })
    })
  )

  it.live("depth costs by its limit and gives at most 5,000 levels", () =>
    Effect.gen(function* () {
      const { get } = yield* traded
      const weightOf = (limit: string) =>
        Effect.gen(function* () {
          const before = Number((yield* get("ping")).headers["x-mbx-used-weight-1m"])
          const after = Number((yield* get(`depth?symbol=BTCUSDT${limit}`)).headers["x-mbx-used-weight-1m"])
          return after - before
        })

      const limits = ["", "&limit=100", "&limit=101", "&limit=500", "&limit=1000", "&limit=1001", "&limit=9999"]
      const weights = yield* Effect.forEach(limits, weightOf)
      const { json } = yield* get("depth?symbol=BTCUSDT&limit=9999")

      assert.deepStrictEqual(weights, [5, 5, 25, 25, 50, 250, 250])
      assert.deepStrictEqual(shapeOf(json), { lastUpdateId: "number", bids: [["string"]], asks: [["string"]] })
    })
  )

  it.live("public requests cost what is documented", () =>
    Effect.gen(function* () {
      const { get } = yield* traded
      const list = (symbols: string) => encodeURIComponent(`[${symbols}]`)
      const costs: ReadonlyArray<readonly [string, number]> = [
        ["exchangeInfo", 20],
        ["ticker/price?symbol=BTCUSDT", 2],
        ["ticker/price", 4],
        ["ticker/bookTicker?symbol=BTCUSDT", 2],
        ["ticker/bookTicker", 4],
        ["ticker/24hr?symbol=BTCUSDT", 2],
        ["ticker/24hr", 80],
        ["ticker?symbol=BTCUSDT", 4],
        [`ticker/tradingDay?symbols=${list('"BTCUSDT","ETHUSDT"')}`, 8],
        ["trades?symbol=BTCUSDT", 25],
        ["historicalTrades?symbol=BTCUSDT", 25],
        ["aggTrades?symbol=BTCUSDT", 4],
        ["klines?symbol=BTCUSDT&interval=1m", 2],
        ["uiKlines?symbol=BTCUSDT&interval=1m", 2],
        ["avgPrice?symbol=BTCUSDT", 2],
        ["executionRules", 40]
      ]

      let used = Number((yield* get("ping")).headers["x-mbx-used-weight-1m"])
      for (const [path, cost] of costs) {
        const { headers, status } = yield* get(path)
        const now = Number(headers["x-mbx-used-weight-1m"])
        // A new minute counts from nothing.
        if (now > used) assert.deepStrictEqual([path, status, now - used], [path, 200, cost])
        used = now
      }
    })
  )
})

describe("market data over the WebSocket API", () => {
  it.live("is the same as over REST, method by method", () =>
    Effect.gen(function* () {
      const { get, simulator } = yield* traded
      yield* signed(simulator, place, limit("60000", "0.01"))
      const stream = yield* openStream(simulator.wsApiUrl)
      const one = { symbol: "BTCUSDT" }
      const pairs: ReadonlyArray<readonly [string, object, string]> = [
        ["depth", { ...one, limit: 5 }, "depth?symbol=BTCUSDT&limit=5"],
        ["trades.recent", { ...one, limit: 3 }, "trades?symbol=BTCUSDT&limit=3"],
        ["trades.historical", { ...one, fromId: 2, limit: 2 }, "historicalTrades?symbol=BTCUSDT&fromId=2&limit=2"],
        ["trades.aggregate", one, "aggTrades?symbol=BTCUSDT"],
        ["klines", { ...one, interval: "1d" }, "klines?symbol=BTCUSDT&interval=1d"],
        ["uiKlines", { ...one, interval: "1h" }, "uiKlines?symbol=BTCUSDT&interval=1h"],
        ["avgPrice", one, "avgPrice?symbol=BTCUSDT"],
        ["ticker.price", { symbols: ["BTCUSDT", "BNBUSDT"] }, "ticker/price?symbols=[%22BTCUSDT%22,%22BNBUSDT%22]"],
        ["ticker.book", {}, "ticker/bookTicker"],
        ["ticker.tradingDay", { ...one, type: "MINI" }, "ticker/tradingDay?symbol=BTCUSDT&type=MINI"]
      ]
      const timed = ["ping", "time", "exchangeInfo"]
      // An id may not have a dot.
      const idOf = (method: string) => method.replace(".", "-")

      for (const [method, params] of pairs) stream.send({ id: idOf(method), method, params })
      stream.send({ id: idOf("ticker.24hr"), method: "ticker.24hr", params: one })
      stream.send({ id: "ticker", method: "ticker", params: { ...one, windowSize: "2h" } })
      for (const method of timed) stream.send({ id: idOf(method), method })
      yield* until("all is answered", () => stream.messages.length === pairs.length + 2 + timed.length)

      for (const [at, [method, , path]] of pairs.entries()) {
        const { json } = yield* get(path)
        assert.deepInclude(stream.messages[at], { id: idOf(method), status: 200, result: json })
      }
      assert.isTrue(stream.messages.every(({ status }) => status === 200))
    })
  )
})
