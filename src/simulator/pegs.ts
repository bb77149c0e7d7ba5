/**
 * The parameters of pegged orders. No symbol here allows them, as `exchangeInfo` says: they are read and judged like
 * any others, and what is well-formed is refused in the engine's words.
 */
import type { Parameters } from "./Parameters.ts"
import { fieldsTogether, invalidPegOffsetType, invalidPegPriceType, notSupported, type Refusal } from "./Refusal.ts"

export interface PegForm {
  readonly pegPriceType: string | undefined
  readonly pegOffsetType: string | undefined
  readonly pegOffsetValue: number | undefined
}

export const noPeg: PegForm = { pegPriceType: undefined, pegOffsetType: undefined, pegOffsetValue: undefined }

export const readPeg = (p: Parameters, named: (field: string) => string): PegForm => ({
  pegPriceType: p.text(named("pegPriceType")),
  pegOffsetType: p.text(named("pegOffsetType")),
  pegOffsetValue: p.whole(named("pegOffsetValue"))
})

export const faultOfPeg = (
  { pegOffsetType, pegOffsetValue, pegPriceType }: PegForm,
  named: (field: string) => string
): Refusal | undefined => {
  if ((pegOffsetType === undefined) !== (pegOffsetValue === undefined)) {
    return fieldsTogether(named("pegOffsetType"), named("pegOffsetValue"))
  }
  if (pegOffsetType !== undefined && pegOffsetType !== "PRICE_LEVEL") return invalidPegOffsetType
  if (pegPriceType === undefined) return pegOffsetType === undefined ? undefined : invalidPegPriceType
  if (pegPriceType !== "PRIMARY_PEG" && pegPriceType !== "MARKET_PEG") return invalidPegPriceType
  return notSupported("Pegged")
}
