import { assert, describe, it } from "@effect/vitest"
import { MarketStreams } from "../../src/simulator/MarketStreams.ts"
import { makeExchange, marketOf, place, startMillis } from "./exchangeForTests.ts"

/** Streams whose beats the test makes, and what was told. */
const listenTo = (name: string) => {
  const clock = { millis: startMillis }
  const exchange = makeExchange({ clock })
  const streams = new MarketStreams(
    exchange.matching.markets,
    () => clock.millis,
    (deliver) => deliver()
  )
  // oxlint-disable-next-line typescript/no-explicit-any
  const told: Array<any> = []
  const end = streams.subscribe(name, { inMicros: false, tell: (_, event) => told.push(JSON.parse(event)) })
  return { clock, exchange, streams, told, end }
}

describe("differences of the book", () => {
  it("tell also of a level that came and went since the last one, for a snapshot may have shown it", () => {
    const { exchange, streams, told } = listenTo("btcusdt@depth@100ms")
    const market = marketOf(exchange)
    const order = place(exchange, { price: "60000", quantity: "0.01" })
    exchange.cancel(market, { orderId: order.id, clientOrderId: undefined }, "c", undefined)

    streams.beat()

    assert.deepStrictEqual(told[0].b, [["60000.00000000", "0.00000000"]])
    assert.deepStrictEqual(told[0].a, [])
    assert.strictEqual(told[0].u, market.book.updateId)
  })

  it("are not told where nothing changed, and of nothing that was before", () => {
    const { exchange, streams, told } = listenTo("btcusdt@depth@100ms")

    streams.beat()
    place(exchange, { price: "60000", quantity: "0.01" })
    streams.beat()
    streams.beat()

    assert.strictEqual(told.length, 1)
    assert.deepStrictEqual(told[0].b, [["60000.00000000", "0.01000000"]])
  })
})

describe("a stream", () => {
  it("is silent once nobody listens", () => {
    const { end, exchange, streams, told } = listenTo("btcusdt@depth@100ms")
    end()

    place(exchange, { price: "60000", quantity: "0.01" })
    streams.beat()

    assert.deepStrictEqual(told, [])
  })

  it("of candles closes each span once, also the quiet ones", () => {
    const { clock, exchange, streams, told } = listenTo("btcusdt@kline_1s")
    place(exchange, { quantity: "0.01" })
    for (let beat = 0; beat < 30; beat++) {
      clock.millis += 100
      streams.beat()
    }

    const closed = told.filter(({ k }) => k.x).map(({ k }) => [k.t - startMillis, k.n])
    assert.deepStrictEqual(
      closed.map(([start]) => start),
      [0, 1_000, 2_000]
    )
    assert.isAbove(closed[0]![1], 0)
    assert.deepStrictEqual([closed[1]![1], closed[2]![1]], [0, 0])
  })
})
