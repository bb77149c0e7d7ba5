/**
 * The user stream over real sockets, cut, silent and told to go under load: what the exchange's ledger has is in the
 * log (INV-4), each trade once and exact (INV-7), and every life is a legal one (INV-8).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"
import { lifeFaults } from "../../src/domain/invariants.ts"
import { fillsInOrder, isEnded } from "../../src/domain/Order.ts"
import { limit, Simulator, SimulatedExchange, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { isResting } from "./scripted.ts"

const rounds = 12
const perRound = 8

describe("ExecutionReports on the simulator", () => {
  it.live(
    "a stream that is cut, silent or told to go again and again loses no fill, and books none twice",
    () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const simulator = yield* Simulator
        const { faults, moveMarket } = simulator
        const ids: Array<string> = []
        const trouble = [
          () => faults.closeStreams(false),
          () => faults.closeStreams(true),
          () => faults.silenceStreams(),
          () => faults.announceShutdown()
        ]
        for (let round = 0; round < rounds; round++) {
          // A ladder under the market, which the market then falls through while the stream is in trouble.
          const base = 60_000 - round * 600
          moveMarket("BTCUSDT", `${base + 200}`)
          const placed = Array.from({ length: perRound }, (_, index) => `r${round}-${index}`)
          ids.push(...placed)
          yield* Effect.forEach(
            placed,
            (id, index) => nexus.place(id, limit("BUY", `0.00${1 + (index % 5)}`, `${base - index * 40}`)),
            { concurrency: 4 }
          )
          yield* Effect.forEach(placed, (id) => nexus.until(id, (order) => isResting(order) || isEnded(order)))
          trouble[round % trouble.length]!()
          moveMarket("BTCUSDT", `${base - 100}`)
          if (round % 4 === 2) yield* nexus.advance("76 seconds")
          moveMarket("BTCUSDT", `${base - 200}`)
        }

        const fromLedger = () => simulator.ledger().filter(({ clientOrderId }) => clientOrderId.startsWith("nx"))
        const isOver = (status: string) => status === "FILLED" || status === "CANCELED" || status === "EXPIRED"
        const over = fromLedger().filter(({ status }) => isOver(status)).length
        assert.isAbove(over, ids.length / 2)
        yield* nexus.advance("31 seconds")
        yield* until(
          Effect.map(Effect.forEach(ids, nexus.order), (orders) => orders.filter(isEnded).length),
          (ended) => ended >= over
        )
        for (const id of ids) {
          const order = yield* nexus.order(id)
          const there = fromLedger().find(({ clientOrderId }) => clientOrderId === order.clientOrderId)
          assert.strictEqual(isEnded(order), isOver(there?.status ?? ""), id)
          assert.isTrue(Decimal.equals(order.filledQuantity, Decimal.decimal(there?.executedQty ?? "0")), id)
          assert.sameMembers(
            fillsInOrder(order).map(({ tradeId }) => tradeId),
            (there?.trades ?? []).map((trade) => `${trade.id}`)
          )
          const events = yield* nexus.events(id)
          assert.deepStrictEqual(lifeFaults(events.map((event) => ({ event, at: 0 }))), [], id)
        }
      }).pipe(Effect.provide(TestNexus.on(SimulatedExchange, { env: { NEXUS_SIMULATOR_TICK_MS: "0" } }))),
    60_000
  )
})
