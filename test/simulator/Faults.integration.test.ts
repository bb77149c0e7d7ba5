import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Done } from "../../src/simulator/Faults.ts"
import { FaultTable } from "../../src/simulator/FaultTable.ts"
import { limit, market, signed, startSimulator, until } from "./client.ts"
import { ask, cancel, controlled, openApi, outcomeOf, place, query } from "./control.ts"

const order = (id: string) => market("0.01", { newClientOrderId: id, recvWindow: 200 })
const target = (id: string) => ({ symbol: "BTCUSDT", origClientOrderId: id })

describe("faults of requests", () => {
  it.live("without an answer nobody can tell an order that is done from one that is not", () =>
    Effect.gen(function* () {
      const { arm, ids, simulator } = yield* controlled()
      const cases = [
        ["lost", { kind: "answerLost" }, "ECONNRESET"],
        ["reset", { kind: "answerLost", reset: true }, "ECONNRESET"],
        ["lostNever", { kind: "answerLost", done: "never" }, "ECONNRESET"],
        ["never", { kind: "neverArrives" }, "ECONNRESET"],
        ["cut", { kind: "answerCut" }, "ECONNRESET"],
        ["cutNever", { kind: "answerCut", done: "never" }, "ECONNRESET"],
        ["short", { kind: "answerGarbled", how: "short" }, "no JSON"],
        ["html", { kind: "answerGarbled", how: "html" }, "no JSON"],
        ["empty", { kind: "answerGarbled", how: "empty" }, "no JSON"],
        ["wrongType", { kind: "answerGarbled", how: "wrongType" }, "no JSON"],
        ["wrongTypeNever", { kind: "answerGarbled", how: "wrongType", done: "never" }, "no JSON"]
      ] as const

      const seen: Array<string> = []
      for (const [id, fault] of cases) {
        yield* arm({ on: place, clientOrderId: id, ...fault })
        const outcome = yield* outcomeOf(signed(simulator, place, order(id)))
        seen.push(outcome.replace("200 ", ""))
      }

      assert.deepStrictEqual(
        seen,
        cases.map(([, , says]) => says)
      )
      assert.deepStrictEqual(yield* ids, ["lost", "reset", "cut", "short", "html", "empty", "wrongType"])
      assert.strictEqual((yield* signed(simulator, place, market("0.01"))).status, 200)
    })
  )

  it.live("an answer that never comes leaves the connection open, with the order done or not", () =>
    Effect.gen(function* () {
      const { arm, control, ids, simulator } = yield* controlled()
      yield* arm(
        { on: place, clientOrderId: "done", kind: "hangs" },
        { on: place, clientOrderId: "not", kind: "hangs", done: "never" }
      )

      const waiting = yield* Effect.forEach(["done", "not"], (id) =>
        Effect.forkChild(outcomeOf(signed(simulator, place, order(id))))
      )
      let struck = {}
      while (JSON.stringify(struck) !== `{"hangs":2}`) struck = (yield* control("GET /faults")).struck
      const known = yield* ids
      const answered = waiting.map((fiber) => fiber.pollUnsafe() !== undefined)
      yield* Effect.forEach(waiting, Fiber.interrupt)

      assert.deepStrictEqual(known, ["done"])
      assert.deepStrictEqual(answered, [false, false])
    })
  )

  const doubtful = [
    ...([500, 502, 503, 504] as const).map((status) => [`${status} no JSON`, { kind: "unavailable", status }] as const),
    ["500 -1000", { kind: "timeout", code: -1000 }],
    ["500 -1001", { kind: "timeout", code: -1001 }],
    ["504 -1006", { kind: "timeout", code: -1006 }],
    ["504 -1007", { kind: "timeout" }],
    ["503 -1008", { kind: "timeout", code: -1008 }],
    ["503 -1016", { kind: "timeout", code: -1016 }],
    ["ECONNRESET", { kind: "answerLost" }]
  ] as const
  it.live("whatever says nothing of the outcome does so for orders done now, later, and never", () =>
    Effect.gen(function* () {
      const { arm, ids, simulator } = yield* controlled()
      const whens: ReadonlyArray<readonly [string, Done]> = [
        ["now", "now"],
        ["later", { afterMillis: [20, 60] }],
        ["afterDeadline", { afterDeadlineMillis: 50 }],
        ["never", "never"]
      ]
      const cases = doubtful.flatMap(([says, fault], n) =>
        whens.map(([when, done]) => ({ id: `${n}-${when}`, says, fault: { ...fault, done } }))
      )
      yield* arm(...cases.map(({ fault, id }) => ({ on: place, clientOrderId: id, ...fault })))

      const seen = yield* Effect.forEach(cases, ({ id }) => outcomeOf(signed(simulator, place, order(id))), {
        concurrency: 8
      })
      yield* until("the late orders are there", () => simulator.ledger().length === doubtful.length * 3)

      assert.deepStrictEqual(
        seen,
        cases.map(({ says }) => says)
      )
      assert.deepStrictEqual(
        (yield* ids).toSorted(),
        cases.flatMap(({ id }) => (id.endsWith("never") ? [] : [id])).toSorted()
      )
    })
  )

  it.live("a late acceptance comes when it is said to come, after the deadline on the exchange's clock", () =>
    Effect.gen(function* () {
      const { arm, control, ledger, simulator } = yield* controlled()
      yield* control("POST /clock", { offsetMillis: 3_600_000 })
      const timestamp = Date.now() + 3_600_000
      yield* arm(
        { on: place, clientOrderId: "soon", kind: "timeout", done: { afterDeadlineMillis: 100 } },
        { on: place, clientOrderId: "late", kind: "timeout", done: { afterDeadlineMillis: 20_000 } }
      )
      for (const id of ["soon", "late"]) yield* signed(simulator, place, { ...order(id), timestamp })
      yield* until("the first is accepted", () => simulator.ledger().length === 1)
      yield* control("POST /clock", { stepMillis: 20_000 })
      yield* until("the second is accepted", () => simulator.ledger().length === 2)

      const [soon, late] = yield* ledger

      assert.isAtLeast(soon!.acceptedAt, timestamp + 300)
      assert.isBelow(soon!.acceptedAt, timestamp + 2_000)
      assert.isAtLeast(late!.acceptedAt, timestamp + 20_200)
    })
  )

  it.live("a request refused at the door is no order, one that grew too old behind it counts as one", () =>
    Effect.gen(function* () {
      const { arm, simulator } = yield* controlled()
      const counted = Effect.fnUntraced(function* () {
        const { headers } = yield* signed(simulator, place, limit("60000", "0.01"))
        return Number(headers["x-mbx-order-count-1d"])
      })
      const held = { on: place, kind: "held" } as const
      yield* arm(
        { ...held, clientOrderId: "second", millis: 260, check: "second" },
        { ...held, clientOrderId: "third", beyondDeadlineMillis: 5, check: "third" },
        { ...held, clientOrderId: "plain", beyondDeadlineMillis: 5 },
        { ...held, clientOrderId: "inTime", millis: 20 }
      )

      const codes = []
      const counts = [yield* counted()]
      for (const id of ["door", "second", "third", "plain", "inTime"]) {
        const timestamp = Date.now() - (id === "door" ? 1_000 : 0)
        codes.push((yield* signed(simulator, place, { ...order(id), timestamp })).json.code)
        counts.push(yield* counted())
      }

      assert.deepStrictEqual(codes, [-1021, -1021, -1021, -1021, undefined])
      // Each count is of an order more; the last fill as taker gives one back.
      assert.deepStrictEqual(counts, [1, 2, 4, 6, 8, 9])
      assert.isUndefined(simulator.ledger().find(({ clientOrderId }) => ["second", "third"].includes(clientOrderId)))
    })
  )

  it.live("a late answer is late, and the order is there meanwhile", () =>
    Effect.gen(function* () {
      const { arm, simulator } = yield* controlled()
      yield* arm({ on: place, kind: "answerLate", millis: 300 })
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

  it.live("what a front end or a limit answers is answered as named, and nothing is done", () =>
    Effect.gen(function* () {
      const { arm, control, ids, simulator } = yield* controlled()
      yield* arm(
        { on: place, kind: "gone" },
        { on: place, kind: "blocked" },
        { on: place, kind: "refused", status: 429, code: -1003, message: "Too many requests.", retryAfterSeconds: 3 }
      )

      const gone = yield* signed(simulator, place, market("0.01"))
      const blocked = yield* signed(simulator, place, market("0.01"))
      const refused = yield* signed(simulator, place, market("0.01"))

      assert.deepStrictEqual([gone.status, blocked.status, refused.status], [410, 403, 429])
      assert.include(gone.text + blocked.text, "<html>")
      assert.deepStrictEqual(refused.json, { code: -1003, msg: "Too many requests." })
      assert.strictEqual(refused.headers["retry-after"], "3")
      assert.deepStrictEqual(yield* ids, [])
      assert.deepStrictEqual((yield* control("GET /faults")).struck, { gone: 1, blocked: 1, refused: 1 })
    })
  )

  it.live("a fill can overtake a cancel, wholly or in part", () =>
    Effect.gen(function* () {
      const { arm, simulator } = yield* controlled()
      for (const id of ["whole", "part", "before"]) {
        yield* signed(simulator, place, limit(id === "before" ? "60001" : "60000", "0.01", { newClientOrderId: id }))
      }
      yield* arm(
        { on: cancel, clientOrderId: "part", kind: "filledFirst", share: "part" },
        { on: cancel, clientOrderId: "whole", kind: "filledFirst" }
      )

      const part = yield* signed(simulator, cancel, target("part"))
      const whole = yield* signed(simulator, cancel, target("whole"))
      const found = yield* signed(simulator, query, target("whole"))

      assert.deepInclude(part.json, { status: "CANCELED", executedQty: "0.00500000" })
      assert.strictEqual(whole.json.code, -2011)
      assert.strictEqual(found.json.status, "FILLED")
    })
  )

  it.live("a fill overtakes a cancel of all orders, and the cancel half of a cancel-replace", () =>
    Effect.gen(function* () {
      const { arm, ids, simulator } = yield* controlled()
      for (const id of ["a", "b"]) yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: id }))
      yield* arm({ on: "DELETE /api/v3/openOrders", kind: "filledFirst" })
      const all = yield* signed(simulator, "DELETE /api/v3/openOrders", { symbol: "BTCUSDT" })
      yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "c" }))
      yield* arm({ on: "POST /api/v3/order/cancelReplace", clientOrderId: "c", kind: "filledFirst" })
      const replaced = yield* signed(simulator, "POST /api/v3/order/cancelReplace", {
        ...limit("59000", "0.01", { newClientOrderId: "d" }),
        cancelReplaceMode: "STOP_ON_FAILURE",
        cancelOrigClientOrderId: "c"
      })

      assert.strictEqual(all.json.code, -2011)
      assert.deepInclude(replaced.json.data, { cancelResult: "FAILURE", newOrderResult: "NOT_ATTEMPTED" })
      assert.deepStrictEqual(
        simulator.ledger().map(({ clientOrderId, status }) => `${clientOrderId} ${status}`),
        ["a FILLED", "b FILLED", "c FILLED"]
      )
      assert.strictEqual((yield* ids).length, 3)
    })
  )

  it.live("a cancel-replace is cut between its halves: the cancel is done, and the new order later or never", () =>
    Effect.gen(function* () {
      const { arm, control, ids, ledger, simulator } = yield* controlled()
      const cancelReplace = "POST /api/v3/order/cancelReplace"
      const cases = [
        ["never", {}, "STOP_ON_FAILURE", "never-old"],
        ["later", { placed: { afterMillis: 100 } }, "STOP_ON_FAILURE", "later-old"],
        ["stopped", { placed: "now" }, "STOP_ON_FAILURE", "nobody"],
        ["tried", { placed: "now" }, "ALLOW_FAILURE", "nobody"]
      ] as const
      for (const [id, more, cancelReplaceMode, cancelOrigClientOrderId] of cases) {
        yield* signed(simulator, place, limit("50000", "0.01", { newClientOrderId: `${id}-old` }))
        yield* arm({ on: cancelReplace, clientOrderId: id, kind: "halved", ...more })
        yield* Effect.forkChild(
          outcomeOf(
            signed(simulator, cancelReplace, {
              ...limit("51000", "0.01", { newClientOrderId: id }),
              cancelReplaceMode,
              cancelOrigClientOrderId
            })
          )
        )
        while ((yield* control("GET /faults")).struck.halved !== cases.findIndex(([name]) => name === id) + 1);
      }

      while (!(yield* ids).includes("later"));

      assert.deepStrictEqual(
        (yield* ledger).map(({ clientOrderId, status }) => `${clientOrderId} ${status}`).toSorted(),
        ["later NEW", "later-old CANCELED", "never-old CANCELED", "stopped-old NEW", "tried NEW", "tried-old NEW"]
      )
      const { json } = yield* ask(simulator.controlUrl, "POST /faults", { on: place, kind: "halved" })
      assert.match(json.error, /have halves/)
    })
  )

  it.live("over the WebSocket API the same faults strike its own names", () =>
    Effect.gen(function* () {
      const { arm, control, ids, simulator } = yield* controlled()
      yield* arm(
        { on: "order.place", clientOrderId: "timeout", kind: "timeout", done: "now" },
        { on: "order.place", clientOrderId: "unavailable", kind: "unavailable", done: "never" },
        { on: "order.place", clientOrderId: "limited", kind: "refused", status: 429, code: -1003, message: "Slower." },
        { on: "order.place", clientOrderId: "lost", kind: "answerLost" },
        { on: "order.place", clientOrderId: "never", kind: "neverArrives" },
        { on: place, clientOrderId: "timeout", kind: "gone" }
      )
      const api = yield* openApi(simulator)

      const timeout = yield* api.ask("order.place", order("timeout"))
      const unavailable = yield* api.ask("order.place", order("unavailable"))
      const limited = yield* api.ask("order.place", order("limited"))
      api.tell("order.place", order("lost"))
      yield* until("the connection is cut", api.stream.isClosed)
      const second = yield* openApi(simulator)
      second.tell("order.place", order("never"))
      yield* until("the next is cut too", second.stream.isClosed)

      assert.deepInclude(timeout, { status: 504, error: { code: -1007, msg: timeout.error.msg } })
      assert.strictEqual(unavailable.status, 503)
      assert.deepInclude(limited, { status: 429, error: { code: -1003, msg: "Slower." } })
      assert.deepStrictEqual(yield* ids, ["timeout", "lost"])
      assert.strictEqual((yield* control("GET /faults")).faults.at(-1).struck, 0)
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

describe("faults of reads", () => {
  it.live("a live order is denied for a while, then shown, and each kind of reads lags apart", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      yield* control("POST /reads", { orders: 10_000, histories: 2_000 })
      yield* signed(simulator, place, market("0.01", { newClientOrderId: "o" }))
      const seen = Effect.fnUntraced(function* (ahead: number) {
        yield* control("POST /clock", { offsetMillis: ahead })
        const get = (request: string, params: Record<string, string>) =>
          Effect.map(signed(simulator, request, { ...params, timestamp: Date.now() + ahead }), ({ json }) => json)
        const symbol = { symbol: "BTCUSDT" }
        return [
          (yield* get(query, target("o"))).code ?? "found",
          (yield* get("GET /api/v3/allOrders", symbol)).length,
          (yield* get("GET /api/v3/myTrades", symbol)).length > 0
        ]
      })

      const at0 = yield* seen(0)
      const at3 = yield* seen(3_000)
      const at11 = yield* seen(11_000)

      assert.deepStrictEqual(
        [at0, at3, at11],
        [
          [-2013, 0, false],
          [-2013, 1, true],
          ["found", 1, true]
        ]
      )
    })
  )

  it.live("a filled order goes on being open in stale lists, a cancelled one too", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      for (const id of ["filled", "cancelled", "kept"]) {
        yield* signed(simulator, place, limit(id === "filled" ? "64000" : "50000", "0.01", { newClientOrderId: id }))
      }
      yield* control("POST /clock", { stepMillis: 1_000 })
      const timestamp = () => Date.now() + 1_000
      yield* control("POST /reads", { orders: "forever" })

      yield* control("POST /market", { symbol: "BTCUSDT", price: "63000" })
      yield* signed(simulator, cancel, { ...target("cancelled"), timestamp: timestamp() })
      const open = yield* signed(simulator, "GET /api/v3/openOrders", { symbol: "BTCUSDT", timestamp: timestamp() })
      const one = yield* signed(simulator, query, { ...target("filled"), timestamp: timestamp() })
      yield* control("DELETE /reads")
      const fresh = yield* signed(simulator, "GET /api/v3/openOrders", { symbol: "BTCUSDT", timestamp: timestamp() })

      const idsOf = (json: ReadonlyArray<{ clientOrderId: string }>) => json.map(({ clientOrderId }) => clientOrderId)
      assert.deepStrictEqual(idsOf(open.json), ["filled", "cancelled", "kept"])
      assert.strictEqual(one.json.status, "NEW")
      assert.deepStrictEqual(idsOf(fresh.json), ["kept"])
    })
  )

  it.live("one order's reads can lag without end while another's are fresh", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      yield* control("POST /reads", { orders: "forever", histories: "forever", clientOrderId: "hidden" })
      for (const id of ["hidden", "seen"]) yield* signed(simulator, place, market("0.01", { newClientOrderId: id }))

      const found = yield* Effect.forEach(["hidden", "seen"], (id) => signed(simulator, query, target(id)))
      const all = yield* signed(simulator, "GET /api/v3/allOrders", { symbol: "BTCUSDT" })
      const trades = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT" })

      assert.deepStrictEqual(
        found.map(({ json }) => json.code ?? json.status),
        [-2013, "FILLED"]
      )
      assert.deepStrictEqual(
        all.json.map(({ clientOrderId }: { clientOrderId: string }) => clientOrderId),
        ["seen"]
      )
      assert.deepStrictEqual([...new Set(trades.json.map(({ orderId }: { orderId: number }) => orderId))], [2])
      assert.deepStrictEqual(yield* control("GET /reads"), [
        { reads: "orders", clientOrderId: "hidden", millis: "forever" },
        { reads: "histories", clientOrderId: "hidden", millis: "forever" }
      ])
    })
  )

  it.live("reads that see nothing new for ever still see what there was", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      yield* signed(simulator, place, market("0.01", { newClientOrderId: "old" }))
      yield* until("a moment has passed", () => Date.now() > simulator.ledger()[0]!.acceptedAt)
      yield* control("POST /reads", { orders: "forever", histories: "forever" })
      yield* signed(simulator, place, market("0.01", { newClientOrderId: "new" }))

      const found = yield* Effect.forEach(["old", "new"], (id) => signed(simulator, query, target(id)))
      const trades = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT" })

      assert.deepStrictEqual(
        found.map(({ json }) => json.code ?? json.status),
        ["FILLED", -2013]
      )
      assert.deepStrictEqual([...new Set(trades.json.map(({ orderId }: { orderId: number }) => orderId))], [1])
    })
  )

  it.live("an ended order without an execution is archived after 90 days, one with stays", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      for (const id of ["cancelled", "open"]) {
        yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: id }))
      }
      yield* signed(simulator, place, market("0.01", { newClientOrderId: "filled" }))
      yield* signed(simulator, cancel, target("cancelled"))
      const day = 86_400_000
      const seen = (days: number) =>
        Effect.forEach(["cancelled", "open", "filled"], (id) =>
          Effect.map(
            signed(simulator, query, { ...target(id), timestamp: Date.now() + days * day }),
            ({ json }) => json.code ?? json.status
          )
        )

      yield* control("POST /clock", { offsetMillis: 89 * day })
      const before = yield* seen(89)
      yield* control("POST /clock", { offsetMillis: 91 * day })
      const after = yield* seen(91)
      const all = yield* signed(simulator, "GET /api/v3/allOrders", {
        symbol: "BTCUSDT",
        timestamp: Date.now() + 91 * day
      })

      assert.deepStrictEqual(before, ["CANCELED", "NEW", "FILLED"])
      assert.deepStrictEqual(after, [-2026, "NEW", "FILLED"])
      assert.notInclude(
        all.json.map(({ status }: { status: string }) => status),
        "CANCELED"
      )
    })
  )
})

describe("faults of the account and its limits", () => {
  const limits = [
    [{ status: 429, millis: 60_000 }, "429 -1003", "60"],
    [{ status: 429, millis: 60_000, retryAfterSeconds: 7 }, "429 -1003", "7"],
    [{ status: 418, millis: 120_000 }, "418 -1003", "120"],
    [{ status: 403, millis: 60_000 }, "403 no JSON", undefined]
  ] as const
  it.live("forced limits refuse everybody for their time, on the exchange's clock, and no longer", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      let ahead = 0

      for (const [answer, says, retryAfter] of limits) {
        yield* control("POST /limits", answer)
        const params = () => ({ timestamp: Date.now() + ahead })
        const refused = yield* signed(simulator, place, market("0.01", params()))
        const read = yield* signed(simulator, "GET /api/v3/account", params())
        yield* control("POST /clock", { stepMillis: answer.millis })
        ahead += answer.millis
        const after = yield* signed(simulator, "GET /api/v3/account", params())

        assert.strictEqual(`${refused.status} ${refused.json?.code ?? "no JSON"}`, says)
        assert.strictEqual(read.status, answer.status)
        assert.strictEqual(refused.headers["retry-after"], retryAfter)
        assert.strictEqual(after.status, 200)
      }
      assert.deepStrictEqual(simulator.ledger(), [])
    })
  )

  it.live("a forced ban ends connections that go on asking, and lets no new one in", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const api = yield* openApi(simulator)
      yield* control("POST /limits", { status: 418, millis: 60_000 })

      const banned = yield* api.ask("account.status")
      yield* until("the connection is ended", api.stream.isClosed)
      const refused = yield* Effect.flip(openApi(simulator))
      yield* control("DELETE /limits")
      const next = yield* openApi(simulator)

      assert.deepInclude(banned, { status: 418 })
      assert.isAbove(banned.error.data.retryAfter, Date.now())
      assert.include(refused.message, "418")
      assert.strictEqual((yield* next.ask("account.status")).status, 200)
    })
  )

  it.live("a forced order limit lets cancels and reads pass", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "o" }))
      yield* control("POST /limits", { status: 429, millis: 10_000, of: "orders" })

      const refused = yield* outcomeOf(signed(simulator, place, market("0.01")))
      const canceled = yield* outcomeOf(signed(simulator, cancel, target("o")))

      assert.deepStrictEqual([refused, canceled], ["429 -1015", "200 CANCELED"])
    })
  )

  it.live("a clock that is off either way, or steps, refuses what was timed by another", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const code = (timestamp = Date.now()) =>
        Effect.map(signed(simulator, "GET /api/v3/account", { timestamp }), ({ json }) => json.code ?? json.msg)
      const message = Effect.map(signed(simulator, "GET /api/v3/account"), ({ json }) => String(json.msg))

      yield* control("POST /clock", { offsetMillis: 6_000 })
      const ahead = [yield* code(), yield* message, yield* code(Date.now() + 6_000)]
      yield* control("POST /clock", { offsetMillis: -6_000 })
      const behind = [yield* code(), yield* message, yield* code(Date.now() - 6_000)]
      yield* control("POST /clock", { stepMillis: 6_000 })
      const stepped = [yield* code(Date.now() - 6_000), yield* code()]
      const { json: time } = yield* signed(simulator, "GET /api/v3/time")

      assert.strictEqual(ahead[0], -1021)
      assert.match(String(ahead[1]), /outside of the recvWindow/)
      assert.isUndefined(ahead[2])
      assert.strictEqual(behind[0], -1021)
      assert.match(String(behind[1]), /1000ms ahead/)
      assert.isUndefined(behind[2])
      assert.deepStrictEqual(stepped, [-1021, undefined])
      assert.isUndefined(time.serverTime)
    })
  )

  it.live("a reset forgets orders, trades and ids, refills balances, and keeps key and account", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const { json: before } = yield* signed(simulator, "GET /api/v3/account")
      yield* signed(simulator, place, market("0.5", { newClientOrderId: "o" }))
      yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "open" }))

      yield* control("POST /reset")
      const found = yield* signed(simulator, query, target("o"))
      const open = yield* signed(simulator, "GET /api/v3/openOrders")
      const trades = yield* signed(simulator, "GET /api/v3/myTrades", { symbol: "BTCUSDT" })
      const { json: after } = yield* signed(simulator, "GET /api/v3/account")
      const { json: next } = yield* signed(simulator, place, limit("60000", "0.01", { newClientOrderId: "open" }))

      assert.strictEqual(found.json.code, -2013)
      assert.deepStrictEqual([open.json, trades.json], [[], []])
      assert.deepStrictEqual([after.uid, after.balances], [before.uid, before.balances])
      assert.strictEqual(next.orderId, 1)
    })
  )

  it.live("the same faults can be set from within a test's own process", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      simulator.faults.next({ on: place, kind: "neverArrives" })
      simulator.faults.staleReads(10_000)

      const cut = yield* outcomeOf(signed(simulator, place, market("0.01")))
      yield* signed(simulator, place, market("0.01", { newClientOrderId: "o" }))
      const unseen = yield* signed(simulator, query, target("o"))
      simulator.faults.clear()
      const seen = yield* signed(simulator, query, target("o"))

      assert.strictEqual(cut, "ECONNRESET")
      assert.deepStrictEqual([unseen.json.code, seen.json.status], [-2013, "FILLED"])
    })
  )
})

describe("a client order id that is used again", () => {
  const ends = ["open", "partly filled", "FILLED", "EXPIRED", "CANCELED"] as const
  const previous = (simulator: Parameters<typeof signed>[0], end: (typeof ends)[number], id: string) =>
    Effect.gen(function* () {
      const named = { newClientOrderId: id }
      if (end === "FILLED") return yield* signed(simulator, place, market("0.01", named))
      if (end === "EXPIRED")
        return yield* signed(simulator, place, limit("50000", "0.01", { ...named, timeInForce: "IOC" }))
      // Larger than what is offered up to this price, so that a rest stays.
      if (end === "partly filled") return yield* signed(simulator, place, limit("65010", "1", named))
      yield* signed(simulator, place, limit("50000", "0.01", named))
      return end === "CANCELED" ? yield* signed(simulator, cancel, target(id)) : undefined
    })

  it.live("is refused while the order is open, accepted and executed again once it has ended, as the table says", () =>
    Effect.gen(function* () {
      const { control, ids, simulator } = yield* controlled()
      const again = Effect.fnUntraced(function* (round: string) {
        const outcomes = []
        for (const end of ends) {
          const id = `${round}-${end.replace(" ", "")}`
          yield* previous(simulator, end, id)
          const answer = yield* signed(simulator, place, market("0.01", { newClientOrderId: id }))
          outcomes.push(answer.json.msg ?? answer.json.status)
        }
        return outcomes
      })

      const documented = yield* again("a")
      yield* control("POST /ids", { freeAfter: ["FILLED"] })
      const strict = yield* again("b")
      yield* control("DELETE /ids")
      const { json: filled } = yield* signed(simulator, query, target("a-FILLED"))

      const refused = "Duplicate order sent."
      assert.deepStrictEqual(documented, [refused, refused, "FILLED", "FILLED", "FILLED"])
      assert.deepStrictEqual(strict, [refused, refused, "FILLED", refused, refused])
      assert.strictEqual((yield* ids).filter((id) => id === "a-FILLED").length, 2)
      assert.strictEqual(filled.status, "FILLED")
    })
  )

  it.live("is its symbol's alone, or the account's if that is how it turns out to be", () =>
    Effect.gen(function* () {
      const { control, simulator } = yield* controlled()
      const open = (symbol: string, price: string) =>
        Effect.map(
          signed(simulator, place, limit(price, "0.1", { symbol, newClientOrderId: "one" })),
          ({ json }) => json.msg ?? json.status
        )

      const first = [yield* open("BTCUSDT", "50000"), yield* open("ETHUSDT", "3000")]
      yield* control("POST /ids", { scope: "account" })
      const second = yield* open("BNBUSDT", "500")

      assert.deepStrictEqual(first, ["NEW", "NEW"])
      assert.strictEqual(second, "Duplicate order sent.")
    })
  )
})
