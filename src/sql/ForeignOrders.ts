/**
 * Orders at the exchange, under our keys, that this store never sent, as the last looks and the user stream
 * have shown them. Any replica reads them; what is written moves an order only forward, so that looks of
 * several replicas may come in any order.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import type { EpochMillis } from "../domain/Ids.ts"
import { Int8 } from "./LogRows.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

const ForeignOrder = Schema.Struct({
  /** The exchange's own id; unique within its symbol. */
  id: Schema.String,
  clientOrderId: Schema.String,
  symbol: Schema.String,
  side: Schema.String,
  type: Schema.String,
  /** Decimals as text. */
  quantity: Schema.String,
  executed: Schema.String,
  /** The exchange's word; UNKNOWN: it was open and is listed no more. */
  status: Schema.String,
  isOpen: Schema.Boolean,
  /** When the exchange was first seen to have it. */
  since: Int8
})
export type ForeignOrder = typeof ForeignOrder.Type

const decodeOrders = Schema.decodeUnknownSync(Schema.Array(ForeignOrder))

export class ForeignOrders extends Context.Service<
  ForeignOrders,
  {
    /** Keeps what was seen of them; older news than what is known changes nothing. */
    readonly save: (
      orders: ReadonlyArray<Omit<ForeignOrder, "since">>,
      at: EpochMillis
    ) => Effect.Effect<void, StoreUnavailable>
    /** Open ones that nobody has seen since this moment. */
    readonly unseenSince: (
      at: EpochMillis,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ForeignOrder>, StoreUnavailable>
    /** Open ones first, then the newest. */
    readonly list: (limit: number) => Effect.Effect<ReadonlyArray<ForeignOrder>, StoreUnavailable>
    /** Forgets ended ones that were last seen before this moment. */
    readonly forget: (endedBefore: EpochMillis) => Effect.Effect<void, StoreUnavailable>
    readonly forgetAll: Effect.Effect<void, StoreUnavailable>
  }
>()("nexus/sql/ForeignOrders") {
  static readonly layer = Layer.effect(
    ForeignOrders,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const columns = sql.literal(
        `exchange_order_id as id, client_order_id as "clientOrderId", symbol, side, type, quantity::text, ` +
          `executed::text, status, is_open as "isOpen", since`
      )

      const save = Effect.fn("ForeignOrders.save")(function* (
        orders: ReadonlyArray<Omit<ForeignOrder, "since">>,
        at: EpochMillis
      ) {
        if (orders.length === 0) return
        // One row per key, for a statement may touch a row once only; the later one is the newer.
        const rows = Array.from(new Map(orders.map((order) => [`${order.symbol} ${order.id}`, order])).values())
        yield* answerOf(sql`
          insert into foreign_orders as f
            (symbol, exchange_order_id, client_order_id, side, type, quantity, executed, status, is_open, since, updated_at)
            select symbol, id, "clientOrderId", side, type, quantity, executed, status, "isOpen", ${at}::int8, ${at}::int8
              from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as o(symbol text, id text, "clientOrderId" text,
                side text, type text, quantity numeric, executed numeric, status text, "isOpen" boolean)
              order by symbol, id
            on conflict (symbol, exchange_order_id) do update
              set executed = greatest(f.executed, excluded.executed), updated_at = greatest(f.updated_at, excluded.updated_at),
                status = case when f.is_open or f.status = 'UNKNOWN' then excluded.status else f.status end,
                is_open = (f.is_open or f.status = 'UNKNOWN') and excluded.is_open`)
      })

      const unseenSince = Effect.fn("ForeignOrders.unseenSince")(function* (at: EpochMillis, limit: number) {
        return decodeOrders(
          yield* answerOf(sql`select ${columns} from foreign_orders where is_open and updated_at < ${at}::int8
            order by updated_at limit ${limit}`)
        )
      })

      const list = Effect.fn("ForeignOrders.list")(function* (limit: number) {
        return decodeOrders(
          yield* answerOf(sql`select ${columns} from foreign_orders
            order by is_open desc, updated_at desc, symbol, exchange_order_id limit ${limit}`)
        )
      })

      const forget = Effect.fn("ForeignOrders.forget")(function* (endedBefore: EpochMillis) {
        yield* answerOf(sql`delete from foreign_orders where not is_open and updated_at < ${endedBefore}::int8`)
      })

      return ForeignOrders.of({
        save,
        unseenSince,
        list,
        forget,
        forgetAll: Effect.asVoid(answerOf(sql`delete from foreign_orders`))
      })
    })
  )
}
