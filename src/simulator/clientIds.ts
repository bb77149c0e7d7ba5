/**
 * Which client order ids are taken. An open order holds its own; how long an ended one does, and for which symbols, is
 * an open question with its answer in `openQuestions.ts`, and other answers here for those who want to meet them.
 */
import type { Market } from "./Matching.ts"
import { isOpen, type OrderStatus } from "./Order.ts"
import { openQuestions } from "./openQuestions.ts"

export interface ClientIdRules {
  /** The states after which an order's id is free again. */
  readonly freeAfter: ReadonlyArray<OrderStatus>
  readonly scope: "symbol" | "account"
}

export const defaultClientIdRules: ClientIdRules = {
  freeAfter: openQuestions.clientOrderIdFreeAfter,
  scope: openQuestions.clientOrderIdScope
}

export const isTaken = (
  clientOrderId: string,
  market: Market,
  markets: ReadonlyArray<Market>,
  { freeAfter, scope }: ClientIdRules
): boolean =>
  (scope === "symbol" ? [market] : markets).some(({ orders }) => {
    if (orders.isOpenClientId(clientOrderId)) return true
    // Every ended state frees the id: nothing has to be looked up, for it would have to be decoded.
    if (freeAfter.length === endedStates) return false
    const last = orders.byClientId(clientOrderId)
    return last !== undefined && !isOpen(last) && !freeAfter.includes(last.status)
  })

const endedStates = openQuestions.clientOrderIdFreeAfter.length
