/**
 * The soak's judge must find each fault that it is there for, or its silence says nothing.
 */
import { assert, describe, it } from "vitest"
import type { Intent } from "../../../../tools/proofs/soak/Traffic.ts"
import { type Entry, type Verdict, verdictOf, type View } from "../../../../tools/proofs/soak/judge.ts"

const filled: View = {
  id: "a",
  status: "COMPLETED",
  certainty: "CONFIRMED",
  client_order_id: "nxa",
  filled_quantity: "0.3",
  reason: null,
  fills: [
    { trade_id: "1", quantity: "0.1" },
    { trade_id: "2", quantity: "0.2" }
  ]
}
const entry: Entry = {
  clientOrderId: "nxa",
  status: "FILLED",
  executedQty: "0.30000000",
  trades: [
    { id: 2, qty: "0.20000000" },
    { id: 1, qty: "0.10000000" }
  ]
}
const rests: View = { ...filled, status: "EXECUTING", filled_quantity: "0", fills: [] }
const restingEntry: Entry = { ...entry, status: "NEW", executedQty: "0.00000000", trades: [] }

const judged = (views: ReadonlyArray<View>, ledger: ReadonlyArray<Entry>, stays = false): Verdict => {
  const intent: Intent = { id: "a", manner: "resting", stays }
  return verdictOf(new Map(views.map((view) => [view.id, view])), ledger, new Map([["a", intent]]))
}

const faultsOf = (verdict: Verdict): ReadonlyArray<string> =>
  Object.entries(verdict).flatMap(([name, found]) => (Array.isArray(found) && found.length > 0 ? [name] : []))

describe("the soak's judge", () => {
  it("finds nothing in an order that both sides tell alike", () => {
    assert.deepStrictEqual(faultsOf(judged([filled], [entry])), [])
  })

  it("lets an order rest that nobody cancels, and no other", () => {
    assert.deepStrictEqual(faultsOf(judged([rests], [restingEntry], true)), [])
    assert.deepStrictEqual(faultsOf(judged([rests], [restingEntry])), ["stuck"])
    assert.deepStrictEqual(faultsOf(judged([rests], [], true)), ["stuck"])
  })

  it("finds an order that was acknowledged and is not in the log", () => {
    assert.deepStrictEqual(faultsOf(judged([], [])), ["lost"])
  })

  it("finds an order of ours that only the ledger has, and passes over those of others", () => {
    const [ours, theirs] = [
      { ...entry, clientOrderId: "nxb" },
      { ...entry, clientOrderId: "by-hand" }
    ]
    assert.deepStrictEqual(faultsOf(judged([filled], [entry, ours, theirs])), ["orphans"])
  })

  it("finds an order that nobody asked for", () => {
    const stranger = { ...filled, id: "b", client_order_id: "nxb" }
    assert.deepStrictEqual(faultsOf(judged([filled, stranger], [entry, { ...entry, clientOrderId: "nxb" }])), [
      "unasked"
    ])
  })

  it("finds a second acceptance, and a second execution", () => {
    assert.deepStrictEqual(faultsOf(judged([filled], [entry, { ...restingEntry, status: "CANCELED" }])), [
      "acceptedTwice"
    ])
    assert.includeMembers(
      [...faultsOf(judged([filled], [entry, entry]))],
      ["acceptedTwice", "executedTwice", "differs"]
    )
  })

  it("finds an order in doubt", () => {
    assert.deepStrictEqual(faultsOf(judged([{ ...rests, certainty: "UNKNOWN" }], [])), ["stuck", "unknown"])
  })

  it("finds a quantity, a trade and an end that differ", () => {
    assert.deepStrictEqual(faultsOf(judged([{ ...filled, filled_quantity: "0.2" }], [entry])), ["differs"])
    assert.deepStrictEqual(faultsOf(judged([{ ...filled, fills: filled.fills.slice(1) }], [entry])), ["differs"])
    assert.deepStrictEqual(faultsOf(judged([{ ...filled, status: "CANCELLED" }], [entry])), ["differs"])
    assert.deepStrictEqual(faultsOf(judged([{ ...filled, status: "FAILED" }], [entry])), ["differs"])
    assert.deepStrictEqual(faultsOf(judged([filled], [{ ...entry, status: "CANCELED" }])), ["differs"])
    assert.deepStrictEqual(faultsOf(judged([{ ...rests, status: "CANCELLED" }], [restingEntry])), ["differs"])
  })
})
