/** Candles. `uiKlines` gives the same ones, as on the testnet. */
import { always, type Endpoint, onMarket, rowsOf } from "./Endpoint.ts"
import { isInterval, zoneOffset } from "./intervals.ts"
import { limitOf, momentOf } from "./marketParameters.ts"
import { invalidInterval } from "./marketRefusals.ts"
import { candleView } from "./marketViews.ts"
import { invalidValue } from "./Refusal.ts"

const candlesAt = (rest: string, webSocket: string): Endpoint => ({
  rest,
  webSocket,
  isSigned: false,
  weight: always(2),
  read: (p) => {
    const symbol = p.symbol()
    const interval = p.mandatoryText("interval")
    const startTime = momentOf(p, "startTime")
    const endTime = momentOf(p, "endTime")
    const offset = zoneOffset(p.text("timeZone") ?? "0")
    const limit = rowsOf(limitOf(p))
    return onMarket(symbol, (desk, { tape }) => {
      if (!isInterval(interval)) return invalidInterval
      if (offset === undefined) return invalidValue("timeZone")
      const to = Math.min(endTime ?? Number.POSITIVE_INFINITY, desk.now())
      const candles = tape.candles.between({ interval, offset, from: startTime, to, limit }, tape.openingPrice)
      return candles.map((candle) => candleView(candle, interval, offset))
    })
  }
})

export const klines = candlesAt("GET /api/v3/klines", "klines")
export const uiKlines = candlesAt("GET /api/v3/uiKlines", "uiKlines")
