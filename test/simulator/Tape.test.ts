import { assert, describe, it } from "@effect/vitest"
import { amount, format } from "../../src/simulator/Amount.ts"
import type { Interval } from "../../src/simulator/intervals.ts"
import { Tape } from "../../src/simulator/Tape.ts"

const start = Date.parse("2024-02-14T12:00:00Z")
const minute = 60_000

/** A tape that trades are put on in few words. */
const makeTape = () => {
  const tape = new Tape(amount("100"))
  let id = 0
  const trade = (millis: number, price: string, quantity: string, taker?: object, isBuyerMaker = false) =>
    tape.add(
      {
        id: ++id,
        price: amount(price),
        quantity: amount(quantity),
        quote: (amount(price) * amount(quantity)) / 100_000_000n,
        time: start + millis,
        isBuyerMaker
      },
      taker
    )
  return { tape, trade }
}

const candles = (tape: Tape, interval: Interval, to: number, more: { from?: number; limit?: number } = {}) =>
  tape.candles
    .between(
      {
        interval,
        offset: 0,
        from: more.from === undefined ? undefined : start + more.from,
        to: start + to,
        limit: more.limit ?? 500
      },
      tape.openingPrice
    )
    .map(({ close, high, low, open, start: at, volume }) =>
      [(at - start) / 1_000, ...[open, high, low, close, volume].map((value) => Number(format(value)))].join(" ")
    )

describe("candles", () => {
  it("show open, high, low, close and volume of their span, and flat ones where nothing was traded", () => {
    const { tape, trade } = makeTape()
    trade(1_000, "110", "1")
    trade(30_000, "90", "2")
    trade(59_999, "105", "3")
    trade(2 * minute, "107", "4")

    assert.deepStrictEqual(candles(tape, "1m", 3 * minute), [
      "0 110 110 90 105 6",
      "60 105 105 105 105 0",
      "120 107 107 107 107 4",
      "180 107 107 107 107 0"
    ])
    assert.deepStrictEqual(candles(tape, "5m", 3 * minute), ["0 110 110 90 107 10"])
  })

  it("without a begin are the newest, with one the oldest from there on", () => {
    const { tape, trade } = makeTape()
    for (let n = 0; n < 10; n++) trade(n * minute, String(100 + n), "1")
    const starts = (lines: ReadonlyArray<string>) => lines.map((line) => Number(line.split(" ")[0]) / 60)

    assert.deepStrictEqual(starts(candles(tape, "1m", 9 * minute, { limit: 3 })), [7, 8, 9])
    assert.deepStrictEqual(starts(candles(tape, "1m", 5 * minute, { limit: 3 })), [3, 4, 5])
    assert.deepStrictEqual(starts(candles(tape, "1m", 9 * minute, { from: 2 * minute, limit: 3 })), [2, 3, 4])
    // A begin within a span asks for the spans after it.
    assert.deepStrictEqual(starts(candles(tape, "1m", 9 * minute, { from: 2 * minute + 1, limit: 1 })), [3])
    assert.deepStrictEqual(starts(candles(tape, "1m", 4 * minute, { from: 3 * minute })), [3, 4])
    assert.deepStrictEqual(starts(candles(tape, "1m", minute, { from: -100 * minute })), [0, 1])
  })

  it("count what takers bought apart", () => {
    const { tape, trade } = makeTape()
    trade(0, "100", "1", undefined, true)
    trade(0, "100", "2", undefined, false)

    const sum = tape.candles.since(start, 0n)

    assert.deepStrictEqual([sum.volume, sum.takerVolume, sum.takerQuote], [amount("3"), amount("2"), amount("200")])
    assert.deepStrictEqual([sum.firstId, sum.lastId], [1, 2])
  })

  it("stay in order when the clock is set back", () => {
    const { tape, trade } = makeTape()
    trade(5 * minute, "100", "1")
    trade(2 * minute, "90", "1")

    assert.deepStrictEqual(candles(tape, "1m", 5 * minute), ["300 100 100 90 90 2"])
  })
})

describe("the opening price", () => {
  it("is the last price of an earlier life until something is traded, and what stood before it from then on", () => {
    const { tape, trade } = makeTape()
    tape.lastPrice = amount("120")
    const before = tape.openingPrice

    trade(0, "130", "1")

    assert.deepStrictEqual([before, tape.openingPrice], [amount("120"), amount("120")])
  })
})

describe("aggregates", () => {
  it("are what one taker traded at one price, and no more", () => {
    const { tape, trade } = makeTape()
    const [first, second] = [{}, {}]
    trade(0, "100", "1", first)
    trade(0, "100", "2", first)
    trade(0, "101", "3", first)
    trade(0, "101", "4", second)

    const shown = tape.aggregates
      .recent(10)
      .map((row) => [row.id, Number(format(row.price)), Number(format(row.quantity)), row.firstId, row.lastId])

    assert.deepStrictEqual(shown, [
      [0, 100, 3, 1, 2],
      [1, 101, 3, 3, 3],
      [2, 101, 4, 4, 4]
    ])
  })
})

describe("the trades of the tape", () => {
  it("are found by id and by time, and the oldest are forgotten", () => {
    const { tape, trade } = makeTape()
    const more = 70_000
    for (let n = 1; n <= more; n++) trade(n, "100", "1")
    const ids = (rows: ReadonlyArray<{ id: number }>) => [rows.length, rows[0]?.id, rows.at(-1)?.id]

    assert.deepStrictEqual(ids(tape.trades.recent(1_000)), [1_000, more - 999, more])
    assert.deepStrictEqual(ids(tape.trades.from(60_000, 10)), [10, 60_000, 60_009])
    assert.deepStrictEqual(ids(tape.trades.from(1, 1)), [1, more - 65_535, more - 65_535])
    assert.deepStrictEqual(ids(tape.trades.from(more + 1, 10)), [0, undefined, undefined])
    assert.deepStrictEqual(ids(tape.trades.within(start + 50_000, start + 50_099, 1_000, true)), [100, 50_000, 50_099])
    assert.deepStrictEqual(ids(tape.trades.within(start + 50_000, start + 50_099, 5, false)), [5, 50_095, 50_099])
    assert.deepStrictEqual(ids(tape.trades.within(0, Infinity, 5, true)), [5, more - 65_535, more - 65_531])
  })

  it("begin anew where the ids do, with candles and aggregates", () => {
    const { tape, trade } = makeTape()
    trade(0, "100", "1")
    trade(0, "100", "1")
    trade(0, "100", "1")

    tape.add({ id: 1, price: amount("50"), quantity: 1n, quote: 0n, time: start, isBuyerMaker: false })

    assert.deepStrictEqual([tape.trades.count, tape.aggregates.count], [1, 1])
    assert.strictEqual(tape.candles.since(start, 0n).high, amount("50"))
    assert.strictEqual(tape.openingPrice, amount("100"))
  })
})
