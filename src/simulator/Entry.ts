/**
 * One entry of the journal: all that one command changed, as absolute values, so that replaying it is assigning it.
 *
 * A snapshot is a run of the same entries; there is one way to read state back.
 */
import { accountCount, type Balance, ours } from "./Accounts.ts"
import type { Counterparties } from "./Counterparties.ts"
import type { Ledger, LedgerOrder } from "./Ledger.ts"
import type { Market, Matching } from "./Matching.ts"
import type { Trade, Trades } from "./Trades.ts"

export interface Entry {
  /** Forget everything before this one. */
  readonly reset?: boolean
  /** How many resets there were, and orders that they took away; only in a snapshot. */
  readonly life?: number
  readonly past?: ReadonlyArray<LedgerOrder>
  /** Per market by its place, orders as encoded lines. */
  readonly orders?: ReadonlyArray<readonly [number, ReadonlyArray<string>]>
  /** New rows of the trade table, in its order. */
  readonly trades?: ReadonlyArray<string>
  /** Account, asset, free, locked. */
  readonly balances?: ReadonlyArray<ReadonlyArray<string | number>>
  /** Per market: next order id, next trade id, last price, fair price. */
  readonly markets?: ReadonlyArray<ReadonlyArray<string | number>>
  /** Order lists that began or changed, as encoded lines. */
  readonly lists?: ReadonlyArray<string>
  /** Per market by its place, prevented matches and amendments that are new. */
  readonly prevented?: ReadonlyArray<readonly [number, ReadonlyArray<string>]>
  readonly amendments?: ReadonlyArray<readonly [number, ReadonlyArray<string>]>
  readonly executionId?: number
  readonly updateTime?: number
}

/** What one command changed. */
export interface Changes {
  readonly orders: ReadonlyArray<readonly [number, ReadonlyArray<string>]>
  readonly balances: ReadonlyArray<Balance>
  /** The first row of the trade table that no entry has yet. */
  readonly fromTrade: number
  readonly updateTime: number
}

/** One line of a snapshot holds this many orders or trades, so that no line grows without bound. */
const itemsPerEntry = 1_000

/** Takes along what is new of lists, prevented matches and amendments. */
export const writeEntry = (matching: Matching, counterparties: Counterparties, changes: Changes): Entry => ({
  ...some("lists", matching.contingencies.lists.takeChanges()),
  ...some(
    "prevented",
    perMarket(matching, ({ prevented }) => prevented.takeNew())
  ),
  ...some(
    "amendments",
    perMarket(matching, ({ amendments }) => amendments.takeNew())
  ),
  ...entryOf(matching, counterparties, changes)
})

const entryOf = (matching: Matching, counterparties: Counterparties, changes: Changes): Entry => ({
  orders: changes.orders,
  trades: tradeLines(matching.trades, changes.fromTrade, matching.trades.count),
  // What a counterparty has locked is free again at a restart: its quotes are made anew.
  balances: changes.balances.map(({ account, asset, free, locked }) =>
    account === ours ? [account, asset, String(free), String(locked)] : [account, asset, String(free + locked), "0"]
  ),
  markets: matching.markets.map((market) => [
    market.nextOrderId,
    market.nextTradeId,
    String(market.tape.lastPrice),
    String(counterparties.fairPrice(market))
  ]),
  executionId: matching.executionId,
  updateTime: changes.updateTime
})

/** Most entries have none of these. */
const some = <Name extends string, Item>(name: Name, items: ReadonlyArray<Item>) =>
  (items.length === 0 ? {} : { [name]: items }) as { readonly [_ in Name]?: ReadonlyArray<Item> }

const perMarket = (matching: Matching, linesOf: (market: Market) => ReadonlyArray<string>) =>
  matching.markets.map((market) => [market.index, linesOf(market)] as const).filter(([, lines]) => lines.length > 0)

export function* snapshotOf(
  matching: Matching,
  counterparties: Counterparties,
  updateTime: number
): Generator<Entry, void, void> {
  const { accounts, markets, trades } = matching
  for (let from = 0; from < trades.count; from += itemsPerEntry) {
    yield { trades: tradeLines(trades, from, Math.min(from + itemsPerEntry, trades.count)) }
  }
  for (const { index, orders } of markets) {
    let lines: Array<string> = []
    for (const line of orders.lines()) {
      lines.push(line)
      if (lines.length < itemsPerEntry) continue
      yield { orders: [[index, lines]] }
      lines = []
    }
    if (lines.length > 0) yield { orders: [[index, lines]] }
  }
  // With all of them written here, none is new any more.
  const { lists } = matching.contingencies
  lists.takeChanges()
  yield* inPieces(lists.lines(), (lines) => ({ lists: lines }))
  for (const { amendments, index, prevented } of markets) {
    prevented.takeNew()
    amendments.takeNew()
    yield* inPieces(prevented.lines(), (lines) => ({ prevented: [[index, lines]] }))
    yield* inPieces(amendments.lines(), (lines) => ({ amendments: [[index, lines]] }))
  }
  const balances = Array.from({ length: accountCount }, (_, account) => [...accounts.balancesOf(account)]).flat()
  yield entryOf(matching, counterparties, { orders: [], balances, fromTrade: trades.count, updateTime })
}

function* inPieces(
  lines: ReadonlyArray<string>,
  wrap: (lines: ReadonlyArray<string>) => Entry
): Generator<Entry, void, void> {
  for (let from = 0; from < lines.length; from += itemsPerEntry) yield wrap(lines.slice(from, from + itemsPerEntry))
}

/** What resets have taken away, for a snapshot. */
export function* pastOf({ life, past }: Ledger): Generator<Entry, void, void> {
  if (life === 0) return
  yield { life, past: [] }
  for (let from = 0; from < past.length; from += itemsPerEntry) {
    yield { life, past: past.slice(from, from + itemsPerEntry) }
  }
}

const tradeLines = (trades: Trades, from: number, to: number): Array<string> =>
  Array.from({ length: to - from }, (_, n) => writeTrade(trades.at(from + n)))

const writeTrade = (trade: Trade): string =>
  [
    trade.id,
    trade.orderId,
    trade.symbol,
    trade.price,
    trade.quantity,
    trade.quote,
    trade.commission,
    trade.isBuyer ? 1 : 0,
    trade.isMaker ? 1 : 0,
    trade.time,
    trade.isInBnb ? 1 : 0
  ].join("|")

const readTrade = (line: string): Trade | undefined => {
  const field = line.split("|")
  if (field.length !== 11) return undefined
  return {
    id: Number(field[0]),
    orderId: Number(field[1]),
    symbol: Number(field[2]),
    price: BigInt(field[3]!),
    quantity: BigInt(field[4]!),
    quote: BigInt(field[5]!),
    commission: BigInt(field[6]!),
    isBuyer: field[7] === "1",
    isMaker: field[8] === "1",
    time: Number(field[9]),
    isInBnb: field[10] === "1"
  }
}

/** Applies an entry; returns what is wrong with it, if anything. */
export const readEntry = (entry: Entry, matching: Matching, counterparties: Counterparties): string | undefined => {
  for (const line of entry.trades ?? []) {
    const trade = readTrade(line)
    if (trade === undefined) return "a trade without its eleven fields"
    matching.trades.add(trade)
  }
  for (const [index, lines] of entry.orders ?? []) {
    const market = matching.markets[index]
    if (market === undefined) return `an order of an unknown market (${index})`
    for (const line of lines) if (!market.orders.load(line)) return "an order that cannot be read"
  }
  for (const line of entry.lists ?? []) {
    if (!matching.contingencies.lists.load(line)) return "an order list that cannot be read"
  }
  for (const [index, lines] of entry.prevented ?? []) {
    const prevented = matching.markets[index]?.prevented
    if (prevented === undefined) return `a prevented match of an unknown market (${index})`
    for (const line of lines) if (!prevented.load(line)) return "a prevented match that cannot be read"
  }
  for (const [index, lines] of entry.amendments ?? []) {
    const amendments = matching.markets[index]?.amendments
    if (amendments === undefined) return `an amendment on an unknown market (${index})`
    for (const line of lines) if (!amendments.load(line)) return "an amendment that cannot be read"
  }
  for (const [account, asset, free, locked] of entry.balances ?? []) {
    matching.accounts.set(Number(account), String(asset), BigInt(free ?? 0), BigInt(locked ?? 0))
  }
  for (const [index, [orderId, tradeId, lastPrice, fairPrice]] of (entry.markets ?? []).entries()) {
    const market = matching.markets[index]
    if (market === undefined) return `an unknown market (${index})`
    market.nextOrderId = Number(orderId)
    market.nextTradeId = Number(tradeId)
    market.tape.lastPrice = BigInt(lastPrice ?? 0)
    counterparties.setFairPrice(market, BigInt(fairPrice ?? 0))
  }
  matching.executionId = entry.executionId ?? matching.executionId
  return undefined
}
