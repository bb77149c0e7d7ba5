/**
 * The tables of Binance's FAQ about the unfilled order count, row by row, with real orders on a clock that is moved:
 * what the exchange counts and gives back by itself when they rest, trade, are cancelled or expire.
 */
import { assert, describe, it } from "@effect/vitest"
import { format } from "../../src/simulator/Amount.ts"
import { Exchange } from "../../src/simulator/Exchange.ts"
import { defaultBalances, symbolsOf } from "../../src/simulator/Market.ts"
import { endpoints } from "../../src/simulator/endpoints.ts"
import { Parameters } from "../../src/simulator/Parameters.ts"
import { isRefusal } from "../../src/simulator/Refusal.ts"
import { Service } from "../../src/simulator/Service.ts"

const midnight = Date.UTC(2026, 10, 25)
const second = 1_000
const day = 86_400 * second

const open = () => {
  let millis = midnight
  const now = () => millis
  const exchange = new Exchange({ symbols: symbolsOf("off"), seed: 7, clock: now, balances: defaultBalances })
  const service = new Service({
    exchange,
    now,
    accountUid: 1,
    credentials: { apiKey: "key", apiSecret: "secret" },
    limits: "real",
    latencyMillis: 0,
    seed: 7,
    journal: undefined
  })
  exchange.fund()
  exchange.open()
  const market = exchange.matching.market("BTCUSDT")!
  const ask = format(market.book.best("SELL")!.price)

  const send = (request: string, sent: Readonly<Record<string, string>>): void => {
    const endpoint = endpoints.find(({ rest }) => rest === request)!
    const values = new Map(Object.entries({ symbol: "BTCUSDT", ...sent }))
    const answer = service.perform(endpoint.read(new Parameters(values)))
    if (isRefusal(answer)) throw new Error(answer.message)
  }
  const place = (id: string, more: Readonly<Record<string, string>>): void =>
    send("POST /api/v3/order", { side: "BUY", newClientOrderId: id, ...more })
  const limit = { type: "LIMIT", timeInForce: "GTC", quantity: "1" }

  return {
    at: (time: number) => {
      millis = time
    },
    counts: () => service.limits.orderCounts(millis),
    /** Below the market: it waits. */
    rest: (id: string) => place(id, { ...limit, price: "60000" }),
    /** More than the best price has: it trades a part at once and waits with the rest. */
    cross: (id: string) => place(id, { ...limit, quantity: "10", price: ask }),
    take: (id: string) => place(id, { type: "MARKET", quantity: "0.01" }),
    fillOrKill: (id: string, price: "good" | "bad") =>
      place(id, {
        type: "LIMIT",
        timeInForce: "FOK",
        quantity: "0.01",
        price: price === "good" ? "66000" : "60000"
      }),
    cancel: (id: string) => send("DELETE /api/v3/order", { origClientOrderId: id }),
    /** The market comes to the order, to a part of it or to all. */
    fill: (id: string, share: "part" | "whole") => {
      const order = exchange.lookUp(market, { orderId: undefined, clientOrderId: id })!
      service.outside(() => exchange.fill(market, order, share))
    }
  }
}

type Desk = ReturnType<typeof open>
type Row = readonly [at: number, what: string, act: (desk: Desk) => void, count: number]

const tables: ReadonlyArray<readonly [name: string, rows: ReadonlyArray<Row>]> = [
  [
    "orders that fill as taker",
    [
      [1, "A is placed", ({ rest }) => rest("A"), 1],
      [2, "B is placed and partially filled as taker", ({ cross }) => cross("B"), 1],
      [3, "C is placed", ({ rest }) => rest("C"), 2],
      [4, "B is partially filled again", ({ fill }) => fill("B", "part"), 2],
      [4, "B is filled", ({ fill }) => fill("B", "whole"), 2],
      [5, "D is placed and filled", ({ take }) => take("D"), 2]
    ]
  ],
  [
    "orders that fill as maker",
    [
      ...["A", "B", "C", "D", "E"].map((id, n): Row => [1, `${id} is placed`, ({ rest }: Desk) => rest(id), n + 1]),
      [3, "A is partially filled as maker", ({ fill }) => fill("A", "part"), 0],
      [4, "F is placed", ({ rest }) => rest("F"), 1],
      [4, "G is placed", ({ rest }) => rest("G"), 2],
      [5, "A is partially filled again", ({ fill }) => fill("A", "part"), 2],
      [5, "A is filled", ({ fill }) => fill("A", "whole"), 2],
      [5, "B is partially filled as maker", ({ fill }) => fill("B", "part"), 0],
      [6, "H is placed", ({ rest }) => rest("H"), 1]
    ]
  ],
  [
    "orders that are cancelled or expire",
    [
      [1, "A is placed", ({ rest }) => rest("A"), 1],
      [2, "A is cancelled", ({ cancel }) => cancel("A"), 1],
      [3, "B is placed", ({ rest }) => rest("B"), 2],
      [4, "C is placed FOK and filled", ({ fillOrKill }) => fillOrKill("C", "good"), 2],
      [5, "D is placed", ({ rest }) => rest("D"), 3],
      [6, "E is placed FOK and expires", ({ fillOrKill }) => fillOrKill("E", "bad"), 4],
      [7, "D is cancelled", ({ cancel }) => cancel("D"), 4],
      [8, "F is placed", ({ rest }) => rest("F"), 5]
    ]
  ]
]

describe("the unfilled order count", () => {
  it.each(tables)("of %s", (_, rows) => {
    const desk = open()
    for (const [at, what, act, count] of rows) {
      desk.at(midnight + at * second)
      act(desk)

      assert.deepStrictEqual(desk.counts(), [count, count], what)
    }
  })

  it("begins anew at midnight, and fills of yesterday's orders give back of today's", () => {
    const desk = open()
    desk.at(midnight - 2 * second)
    for (let n = 0; n < 5; n++) desk.rest(`yesterday-${n}`)
    const before = desk.counts()
    desk.at(midnight)
    const fresh = desk.counts()
    for (let n = 0; n < 10; n++) desk.rest(`today-${n}`)
    const placed = desk.counts()
    desk.fill("yesterday-0", "whole")
    const after = desk.counts()
    desk.at(midnight + 10 * second)

    assert.deepStrictEqual(
      [before, fresh, placed, after],
      [
        [5, 5],
        [0, 0],
        [10, 10],
        [5, 5]
      ]
    )
    assert.deepStrictEqual(desk.counts(), [0, 5])
    desk.at(midnight + day)
    assert.deepStrictEqual(desk.counts(), [0, 0])
  })
})
