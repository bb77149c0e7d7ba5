import net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { limit, market, signed, startSimulator } from "./client.ts"
import { ask, controlled, outcomeOf, place, query } from "./control.ts"

describe("the control port", () => {
  it.live("is not there unless asked for, and then on loopback alone, and for no page of the web", () =>
    Effect.gen(function* () {
      const without = yield* startSimulator()
      const { simulator } = yield* controlled()
      const { hostname, port } = new URL(simulator.controlUrl!)

      const foreign = yield* ask(simulator.controlUrl, "GET /clock", undefined, { Host: `evil.example:${port}` })
      const ofAPage = yield* ask(simulator.controlUrl, "POST /reset", undefined, { Origin: "https://evil.example" })
      // 127.0.0.2 is this machine too, but nobody listens there.
      const elsewhere = yield* Effect.callback<string>((resume) => {
        const socket = net.connect(Number(port), "127.0.0.2")
        socket.on("connect", () => resume(Effect.succeed("connected")))
        socket.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? "")))
      })

      assert.isUndefined(without.controlUrl)
      assert.strictEqual(hostname, "127.0.0.1")
      assert.deepStrictEqual([foreign.status, ofAPage.status], [400, 400])
      assert.strictEqual(elsewhere, "ECONNREFUSED")
    })
  )

  const refusals: ReadonlyArray<readonly [request: string, body: unknown, says: RegExp]> = [
    ["GET /nothing", undefined, /there is no GET \/nothing; there are .*POST \/faults/],
    ["POST /faults", undefined, /the body is missing/],
    ["POST /faults", "{", /the body is no JSON/],
    ["POST /faults", { on: place, kind: "nope" }, /"answerLost"/],
    ["POST /faults", { kind: "gone" }, /Missing key at \["on"\]/],
    ["POST /faults", { on: "POST /api/v3/orders", kind: "gone" }, /there is no request POST \/api\/v3\/orders/],
    ["POST /faults", { on: place, kind: "gone", extra: 1 }, /no excess property at \["extra"\]/],
    ["POST /faults", { on: place, kind: "timeout", done: "later" }, /"now" \| "never"/],
    ["POST /faults", { on: place, kind: "gone", times: 0 }, /at \["times"\]/],
    [
      "POST /faults",
      [
        { on: place, kind: "gone" },
        { on: place, kind: "answerLate" }
      ],
      /\[1\]\["millis"\]/
    ],
    ["POST /faults", { on: place, kind: "crash", when: "written" }, /shares its process/],
    ["PUT /faults/rates", { rates: [{ on: place, kind: "gone", probability: 2 }] }, /at \["rates"\]\[0\]\["prob/],
    ["PUT /faults/rates", { rates: [{ on: place, kind: "crash", when: "written", probability: 1 }] }, /shares its/],
    ["GET /faults?order=1", undefined, /no parameter order/],
    ["POST /clock", { offset: 1 }, /"stepMillis"/],
    ["POST /reads", { orders: -1 }, /at \["orders"\]/],
    ["POST /stream", { action: "explode" }, /"cut"/],
    ["POST /stream", { action: "delay" }, /"millis"/],
    ["POST /limits", { status: 400, millis: 1 }, /at \["status"\]/],
    ["POST /limits", { status: 418, millis: 1, of: "orders" }, /belongs to 429 alone/],
    ["POST /market", { symbol: "NOPE", price: "1" }, /there is no market NOPE/],
    ["POST /market", { symbol: "BTCUSDT", price: "1e3" }, /at \["price"\]/],
    ["POST /crash", undefined, /shares its process/],
    ["GET /ledger?sign=1", undefined, /no parameter sign/]
  ]
  it.live("says what it cannot understand, and changes nothing then", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()

      for (const [request, body, says] of refusals) {
        const { json, status } = yield* ask(simulator.controlUrl, request, body)
        assert.match(json.error, says, request)
        assert.notInclude(json.error, "\n")
        assert.strictEqual(status, 400)
      }

      assert.deepStrictEqual(yield* control("GET /faults"), { seed: 7, faults: [], rates: [], struck: {} })
      assert.deepStrictEqual(yield* control("GET /stream"), { connections: 0, events: [], rates: [] })
      assert.deepStrictEqual([yield* control("GET /limits"), yield* control("GET /reads")], [[], []])
    })
  )

  it.live("faults of one order strike that order alone, whichever id names it, as often as they say", () =>
    Effect.gen(function* () {
      const { arm, control, simulator } = yield* controlled()
      const mine = { on: query, clientOrderId: "mine", kind: "gone" } as const
      yield* arm({ ...mine, times: 2, skip: 1 })
      const ids = ["mine", "other"]
      const orders = yield* Effect.forEach(ids, (id) =>
        signed(simulator, place, limit("60000", "0.01", { newClientOrderId: id }))
      )
      const byClientId = (id: string) =>
        Effect.map(signed(simulator, query, { symbol: "BTCUSDT", origClientOrderId: id }), ({ status }) => status)
      const byId = (orderId: number) =>
        Effect.map(signed(simulator, query, { symbol: "BTCUSDT", orderId }), ({ status }) => status)

      const seen = [
        yield* byClientId("other"),
        yield* byClientId("mine"),
        yield* byClientId("mine"),
        yield* byId(orders[1]!.json.orderId),
        yield* byId(orders[0]!.json.orderId),
        yield* byClientId("mine")
      ]
      const listed = yield* control("GET /faults?clientOrderId=mine")

      assert.deepStrictEqual(seen, [200, 200, 410, 200, 410, 200])
      assert.deepStrictEqual(listed.faults, [{ id: 1, fault: { ...mine, times: 2, skip: 1 }, left: 0, struck: 2 }])
      assert.deepStrictEqual(listed.struck, { gone: 2 })
    })
  )

  it.live("what waits can be taken back, for one order or for all", () =>
    Effect.gen(function* () {
      const { arm, control, simulator } = yield* controlled()
      const gone = { on: place, kind: "gone" } as const
      yield* arm({ ...gone, clientOrderId: "a" }, { ...gone, clientOrderId: "b", times: "always" }, gone)
      yield* control("PUT /faults/rates", { rates: [{ ...gone, probability: 1 }] })
      yield* control("POST /reads", { orders: 1_000 })
      yield* control("POST /stream", { action: "drop", times: "always" })
      yield* control("POST /limits", { status: 418, millis: 60_000 })

      yield* control("DELETE /faults?clientOrderId=b")
      const left = (yield* control("GET /faults")).faults.map(({ id }: { id: number }) => id)
      yield* control("DELETE /faults")
      const answer = yield* signed(simulator, place, market("0.01"))

      assert.deepStrictEqual(left, [1, 3])
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(yield* control("GET /faults"), { seed: 7, faults: [], rates: [], struck: {} })
      assert.deepStrictEqual((yield* control("GET /stream")).events, [])
      assert.deepStrictEqual([yield* control("GET /limits"), yield* control("GET /reads")], [[], []])
    })
  )

  it.live("the same seed strikes the same orders, in whatever order they arrive", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const ids = Array.from({ length: 40 }, (_, n) => `order-${n}`)
      const fates = Effect.fnUntraced(function* (seed: number, order: ReadonlyArray<string>) {
        yield* control("PUT /faults/rates", {
          seed,
          rates: [
            { on: place, kind: "gone", probability: 0.3 },
            { on: place, kind: "timeout", done: "never", probability: 0.3 }
          ]
        })
        const fate = new Map<string, string>()
        yield* Effect.forEach(
          order,
          (id) =>
            Effect.map(outcomeOf(signed(simulator, place, market("0.001", { newClientOrderId: id }))), (outcome) =>
              fate.set(id, outcome)
            ),
          { concurrency: 8 }
        )
        return ids.map((id) => fate.get(id))
      })

      const first = yield* fates(1, ids)
      const again = yield* fates(1, ids.toReversed())
      const other = yield* fates(2, ids)
      const { rates } = yield* control("GET /faults")

      assert.deepStrictEqual(again, first)
      assert.notDeepEqual(other, first)
      assert.sameMembers([...new Set(first)], ["200 FILLED", "410 no JSON", "504 -1007"])
      assert.isAbove(rates[0].struck, 0)
    })
  )

  it.live("the ledger finds an amended order by every id that it had", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      yield* signed(simulator, place, limit("60000", "0.03", { newClientOrderId: "first" }))
      const amend = (from: string, newQty: string, to: string) =>
        signed(simulator, "PUT /api/v3/order/amend/keepPriority", {
          symbol: "BTCUSDT",
          origClientOrderId: from,
          newQty,
          newClientOrderId: to
        })
      yield* amend("first", "0.02", "second")
      yield* amend("second", "0.01", "second")

      const byFirst = yield* control("GET /ledger?clientOrderId=first")
      const bySecond = yield* control("GET /ledger?clientOrderId=second")

      assert.deepInclude(byFirst.orders[0], {
        clientOrderId: "second",
        formerClientOrderIds: ["first"],
        origQty: "0.01000000"
      })
      assert.deepStrictEqual(bySecond, byFirst)
    })
  )

  it.live(
    "the ledger holds every order that was ever accepted, with its fills, also those that a reset took away",
    () =>
      Effect.gen(function* () {
        const { control, ledger, simulator } = yield* controlled()
        const before = Date.now()
        yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "rests" }))
        yield* signed(simulator, place, market("0.01", { newClientOrderId: "fills" }))
        yield* signed(simulator, place, limit("1", "0.01", { newClientOrderId: "refused" }))
        yield* control("POST /market", { symbol: "BTCUSDT", price: "59000" })
        yield* control("POST /reset")
        yield* signed(simulator, place, market("0.02", { newClientOrderId: "fills" }))

        const orders = yield* ledger
        const one = yield* control("GET /ledger?clientOrderId=fills&life=1")

        assert.deepStrictEqual(
          orders.map(({ clientOrderId, executedQty, life, orderId, status }) => [
            life,
            orderId,
            clientOrderId,
            status,
            executedQty
          ]),
          [
            [0, 1, "rests", "FILLED", "0.01000000"],
            [0, 2, "fills", "FILLED", "0.01000000"],
            [1, 1, "fills", "FILLED", "0.02000000"]
          ]
        )
        for (const { acceptedAt, executedQty, trades, updatedAt } of orders) {
          const sum = trades.reduce((total, { qty }) => total + BigInt(qty.replace(".", "")), 0n)
          assert.strictEqual(sum, BigInt(executedQty.replace(".", "")))
          assert.isAtLeast(acceptedAt, before)
          assert.isAtLeast(updatedAt, acceptedAt)
        }
        assert.strictEqual(one.life, 1)
        assert.strictEqual(one.orders.length, 1)
        assert.deepStrictEqual(yield* control("GET /conservation"), simulator.conservation())
      })
  )
})
