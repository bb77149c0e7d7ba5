/**
 * The exchange's request budget and its stops, shared by all replicas of a store.
 *
 * Shares are handed out by one function of PostgreSQL under the lock of the window's row, so that what is handed out
 * and what the exchange has counted never exceed the limit. Reports carry a number that grows, so that one which
 * arrives late, after its time-out, changes nothing. Stops are kept by PostgreSQL's clock and outlive all processes.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Database } from "./Database.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

/** Moments are milliseconds on the exchange's clock; amounts are in the unit of the limit. */
export interface ShareAsk {
  readonly name: string
  readonly window: number
  /** As the replica has learnt; null: it has not yet. */
  readonly allowed: number | null
  readonly told: { readonly count: number; readonly from: number; readonly at: number } | null
  readonly keep: number
  readonly wants: ReadonlyArray<{ readonly ceiling: number; readonly amount: number }>
}

const Int8 = Schema.Int
const ShareRow = Schema.Struct({
  name: Schema.String,
  window: Int8,
  granted: Int8,
  /** 0: nobody has learnt it. */
  allowed: Int8,
  counted: Int8,
  from: Int8,
  at: Int8,
  others: Int8
})
const StopRow = Schema.Struct({ scope: Schema.Literals(["all", "orders"]), millis: Schema.Int })

const decodeShares = Schema.decodeUnknownSync(Schema.Array(ShareRow))
const decodeStops = Schema.decodeUnknownSync(Schema.Array(StopRow))

export type ShareRow = typeof ShareRow.Type

export class Limits extends Context.Service<
  Limits,
  {
    /** `turn` grows with each call of a replica. */
    readonly take: (
      me: string,
      turn: number,
      asks: ReadonlyArray<ShareAsk>
    ) => Effect.Effect<ReadonlyArray<ShareRow>, StoreUnavailable>
    /** The exchange wants to hear nothing for so long. A longer stop that is known already stays. */
    readonly stop: (scope: "all" | "orders", millis: number) => Effect.Effect<void, StoreUnavailable>
    /** How long the stops last from now on, in milliseconds; 0: there is none. */
    readonly stops: Effect.Effect<{ readonly all: number; readonly orders: number }, StoreUnavailable>
  }
>()("nexus/sql/Limits") {
  static readonly layer = Layer.effect(
    Limits,
    Effect.gen(function* () {
      const sql = (yield* Database).side

      const take = Effect.fnUntraced(function* (me: string, turn: number, asks: ReadonlyArray<ShareAsk>) {
        // In whole numbers: the columns are, and a moment earlier or later decides nothing.
        const told = (ask: ShareAsk) =>
          ask.told === null
            ? null
            : { count: ask.told.count, from: Math.floor(ask.told.from), at: Math.ceil(ask.told.at) }
        const text = JSON.stringify(asks.map((ask) => ({ ...ask, told: told(ask) })))
        const rows = yield* answerOf(sql`
          select name, window_number::float8 as window, granted::float8 as granted, allowed::float8 as allowed, counted::float8 as counted,
              counted_from::float8 as "from", counted_at::float8 as at, others::float8 as others
            from take_shares(${me}, ${turn}::float8::bigint, ${text}::text::jsonb)`)
        return decodeShares(rows)
      })

      const stop = Effect.fnUntraced(function* (scope: "all" | "orders", millis: number) {
        yield* answerOf(sql`
          insert into limit_stops (scope, until)
            values (${scope}, clock_timestamp() + ${Math.ceil(millis)}::float8 * interval '1 millisecond')
            on conflict (scope) do update set until = greatest(limit_stops.until, excluded.until)`)
      })

      const stops = Effect.gen(function* () {
        const rows = yield* answerOf(sql`
          select scope, ceil(extract(epoch from until - clock_timestamp()) * 1000)::float8 as millis
            from limit_stops where until > clock_timestamp()`)
        const found = decodeStops(rows)
        const of = (scope: "all" | "orders") => found.find((row) => row.scope === scope)?.millis ?? 0
        return { all: of("all"), orders: of("orders") }
      })

      return Limits.of({ take, stop, stops })
    })
  )
}
