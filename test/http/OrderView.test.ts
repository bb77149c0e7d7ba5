import { assert, describe, it } from "@effect/vitest"
import { HashSet, Schema } from "effect"
import { decimal } from "../../src/domain/Decimal.ts"
import { OrderEvent } from "../../src/domain/Event.ts"
import { clientOrderIdOf, OrderId, StoreId } from "../../src/domain/Ids.ts"
import { evolve, unplaced } from "../../src/domain/Order.ts"
import { ofStream, OrderView } from "../../src/http/OrderView.ts"

const orderId = OrderId.make("ORDER-001")
const clientOrderId = clientOrderIdOf(StoreId.make("7d4c7a52-5f10-4b7c-9d3e-2f1a0b9c8d7e"), orderId)
const at = Date.UTC(2024, 0, 15, 10, 30)

const placed = OrderEvent.cases.OrderPlaced.make({
  clientOrderId,
  request: {
    symbol: "BTCUSDT",
    side: "BUY",
    type: "MARKET",
    timeInForce: null,
    quantity: decimal("0.001"),
    quoteQuantity: null,
    price: null,
    validUntil: null
  },
  instrumentVersion: 1,
  staleAt: at + 120_000
})
const filled = (tradeId: string, quantity: string, price: string) =>
  OrderEvent.cases.OrderFilled.make({
    tradeId,
    price: decimal(price),
    quantity: decimal(quantity),
    fee: decimal("0.000000000000000001"),
    feeAsset: "BNB",
    at: at + 1,
    source: "answer"
  })

const shown = (events: ReadonlyArray<OrderEvent>) =>
  ofStream(orderId, {
    order: events.reduce((order, event) => evolve(order, event, at), unplaced),
    version: events.length,
    headHash: "",
    requestHash: "",
    commandIds: HashSet.empty()
  })

const decodeView = Schema.decodeUnknownSync(OrderView, { onExcessProperty: "error" })

describe("OrderView", () => {
  it("begins with the fields of the original API, in their order and with their values", () => {
    const expected =
      `{"id":"ORDER-001","symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":0.001,"price":0,"status":"PENDING"` +
      `,"created_at":"2024-01-15T10:30:00.000Z","updated_at":"2024-01-15T10:30:00.000Z",`

    assert.isTrue(shown([placed]).startsWith(expected))
  })

  it("is what the contract says, to the last field", () => {
    const view = decodeView(JSON.parse(shown([placed, filled("1", "0.001", "61234.5")])))

    assert.strictEqual(view.fills.length, 1)
    const { exchange: _, ...always } = OrderView.fields
    assert.deepStrictEqual(Object.keys(view).sort(), Object.keys(always).sort())
  })

  it("writes amounts as numbers with all digits, which a double would lose", () => {
    const text = shown([
      placed,
      filled("1", "0.0000000001", "12345678901234567890.5"),
      filled("2", "0.0000000002", "1")
    ])

    assert.include(text, `"price":12345678901234567890.5,"quantity":0.0000000001,"fee":0.000000000000000001`)
    assert.include(text, `"filled_quantity":0.0000000003`)
    assert.include(text, `"fees":{"BNB":0.000000000000000002}`)
    assert.notMatch(text, /\de[+-]?\d/)
  })

  it("keeps text from outside inside its quotes", () => {
    const failed = OrderEvent.cases.OrderFailed.make({ code: "-2010", message: `no "balance"\n\u2028` })

    const view = decodeView(JSON.parse(shown([placed, failed])))

    assert.deepStrictEqual(view.reason, { code: "-2010", message: `no "balance"\n\u2028` })
  })
})
