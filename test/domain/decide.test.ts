/** The moments at which orders are lost or doubled elsewhere, one by one. The whole matrix is in decide.table.test.ts. */
import { describe, it } from "@effect/vitest"
import type { Command } from "../../src/domain/Command.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { OrderEvent } from "../../src/domain/Event.ts"
import {
  absence,
  absent,
  accepted,
  cancel,
  cancelledHere,
  cancelledThere,
  cancelRefused,
  cancelRequested,
  clientOrderId,
  completed,
  denied,
  doubt,
  doubted,
  expired,
  expireStale,
  failed,
  filled,
  given,
  now,
  parked,
  place,
  placed,
  refuse,
  refused,
  refuseCancel,
  report,
  request,
  conclusive,
  reset,
  resolve,
  resolved,
  staleAt,
  start,
  started,
  trade,
  unparked
} from "./story.ts"

const open = [placed, started(), accepted()]

describe("placing", () => {
  it("the same id with the same body in another writing is the same order", () => {
    given(placed)
      .when(place({ request: { ...request, quantity: decimal("2.000"), price: decimal("1e2") } }))
      .gives()
  })

  it("the same id is the same order whatever today's limits say", () => {
    given(placed)
      .when(place({ denial: { code: "LIMIT", message: "too much" } }))
      .gives()
  })

  it("an order that was denied keeps its id, and a retry does not revive it", () => {
    given(denied).when(place()).gives().leaves({ status: "FAILED" })
    given(denied)
      .when(place({ request: { ...request, symbol: "ETHUSDT" } }))
      .rejected("ORDER_ID_TAKEN")
    given(denied).when(start()).rejected("NOT_DUE")
  })
})

describe("cancelling", () => {
  it("an order that was never sent ends at once", () => {
    given(placed)
      .when(cancel)
      .gives(cancelledHere("by the client"))
      .leaves({ status: "CANCELLED", certainty: "CONFIRMED" })
  })

  it("an order in doubt is not cancelled by hope: the wish is written down", () => {
    given(placed, started(), doubted())
      .when(cancel)
      .gives(cancelRequested)
      .leaves({ status: "EXECUTING", certainty: "UNKNOWN", cancelRequested: true })
  })

  it("a second wish adds nothing, until the exchange has refused the first", () => {
    given(...open, cancelRequested)
      .when(cancel)
      .gives()
    given(...open, cancelRequested, cancelRefused)
      .when(cancel)
      .gives(cancelRequested)
      .leaves({ cancelRefused: false })
  })

  it("a wish that meets a repeatable refusal ends the order in the same append", () => {
    given(placed, started(), cancelRequested)
      .when(refuse(now + 1_000))
      .gives(refused(now + 1_000), cancelledHere())
      .leaves({ status: "CANCELLED" })
  })

  it("a wish that meets proven absence ends the order in the same append", () => {
    given(placed, started(), doubted(), cancelRequested)
      .when(absence())
      .gives(absent(), cancelledHere())
      .leaves({ status: "CANCELLED" })
  })

  it("a refused cancel alone ends nothing", () => {
    given(...open, cancelRequested)
      .when(refuseCancel)
      .gives(cancelRefused)
      .leaves({ status: "EXECUTING", certainty: "CONFIRMED" })
    given(...open, cancelRequested, cancelRefused)
      .when(refuseCancel)
      .gives()
  })

  it("what was executed before the cancel stays executed", () => {
    given(...open, filled("1", "1"), cancelRequested)
      .when(report("CANCELED", "1"))
      .gives(cancelledThere("1", "cancelled as requested"))
      .leaves({ status: "CANCELLED", filledQuantity: decimal("1") })
  })

  it("an order that the exchange's owner cancelled is not said to be cancelled by the client", () => {
    given(...open)
      .when(report("CANCELED", "0"))
      .gives(cancelledThere("0"))
  })
})

describe("fills", () => {
  it("a fill that overtakes the cancel is kept, and the order is completed", () => {
    given(...open, cancelRequested)
      .when(report("FILLED", "2", [trade("1", "2")]))
      .gives(filled("1", "2"), completed("2", "200"))
      .leaves({ status: "COMPLETED" })
  })

  it("an order that was filled with less than it asked for is not complete, whoever took the rest back", () => {
    given(...open)
      .when(report("FILLED", "1.5", [trade("1", "1.5")]))
      .gives(
        filled("1", "1.5"),
        cancelledThere(
          "1.5",
          "filled with 1.5 of 2: the exchange took the rest back, " +
            "for self-trade prevention or because another program amended the order"
        )
      )
      .leaves({ status: "CANCELLED", filledQuantity: decimal("1.5") })
  })

  it("a trade that is told twice counts once, within one report and over two", () => {
    given(...open, filled("1", "1"))
      .when(report("PARTIALLY_FILLED", "1.5", [trade("1", "1"), trade("2", "0.5"), trade("2", "0.5")]))
      .gives(filled("2", "0.5"))
      .leaves({ filledQuantity: decimal("1.5") })
  })

  it("a late fill after the end is booked and moves nothing else", () => {
    given(...open, filled("1", "1"), cancelledThere("1"))
      .when(report("PARTIALLY_FILLED", "2", [trade("1", "1"), trade("2", "0.5")]))
      .gives(filled("2", "0.5"))
      .leaves({ status: "CANCELLED", filledQuantity: decimal("1.5") })
  })

  it("FILLED without its trades ends nothing: the trades are waited for", () => {
    given(...open, filled("1", "1"))
      .when(report("FILLED", "2"))
      .gives()
      .leaves({ status: "EXECUTING" })
    given(...open, filled("1", "1"))
      .when(report("FILLED", "2", [trade("2", "0.5")]))
      .gives(filled("2", "0.5"))
      .leaves({ status: "EXECUTING" })
    given(...open, filled("1", "1"), filled("2", "0.5"))
      .when(report("FILLED", "2", [trade("3", "0.5")]))
      .gives(filled("3", "0.5"), completed("2", "200"))
  })

  it("CANCELED and EXPIRED wait for their trades too", () => {
    given(...open)
      .when(report("CANCELED", "1"))
      .gives()
    given(...open)
      .when(report("EXPIRED", "1", [], { expiryReason: "IOC" }))
      .gives()
  })

  it("news that was overtaken by newer news books its trades and takes nothing back", () => {
    given(...open, filled("2", "1"))
      .when(report("NEW", "0"))
      .gives()
    given(...open, filled("2", "1"))
      .when(report("PARTIALLY_FILLED", "1", [trade("1", "1")]))
      .gives(filled("1", "1"))
      .leaves({ filledQuantity: decimal("2") })
  })

  it("a fill is the first news of an order that was never answered for", () => {
    given(placed, started())
      .when(report("FILLED", "2", [trade("1", "2")]))
      .gives(accepted("FILLED"), filled("1", "2"), completed("2", "200"))
      .leaves({ status: "COMPLETED", certainty: "CONFIRMED", exchangeOrderId: "42" })
  })
})

describe("outcomes of attempts", () => {
  it("a final refusal fails the order with the exchange's own words", () => {
    given(placed, started())
      .when(refuse(null))
      .gives(refused(null), failed("-1021", "outside of the recvWindow"))
      .leaves({ status: "FAILED", reason: { code: "-1021", message: "outside of the recvWindow" } })
  })

  it("a final refusal fails the order even if a cancel is wanted", () => {
    given(placed, started(), cancelRequested)
      .when(refuse(null))
      .gives(refused(null), failed("-1021", "outside of the recvWindow"))
  })

  it("a repeatable refusal sends the order back to wait, not before its time", () => {
    given(placed, started())
      .when(refuse(now + 1_000))
      .gives(refused(now + 1_000))
      .leaves({ status: "PENDING", nextAttemptAt: now + 1_000 })
    given(placed, started(), refused(now + 1_000))
      .when(start(now + 999))
      .rejected("NOT_DUE")
    given(placed, started(), refused(now + 1_000))
      .when(start(now + 1_000))
      .gives(started(2))
  })

  it("outcomes of an attempt that was followed by another change nothing", () => {
    const second = [placed, started(), refused(now), started(2)]
    given(...second)
      .when(refuse(null, 1))
      .gives()
    given(...second)
      .when(refuse(now, 1))
      .gives()
    given(...second)
      .when(doubt(1))
      .gives()
    given(...second)
      .when(absence(1))
      .gives()
    given(...second)
      .when(refuse(now, 3))
      .gives()
    // The exchange forgot the first one; the second was sent after that and lives.
    for (const life of [second, [...second, accepted("NEW", 2)]]) {
      given(...life)
        .when(reset(1))
        .gives()
    }
  })

  it("an outcome that comes twice is recorded once", () => {
    given(placed, started(), refused(now + 1_000))
      .when(refuse(null))
      .gives()
    given(placed, started(), doubted()).when(doubt()).gives()
    given(placed, started(), absent()).when(absence()).gives()
    given(...open)
      .when(refuse(null))
      .gives()
  })

  it("a doubt that is settled by an answer is no doubt any more", () => {
    given(placed, started(), doubted())
      .when(report("NEW", "0"))
      .gives(accepted())
      .leaves({ certainty: "CONFIRMED", reason: null })
  })

  it("an order that is proven absent does not go on saying that its fate is unknown", () => {
    given(placed, started(), doubted())
      .when(absence())
      .gives(absent())
      .leaves({
        status: "PENDING",
        certainty: "CONFIRMED",
        reason: { code: "PROVEN_ABSENT", message: "the exchange has no such order: nothing was executed" }
      })
  })

  it("an order that turns up after it was proven absent is adopted", () => {
    given(placed, started(), absent())
      .when(report("NEW", "0"))
      .gives(accepted())
      .leaves({ status: "EXECUTING", exchangeOrderId: "42" })
    given(placed, started(), absent(), started(2)).when(report("NEW", "0")).gives(accepted("NEW", 2))
  })

  it("an order that the exchange knows and this log never sent is adopted, not sent again", () => {
    given(placed).when(report("NEW", "0")).gives(accepted()).leaves({ status: "EXECUTING" })
    given(placed, accepted()).when(start()).rejected("NOT_DUE")
  })

  it("another exchange order under our id: its trades are ours, its end is not", () => {
    given(...open)
      .when(report("FILLED", "1", [trade("9", "1")], { exchangeOrderId: "43" }))
      .gives(filled("9", "1"))
      .leaves({ status: "EXECUTING", exchangeOrderId: "42" })
    given(...open)
      .when(report("CANCELED", "0", [], { exchangeOrderId: "43" }))
      .gives()
  })
})

describe("the answer to an attempt that is not the newest", () => {
  const lateAnswer = (command: Command): Command => ({ ...command, attempt: 1 }) as Command
  const second = [placed, started(), doubted(), absent(), started(2)]

  it("accepts nothing for the newest one", () => {
    given(...second)
      .when(lateAnswer(report("NEW", "0")))
      .gives()
      .leaves({ status: "EXECUTING", certainty: "UNCONFIRMED" })
  })

  it("is booked with what it executed, under its own number, and ends nothing", () => {
    given(...second)
      .when(lateAnswer(report("FILLED", "2", [trade("1", "2")])))
      .gives(accepted("FILLED", 1), filled("1", "2"))
      .leaves({ status: "EXECUTING", filledQuantity: decimal("2") })
  })

  it("accepts the order when it is the newest's", () => {
    given(...second)
      .when({ ...report("NEW", "0"), attempt: 2 } as Command)
      .gives(accepted("NEW", 2))
  })
})

describe("staleness", () => {
  it("an order past its age is failed instead of sent into another market", () => {
    given(placed)
      .when(expireStale(staleAt - 1))
      .gives()
    given(placed)
      .when(start(staleAt))
      .gives(failed("STALE", "too old to be sent into another market: nothing was left at the exchange"))
      .leaves({ status: "FAILED" })
  })

  it("an order past its valid_until is failed in words that say so", () => {
    const until = OrderEvent.cases.OrderPlaced.make({
      clientOrderId,
      request: { ...request, validUntil: now + 500 },
      instrumentVersion: 1,
      staleAt: now + 500
    })
    given(until)
      .when(start(now + 499))
      .gives(started())
    given(until)
      .when(expireStale(now + 500))
      .gives(failed("STALE", "valid_until has passed: nothing was left at the exchange"))
  })

  it("an order that waits for another attempt is stale like any other", () => {
    given(placed, started(), refused(staleAt + 9_000))
      .when(expireStale(staleAt))
      .gives(failed("STALE", "too old to be sent into another market: nothing was left at the exchange"))
  })

  it("an order that rests or is in doubt is never stale", () => {
    given(...open)
      .when(expireStale(staleAt * 2))
      .gives()
    given(placed, started())
      .when(expireStale(staleAt * 2))
      .gives()
    given(placed, started(), doubted())
      .when(expireStale(staleAt * 2))
      .gives()
  })
})

describe("ends that the exchange made by itself", () => {
  it.each(["IOC", "FOK", "INSUFFICIENT_LIQUIDITY", "EXECUTION_RULE_PRICE_RANGE_EXCEEDED", "OTO_PHASE_ONE_EXPIRED"])(
    "expired by %s with nothing executed is a failure",
    (reason) => {
      given(...open)
        .when(report("EXPIRED", "0", [], { expiryReason: reason }))
        .gives(expired(reason, "0"))
        .leaves({ status: "FAILED" })
    }
  )

  it.each(["OCO_TRIGGER", "EXCHANGE_CANCELED"])("expired by %s with nothing executed is a cancel", (reason) => {
    given(...open)
      .when(report("EXPIRED", "0", [], { expiryReason: reason }))
      .gives(expired(reason, "0"))
      .leaves({ status: "CANCELLED" })
  })

  it("expired after something was executed is a cancel that keeps what was executed", () => {
    given(...open)
      .when(report("EXPIRED", "0.5", [trade("1", "0.5")], { expiryReason: "IOC" }))
      .gives(filled("1", "0.5"), expired("IOC", "0.5"))
      .leaves({ status: "CANCELLED", filledQuantity: decimal("0.5") })
  })

  it.each(["EXPIRED_IN_MATCH", "REJECTED"])(
    "%s with nothing executed is a failure and names itself as the reason",
    (status) => {
      given(...open)
        .when(report(status, "0"))
        .gives(expired(status, "0", status))
        .leaves({ status: "FAILED" })
    }
  )

  it("EXPIRED_IN_MATCH after something was executed is a cancel", () => {
    given(...open, filled("1", "1"))
      .when(report("EXPIRED_IN_MATCH", "1"))
      .gives(expired("EXPIRED_IN_MATCH", "1", "EXPIRED_IN_MATCH"))
      .leaves({ status: "CANCELLED" })
  })

  it.each(["NEW", "PENDING_NEW", "PARTIALLY_FILLED", "PENDING_CANCEL", "A_WORD_OF_TOMORROW"])(
    "%s is never an end",
    (status) => {
      given(...open)
        .when(report(status, "0"))
        .gives()
        .leaves({ status: "EXECUTING" })
    }
  )
})

describe("a MARKET order by quote quantity", () => {
  const byQuote = OrderEvent.cases.OrderPlaced.make({
    clientOrderId,
    request: {
      ...request,
      type: "MARKET",
      timeInForce: null,
      quantity: null,
      quoteQuantity: decimal("250"),
      price: null
    },
    instrumentVersion: 1,
    staleAt
  })

  it("is completed by what the exchange executed, for nobody knew the quantity before", () => {
    given(byQuote, started())
      .when(report("FILLED", "2.5", [trade("1", "1"), trade("2", "1.5")]))
      .gives(accepted("FILLED"), filled("1", "1"), filled("2", "1.5"), completed("2.5", "250"))
      .leaves({ status: "COMPLETED", filledQuantity: decimal("2.5") })
  })

  it("is a cancel with a partial fill where the book was too thin", () => {
    given(byQuote, started())
      .when(report("EXPIRED", "1", [trade("1", "1")], { expiryReason: "INSUFFICIENT_LIQUIDITY" }))
      .gives(accepted("EXPIRED"), filled("1", "1"), expired("INSUFFICIENT_LIQUIDITY", "1"))
      .leaves({ status: "CANCELLED" })
  })
})

describe("parked orders and operators", () => {
  it("a parked order is not sent, and takes news and cancels like any other", () => {
    given(placed, parked).when(start()).rejected("PARKED")
    given(...open, parked)
      .when(report("PARTIALLY_FILLED", "1", [trade("1", "1")]))
      .gives(filled("1", "1"))
    given(...open, parked)
      .when(cancel)
      .gives(cancelRequested)
    given(placed, parked, unparked).when(start()).gives(started())
  })

  it.each(["COMPLETED", "FAILED", "CANCELLED"] as const)(
    "an operator ends an order in doubt as %s, under a name",
    (as) => {
      given(placed, started(), doubted())
        .when(resolve(as))
        .gives(resolved(as))
        .leaves({
          status: as,
          certainty: "CONFIRMED",
          reason: { code: "OPERATOR", message: "ann: asked the exchange by telephone" }
        })
    }
  )

  it("no late outcome of an attempt wakes an order that an operator ended", () => {
    for (const sent of [
      [placed, started()],
      [placed, started(), doubted()]
    ]) {
      const ended = [...sent, resolved("FAILED")]
      given(...ended)
        .when(refuse(now))
        .gives()
        .leaves({ status: "FAILED" })
      given(...ended)
        .when(refuse(null))
        .gives()
      given(...ended)
        .when(doubt())
        .gives()
      given(...ended)
        .when(absence())
        .gives()
        .leaves({ status: "FAILED" })
    }
  })

  it("an operator waits until the exchange's word would have been final", () => {
    for (const sent of [
      [placed, started()],
      [placed, started(), doubted()]
    ]) {
      given(...sent)
        .when(resolve("FAILED", conclusive))
        .rejected("NOT_STUCK")
    }
  })

  it("what a pending order waited for, left out, fails it under the operator's name; one at the exchange goes on", () => {
    const skip: Command = { _tag: "UnparkOrder", at: now, act: "skip", by: "ann", reason: "too old" }
    const skipped = OrderEvent.cases.OrderUnparked.make({ by: "ann", reason: "too old", act: "skip" })
    given(placed, parked)
      .when(skip)
      .gives(skipped, OrderEvent.cases.OperatorResolved.make({ as: "FAILED", by: "ann", reason: "too old" }))
      .leaves({ status: "FAILED", parked: false })
    given(...open, parked)
      .when(skip)
      .gives(skipped)
      .leaves({ status: "EXECUTING", parked: false })
    given(placed).when(skip).gives()
  })

  it("an operator ends a parked order at once, and an open one only when its cancel did not come through", () => {
    given(...open, parked)
      .when(resolve("CANCELLED", now))
      .gives(resolved("CANCELLED"))
    given(...open)
      .when(resolve("CANCELLED"))
      .rejected("NOT_STUCK")
    given(...open, cancelRequested)
      .when(resolve("CANCELLED", now + 60_000))
      .rejected("NOT_STUCK")
    given(...open, cancelRequested)
      .when(resolve("CANCELLED", now + 60_001))
      .gives(resolved("CANCELLED"))
    given(placed).when(resolve("CANCELLED")).rejected("NOT_STUCK")
  })

  it("what was known when an operator decided stands in the event", () => {
    const evidence = ["attempt 1: no answer", "order: not found"]

    given(placed, started(), doubted())
      .when(resolve("FAILED", conclusive + 1, evidence))
      .gives(OrderEvent.cases.OperatorResolved.make({ ...resolved("FAILED"), evidence }))
  })

  it("an operator cannot end an order a second time", () => {
    given(placed, started(), resolved("FAILED")).when(resolve("COMPLETED")).rejected("TOO_LATE")
    given(placed, started(), resolved("FAILED"))
      .when(report("FILLED", "2", [trade("1", "2")]))
      .gives(filled("1", "2"))
      .leaves({ status: "FAILED" })
  })
})
