/**
 * The promises that hold over every life of an order, checked after every step of arbitrary sequences of
 * commands. Verifies INV-2, INV-3, INV-7, INV-8 and INV-12 as far as they are pure.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, HashMap, Result } from "effect"
import { decide } from "../../src/domain/decide.ts"
import { equals } from "../../src/domain/Decimal.ts"
import { decode, encode, isOrderEvent, OrderEvent } from "../../src/domain/Event.ts"
import { legalEvents, lifeFaults, orderFaults, totalsFaults } from "../../src/domain/invariants.ts"
import type { Order } from "../../src/domain/Order.ts"
import { evolve, isEnded, isLive, phaseOf, unplaced } from "../../src/domain/Order.ts"
import { holds } from "./property.ts"
import type { Die, Reader } from "./Sequence.ts"
import { nonsense, Sequence, truthful } from "./Sequence.ts"
import { now } from "./story.ts"
import { TruthfulExchange } from "./TruthfulExchange.ts"

type EventType = OrderEvent["_tag"]

const eventTypes = Object.keys(OrderEvent.cases)

/** What a run of many sequences has seen, so that a property that never looked is found. */
class Coverage {
  sequences = 0
  readonly #types = new Map<string, number>()
  readonly #cells = new Set<string>()

  sequence(events: ReadonlyArray<OrderEvent>): void {
    this.sequences += 1
    for (const type of new Set(events.map((event) => event._tag)))
      this.#types.set(type, (this.#types.get(type) ?? 0) + 1)
  }

  cell(order: Order, type: EventType): void {
    this.#cells.add(`${phaseOf(order)} + ${type}`)
  }

  rare(): ReadonlyArray<string> {
    return eventTypes.filter((type) => (this.#types.get(type) ?? 0) < this.sequences / 100)
  }

  unreached(): ReadonlyArray<string> {
    return Object.entries(legalEvents)
      .flatMap(([phase, types]) => types.map((type) => `${phase} + ${type}`))
      .filter((cell) => !this.#cells.has(cell))
  }
}

/** Tells of one step what an event-sourced order may never do, whoever says what. */
const stepFaults = (before: Order, events: ReadonlyArray<OrderEvent>, after: Order): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (isEnded(before)) {
    if (after.status !== before.status) faults.push(`${before.status} became ${after.status}`)
    if (!Equal.equals(after.reason, before.reason)) faults.push(`the reason of an ended order changed`)
  }
  if (HashMap.size(after.fills) < HashMap.size(before.fills)) faults.push("a fill was lost")
  if (!isEnded(after) && after.status !== null) {
    if ((after.status === "EXECUTING") !== isLive(after)) faults.push(`${after.status}, yet live is ${isLive(after)}`)
  }
  const certainty = { SENT: "UNCONFIRMED", DOUBT: "UNKNOWN" }[phaseOf(after) as string] ?? "CONFIRMED"
  if (after.certainty !== certainty) faults.push(`${phaseOf(after)} is ${after.certainty}`)
  if (before.exchangeOrderId !== null && after.exchangeOrderId !== before.exchangeOrderId)
    faults.push("became another exchange order")
  const placements = events.filter(({ _tag }) => _tag === "OrderPlaced" || _tag === "OrderDenied").length
  if (placements > (before.status === null ? 1 : 0)) faults.push("placed twice")
  return faults
}

const live = { SubmissionStarted: 1, SubmissionRefused: -1, SubmissionProvenAbsent: -1 } as Readonly<
  Record<string, number>
>

const counters = {
  PENDING: "processing",
  EXECUTING: "processing",
  COMPLETED: "completed",
  FAILED: "failed",
  CANCELLED: "cancelled"
} as const

const counterOf = ({ status }: Order) => (status === null ? undefined : counters[status])

/** Lives a sequence through and names whatever was wrong with it. */
const livedThrough = (
  reader: Reader,
  dice: ReadonlyArray<Die>,
  coverage: Coverage,
  isAllowed: (fault: string) => boolean
) => {
  const faults: Array<string> = []
  const life: Array<OrderEvent> = []
  const totals = { total: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 }
  let order = unplaced
  let attempts = 0
  dice.forEach((die, step) => {
    const command = reader(order, die)
    if (command === undefined) return
    const decision = decide(order, command)
    const again = decide(order, command)
    const told: Array<string> = []
    if (Result.isFailure(decision)) {
      if (!Result.isFailure(again) || again.failure.code !== decision.failure.code)
        told.push("decided otherwise the second time")
    } else {
      if (!Result.isSuccess(again) || !Equal.equals(again.success, decision.success))
        told.push("decided otherwise the second time")
      const before = order
      for (const event of decision.success) {
        const phase = phaseOf(order)
        coverage.cell(order, event._tag)
        if (!legalEvents[phase].includes(event._tag)) told.push(`${event._tag} is not legal in phase ${phase}`)
        order = evolve(order, event, now + step)
        life.push(event)
        attempts += live[event._tag] ?? 0
        if (attempts > 1) told.push("two live attempts")
      }
      told.push(...stepFaults(before, decision.success, order), ...orderFaults(order))
      // As the writer of the log counts: by the status before and after each append.
      const [from, to] = [counterOf(before), counterOf(order)]
      if (from === undefined && to !== undefined) totals.total += 1
      if (from !== undefined) totals[from] -= 1
      if (to !== undefined) totals[to] += 1
      told.push(...totalsFaults(totals))
      if (Object.values(totals).some((count) => count < 0 || count > 1)) told.push("counted twice")
      if (HashMap.size(order.fills) !== life.filter(({ _tag }) => _tag === "OrderFilled").length)
        told.push("a trade counts twice")
    }
    faults.push(...told.map((fault) => `step ${step} (${command._tag}): ${fault}`).filter((fault) => !isAllowed(fault)))
  })
  coverage.sequence(life)
  faults.push(...lifeFaults(life.map((event) => ({ event, at: now }))).filter((fault) => !isAllowed(fault)))
  return { faults, life, order }
}

/** The order as another process reads it from the log. */
const fromLog = (life: ReadonlyArray<OrderEvent>): Order =>
  life.reduce((order, event) => {
    const { data, type } = encode(event)
    const read = Result.getOrThrow(decode(type, 1, JSON.parse(JSON.stringify(data))))
    return isOrderEvent(read) ? evolve(order, read, now) : order
  }, unplaced)

describe("any life of an order", () => {
  it.effect("is legal, exact and counted once while the exchange tells the truth, late, twice and out of order", () =>
    Effect.gen(function* () {
      const coverage = new Coverage()

      yield* holds(Sequence, (dice) => livedThrough(truthful(), dice, coverage, () => false).faults, {
        runs: 2_000,
        seed: 20_260_101,
        size: 60
      })

      assert.deepStrictEqual(coverage.rare(), [], "event types in less than 1 % of the sequences")
      assert.deepStrictEqual(coverage.unreached(), [], "legal cells that no sequence reached")
    })
  )

  it.effect("is legal, absorbing and never sent twice whatever anyone says", () =>
    Effect.gen(function* () {
      const coverage = new Coverage()
      // Untrue quantities make untrue sums; they are told of, and they are all that may be wrong.
      const isAboutSums = (fault: string) => /(filled|completed with) [\d.]+ of [\d.]+$/.test(fault)

      yield* holds(Sequence, (dice) => livedThrough(nonsense(), dice, coverage, isAboutSums).faults, {
        runs: 1_000,
        seed: 20_260_102,
        size: 60
      })

      assert.deepStrictEqual(coverage.rare(), [], "event types in less than 1 % of the sequences")
    })
  )

  it.effect("is the same order when it is read back from the log", () =>
    Effect.gen(function* () {
      yield* holds(
        Sequence,
        (dice) => {
          const { life } = livedThrough(truthful(), dice, new Coverage(), () => true)
          const lived = life.reduce((order, event) => evolve(order, event, now), unplaced)
          return Equal.equals(fromLog(life), lived) ? [] : ["the log gives another order"]
        },
        { runs: 300, seed: 20_260_103, size: 60 }
      )
    })
  )

  it.effect("equals the exchange's own word after one full answer, whatever news was lost before", () =>
    Effect.gen(function* () {
      const seen = { resting: 0, ended: 0, endedBefore: 0 }

      yield* holds(
        Sequence,
        (dice) => {
          const exchange = new TruthfulExchange()
          const { order: before } = livedThrough(truthful(exchange), dice, new Coverage(), () => true)
          if (!exchange.knowsOrder || before.status === null) return []
          // What the exchange did last, nobody heard.
          if (dice.length % 2 === 1) exchange.match(dice.length % 4 === 1)
          const report = exchange.query()

          const events = Result.getOrThrow(decide(before, { _tag: "RecordReport", at: now, report }))

          const after = events.reduce((order, event) => evolve(order, event, now), before)
          seen[isEnded(before) ? "endedBefore" : exchange.isResting ? "resting" : "ended"] += 1
          const faults = equals(after.filledQuantity, report.executedQuantity) ? [] : ["executed quantities differ"]
          if (!isEnded(before) && isEnded(after) === exchange.isResting) faults.push("one has ended, the other not")
          return [...faults, ...(HashMap.size(after.fills) === report.fills.length ? [] : ["trades differ"])]
        },
        { runs: 1_000, seed: 20_260_104, size: 60 }
      )

      for (const [kind, count] of Object.entries(seen)) assert.isAbove(count, 20, kind)
    })
  )
})
