/**
 * What the exchange says about our account beside balances and orders: limits, filters, fees, and matches that
 * self-trade prevention prevented. Read by people and by `doctor`, never on an order's path.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { Decimal } from "../domain/Decimal.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import type { Filter } from "../domain/Instrument.ts"
import { decodeAnswer, decodeList } from "./answers.ts"
import type { BinanceError } from "./BinanceError.ts"
import { endpoints } from "./endpoints.ts"
import { given, givenId, Requests } from "./Requests.ts"
import { filterOf } from "./translate.ts"
import { Amount, Id, RateLimit, Time, word } from "./wire.ts"

export type OrderCount = RateLimit & { readonly count: number }

export interface AccountFilters {
  readonly exchange: ReadonlyArray<Filter>
  readonly symbol: ReadonlyArray<Filter>
  /** Of one order: at most so much of the asset, as quantity or as notional. */
  readonly assets: ReadonlyArray<{ readonly asset: string; readonly limit: Decimal }>
}

const Fees = Schema.Struct({ maker: Amount, taker: Amount, buyer: Amount, seller: Amount })
const Fee = Schema.Struct({
  symbol: Schema.String,
  standardCommission: Fees,
  specialCommission: Schema.optionalKey(Fees),
  taxCommission: Fees
})
export type Commission = typeof Fee.Type

export interface PreventedMatch {
  readonly preventedMatchId: string
  readonly symbol: string
  readonly takerOrderId: string
  readonly makerOrderId: string
  readonly mode: string
  readonly price: Decimal
  readonly at: EpochMillis
}

const Count = Schema.Struct({ ...RateLimit.fields, count: Schema.Int })
const Unread = Schema.Record(Schema.String, Schema.Unknown)
const Filters = Schema.Struct({
  exchangeFilters: Schema.Array(Unread),
  symbolFilters: Schema.Array(Unread),
  assetFilters: Schema.Array(Unread)
})
const AssetFilter = Schema.Struct({ filterType: Schema.Literal("MAX_ASSET"), asset: Schema.String, limit: Amount })
const isMaxAsset = Schema.decodeUnknownOption(AssetFilter)
const Prevented = Schema.Struct({
  symbol: Schema.String,
  preventedMatchId: Id,
  takerOrderId: Id,
  makerOrderId: Id,
  selfTradePreventionMode: Schema.String,
  price: Amount,
  transactTime: Time
})

export class AccountFacts extends Context.Service<
  AccountFacts,
  {
    /** How many orders of ours the exchange counts as unfilled, by window. */
    readonly orderCounts: Effect.Effect<ReadonlyArray<OrderCount>, BinanceError>
    readonly filters: (symbol: string) => Effect.Effect<AccountFilters, BinanceError>
    readonly commission: (symbol: string) => Effect.Effect<Commission, BinanceError>
    readonly preventedMatches: (
      query:
        | { readonly symbol: string; readonly preventedMatchId: string }
        | {
            readonly symbol: string
            readonly exchangeOrderId: string
            readonly fromId?: string
            readonly limit?: number
          }
    ) => Effect.Effect<ReadonlyArray<PreventedMatch>, BinanceError>
  }
>()("nexus/binance/AccountFacts") {
  static readonly layer = Layer.effect(
    AccountFacts,
    Effect.gen(function* () {
      const { signed } = yield* Requests

      return AccountFacts.of({
        orderCounts: Effect.flatMap(signed(endpoints.orderRateLimits, []), (answer) =>
          decodeList(endpoints.orderRateLimits, Count, answer)
        ),
        filters: Effect.fnUntraced(function* (symbol: string) {
          const answer = yield* signed(endpoints.myFilters, [["symbol", symbol]])
          const filters = yield* decodeAnswer(endpoints.myFilters, Filters, answer)
          return {
            exchange: filters.exchangeFilters.map(filterOf),
            symbol: filters.symbolFilters.map(filterOf),
            // Another kind of filter, unknown here, hides none of this kind.
            assets: filters.assetFilters.flatMap((filter) => {
              const known = isMaxAsset(filter)
              return known._tag === "None" ? [] : [{ asset: word(known.value.asset), limit: known.value.limit }]
            })
          }
        }),
        commission: (symbol) =>
          Effect.flatMap(signed(endpoints.commission, [["symbol", symbol]]), (answer) =>
            decodeAnswer(endpoints.commission, Fee, answer)
          ),
        preventedMatches: (query) => {
          const isOne = "preventedMatchId" in query
          const endpoint = isOne ? endpoints.preventedMatch : endpoints.preventedMatchesOfOrder
          const which = isOne
            ? givenId("preventedMatchId", query.preventedMatchId)
            : [
                ...givenId("orderId", query.exchangeOrderId),
                ...givenId("fromPreventedMatchId", query.fromId),
                ...given("limit", query.limit)
              ]
          return signed(endpoint, [["symbol", query.symbol], ...which]).pipe(
            Effect.flatMap((answer) => decodeList(endpoint, Prevented, answer)),
            Effect.map((matches) =>
              matches.map((match) => ({
                preventedMatchId: match.preventedMatchId,
                symbol: word(match.symbol),
                takerOrderId: match.takerOrderId,
                makerOrderId: match.makerOrderId,
                mode: word(match.selfTradePreventionMode),
                price: match.price,
                at: match.transactTime
              }))
            )
          )
        }
      })
    })
  )
}
