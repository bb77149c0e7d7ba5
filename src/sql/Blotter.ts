/**
 * The blotter: what is true of each order now, as the append wrote it beside the events (INV-11).
 *
 * Reads only. Every list is bounded and follows a key, so that pages neither skip nor repeat an order that stays
 * in it, and a page that is full of busy orders does not hide the ones behind it.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { ClientOrderId, EpochMillis, OrderId } from "../domain/Ids.ts"
import type { Status } from "../domain/Order.ts"
import { statuses as allStatuses } from "../domain/Order.ts"
import type { BlotterRow } from "./BlotterRow.ts"
import { Int8 } from "./LogRows.ts"
import { answerOf } from "./StoreUnavailable.ts"
import type { StoreUnavailable } from "./StoreUnavailable.ts"

export type { BlotterRow } from "./BlotterRow.ts"

/** The last order of a page. */
export interface PlacedKey {
  readonly placedAt: EpochMillis
  readonly orderId: OrderId
}

export interface DueKey {
  readonly dueAt: EpochMillis
  readonly orderId: OrderId
}

export interface DueOrder extends DueKey {
  /** Past this moment the order ends unsent. */
  readonly staleAt: EpochMillis
}

interface Page {
  readonly limit: number
  /** Order id after which the page begins; null: from the front. */
  readonly after: string | null
}

export class Blotter extends Context.Service<
  Blotter,
  {
    readonly find: (orderId: OrderId) => Effect.Effect<BlotterRow | null, StoreUnavailable>
    readonly findByClientOrderId: (id: string) => Effect.Effect<BlotterRow | null, StoreUnavailable>
    /** By time of placing; the page begins behind `before`, in the direction of `order` (newest first unless asked). */
    readonly list: (query: {
      /** Null: all. */
      readonly statuses: ReadonlyArray<Status> | null
      readonly symbol?: string
      readonly limit: number
      readonly before?: PlacedKey
      readonly order?: "asc" | "desc"
    }) => Effect.Effect<ReadonlyArray<BlotterRow>, StoreUnavailable>
    /**
     * PENDING orders of these lanes that wait for an executor: never attempted and placed `pickupAfterMs` ago, or
     * attempted and due again, or past the moment when they go stale; the longest due first. `next` is null at the end.
     */
    readonly due: (query: {
      readonly lanes: ReadonlyArray<number>
      readonly now: EpochMillis
      readonly pickupAfterMs: number
      readonly limit: number
      readonly after: DueKey | null
    }) => Effect.Effect<{ readonly rows: ReadonlyArray<DueOrder>; readonly next: DueKey | null }, StoreUnavailable>
    /** Orders whose newest attempt started by then and has no clear outcome, by order id. */
    readonly inDoubt: (
      query: Page & { readonly startedBefore: EpochMillis }
    ) => Effect.Effect<ReadonlyArray<BlotterRow>, StoreUnavailable>
    /** Orders that the exchange has accepted and not ended, by order id. */
    readonly open: (
      query: Page & { readonly symbol?: string }
    ) => Effect.Effect<ReadonlyArray<BlotterRow>, StoreUnavailable>
    /** Open orders whose cancel the exchange has neither carried out nor refused, by order id. */
    readonly unansweredCancels: (query: Page) => Effect.Effect<ReadonlyArray<BlotterRow>, StoreUnavailable>
    readonly doubtCounts: Effect.Effect<
      { readonly count: number; readonly oldestStartedAt: EpochMillis | null; readonly open: number },
      StoreUnavailable
    >
  }
>()("nexus/sql/Blotter") {
  static readonly layer = Layer.effect(
    Blotter,
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const columns = sql.literal(blotterColumns)

      const one = (rows: ReadonlyArray<unknown>): BlotterRow | null => decodeBlotterRows(rows)[0] ?? null

      const find = (orderId: OrderId) =>
        Effect.map(answerOf(sql`select ${columns} from orders o where order_id = ${orderId}`), one)

      const findByClientOrderId = (id: string) =>
        Effect.map(answerOf(sql`select ${columns} from orders o where client_order_id = ${id}`), one)

      // Each status is a range of its own in the index; merging short ranges reads no more than a page of each.
      const list: Blotter["Service"]["list"] = ({ before, limit, order = "desc", statuses, symbol }) => {
        const direction = sql.literal(order)
        const behind = order === "desc" ? sql.literal("<") : sql.literal(">")
        const ofSymbol = symbol === undefined ? sql.literal("true") : sql`o.symbol = ${symbol}`
        const paged =
          before === undefined
            ? sql.literal("true")
            : sql`(o.placed_at, o.order_id) ${behind} (${before.placedAt}::int8, ${before.orderId})`
        return Effect.map(
          answerOf(
            sql`select ${columns} from unnest(${[...(statuses ?? allStatuses)]}::text[]) as wanted(status)
              cross join lateral (
                select * from orders o where o.status = wanted.status and ${ofSymbol} and ${paged}
                order by o.placed_at ${direction}, o.order_id ${direction} limit ${limit}
              ) o
              order by o.placed_at ${direction}, o.order_id ${direction} limit ${limit}`
          ),
          decodeBlotterRows
        )
      }

      const due: Blotter["Service"]["due"] = ({ after, lanes, limit, now, pickupAfterMs }) => {
        const paged =
          after === null ? sql.literal("true") : sql`(due_at, order_id) > (${after.dueAt}::int8, ${after.orderId})`
        return Effect.map(
          answerOf(
            sql`select order_id as "orderId", due_at as "dueAt", coalesce(stale_at, due_at) as "staleAt" from orders
              where due_at <= ${now}::int8 and lane = any(${[...lanes]}::int2[])
                and (attempt_number is not null or due_at <= ${now - pickupAfterMs}::int8 or stale_at <= ${now}::int8)
                and ${paged}
              order by due_at, order_id limit ${limit}`
          ),
          (answer) => {
            const rows = decodeDue(answer)
            return { rows, next: rows.length < limit ? null : (rows[rows.length - 1] ?? null) }
          }
        )
      }

      const pageOf = ({ after, limit }: Page, condition: string) =>
        sql`${sql.literal(`status = 'EXECUTING' and ${condition}`)} and order_id > ${after ?? ""}
          order by order_id limit ${limit}`

      const inDoubt: Blotter["Service"]["inDoubt"] = (query) =>
        Effect.map(
          answerOf(sql`select ${columns} from orders o
            where attempt_started_at <= ${query.startedBefore}::int8 and ${pageOf(query, doubtful)}`),
          decodeBlotterRows
        )

      const open: Blotter["Service"]["open"] = (query) =>
        Effect.map(
          answerOf(sql`select ${columns} from orders o
            where ${query.symbol === undefined ? sql.literal("true") : sql`symbol = ${query.symbol}`}
              and ${pageOf(query, accepted)}`),
          decodeBlotterRows
        )

      const unansweredCancels: Blotter["Service"]["unansweredCancels"] = (query) =>
        Effect.map(
          answerOf(sql`select ${columns} from orders o
            where ${pageOf(query, `${accepted} and cancel_requested and not cancel_refused`)}`),
          decodeBlotterRows
        )

      const doubtCounts = Effect.map(
        answerOf(sql`select
          (select count(*) from orders where status = 'EXECUTING' and ${sql.literal(doubtful)}) as count,
          (select min(attempt_started_at) from orders where status = 'EXECUTING' and ${sql.literal(doubtful)})
            as "oldestStartedAt",
          (select count(*) from orders where status = 'EXECUTING' and ${sql.literal(accepted)}) as open`),
        (rows) => decodeCounts(rows)[0]
      )

      return Blotter.of({ find, findByClientOrderId, list, due, inDoubt, open, unansweredCancels, doubtCounts })
    })
  )
}

// As the partial indexes have it.
const doubtful = "attempt_state in ('STARTED', 'UNKNOWN')"
const accepted = "attempt_state = 'ACCEPTED'"

const Row = Schema.Struct({
  orderId: OrderId,
  clientOrderId: ClientOrderId,
  exchangeOrderId: Schema.NullOr(Schema.String),
  symbol: Schema.String,
  side: Schema.String,
  type: Schema.String,
  timeInForce: Schema.NullOr(Schema.String),
  quantity: Schema.NullOr(Schema.String),
  quoteQuantity: Schema.NullOr(Schema.String),
  price: Schema.NullOr(Schema.String),
  validUntil: Schema.NullOr(Int8),
  stopPrice: Schema.NullOr(Schema.String),
  icebergQuantity: Schema.NullOr(Schema.String),
  selfTradePrevention: Schema.NullOr(Schema.String),
  status: Schema.Literals(allStatuses),
  certainty: Schema.Literals(["CONFIRMED", "UNCONFIRMED", "UNKNOWN"]),
  cancelRequested: Schema.Boolean,
  cancelRefused: Schema.Boolean,
  filledQuantity: Schema.String,
  filledQuote: Schema.String,
  averagePrice: Schema.NullOr(Schema.String),
  fees: Schema.Record(Schema.String, Schema.String),
  fills: Schema.Array(
    Schema.Struct({
      tradeId: Schema.String,
      price: Schema.String,
      quantity: Schema.String,
      fee: Schema.String,
      feeAsset: Schema.String,
      at: EpochMillis
    })
  ),
  reasonCode: Schema.NullOr(Schema.String),
  reasonMessage: Schema.NullOr(Schema.String),
  parked: Schema.Boolean,
  attemptNumber: Schema.NullOr(Schema.Int),
  attemptTimestamp: Schema.NullOr(Int8),
  attemptRecvWindowMillis: Schema.NullOr(Schema.Int),
  attemptStartedAt: Schema.NullOr(Int8),
  attemptState: Schema.NullOr(Schema.Literals(["STARTED", "UNKNOWN", "ACCEPTED", "REFUSED", "ABSENT"])),
  nextAttemptAt: Schema.NullOr(Int8),
  staleAt: Schema.NullOr(Int8),
  dueAt: Schema.NullOr(Int8),
  placedAt: Int8,
  updatedAt: Int8,
  lane: Schema.Int,
  version: Schema.Int
})

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The columns of a row, of a table or alias named `o`. */
export const blotterColumns = Object.keys(Row.fields)
  .map((name) => `o.${snakeCase(name)} as "${name}"`)
  .join(", ")

const decodeRows = Schema.decodeUnknownSync(Schema.Array(Row))
const decodeDue = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ orderId: OrderId, dueAt: Int8, staleAt: Int8 }))
)
const decodeCounts = Schema.decodeUnknownSync(
  Schema.Tuple([Schema.Struct({ count: Int8, oldestStartedAt: Schema.NullOr(Int8), open: Int8 })])
)

const rowFrom = ({
  attemptNumber: number,
  attemptRecvWindowMillis: recvWindowMillis,
  attemptStartedAt: startedAt,
  attemptState: state,
  attemptTimestamp: timestamp,
  reasonCode: code,
  reasonMessage: message,
  ...row
}: typeof Row.Type): BlotterRow => ({
  ...row,
  reason: code === null || message === null ? null : { code, message },
  attempt:
    number === null || timestamp === null || recvWindowMillis === null || startedAt === null || state === null
      ? null
      : { number, timestamp, recvWindowMillis, startedAt, state }
})

/** Rows selected with `blotterColumns`. */
export const decodeBlotterRows = (rows: ReadonlyArray<unknown>): ReadonlyArray<BlotterRow> =>
  decodeRows(rows).map(rowFrom)
