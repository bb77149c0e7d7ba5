/** Each promise that can be checked by looking: a good life passes, and a planted fault is named. */
import { assert, describe, it } from "@effect/vitest"
import type { OrderEvent } from "../../src/domain/Event.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import {
  densityFaults,
  ledgerFaults,
  legalEvents,
  lifeFaults,
  orderFaults,
  topicFaults,
  totalsFaults
} from "../../src/domain/invariants.ts"
import {
  absent,
  accepted,
  cancelledHere,
  cancelledThere,
  cancelRefused,
  cancelRequested,
  completed,
  denied,
  doubted,
  expired,
  failed,
  filled,
  now,
  orderAfter,
  parked,
  placed,
  refused,
  resolved,
  started,
  unparked
} from "./story.ts"

const faultsOf = (...events: ReadonlyArray<OrderEvent>) => lifeFaults(events.map((event) => ({ event, at: now })))

const open = [placed, started(), accepted()]

describe("lives", () => {
  it.each<readonly [string, ReadonlyArray<OrderEvent>]>([
    ["nothing yet", []],
    ["denied", [denied]],
    ["filled in two trades", [...open, filled("1", "1"), filled("2", "1"), completed("2", "200")]],
    ["cancelled before it was sent", [placed, cancelledHere()]],
    ["cancelled at the exchange, part executed", [...open, cancelRequested, filled("1", "1"), cancelledThere("1")]],
    ["cancel refused, then wanted again", [...open, cancelRequested, cancelRefused, cancelRequested]],
    [
      "refused, absent and at last accepted",
      [placed, started(), refused(now), started(2), doubted(2), absent(2), started(3), accepted("NEW", 3)]
    ],
    ["expired with nothing", [...open, expired("IOC", "0")]],
    ["failed by age", [placed, failed("STALE", "too old")]],
    ["parked and unparked at any time", [placed, parked, unparked, started(), parked, accepted(), unparked]],
    ["forgotten by the exchange while open", [...open, filled("1", "1"), failed("LOST_BY_RESET", "forgotten")]],
    ["resolved by an operator, then filled late", [placed, started(), doubted(), resolved("FAILED"), filled("1", "2")]],
    ["adopted without an attempt of ours", [placed, accepted(), filled("1", "2"), completed("2", "200")]]
  ])("%s is a good one", (_, life) => {
    assert.deepStrictEqual(faultsOf(...life), [])
  })

  it.each<readonly [string, ReadonlyArray<OrderEvent>, string]>([
    ["events before the order was placed", [started()], "version 1: SubmissionStarted is not legal in phase NEW"],
    ["an order placed twice", [placed, placed], "version 2: OrderPlaced is not legal in phase PENDING"],
    ["two live attempts", [placed, started(), started(2)], "version 3: SubmissionStarted is not legal in phase SENT"],
    [
      "an attempt while the order rests",
      [...open, started(2)],
      "version 4: SubmissionStarted is not legal in phase OPEN"
    ],
    [
      "an attempt after a doubt that nobody settled",
      [placed, started(), doubted(), started(2)],
      "version 4: SubmissionStarted is not legal in phase DOUBT"
    ],
    [
      "an attempt after the end",
      [placed, cancelledHere(), started()],
      "version 3: SubmissionStarted is not legal in phase CANCELLED"
    ],
    [
      "a skipped attempt number",
      [placed, started(), refused(now), started(3)],
      "version 4: attempt 3 follows attempt 1"
    ],
    [
      "a repeated attempt number",
      [placed, started(), refused(now), started(1)],
      "version 4: attempt 1 follows attempt 1"
    ],
    [
      "a failure without evidence",
      [placed, started(), failed("-1", "?")],
      "version 3: failed as -1 although an attempt may live at the exchange"
    ],
    [
      "a cancel made here while an attempt lives",
      [...open, cancelledHere()],
      "version 4: cancelled without asking the exchange although an attempt lives"
    ],
    [
      "a second end",
      [...open, cancelledThere("0"), completed("0", "0")],
      "version 5: OrderCompleted is not legal in phase CANCELLED"
    ],
    ["a trade booked twice", [...open, filled("1", "0.5"), filled("1", "0.5")], "version 5: trade 1 is booked twice"],
    [
      "a fill before the exchange knows the order",
      [placed, started(), filled("1", "1")],
      "version 3: OrderFilled is not legal in phase SENT"
    ],
    [
      "an end before its trades",
      [...open, filled("1", "1"), completed("2", "200")],
      "version 5: fills sum to 1, the exchange executed 2"
    ],
    [
      "a cancel that lost a trade",
      [...open, cancelledThere("1")],
      "version 4: fills sum to 0, the exchange executed 1"
    ],
    [
      "an expiry that lost a trade",
      [...open, expired("IOC", "1")],
      "version 4: fills sum to 0, the exchange executed 1"
    ]
  ])("%s is found and named", (_, life, fault) => {
    assert.include(faultsOf(...life), fault)
  })

  it("a doubt about an order that rests is found", () => {
    assert.include(faultsOf(...open, doubted()), "version 4: SubmissionUnknown is not legal in phase OPEN")
  })

  it("no phase but the first lets an order be placed, and no end lets anything but a late fill change it", () => {
    for (const [phase, events] of Object.entries(legalEvents)) {
      if (phase !== "NEW") assert.notInclude(events, "OrderPlaced")
    }
    for (const end of ["COMPLETED", "FAILED", "CANCELLED"] as const) {
      assert.deepStrictEqual([...legalEvents[end]].sort(), ["OrderFilled", "OrderParked", "OrderUnparked"])
    }
  })
})

describe("one order", () => {
  it("that executed more than was asked for is found", () => {
    assert.deepStrictEqual(orderFaults(orderAfter([...open, filled("1", "1.5"), filled("2", "0.6")])), [
      "filled 2.1 of 2"
    ])
  })

  it("that is called completed with less than was asked for is found, unless an operator said so", () => {
    assert.deepStrictEqual(orderFaults(orderAfter([...open, filled("1", "1"), completed("1", "100")])), [
      "completed with 1 of 2"
    ])
    assert.deepStrictEqual(orderFaults(orderAfter([...open, filled("1", "1"), resolved("COMPLETED")])), [])
  })

  it("that waits to be sent although a cancel is wanted is found", () => {
    assert.deepStrictEqual(orderFaults({ ...orderAfter([placed]), cancelRequested: true }), [
      "a cancel is wanted, yet the order waits to be sent"
    ])
  })

  it("by quote quantity has no quantity to exceed", () => {
    const order = orderAfter([...open, filled("1", "5")])
    assert.isNotNull(order.request)
    const byQuote = { ...order.request, quantity: null, quoteQuantity: decimal("500") }

    assert.deepStrictEqual(orderFaults({ ...order, request: byQuote }), [])
  })
})

describe("numbers", () => {
  it.each<readonly [string, ReadonlyArray<number>, number, ReadonlyArray<string>]>([
    ["dense from the start", [1, 2, 3], 0, []],
    ["dense after a cursor", [8, 9], 7, []],
    ["nothing", [], 7, []],
    ["a gap", [1, 3], 0, ["3 follows 1"]],
    ["a repeat", [1, 1], 0, ["1 follows 1"]],
    ["a swap", [2, 1], 0, ["2 follows 0", "1 follows 2"]],
    ["a lost beginning", [2, 3], 0, ["2 follows 0"]]
  ])("%s", (_, numbers, after, faults) => {
    assert.deepStrictEqual(densityFaults(numbers, after), faults)
  })
})

describe("totals", () => {
  it("that add up pass, and each that does not is found", () => {
    const totals = { total: 10, processing: 1, completed: 2, failed: 3, cancelled: 4 }

    assert.deepStrictEqual(totalsFaults(totals), [])
    for (const key of ["total", "processing", "completed", "failed", "cancelled"] as const) {
      assert.lengthOf(totalsFaults({ ...totals, [key]: totals[key] + 1 }), 1, key)
    }
    assert.deepStrictEqual(totalsFaults({ ...totals, failed: 4 }), ["orders_total is 10, its parts sum to 11"])
  })
})

describe("a topic", () => {
  const records = (...versions: ReadonlyArray<number>) =>
    versions.map((version) => ({ version, body: `body ${version}` }))

  it("may repeat itself, also from far back, and goes on where it was", () => {
    assert.deepStrictEqual(topicFaults(records(1, 2, 2, 3, 1, 2, 3, 4)), [])
  })

  it("that skips a version is found", () => {
    assert.deepStrictEqual(topicFaults(records(1, 3)), ["version 3 follows 1"])
    assert.deepStrictEqual(topicFaults(records(2)), ["version 2 follows 0"])
  })

  it("that turns two versions around is found", () => {
    assert.isNotEmpty(topicFaults(records(1, 3, 2)))
  })

  it("that repeats a version with another body is found", () => {
    assert.deepStrictEqual(topicFaults([...records(1, 2), { version: 1, body: "forged" }]), [
      "version 1 came again with another body"
    ])
  })
})

describe("the exchange's ledger", () => {
  const row = (exchangeOrderId: string, executed: boolean) => ({ exchangeOrderId, executed })

  it("with one order per attempt, of which one executed, is right", () => {
    assert.deepStrictEqual(ledgerFaults(0, []), [])
    assert.deepStrictEqual(ledgerFaults(1, [row("1", true)]), [])
    assert.deepStrictEqual(ledgerFaults(2, [row("1", false), row("2", true)]), [])
  })

  it("with more orders than attempts is found", () => {
    assert.deepStrictEqual(ledgerFaults(1, [row("1", false), row("2", false)]), [
      "2 orders at the exchange for 1 attempts"
    ])
    assert.deepStrictEqual(ledgerFaults(0, [row("1", false)]), ["1 orders at the exchange for 0 attempts"])
  })

  it("with an order that executed twice is found, and both are named", () => {
    assert.deepStrictEqual(ledgerFaults(2, [row("7", true), row("8", true)]), ["executed 2 times: 7, 8"])
  })
})
