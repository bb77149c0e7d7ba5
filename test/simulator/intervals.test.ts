import { assert, describe, it } from "@effect/vitest"
import {
  type Interval,
  intervals,
  nextSpan,
  spanStart,
  windowMillis,
  zoneOffset
} from "../../src/simulator/intervals.ts"

const at = (iso: string) => Date.parse(iso)
const iso = (millis: number) => new Date(millis).toISOString()
const hour = 3_600_000

describe("spans of candles", () => {
  const moment = at("2024-02-14T13:47:52.345Z") // a Wednesday

  it.each<[Interval, string, string]>([
    ["1s", "2024-02-14T13:47:52.000Z", "2024-02-14T13:47:53.000Z"],
    ["1m", "2024-02-14T13:47:00.000Z", "2024-02-14T13:48:00.000Z"],
    ["3m", "2024-02-14T13:45:00.000Z", "2024-02-14T13:48:00.000Z"],
    ["15m", "2024-02-14T13:45:00.000Z", "2024-02-14T14:00:00.000Z"],
    ["4h", "2024-02-14T12:00:00.000Z", "2024-02-14T16:00:00.000Z"],
    ["12h", "2024-02-14T12:00:00.000Z", "2024-02-15T00:00:00.000Z"],
    ["1d", "2024-02-14T00:00:00.000Z", "2024-02-15T00:00:00.000Z"],
    ["1w", "2024-02-12T00:00:00.000Z", "2024-02-19T00:00:00.000Z"],
    ["1M", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z"]
  ])("%s begins at %s and ends at %s", (interval, start, next) => {
    assert.strictEqual(iso(spanStart(interval, moment, 0)), start)
    assert.strictEqual(iso(nextSpan(interval, at(start), 0)), next)
  })

  it("in another zone days, weeks and months begin at its midnight", () => {
    const late = at("2024-01-31T20:30:00Z") // in UTC+8 it is the first of February, a Thursday
    const offset = 8 * hour

    assert.strictEqual(iso(spanStart("1d", late, offset)), "2024-01-31T16:00:00.000Z")
    assert.strictEqual(iso(spanStart("1M", late, offset)), "2024-01-31T16:00:00.000Z")
    assert.strictEqual(iso(nextSpan("1M", at("2024-01-31T16:00:00Z"), offset)), "2024-02-29T16:00:00.000Z")
    assert.strictEqual(iso(spanStart("1w", late, offset)), "2024-01-28T16:00:00.000Z")
  })

  it("spans of every interval follow each other without gap or overlap", () => {
    for (const interval of intervals) {
      for (const offset of [0, 5.75 * hour, -12 * hour]) {
        const start = spanStart(interval, moment, offset)
        const next = nextSpan(interval, start, offset)
        assert.isTrue(start <= moment && moment < next, interval)
        assert.strictEqual(spanStart(interval, next - 1, offset), start, interval)
        assert.strictEqual(spanStart(interval, next, offset), next, interval)
      }
    }
  })
})

describe("time zones and windows", () => {
  it("a zone is hours, or hours and minutes, from -12:00 to +14:00", () => {
    assert.deepStrictEqual(
      ["0", "8", "-1:00", "05:45", "+14:00", "-12:00"].map(zoneOffset),
      [0, 8, -1, 5.75, 14, -12].map((hours) => hours * hour)
    )
    assert.deepStrictEqual(
      ["+14:01", "-12:01", "15", "x", "", "1:60", "1:2"].map(zoneOffset),
      Array.from({ length: 7 }, () => undefined)
    )
  })

  it("a window is 1m to 59m, 1h to 23h, or 1d to 7d", () => {
    assert.deepStrictEqual(["1m", "59m", "23h", "7d"].map(windowMillis), [60_000, 59 * 60_000, 23 * hour, 168 * hour])
    assert.deepStrictEqual(
      ["0m", "60m", "24h", "8d", "1d2h", "d", ""].map(windowMillis),
      Array.from({ length: 7 }, () => undefined)
    )
  })
})
