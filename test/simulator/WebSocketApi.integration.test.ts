import { generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { webSocketPayload } from "../../src/simulator/signing.ts"
import {
  credentials,
  market,
  openStream,
  type Params,
  signed,
  signedParams,
  startSimulator,
  type Stream,
  until
} from "./client.ts"
import { ask as control } from "./control.ts"

const ed25519 = generateKeyPairSync("ed25519")
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 })
const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString()
const publicKeys = [pem(ed25519.publicKey), pem(rsa.publicKey)]

const signedBy = (algorithm: string | null, key: KeyObject, params: Params = {}): Params => {
  const all = { timestamp: Date.now(), ...params, apiKey: credentials.apiKey }
  return { ...all, signature: sign(algorithm, Buffer.from(webSocketPayload(all)), key).toString("base64") }
}
const signedByEd25519 = (params: Params = {}) => signedBy(null, ed25519.privateKey, params)
const signedByRsa = (params: Params = {}) => signedBy("sha256", rsa.privateKey, params)

let nextId = 1

/** Sends one request and gives its answer. */
const ask = Effect.fnUntraced(function* (stream: Stream, method: string, params?: object) {
  const id = nextId++
  stream.send({ id, method, ...(params === undefined ? {} : { params }) })
  yield* until(`an answer to ${method}`, () => stream.messages.some((message) => message.id === id))
  return stream.messages.find((message) => message.id === id)
})

describe("a session", () => {
  it.live("is logged on with an Ed25519 key, stands for key and signature, and ends with its subscription", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      const stream = yield* openStream(simulator.wsApiUrl)

      const before = yield* ask(stream, "session.status")
      const tooEarly = yield* ask(stream, "userDataStream.subscribe")
      const logon = yield* ask(stream, "session.logon", signedByEd25519())
      const subscribed = yield* ask(stream, "userDataStream.subscribe")
      const again = yield* ask(stream, "userDataStream.subscribe")
      const account = yield* ask(stream, "account.status", { timestamp: Date.now() })
      const timeless = yield* ask(stream, "account.status")
      const placed = yield* ask(stream, "order.place", { ...market("0.01"), timestamp: Date.now() })
      const foreign = yield* ask(stream, "account.status", { timestamp: Date.now(), apiKey: "other", signature: "00" })
      const shown = yield* ask(stream, "session.status")
      const logout = yield* ask(stream, "session.logout")
      const after = yield* ask(stream, "account.status", { timestamp: Date.now() })
      const none = yield* ask(stream, "session.subscriptions")

      assert.deepStrictEqual(Object.keys(before.result).sort(), [
        "apiKey",
        "authorizedSince",
        "connectedSince",
        "returnRateLimits",
        "serverTime",
        "userDataStream"
      ])
      assert.deepInclude(before.result, { apiKey: null, authorizedSince: null, userDataStream: false })
      assert.isNumber(before.result.connectedSince)
      assert.deepStrictEqual([tooEarly.status, tooEarly.error.code], [401, -1002])
      assert.deepInclude(logon.result, { apiKey: credentials.apiKey, userDataStream: false, returnRateLimits: true })
      assert.isAtLeast(logon.result.authorizedSince, logon.result.connectedSince)
      assert.deepStrictEqual(subscribed.result, { subscriptionId: 0 })
      assert.strictEqual(again.error.code, -2035)
      assert.isArray(account.result.balances)
      assert.strictEqual(timeless.error.code, -1102)
      assert.strictEqual(placed.result.status, "FILLED")
      assert.isTrue(stream.events().some(({ X }) => X === "FILLED"))
      assert.deepStrictEqual([foreign.status, foreign.error.code], [401, -2015])
      assert.isTrue(shown.result.userDataStream)
      assert.deepInclude(logout.result, { apiKey: null, authorizedSince: null, userDataStream: false })
      assert.deepStrictEqual(stream.events().at(-1).e, "eventStreamTerminated")
      assert.strictEqual(after.error.code, -2014)
      assert.deepStrictEqual(none.result, [])
    })
  )

  it.live("is for Ed25519 keys alone, and a subscription by signature outlives it", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      const stream = yield* openStream(simulator.wsApiUrl)

      const hmac = yield* ask(stream, "session.logon", signedParams())
      const rsaLogon = yield* ask(stream, "session.logon", signedByRsa())
      yield* ask(stream, "session.logon", signedByEd25519())
      const subscribed = yield* ask(stream, "userDataStream.subscribe.signature", signedByRsa())
      yield* ask(stream, "session.logout")
      const subscriptions = yield* ask(stream, "session.subscriptions")

      assert.deepStrictEqual(hmac.error, { code: -4056, msg: "HMAC_SHA256 API key is not supported." })
      assert.deepStrictEqual(rsaLogon.error, { code: -4056, msg: "RSA API key is not supported." })
      assert.deepStrictEqual(subscribed.result, { subscriptionId: 0 })
      assert.deepStrictEqual(subscriptions.result, [{ subscriptionId: 0 }])
    })
  )

  it.live("a subscription that was ended is ended, and the next has the next number", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)
      const subscribe = () => ask(stream, "userDataStream.subscribe.signature", signedParams())

      const nothing = yield* ask(stream, "userDataStream.unsubscribe")
      yield* subscribe()
      const other = yield* ask(stream, "userDataStream.unsubscribe", { subscriptionId: 7 })
      yield* ask(stream, "userDataStream.unsubscribe")
      yield* signed(simulator, "POST /api/v3/order", market("0.01"))
      const second = yield* subscribe()

      assert.strictEqual(nothing.error.code, -2036)
      assert.strictEqual(other.error.code, -2036)
      assert.deepStrictEqual(second.result, { subscriptionId: 1 })
      assert.deepStrictEqual(
        stream.events().map(({ e }) => e),
        ["eventStreamTerminated"]
      )
    })
  )
})

describe("a key that is revoked", () => {
  it.live("is as unknown as any other, and takes its sessions and their streams with it", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys, controlPort: 0 })
      const stream = yield* openStream(simulator.wsApiUrl)
      yield* ask(stream, "session.logon", signedByEd25519())
      yield* ask(stream, "userDataStream.subscribe")

      yield* control(simulator.controlUrl, "POST /key", { revoked: true })
      const rest = yield* signed(simulator, "GET /api/v3/account")
      const before = stream.messages.length
      stream.send({ id: "any", method: "account.status", params: { timestamp: Date.now() } })
      yield* until("the session is revoked", () => stream.messages.length > before)
      const revoked = stream.messages.at(-1)
      yield* control(simulator.controlUrl, "POST /key", { revoked: false })
      const status = yield* ask(stream, "session.status")
      const again = yield* signed(simulator, "POST /api/v3/order", market("0.01"))

      assert.deepStrictEqual([rest.status, rest.json.code], [401, -2015])
      assert.deepStrictEqual(revoked, {
        id: null,
        status: 401,
        error: { code: -2015, msg: "Invalid API-key, IP, or permissions for action." }
      })
      assert.deepInclude(status.result, { apiKey: null, userDataStream: false })
      assert.strictEqual(again.status, 200)
      assert.deepStrictEqual(stream.events(), [])
    })
  )
})

describe("requests", () => {
  it.live("reach the endpoints of REST under their own names, with a version before them or without", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      const stream = yield* openStream(simulator.wsApiUrl)

      const time = yield* ask(stream, "v3/time")
      const depth = yield* ask(stream, "depth", { symbol: "BTCUSDT", limit: 5 })
      const hmac = yield* ask(stream, "order.place", signedParams(market("0.01", { newClientOrderId: "h" })))
      const byRsa = yield* ask(stream, "order.place", signedByRsa(market("0.01", { newClientOrderId: "r" })))
      const byEd = yield* ask(stream, "order.place", signedByEd25519(market("0.01", { newClientOrderId: "e" })))
      const status = yield* ask(stream, "order.status", signedParams({ symbol: "BTCUSDT", origClientOrderId: "r" }))
      const open = yield* ask(stream, "openOrders.status", signedParams())
      const trades = yield* ask(stream, "myTrades", signedParams({ symbol: "BTCUSDT" }))
      const counts = yield* ask(stream, "account.rateLimits.orders", signedParams())

      assert.isNumber(time.result.serverTime)
      assert.lengthOf(depth.result.bids, 5)
      assert.deepStrictEqual(
        [hmac, byRsa, byEd].map(({ result }) => result.clientOrderId),
        ["h", "r", "e"]
      )
      assert.strictEqual(status.result.status, "FILLED")
      assert.deepStrictEqual(open.result, [])
      assert.isAtLeast(trades.result.length, 3)
      assert.lengthOf(counts.result, 2)
    })
  )

  it.live("sign the text itself: a symbol beyond ASCII is known by no escapes", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)
      const params = { symbol: "这是测试币456", timestamp: Date.now() }

      const raw = yield* ask(stream, "openOrders.status", signedParams(params))
      const escaped = yield* ask(stream, "openOrders.status", {
        ...signedParams({ ...params, symbol: encodeURIComponent(params.symbol) }),
        symbol: params.symbol
      })

      assert.strictEqual(raw.error.code, -1121)
      assert.strictEqual(escaped.error.code, -1022)
    })
  )

  it.live("show the limits they touch, unless they or their connection want none", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)
      const quiet = yield* openStream(`${simulator.wsApiUrl}?returnRateLimits=false`)

      const time = yield* ask(stream, "time")
      const hidden = yield* ask(stream, "time", { returnRateLimits: false })
      const order = yield* ask(stream, "order.place", signedParams(market("0.01", { newOrderRespType: "ACK" })))
      const refused = yield* ask(stream, "order.place", signedParams(market("0")))
      const shown = yield* ask(quiet, "time", { returnRateLimits: true })
      const silent = yield* ask(quiet, "time")

      const kinds = (answer: { rateLimits: ReadonlyArray<Record<string, unknown>> }) =>
        answer.rateLimits.map(({ interval, intervalNum, rateLimitType }) => [rateLimitType, interval, intervalNum])
      const weight = ["REQUEST_WEIGHT", "MINUTE", 1]
      const orders = [["ORDERS", "SECOND", 10], ["ORDERS", "DAY", 1], weight]
      assert.deepStrictEqual(kinds(time), [weight])
      // Two for each connection, one for the request.
      assert.strictEqual(time.rateLimits[0].count, 5)
      assert.notProperty(hidden, "rateLimits")
      assert.deepStrictEqual(kinds(order), orders)
      assert.deepStrictEqual(kinds(refused), orders)
      assert.deepStrictEqual(kinds(shown), [weight])
      assert.notProperty(silent, "rateLimits")
    })
  )

  it.live("that are none are refused with the id they came with", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)

      const malformed: ReadonlyArray<unknown> = [
        "no object",
        { id: "a b", method: "time" },
        { id: 1 },
        { id: 1, method: "time", params: [] }
      ]
      for (const message of malformed) stream.send(message)
      yield* until("the refusals arrive", () => stream.messages.length === malformed.length)
      const bad = [...stream.messages]
      const unknown = yield* ask(stream, "order.nothing")
      const unread = yield* ask(stream, "time", { foo: 1 })
      const blocked = yield* ask(stream, "depth", { symbol: "x union select y" })

      assert.deepStrictEqual(
        bad.map(({ error, id, status }) => [id, status, error.code]),
        malformed.map(() => [null, 400, -1135])
      )
      assert.deepStrictEqual(
        bad[1].error.msg,
        "Invalid 'id' in JSON request; expected an integer, a string matching '^[a-zA-Z0-9-_]{1,36}$', or null."
      )
      assert.strictEqual(bad[3].error.msg, "Invalid 'params' in JSON request; expected an object.")
      assert.notProperty(bad[0], "rateLimits")
      assert.strictEqual(unknown.status, 404)
      assert.strictEqual(unread.error.code, -1104)
      assert.strictEqual(blocked.status, 403)
    })
  )

  it.live("times are in microseconds where the address asks for them, in answers and in events", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      const stream = yield* openStream(`${simulator.wsApiUrl}?timeUnit=MICROSECOND`)

      const time = yield* ask(stream, "time")
      const logon = yield* ask(stream, "session.logon", signedByEd25519())
      yield* ask(stream, "userDataStream.subscribe")
      const order = yield* ask(stream, "order.place", { ...market("0.01"), timestamp: `${Date.now()}000` })
      yield* until("the balances arrive", () => stream.events().some(({ e }) => e === "outboundAccountPosition"))
      simulator.faults.announceShutdown()
      yield* until("the notice arrives", () => stream.events().at(-1).e === "serverShutdown")

      const isMicros = (value: unknown) => /^\d{16}$/.test(String(value))
      const report = stream.events()[0]
      const position = stream.events().find(({ e }) => e === "outboundAccountPosition")
      const times = {
        serverTime: time.result.serverTime,
        connectedSince: logon.result.connectedSince,
        authorizedSince: logon.result.authorizedSince,
        transactTime: order.result.transactTime,
        workingTime: order.result.workingTime,
        E: report.E,
        T: report.T,
        O: report.O,
        W: report.W,
        positionE: position.E,
        u: position.u,
        shutdown: stream.events().at(-1).E
      }
      assert.deepStrictEqual(
        Object.entries(times).filter(([, value]) => !isMicros(value)),
        []
      )
      assert.isBelow(order.result.orderId, 1_000)
    })
  )
})

describe("a connection", () => {
  it.live("is pinged, kept while it answers, cut when it does not, and ended at the end of its life", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({
        connectionRules: { pingMillis: 50, pongMillis: 700, lifeMillis: 2_500 }
      })
      const begun = performance.now()
      const good = yield* openStream(simulator.wsApiUrl)
      const deaf = yield* openStream(simulator.wsApiUrl, { autoPong: false })

      yield* until("the deaf one is cut", deaf.isClosed)
      const cutAfter = performance.now() - begun
      const wasOpen = !good.isClosed()
      yield* until("the other one has lived", good.isClosed)

      assert.isAtLeast(cutAfter, 700)
      assert.isTrue(wasOpen)
      assert.isAtLeast(performance.now() - begun, 2_500)
    })
  )

  it.live("is told of a shutdown to come, and stays open until then", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl)

      simulator.faults.announceShutdown()
      yield* until("the notice arrives", () => stream.messages.length > 0)
      const time = yield* ask(stream, "time")

      assert.deepStrictEqual(Object.keys(stream.messages[0]), ["event"])
      assert.strictEqual(stream.messages[0].event.e, "serverShutdown")
      assert.strictEqual(time.status, 200)
    })
  )

  it.live("negotiates no compression, whatever the client offers", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const stream = yield* openStream(simulator.wsApiUrl, {
        perMessageDeflate: { clientNoContextTakeover: true, serverNoContextTakeover: true }
      })

      const time = yield* ask(stream, "time")

      assert.strictEqual(stream.extensions(), "")
      assert.strictEqual(time.status, 200)
    })
  )
})
