/**
 * The budget's shares in memory, handed out by the rule of `take_shares`, to which test/sql/Limits.integration compares
 * it: for many windows in a moment, under a clock that the test moves.
 */
import { Clock, Effect, Layer } from "effect"
import { type Ask, BudgetShares, BudgetUnavailable, type Granted, type Told } from "../../src/binance/BudgetShares.ts"

interface Row {
  allowed: number
  told: Told | null
  readonly held: Map<string, { readonly amount: number; readonly turn: number; readonly at: number }>
}

/** After so long without a report a replica's share may be handed to others. */
const shareLifeMillis = 60_000

export const makeShareLedger = () => {
  const rows = new Map<string, Row>()

  const takeOne = (me: string, turn: number, ask: Ask, now: number): Granted => {
    const key = `${ask.name} ${ask.window}`
    const row: Row = rows.get(key) ?? { allowed: 0, told: null, held: new Map() }
    rows.set(key, row)
    row.allowed = ask.allowed ?? row.allowed
    const told = ask.told === null ? null : { ...ask.told, from: Math.floor(ask.told.from), at: Math.ceil(ask.told.at) }
    if (told !== null && (row.told === null || told.from > row.told.at || told.count > row.told.count)) row.told = told
    let others = 0
    for (const [replica, { amount, at }] of row.held) {
      if (replica !== me && at > now - shareLifeMillis) others += amount
    }
    const used = (row.told?.count ?? 0) + others + ask.keep
    const isLate = (row.held.get(me)?.turn ?? 0) >= turn
    let granted = 0
    for (const { amount, ceiling } of ask.wants) granted += Math.max(0, Math.min(amount, ceiling - used - granted))
    if (isLate) granted = 0
    else row.held.set(me, { amount: ask.keep + granted, turn, at: now })
    return {
      name: ask.name,
      window: ask.window,
      granted,
      allowed: row.allowed === 0 ? null : row.allowed,
      told: row.told,
      others
    }
  }

  const take = (me: string, turn: number, asks: ReadonlyArray<Ask>, now: number): ReadonlyArray<Granted> =>
    asks
      .toSorted((a, b) => a.name.localeCompare(b.name) || a.window - b.window)
      .map((ask) => takeOne(me, turn, ask, now))

  /** A replica's way to it, there and back in `millis`; while `isCut`, its reports fail before they arrive. */
  const portOf = (me: string, millis: number, isCut: () => boolean = () => false) => {
    let turn = 0
    return Layer.succeed(
      BudgetShares,
      BudgetShares.of({
        exchange: (asks) =>
          Effect.gen(function* () {
            const mine = ++turn
            yield* Effect.sleep(millis / 2)
            if (isCut()) return yield* new BudgetUnavailable({ detail: "cut" })
            const granted = take(me, mine, asks, yield* Clock.currentTimeMillis)
            yield* Effect.sleep(millis / 2)
            return { granted, stops: { allMillis: 0, ordersMillis: 0 } }
          })
      })
    )
  }

  return { take, portOf }
}
