/** Parameters that requests for market data share. */
import type { Parameters } from "./Parameters.ts"

/** From here on a time is in microseconds: as milliseconds it would lie in the year 5138. */
const microseconds = 100_000_000_000_000

/** How many rows are wanted. What is above the most that the request gives is that most. */
export const limitOf = (p: Parameters): number | undefined => p.whole("limit")

/** A moment in epoch milliseconds; it may be sent in microseconds too. */
export const momentOf = (p: Parameters, name: string): number | undefined => {
  const sent = p.whole(name)
  return sent !== undefined && sent >= microseconds ? Math.floor(sent / 1_000) : sent
}
