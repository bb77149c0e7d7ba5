/** What the account holds: from the stream where it runs, from the exchange's answer everywhere else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"
import { Balances } from "../../src/engine/Balances.ts"
import { ExchangeScript, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { scripted, streaming } from "./scripted.ts"

const holding = (asset: string, free: string, locked = "0") => ({
  asset,
  free: Decimal.decimal(free),
  locked: Decimal.decimal(locked)
})

const shown = Effect.flatMap(Balances, ({ read }) =>
  Effect.map(read, (held) =>
    held.map(({ asset, free, locked }) => `${asset} ${Decimal.format(free)} ${Decimal.format(locked)}`)
  )
)

const accountAnswers = Effect.flatMap(ExchangeScript, ({ asked }) => Effect.map(asked, ({ account = 0 }) => account))

describe("Balances", () => {
  it.live("follow the stream without another question, and forget nothing that the stream does not speak of", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* exchange.hold([holding("BTC", "1"), holding("ETH", "0"), holding("USDT", "1000.5", "7")])
      yield* streaming
      yield* exchange.news("lost")
      yield* exchange.news("live")
      // The check of the account, and two gaps of the stream: the exchange is not asked again behind the events below.
      yield* until(accountAnswers, (count) => count === 3)
      yield* until(shown, (held) => held.length === 2)
      yield* exchange.push({ _tag: "Positions", positions: [holding("USDT", "900", "107.5"), holding("BNB", "0.1")] })
      yield* until(shown, (held) => held.length === 3)
      const before = yield* accountAnswers

      yield* nexus.advance("1 hour")

      assert.deepStrictEqual(yield* shown, ["BNB 0.1 0", "BTC 1 0", "USDT 900 107.5"])
      assert.strictEqual(yield* accountAnswers, before)
    }).pipe(scripted([], { env: { NEXUS_RECONCILER_INTERVAL_MS: "86400000" } }))
  )

  it.live("a deposit, of which the stream tells no sum, is asked for", () =>
    Effect.gen(function* () {
      const exchange = yield* ExchangeScript
      yield* streaming
      yield* exchange.hold([holding("USDT", "1")])
      yield* exchange.news("lost")
      yield* exchange.news("live")
      yield* until(shown, (held) => held[0] === "USDT 1 0")
      yield* exchange.hold([holding("USDT", "51")])

      yield* exchange.push({ _tag: "BalancesMoved" })

      yield* until(shown, (held) => held[0] === "USDT 51 0")
    }).pipe(scripted([]))
  )

  it.live("without the stream are the exchange's answer, asked for once for all who ask within two seconds", () =>
    Effect.gen(function* () {
      const nexus = yield* TestNexus
      const exchange = yield* ExchangeScript
      yield* exchange.hold([holding("USDT", "1")])

      yield* Effect.forEach(Array.from({ length: 50 }), () => shown, { concurrency: 50 })
      assert.strictEqual(yield* accountAnswers, 1)
      yield* exchange.hold([holding("USDT", "2")])
      yield* nexus.advance("3 seconds")

      assert.deepStrictEqual(yield* shown, ["USDT 2 0"])
      assert.strictEqual(yield* accountAnswers, 2)
    }).pipe(scripted([], { roles: [] }))
  )
})
