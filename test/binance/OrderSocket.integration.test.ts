/** Orders and cancels over the WebSocket API, towards a server that answers what each test says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Schedule } from "effect"
import type { Scope } from "effect"
import { createHmac } from "node:crypto"
import type { Submission } from "../../src/binance/BinanceClient.ts"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import type { BinanceError } from "../../src/binance/BinanceError.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import {
  type AnsweringServer,
  answeringServer,
  apiKey,
  apiSecret,
  clientLayer,
  type ClientOptions
} from "./AnsweringServer.ts"
import { type FrameReply, type RequestServer, requestServer } from "./RequestServer.ts"

const clientOrderId = "nxabcdefghijklmnopqrstuvwxyz2345"

const submission: Submission = {
  clientOrderId,
  request: {
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    timeInForce: "GTC",
    quantity: decimal("0.00000001"),
    quoteQuantity: null,
    price: decimal("100000"),
    validUntil: null
  },
  timestamp: 1_700_000_000_123,
  recvWindowMillis: 4_000
}

const placed = {
  symbol: "BTCUSDT",
  orderId: 12,
  orderListId: -1,
  clientOrderId,
  transactTime: 1_700_000_000_200,
  executedQty: "0.00000000",
  cummulativeQuoteQty: "0.00000000",
  status: "NEW",
  fills: []
}
const ok = (result: unknown, rateLimits?: unknown): FrameReply => ({
  status: 200,
  result,
  ...(rateLimits === undefined ? {} : { rateLimits })
})

type Use<A, E> = (
  socket: RequestServer,
  rest: AnsweringServer
) => Effect.Effect<A, E, BinanceClient | RateLimits | Scope.Scope>

const withServer = <A, E>(use: Use<A, E>, options: ClientOptions = {}) =>
  Effect.scoped(
    Effect.gen(function* () {
      const rest = yield* answeringServer
      const socket = yield* requestServer
      return yield* Effect.provide(use(socket, rest), clientLayer(rest.url, { ...options, wsApiUrl: socket.url }))
    })
  )

const place = Effect.gen(function* () {
  const client = yield* BinanceClient
  return yield* client.placeOrder(submission, yield* client.readyToSubmit)
})

const reasonOf = <A, R>(effect: Effect.Effect<A, BinanceError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const until = (condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry({ times: 2_000, schedule: Schedule.spaced("2 millis") })
  )

describe("an order over the WebSocket API", () => {
  it.live("is sent once, as it was journalled, signed over its sorted parameters, and nothing of it over REST", () =>
    withServer((socket, rest) =>
      Effect.gen(function* () {
        socket.answer(() => ok(placed))

        const report = yield* place

        const [frame, ...others] = socket.asked
        assert.deepStrictEqual(others, [])
        assert.strictEqual(frame!.method, "order.place")
        const { signature, ...params } = frame!.params
        assert.deepStrictEqual(params, {
          apiKey,
          symbol: "BTCUSDT",
          side: "BUY",
          type: "LIMIT",
          timeInForce: "GTC",
          quantity: "0.00000001",
          price: "100000",
          newClientOrderId: clientOrderId,
          newOrderRespType: "FULL",
          recvWindow: 4_000,
          timestamp: 1_700_000_000_123
        })
        const payload = Object.entries(params)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, value]) => `${name}=${value}`)
          .join("&")
        assert.strictEqual(signature, createHmac("sha256", apiSecret).update(payload).digest("hex"))
        assert.deepInclude(report, { exchangeOrderId: "12", exchangeStatus: "NEW", source: "answer" })
        assert.isTrue(rest.asked.every(({ method }) => method === "GET"))
      })
    )
  )

  it.live("keeps every digit of an id above 2^53, in the answer and in the cancel", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        const id = "9223372036854775807"
        socket.answer((frame) => {
          const { clientOrderId: _, ...rest } = placed
          const order =
            frame.method === "order.place" ? placed : { ...rest, origClientOrderId: clientOrderId, status: "CANCELED" }
          const result = JSON.stringify(order).replace('"orderId":12', `"orderId":${id}`)
          return { text: `{"id":"${frame.id}","status":200,"result":${result}}` }
        })
        const client = yield* BinanceClient

        const report = yield* place
        const cancelled = yield* client.cancelOrder({
          symbol: "BTCUSDT",
          clientOrderId,
          exchangeOrderId: report.exchangeOrderId
        })

        assert.deepStrictEqual([report.exchangeOrderId, cancelled.exchangeOrderId], [id, id])
        assert.strictEqual(socket.asked[1]!.method, "order.cancel")
        assert.include(socket.asked[1]!.text, `"orderId":${id}`)
      })
    )
  )

  const doubtful: ReadonlyArray<readonly [string, FrameReply]> = [
    ["the connection is cut before the answer", "cut"],
    ["no answer comes in time", "silence"],
    ["the answer has status 500", { status: 500, error: { code: -1000, msg: "" } }],
    ["the answer has status 503 and a code that would refuse", { status: 503, error: { code: -2010, msg: "" } }],
    ["the engine did not answer in time", { status: 408, error: { code: -1007, msg: "Timeout" } }],
    ["the code is one that nobody knows", { status: 400, error: { code: -9_999, msg: "" } }],
    ["there is a status and nothing else", { status: 200 }],
    ["the answer is about another order", ok({ ...placed, clientOrderId: "other" })],
    ["the answer is no JSON", { text: "<html>" }],
    ["the answer is longer than any order's", { text: " ".repeat(1_100_000) }]
  ]
  for (const [name, reply] of doubtful) {
    it.live(`is in doubt, and not sent again, when ${name}`, () =>
      withServer(
        (socket) =>
          Effect.gen(function* () {
            socket.answer(() => reply)

            const reason = yield* reasonOf(place)

            assert.strictEqual(reason._tag, "OutcomeUnknown")
            assert.strictEqual(socket.asked.length, 1)
          }),
        { timeoutMillis: 300 }
      )
    )
  }

  const refusals: ReadonlyArray<readonly [string, number, number, string, object]> = [
    [
      "refused for good",
      400,
      -2010,
      "Account has insufficient balance for requested action.",
      { _tag: "Refused", repeatable: false }
    ],
    [
      "refused for its time",
      400,
      -1021,
      "Timestamp for this request is outside of the recvWindow.",
      { _tag: "Refused", repeatable: true }
    ],
    ["open there already", 400, -2010, "Duplicate order sent.", { _tag: "DuplicateOrder" }],
    [
      "refused with our key",
      401,
      -2015,
      "Invalid API-key, IP, or permissions for action.",
      { _tag: "Refused", repeatable: true }
    ]
  ]
  for (const [what, status, code, msg, reason] of refusals) {
    it.live(`is told as over REST when it is ${what}`, () =>
      withServer((socket) =>
        Effect.gen(function* () {
          socket.answer(() => ({ status, error: { code, msg } }))

          assert.deepInclude(yield* reasonOf(place), reason)
        })
      )
    )
  }

  it.live("is not sent when nobody listens, and not while the pause after that lasts", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        yield* socket.stop

        const reasons = yield* Effect.all([reasonOf(client.readyToSubmit), reasonOf(client.readyToSubmit)])

        assert.deepStrictEqual(
          reasons.map(({ _tag }) => _tag),
          ["NotSent", "NotSent"]
        )
      })
    )
  )

  it.live("is not sent when its connection has gone between the permit and the sending", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        const client = yield* BinanceClient
        const permit = yield* client.readyToSubmit
        yield* socket.stop
        yield* until(() => !permit.line.isOpen())

        const reason = yield* reasonOf(client.placeOrder(submission, permit))

        assert.strictEqual(reason._tag, "NotSent")
        assert.strictEqual(socket.asked.length, 0)
      })
    )
  )
})

describe("the order connection", () => {
  it.live("is one for all: answers come in any order, each to its own request", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        const held: Array<() => void> = []
        socket.answer(
          (frame) =>
            new Promise((resolve) => {
              held.push(() => resolve(ok({ ...placed, clientOrderId: frame.params["newClientOrderId"] })))
              if (held.length === 32) for (const give of held.toReversed()) give()
            })
        )
        const client = yield* BinanceClient
        const ids = Array.from({ length: 32 }, (_, at) => `nx-${at}`)

        yield* Effect.forEach(
          ids,
          (id) =>
            Effect.flatMap(client.readyToSubmit, (permit) =>
              client.placeOrder({ ...submission, clientOrderId: id }, permit)
            ),
          { concurrency: "unbounded", discard: true }
        )

        assert.strictEqual(socket.connections(), 1)
        assert.strictEqual(new Set(socket.asked.map(({ id }) => id)).size, 32)
      })
    )
  )

  it.live("has no more requests in flight than it may, and a place that is given up is free again", () =>
    withServer(
      (socket) =>
        Effect.gen(function* () {
          const client = yield* BinanceClient
          const first = yield* client.readyToSubmit
          const second = yield* client.readyToSubmit
          const third = yield* Effect.forkChild(client.readyToSubmit)
          const fourth = yield* Effect.forkChild(client.readyToSubmit)
          yield* Effect.repeat(Effect.yieldNow, { times: 200 })
          const waited = [third.pollUnsafe(), fourth.pollUnsafe()]
          yield* Fiber.interrupt(fourth)

          yield* client.giveBack(first)
          const permit = yield* Fiber.join(third)

          assert.deepStrictEqual(waited, [undefined, undefined])
          socket.answer(() => ok(placed))
          yield* client.placeOrder(submission, permit)
          yield* client.giveBack(second)
          yield* Effect.flatMap(client.readyToSubmit, client.giveBack)
        }),
      { maxInFlight: 2 }
    )
  )

  it.live("cut with requests in flight leaves all of them in doubt, and the next order opens another", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        socket.answer(() => (socket.asked.length === 8 ? "cut" : "silence"))

        const reasons = yield* Effect.forEach(Array.from({ length: 8 }), () => reasonOf(place), {
          concurrency: "unbounded"
        })
        socket.answer(() => ok(placed))
        // The circuit opens after so many failures, and closes after a question that is answered.
        yield* place.pipe(Effect.retry({ times: 500, schedule: Schedule.spaced("10 millis") }))

        assert.deepStrictEqual(new Set(reasons.map(({ _tag }) => _tag)), new Set(["OutcomeUnknown"]))
        assert.strictEqual(socket.connections(), 2)
      })
    )
  )

  it.live(
    "is replaced when the exchange says goodbye: new orders go over the new one, the old one waits for its answers",
    () =>
      withServer((socket) =>
        Effect.gen(function* () {
          let giveOld = () => {}
          socket.answer(
            (frame) =>
              new Promise((resolve) => {
                const give = () => resolve(ok(placed))
                if (frame.connection === 1) giveOld = give
                else give()
              })
          )
          const old = yield* Effect.forkChild(place)
          yield* until(() => socket.asked.length === 1)

          socket.say(JSON.stringify({ event: { e: "serverShutdown", E: 1 } }))
          yield* until(() => socket.connections() === 2)
          yield* until(() => socket.open() === 2)
          yield* place.pipe(Effect.repeat({ until: () => socket.asked.at(-1)!.connection === 2, times: 3 }))

          assert.strictEqual(socket.open(), 2)
          giveOld()
          yield* Fiber.join(old)
          yield* until(() => socket.open() === 1)
        })
      )
  )

  it.live("is replaced before the exchange would cut it, without an order that fails", () =>
    withServer(
      (socket) =>
        Effect.gen(function* () {
          socket.answer(() => ok(placed))

          yield* place.pipe(
            Effect.repeat({ until: () => socket.connections() >= 4, schedule: Schedule.spaced("5 millis") })
          )

          yield* until(() => socket.open() === 1)
        }),
      { replaceAfterMillis: 100 }
    )
  )

  it.live("that falls silent is cut long before an answer would be too late, and one that only idles is kept", () =>
    withServer(
      (socket) =>
        Effect.gen(function* () {
          socket.answer(() => ok(placed))
          yield* place
          // Some pings in which nothing else was said.
          yield* Effect.repeat(place, { times: 3, schedule: Schedule.spaced("60 millis") })
          assert.strictEqual(socket.connections(), 1)
          socket.fallSilent()

          const reason = yield* reasonOf(place)

          assert.strictEqual(reason._tag, "OutcomeUnknown")
          assert.include(reason.message, "closed")
          assert.strictEqual(socket.asked.length, 6)
        }),
      { probeAfterMillis: 20, timeoutMillis: 60_000 }
    )
  )

  it.live("that is refused with a ban stops all traffic for as long as that says", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        socket.refuse("HTTP/1.1 418 I'm a teapot\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n")
        const limits = yield* RateLimits

        const reason = yield* reasonOf(place)

        assert.strictEqual(reason._tag, "NotSent")
        assert.isAbove(yield* limits.waitMillis("cancel", 1), 80_000)
      })
    )
  )
})

describe("the budget over the WebSocket API", () => {
  it.live("learns what is used from each answer", () =>
    withServer((socket, rest) =>
      Effect.gen(function* () {
        const perDay = { rateLimitType: "ORDERS", interval: "DAY", intervalNum: 1, limit: 10 }
        rest.answer("GET /api/v3/exchangeInfo", () => ({
          status: 200,
          body: JSON.stringify({ rateLimits: [perDay], symbols: [] })
        }))
        socket.answer(() => ok(placed, [{ nobody: "knows" }, { ...perDay, count: 10 }]))
        const limits = yield* RateLimits

        yield* place

        assert.isAbove(yield* limits.waitMillis("submit", 1), 0)
      })
    )
  )

  it.live("obeys a wait that is given as a time on the exchange's clock", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        const serverTime = 1_000_000_000_000
        socket.answer(() => ({
          status: 429,
          error: {
            code: -1003,
            msg: "Too much request weight used",
            data: { serverTime, retryAfter: serverTime + 30_500 }
          }
        }))
        const limits = yield* RateLimits

        assert.deepInclude(yield* reasonOf(place), { _tag: "RateLimited", code: "-1003", retryAfterMillis: 31_000 })
        assert.isAbove(yield* limits.waitMillis("query", 1), 29_000)
      })
    )
  )
})

describe("what is shown of the order connection", () => {
  it.live("has neither signature nor key", () =>
    withServer((socket) =>
      Effect.gen(function* () {
        socket.answer(() => "cut")

        const error = yield* Effect.flip(place)

        const shown = `${error.message} ${JSON.stringify(error)} ${String(error.stack)}`
        assert.notInclude(shown, apiKey)
        assert.notInclude(shown, Redacted.value(Redacted.make(apiSecret)))
        assert.notInclude(shown, `${socket.asked[0]!.params["signature"]}`)
      })
    )
  )
})
