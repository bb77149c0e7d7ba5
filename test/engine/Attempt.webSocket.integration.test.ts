/** The life of an order over the WebSocket API, against the simulator: the engine does not know which way it is. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { limit, market, SimulatedExchange, Simulator, TestNexus } from "../layers.ts"
import { filledOf, hasEnded, isResting, isUnknown } from "./scripted.ts"

const overWebSocket = TestNexus.on(SimulatedExchange, {
  env: { NEXUS_BINANCE_TESTNET_ORDER_TRANSPORT: "websocket", NEXUS_SIMULATOR_TICK_MS: "0" }
})

layer(overWebSocket, { excludeTestServices: true })("over the WebSocket API", (it) => {
  describe("an order", () => {
    it.effect("is filled and booked", () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* nexus.place("filled", market("BUY", "0.01"))

        const order = yield* nexus.until("filled", hasEnded)

        assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.01"])
      })
    )

    it.effect("that rests is cancelled", () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* nexus.place("rests", limit("BUY", "0.001", "50000"))
        yield* nexus.until("rests", isResting)

        yield* nexus.cancel("rests")

        assert.strictEqual((yield* nexus.until("rests", hasEnded)).status, "CANCELLED")
      })
    )

    it.effect("whose answer is lost is in doubt, found at the exchange, and there once", () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults, ledger } = yield* Simulator
        faults.next({ on: "order.place", kind: "answerLost" })
        yield* nexus.place("lost", market("BUY", "0.01"))

        const order = yield* nexus.until("lost", hasEnded)

        const types = (yield* nexus.events("lost")).map(({ _tag }) => _tag)
        assert.strictEqual(order.status, "COMPLETED")
        assert.include(types, "SubmissionUnknown")
        assert.strictEqual(ledger().filter(({ clientOrderId }) => clientOrderId === order.clientOrderId).length, 1)
      })
    )

    it.effect("that never arrived is proven absent before it is sent again, and executes once", () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults, ledger } = yield* Simulator
        faults.next({ on: "order.place", kind: "neverArrives" })
        yield* nexus.place("absent", market("BUY", "0.01"))
        yield* nexus.until("absent", isUnknown)

        // Window and margins of this kind of exchange.
        yield* nexus.advance("10 seconds")
        const order = yield* nexus.until("absent", hasEnded)

        const types = (yield* nexus.events("absent")).map(({ _tag }) => _tag)
        assert.strictEqual(order.status, "COMPLETED")
        assert.include(types, "SubmissionProvenAbsent")
        assert.strictEqual(ledger().filter(({ clientOrderId }) => clientOrderId === order.clientOrderId).length, 1)
      })
    )

    it.effect("is refused for want of money as over REST", () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        yield* nexus.place("poor", limit("SELL", "101", "70000"))

        const order = yield* nexus.until("poor", hasEnded)

        assert.deepStrictEqual([order.status, order.reason?.code], ["FAILED", "-2010"])
      })
    )

    it.effect("comes through a goodbye of the exchange, and the log is as it was written", () =>
      Effect.gen(function* () {
        const nexus = yield* TestNexus
        const { faults } = yield* Simulator
        faults.closeStreams(true)
        yield* Effect.forEach(
          Array.from({ length: 12 }, (_, at) => `after-${at}`),
          (id) => nexus.place(id, market("BUY", "0.001"))
        )

        const orders = yield* Effect.forEach(Array.from({ length: 12 }), (_, at) =>
          nexus.until(`after-${at}`, hasEnded)
        )

        assert.isTrue(orders.every(({ status }) => status === "COMPLETED"))
        assert.isTrue((yield* nexus.verify).ok)
      })
    )
  })
})
