import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isBlocked } from "../../src/simulator/firewall.ts"
import { hmac, keyHeader, limit, market, send, signed, startSimulator } from "./client.ts"

describe("what never reaches the API is a page of its front end", () => {
  it.live.each<[method: string, path: string, status: number, title: string]>([
    ["POST", "/api/v3/userDataStream", 410, "410 Gone"],
    ["PUT", "/api/v3/userDataStream?listenKey=x", 410, "410 Gone"],
    ["DELETE", "/api/v3/userDataStream?listenKey=x", 410, "410 Gone"],
    ["GET", "/api/v1/time", 410, "410 Gone"],
    ["POST", "/api/v1/userDataStream", 410, "410 Gone"],
    ["GET", "/api/v3/nothing", 404, "404 Not found"],
    ["GET", "/api/v3/userDataStream", 404, "404 Not found"],
    ["PUT", "/api/v3/order", 404, "404 Not found"],
    ["GET", "/sapi/v1/capital/config/getall", 404, "404 Not found"],
    ["GET", "/", 404, "404 Not found"],
    ["GET", "/api/v3/depth?symbol=x%27%20UNION%20SELECT%201", 403, "403 Forbidden"],
    ["GET", "/api/v3/depth?symbol=1+or+1%3D1", 403, "403 Forbidden"]
  ])("%s %s", ([method, path, status, title]) =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const answer = yield* send(simulator, { method, path, headers: keyHeader })

      assert.strictEqual(answer.status, status)
      assert.strictEqual(answer.headers["content-type"], "text/html")
      assert.include(answer.text, title)
      assert.property(answer.headers, "x-mbx-used-weight-1m")
    })
  )

  it.live("a client order id that reads like SQL is blocked, in a query and in a body, and places nothing", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const form = `symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01&newClientOrderId=drop-table&timestamp=${Date.now()}`

      const inQuery = yield* signed(
        simulator,
        "POST /api/v3/order",
        market("0.01", { newClientOrderId: "my-select-1" })
      )
      const inBody = yield* send(simulator, {
        method: "POST",
        path: "/api/v3/order",
        body: `${form}&signature=${hmac(form)}`,
        headers: { ...keyHeader, "Content-Type": "application/x-www-form-urlencoded" }
      })

      assert.deepStrictEqual([inQuery.status, inBody.status], [403, 403])
      assert.deepStrictEqual(simulator.ledger(), [])
    })
  )

  it("words inside of words pass, words of their own do not", () => {
    const blocked = (value: string) => isBlocked(value, new Map([["newClientOrderId", value]]))

    assert.deepStrictEqual(
      ["selection", "UNIONUSDT", "dropped", "exec-1", "update-1", "delete-1", "nx4q2selectabc"].filter(blocked),
      []
    )
    assert.lengthOf(["select", "a-SELECT-b", "union_all", "insert", "delete from x"].filter(blocked), 5)
  })
})

describe("every answer of the API", () => {
  it.live("is given too where a client asks as it would ask a proxy", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const { json, status } = yield* send(simulator, {
        method: "GET",
        path: "http://testnet.binance.vision/api/v3/ping"
      })

      assert.deepStrictEqual([status, json], [200, {}])
    })
  )

  it.live("is JSON with the weight used and an id of its own", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const good = yield* signed(simulator, "GET /api/v3/account")
      const bad = yield* send(simulator, { method: "GET", path: "/api/v3/account" })

      for (const { headers } of [good, bad]) {
        assert.strictEqual(headers["content-type"], "application/json;charset=UTF-8")
        assert.match(String(headers["x-mbx-used-weight"]), /^\d+$/)
        assert.strictEqual(headers["x-mbx-used-weight"], headers["x-mbx-used-weight-1m"])
        assert.match(String(headers["x-mbx-uuid"]), /^[0-9a-f-]{36}$/)
      }
      assert.notStrictEqual(good.headers["x-mbx-uuid"], bad.headers["x-mbx-uuid"])
      assert.notProperty(good.headers, "x-mbx-order-count-10s")
    })
  )

  it.live("has its times in microseconds when its header asks for them", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const headers = { ...keyHeader, "X-MBX-TIME-UNIT": "MICROSECOND" }
      const get = (path: string) => send(simulator, { method: "GET", path: `/api/v3/${path}`, headers })
      const signedGet = (form: string) => get(`${form}&signature=${hmac(form.slice(form.indexOf("?") + 1))}`)
      yield* signed(simulator, "POST /api/v3/order", limit("60000", "0.01"))
      yield* signed(simulator, "POST /api/v3/order", market("0.01"))

      const time = yield* get("time")
      const info = yield* get("exchangeInfo?symbol=BTCUSDT")
      const trades = yield* get("trades?symbol=BTCUSDT&limit=1")
      const order = yield* signedGet(`order?symbol=BTCUSDT&orderId=1&timestamp=${Date.now()}000`)
      const mine = yield* signedGet(
        `myTrades?symbol=BTCUSDT&startTime=${Date.now() - 60_000}000&timestamp=${Date.now()}`
      )
      const reference = yield* get("referencePrice?symbol=BTCUSDT")
      const waiting = { type: "STOP_LOSS_LIMIT", stopPrice: "50000", side: "SELL" }
      yield* signed(simulator, "POST /api/v3/order", limit("49000", "0.01", { ...waiting, newClientOrderId: "w" }))
      const idle = yield* signedGet(`order?symbol=BTCUSDT&origClientOrderId=w&timestamp=${Date.now()}`)
      const plain = yield* send(simulator, { method: "GET", path: "/api/v3/time" })
      const unknown = yield* send(simulator, {
        method: "GET",
        path: "/api/v3/time",
        headers: { "X-MBX-TIME-UNIT": "SECOND" }
      })

      const times: ReadonlyArray<unknown> = [
        time.json.serverTime,
        info.json.serverTime,
        trades.json[0].time,
        order.json.time,
        order.json.updateTime,
        order.json.workingTime,
        mine.json[0].time,
        reference.json.timestamp
      ]
      assert.deepStrictEqual(
        times.filter((value) => !/^\d{16}$/.test(String(value))),
        []
      )
      assert.match(String(plain.json.serverTime), /^\d{13}$/)
      assert.strictEqual(order.json.orderId, 1)
      // An order that does not work has no such time, in whatever unit.
      assert.strictEqual(idle.json.workingTime, -1)
      assert.deepStrictEqual(
        [unknown.status, unknown.json],
        [400, { code: -1194, msg: "Invalid value for time unit; expected either MICROSECOND or MILLISECOND." }]
      )
    })
  )
})
