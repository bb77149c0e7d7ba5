/** The parameter `cancelRestrictions`, which several requests have. */
import type { CancelRestriction } from "./OrderRequests.ts"
import type { Parameters } from "./Parameters.ts"
import { invalidRestrictions, type Refusal } from "./Refusal.ts"

export const readRestriction = (p: Parameters): CancelRestriction | Refusal | undefined => {
  const text = p.text("cancelRestrictions")
  if (text === undefined || text === "ONLY_NEW" || text === "ONLY_PARTIALLY_FILLED") return text
  return invalidRestrictions
}
