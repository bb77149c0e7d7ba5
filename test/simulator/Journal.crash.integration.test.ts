import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { LedgerOrder } from "../../src/simulator/Ledger.ts"
import { limit, market, signed } from "./client.ts"
import { ask, outcomeOf, place } from "./control.ts"
import { folder, processesMillis, spawned } from "./spawned.ts"

const control = (controlUrl: string, request: string, body?: unknown) =>
  Effect.map(ask(controlUrl, request, body), ({ json }) => json)
const ledgerOf = (controlUrl: string): Effect.Effect<ReadonlyArray<LedgerOrder>> =>
  Effect.map(control(controlUrl, "GET /ledger"), ({ orders }) => orders)

describe("a crash of the exchange", () => {
  it.live(
    "before an order is written loses it, after that the order is there though nobody was told",
    () =>
      Effect.gen(function* () {
        const journal = yield* folder
        const signals = []
        const outcomes = []
        for (const when of ["arrived", "written"] as const) {
          const { controlUrl, ended, port } = yield* spawned(journal)
          const crash = { on: place, kind: "crash", when, clientOrderId: when }
          yield* control(controlUrl, "POST /faults", crash)
          outcomes.push(yield* outcomeOf(signed({ port }, place, limit("60000", "0.01", { newClientOrderId: when }))))
          signals.push(yield* ended)
        }

        const { controlUrl, port } = yield* spawned(journal)
        const again = yield* Effect.forEach(["arrived", "written"], (id) =>
          Effect.map(
            signed({ port }, place, limit("60000", "0.01", { newClientOrderId: id })),
            ({ json }) => json.msg ?? json.status
          )
        )

        assert.deepStrictEqual(outcomes, ["ECONNRESET", "ECONNRESET"])
        assert.deepStrictEqual(signals, ["SIGKILL", "SIGKILL"])
        assert.deepStrictEqual(again, ["NEW", "Duplicate order sent."])
        assert.deepStrictEqual(
          (yield* ledgerOf(controlUrl)).map(({ clientOrderId }) => clientOrderId),
          ["written", "arrived"]
        )
      }),
    processesMillis
  )

  it.live(
    "again and again under load takes no answered order, and makes none out of nothing",
    () =>
      Effect.gen(function* () {
        const journal = yield* folder
        const answered = new Map<string, string>()
        const sent = new Set<string>()
        const lives = 2

        for (let life = 0; life < lives; life++) {
          const { controlUrl, ended, port } = yield* spawned(journal)
          // The fortieth order of a life kills it, with others on their way.
          const when = life % 2 === 0 ? "arrived" : "written"
          yield* control(controlUrl, "POST /faults", { on: place, kind: "crash", when, skip: 40 })
          let isOver = false
          const client = (name: number) =>
            Effect.gen(function* () {
              for (let n = 0; n < 1_000 && !isOver; n++) {
                const id = `${life}-${name}-${n}`
                sent.add(id)
                const order = n % 2 === 0 ? market("0.001") : limit("60000", "0.001")
                const { json } = yield* signed({ port }, place, { ...order, newClientOrderId: id })
                answered.set(id, json.executedQty)
              }
            }).pipe(
              Effect.ignore,
              Effect.ensuring(
                Effect.sync(() => {
                  isOver = true
                })
              )
            )
          yield* Effect.forEach([1, 2, 3, 4], client, { concurrency: "unbounded" })
          yield* ended
        }
        const { controlUrl } = yield* spawned(journal)
        const orders = yield* ledgerOf(controlUrl)
        const byId = Map.groupBy(orders, ({ clientOrderId }) => clientOrderId)

        assert.isAtLeast(answered.size, lives * 30)
        for (const [id, executedQty] of answered) assert.strictEqual(byId.get(id)?.[0]?.executedQty, executedQty)
        for (const [id, found] of byId) {
          assert.isTrue(sent.has(id))
          assert.strictEqual(found.length, 1)
        }
        assert.strictEqual(new Set(orders.map(({ orderId }) => orderId)).size, orders.length)
      }),
    processesMillis
  )

  it.live(
    "does not take from the judge what resets took from the account",
    () =>
      Effect.gen(function* () {
        const journal = yield* folder
        const first = yield* spawned(journal)
        for (const id of ["a", "b"]) {
          yield* signed(first, place, market("0.01", { newClientOrderId: id }))
          yield* control(first.controlUrl, "POST /reset")
        }
        yield* signed(first, place, market("0.01", { newClientOrderId: "c" }))
        const before = yield* ledgerOf(first.controlUrl)
        yield* Effect.promise(first.kill)
        const second = yield* spawned(journal)
        yield* Effect.promise(second.kill)

        const third = yield* spawned(journal)
        const after = yield* ledgerOf(third.controlUrl)

        assert.deepStrictEqual(
          before.map(({ clientOrderId, life, orderId }) => [life, orderId, clientOrderId]),
          [
            [0, 1, "a"],
            [1, 1, "b"],
            [2, 1, "c"]
          ]
        )
        assert.deepStrictEqual(after, before)
      }),
    processesMillis
  )
})
