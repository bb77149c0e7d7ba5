/** What is concluded of both orders of a replacement from each thing that an exchange may show of them, and when. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Replacement } from "../../src/binance/OrderChanges.ts"
import { isSettled, settleReplacement } from "../../src/binance/settleReplacement.ts"
import { decimal, format } from "../../src/domain/Decimal.ts"
import { answeringServer, clientLayer, json, refusal, type Reply } from "./AnsweringServer.ts"

const margins = { deltaMillis: 1_000, stalenessMillis: 1_000 }
const recvWindowMillis = 5_000

const replacementAt = (timestamp: number, mode: Replacement["mode"], exchangeOrderId: string | null): Replacement => ({
  cancel: {
    symbol: "BTCUSDT",
    clientOrderId: "nx-old",
    ...(exchangeOrderId === null ? {} : { exchangeOrderId })
  },
  cancelId: "nx-cancel",
  mode,
  submission: {
    clientOrderId: "nx-new",
    request: {
      symbol: "BTCUSDT",
      side: "BUY",
      type: "LIMIT",
      timeInForce: "GTC",
      quantity: decimal("0.5"),
      quoteQuantity: null,
      price: decimal("51000"),
      validUntil: null
    },
    timestamp,
    recvWindowMillis
  }
})

const row = (orderId: number, clientOrderId: string, status: string, executedQty = "0.00000000") => ({
  symbol: "BTCUSDT",
  orderId,
  clientOrderId,
  price: clientOrderId === "nx-new" ? "51000.00000000" : "50000.00000000",
  origQty: "0.50000000",
  executedQty,
  cummulativeQuoteQty: "0.00000000",
  status,
  type: "LIMIT",
  side: "BUY",
  time: Date.now() - 50_000,
  updateTime: Date.now() - 50_000
})
type Row = ReturnType<typeof row>

const open = row(11, "nx-old", "NEW")
const half = row(11, "nx-old", "PARTIALLY_FILLED", "0.20000000")
const cancelled = row(11, "nx-old", "CANCELED")
const cancelledHalf = row(11, "nx-old", "CANCELED", "0.20000000")
const filled = row(11, "nx-old", "FILLED", "0.50000000")
const placed = row(12, "nx-new", "NEW")
const archived = refusal(400, -2026, "Order was canceled or expired with no executed qty over 90 days ago.")
const absent = refusal(400, -2013, "Order does not exist.")

interface Case {
  readonly shows: string
  /** Asked after the moment from which a no is conclusive; else before it. */
  readonly late?: true
  readonly mode?: Replacement["mode"]
  readonly old: Row | Reply
  readonly next: Row | Reply
  /** What the history says of the old order; as `old` unless said. */
  readonly history?: ReadonlyArray<Row>
  /** What the symbol's lists show besides. */
  readonly lists?: ReadonlyArray<Row>
  /** The exchange's own id of the old order was not written down. */
  readonly unnamed?: true
  readonly truth: readonly [old: string, next: string]
}

const late = { late: true } as const
const cases: ReadonlyArray<Case> = [
  { shows: "the one cancelled and the other placed", old: cancelled, next: placed, truth: ["Ended 0", "Placed 0"] },
  { shows: "neither changed yet", old: open, next: absent, truth: ["InDoubt", "InDoubt"] },
  {
    shows: "neither changed, when it must show it",
    ...late,
    old: open,
    next: absent,
    truth: ["Stands 0", "NeverPlaced"]
  },
  { shows: "the cancel alone", old: cancelled, next: absent, truth: ["Ended 0", "InDoubt"] },
  {
    shows: "the cancel alone, when it must show more",
    ...late,
    old: cancelled,
    next: absent,
    truth: ["Ended 0", "NeverPlaced"]
  },
  {
    shows: "the old one filled in part, and cancelled",
    ...late,
    old: cancelledHalf,
    next: absent,
    truth: ["Ended 0.2", "NeverPlaced"]
  },
  { shows: "the old one filled first", ...late, old: filled, next: absent, truth: ["Ended 0.5", "NeverPlaced"] },
  { shows: "the old one filled first, too early", old: filled, next: absent, truth: ["Ended 0.5", "InDoubt"] },
  {
    shows: "the old one filled in part, and standing",
    ...late,
    old: half,
    next: absent,
    truth: ["Stands 0.2", "NeverPlaced"]
  },
  {
    shows: "the new one in its lists alone",
    ...late,
    old: cancelled,
    next: absent,
    lists: [placed],
    truth: ["Ended 0", "Placed 0"]
  },
  {
    shows: "the cancel in its history alone",
    ...late,
    old: half,
    history: [cancelledHalf],
    next: placed,
    truth: ["Ended 0.2", "Placed 0"]
  },
  {
    shows: "an old order that stands beside a new one, which could not be without its end",
    ...late,
    old: open,
    next: placed,
    truth: ["InDoubt", "Placed 0"]
  },
  {
    shows: "both, where the new one was to be tried in any case",
    ...late,
    mode: "ALLOW_FAILURE",
    old: open,
    next: placed,
    truth: ["Stands 0", "Placed 0"]
  },
  {
    shows: "an old order that its history lacks",
    ...late,
    old: open,
    history: [],
    next: absent,
    truth: ["InDoubt", "NeverPlaced"]
  },
  {
    shows: "neither, after a reset",
    ...late,
    old: absent,
    history: [],
    next: absent,
    truth: ["Forgotten", "Forgotten"]
  },
  { shows: "neither, and too early to say", old: absent, history: [], next: absent, truth: ["InDoubt", "InDoubt"] },
  {
    shows: "neither, and the old one's own id is not known",
    ...late,
    unnamed: true,
    old: absent,
    next: absent,
    truth: ["InDoubt", "InDoubt"]
  },
  { shows: "that it has archived both", ...late, old: archived, next: archived, truth: ["Archived", "Archived"] },
  {
    shows: "another order under the new id",
    old: cancelled,
    next: { ...placed, origQty: "0.40000000" },
    truth: ["Ended 0", "Another"]
  }
]

const shown = (reply: Row | Reply): Reply => (typeof reply === "object" && "orderId" in reply ? json(reply) : reply)

describe("a replacement whose answer nobody has", () => {
  for (const one of cases) {
    it.live(`is settled when the exchange shows ${one.shows}${one.late === true ? ", late" : ""}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const server = yield* answeringServer
          server.answer("GET /api/v3/order", ({ query }) =>
            shown(query.get("origClientOrderId") === "nx-old" ? one.old : one.next)
          )
          server.answer("GET /api/v3/allOrders", ({ query }) => {
            if (query.get("orderId") === null) return json(one.lists ?? [])
            return json(one.history ?? (typeof one.old === "object" && "orderId" in one.old ? [one.old] : []))
          })
          server.answer("GET /api/v3/openOrders", () => json(one.lists ?? []))
          server.answer("GET /api/v3/myTrades", () => json([]))
          const timestamp = Date.now() - (one.late === true ? 60_000 : 0)
          const replacement = replacementAt(
            timestamp,
            one.mode ?? "STOP_ON_FAILURE",
            one.unnamed === true ? null : "11"
          )

          const settled = yield* Effect.provide(settleReplacement(replacement, margins), clientLayer(server.url))

          const words = [settled.old, settled.next].map((order) =>
            "report" in order ? `${order._tag} ${format(order.report.executedQuantity)}` : order._tag
          )
          assert.deepStrictEqual(words, [...one.truth])
          assert.strictEqual(isSettled(settled), !one.truth.includes("InDoubt"))
          assert.isTrue(server.asked.every(({ method }) => method === "GET"))
          for (const order of [settled.old, settled.next]) {
            if (order._tag !== "InDoubt") continue
            assert.isAtLeast(order.notBefore, timestamp + recvWindowMillis + 2_000)
          }
        })
      )
    )
  }

  const unanswered: ReadonlyArray<readonly [string, string]> = [
    ["the questions themselves", "GET /api/v3/order"],
    ["one of the lists", "GET /api/v3/myTrades"]
  ]
  for (const [what, endpoint] of unanswered) {
    it.live(`stays in doubt when ${what} cannot be asked`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const server = yield* answeringServer
          server.answer("GET /api/v3/order", ({ query }) =>
            query.get("origClientOrderId") === "nx-old" ? json(cancelled) : absent
          )
          for (const list of ["allOrders", "openOrders", "myTrades"])
            server.answer(`GET /api/v3/${list}`, () => json([]))
          server.answer(endpoint, () => ({ status: 503, body: "<html>" }))

          const asking = settleReplacement(replacementAt(Date.now() - 60_000, "STOP_ON_FAILURE", "11"), margins)
          const error = yield* Effect.flip(Effect.provide(asking, clientLayer(server.url)))

          assert.strictEqual(error.reason._tag, "OutcomeUnknown")
        })
      )
    )
  }
})
