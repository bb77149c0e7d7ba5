/**
 * Times in microseconds for who asks for them: the same answers and events with every time a thousand times as great.
 *
 * The exchange counts in milliseconds inside; its times are converted as they leave, known by their names.
 */

const timeNames = new Set([
  "serverTime",
  "time",
  "updateTime",
  "transactTime",
  "transactionTime",
  "workingTime",
  "trailingTime",
  "openTime",
  "closeTime",
  "startTime",
  "endTime",
  "timestamp",
  "retryAfter",
  "authorizedSince",
  "connectedSince"
])

/** Columns of answers that are rows without names. */
const timeColumns: Readonly<Record<string, ReadonlyArray<number>>> = { klines: [0, 6], uiKlines: [0, 6] }
/** Answers with names of one letter, of which these are times. */
const shortNames: Readonly<Record<string, ReadonlyArray<string>>> = { "trades.aggregate": ["T"] }
/** Times in the events, by their type. */
const eventNames: Readonly<Record<string, ReadonlyArray<string>>> = {
  executionReport: ["E", "T", "O", "W", "D"],
  listStatus: ["E", "T"],
  outboundAccountPosition: ["E", "u"],
  balanceUpdate: ["E", "T"],
  trade: ["E", "T"],
  aggTrade: ["E", "T"],
  kline: ["E", "t", "T"],
  "24hrTicker": ["E", "O", "C"],
  "24hrMiniTicker": ["E"],
  "1hTicker": ["E", "O", "C"],
  "4hTicker": ["E", "O", "C"],
  "1dTicker": ["E", "O", "C"],
  avgPrice: ["E", "T"],
  referencePrice: ["t"]
}
const ofEveryEvent = ["E"]

type Fields = Readonly<Record<string, unknown>>

/** -1 says that there is no such time. */
const micros = (millis: unknown): unknown => (typeof millis === "number" && millis > 0 ? millis * 1_000 : millis)

/** The answer to a request, named by its method in the WebSocket API. */
export const answerInMicros = (value: unknown, method: string): unknown => {
  const columns = timeColumns[method]
  if (columns !== undefined && Array.isArray(value)) {
    return value.map((row: ReadonlyArray<unknown>) =>
      row.map((cell, at) => (columns.includes(at) ? micros(cell) : cell))
    )
  }
  const names = shortNames[method]
  return converted(value, (name) => timeNames.has(name) || (names?.includes(name) ?? false))
}

/** One event, as text. */
export const eventInMicros = (text: string): string => {
  const event = JSON.parse(text) as Fields
  const names = eventNames[String(event["e"])] ?? ofEveryEvent
  return JSON.stringify(converted(event, (name) => names.includes(name)))
}

const converted = (value: unknown, isTime: (name: string) => boolean): unknown => {
  if (Array.isArray(value)) return value.map((item) => converted(item, isTime))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      isTime(name) && typeof item === "number" ? micros(item) : converted(item, isTime)
    ])
  )
}

const units: ReadonlyArray<unknown> = ["MICROSECOND", "microsecond", "MILLISECOND", "millisecond"]

/** Whether the exchange knows the unit; none is milliseconds. */
export const isTimeUnit = (unit: string | ReadonlyArray<string> | null | undefined): boolean =>
  unit === undefined || unit === null || units.includes(unit)

/** As the exchange reads the wish, in a header or in an address. */
export const wantsMicros = (unit: string | ReadonlyArray<string> | null | undefined): boolean =>
  unit === "MICROSECOND" || unit === "microsecond"
