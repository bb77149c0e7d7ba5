/**
 * News that is cut, doubled, out of order and lost, drawn from a seed, while orders go on being placed, filled,
 * cancelled and ended at the exchange. After each seed, on the exchange's own ledger: every order and every fill of
 * ours is in the log (INV-4), each trade once and exact (INV-7), and every life is a legal one (INV-8).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"
import { lifeFaults } from "../../src/domain/invariants.ts"
import { isEnded } from "../../src/domain/Order.ts"
import { makeRandom } from "../../src/simulator/Random.ts"
import { ExchangeScript, limit, rests, TestNexus } from "../layers.ts"
import { isResting, passes, scripted } from "./scripted.ts"

const orders = 60
const rounds = 60
const resting = limit("BUY", "0.01", "50000")
const ended = new Set(["FILLED", "CANCELED", "EXPIRED"])

const seeds = [1, 2, 3, 4]

describe("the user stream, cut, doubled, out of order and with gaps", () => {
  for (const seed of seeds) {
    it.live(`loses no fill, books none twice, and leaves no order behind (seed ${seed})`, () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const exchange = yield* ExchangeScript
        const random = makeRandom(seed)
        const below = (n: number) => Math.floor(random.next() * n)
        const ids = Array.from({ length: orders }, (_, index) => `s-${index}`)
        const seen = { doubled: 0, dropped: 0, shuffled: 0, cuts: 0, fills: 0 }

        const placing = yield* Effect.forkChild(
          Effect.forEach(ids, (id) => Effect.andThen(nexus.place(id, resting), Effect.sleep(3)), { discard: true })
        )

        // What somebody else does to our orders in one turn.
        const turn = Effect.gen(function* () {
          const open = (yield* exchange.ledger).filter(({ status }) => !ended.has(status))
          for (let n = Math.min(open.length, 1 + below(6)); n > 0; n--) {
            const { clientOrderId, executedQuantity } = open.splice(below(open.length), 1)[0]!
            const left = Decimal.subtract(Decimal.decimal("0.01"), Decimal.decimal(executedQuantity))
            const part = Decimal.decimal(`0.00${1 + below(2)}`)
            if (below(8) === 0) yield* exchange.expire(clientOrderId)
            else {
              seen.fills += 1
              yield* Decimal.isLess(part, left) && below(8) > 0
                ? exchange.fill(clientOrderId, Decimal.format(part))
                : exchange.fill(clientOrderId)
            }
          }
        })

        // The news of a turn, as a bad line delivers it.
        const deliver = Effect.gen(function* () {
          const held = [...(yield* exchange.heldNews)]
          const said = []
          while (held.length > 0) {
            const at = below(2) === 0 ? below(held.length) : 0
            if (at > 0) seen.shuffled += 1
            const [event] = held.splice(at, 1)
            if (event === undefined) continue
            if (below(6) === 0) {
              seen.dropped += 1
              continue
            }
            said.push(event)
            if (below(4) === 0) {
              seen.doubled += 1
              said.push(event)
            }
          }
          yield* Effect.forEach(said, exchange.push, { discard: true })
        })

        for (let round = 0; round < rounds; round++) {
          const how = below(5)
          if (how === 0) yield* exchange.news("lost")
          else yield* exchange.news("held")
          yield* turn
          if (how > 0) yield* deliver
          if (how === 1) {
            seen.cuts += 1
            yield* exchange.push({ _tag: "Lost" })
            yield* exchange.push({ _tag: "Connected" })
          }
          if (below(5) === 0) yield* exchange.lagReads({ orders: below(900), trades: below(900) })
          else yield* exchange.lagReads({ orders: 0, trades: 0 })
          yield* nexus.advance(below(400))
          yield* Effect.sleep(8)
        }
        yield* Fiber.join(placing)
        yield* exchange.lagReads({ orders: 0, trades: 0 })
        yield* exchange.news("lost")
        // The fault ends here, and 30 s later all of it is known.
        yield* exchange.news("live")
        yield* passes(30)

        const ledger = yield* exchange.ledger
        assert.strictEqual(ledger.length, orders)
        for (const id of ids) {
          const order = yield* nexus.until(id, (one) => isEnded(one) || isResting(one))
          const there = ledger.find(({ clientOrderId }) => clientOrderId === order.clientOrderId)
          assert.strictEqual(Decimal.format(order.filledQuantity), there?.executedQuantity, id)
          assert.strictEqual(isEnded(order), ended.has(there?.status ?? ""), id)
          const events = yield* nexus.events(id)
          assert.deepStrictEqual(lifeFaults(events.map((event) => ({ event, at: 0 }))), [], id)
        }
        // The line was as bad as it says.
        for (const [fault, count] of Object.entries(seen)) assert.isAbove(count, 3, fault)
      }).pipe(scripted(Array.from({ length: orders }, () => rests)))
    )
  }
})
