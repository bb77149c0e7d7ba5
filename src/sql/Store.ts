/**
 * Whose log this is: one row that binds a database to one exchange and one account, for ever.
 *
 * Opened by the first process that comes, compared by every other. The account is known later than the exchange,
 * once its keys were used, and is bound then.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { StoreId } from "../domain/Ids.ts"
import { answerOf, type StoreUnavailable } from "./StoreUnavailable.ts"

export const Exchange = Schema.Literals(["SIMULATOR", "TESTNET"])
export type Exchange = typeof Exchange.Type

/** The database holds the orders of another exchange or account. The process must not go on. */
export class StoreBelongsElsewhere extends Schema.TaggedError<StoreBelongsElsewhere>()("StoreBelongsElsewhere", {
  belongsTo: Schema.String,
  asked: Schema.String
}) {
  override get message() {
    return (
      `This database holds the orders of ${this.belongsTo}, and this process was started for ${this.asked}: ` +
      "give it another database, or that one's exchange and keys"
    )
  }
}

const Row = Schema.Struct({
  storeId: StoreId,
  generation: Schema.Int,
  exchange: Exchange,
  accountUid: Schema.NullOr(Schema.String),
  lanes: Schema.Int,
  recoveries: Schema.Int
})
const decodeRow = Schema.decodeUnknownSync(Schema.Tuple([Row]))

const Boundary = Schema.Struct({ generation: Schema.Int, lane: Schema.Int, firstPosition: Schema.Finite })
const decodeBoundaries = Schema.decodeUnknownSync(Schema.Array(Boundary))
const decodeIds = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ id: Schema.String })))

/** Where a position of the log comes from, as its readers tell positions apart. */
export interface EventOrigin {
  readonly storeId: StoreId
  readonly generation: number
  /** Where that generation begins in the event's lane; 1 for the first. */
  readonly firstPosition: number
}

const Identity = Schema.Struct({ exchange: Schema.NullOr(Exchange), accountUid: Schema.NullOr(Schema.String) })
const decodeIdentity = Schema.decodeUnknownSync(Schema.Tuple([Identity]))

/** Whose store this is, without opening it; null: nobody's yet. */
export const readIdentity = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  return decodeIdentity(yield* answerOf(sql`select exchange, account_uid as "accountUid" from store`))[0]
})

export interface StoreOptions {
  readonly exchange: Exchange
  /** Becomes the store's id if this is its first opening; drawn by the caller. */
  readonly storeId: StoreId
}

export class Store extends Context.Service<
  Store,
  {
    readonly storeId: StoreId
    /** Of the opening: a recovery that raises it ends all processes first. */
    readonly generation: number
    /** Of all times, when it was opened. */
    readonly recoveries: number
    readonly exchange: Exchange
    readonly lanes: number
    /** An event keeps its generation for ever, so that one that is sent again is the same record. */
    readonly originOf: (event: { readonly lane: number; readonly position: number }) => EventOrigin
    /** Orders that a recovery found at the exchange alone: their id is the exchange's. Of the opening, too. */
    readonly imported: ReadonlySet<string>
    /** The account as it is bound now; null before the first bind. */
    readonly accountUid: Effect.Effect<string | null, StoreUnavailable>
    /** Binds the store to the account behind our keys, once; afterwards only compares. */
    readonly bindAccount: (uid: string) => Effect.Effect<void, StoreBelongsElsewhere | StoreUnavailable>
  }
>()("nexus/sql/Store") {
  static readonly layer = (
    options: StoreOptions
  ): Layer.Layer<Store, StoreBelongsElsewhere | StoreUnavailable, PgClient.PgClient> =>
    Layer.effect(
      Store,
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient

        const read = Effect.map(
          answerOf(
            sql`select store_id as "storeId", generation, exchange, account_uid as "accountUid", lanes::int4,
              (select count(*)::int4 from recoveries) as recoveries from store`
          ),
          (rows) => decodeRow(rows)[0]
        )

        // Of processes that come together one updates the row; the others wait for it and find it opened.
        yield* answerOf(
          sql`update store set store_id = ${options.storeId}::uuid, exchange = ${options.exchange},
            opened_at = clock_timestamp() where store_id is null`
        )
        const { exchange, generation, lanes, recoveries, storeId } = yield* read
        if (exchange !== options.exchange) {
          return yield* new StoreBelongsElsewhere({ belongsTo: `the ${exchange}`, asked: `the ${options.exchange}` })
        }

        // The newest first.
        const boundaries = decodeBoundaries(
          yield* answerOf(sql`
            select generation, lane::int4, first_position::float8 as "firstPosition" from generations
              order by generation desc`)
        )
        const byLane = Map.groupBy(boundaries, ({ lane }) => lane)
        const first = { storeId, generation: 1, firstPosition: 1 }
        const originOf: Store["Service"]["originOf"] = ({ lane, position }) => {
          const found = byLane.get(lane)?.find(({ firstPosition }) => firstPosition <= position)
          return found === undefined
            ? first
            : { storeId, generation: found.generation, firstPosition: found.firstPosition }
        }
        const imported = new Set(
          decodeIds(yield* answerOf(sql`select order_id as id from orders where order_id = client_order_id`)).map(
            ({ id }) => id
          )
        )

        const bindAccount = Effect.fn("Store.bindAccount")(function* (uid: string) {
          yield* answerOf(sql`update store set account_uid = ${uid} where account_uid is null`)
          const { accountUid } = yield* read
          if (accountUid === uid) return
          return yield* new StoreBelongsElsewhere({
            belongsTo: `account ${accountUid} of the ${exchange}`,
            asked: `account ${uid} of the ${exchange}`
          })
        })

        return Store.of({
          storeId,
          generation,
          recoveries,
          exchange,
          lanes,
          originOf,
          imported,
          accountUid: Effect.map(read, ({ accountUid }) => accountUid),
          bindAccount
        })
      })
    )
}
