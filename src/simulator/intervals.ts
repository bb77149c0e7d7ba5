/**
 * The spans of time of candles: where one begins, and where the next one does.
 *
 * Up to 12 hours they divide the day; days, weeks (from Monday) and months follow the calendar. A time zone moves the
 * calendar, so that a day opens at midnight there; the moments themselves stay epoch milliseconds.
 */

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const lengths = {
  "1s": second,
  "1m": minute,
  "3m": 3 * minute,
  "5m": 5 * minute,
  "15m": 15 * minute,
  "30m": 30 * minute,
  "1h": hour,
  "2h": 2 * hour,
  "4h": 4 * hour,
  "6h": 6 * hour,
  "8h": 8 * hour,
  "12h": 12 * hour,
  "1d": day,
  "3d": 3 * day,
  "1w": 7 * day
} as const

export type Interval = keyof typeof lengths | "1M"

export const intervals = [...Object.keys(lengths), "1M"] as ReadonlyArray<Interval>

export const isInterval = (name: string): name is Interval => (intervals as ReadonlyArray<string>).includes(name)

/** The epoch began on a Thursday; weeks begin four days later. */
const firstMonday = 4 * day

/** Begin of the span that `time` lies in, in a zone that is `offset` milliseconds ahead of UTC. */
export const spanStart = (interval: Interval, time: number, offset: number): number => {
  const local = time + offset
  if (interval === "1M") {
    const date = new Date(local)
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth()) - offset
  }
  const length = lengths[interval]
  const shift = interval === "1w" ? firstMonday : 0
  return Math.floor((local - shift) / length) * length + shift - offset
}

/** Begin of the span after the one that begins at `start`. */
export const nextSpan = (interval: Interval, start: number, offset: number): number => {
  if (interval !== "1M") return start + lengths[interval]
  const date = new Date(start + offset)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1) - offset
}

const zoneForm = /^([+-]?)(\d{1,2})(?::(\d{2}))?$/
const westernmost = -12 * hour
const easternmost = 14 * hour

/** `8`, `-1:00`, `05:45`: milliseconds ahead of UTC; undefined for what is no zone between -12:00 and +14:00. */
export const zoneOffset = (text: string): number | undefined => {
  const [, sign, hours, minutes = "0"] = zoneForm.exec(text) ?? []
  if (hours === undefined || Number(minutes) > 59) return undefined
  const offset = (Number(hours) * hour + Number(minutes) * minute) * (sign === "-" ? -1 : 1)
  return offset < westernmost || offset > easternmost ? undefined : offset
}

const windowForm = /^(\d{1,2})([mhd])$/
const windows: Readonly<Record<string, readonly [most: number, length: number]>> = {
  m: [59, minute],
  h: [23, hour],
  d: [7, day]
}

/** `1m` to `59m`, `1h` to `23h`, `1d` to `7d`, in milliseconds. */
export const windowMillis = (text: string): number | undefined => {
  const [, count, unit] = windowForm.exec(text) ?? []
  const [most, length] = windows[unit ?? ""] ?? [0, 0]
  return Number(count) >= 1 && Number(count) <= most ? Number(count) * length : undefined
}
