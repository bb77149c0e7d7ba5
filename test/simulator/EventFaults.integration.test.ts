import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebSocket } from "ws"
import { limit, market, openStream, signed, signedParams, until } from "./client.ts"
import { cancel, controlled, openApi, place } from "./control.ts"

const subscribed = Effect.fnUntraced(function* (options: Parameters<typeof controlled>[0] = {}) {
  const given = yield* controlled(options)
  const api = yield* openApi(given.simulator)
  yield* api.ask("userDataStream.subscribe.signature")
  const told = () =>
    api.stream
      .events()
      .filter(({ e }) => e === "executionReport")
      .map(({ C, c, x }) => `${C === "" ? c : C} ${x}`)
  return { ...given, api, told, restAndCancel: restAndCancel(given.simulator) }
})

/** Two events an order: NEW and CANCELED. */
const restAndCancel = (simulator: Parameters<typeof signed>[0]) => (id: string) =>
  Effect.gen(function* () {
    yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: id }))
    yield* signed(simulator, cancel, { symbol: "BTCUSDT", origClientOrderId: id })
  })

describe("faults of the user data stream", () => {
  it.live("the events of one order can be lost, doubled, and out of order, while another's are whole", () =>
    Effect.gen(function* () {
      const { control, restAndCancel, told } = yield* subscribed()
      yield* control("POST /stream", [
        { action: "drop", clientOrderId: "lost", execution: "CANCELED" },
        { action: "duplicate", clientOrderId: "doubled", times: 2 },
        { action: "reorder", clientOrderId: "crossed", execution: "NEW", event: "executionReport" },
        // Balances would be the next event otherwise.
        { action: "drop", event: "outboundAccountPosition", times: "always" }
      ])

      for (const id of ["lost", "doubled", "crossed", "whole"]) yield* restAndCancel(id)
      yield* until("the last order's end is told", () => told().includes("whole CANCELED"))

      assert.deepStrictEqual(told(), [
        "lost NEW",
        "doubled NEW",
        "doubled NEW",
        "doubled CANCELED",
        "doubled CANCELED",
        "crossed CANCELED",
        "crossed NEW",
        "whole NEW",
        "whole CANCELED"
      ])
      const { events } = yield* control("GET /stream")
      assert.deepStrictEqual(
        events.map(({ fault, left }: { fault: { action: string }; left: unknown }) => [fault.action, left]),
        [["drop", "always"]]
      )
    })
  )

  it.live(
    "a delayed event is overtaken by those behind it, and one held for a next that never comes still arrives",
    () =>
      Effect.gen(function* () {
        const { control, simulator, told } = yield* subscribed()
        yield* control("POST /stream", [
          { action: "delay", millis: [1_500, 1_510], clientOrderId: "late" },
          { action: "reorder", millis: 100, clientOrderId: "last", execution: "NEW" },
          { action: "drop", event: "outboundAccountPosition", times: "always" }
        ])
        for (const id of ["late", "prompt", "last"]) {
          yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: id }))
        }

        yield* until("all are told", () => told().length === 3)

        assert.deepStrictEqual(told(), ["prompt NEW", "last NEW", "late NEW"])
      })
  )

  it.live("rates lose the same events of the same orders for the same seed", () =>
    Effect.gen(function* () {
      const { api, control, simulator, told } = yield* subscribed()
      const ids = Array.from({ length: 30 }, (_, n) => `o-${n}`)
      const lostWith = Effect.fnUntraced(function* (seed: number, order: ReadonlyArray<string>) {
        yield* control("PUT /stream/rates", {
          seed,
          rates: [{ action: "drop", probability: 0.3, execution: "NEW" }]
        })
        const before = told().length
        yield* Effect.forEach(order, restAndCancel(simulator), { concurrency: 6 })
        yield* control("DELETE /stream")
        yield* restAndCancel(simulator)(`end-${seed}-${order[0]}`)
        yield* until("the end is told", () => told().at(-1) === `end-${seed}-${order[0]} CANCELED`)
        const seen = new Set(told().slice(before))
        return ids.filter((id) => !seen.has(`${id} NEW`))
      })

      const first = yield* lostWith(1, ids)
      const again = yield* lostWith(1, ids.toReversed())
      const other = yield* lostWith(2, ids)

      assert.isTrue(first.length > 2 && first.length < 20)
      assert.deepStrictEqual(again, first)
      assert.notDeepEqual(other, first)
      assert.isFalse(api.stream.isClosed())
    })
  )

  it.live("silence is a connection that stays open, says nothing and answers no ping, while a new one is well", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const socket = yield* Effect.acquireRelease(
        Effect.callback<WebSocket>((resume) => {
          const opened = new WebSocket(simulator.wsApiUrl)
          opened.on("open", () => resume(Effect.succeed(opened)))
        }),
        (opened) => Effect.sync(() => opened.terminate())
      )
      let heard = 0
      for (const event of ["message", "ping", "pong", "close"]) socket.on(event, () => heard++)
      socket.send(JSON.stringify({ id: 1, method: "userDataStream.subscribe.signature", params: signedParams() }))
      yield* until("the subscription is answered", () => heard === 1)

      yield* control("POST /stream", { action: "silence" })
      yield* signed(simulator, place, market("0.01"))
      socket.ping()
      socket.send(JSON.stringify({ id: 2, method: "time" }))
      const next = yield* openApi(simulator)
      const answer = yield* next.ask("userDataStream.subscribe.signature")
      yield* signed(simulator, place, market("0.01"))
      yield* until("the new one hears of an order", () => next.stream.events().length > 0)

      assert.strictEqual(heard, 1)
      assert.strictEqual(socket.readyState, socket.OPEN)
      assert.strictEqual(answer.status, 200)
    })
  )

  const ends = [
    ["cut", 1006, 0],
    ["close", 1001, 0],
    ["shutdown", 1001, 1]
  ] as const
  it.live("streams end without a close frame, with one, and with serverShutdown before it", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()

      for (const [action, code, notices] of ends) {
        const closed = yield* Effect.callback<{ readonly code: number; readonly told: ReadonlyArray<string> }>(
          (resume) => {
            const socket = new WebSocket(simulator.wsApiUrl)
            const told: Array<string> = []
            socket.on("message", (data: Buffer) => told.push(data.toString("utf8")))
            socket.on("error", () => {})
            socket.on("close", (closeCode) => resume(Effect.succeed({ code: closeCode, told })))
            socket.on("open", () => Effect.runFork(control("POST /stream", { action })))
          }
        )

        assert.strictEqual(closed.code, code, action)
        assert.strictEqual(closed.told.filter((text) => text.includes("serverShutdown")).length, notices)
      }
    })
  )

  it.live("new connections can be refused for a time", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const open = Effect.scoped(Effect.as(openStream(simulator.wsApiUrl), "open")).pipe(
        Effect.catch((error) => Effect.succeed(error.message))
      )
      yield* control("POST /stream", { action: "refuse", millis: 200 })

      const refused = yield* open
      let after = refused
      const start = Date.now()
      while (after !== "open" && Date.now() - start < 5_000) after = yield* open

      assert.include(refused, "503")
      assert.strictEqual(after, "open")
    })
  )
})
