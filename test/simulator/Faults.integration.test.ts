import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { FaultTable } from "../../src/simulator/FaultTable.ts"
import { limit, market, openStream, signed, signedParams, startSimulator, until } from "./client.ts"

const place = "POST /api/v3/order"
const query = "GET /api/v3/order"
const cancel = "DELETE /api/v3/order"

describe("faults", () => {
  it.live("a lost answer has done its work, a request that never arrives has not", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.next({ on: place, kind: "answerLost" })
      simulator.faults.next({ on: place, kind: "answerCut" })
      simulator.faults.next({ on: place, kind: "neverArrives" })

      for (const id of ["lost", "cut", "never"]) {
        yield* Effect.flip(signed(simulator, place, market("0.01", { newClientOrderId: id })))
      }

      assert.deepStrictEqual(
        simulator.ledger().map(({ clientOrderId }) => clientOrderId),
        ["lost", "cut"]
      )
      assert.strictEqual((yield* signed(simulator, place, market("0.01"))).status, 200)
    })
  )

  it.live("503 comes as a page, done or not", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.next({ on: place, kind: "unavailable", done: "now" })
      simulator.faults.next({ on: place, kind: "unavailable", done: "never" })

      const done = yield* signed(simulator, place, market("0.01", { newClientOrderId: "done" }))
      const notDone = yield* signed(simulator, place, market("0.01", { newClientOrderId: "not" }))

      assert.deepStrictEqual([done.status, notDone.status], [503, 503])
      assert.include(done.text, "<html>")
      assert.deepStrictEqual(
        simulator.ledger().map(({ clientOrderId }) => clientOrderId),
        ["done"]
      )
    })
  )

  it.live("-1007 says nothing of the outcome: done now, later, or never", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      for (const done of ["now", { afterMillis: 30 }, "never"] as const) {
        simulator.faults.next({ on: place, kind: "timeout", done })
      }

      const answers = yield* Effect.forEach(["now", "later", "never"], (id) =>
        signed(simulator, place, market("0.01", { newClientOrderId: id }))
      )
      yield* until("the late order is there", () => simulator.ledger().length === 2)

      assert.deepStrictEqual(
        answers.map(({ json }) => json.code),
        [-1007, -1007, -1007]
      )
      assert.deepStrictEqual(
        simulator.ledger().map(({ clientOrderId }) => clientOrderId),
        ["now", "later"]
      )
    })
  )

  it.live("a request held beyond its window is refused and counts as an order", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.next({ on: place, kind: "held", millis: 60 })

      const late = yield* signed(simulator, place, market("0.01", { recvWindow: 50 }))
      const next = yield* signed(simulator, place, limit("60000", "0.01"))

      assert.strictEqual(late.json.code, -1021)
      assert.deepStrictEqual(
        simulator.ledger().map(({ type }) => type),
        ["LIMIT"]
      )
      assert.strictEqual(next.headers["x-mbx-order-count-1d"], "2")
    })
  )

  it.live("a late answer is late, and the order is there meanwhile", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.next({ on: place, kind: "answerLate", millis: 300 })
      const start = performance.now()

      const waiting = yield* Effect.forkChild(signed(simulator, place, market("0.01")))
      yield* until("the order is there", () => simulator.ledger().length === 1)
      const seenAfter = performance.now() - start
      const answer = yield* Fiber.join(waiting)

      assert.strictEqual(answer.status, 200)
      assert.isAtLeast(performance.now() - start, 290)
      assert.isBelow(seenAfter, 290)
    })
  )

  it.live("a named refusal is answered as named", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.next({
        on: place,
        kind: "refused",
        status: 429,
        code: -1003,
        message: "Too many requests.",
        retryAfterSeconds: 3
      })

      const answer = yield* signed(simulator, place, market("0.01"))

      assert.deepStrictEqual(answer.json, { code: -1003, msg: "Too many requests." })
      assert.strictEqual(answer.headers["retry-after"], "3")
      assert.deepStrictEqual(simulator.ledger(), [])
    })
  )

  it.live("a fill can overtake a cancel", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "o" }))
      simulator.faults.next({ on: cancel, kind: "filledFirst" })
      const target = { symbol: "BTCUSDT", origClientOrderId: "o" }

      const canceled = yield* signed(simulator, cancel, target)
      const found = yield* signed(simulator, query, target)

      assert.strictEqual(canceled.json.code, -2011)
      assert.strictEqual(found.json.status, "FILLED")
    })
  )

  it.live("stale reads deny a live order for a while, then show it", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.staleReads(10_000)
      yield* signed(simulator, place, market("0.01", { newClientOrderId: "o" }))
      const target = { symbol: "BTCUSDT", origClientOrderId: "o" }

      const early = yield* signed(simulator, query, target)
      const trades = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT" })
      const all = yield* signed(simulator, "GET /api/v3/allOrders", { symbol: "BTCUSDT" })
      simulator.setClockOffset(11_000)
      const late = yield* signed(simulator, query, { ...target, timestamp: Date.now() + 11_000 })

      assert.strictEqual(early.json.code, -2013)
      assert.deepStrictEqual([trades.json, all.json], [[], []])
      assert.strictEqual(late.json.status, "FILLED")
    })
  )

  it.live("a reset forgets orders and refills balances, and keeps key and account", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const { json: before } = yield* signed(simulator, "GET /api/v3/account")
      yield* signed(simulator, place, market("0.5", { newClientOrderId: "o" }))

      simulator.faults.reset()
      const found = yield* signed(simulator, query, { symbol: "BTCUSDT", origClientOrderId: "o" })
      const { json: after } = yield* signed(simulator, "GET /api/v3/account")
      const { json: next } = yield* signed(simulator, place, market("0.01"))

      assert.strictEqual(found.json.code, -2013)
      assert.deepStrictEqual([after.uid, after.balances], [before.uid, before.balances])
      assert.strictEqual(next.orderId, 1)
    })
  )

  it.live("streams can be closed with notice and without", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const warned = yield* openStream(simulator.wsApiUrl)
      warned.send({ id: 1, method: "userDataStream.subscribe.signature", params: signedParams() })
      yield* until("the subscription is answered", () => warned.messages.length === 1)

      simulator.faults.closeStreams(true)
      yield* until("the first is closed", warned.isClosed)
      const unwarned = yield* openStream(simulator.wsApiUrl)
      simulator.faults.closeStreams(false)
      yield* until("the second is closed", unwarned.isClosed)

      assert.strictEqual(warned.messages.at(-1).event.e, "serverShutdown")
      assert.deepStrictEqual(unwarned.messages, [])
    })
  )

  it("rates strike about as often as they say, the same for the same seed", () => {
    const strikes = (seed: number) => {
      const table = new FaultTable(seed)
      table.rates([{ on: place, kind: "answerLost", probability: 0.25 }])
      return Array.from({ length: 2_000 }, () => table.take(place) !== undefined)
    }
    const struck = strikes(5).filter(Boolean).length

    assert.deepStrictEqual(strikes(5), strikes(5))
    assert.notDeepEqual(strikes(5), strikes(6))
    assert.isTrue(struck > 400 && struck < 600)
    assert.strictEqual(new FaultTable(5).take(query), undefined)
  })
})
