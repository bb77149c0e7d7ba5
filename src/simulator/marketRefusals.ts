/** What the exchange answers to requests for market data that it cannot serve. */
import { Refusal } from "./Refusal.ts"

export const invalidInterval = new Refusal(400, -1120, "Invalid interval.")
export const invalidSymbolStatus = new Refusal(400, -1122, "Invalid symbolStatus.")
export const invalidTickerType = new Refusal(400, -1139, "Invalid ticker type.")
export const duplicateSymbols = new Refusal(400, -1151, "Symbol is present multiple times in the list.")
export const otherStatus = new Refusal(400, -1220, "The symbol's status does not match the requested symbolStatus.")
export const noReferencePrice = new Refusal(400, -2043, "This symbol doesn't have a reference price.")
