/**
 * What is said of an order against what the other side saw, over both ways and under everything that can go wrong there:
 * NotSent only of orders of which nothing arrived, no order twice, and no refusal that nobody gave.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import type { Submission } from "../../src/binance/BinanceClient.ts"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { dice } from "../dice.ts"
import { answeringServer, clientLayer, type ClientOptions, type Reply } from "./AnsweringServer.ts"
import { type FrameReply, requestServer } from "./RequestServer.ts"

/** Each round has a client of its own: its circuit opens after a few failures and then keeps the others from going. */
const rounds = 12
const ordersPerRound = 40
const atOnce = 8
const seeds = [1, 2]

type Fate = "taken" | "refused" | "failed" | "cut" | "late" | "going"
const fateOf = (roll: number): Fate => {
  if (roll < 0.7) return "taken"
  if (roll < 0.8) return "refused"
  if (roll < 0.85) return "failed"
  if (roll < 0.9) return "cut"
  return roll < 0.95 ? "late" : "going"
}

const placed = (clientOrderId: string) => ({
  symbol: "BTCUSDT",
  orderId: 12,
  clientOrderId,
  transactTime: 1_700_000_000_200,
  executedQty: "0.00000000",
  cummulativeQuoteQty: "0.00000000",
  status: "NEW",
  fills: []
})
const refusal = { code: -2010, msg: "Account has insufficient balance for requested action." }

const submissionOf = (clientOrderId: string): Submission => ({
  clientOrderId,
  request: {
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    timeInForce: "GTC",
    quantity: decimal("1"),
    quoteQuantity: null,
    price: decimal("1"),
    validUntil: null
  },
  timestamp: 1_700_000_000_123,
  recvWindowMillis: 4_000
})

const oneRound = (round: number) =>
  Effect.gen(function* () {
    const client = yield* BinanceClient
    return yield* Effect.forEach(
      Array.from({ length: ordersPerRound }, (_, at) => `nx-${round}-${at}`),
      (id) =>
        client.readyToSubmit.pipe(
          Effect.flatMap((permit) => client.placeOrder(submissionOf(id), permit)),
          Effect.result,
          Effect.map((result) => [id, Result.isSuccess(result) ? "Accepted" : result.failure.reason._tag] as const)
        ),
      { concurrency: atOnce }
    )
  })

const attempts = Effect.fnUntraced(function* (baseUrl: string, options: ClientOptions) {
  const said: Array<readonly [id: string, what: string]> = []
  for (let round = 0; round < rounds; round++) {
    said.push(...(yield* Effect.provide(oneRound(round), clientLayer(baseUrl, options))))
  }
  return said
})

const judge = (
  said: ReadonlyArray<readonly [id: string, what: string]>,
  seen: ReadonlyArray<readonly [string, Fate]>
) => {
  const fates = new Map(seen)
  assert.strictEqual(fates.size, seen.length, "an order was sent twice")
  for (const [id, what] of said) {
    const fate = fates.get(id)
    switch (what) {
      case "NotSent":
        assert.isUndefined(fate, id)
        break
      case "Accepted":
        assert.include(["taken", "going"], fate, id)
        break
      case "Refused":
        assert.strictEqual(fate, "refused", id)
        break
      default:
        assert.strictEqual(what, "OutcomeUnknown", id)
    }
  }
  // All of it happened: every fate there, and every word here.
  assert.strictEqual(new Set(fates.values()).size, 6)
  assert.deepStrictEqual([...new Set(said.map(([, what]) => what))].toSorted(), [
    "Accepted",
    "NotSent",
    "OutcomeUnknown",
    "Refused"
  ])
}

describe("what is said of an order", () => {
  for (const seed of seeds) {
    it.live(`is true over REST, seed ${seed}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const roll = dice(seed)
          const server = yield* answeringServer
          const seen: Array<readonly [string, Fate]> = []
          server.answer("POST /api/v3/order", ({ query }): Reply => {
            const id = query.get("newClientOrderId") ?? ""
            const fate = fateOf(roll())
            seen.push([id, fate])
            if (fate === "cut") return roll() < 0.5 ? "cut" : "cut within the body"
            if (fate === "late") return "silence"
            if (fate === "failed") return { status: 503, body: "<html>" }
            if (fate === "refused") return { status: 400, body: JSON.stringify(refusal) }
            // A server may close a connection whenever it likes after an answer.
            const headers: Record<string, string> = fate === "going" ? { connection: "close" } : {}
            return { status: 200, body: JSON.stringify(placed(id)), headers }
          })

          judge(yield* attempts(server.url, { timeoutMillis: 60 }), seen)
        })
      )
    )

    it.live(`is true over the WebSocket API, seed ${seed}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const roll = dice(seed)
          const rest = yield* answeringServer
          const server = yield* requestServer
          const seen: Array<readonly [string, Fate]> = []
          server.answer(({ params }): FrameReply => {
            const id = `${params["newClientOrderId"]}`
            const fate = fateOf(roll())
            seen.push([id, fate])
            if (fate === "cut") return "cut"
            if (fate === "late") return "silence"
            if (fate === "failed") return { status: 500, error: { code: -1000, msg: "" } }
            if (fate === "refused") return { status: 400, error: refusal }
            if (fate === "going") server.say(JSON.stringify({ event: { e: "serverShutdown", E: 1 } }))
            return { status: 200, result: placed(id) }
          })
          const options = { timeoutMillis: 60, wsApiUrl: server.url, maxInFlight: atOnce }

          judge(yield* attempts(rest.url, options), seen)
        })
      )
    )
  }
})
