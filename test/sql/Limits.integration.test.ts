/** What replicas share of the exchange's budget, on a real PostgreSQL: never more than there is, and nothing lost for long. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import { Database } from "../../src/sql/Database.ts"
import { Limits, type ShareAsk } from "../../src/sql/Limits.ts"
import { makeShareLedger } from "../binance/ShareLedger.ts"
import { dice } from "../dice.ts"
import { asAdministrator, freshDatabase, limitsForTests } from "../harness/template.ts"

const withLimits = <A, E>(use: (limits: Limits["Service"], url: string) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const url = yield* freshDatabase(inject("pgUrl"))
      const layer = Limits.layer.pipe(
        Layer.provide(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests }))
      )
      return yield* Effect.provide(
        Effect.flatMap(Limits, (limits) => use(limits, url)),
        layer
      )
    })
  )

const limit = 100

const ask = (amount: number, more: Partial<ShareAsk> = {}): ShareAsk => ({
  name: "ORDERS/10000",
  window: 7,
  allowed: null,
  told: null,
  keep: 0,
  wants: [{ ceiling: limit, amount }],
  ...more
})

describe("the shares of a window", () => {
  it.live("never add up to more than the limit, however many ask at once", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const replicas = Array.from({ length: 20 }, (_, index) => `replica-${index}`)
        const keep = new Map(replicas.map((me) => [me, 0]))
        const asking = (me: string, turn: number) =>
          Effect.map(limits.take(me, turn, [ask(3, { keep: keep.get(me)! })]), ([row]) =>
            keep.set(me, keep.get(me)! + row!.granted)
          )

        for (let turn = 1; turn <= 4; turn++) {
          yield* Effect.forEach(replicas, (me) => asking(me, turn), { concurrency: "unbounded" })
        }

        assert.strictEqual(
          [...keep.values()].reduce((sum, held) => sum + held, 0),
          limit
        )
      })
    )
  )

  it.live("leave room for what the exchange has counted, whoever used it", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const told = { count: 60, from: 70_100, at: 70_150 }

        const [first] = yield* limits.take("a", 1, [ask(50, { told })])
        const [second] = yield* limits.take("b", 1, [ask(50)])

        assert.deepStrictEqual([first!.granted, second!.granted, second!.counted, second!.others], [40, 0, 60, 40])
      })
    )
  )

  it.live("come with the limit itself, which whoever has just started has not learnt", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const [unknown] = yield* limits.take("a", 1, [ask(0)])
        yield* limits.take("a", 2, [ask(0, { allowed: 300 })])

        const [told] = yield* limits.take("b", 1, [ask(0)])

        assert.deepStrictEqual([unknown!.allowed, told!.allowed], [0, 300])
      })
    )
  )

  it.live("come back when they were not needed", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.take("a", 1, [ask(100)])
        yield* limits.take("a", 2, [ask(0, { keep: 10 })])

        const [row] = yield* limits.take("b", 1, [ask(100)])

        assert.strictEqual(row!.granted, 90)
      })
    )
  )

  it.live("are handed out as the ledger does that stands for the store in tests of the accounts", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const ledger = makeShareLedger()
        const roll = dice(7)
        const below = (bound: number) => Math.floor(roll() * bound)
        for (let turn = 1; turn <= 300; turn++) {
          const me = `replica-${below(3)}`
          const asks = [0, 1].map((name): ShareAsk => {
            const from = 1_000 + below(200)
            return {
              name: `LIMIT/${name}`,
              window: 7 + below(2),
              allowed: below(4) === 0 ? limit : null,
              told: below(3) === 0 ? { count: below(60), from, at: from + below(60) } : null,
              keep: below(40),
              wants: [
                { ceiling: limit, amount: below(20) },
                { ceiling: 60, amount: below(20) }
              ]
            }
          })
          // A report that was overtaken by a later one of the same replica changes nothing.
          const number = below(8) === 0 ? Math.max(1, turn - 20) : turn

          const rows = yield* limits.take(me, number, asks)

          assert.deepStrictEqual(
            rows.map(({ allowed, at, counted, from, ...row }) => ({
              ...row,
              allowed: allowed === 0 ? null : allowed,
              told: at === 0 ? null : { count: counted, from, at }
            })),
            ledger.take(me, number, asks, 0).map((granted) => ({ ...granted }))
          )
        }
      })
    )
  )

  it.live("of a replica that died are free in the next window, and in a long one after a minute", () =>
    withLimits((limits, url) =>
      Effect.gen(function* () {
        yield* limits.take("dead", 1, [ask(100)])
        const [next] = yield* limits.take("b", 1, [ask(100, { window: 8 })])
        yield* asAdministrator(
          url,
          (sql) => sql`update limit_shares set seen_at = seen_at - interval '61 seconds' where replica = 'dead'`
        )

        const [same] = yield* limits.take("b", 2, [ask(100)])

        assert.deepStrictEqual([next!.granted, same!.granted], [100, 100])
      })
    )
  )

  it.live("are not changed by a report that comes late", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.take("a", 2, [ask(80)])

        const [late] = yield* limits.take("a", 1, [ask(5)])
        const [other] = yield* limits.take("b", 1, [ask(100)])

        assert.deepStrictEqual([late!.granted, other!.granted], [0, 20])
      })
    )
  )

  it.live("go to cancels beyond the ceiling of the others", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        const wants = [
          { ceiling: 100, amount: 30 },
          { ceiling: 95, amount: 0 },
          { ceiling: 80, amount: 90 }
        ]

        const [row] = yield* limits.take("a", 1, [ask(0, { wants })])
        const [other] = yield* limits.take("b", 1, [ask(0, { wants })])

        // 30 for cancels and what then is left below 80; the other one gets what is left for cancels.
        assert.deepStrictEqual([row!.granted, other!.granted], [80, 20])
      })
    )
  )

  it.live("follow a count that falls, unless the answer that tells it was overtaken", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.take("a", 1, [ask(0, { told: { count: 100, from: 70_000, at: 70_100 } })])
        const [overtaken] = yield* limits.take("b", 1, [ask(0, { told: { count: 40, from: 70_050, at: 70_200 } })])

        const [later] = yield* limits.take("b", 2, [ask(100, { told: { count: 50, from: 70_150, at: 70_300 } })])

        assert.deepStrictEqual([overtaken!.counted, later!.counted, later!.granted], [100, 50, 50])
      })
    )
  )

  it.live("leave no rows behind for windows that are long over", () =>
    withLimits((limits, url) =>
      Effect.gen(function* () {
        for (let window = 1; window <= 20; window++) yield* limits.take("a", window, [ask(1, { window })])

        const rows = yield* asAdministrator(url, (sql) => sql`select window_number from limit_shares`)

        assert.isAtMost(rows.length, 3)
      })
    )
  )
})

describe("a stop", () => {
  it.live("is seen by all, by the longest word, and ends by itself", () =>
    withLimits((limits) =>
      Effect.gen(function* () {
        yield* limits.stop("all", 400)
        yield* limits.stop("all", 100)
        yield* limits.stop("orders", 60_000)
        const first = yield* limits.stops

        const begun = performance.now()
        while ((yield* limits.stops).all > 0) yield* Effect.sleep(20)

        assert.isAbove(first.all, 200)
        assert.isAbove(performance.now() - begun, first.all - 50)
        assert.approximately((yield* limits.stops).orders, 60_000, 5_000)
      })
    )
  )
})
